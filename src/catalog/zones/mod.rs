//! The zone index: a catalogue of up to four billion sources in one memory-mapped file.
//!
//! The sky is cut into zones of declination and these into cells of right ascension that hold some eight sources each; a
//! directory of cells leads to the rows of a cone in two steps, so that a search touches one line of the directory, one or two
//! of the rows, and the payload of what it finds. Positions are kept twice: as integers of 0.3 and 0.15 mas in the rows, which
//! decide what is looked at, and as `f64` in the payload, which decide what is found.
//!
//! May depend on: `sky`, `catalog::{Hit, Hits}`, arrow, memmap2, bytemuck, rayon, cdshealpix. [`Builder`] writes a file,
//! [`ZoneIndex`] opens and searches it; `format.rs` has every byte of it, `grid.rs` all geometry.
//!
//! **Invariants:** a file is never changed after it has its name: a new one takes its place by a rename, and who has the old one
//! open keeps it; everything read from a file is checked where it is used, so that a damaged one gives errors or fewer sources,
//! never a panic; `map.rs` alone holds unsafe code.

mod build;
mod classes;
mod error;
mod footprint;
mod format;
mod grid;
mod heap;
mod map;
mod open;
mod payload;
mod rows;
mod search;
mod sort;
mod spill;
mod temporary;
mod view;
mod warm;
mod write;

#[cfg(test)]
mod tests;

pub use build::{Batch, Builder, Footprint, Keep, MotionRule, Options, Progress};
pub use error::{Reject, ZoneError};
pub use footprint::cell;
pub use format::{Column, Meta, Rejects, SourceFile};
pub use open::ZoneIndex;
pub use payload::Id;
pub use search::{Cones, Radius};
