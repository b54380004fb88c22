//! The fuzz targets of Skysluice: what may come from outside, turned into calls of the library that must not panic, hang, take
//! memory without end or say something wrong. A target that finds something panics.
//!
//! The binaries hand these functions to libFuzzer (`fuzz/run.sh`); the tests here run them over the same seeds and some thousand
//! changes of them. May depend on: the library's public interface, the simulator, apache-avro as the judge of what bytes mean.

mod container;
mod datum;
mod frame;
mod judge;
mod known;
mod letters;
mod schema;
pub mod seeds;
mod stage;
mod values;

#[cfg(test)]
mod tests;

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 5] =
    [("container", container), ("datum", datum), ("frame", frame), ("letters", letters), ("schema", schema)];

/// Object containers as messages. Byte 0: whether the rest is a container, or records that are put into one, with which codec.
/// What comes out is held against apache-avro's reading, and every codec against none.
pub fn container(data: &[u8]) {
    container::run(data);
}

/// Data of known schemas. Byte 0: the schema; the rest is the datum. It is decoded between two good ones, whole and in part, and
/// held against apache-avro's reading; where it decodes it is written again.
pub fn datum(data: &[u8]) {
    datum::run(data);
}

/// Messages in any framing. Byte 0: the schema that the stages know; the rest is the message.
pub fn frame(data: &[u8]) {
    frame::run(data);
}

/// Dead letters that are read back. Byte 0: whether the rest is a container of them, or headers of a message.
pub fn letters(data: &[u8]) {
    letters::run(data);
}

/// Schemas. Up to the first NUL byte the JSON text, behind it a datum.
pub fn schema(data: &[u8]) {
    schema::run(data);
}
