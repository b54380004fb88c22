//! The target `container`.

use std::cell::RefCell;
use std::io::Write;
use std::sync::LazyLock;

use apache_avro::Reader;
use apache_avro::types::Value;
use skysluice::avro::{Wanted, container_magic, embedded_schema};
use skysluice::config::Framing;
use skysluice::decode::Decode;

use crate::judge;
use crate::known::{self, KNOWN};
use crate::stage::{self, Fate};

/// The codecs that a container may name.
pub const CODECS: [&str; 6] = ["null", "deflate", "snappy", "zstandard", "bzip2", "xz"];

/// A stage is used this often: it remembers schemas and headers, as in a service, but not without end.
const USES: usize = 64;

/// Records of a container that are compared with apache-avro's, at most.
const COMPARED: usize = 2000;

static GOOD: LazyLock<(Vec<u8>, Fate)> = LazyLock::new(|| {
    let known = &KNOWN[0];
    let good = known::container(&known.json, "null", &[(1, &known.samples[0])]);
    let fate = stage::decode(&stage(), &[&good]).remove(0);
    assert_eq!(fate.reason, None, "the good container");
    (good, fate)
});

/// A new stage for containers.
pub fn stage() -> Decode {
    Decode::new(&Framing::Container, known::survey("ztf"), Wanted::everything()).expect("no schema is given")
}

/// Calls with a stage that has seen other containers.
pub fn with_stage<T>(inside: impl FnOnce(&Decode) -> T) -> T {
    thread_local! {
        static STAGE: RefCell<(usize, Option<Decode>)> = const { RefCell::new((0, None)) };
    }
    STAGE.with_borrow_mut(|(uses, slot)| {
        *uses += 1;
        if uses.is_multiple_of(USES) {
            *slot = None;
        }
        inside(slot.get_or_insert_with(stage))
    })
}

pub fn run(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    if mode & 1 == 0 {
        whole(rest);
    } else {
        let [schema, split, count, block @ ..] = rest else { return };
        let cut = usize::from(*split) * block.len() / 255;
        packed(CODECS[usize::from(mode >> 1) % CODECS.len()], *schema, *count, block.split_at(cut));
    }
}

/// A container as it comes.
fn whole(container: &[u8]) {
    let (good, alone) = &*GOOD;
    let fates = with_stage(|stage| stage::decode(stage, &[good, container, good]));
    stage::unharmed(&fates, alone);
    let fate = &fates[1];
    if !container_magic(container) {
        assert!(fate.reason.is_some(), "taken without the magic");
    }
    if fate.reason.is_none() {
        as_apache_avro(container, fate);
    }
}

/// Records, put into a container in two blocks (four bits of `count` each): what becomes of them does not depend on the codec.
fn packed(codec: &'static str, schema: u8, count: u8, blocks: (&[u8], &[u8])) {
    let known = known::chosen(schema);
    let good = known::container(&known.json, "null", &[(1, &known.samples[0])]);
    let counts = (usize::from(count >> 4), usize::from(count & 15));
    let plain = known::container(&known.json, "null", &[(counts.0, blocks.0), (counts.1, blocks.1)]);
    let (first, second) = (compress(codec, blocks.0), compress(codec, blocks.1));
    let packed = known::container(&known.json, codec, &[(counts.0, &first), (counts.1, &second)]);
    let fates = with_stage(|stage| stage::decode(stage, &[&good, &plain, &packed, &good]));
    stage::unharmed(&fates, &known.good);
    assert!(fates[1].is(&fates[2]), "{codec}: {:?} and not {:?}", fates[2], fates[1]);
    if fates[1].reason.is_none() {
        as_apache_avro(&packed, &fates[2]);
    }
}

/// Holds the rows of a container against apache-avro's.
fn as_apache_avro(container: &[u8], fate: &Fate) {
    judge::bounds();
    // It knows neither of two codecs, and refuses schemas that producers send.
    let Ok(reader) = Reader::new(container) else { return };
    let schema = embedded_schema(container).ok().and_then(known::judged);
    let Some(schema) = schema.filter(|schema| schema == reader.writer_schema()) else { return };
    let rows = fate.records.iter().flat_map(|records| (0..records.num_rows()).map(move |row| (records, row)));
    let mut values = reader.take(COMPARED);
    for (records, row) in rows.take(COMPARED) {
        match values.next() {
            Some(Ok(value @ Value::Record(_))) => judge::compare(&schema, &value, records, row),
            Some(Ok(other)) => assert_eq!(format!("{other:?}"), "a record"),
            Some(Err(error)) => {
                assert!(judge::is_looser(&error), "taken, but apache-avro says: {error}");
                return;
            }
            // It ends at a block without records.
            None => return,
        }
    }
}

/// A block as the codec has it.
pub fn compress(codec: &str, block: &[u8]) -> Vec<u8> {
    let done = match codec {
        "deflate" => {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(block).and_then(|()| encoder.finish())
        }
        "snappy" => {
            let mut packed = snap::raw::Encoder::new().compress_vec(block).expect("a block is not that large");
            packed.extend_from_slice(&crc32fast::hash(block).to_be_bytes());
            Ok(packed)
        }
        "zstandard" => zstd::encode_all(block, 1),
        "bzip2" => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(block).and_then(|()| encoder.finish())
        }
        "xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
            encoder.write_all(block).and_then(|()| encoder.finish())
        }
        _ => Ok(block.to_vec()),
    };
    done.expect("nothing is written but memory")
}
