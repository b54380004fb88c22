//! LSST's packets of the simulator, read by apache-avro: framed as Rubin does, every field of the schema there, of the size of real
//! ones, distinct, and a function of their number alone.

#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};

use apache_avro::types::Value;
use skysluice_simulator::{PacketInfo, PacketSchema, Simulator, SimulatorConfig};

type Record = HashMap<String, Value>;

/// The simulator of a schema, with a history or without.
fn simulator(schema: PacketSchema, history: bool) -> Simulator {
    let config = SimulatorConfig::of(schema);
    let none = SimulatorConfig { mean_history: 0.0, mean_forced: 0.0, ..config.clone() };
    Simulator::new(if history { config } else { none }).unwrap()
}

fn record(value: &Value) -> Record {
    match value {
        Value::Record(fields) => fields.iter().cloned().collect(),
        Value::Union(_, value) => record(value),
        other => panic!("not a record: {other:?}"),
    }
}

fn plain(value: &Value) -> &Value {
    match value {
        Value::Union(_, value) => value,
        other => other,
    }
}

fn double(record: &Record, field: &str) -> f64 {
    match plain(&record[field]) {
        Value::Double(value) => *value,
        other => panic!("{field}: {other:?}"),
    }
}

fn items(record: &Record, field: &str) -> Vec<Record> {
    match plain(&record[field]) {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().map(self::record).collect(),
        other => panic!("{field}: {other:?}"),
    }
}

/// Makes and reads packets.
fn read(simulator: &Simulator, id: u32, numbers: impl Iterator<Item = u64>) -> Vec<(PacketInfo, Vec<u8>, Record)> {
    let schema = apache_avro::Schema::parse_str(simulator.schema()).unwrap();
    let reader = apache_avro::reader::datum::GenericDatumReader::builder(&schema).build().unwrap();
    let one = |number| {
        let mut packet = Vec::new();
        let info = simulator.packet(number, &mut packet);
        assert_eq!((packet[0], &packet[1..5]), (0, id.to_be_bytes().as_slice()));
        let mut rest = &packet[5..];
        let alert = record(&reader.read_value(&mut rest).unwrap());
        assert!(rest.is_empty(), "{} bytes left", rest.len());
        (info, packet, alert)
    };
    numbers.map(one).collect()
}

#[test]
fn packets_say_what_their_schema_and_the_info_say() {
    for (schema, id) in [(PacketSchema::Lsst1100, 1100), (PacketSchema::Lsst900, 900)] {
        let simulator = simulator(schema, true);
        let (mut previous, mut forced, mut solar) = (0, 0, 0);
        let packets = read(&simulator, id, (0..200).map(|number| number * 997));
        for (info, _, alert) in &packets {
            assert_eq!(alert["diaSourceId"], Value::Long(info.id));
            let source = record(&alert["diaSource"]);
            assert_eq!(source["diaSourceId"], Value::Long(info.id));
            assert_eq!((double(&source, "ra"), double(&source, "dec")), (info.ra, info.dec));
            assert!((0.0..360.0).contains(&info.ra) && (-90.0..30.1).contains(&info.dec));
            let unix = (double(&source, "midpointMjdTai") - 40_587.0) * 86_400_000.0;
            assert!((-30_000.0..40_000.0).contains(&(info.timestamp_ms as f64 - unix)), "{info:?}");
            let moves = plain(&source["diaObjectId"]) == &Value::Null;
            let object = if moves { "ssObjectId" } else { "diaObjectId" };
            assert_eq!(plain(&source[object]), &Value::Long(info.object_id.parse().unwrap()));
            let orbit = if schema == PacketSchema::Lsst900 { "MPCORB" } else { "mpc_orbits" };
            for (field, there) in [("ssSource", moves), (orbit, moves), ("diaObject", !moves)] {
                assert_eq!(plain(&alert[field]) != &Value::Null, there, "{field}");
            }
            solar += usize::from(moves);
            let mut last = 0.0;
            let sources = items(alert, "prvDiaSources");
            for item in &sources {
                assert!(double(item, "midpointMjdTai") >= last && item["diaSourceId"] != source["diaSourceId"]);
                last = double(item, "midpointMjdTai");
                assert_eq!(item["diaObjectId"], source["diaObjectId"]);
                assert!((double(item, "dec") - info.dec).abs() < 0.2 / 3600.0);
            }
            assert!(last < double(&source, "midpointMjdTai"));
            assert_eq!((sources.len(), items(alert, "prvDiaForcedSources").len()), (info.previous, info.forced));
            (previous, forced) = (previous + info.previous, forced + info.forced);
        }
        assert!((15..25).contains(&(previous / packets.len())) && (40..60).contains(&(forced / packets.len())));
        assert!((2..25).contains(&solar), "{solar}");
    }
}

#[test]
fn packets_have_the_size_of_real_ones() {
    let mean = |history| {
        let packets = read(&simulator(PacketSchema::Lsst1100, history), 1100, 0..60);
        packets.iter().map(|(_, packet, _)| packet.len()).sum::<usize>() / packets.len()
    };
    // 139,056 and about 150,000.
    let (new, history) = (mean(false), mean(true));
    assert!((138_700..139_400).contains(&new), "{new}");
    assert!((147_000..153_000).contains(&history), "{history}");
}

#[test]
fn no_two_alerts_share_an_id_or_a_cutout() {
    let packets = read(&simulator(PacketSchema::Lsst1100, false), 1100, (0..150).chain((1..50).map(|round| round << 16)));
    let (mut ids, mut cutouts) = (HashSet::new(), HashSet::new());
    for (info, _, alert) in &packets {
        ids.insert(info.id);
        for (field, length) in [("cutoutDifference", 34_560), ("cutoutScience", 34_560), ("cutoutTemplate", 69_120)] {
            let Value::Bytes(bytes) = plain(&alert[field]) else { panic!("no bytes") };
            assert_eq!(bytes.len(), length);
            cutouts.insert(bytes.clone());
        }
    }
    assert_eq!((ids.len(), cutouts.len()), (packets.len(), 3 * packets.len()));
}

#[test]
fn a_packet_is_a_function_of_its_number_and_the_datum_is_the_packets() {
    let (a, b) = (simulator(PacketSchema::Lsst1100, true), simulator(PacketSchema::Lsst1100, true));
    for number in [9, 3, 70_000, 3] {
        let (mut packet, mut datum, mut other) = (vec![1], vec![2], Vec::new());
        let info = a.packet(number, &mut packet);
        assert_eq!((info, info), (a.packet_datum(number, &mut datum), b.packet(number, &mut other)));
        assert_eq!((&packet[6..], &packet[1..]), (&datum[1..], other.as_slice()));
        assert_eq!(info, a.look(number));
    }
}
