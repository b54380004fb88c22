//! Dead letters kept in a folder, and the sink that puts those of a batch away.
//!
//! May depend on: `alert`, `ledger`, `durable`, apache-avro (a folder is a set of Avro object containers that any Avro
//! reader opens).
//!
//! **Invariant:** a letter is acknowledged only after the [`LetterBox`](crate::alert::LetterBox) has made it durable.

mod folder;
mod sink;

pub use folder::{FolderLetters, LetterError, StoredHeader, StoredLetter, read_folder};
pub use sink::LetterSink;
