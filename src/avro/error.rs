//! What can be wrong with a schema, a frame or a datum, in words for an operator.

use super::{MAX_COLUMNS, MAX_DEPTH, MAX_SCHEMA_BYTES};

/// A schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AvroError {
    /// The JSON text is too long.
    #[error("the schema has {bytes} bytes of JSON, more than the {MAX_SCHEMA_BYTES} that are read")]
    TooLong {
        /// Its length, bytes.
        bytes: usize,
    },
    /// The JSON text, or the schema with its names resolved, is nested too deep.
    #[error("the schema is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The text is not JSON.
    #[error("the schema is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Fields cannot be what they are said to be.
    #[error("the schema has malformed fields: {0}")]
    Field(String),
    /// The text is JSON, but no Avro schema.
    #[error("the schema is not an Avro schema: {0}")]
    Avro(#[source] Box<apache_avro::Error>),
    /// Alerts are records.
    #[error("the schema is of type {0}, but an alert has to be a record with fields")]
    NotARecord(String),
    /// A record that holds itself has no fixed set of columns.
    #[error("the record {0} holds itself: recursive types cannot be turned into columns")]
    Recursive(String),
    /// More leaves than are sane.
    #[error("the schema unfolds to more than {MAX_COLUMNS} columns")]
    TooManyColumns,
    /// A type that no value can have, or that is too large.
    #[error("field {path}: {what}")]
    Type {
        /// Path of the field.
        path: String,
        /// What is wrong with its type.
        what: String,
    },
    /// A type is named that no file defines.
    #[error("{file}: the type {name} is defined in none of the schema files given")]
    UnknownName {
        /// The full name.
        name: String,
        /// The file that names it.
        file: String,
    },
    /// The type to start from is defined in no file.
    #[error("no schema file defines {root}; there are: {known}")]
    NoRoot {
        /// The full name that was asked for.
        root: String,
        /// The full names that there are.
        known: String,
    },
    /// A schema file is unusable by itself.
    #[error("{file}: {source}")]
    File {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: Box<AvroError>,
    },
    /// The process holds too many schemas already.
    #[error("{count} different schemas have been seen, more are not taken in: is this stream what it should be?")]
    TooMany {
        /// Schemas held.
        count: usize,
    },
}

/// What is wrong with bytes of a datum. Small, because it travels through the hot loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The datum ends too early.
    #[error("the datum ends too early")]
    Truncated,
    /// A variable-length integer has more than 64 bits.
    #[error("an integer has more than 64 bits")]
    Varint,
    /// An int has more than 32 bits.
    #[error("{0} does not fit an int")]
    Int(i64),
    /// A length is negative or beyond the end of the datum.
    #[error("a length of {0} bytes, which is not there")]
    Length(i64),
    /// A text is not UTF-8.
    #[error("the text is not UTF-8")]
    Utf8,
    /// A boolean is neither 0 nor 1.
    #[error("a boolean of {0}")]
    Boolean(u8),
    /// A union has no such branch.
    #[error("branch {0}, which the union does not have")]
    Branch(i64),
    /// An enum has no such symbol.
    #[error("symbol {0}, which the enum does not have")]
    Symbol(i64),
    /// A block of an array or a map has a count that cannot be.
    #[error("a block of {0} items, which is not there")]
    Count(i64),
    /// A block of an array or a map says how many bytes it has, and its items have more or fewer.
    #[error("a block whose items do not end where it says")]
    Block,
    /// A decimal does not fit 128 bits.
    #[error("the decimal does not fit 128 bits")]
    Decimal,
    /// The columns of the alert would be too large.
    #[error("the alert would take more memory than is granted to one")]
    TooLarge,
}

/// A datum could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field {path}, byte {byte} of the datum: {flaw}")]
pub struct DatumError {
    /// Path of the field.
    pub path: String,
    /// Where in the datum, bytes from its start.
    pub byte: usize,
    /// What is wrong.
    pub flaw: Flaw,
}

/// The frame of a message is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The container ends inside a part of it.
    #[error("the container is cut off in {0}")]
    Truncated(&'static str),
    /// The header makes no sense.
    #[error("the header of the container is corrupt: {0}")]
    Header(&'static str),
    /// The header has no schema.
    #[error("the header of the container has no avro.schema")]
    NoSchema,
    /// The blocks are compressed by something else.
    #[error("the container is compressed by `{0}`; known are null, deflate, snappy, zstandard, bzip2, xz")]
    UnknownCodec(String),
    /// A block has a count or a size that cannot be.
    #[error("block {block} of the container says {count} records in {size} bytes, which cannot be")]
    Block {
        /// Index of the block.
        block: usize,
        /// Its count.
        count: i64,
        /// Its size, bytes.
        size: i64,
    },
    /// A block does not end in the marker of the header.
    #[error("block {block} of the container does not end in the sync marker")]
    Sync {
        /// Index of the block.
        block: usize,
    },
    /// A block cannot be decompressed.
    #[error("a block cannot be decompressed by {codec}: {what}")]
    Decompress {
        /// The codec.
        codec: &'static str,
        /// What is wrong.
        what: String,
    },
    /// A block holds too much.
    #[error("a block of {compressed} bytes decompresses to more than {limit} bytes: a decompression bomb")]
    Bomb {
        /// Compressed size, bytes.
        compressed: usize,
        /// What it may decompress to, bytes.
        limit: u64,
    },
}
