//! The configuration: as written (`raw`) and as used (`checked`).
//!
//! May depend on: serde, the vocabulary of `avro` (framings) and `filter` (the grammar of `where`). It reads files, starts nothing.

mod checked;

pub use checked::*;
