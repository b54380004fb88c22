//! Tables that astropy, pyarrow and hands have written are read equal, value by value; real catalogues as others read them;
//! positions in other frames and dresses lie where astropy says.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use serde_json::{Value, json};
use skysluice::catalog::table::{Descriptor, Dialect, Format, Frame, IdColumn, PositionColumns, Positions, Rejects, Table};
use skysluice::sky;
use support::python::Python;
use support::scratch::Scratch;

/// A cell as the oracle prints it: none for what is missing or NaN, whole numbers as texts, texts without blanks at their end.
fn value(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    let real = |v: f64| {
        if v.is_finite() {
            json!(v)
        } else if v.is_nan() {
            Value::Null
        } else {
            json!(v.to_string())
        }
    };
    macro_rules! whole {
        ($kind:ty) => {
            json!(array.as_primitive::<$kind>().value(row).to_string())
        };
    }
    match array.data_type() {
        DataType::Boolean => json!(array.as_boolean().value(row)),
        DataType::Int8 => whole!(Int8Type),
        DataType::Int16 => whole!(Int16Type),
        DataType::Int32 => whole!(Int32Type),
        DataType::Int64 => whole!(Int64Type),
        DataType::UInt8 => whole!(UInt8Type),
        DataType::UInt16 => whole!(UInt16Type),
        DataType::UInt32 => whole!(UInt32Type),
        DataType::UInt64 => whole!(UInt64Type),
        DataType::Float32 => real(f64::from(array.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => real(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => match array.as_string::<i32>().value(row).trim_end() {
            "" => Value::Null,
            text => json!(text),
        },
        other => panic!("a column of type {other}"),
    }
}

/// Whether a cell is what the oracle has. A text has no types: its numbers are of the highest precision, and single precision
/// is what they are rounded to.
fn same(format: Format, got: &Value, expected: &Value) -> bool {
    match (got, expected) {
        (Value::Number(got), Value::Number(expected)) => got.as_f64() == expected.as_f64(),
        // Numbers with a point come as texts: serde_json reads them right but for the last digit only. Python's csv knows texts alone.
        (Value::Number(got), Value::String(expected)) => {
            let (got, expected): (f64, f64) = (got.as_f64().unwrap(), expected.parse().unwrap());
            got == expected || format == Format::Csv && got as f32 == expected as f32
        }
        (Value::String(got), Value::String(expected)) if format == Format::Csv => {
            got == expected || got.parse::<i64>().is_ok_and(|n| expected.parse() == Ok(n))
        }
        _ => got == expected,
    }
}

fn names(table: &Table) -> Vec<String> {
    table.columns().iter().map(|column| column.name.clone()).collect()
}

/// Compares a table with what is expected, column by column, and gives the number of cells.
fn compare(path: &Path, dialect: &Dialect, expected: &Value, block: usize) -> usize {
    let table = Table::open(path, dialect).unwrap_or_else(|e| panic!("{e}"));
    let expected = expected.as_object().unwrap();
    let wanted: Vec<&str> = expected.keys().map(String::as_str).collect();
    let rows = expected[wanted[0]].as_array().unwrap().len();
    let (mut at, mut cells) = (0, 0);
    for block in table.batches(&wanted, block).unwrap_or_else(|e| panic!("{e}")) {
        let block = block.unwrap_or_else(|e| panic!("{e}"));
        assert!(block.faults.is_empty());
        for (name, array) in wanted.iter().zip(block.batch.columns()) {
            for row in 0..array.len() {
                let (got, expected) = (value(array, row), &expected[*name][at + row]);
                assert!(
                    same(table.format(), &got, expected),
                    "{}, {}, column {name}: {got} instead of {expected}",
                    path.display(),
                    block.place(row)
                );
                cells += 1;
            }
        }
        at += block.batch.num_rows();
    }
    assert_eq!(at, rows, "rows of {}", path.display());
    cells
}

#[test]
fn what_others_write_is_read_equal_and_positions_lie_where_astropy_says() {
    let Some(python) = Python::ready() else { return };
    let scratch = Scratch::new("tables");
    let out = scratch.path().join("tables");
    std::fs::create_dir(&out).unwrap();
    let mut arguments = vec![out.clone()];
    let data = support::data::folder();
    arguments.extend(data.clone());
    let said = python.run("write_tables.py", &arguments);
    let mut cells = 0;
    for file in said["files"].as_array().unwrap() {
        let path = out.join(file["file"].as_str().unwrap());
        let dialect: Dialect = serde_json::from_value(file["dialect"].clone()).unwrap();
        let expected = &said["tables"][file["table"].as_str().unwrap()];
        let table = Table::open(&path, &dialect).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(table.format().name().to_lowercase(), file["format"].as_str().unwrap(), "{}", path.display());
        if file["rows"] == json!(true) && table.format() != Format::Csv {
            let rows = expected.as_object().unwrap().values().next().unwrap().as_array().unwrap().len();
            assert_eq!(table.rows(), Some(rows as u64), "{}", path.display());
        }
        for block in [7, 10_000] {
            cells += compare(&path, &dialect, expected, block);
        }
    }
    assert!(cells > 100_000, "{cells} cells");
    heads(&out);
    frames(&out, &said["frames"]);
    println!("{} files, {cells} cells equal", said["files"].as_array().unwrap().len());
}

/// What files say beside their rows.
fn heads(out: &Path) {
    let open = |name: &str| Table::open(&out.join(name), &Dialect::default()).unwrap();
    for name in ["made.fits", "binary2.vot", "tabledata.vot", "made.ecsv", "astropy.parquet"] {
        let table = open(name);
        assert_eq!(table.columns()[table.column("RA").unwrap()].unit.as_deref(), Some("deg"), "{name}");
    }
    for name in ["tabledata.vot", "comma.ecsv", "astropy.parquet"] {
        let table = open(name);
        assert_eq!(table.columns()[2].description.as_deref(), Some("Right ascension, ICRS"), "{name}");
    }
    let fits = open("made.fits");
    let left: Vec<&str> = fits.left_out().iter().map(|out| out.name.as_str()).collect();
    assert_eq!(left, ["spectrum", "list", "complex"]);
    let error = fits.batches(&["spectrum"], 10).err().unwrap().to_string();
    assert!(error.contains("`spectrum` cannot be read: it holds 3 values in each row"), "{error}");
    let error = fits.batches(&["sourceid"], 10).err().unwrap().to_string();
    assert!(error.contains("there is no column `sourceid`; did you mean `source_id`?; there are name, source_id, ra"), "{error}");
    let masked = open("astropy.parquet");
    let left: Vec<&str> = masked.left_out().iter().map(|out| out.name.as_str()).collect();
    assert_eq!(left, ["mag", "count"]);
    assert!(masked.left_out()[0].reason.contains("`mag.mask`"), "{:?}", masked.left_out());
    assert_eq!(names(&open("dictionary.parquet")).last().map(String::as_str), Some("i8"));
    let hats = open("hats");
    assert_eq!(hats.meta().position, Some(("ra".to_owned(), "dec".to_owned())));
    let places: Vec<String> = hats.batches(&["ra"], 64).unwrap().map(|b| b.unwrap().place(3).to_string()).collect();
    assert_eq!(places[0], "row 4 of dataset/Norder=0/Dir=0/Npix=4.parquet");
    assert_eq!(places[3], "row 4 of dataset/Norder=2/Dir=0/Npix=9.parquet");
}

/// Positions of each frame, as numbers and as texts.
fn frames(out: &Path, frames: &Value) {
    let mut worst: f64 = 0.0;
    for (name, rows) in frames.as_object().unwrap() {
        let path = out.join("sky.csv");
        let rows = rows.as_array().unwrap();
        let lines = rows.iter().enumerate().map(|(i, r)| format!("s{i},{},{}\n", r[0].as_str().unwrap(), r[1].as_str().unwrap()));
        std::fs::write(&path, format!("id,lon,lat\n{}", lines.collect::<String>())).unwrap();
        let frame = match name.as_str() {
            "fk5" => Frame::Fk5,
            "galactic" => Frame::Galactic,
            _ => Frame::Icrs,
        };
        let columns = PositionColumns {
            ra: Some("lon".to_owned()),
            dec: Some("lat".to_owned()),
            frame: Some(frame),
            ..PositionColumns::default()
        };
        let table = Table::open(&path, &Dialect::default()).unwrap();
        let mut positions = Positions::new(&table, &columns, &[], Rejects::Strict, 100).unwrap();
        let mut at = 0;
        for part in positions.by_ref() {
            let part = part.unwrap();
            for row in 0..part.ra.len() {
                let expected = (rows[at][2].as_f64().unwrap(), rows[at][3].as_f64().unwrap());
                let off = sky::separation((part.ra[row], part.dec[row]), expected);
                assert!(off < 1e-3, "{name}, row {at}: {off} arcseconds off");
                // Texts have eight digits behind the seconds.
                worst = worst.max(off);
                at += 1;
            }
        }
        assert_eq!((at, positions.report().kept), (rows.len(), rows.len() as u64));
    }
    assert!(worst < 1e-6, "{worst} arcseconds");
}

#[test]
fn the_sample_catalogue_and_the_real_ones_are_read_with_their_descriptions() {
    let catalogs = support::root().join("catalogs");
    let table = Table::open(&catalogs.join("sample.csv"), &Dialect::default()).unwrap();
    let positions = Positions::new(&table, &PositionColumns::default(), &[], Rejects::Strict, 50).unwrap();
    let rows: usize = positions.map(|part| part.unwrap().ra.len()).sum();
    assert_eq!(rows, 122);

    // All descriptions are sound.
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&catalogs).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "yaml") {
            names.push(Descriptor::load(&path).unwrap_or_else(|e| panic!("{e}")).name);
        }
    }
    names.sort();
    assert_eq!(names, ["2mass-psc", "3hsp", "4lac-dr3", "gaia-dr3", "gcvs", "tns", "ztf-objects"]);

    let Some(data) = support::data::folder() else { return };
    for (name, file, expected) in
        [("3hsp", "3hsp.csv", 2_013), ("gcvs", "gcvs.parquet", 59_099), ("4lac", "table-4LAC-DR3-l.fits", 407)]
    {
        let descriptor = Descriptor::load(&catalogs.join(format!("{name}.yaml"))).unwrap();
        let (_, mut positions) = descriptor.positions(&data.join("catalogs").join(file)).unwrap();
        for part in positions.by_ref() {
            let part = part.unwrap();
            assert!(part.carried.num_columns() > 0 && part.carried.num_rows() == part.ra.len());
        }
        let report = positions.report();
        assert_eq!(report.rows, expected, "{name}: {:?}", report.warnings());
        assert_eq!(report.kept + report.rejected.count, expected);
        println!("{name}: {} of {} rows; {:?}", report.kept, report.rows, report.warnings());
    }
}

/// As the surveys publish them: the first lines of each, made up in their form.
#[test]
fn the_forms_of_large_surveys_are_read_with_their_descriptions() {
    let scratch = Scratch::new("tables");
    let gaia = "# %ECSV 1.0\n# ---\n# delimiter: ','\n# datatype:\n# -\n#   name: source_id\n#   datatype: int64\n#   description: Unique \
                source identifier\n# -\n#   name: ra\n#   datatype: float64\n#   unit: deg\n# -\n#   name: dec\n#   datatype: float64\n#   \
                unit: deg\n# -\n#   name: pmra\n#   datatype: float64\n#   unit: mas.yr**-1\n# -\n#   name: pmdec\n#   datatype: \
                float64\n#   unit: mas.yr**-1\n# -\n#   name: parallax\n#   datatype: float64\n# -\n#   name: parallax_error\n#   \
                datatype: float32\n# -\n#   name: phot_g_mean_mag\n#   datatype: float32\n# -\n#   name: bp_rp\n#   datatype: \
                float32\n# -\n#   name: ruwe\n#   datatype: float32\n# -\n#   name: phot_variable_flag\n#   datatype: string\n# meta: \
                !!omap\n# - {description: x}\nsource_id,ra,dec,pmra,pmdec,parallax,parallax_error,phot_g_mean_mag,bp_rp,ruwe,\
                phot_variable_flag\n4295806720,44.99615,0.005615,-1.5,2.25,0.35,0.1,17.6,1.2,1.0,\"NOT_AVAILABLE\"\n34361129088,45.0,\
                0.02,null,null,null,null,21.1,null,null,\"VARIABLE\"\n";
    let tns = "\"2026-11-20 00:00:00 - 2026-11-21 00:00:00\"\n\"objid\",\"name_prefix\",\"name\",\"ra\",\"declination\",\"redshift\",\
               \"typeid\",\"type\",\"reporting_group\",\"discoverydate\",\"discoverymag\",\"filter\",\"internal_names\",\"time_received\"\n\"1\",\
               \"SN\",\"2026abc\",\"187.705931\",\"12.391123\",\"\",\"3\",\"SN Ia\",\"ZTF\",\"2026-11-01 10:00:00\",\"18.5\",\"g\",\"ZTF26a, \
               ATLAS26b\",\"2026-11-02\"\n\"2\",\"AT\",\"2026abd\",\"00:01:16.37\",\"+29:35:34.0\",\"\",\"\",\"\",\"ALeRCE\",\"2026-11-01\",\"\",\
               \"r\",\"\",\"2026-11-02\"\n";
    let psc = "0.000045|-19.497307|0.11|0.06|90|00000001-1929501|14.285|0.033|0.038|29.4|13.772|0.041|0.045|21.4|13.661|0.052|0.055|17.8|AAA|\
               222|111|000|655555|13.6|92|1329023254|0|36|0|n|1998-08-01|55|s|25.02|-79.056|144.1|2451026.8\
               |1.04|1.10|0.93|14.28|0.02|13.75|0.03|13.65|0.06|sw|1|1|0|\\N|\\N|\\N|\\N|0|\\N|36|1|1|1\n";
    for (name, file, text, id, ra) in [
        ("gaia-dr3", "GaiaSource_000000-003111.csv.gz", gaia, "4295806720", 44.99615),
        ("tns", "tns_public_objects.csv", tns, "2026abc", 187.705_931),
        ("2mass-psc", "psc_aaa.gz", psc, "00000001-1929501", 0.000_045),
    ] {
        let path = scratch.path().join(file);
        if file.ends_with(".gz") {
            let mut packed = flate2::write::GzEncoder::new(std::fs::File::create(&path).unwrap(), flate2::Compression::fast());
            std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
            packed.finish().unwrap();
        } else {
            std::fs::write(&path, text).unwrap();
        }
        let descriptor = Descriptor::load(&support::root().join(format!("catalogs/{name}.yaml"))).unwrap();
        let (_, mut positions) = descriptor.positions(&path).unwrap_or_else(|e| panic!("{e}"));
        let part = positions.next().unwrap().unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((part.ids.value(0), part.ra[0]), (id, ra), "{name}");
        match name {
            "gaia-dr3" => {
                assert_eq!(positions.epoch(), Some(2016.0));
                let [pm_ra, pm_dec] = part.motion.as_ref().unwrap();
                assert_eq!((pm_ra[0], pm_dec[0]), (-1.5, 2.25));
                assert!(pm_ra[1].is_nan());
            }
            "tns" => assert!(sky::separation((part.ra[1], part.dec[1]), (0.318_208_333, 29.592_777_778)) < 1e-4),
            _ => {}
        }
        assert!(part.carried.num_columns() >= 3, "{name}: {:?}", part.carried.schema());
    }
}

#[test]
fn proper_motions_come_in_milliarcseconds_a_year() {
    let scratch = Scratch::new("tables");
    let path = scratch.path().join("pm.csv");
    std::fs::write(&path, "id,ra,dec,pa,pd\nx,10,60,1,-2\ny,11,0,,3\n").unwrap();
    let read = |unit: Option<&str>, angle: bool| {
        let columns = PositionColumns {
            id: IdColumn::Row,
            pm_ra: Some("pa".to_owned()),
            pm_dec: Some("pd".to_owned()),
            pm_unit: unit.map(str::to_owned),
            pm_ra_is_angle: angle,
            ..PositionColumns::default()
        };
        let table = Table::open(&path, &Dialect::default()).unwrap();
        Positions::new(&table, &columns, &[], Rejects::Strict, 10).map(|mut p| p.next().unwrap().unwrap())
    };
    for (unit, factor) in [("mas/yr", 1.0), ("mas.yr**-1", 1.0), ("mas yr-1", 1.0), ("arcsec/yr", 1e3), ("deg / yr", 3.6e6)] {
        let [ra, dec] = read(Some(unit), false).unwrap().motion.unwrap();
        assert_eq!((ra[0], dec[0], dec[1]), (factor, -2.0 * factor, 3.0 * factor), "{unit}");
        assert!(ra[1].is_nan());
    }
    let part = read(Some("mas/yr"), true).unwrap();
    assert!((part.motion.as_ref().unwrap()[0][0] - 0.5).abs() < 1e-12);
    assert_eq!(part.ids.value(1), "2");
    assert!(read(None, false).err().unwrap().to_string().contains("no unit for `pa`: give `pm_unit`"));
    assert!(read(Some("s/yr"), false).err().unwrap().to_string().contains("`s/yr` of `pa` is not understood"));
}
