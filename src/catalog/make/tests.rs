//! Tables of every kind of oddity become indexes that hold what they should.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;

use super::{Made, MakeError, MakeOptions, Progress, index};
use crate::catalog::Hits;
use crate::catalog::table::{Carried, Descriptor, IdColumn, Rejects};
use crate::catalog::zones::{Cones, Id, Keep, Radius, ZoneIndex};

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn make(&self, inputs: &[PathBuf], about: &Descriptor, options: &MakeOptions) -> Result<(Made, ZoneIndex), MakeError> {
        let target = self.0.path().join("out.skyz");
        let made = index(inputs, about, &target, &MakeOptions { replace: true, ..options.clone() }, &mut |_| ())?;
        Ok((made, ZoneIndex::open(&target).unwrap()))
    }

    /// Files beside the index, hidden ones too.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn carry(names: &[&str]) -> Vec<Carried> {
    names.iter().map(|n| Carried { column: (*n).to_owned(), rename: None, unit: None }).collect()
}

fn found(index: &ZoneIndex, ra: f64, dec: f64) -> Vec<String> {
    let mut hits = Hits::default();
    index.search(&[(ra, dec)], 1.0, &mut hits);
    hits.of(0).iter().map(|hit| index.id(hit.row).to_string()).collect()
}

#[test]
fn a_table_becomes_an_index_with_all_that_its_description_says() {
    let place = Place::new();
    let path = place.write("my stars.csv", "source_id,RA,Dec,g,kind\n7,10,20,12.5,RR\n8,350.5,-89,,\n-9,0,90,1e3,x\n");
    let mut about = Descriptor::plain(&path);
    assert_eq!(about.name, "my-stars");
    about.version = Some("v2".to_owned());
    about.licence = Some("free".to_owned());
    about.carry = vec![
        Carried { column: "g".to_owned(), rename: Some("g_mag".to_owned()), unit: Some("mag".to_owned()) },
        Carried { column: "kind".to_owned(), rename: None, unit: None },
    ];
    let mut told = Vec::new();
    let target = place.0.path().join("stars.skyz");
    let made = index(std::slice::from_ref(&path), &about, &target, &MakeOptions::default(), &mut |p| told.push(p)).unwrap();
    assert_eq!((made.read, made.sources, made.warnings.len()), (3, 3, 0));
    assert!(told.contains(&Progress::Reading { rows: 3, of: None }) && told.contains(&Progress::Placing { done: 3, total: 3 }));
    let catalogue = ZoneIndex::open(&target).unwrap();
    catalogue.verify().unwrap();
    let meta = catalogue.meta();
    assert_eq!((meta.name.as_str(), meta.version.as_str(), meta.id.as_str()), ("my-stars", "v2", "int64"));
    assert_eq!(meta.build["licence"], "free");
    assert_eq!((meta.columns[0].name.as_str(), meta.columns[0].unit.as_str()), ("g_mag", "mag"));
    assert_eq!((meta.sources[0].name.as_str(), meta.sources[0].bytes), ("my stars.csv", fs::metadata(&path).unwrap().len()));
    let sum = xxhash_rust::xxh3::xxh3_64(&fs::read(&path).unwrap());
    assert_eq!(meta.sources[0].checksum, format!("xxh3:{sum:016x}"));
    assert_eq!(found(&catalogue, 350.5, -89.0), ["8"]);
    assert_eq!(found(&catalogue, 123.0, 90.0), ["-9"]);
    let row = (0..3).find(|row| catalogue.id(*row) == Id::Number(7)).unwrap();
    let carried = catalogue.carried(&[row]);
    assert_eq!(carried.column(0).as_primitive::<Float64Type>().value(0), 12.5);
    assert_eq!(carried.column(1).as_string::<i32>().value(0), "RR");
    let error = index(&[path], &about, &target, &MakeOptions::default(), &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("exists already") && error.contains("--force"), "{error}");
}

#[test]
fn bad_rows_are_refused_by_their_line_or_counted() {
    let place = Place::new();
    let path = place.write("x.csv", "id,ra,dec\na,10,20\nb,,20\nc,10,95\nd,nan,1\na,11,21\n,12,22\n");
    let mut about = Descriptor::plain(&path);
    let error = place.make(std::slice::from_ref(&path), &about, &MakeOptions::default()).err().unwrap().to_string();
    assert!(error.contains("x.csv, line 3: it has no right ascension"), "{error}");
    assert_eq!(place.names(), ["x.csv"], "a failed build leaves nothing");
    about.rejects = Rejects::Count;
    let (made, catalogue) = place.make(&[path], &about, &MakeOptions::default()).unwrap();
    assert_eq!((made.read, made.sources, catalogue.len()), (6, 3, 3));
    let rejects = &catalogue.meta().rejects;
    assert_eq!((rejects.total(), rejects.refused), (3, 3));
    assert_eq!(rejects.places[1], "line 4 (declination 95 is not between -90 and 90 degrees)");
    let told = made.warnings.join("\n");
    for part in ["3 rows left out: line 3", "1 sources without an id: line 7", "1 ids used again: `a` in line 2 and line 6"] {
        assert!(told.contains(part), "{told}");
    }
    // What has no id is there all the same.
    assert_eq!(found(&catalogue, 12.0, 22.0), [""]);
}

#[test]
fn several_files_are_one_catalogue_in_their_order() {
    let place = Place::new();
    let row = |i: usize| format!("{i},{},{},{}\n", i as f64 * 0.3, i as f64 * 0.1, if i < 200 { 1.0 } else { 1.5 });
    for file in 0..4 {
        let rows: String = (file * 100..file * 100 + 100).map(row).collect();
        place.write(&format!("parts/p{file}.csv"), &format!("id,ra,dec,m\n{rows}"));
    }
    place.write("parts/README.md", "no table");
    let folder = place.0.path().join("parts");
    let mut about = Descriptor::plain(&folder);
    about.carry = carry(&["m"]);
    let mut bytes: Vec<Vec<u8>> = Vec::new();
    let files: Vec<PathBuf> = (0..4).map(|i| folder.join(format!("p{i}.csv"))).collect();
    for inputs in [vec![folder.clone()], vec![folder.join("p*.csv")], files] {
        let (made, catalogue) = place.make(&inputs, &about, &MakeOptions::default()).unwrap();
        assert_eq!((made.sources, catalogue.meta().sources.len()), (400, 4));
        assert_eq!(found(&catalogue, 399.0 * 0.3, 39.9), ["399"]);
        bytes.push(fs::read(place.0.path().join("out.skyz")).unwrap());
    }
    assert!(bytes.windows(2).all(|two| two[0] == two[1]), "the same input gives the same bytes");
    // Row numbers go on from file to file.
    about.columns.id = IdColumn::Row;
    let (_, catalogue) = place.make(std::slice::from_ref(&folder), &about, &MakeOptions::default()).unwrap();
    assert_eq!(found(&catalogue, 399.0 * 0.3, 39.9), ["400"]);
    let twice = [folder.join("p1.csv"), folder.join("p*.csv")];
    let error = place.make(&twice, &about, &MakeOptions::default()).err().unwrap().to_string();
    assert!(error.contains("p1.csv: it is given twice"), "{error}");
    place.write("parts/p4.csv", "id,ra,dec,m\n1,2,3,bright\n");
    let error = place.make(std::slice::from_ref(&folder), &about, &MakeOptions::default()).err().unwrap().to_string();
    assert!(error.contains("`m` is Float64 in one and Utf8 in the other") && error.contains("p4.csv"), "{error}");
    for nothing in ["none.csv", "none*.csv"] {
        assert!(matches!(place.make(&[folder.join(nothing)], &about, &MakeOptions::default()), Err(MakeError::Input { .. })));
    }
}

#[test]
fn ids_that_are_no_numbers_after_all_are_kept_as_texts() {
    let place = Place::new();
    // The types of a text are found from its first 10,000 rows; a number that is missing shows later.
    let rows: String = (0..30_000).map(|i| format!("{i},{},{}\n", f64::from(i) * 0.01, f64::from(i % 900) * 0.1)).collect();
    let path = place.write("x.csv", &format!("id,ra,dec\n{rows},1,-1\n"));
    let (made, catalogue) = place.make(std::slice::from_ref(&path), &Descriptor::plain(&path), &MakeOptions::default()).unwrap();
    assert_eq!((catalogue.meta().id.as_str(), made.sources), ("utf8", 30_001));
    assert!(made.warnings.iter().any(|w| w.starts_with("ids are kept as texts")), "{:?}", made.warnings);
    assert_eq!(found(&catalogue, 1.0, -1.0), [""]);
    assert_eq!(found(&catalogue, 0.05, 0.5), ["5"]);
}

#[test]
fn row_numbers_are_those_of_the_input_where_rows_are_left_out() {
    let place = Place::new();
    let one = place.write("a.csv", "ra,dec,m\n1,1,1\nx,1,1\n3,3,1\n");
    let two = place.write("b.csv", "ra,dec,m\n,1,1\n5,5,1\n");
    let mut about = Descriptor::plain(&one);
    about.rejects = Rejects::Count;
    about.carry = carry(&["m"]);
    about.dialect.types = [("ra".to_owned(), crate::catalog::table::Kind::Float)].into();
    let options = MakeOptions { keep: Keep::RowNumbers, ..MakeOptions::default() };
    let (made, catalogue) = place.make(&[one, two], &about, &options).unwrap();
    assert_eq!((made.sources, catalogue.meta().rejects.refused), (3, 2));
    assert_eq!([(1.0, 1.0), (3.0, 3.0), (5.0, 5.0)].map(|(ra, dec)| found(&catalogue, ra, dec)), [["0"], ["2"], ["4"]]);
    assert!(catalogue.meta().columns.is_empty() && made.warnings[0].starts_with("no columns are carried"));
    assert!(catalogue.meta().rejects.places[0].starts_with("a.csv: line 3 "), "{:?}", catalogue.meta().rejects.places);
}

#[test]
fn radii_and_motions_come_in_their_units() {
    let place = Place::new();
    let path = place.write("list.csv", "id,ra,dec,radius,pmra,pmdec\na,10,0,2,0,0\nb,20,0,0.5,0,3.6\n");
    let mut about = Descriptor::plain(&path);
    about.columns.radius = Some("radius".to_owned());
    about.columns.radius_unit = Some("arcmin".to_owned());
    about.columns.pm_ra = Some("pmra".to_owned());
    about.columns.pm_dec = Some("pmdec".to_owned());
    about.columns.pm_unit = Some("arcsec/yr".to_owned());
    about.columns.epoch = Some(2016.0);
    let (_, catalogue) = place.make(std::slice::from_ref(&path), &about, &MakeOptions::default()).unwrap();
    assert_eq!((catalogue.movers(), catalogue.epoch(), catalogue.meta().epochs), (1, 2016.0, Some(MakeOptions::EPOCHS)));
    let mut hits = Hits::default();
    let off = |arcsec: f64| arcsec / 3_600.0;
    let positions = [(10.0, off(119.9)), (10.0, off(120.1)), (20.0, off(29.9)), (20.0, off(65.9)), (20.0, off(66.1))];
    for (epoch, expected) in [(None, [1, 0, 1, 0, 0]), (Some(2026.0), [1, 0, 1, 1, 0])] {
        catalogue.find(&Cones { positions: &positions, radius: Radius::Own(1.0), epoch }, &mut hits);
        assert_eq!(expected.map(|n| n as usize).to_vec(), (0..5).map(|q| hits.of(q).len()).collect::<Vec<_>>(), "{epoch:?}");
    }
    about.columns.radius_unit = Some("parsec".to_owned());
    let error = place.make(std::slice::from_ref(&path), &about, &MakeOptions::default()).err().unwrap().to_string();
    assert!(error.contains("the unit `parsec` of the radius `radius` is not understood"), "{error}");
    about.columns.radius_unit = None;
    for (radius, reason) in [
        ("0", "the radius 0 is not between"),
        ("-1", "the radius -1 is"),
        ("", "it has no radius"),
        ("700000", "the radius 700000"),
    ] {
        fs::write(&path, format!("id,ra,dec,radius,pmra,pmdec\na,10,0,2,0,0\nb,20,0,{radius},0,0\n")).unwrap();
        let error = place.make(std::slice::from_ref(&path), &about, &MakeOptions::default()).err().unwrap().to_string();
        assert!(error.contains("list.csv, line 3: ") && error.contains(reason), "{error}");
    }
}

#[test]
fn a_folder_of_parquet_files_is_one_table_with_one_checksum() {
    let place = Place::new();
    let write = |name: &str, first: i64| {
        use std::sync::Arc;
        let path = place.0.path().join("hats").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let ids: arrow_array::ArrayRef =
            Arc::new(arrow_array::UInt64Array::from_iter_values((0..50).map(|i| (first + i) as u64)));
        let ra: arrow_array::ArrayRef =
            Arc::new(arrow_array::Float64Array::from_iter_values((0..50).map(|i| (first + i) as f64)));
        let rows = arrow_array::RecordBatch::try_from_iter([("id", ids), ("ra", ra.clone()), ("dec", ra)]).unwrap();
        let mut writer = crate::catalog::table::TableWriter::create(&path, &rows.schema()).unwrap();
        writer.write(&rows).unwrap();
        writer.finish().unwrap();
        xxhash_rust::xxh3::xxh3_64(&fs::read(Path::new(&path)).unwrap())
    };
    let sums = [write("dataset/Npix=4.parquet", 0), write("dataset/Npix=10.parquet", 40)];
    let folder = place.0.path().join("hats");
    let (made, catalogue) =
        place.make(std::slice::from_ref(&folder), &Descriptor::plain(&folder), &MakeOptions::default()).unwrap();
    assert_eq!((made.sources, catalogue.meta().id.as_str()), (100, "int64"));
    let whole: Vec<u8> = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
    assert_eq!(catalogue.meta().sources[0].checksum, format!("xxh3-of-xxh3:{:016x}", xxhash_rust::xxh3::xxh3_64(&whole)));
    assert!(made.warnings.iter().any(|w| w.starts_with("10 ids used again")), "{:?}", made.warnings);
}
