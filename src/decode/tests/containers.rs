//! Object containers: codecs, blocks, headers, and what a message is told when it is something else.

use std::io::Write as _;
use std::sync::Arc;

use apache_avro::types::Value;
use apache_avro::{Codec, DeflateSettings, Schema, Writer, ZstandardSettings};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;

use super::{bare, batch, confluent, container, containers, long, reason, refused, sized};
use crate::alert::{Decoded, RawMessage, Transform};

const JSON: &str =
    r#"{"type": "record", "name": "a", "fields": [{"name": "candid", "type": "long"}, {"name": "t", "type": "string"}]}"#;

fn datum(id: i64, text: &str) -> Vec<u8> {
    [long(id), sized(text.as_bytes())].concat()
}

fn ids(decoded: &Decoded) -> Vec<i64> {
    decoded.parts.iter().flat_map(|p| p.candidate.alert_id.as_primitive::<Int64Type>().values().to_vec()).collect()
}

fn texts(decoded: &Decoded) -> Vec<String> {
    let column = |p: &crate::alert::AlertBatch| p.records.column(1).as_string_view().clone();
    decoded.parts.iter().flat_map(|p| column(p).iter().map(|t| t.unwrap().to_owned()).collect::<Vec<_>>()).collect()
}

#[test]
fn every_codec_and_several_blocks_of_several_records() {
    let schema = Schema::parse_str(JSON).unwrap();
    let codecs =
        [Codec::Null, Codec::Deflate(DeflateSettings::default()), Codec::Snappy, Codec::Zstandard(ZstandardSettings::default())];
    let mut messages = Vec::new();
    let mut expected = Vec::new();
    for codec in codecs {
        let mut writer = Writer::with_codec(&schema, Vec::new(), codec).unwrap();
        for id in 0..5 {
            let text = format!("number {id} {}", "x".repeat(id as usize * 4));
            writer
                .append_value(Value::Record(vec![
                    ("candid".to_owned(), Value::Long(id)),
                    ("t".to_owned(), Value::String(text.clone())),
                ]))
                .unwrap();
            if id == 2 {
                writer.flush().unwrap();
            }
            expected.push((id, text));
        }
        messages.push(writer.into_inner().unwrap());
    }
    let mut packed = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    packed.write_all(&datum(77, "compressed by bzip2")).unwrap();
    messages.push(container(JSON, "bzip2", &[(1, &packed.finish().unwrap())]));
    expected.push((77, "compressed by bzip2".to_owned()));
    let mut packed = liblzma::write::XzEncoder::new(Vec::new(), 6);
    packed.write_all(&datum(78, "compressed by xz")).unwrap();
    messages.push(container(JSON, "xz", &[(1, &packed.finish().unwrap())]));
    expected.push((78, "compressed by xz".to_owned()));

    let decode = containers();
    for _ in 0..2 {
        let decoded = decode.apply(&batch(&messages)).unwrap();
        assert!(decoded.letters.is_empty(), "{:?}", decoded.letters);
        // One schema, whatever the codec and the header.
        assert_eq!(decoded.parts.len(), 1);
        assert_eq!(ids(&decoded).into_iter().zip(texts(&decoded)).collect::<Vec<_>>(), expected);
        let part = &decoded.parts[0];
        for (row, (id, text)) in expected.iter().enumerate() {
            assert_eq!(part.bytes(part.rows[row].datum), datum(*id, text));
            // The last two have one record each.
            let (message, record) = if row < 20 { (row / 5, row % 5) } else { (row - 16, 0) };
            assert_eq!(part.rows[row].offset, 100 + message as i64);
            assert_eq!(part.rows[row].record as usize, record);
            assert_eq!(part.bytes(part.rows[row].message), messages[message]);
            assert_eq!(part.bytes(part.rows[row].key.unwrap()), b"key");
        }
    }
}

#[test]
fn parts_are_cut_where_the_schema_changes_and_keep_the_order() {
    let other = JSON.replace(r#""name": "t""#, r#""name": "u""#);
    let documented = JSON.replace(r#""type": "long""#, r#""type": "long", "doc": "an id""#);
    let one = |json: &str, id: i64| container(json, "null", &[(1, &datum(id, "x"))]);
    let messages = [one(JSON, 1), one(&documented, 2), one(&other, 3), one(&other, 4), one(JSON, 5)];
    let decoded = containers().apply(&batch(&messages)).unwrap();
    let lengths: Vec<_> = decoded.parts.iter().map(|p| p.len()).collect();
    assert_eq!(lengths, [2, 2, 1]);
    assert_eq!(ids(&decoded), [1, 2, 3, 4, 5]);
    assert!(Arc::ptr_eq(&decoded.parts[0].schema, &decoded.parts[2].schema));
}

#[test]
fn a_schema_known_beforehand_is_the_one_that_batches_carry() {
    let decode = containers();
    let warm = decode.warm(&JSON.replace(',', " ,\n")).unwrap();
    let decoded = decode.apply(&batch(&[container(JSON, "null", &[(1, &datum(1, "x"))])])).unwrap();
    assert!(Arc::ptr_eq(&warm, &decoded.parts[0].schema));
}

#[test]
fn a_corrupt_container_says_what_is_wrong() {
    let decode = containers();
    let good = container(JSON, "null", &[(1, &datum(1, "x"))]);
    let with = |count: i64, bytes: &[u8]| container(JSON, "null", &[(count, bytes)]);
    let mut wrong_sync = good.clone();
    *wrong_sync.last_mut().unwrap() ^= 1;
    let mut no_schema = b"Obj\x01".to_vec();
    no_schema.extend(long(0));
    no_schema.extend([0; 16]);
    let head = good.len() - datum(1, "x").len() - 18;
    let absurd_size = [&good[..head], &long(1), &long(i64::MAX), &[0; 40]].concat();
    let absurd_metadata = [&b"Obj\x01"[..], &long(i64::MIN), &long(0)].concat();
    let many = [&b"Obj\x01"[..], &long(i64::MAX), &[0; 100]].concat();
    for (payload, expected) in [
        (wrong_sync, "block 0 of the container does not end in the sync marker"),
        (with(2, &datum(1, "x")), "record 1: field candid, byte 0 of the datum: the datum ends too early"),
        (with(0, &datum(1, "x")), "block 0: 3 bytes are left over after its 0 records"),
        (with(1, &[datum(1, "x"), datum(2, "y")].concat()), "block 0: 3 bytes are left over after its 1 records"),
        (with(-3, &datum(1, "x")), "block 0 of the container says -3 records in 3 bytes, which cannot be"),
        (with(i64::MAX, &datum(1, "x")), "record 1: field candid, byte 0 of the datum: the datum ends too early"),
        (container(JSON, "null", &[]), "the container holds no record"),
        (with(0, &[]), "the container holds no record"),
        (container(JSON, "lzma", &[]), "the container is compressed by `lzma`"),
        (container("{}", "null", &[]), "the schema in the message cannot be used: the schema is not an Avro schema"),
        (container("no json", "null", &[]), "the schema in the message cannot be used: the schema is not JSON"),
        (container(r#""long""#, "null", &[]), "an alert has to be a record"),
        (no_schema, "the header of the container has no avro.schema"),
        (absurd_size, "the container is cut off in a block"),
        (absurd_metadata, "the header of the container is corrupt"),
        (many, "the header of the container is corrupt"),
    ] {
        for _ in 0..2 {
            let told = refused(&decode, &payload);
            assert!(told.contains(expected), "{told} / {expected}");
        }
    }
    assert_eq!(ids(&decode.apply(&batch(&[good])).unwrap()), [1]);
}

#[test]
fn checksums_and_compressed_bytes_are_checked() {
    let decode = containers();
    let mut snappy = snap::raw::Encoder::new().compress_vec(&datum(1, "x")).unwrap();
    snappy.extend([1, 2, 3, 4]);
    let mut packed = liblzma::write::XzEncoder::new(Vec::new(), 6);
    packed.write_all(&datum(1, "x")).unwrap();
    let xz = packed.finish().unwrap();
    let mut flipped = xz.clone();
    flipped[xz.len() / 2] ^= 1;
    let mut packed = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    packed.write_all(&datum(1, "x")).unwrap();
    let bzip2 = packed.finish().unwrap();
    for (codec, bytes, expected) in [
        ("snappy", &snappy[..], "decompressed by snappy: its checksum is wrong"),
        ("snappy", b"abc", "its checksum is missing"),
        ("deflate", b"\xff\xff\xff", "decompressed by deflate"),
        ("zstandard", b"\xff\xff\xff\xff\xff", "decompressed by zstandard"),
        ("bzip2", b"\xff\xff\xff\xff\xff", "decompressed by bzip2"),
        ("xz", b"\xff\xff\xff\xff\xff", "decompressed by xz"),
        ("xz", &xz[..xz.len() - 1], "decompressed by xz"),
        ("xz", &flipped, "decompressed by xz"),
        ("xz", &[&xz[..], b"more"].concat(), "4 bytes are left over after the compressed ones"),
        ("bzip2", &[&bzip2[..], b"x"].concat(), "1 bytes are left over after the compressed ones"),
    ] {
        let told = refused(&decode, container(JSON, codec, &[(1, bytes)]));
        assert!(told.contains(expected), "{told} / {expected}");
    }
}

#[test]
fn bombs_are_stopped_before_they_grow() {
    let decode = containers();
    let zeros = vec![0u8; 200 << 20];
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    deflate.write_all(&zeros).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&zeros[..20 << 20]).unwrap();
    let zstandard = zstd::encode_all(&zeros[..], 1).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
    xz.write_all(&zeros[..20 << 20]).unwrap();
    // A snappy block says itself how long it is.
    let snappy = [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0; 20]].concat();
    for (codec, bytes) in [
        ("deflate", deflate.finish().unwrap()),
        ("bzip2", bzip2.finish().unwrap()),
        ("zstandard", zstandard),
        ("snappy", snappy),
        ("xz", xz.finish().unwrap()),
    ] {
        let told = refused(&decode, container(JSON, codec, &[(1, &bytes)]));
        assert!(told.contains("a decompression bomb"), "{codec}: {told}");
    }
}

#[test]
fn stamps_that_are_all_zero_are_no_bomb() {
    let stamps =
        r#"{"type": "record", "name": "a", "fields": [{"name": "candid", "type": "long"}, {"name": "stamps", "type": "bytes"}]}"#;
    let datum = [long(5), sized(&vec![0; 900_000])].concat();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
    xz.write_all(&datum).unwrap();
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    deflate.write_all(&datum).unwrap();
    for (codec, bytes) in [("xz", xz.finish().unwrap()), ("deflate", deflate.finish().unwrap())] {
        assert!(datum.len() / bytes.len() > 500, "{codec}: {}", bytes.len());
        let decoded = containers().apply(&batch(&[container(stamps, codec, &[(1, &bytes)])])).unwrap();
        assert_eq!(ids(&decoded), [5], "{codec}");
    }
}

#[test]
fn an_xz_block_that_wants_a_huge_window_is_refused() {
    let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
    options.dict_size(1 << 29);
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    let stream = liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc32).unwrap();
    let mut packed = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    packed.write_all(&datum(1, "x")).unwrap();
    let told = refused(&containers(), container(JSON, "xz", &[(1, &packed.finish().unwrap())]));
    assert!(told.contains("decompressed by xz") && told.contains("memory"), "{told}");
}

#[test]
fn a_message_in_another_framing_is_named() {
    let framed = |id: u32| [&[0][..], &id.to_be_bytes(), &datum(9, "framed")].concat();
    let contained = container(JSON, "null", &[(1, &datum(1, "x"))]);
    let by_id = confluent(900, JSON);
    assert_eq!(ids(&by_id.apply(&batch(&[framed(900)])).unwrap()), [9]);
    let hint = "message begins with 'Obj\\x01': an object container, but the framing is confluent; set decode.framing: container";
    assert_eq!(refused(&by_id, &contained), hint);
    assert!(refused(&by_id, framed(901)).starts_with("schema id 901 is not known"));
    assert!(refused(&by_id, b"\x00\x00\x00").contains("begins with 00 00 00, but a Confluent frame"));
    assert_eq!(
        refused(&by_id, &framed(900)[..7]),
        "schema does not fit: field t, byte 2 of the datum: a length of 6 bytes, which is not there"
    );
    let long_one = [framed(900), vec![0; 3]].concat();
    assert_eq!(refused(&by_id, long_one), "schema does not fit: 3 bytes left over");
    let told = refused(&containers(), framed(900));
    assert!(told.contains("number 900: a Confluent frame, but the framing is container"), "{told}");
    assert!(refused(&containers(), b"PAR1....").contains("begins with 50 41 52 31 2e"));
    assert!(refused(&bare(JSON), &contained).contains("an object container, but the framing is bare"));
    assert_eq!(
        refused(&bare(JSON), &datum(1, "x y")[..3]),
        "schema does not fit: field t, byte 2 of the datum: a length of 3 bytes, which is not there"
    );
}

#[test]
fn tombstones_and_empty_payloads_have_reasons_of_their_own() {
    let decode = containers();
    let mut with = batch(&[&container(JSON, "null", &[(1, &datum(1, "x"))])[..], b""]);
    with.messages.push(RawMessage { offset: 102, ..RawMessage::default() });
    let decoded = decode.apply(&with).unwrap();
    assert_eq!(ids(&decoded), [1]);
    let reasons: Vec<_> = decoded.letters.iter().map(|l| (l.offset, l.reason.as_str(), l.payload.is_some())).collect();
    let tombstone = (102, "the message has no payload (a tombstone)", false);
    assert_eq!(reasons, [(101, "the payload is empty", true), tombstone]);
    assert_eq!(decoded.alerts(), 3);
}

#[test]
fn one_corrupt_record_takes_its_message_with_it_and_nothing_else() {
    let decode = containers();
    let broken = [datum(2, "fine"), long(3), long(-1)].concat();
    let messages = [
        container(JSON, "null", &[(1, &datum(1, "the first one"))]),
        container(JSON, "null", &[(2, &broken)]),
        container(JSON, "null", &[(1, &datum(4, "the last one, longer"))]),
    ];
    let decoded = decode.apply(&batch(&messages)).unwrap();
    assert_eq!(ids(&decoded), [1, 4]);
    assert_eq!(texts(&decoded), ["the first one", "the last one, longer"]);
    assert_eq!(reason(&decoded), "record 1: field t, byte 2 of the datum: a length of -1 bytes, which is not there");
    assert_eq!(decoded.letters[0].payload.as_ref().unwrap().as_slice(), messages[1]);
}

#[test]
fn only_the_records_that_are_wanted_become_rows() {
    let decode = containers();
    let three = |first: i64| {
        container(JSON, "null", &[(2, &[datum(first, "x"), datum(first + 1, "y")].concat()), (1, &datum(first + 2, "z"))])
    };
    let mut messages = batch(&[three(10), three(20), three(30)]);
    messages.messages[0].records = Some([1].into());
    messages.messages[2].records = Some([0, 2].into());
    let decoded = decode.apply(&messages).unwrap();
    assert_eq!(ids(&decoded), [11, 20, 21, 22, 30, 32]);
    let places: Vec<_> = decoded.parts[0].rows.iter().map(|row| (row.offset, row.record)).collect();
    assert_eq!(places, [(100, 1), (101, 0), (101, 1), (101, 2), (102, 0), (102, 2)]);
    assert_eq!((decoded.letters.len(), decoded.alerts()), (0, 6));
}

#[test]
fn a_message_that_fails_is_a_letter_for_each_record_that_was_wanted() {
    let decode = containers();
    let one = container(JSON, "null", &[(1, &datum(1, "x"))]);
    let mut messages = batch(&[&one[..], b"garbage"]);
    messages.messages[0].records = Some([0, 7].into());
    messages.messages[1].records = Some([2, 3].into());
    let decoded = decode.apply(&messages).unwrap();
    let brief: Vec<_> = decoded.letters.iter().map(|l| (l.offset, l.record)).collect();
    assert_eq!((decoded.rows(), brief), (0, vec![(100, Some(0)), (100, Some(7)), (101, Some(2)), (101, Some(3))]));
    assert!(decoded.letters[0].reason.contains("not in it"), "{:?}", decoded.letters[0]);

    let framed = confluent(1, JSON);
    let mut messages = batch(&[[&[0, 0, 0, 0, 1][..], &datum(1, "x")].concat()]);
    messages.messages[0].records = Some([1].into());
    let decoded = framed.apply(&messages).unwrap();
    assert_eq!((decoded.rows(), decoded.letters[0].record), (0, Some(1)));
}
