//! The archive: every accepted alert in Parquet, once, in the folder of its hour; and the backup: the same in Avro.
//!
//! May depend on: `alert`, `avro` (containers, data, schemas), `config`, `filter`, `ledger`, `durable`, arrow, parquet. The only module
//! that names parquet.
//!
//! A file holds alerts of one hour and one schema. In Parquet: the survey's columns as they were nested in the packet, the
//! columns that the steps added, and the struct `skysluice` (where the row came from, whether and why a step skipped it,
//! flags). In Avro: the records as the producer encoded them, under the producer's schema. Both are written by one sink
//! (`sink`), of which only the kind of file differs (`format`): gathered in memory, written in a staging folder outside the
//! root, then published whole (see `durable`); batches are acknowledged when every file with rows of theirs is published.
//!
//! `list`, `verify` and `export` read it again, for the command line; they change nothing in it.
//!
//! An alert without a usable time goes to `year=0/month=0/day=0/hour=0` (`0000/00/00/00`), the quarantine: numbers as every
//! other folder has, so that readers that infer the types of partitions still find numbers, and a condition on the year
//! leaves it out.
//!
//! **Invariant:** the hour of an alert is a function of the alert and the configuration alone, so an alert that is read
//! again belongs to the same hour. A source gives a message the same offset and time each time it reads it. (Where the
//! configuration changes what decides the hour or its folder between a crash and the next start, alerts that were not
//! committed can be archived a second time, in their new folder.)
//! **Invariant:** one file is open per hour and schema, and the batches of a partition come without gaps; a gap starts a new
//! [`OffsetRange`] and a step back seals what is open. So every alert of a published range (of its hour and schema) is in
//! the archive, and is left out when it is read again.
//! **Invariant:** where a part of a stream comes once more ([`ArchiveContext::beside`]), a range has no hole at all and is of one
//! record index: what is not in a file is never taken for archived, whenever it comes.
//! **Invariant:** rows of one message that belong to the same hour are written together, so no range ends inside a message.

mod choice;
mod columns;
mod container;
mod contents;
mod context;
pub mod export;
mod flat;
mod folders;
mod footer;
mod format;
mod group;
mod history;
mod hour;
pub mod list;
mod look;
mod marks;
mod meaning;
mod own;
mod page;
mod patience;
mod place;
mod points;
mod rows;
mod sink;
mod stamps;
pub mod verify;
mod writer;

#[cfg(test)]
mod tests;

pub use choice::{ColumnError, check, wanted};
pub use context::{ArchiveContext, Counts, Editions};
pub use footer::{FileSummary, OffsetRange, ReadError, Totals, inventory, read_footer, totals};
pub use hour::Hour;
pub use look::{column_types, read_row, read_schema};
pub use patience::PatientSink;
pub use place::WantedHours;
pub use sink::{ArchiveSink, BackupSink};
pub use writer::Means;
