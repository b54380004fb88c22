//! Inputs to begin with, good ones and some that are known to be bad, in a form that each target takes.

use skysluice::letters::{StoredHeader, StoredLetter, encode};

use crate::container::{CODECS, compress};
use crate::known::{self, ID, KNOWN};
use crate::letters::NAMES;

/// Names that long inputs are made of, for schemas.
const BROKEN: [&str; 6] = [
    r#"{"type":"record","name":"r","fields":[{"name":"next","type":["null",{"type":"array","items":"r"}]}]}"#,
    r#"{"type":"record","name":"r","fields":[{"name":"a","type":"int"},{"name":"a","type":"long","default":null}]}"#,
    r#"{"type":"record","name":"x.r","namespace":"y","fields":[{"name":"f","type":{"type":"fixed","name":"s","size":4}},{"name":"g","type":["null","x.s"]}]}"#,
    r#"{"type":"record","name":"r","fields":[{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":18446744073709551615,"scale":2}}]}"#,
    r#"{"type":"record","name":"r","fields":[{"name":"e","type":{"type":"enum","name":"e","symbols":["A","B"],"default":"C"}}]}"#,
    r#"["null",{"type":"map","values":"string"}]"#,
];

/// The seeds of a target; none for a name that is no target.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "container" => containers(),
        "datum" => each_sample(|number, sample| [&[number], sample].concat()),
        "frame" => frames(),
        "letters" => letters(),
        "schema" => schemas(),
        _ => Vec::new(),
    }
}

fn each_sample(make: impl Fn(u8, &[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    let all = KNOWN.iter().enumerate();
    all.flat_map(|(number, known)| known.samples.iter().map(move |sample| (number as u8, sample)))
        .map(|(number, sample)| make(number, sample))
        .collect()
}

fn containers() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, known) in KNOWN.iter().enumerate() {
        let both = [&known.samples[0][..], &known.samples[1]].concat();
        for (i, codec) in CODECS.iter().enumerate() {
            seeds.push([&[(i as u8) << 1 | 1, number as u8, 0, 2], &both[..]].concat());
            if number < 5 {
                let blocks = [(2, &compress(codec, &both)[..]), (1, &compress(codec, &known.samples[2]))];
                seeds.push([&[0], &known::container(&known.json, codec, &blocks)[..]].concat());
            }
        }
    }
    // A small schema: most changes of the container hit something else.
    let tiny = r#"{"type":"record","name":"r","fields":[{"name":"f","type":["null","string"]}]}"#;
    for codec in CODECS {
        let block = compress(codec, b"\x02\x06abc\x00");
        seeds.push([&[0], &known::container(tiny, codec, &[(2, &block), (0, &compress(codec, b""))])[..]].concat());
    }
    seeds
}

fn frames() -> Vec<Vec<u8>> {
    let framed = |id: u32, sample: &[u8]| [&[0][..], &id.to_be_bytes(), sample].concat();
    let mut seeds = each_sample(|number, sample| [&[number], &framed(ID, sample)[..]].concat());
    seeds.extend(each_sample(|number, sample| [&[number], sample].concat()));
    for id in 0..8 {
        seeds.push([&[0], &framed(id, &KNOWN[(id % 2) as usize].samples[0])[..]].concat());
    }
    let known = &KNOWN[0];
    seeds.push([&[0], &known::container(&known.json, "null", &[(1, &known.samples[0])])[..]].concat());
    // Avro's single-object encoding, which no survey sends: two bytes, the fingerprint, the datum.
    seeds.push([&[0, 0xc3, 0x01, 1, 2, 3, 4, 5, 6, 7, 8], &known.samples[0][..]].concat());
    seeds.extend([vec![0], vec![0, 0], b"\x00Obj".to_vec(), b"\x00Obj\x01".to_vec()]);
    seeds
}

fn letters() -> Vec<Vec<u8>> {
    let letter = |offset: i64| StoredLetter {
        topic: "ztf".to_owned(),
        partition: 3,
        offset,
        record: (offset % 2 == 1).then_some(4),
        timestamp: (offset % 3 == 1).then_some(1_794_193_200_000),
        key: Some(vec![1, 2]),
        headers: vec![StoredHeader { name: "schema".to_owned(), value: Some(vec![9]) }],
        stage: "decode".to_owned(),
        reason: "record 1: field t, byte 2 of the datum: a length of -1 bytes, 0x4f be 01".to_owned(),
        payload: (offset % 2 == 1).then(|| b"Obj\x01".to_vec()),
    };
    let mut seeds: Vec<Vec<u8>> = [vec![], vec![letter(1)], vec![letter(2), letter(3), letter(4)]]
        .iter()
        .map(|letters| [&[0], &encode(letters).expect("these can be written")[..]].concat())
        .collect();
    // A foreign schema that holds itself.
    let deep = r#"{"type":"record","name":"letter","fields":[{"name":"topic","type":["null","letter"]}]}"#;
    seeds.push([&[0], &known::container(deep, "null", &[(1, &[2; 1000])])[..]].concat());
    let values = ["decode", "a reason of 3 words", "ztf", "3", "17", "2", "1794193200000", "99", "x", ""];
    let mut headers = vec![3];
    for name in [9, 0, 1, 2, 3, 4, 5, 6, 7_usize] {
        headers.extend([name as u8, values[name].len() as u8]);
        headers.extend_from_slice(values[name].as_bytes());
    }
    assert_eq!(crate::letters::headers(&headers[1..]).len(), NAMES.len() - 1);
    seeds.push(headers);
    seeds
}

fn schemas() -> Vec<Vec<u8>> {
    let whole = KNOWN.iter().map(|known| [known.json.as_bytes(), &[0], &known.samples[0]].concat());
    whole.chain(BROKEN.iter().map(|json| [json.as_bytes(), &[0, 2, 4]].concat())).collect()
}
