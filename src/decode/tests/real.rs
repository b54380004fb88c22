//! Every real packet, field by field against apache-avro.

use std::sync::Arc;

use apache_avro::{Reader, Schema};
use arrow_array::Array;

use super::oracle::{Names, compare};
use super::{bare, batch, confluent, containers, data, packets, read};
use crate::alert::Transform;
use crate::avro::{AlertSchema, RecordWriter, resolve};

/// The schema as apache-avro takes it: it refuses defaults of the wrong type (TURBO) and a name that comes twice (WINTER).
fn for_the_oracle(json: &str) -> Schema {
    fn strip(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(all) => {
                all.shift_remove("default");
                if let Some(fields) = all.get_mut("fields").and_then(|f| f.as_array_mut()) {
                    let last = fields.iter().rposition(|f| f["name"] == "sgmag1");
                    for (i, field) in fields.iter_mut().enumerate() {
                        if field["name"] == "sgmag1" && Some(i) != last {
                            field["name"] = "sgmag1_1".into();
                        }
                    }
                }
                all.values_mut().for_each(strip);
            }
            serde_json::Value::Array(all) => all.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::from_str(json).unwrap();
    strip(&mut value);
    Schema::parse(&value).unwrap()
}

#[test]
fn every_real_packet_decodes_to_what_apache_avro_reads() {
    let Some(_) = data() else { return };
    let decode = containers();
    let mut refused_by_the_oracle = Vec::new();
    let mut fingerprints = 0;
    for survey in ["ztf", "ztf-snappy", "lsst", "elasticc", "atlas", "winter", "pgir", "turbo"] {
        let files = packets(survey);
        let decoded = decode.apply(&batch(&files.iter().map(|(_, bytes)| bytes).collect::<Vec<_>>())).unwrap();
        let reasons: Vec<_> = decoded.letters.iter().map(|l| &l.reason).collect();
        assert!(reasons.is_empty(), "{survey}: {reasons:?}");
        let (mut leaves, mut rows) = (0, 0);
        for part in &decoded.parts {
            let again = RecordWriter::new(&part.schema).unwrap();
            let again = again.bind(&part.records).unwrap();
            let schema = for_the_oracle(&part.schema.json);
            let names = Names::of(&schema);
            // With logical types apache-avro's canonical form is not that of the specification (see `avro::canonical`).
            if !part.schema.json.contains("logicalType") {
                let fingerprint = schema.fingerprint::<apache_avro::rabin::Rabin>().bytes;
                assert_eq!(part.schema.fingerprint.to_le_bytes()[..], fingerprint, "{survey}");
                fingerprints += 1;
            }
            for row in 0..part.len() {
                let origin = &part.rows[row];
                let (name, file) = &files[(origin.offset - 100) as usize];
                let datum = part.bytes(origin.datum);
                let value = match Reader::new(&file[..]) {
                    Ok(mut reader) => reader.nth(origin.record as usize).unwrap().unwrap(),
                    Err(_) => {
                        refused_by_the_oracle.push(format!("{survey}/{name}"));
                        read(&schema, datum).unwrap()
                    }
                };
                assert_eq!(part.bytes(origin.message), file);
                let mut written = Vec::new();
                again.encode(row, &mut written).unwrap();
                assert!(written == datum, "{survey}/{name} is not written as its producer wrote it");
                leaves += compare(&schema, &names, &value, &part.records, row);
                rows += 1;
            }
        }
        eprintln!("{survey}: {rows} alerts in {} parts, {leaves} values compared", decoded.parts.len());
        assert!(rows >= files.len() && leaves > 20 * rows, "{survey}: {rows} rows, {leaves} values");
    }
    assert!(fingerprints >= 8, "{fingerprints} fingerprints compared");
    assert_eq!(refused_by_the_oracle, ["winter/3608694.avro", "winter/3608701.avro", "turbo/1.avro"]);
}

#[test]
fn headers_that_differ_give_one_schema_where_the_schema_is_one() {
    let files = packets("ztf");
    if files.is_empty() {
        return;
    }
    let decode = containers();
    let decoded = decode.apply(&batch(&files.iter().map(|(_, bytes)| bytes).collect::<Vec<_>>())).unwrap();
    let again = decode.apply(&batch(&[&files[0].1])).unwrap();
    assert!(Arc::ptr_eq(&decoded.parts[0].schema, &again.parts[0].schema));
    for pair in decoded.parts.windows(2) {
        assert!(!Arc::ptr_eq(&pair[0].schema, &pair[1].schema), "a part was cut where the schema did not change");
    }
}

#[test]
fn lsst_schema_files_resolve_to_what_the_packets_carry_and_decode_registry_frames() {
    let Some(data) = data() else { return };
    for version in ["7.0", "7.1", "7.2", "7.3", "7.4", "8.0", "9.0", "10.0", "11.0"] {
        let files: Vec<_> = std::fs::read_dir(data.join("lsst-schemas").join(version))
            .unwrap()
            .map(|f| f.unwrap().path())
            .map(|f| (f.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&f).unwrap()))
            .collect();
        let root = format!("lsst.v{}.alert", version.replace('.', "_"));
        let json = resolve(&files, &root).unwrap();
        assert_eq!(json, resolve(&files, &format!("{root}.avsc")).unwrap());
        let schema = AlertSchema::parse(&json).unwrap();
        assert_eq!(schema.name, root);
        let file = std::fs::read(data.join(format!("lsst/fakeAlert-v{version}.avro"))).unwrap();
        let decoded = containers().apply(&batch(&[&file])).unwrap();
        let part = &decoded.parts[0];
        assert_eq!(part.schema.arrow, schema.arrow, "{version}");
        assert_eq!(part.schema.fingerprint, schema.fingerprint, "{version}");
        let datum = part.bytes(part.rows[0].datum);
        let framed = [&[0, 0, 0, 3, 0x84][..], datum].concat();
        let by_id = confluent(900, &json).apply(&batch(&[framed])).unwrap();
        assert_eq!(by_id.parts[0].records, part.records, "{version}");
        assert_eq!(bare(&json).apply(&batch(&[datum])).unwrap().parts[0].records, part.records, "{version}");
        assert!(part.records.num_rows() == 1 && part.records.column(0).is_valid(0));
    }
}
