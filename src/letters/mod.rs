//! Dead letters kept in a folder: the sink that puts those of a batch away, and what is done with them later.
//!
//! May depend on: `alert`, `avro` (whether a file is sane), `config` (where a letter lies), `ledger`, `durable`, apache-avro (a
//! folder is a set of Avro object containers that any Avro reader opens).
//!
//! **Invariant:** a letter is acknowledged only after the [`LetterBox`](crate::alert::LetterBox) has made it durable.
//! **Invariant:** a letter that is to be processed again is moved aside first (`FOLDER/requeue/COMPONENT`) and leaves that folder
//! when every sink is done with it; until then the next attempt finds it there.

mod digest;
mod folder;
mod plan;
mod shelf;
mod sink;

pub use digest::{By, Group, Groups, Selection, normal};
pub use folder::{FolderLetters, LetterError, StoredHeader, StoredLetter, decode, encode, read_file};
pub use plan::{Plan, Planned, Round, Route};
pub use shelf::{Shelf, containers, keep, read_folder, write};
pub use sink::LetterSink;
