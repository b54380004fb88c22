//! Schemas by id, and what happens to a datum that is decoded with a schema that is not its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};

use super::{batch, container, packets, path, reason, refused, survey};
use crate::alert::{Decoded, Flags, SchemasById, Transform};
use crate::avro::Blocks;
use crate::config::{self, Framing, Survey};
use crate::decode::Decode;

/// Ids below 10 have a schema, those below 20 a useless one; notes what it is asked.
#[derive(Debug, Default)]
struct Elsewhere(Mutex<Vec<u32>>);

const JSON: &str = r#"{"type": "record", "name": "a", "fields": [{"name": "candid", "type": "long"}]}"#;

impl SchemasById for Elsewhere {
    fn schema(&self, id: u32) -> Result<Arc<str>, String> {
        self.0.lock().unwrap().push(id);
        match id {
            0..10 => Ok(JSON.into()),
            10..20 => Ok("{}".into()),
            _ => Err(format!("schema id {id} is not known there")),
        }
    }
}

fn framed(id: u32, datum: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), datum].concat()
}

#[test]
fn an_id_is_looked_up_once_and_what_is_no_schema_has_its_reason() {
    let elsewhere = Arc::new(Elsewhere::default());
    let known = Framing::Confluent(BTreeMap::from([(900, JSON.into())]));
    let decode =
        Decode::new(&known, Arc::new(survey()), crate::avro::Wanted::everything()).unwrap().with_schemas(elsewhere.clone());
    let ids = [900, 1, 1, 900, 2, 1];
    let decoded = decode.apply(&batch(&ids.map(|id| framed(id, &[id as u8 & 0x7e])))).unwrap();
    assert!(decoded.letters.is_empty(), "{:?}", decoded.letters);
    assert_eq!(decoded.rows(), 6);
    // One schema, whatever its id.
    assert_eq!(decoded.parts.len(), 1);
    for _ in 0..2 {
        assert_eq!(refused(&decode, framed(20, b"x")), "schema id 20 is not known there");
        assert!(
            refused(&decode, framed(10, b"x")).starts_with("the schema with id 10 cannot be used: the schema is not an Avro")
        );
    }
    assert_eq!(*elsewhere.0.lock().unwrap(), [1, 2, 20, 10, 20], "what is not known may become known");
}

/// The datums of all LSST samples, by the id of their schema.
fn samples() -> Vec<(u32, Vec<u8>)> {
    let sample = |(name, bytes): (String, Vec<u8>)| {
        let version = name.trim_start_matches("fakeAlert-v").trim_end_matches(".avro");
        let (major, minor) = version.split_once('.').unwrap();
        let header = super::containers().store.learn(&bytes).unwrap().bytes.len();
        let block = Blocks::new(&bytes, header).unwrap().next().unwrap().unwrap();
        (major.parse::<u32>().unwrap() * 100 + minor.parse::<u32>().unwrap(), bytes[block.bytes].to_vec())
    };
    packets("lsst").into_iter().map(sample).collect()
}

fn place(decoded: &Decoded) -> (i64, f64, f64) {
    let candidate = &decoded.parts[0].candidate;
    let number = |column: &Arc<dyn Array>| column.as_primitive::<Float64Type>().value(0);
    (candidate.alert_id.as_primitive::<Int64Type>().value(0), number(&candidate.ra), number(&candidate.dec))
}

#[test]
fn lsst_packets_decode_with_their_own_schema_and_are_refused_by_the_others() {
    let survey = config::builtin("lsst").unwrap();
    let decode =
        Decode::new(&Framing::Confluent(survey.schema_ids.clone()), survey.clone(), crate::avro::Wanted::everything()).unwrap();
    // Versions whose data look alike as long as what differs is absent: a check on a field that was added as null, and a new
    // name for one. The alert is the same by both.
    let alike = [(700, 701), (900, 1000)];
    let mut fits = Vec::new();
    for (written, datum) in samples() {
        let own = decode.apply(&batch(&[framed(written, &datum)])).unwrap();
        assert!(own.letters.is_empty(), "{written}: {:?}", own.letters);
        assert_eq!(own.rows(), 1);
        // The samples of 7.x have a time of 1480360995 days: flagged, and not taken for a wrong schema.
        assert_eq!(own.parts[0].flags[0], if written < 800 { Flags::BAD_TIME } else { Flags::default() }, "{written}");
        for other in survey.schema_ids.keys().copied().filter(|other| *other != written) {
            let confluent = decode.apply(&batch(&[framed(other, &datum)])).unwrap();
            let bare =
                Decode::new(&Framing::Bare(survey.schema_ids[&other].clone()), survey.clone(), crate::avro::Wanted::everything())
                    .unwrap();
            let bare = bare.apply(&batch(&[&datum])).unwrap();
            assert_eq!(confluent.rows(), bare.rows());
            if confluent.rows() == 1 {
                println!("{written} decodes as {other}");
                fits.push((written.min(other), written.max(other)));
                assert_eq!((place(&confluent), place(&bare)), (place(&own), place(&own)), "{written} as {other}");
                continue;
            }
            for decoded in [confluent, bare] {
                let why = reason(&decoded);
                println!("{written} as {other}: {why}");
                assert!(why.starts_with("schema does not fit: "), "{written} as {other}: {why}");
            }
        }
    }
    fits.dedup();
    fits.sort_unstable();
    fits.dedup();
    assert!(fits.is_empty() || fits == alike, "{fits:?}");
}

const PLACES: &str = r#"{"type": "record", "name": "a", "fields": [
    {"name": "ra", "type": "double"}, {"name": "dec", "type": "double"}, {"name": "jd", "type": "double"}]}"#;

fn places() -> Survey {
    Survey { ra: vec![path("ra")], dec: vec![path("dec")], time: vec![path("jd")], ..survey() }
}

fn at(ra: f64, dec: f64, jd: f64) -> Vec<u8> {
    [ra, dec, jd].iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[test]
fn a_place_off_the_sphere_with_an_absurd_time_is_a_schema_that_does_not_fit() {
    let jd = 2_461_353.7;
    let rows = [
        at(10.0, 10.0, jd),
        at(1e200, -3.0, -1e-5),
        at(11.0, 10.0, 1e9),
        at(1e200, -3.0, jd),
        at(400.0, 10.0, f64::INFINITY),
        at(f64::NAN, 10.0, 0.0),
        at(-999.0, -999.0, 0.0),
        at(500.0, 10.0, f64::NAN),
        at(12.0, 10.0, jd),
    ];
    let bare = Decode::new(&Framing::Bare(PLACES.into()), Arc::new(places()), crate::avro::Wanted::everything()).unwrap();
    let decoded = bare.apply(&batch(&rows)).unwrap();
    let dead: Vec<_> = decoded.letters.iter().map(|l| (l.offset - 100, l.reason.as_str())).collect();
    assert_eq!(dead.iter().map(|d| d.0).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(
        dead[0].1,
        format!(
            "schema does not fit: it gives a position that is not on the sphere (ra {}, dec -3) and a time at which no alert was observed (-0.00001)",
            1e200
        )
    );
    let part = &decoded.parts[0];
    assert_eq!(part.rows.iter().map(|r| r.offset - 100).collect::<Vec<_>>(), [0, 2, 3, 5, 6, 7, 8]);
    let ra = part.records.column(0).as_primitive::<Float64Type>();
    assert_eq!((ra.value(0), ra.value(6), part.len()), (10.0, 12.0, 7));
    let place = part.candidate.ra.as_primitive::<Float64Type>();
    assert_eq!((place.value(1), place.is_null(2), place.len()), (11.0, true, 7));
    let flags: Vec<_> = part.flags.iter().map(|f| f.contains(Flags::BAD_TIME)).collect();
    assert_eq!(flags, [false, true, false, true, true, true, false]);
    assert!(part.rows.iter().all(|row| part.bytes(row.datum).len() == 24));

    // Nothing stays of a batch of them; the frame makes no difference; a container has its own schema and is believed.
    assert_eq!(bare.apply(&batch(&[&rows[1]])).unwrap().parts.len(), 0);
    let known = Framing::Confluent(BTreeMap::from([(1, PLACES.into())]));
    let confluent = Decode::new(&known, Arc::new(places()), crate::avro::Wanted::everything()).unwrap();
    assert!(refused(&confluent, framed(1, &rows[1])).starts_with("schema does not fit: it gives a position"));
    let contained = Decode::new(&Framing::Container, Arc::new(places()), crate::avro::Wanted::everything()).unwrap();
    assert_eq!(contained.apply(&batch(&[container(PLACES, "null", &[(1, &rows[1])])])).unwrap().rows(), 1);
}
