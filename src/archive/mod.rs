//! The archive: every accepted alert in Parquet, once, in the folder of its hour.
//!
//! May depend on: `alert`, `avro` (schemas), `config`, `ledger`, `durable`, arrow, parquet. The only module that names parquet.
//!
//! A file holds alerts of one hour and one schema: the survey's columns as they were nested in the packet (those of them that
//! `archive.columns` chooses; the footer has the whole schema), the columns that the steps added, and the struct `skysluice` (where the row came from, whether and why a step skipped it, flags). It is
//! written in a staging folder outside the root, then published whole (see `durable`); batches are acknowledged when every
//! file with rows of theirs is published.
//!
//! An alert without a usable time goes to `year=0/month=0/day=0/hour=0`, the quarantine.
//!
//! **Invariant:** the hour of an alert is a function of the alert and the configuration alone, so an alert that is read
//! again belongs to the same hour. A source gives a message the same offset and time each time it reads it. (Where the
//! configuration changes what decides the hour between a crash and the next start, alerts that were not committed can be
//! archived a second time, in their new hour.)
//! **Invariant:** one file is open per hour and schema, and the batches of a partition come without gaps; a gap starts a new
//! [`OffsetRange`] and a step back seals what is open. So every alert of a published range (of its hour and schema) is in
//! the archive, and is left out when it is read again.
//! **Invariant:** rows of one message that belong to the same hour are written together, so no range ends inside a message.

mod choice;
mod columns;
mod folders;
mod footer;
mod hour;
mod marks;
mod sink;
mod writer;

#[cfg(test)]
mod tests;

pub use choice::{ColumnError, check, wanted};
pub use footer::{FileSummary, OffsetRange, ReadError, Totals, inventory, read_footer, totals};
pub use hour::Hour;
pub use sink::{ArchiveContext, ArchiveSink, Counts};
