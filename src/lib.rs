//! Skysluice: mirrors, decodes, cross-matches, filters, archives and republishes astronomical alert streams.
//!
//! The map, in the order in which an alert passes; ARCHITECTURE.md has the plan and the rules between the modules.

pub mod alert;
pub mod avro;
pub mod catalog;
pub mod config;
pub mod durable;
pub mod filter;
pub mod hold;
pub mod inspect;
pub mod ledger;
pub mod letters;
pub mod registry;
pub mod sky;
pub mod state;
pub mod sums;

pub mod actor;

pub mod archive;
pub mod decode;
pub mod process;
pub mod publish;
pub mod source;

pub mod cli;
pub mod pipeline;
