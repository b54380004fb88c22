//! Broken and malicious tables: each gives an error that names the place, or names its bad rows; none makes a reader panic, take
//! all memory or read without end.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use serde_json::json;
use skysluice::catalog::table::{Dialect, Faults, PositionColumns, Positions, Rejects, Table};

/// Reads all of a file: its rows, or what is said.
fn read(path: &Path, dialect: &Dialect) -> Result<u64, String> {
    let table = Table::open(path, dialect).map_err(|e| e.to_string())?;
    let names: Vec<&str> = table.columns().iter().map(|column| column.name.as_str()).collect();
    let mut rows = 0;
    for block in table.batches(&names, 100).map_err(|e| e.to_string())? {
        rows += block.map_err(|e| e.to_string())?.batch.num_rows() as u64;
    }
    Ok(rows)
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// What is said of a file.
    fn fails(&self, name: &str, bytes: impl AsRef<[u8]>, expected: &str) {
        let error = read(&self.put(name, bytes), &Dialect::default()).unwrap_err();
        assert!(error.contains(expected), "{name}: {error}\ninstead of: {expected}");
        assert!(error.contains(name), "the file is not named: {error}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// A FITS file with one table of `name` (4A), `ra` (D) and `n` (I), with cards changed or added.
fn fits(rows: usize, changes: &[(&str, &str)]) -> Vec<u8> {
    let rows_text = rows.to_string();
    let mut cards: Vec<(String, String)> = [
        ("XTENSION", "'BINTABLE'"),
        ("BITPIX", "8"),
        ("NAXIS", "2"),
        ("NAXIS1", "14"),
        ("NAXIS2", rows_text.as_str()),
        ("PCOUNT", "0"),
        ("GCOUNT", "1"),
        ("TFIELDS", "3"),
        ("TTYPE1", "'name'"),
        ("TFORM1", "'4A'"),
        ("TTYPE2", "'ra'"),
        ("TFORM2", "'D'"),
        ("TTYPE3", "'n'"),
        ("TFORM3", "'I'"),
        ("TNULL3", "-1"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec();
    for (key, value) in changes {
        match cards.iter_mut().find(|card| card.0 == *key) {
            Some(card) => card.1 = (*value).to_owned(),
            None => cards.push(((*key).to_owned(), (*value).to_owned())),
        }
    }
    let header = |cards: &[(String, String)]| {
        let mut text: String = cards.iter().map(|(key, value)| format!("{:<80}", format!("{key:<8}= {value:>20}"))).collect();
        text.push_str(&format!("{:<80}", "END"));
        while !text.len().is_multiple_of(2_880) {
            text.push(' ');
        }
        text.into_bytes()
    };
    let primary = [("SIMPLE", "T"), ("BITPIX", "8"), ("NAXIS", "0")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let mut file = header(&primary);
    file.extend(header(&cards));
    for row in 0..rows {
        file.extend(b"abc ");
        file.extend((row as f64).to_be_bytes());
        file.extend((row as i16 - 1).to_be_bytes());
    }
    file.resize(file.len().div_ceil(2_880) * 2_880, 0);
    file
}

fn votable(rows: usize) -> String {
    let rows: String = (0..rows).map(|i| format!("<TR><TD>s{i}</TD><TD>{i}.5</TD></TR>\n")).collect();
    format!(
        "<?xml version=\"1.0\"?>\n<VOTABLE version=\"1.4\"><RESOURCE><TABLE>\n<FIELD name=\"id\" datatype=\"char\" arraysize=\"*\"/>\n\
         <FIELD name=\"ra\" datatype=\"double\"/>\n<DATA><TABLEDATA>\n{rows}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>\n"
    )
}

fn binary(coding: &str, fields: &str, bytes: &str) -> String {
    format!(
        "<VOTABLE><RESOURCE><TABLE>{fields}<DATA><{coding}><STREAM encoding=\"base64\">{bytes}</STREAM></{coding}></DATA></TABLE>\
         </RESOURCE></VOTABLE>"
    )
}

fn parquet(rows: usize) -> Vec<u8> {
    let id: ArrayRef = Arc::new((0..rows).map(|i| Some(format!("s{i}"))).collect::<StringArray>());
    let ra: ArrayRef = Arc::new((0..rows).map(|i| Some(i as f64)).collect::<Float64Array>());
    let batch = RecordBatch::try_from_iter([("id", id), ("ra", ra)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn files_that_are_no_tables_are_named_for_what_they_are() {
    let folder = Folder::new();
    folder.fails("empty.csv", "", "the file is empty; tables can be CSV");
    folder.fails("sheet.xlsx", b"PK\x03\x04....", "a zip archive (or a spreadsheet)");
    folder.fails("x.csv.bz2", b"BZh91AY", "compressed with bzip2");
    folder.fails("x.h5", b"\x89HDF\r\n\x1a\n", "this is HDF5");
    folder.fails("x.feather", b"ARROW1\0\0", "Arrow IPC");
    folder.fails("utf16.csv", b"\xff\xfei\0d\0", "UTF-16: save it as UTF-8");
    folder.fails("page.vot", "<!doctype html><html><body>404</body></html>", "a page of HTML");
    folder.fails("x.xml", "<a><b/></a>", "no element VOTABLE");
    folder.fails("noise.dat", [7, 0, 1, 2], "begin like no known format");
    folder.fails("text.fits", "id,ra,dec\n", "the name says FITS, but the content");
    folder.fails("packed.parquet", gzip(&parquet(3)), "Parquet inside gzip");
    folder.fails("twice.csv.gz", gzip(&gzip(b"id,ra\n")), "gzip twice");
    std::fs::create_dir(folder.0.path().join("none")).unwrap();
    let error = read(&folder.0.path().join("none"), &Dialect::default()).unwrap_err();
    assert!(error.contains("holds no file that ends in .parquet"), "{error}");
    assert!(read(Path::new("/nowhere.csv"), &Dialect::default()).unwrap_err().contains("/nowhere.csv: cannot be opened"));
}

#[test]
fn fits_that_breaks_its_rules_is_told() {
    let folder = Folder::new();
    assert_eq!(read(&folder.put("good.fits", fits(300, &[])), &Dialect::default()), Ok(300));
    for (change, expected) in [
        (("TFORM2", "'Z'"), "TFORM2 = 'Z' (column `ra`): `Z` is no type of a binary table"),
        (("TFORM2", "''"), "TFORM2 = '' (column `ra`): it has no type"),
        (("TFORM2", "'99999999999999999999D'"), "its count is too large"),
        (("TFORM2", "'9999999D'"), "it is too large"),
        (("TFORM1", "'40A'"), "its columns take 50 bytes, its rows have NAXIS1 = 14"),
        (("NAXIS2", "9000000000000000000"), "NAXIS2 = 9000000000000000000: no file is that large"),
        (("NAXIS2", "90000000000"), "of the 90000000000 rows that NAXIS2 promises, 411 are there: the file is cut off"),
        (("NAXIS2", "-3"), "NAXIS2 is missing or no number from 0"),
        (("NAXIS1", "0"), "NAXIS1 = 0: its 300 rows hold nothing"),
        (("NAXIS1", "999999999999"), "rows of more than 64 MiB"),
        (("TFIELDS", "4"), "TFORM4 is missing"),
        (("TFIELDS", "100000"), "TFIELDS up to 999"),
        (("BITPIX", "16"), "a binary table has BITPIX = 8"),
        (("XTENSION", "'IMAGE'"), "it has no binary table; its HDUs are 0 (no name), 1 (no name)"),
    ] {
        folder.fails("bad.fits", fits(300, &[change]), expected);
        if change.0 != "NAXIS2" {
            folder.fails("bad.fits.gz", gzip(&fits(300, &[change])), expected);
        }
    }
    folder.fails("long.fits.gz", gzip(&fits(300, &[("NAXIS2", "90000000000")])), "411 are there: the file is cut off");
    let whole = fits(300, &[]);
    for cut in (0..5_760 + 300 * 14).step_by(97).skip(1) {
        let error = read(&folder.put("cut.fits", &whole[..cut]), &Dialect::default()).unwrap_err();
        assert!(error.contains("cut off") || error.contains("no binary table"), "{cut}: {error}");
        let error = read(&folder.put("cut.fits.gz", gzip(&whole[..cut])), &Dialect::default()).unwrap_err();
        assert!(error.contains("cut off") || error.contains("no binary table"), "{cut}: {error}");
    }
    // A column twice is told apart.
    let path = folder.put("twice.fits", fits(2, &[("TTYPE2", "'n'")]));
    let table = Table::open(&path, &Dialect::default()).unwrap();
    let names: Vec<&str> = table.columns().iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["name", "n", "n#2"]);
    // The null of the header is null, and an id of another case is found.
    let block = table.batches(&["N#2", "NAME"], 9).unwrap().next().unwrap().unwrap();
    assert!(block.batch.column(0).is_null(0) && block.batch.column(0).is_valid(1));
}

#[test]
fn votable_that_is_broken_or_malicious_is_told_with_its_line() {
    let folder = Folder::new();
    let whole = votable(50);
    assert_eq!(read(&folder.put("good.vot", &whole), &Dialect::default()), Ok(50));
    folder.fails("cell.vot", whole.replace("7.5<", "7,5<"), "row 8: column `ra`: `7,5` is not a number (line 13)");
    folder.fails("short.vot", whole.replace("<TD>7.5</TD>", ""), "row 8: the row has 1 cells, the table 2 fields (line 13)");
    folder.fails("type.vot", whole.replace("\"double\"", "\"real\""), "line 4: FIELD `ra`: `real` is no datatype");
    folder.fails("size.vot", whole.replace("\"*\"", "\"many\""), "`many` is no arraysize");
    folder.fails("latin.vot", whole.replace("\"1.0\"?", "\"1.0\" encoding=\"ISO-8859-1\"?"), "the document is in ISO-8859-1");
    folder.fails("none.vot", "<VOTABLE><INFO>no such table</INFO></VOTABLE>", "there is no element TABLE: did the query fail?");
    for cut in (20..whole.len() - 60).step_by(13) {
        let result = read(&folder.put("cut.vot", &whole[..cut]), &Dialect::default());
        assert!(result.is_err(), "{cut}: {result:?}");
    }
    // A billion laughs: nothing is expanded.
    let mut bomb = "<?xml version=\"1.0\"?><!DOCTYPE VOTABLE [<!ENTITY a0 \"ha\">".to_owned();
    (1..30).for_each(|i| bomb.push_str(&format!("<!ENTITY a{i} \"&a{0};&a{0};&a{0};&a{0};\">", i - 1)));
    let bomb = bomb + "]>" + &whole[whole.find("<VOTABLE").unwrap()..].replace("s7<", "&a29;<");
    folder.fails("bomb.vot", bomb, "the entity `&a29;` is none of XML's own");
    folder.fails("deep.vot", "<VOTABLE>".repeat(100_000), "nested more than 256 times");
    folder.fails("endless.vot", "<VOTABLE><!--".to_owned() + &"x".repeat(40 << 20), "longer than 16 MiB");

    let int = "<FIELD name=\"n\" datatype=\"int\"/>";
    assert_eq!(read(&folder.put("b.vot", binary("BINARY", int, "AAAAAQAAAAI=")), &Dialect::default()), Ok(2));
    assert_eq!(read(&folder.put("b2.vot", binary("BINARY2", int, "AAAA\nAAGA\nAAAAAA==")), &Dialect::default()), Ok(2));
    folder.fails("tail.vot", binary("BINARY", int, "AAAAAQAA"), "the stream ends inside a row");
    folder.fails("quad.vot", binary("BINARY", int, "AAAAAQAAA"), "the base64 of the rows ends in the middle");
    folder.fails("signs.vot", binary("BINARY", int, "AAA!AQAA"), "the rows are not base64");
    let text = "<FIELD name=\"t\" datatype=\"char\" arraysize=\"*\"/>";
    folder.fails("huge.vot", binary("BINARY", text, "/////w=="), "a cell has 4294967295 values");
    let nothing = "<FIELD name=\"t\" datatype=\"char\" arraysize=\"0\"/>";
    folder.fails("nothing.vot", binary("BINARY", nothing, "AAAA"), "no fields that hold anything");
    folder.fails(
        "away.vot",
        binary("BINARY", int, "").replace("encoding=\"base64\"", "href=\"http://x\""),
        "the rows are elsewhere",
    );
}

#[test]
fn parquet_that_is_broken_is_told() {
    let folder = Folder::new();
    let whole = parquet(500);
    assert_eq!(read(&folder.put("good.parquet", &whole), &Dialect::default()), Ok(500));
    for cut in (8..whole.len()).step_by(61) {
        let error = read(&folder.put("cut.parquet", &whole[..cut]), &Dialect::default()).unwrap_err();
        assert!(error.contains("cut.parquet") && error.contains("fetch it again"), "{error}");
    }
    // A folder whose files differ.
    let tiles = folder.0.path().join("tiles");
    std::fs::create_dir(&tiles).unwrap();
    std::fs::write(tiles.join("1.parquet"), &whole).unwrap();
    let ra: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
    let other = RecordBatch::try_from_iter([("ra", ra)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), other.schema(), None).unwrap();
    writer.write(&other).unwrap();
    std::fs::write(tiles.join("2.parquet"), writer.into_inner().unwrap()).unwrap();
    let error = read(&tiles, &Dialect::default()).unwrap_err();
    assert!(error.contains("2.parquet, the footer: it has no column `id`"), "{error}");
}

#[test]
fn bad_rows_of_texts_are_named_or_counted() {
    let folder = Folder::new();
    folder.fails(
        "type.csv",
        sampled("id,ra,dec\n", "a,1,2\n", 10_001, "b,x,2\n"),
        "line 10003: column `ra`: `x` is not a whole number",
    );
    folder.fails("cells.csv", "id,ra,dec\na,1,2\nb,1\n", "line 3: the row has 2 cells, the table 3 columns");
    folder.fails("quote.csv", "id,ra,dec\na,1,2\n\"b,1,2\n", "line 3: a quote is not closed");
    folder.fails("stray.csv", "id,ra,dec\n\"a\"b,1,2\n", "line 2: a quote is not closed, or something is behind it");
    folder.fails(
        "date.csv",
        "\"2026-11-20\"\nid,ra,dec\na,1,2\nb,3,4\n",
        "line 1: the header `2026-11-20` has one cell, but the rows",
    );
    folder.fails("comments.csv", "# nothing\n# else\n", "the file ends before its header");
    let latin = b"id,ra,dec\na,1,2\nK\xf6nig,3,4\n";
    folder.fails("latin.csv", latin, "line 3: column `id`: `K\u{fffd}nig` is not UTF-8; if the file is in ISO 8859-1");
    let dialect: Dialect = serde_json::from_value(json!({"encoding": "latin-1"})).unwrap();
    let table = Table::open(&folder.put("latin.csv", latin), &dialect).unwrap();
    let block = table.batches(&["id"], 9).unwrap().next().unwrap().unwrap();
    assert_eq!(arrow_array::cast::AsArray::as_string::<i32>(block.batch.column(0)).value(1), "König");
    // A quote that is never closed takes no more than its bound.
    let endless = "id,ra,dec\n\"a".to_owned() + &"x,1,2\n".repeat(3 << 20);
    folder.fails("endless.csv", endless, "the record that begins in line 2 is longer than 8 MiB: is a quote not closed?");

    // Each kind of line end, blank lines, comments, a text of several lines: all are counted as an editor does.
    let mixed = "id,ra,dec\r\na,1,2\rb,3,4\n\n# c\r\n\"d\r\ne\",5,6\r\nf,7,x\n";
    let columns = PositionColumns::default();
    let dialect: Dialect = serde_json::from_value(json!({"types": {"dec": "float"}})).unwrap();
    let table = Table::open(&folder.put("mixed.csv", mixed), &dialect).unwrap();
    let mut positions = Positions::new(&table, &columns, &[], Rejects::Count, 10).unwrap();
    let part = positions.next().unwrap().unwrap();
    let lines: Vec<u64> = (0..part.ra.len()).map(|row| part.place(row).number).collect();
    assert_eq!((lines, part.ids.value(2)), (vec![2, 3, 6], "d\r\ne"));
    assert!(positions.next().is_none());
    let report = positions.report();
    assert_eq!((report.rows, report.kept, report.rejected.count), (4, 3, 1));
    assert!(report.rejected.first[0].starts_with("line 8 (column `dec`: `x` is not a number"), "{:?}", report.rejected);

    let odd = "name,ra,dec\na,10,20\na,11,21\n,12,22\nb,,1\nc,400,1\nd,1,91\ne,12 30 49.4,-1 2 3\nf,1h,1\ng,inf,1\nh,1:2:99,1\n";
    let dialect: Dialect = serde_json::from_value(json!({"delimiter": ","})).unwrap();
    let path = folder.put("odd.csv", odd);
    let table = Table::open(&path, &dialect).unwrap();
    let mut positions = Positions::new(&table, &columns, &[], Rejects::Count, 3).unwrap();
    let parts: Vec<_> = positions.by_ref().map(Result::unwrap).collect();
    let ra: Vec<f64> = parts.iter().flat_map(|part| part.ra.clone()).collect();
    assert_eq!(ra.len(), 5, "{ra:?}");
    assert!((ra[3] - 187.705_833_333).abs() < 1e-6 && ra[4] == 15.0);
    let warnings = positions.report().warnings().join("\n");
    for expected in [
        "5 rows left out: line 5 (it has no right ascension), line 6 (right ascension 400 is not between 0 and 360 degrees), line 7 \
         (declination 91 is not between -90 and 90 degrees)",
        "1 sources without an id: line 4",
        "1 ids used again: `a` in line 2 and line 3",
    ] {
        assert!(warnings.contains(expected), "{warnings}");
    }
    let mut strict = Positions::new(&table, &columns, &[], Rejects::Strict, 3).unwrap();
    let error = strict.by_ref().find_map(Result::err).unwrap().to_string();
    assert!(error.contains("odd.csv, line 5: it has no right ascension"), "{error}");

    let path = folder.put("named.csv", "id,rightasc,dec\na,1,2\n");
    let table = Table::open(&path, &Dialect::default()).unwrap();
    let error = Positions::new(&table, &columns, &[], Rejects::Strict, 3).err().unwrap().to_string();
    assert!(
        error.contains("no column for right ascension") && error.contains("is it `rightasc`?; there are id, rightasc, dec"),
        "{error}"
    );
}

/// A header, the same row many times, and a last one.
fn sampled(header: &str, row: &str, times: usize, last: &str) -> String {
    header.to_owned() + &row.repeat(times) + last
}

#[test]
fn gzip_is_bounded_and_told_when_it_is_cut_off() {
    let folder = Folder::new();
    let text = sampled("id,ra,dec\n", "abc,1,2\n", 50_000, "");
    let packed = gzip(text.as_bytes());
    assert_eq!(read(&folder.put("x.csv", &packed), &Dialect::default()), Ok(50_000));
    folder.fails("cut.csv.gz", &packed[..packed.len() / 2], "reading stopped at");
    let mut wrong = packed.clone();
    let at = wrong.len() - 6;
    wrong[at] ^= 1;
    folder.fails("sum.csv.gz", &wrong, "reading stopped at line 50002");
    // 300 megabytes of the same line in half a megabyte.
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(b"id,ra,dec\n").unwrap();
    let lines = b"a,1,2\n".repeat(1 << 18);
    (0..200).for_each(|_| bomb.write_all(&lines).unwrap());
    folder.fails("bomb.csv.gz", bomb.finish().unwrap(), "no table compresses so well");
}

/// Reads whatever it is, in both ways: it may say anything, but has to end.
fn survive(path: &Path) {
    for dialect in [json!({}), json!({"header": "none", "delimiter": "blanks"}), json!({"header": "comment"})] {
        let dialect: Dialect = serde_json::from_value(dialect).unwrap();
        let _ = read(path, &dialect);
        let Ok(table) = Table::open(path, &dialect) else { continue };
        let names: Vec<&str> = table.columns().iter().map(|column| column.name.as_str()).collect();
        if let Ok(batches) = table.batches_with(&names, 50, Faults::Note) {
            for block in batches.flatten() {
                assert!(block.faults.iter().all(|fault| fault.row < block.batch.num_rows()));
            }
        }
        if let Ok(positions) = Positions::new(&table, &PositionColumns::default(), &[], Rejects::Count, 50) {
            for part in positions.flatten() {
                assert!(part.ra.iter().all(|ra| (0.0..360.0).contains(ra)) && part.dec.iter().all(|dec| dec.abs() <= 90.0));
            }
        }
    }
}

/// A sound file of each format, short.
fn seeds() -> Vec<Vec<u8>> {
    let csv = b"# c\nid,ra,dec,note\na,1.5,-2,\"x, \"\"y\"\"\nz\"\r\nb,12:30:49,+01 02 03,\nc,3,4,null\n".to_vec();
    let ecsv = b"# %ECSV 1.0\n# ---\n# datatype:\n# - {name: id, datatype: string}\n# - {name: ra, unit: deg, datatype: float64}\nid ra\na 1\n";
    let text = "<FIELD name=\"id\" datatype=\"char\" arraysize=\"*\"/><FIELD name=\"ra\" datatype=\"double\"/><FIELD name=\"dec\" \
                datatype=\"short\"/>";
    vec![
        csv,
        ecsv.to_vec(),
        fits(5, &[]),
        votable(5).into_bytes(),
        binary("BINARY", text, "AAAAAWFAAAAAAAAAAAEAAAABYkAAAAAAAAAAAAI=").into_bytes(),
        binary("BINARY2", text, "AAAAAAFhQAAAAAAAAAAAAYAAAAABYkAAAAAAAAAAAAI=").into_bytes(),
        parquet(20),
        gzip(b"id,ra,dec\na,1,2\n"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_behind_each_magic_are_survived(magic in 0..6usize, bytes in prop::collection::vec(any::<u8>(), 0..4_000)) {
        let folder = Folder::new();
        let magic: &[u8] = [&b""[..], b"PAR1", b"SIMPLE  =", b"<VOTABLE>", b"\x1f\x8b\x08\x00", b"id,ra,dec\n"][magic];
        survive(&folder.put("random", [magic, &bytes, if magic == b"PAR1" { b"PAR1" } else { b"" }].concat()));
    }

    #[test]
    fn sound_files_with_some_bytes_changed_are_survived(
        seed in 0..8usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
        twice in any::<bool>(),
    ) {
        let folder = Folder::new();
        let mut bytes = seeds().swap_remove(seed);
        for (place, byte) in changes {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if twice {
            bytes.extend(bytes.clone());
        }
        survive(&folder.put("changed", bytes));
    }
}
