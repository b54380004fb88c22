//! MOCs in every form, against the cells they were made of; and files that are broken in every way.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::super::tests::position;
use super::*;

fn card(keyword: &str, value: &str) -> Vec<u8> {
    format!("{:<80}", format!("{keyword:<8}= {value:>20} / comment")).into_bytes()
}

fn padded(mut bytes: Vec<u8>, with: u8) -> Vec<u8> {
    bytes.resize(bytes.len().div_ceil(2_880) * 2_880, with);
    bytes
}

fn header(cards: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes: Vec<u8> = cards.iter().flat_map(|(keyword, value)| card(keyword, value)).collect();
    bytes.extend_from_slice(format!("{:<80}", "END").as_bytes());
    padded(bytes, b' ')
}

const PRIMARY: [(&str, &str); 3] = [("SIMPLE", "T"), ("BITPIX", "8"), ("NAXIS", "0")];

/// A file with one column of numbers. Of the cards, those in `changed` are other ones; an empty value leaves one out.
fn fits(form: &str, ordering: &str, numbers: &[u64], changed: &[(&str, &str)]) -> Vec<u8> {
    let width = match form {
        "1J" => 4,
        "1I" => 2,
        _ => 8,
    };
    let (bytes, rows) = (width.to_string(), numbers.len().to_string());
    let mut cards = vec![
        ("XTENSION", "'BINTABLE'"),
        ("BITPIX", "8"),
        ("NAXIS", "2"),
        ("NAXIS1", &bytes),
        ("NAXIS2", &rows),
        ("PCOUNT", "0"),
        ("GCOUNT", "1"),
        ("TFIELDS", "1"),
        ("TFORM1", form),
        ("MOCDIM", "'SPACE   '"),
        ("ORDERING", ordering),
        ("COORDSYS", "'C       '"),
    ];
    for (keyword, value) in changed {
        cards.retain(|(other, _)| other != keyword);
        if !value.is_empty() {
            cards.push((keyword, value));
        }
    }
    let data: Vec<u8> = numbers.iter().flat_map(|n| n.to_be_bytes()[8 - width..].to_vec()).collect();
    [header(&PRIMARY), header(&cards), padded(data, 0)].concat()
}

fn refused(bytes: &[u8]) -> String {
    Moc::parse(bytes).unwrap_err().to_string()
}

fn ranges(bytes: &[u8]) -> Vec<(u64, u64)> {
    Moc::parse(bytes).unwrap().ranges().collect()
}

#[test]
fn every_form_says_the_same() {
    let unit = 1 << 52; // A cell of order 3.
    let expected = [(unit, 6 * unit), (7 * unit, 8 * unit), (20 * unit, 20 * unit + unit / 2)];
    let uniq = |order: u32, cell: u64| (4 << (2 * order)) + cell;
    let cells = [uniq(4, 80), uniq(4, 81), uniq(3, 7), uniq(3, 1), uniq(3, 2), uniq(3, 3), uniq(3, 4), uniq(3, 5)];
    let ends: Vec<u64> = expected.iter().flat_map(|(start, end)| [*start, *end]).collect();
    for bytes in [
        b"3/1-5 7 4/80-81".to_vec(),
        b"s3/1-5,7\n\n4/80,81 7/".to_vec(),
        b"# a heading\r\n3/ 1 2 3 4 5 7\r\n4/ 80-81\r\n3/2".to_vec(),
        b" {\"3\": [1, 2,3,4,5, 7], \"4\": [80, 81], \"7\": []}\n".to_vec(),
        b"{\"4\":[81,80],\"3\":[7,5,4,3,2,1],\"3\":[]}".to_vec(),
        fits("1K", "'NUNIQ   '", &cells, &[]),
        fits("1J", "'NUNIQ'", &cells, &[("MOCDIM", ""), ("MOCORDER", "4")]),
        fits("1I", "'NUNIQ'", &cells, &[("COORDSYS", "'ICRS'")]),
        fits("K", "'RANGE'", &ends, &[]),
        fits("'2K'", "'RANGE'", &ends, &[("NAXIS1", "16"), ("NAXIS2", "3")]),
    ] {
        let got = Moc::parse(&bytes).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&bytes)));
        assert_eq!(got.ranges().collect::<Vec<_>>(), expected, "{}", String::from_utf8_lossy(&bytes));
        assert!(!got.is_empty());
    }
    assert_eq!(Moc::parse(b"3/1 7/").unwrap().order(), 7);
    assert_eq!(ranges(b"0/0-11"), [(0, ALL)]);
    assert_eq!(ranges(b"29/3458764513820540927"), [(ALL - 1, ALL)]);
}

#[test]
fn a_moc_of_nothing_is_one_and_no_bytes_are_none() {
    for bytes in [b"0/".to_vec(), b"{}".to_vec(), fits("1K", "'RANGE'", &[], &[])] {
        let moc = Moc::parse(&bytes).unwrap();
        assert!(moc.is_empty() && !moc.contains(0.0, 0.0) && !moc.contains(0.0, 90.0) && moc.steradians() == 0.0);
    }
    assert_eq!(refused(b" \n"), "the MOC, its first bytes: there is nothing in it: a MOC that covers nothing is 0/");
}

#[test]
fn broken_text_is_refused_with_its_place() {
    for (text, place, what) in [
        ("3/1-5 7 4/80-", "line 1, column 11", "it ends where a number should be"),
        ("3/1\n2 5-3", "line 2, column 3", "the range from 5 to 3 is backward"),
        ("1 2 3", "line 1, column 1", "cells without an order"),
        ("3/1;2", "line 1, column 3", "';' where a number should be"),
        ("3/1 -2", "line 1, column 5", "'-' where a number should be"),
        ("3/1+2", "line 1", "'+' where a number should be"),
        ("3/s1", "line 1, column 3", "cells without an order"),
        ("0/12", "line 1, column 3", "order 0 has no cell 12: its last is 11"),
        ("29/3458764513820540928", "line 1", "its last is 3458764513820540927"),
        ("30/1", "line 1, column 1", "order 30 is above 29"),
        ("99999999999999999999999999/1", "line 1, column 1", "is larger than any cell"),
        ("t61/1", "line 1, column 1", "of time or frequency: only MOCs of space"),
        ("t61/1 s3/1", "line 1, column 1", "of time or frequency"),
        ("hello", "line 1, column 1", "'h' where a number should be"),
        ("<html>", "its first bytes", "look at the address"),
        ("[{\"t\":{}}]", "its first bytes", "space and time"),
        ("{\"3\": [1,", "line 1, column 9", "EOF while parsing"),
        ("{\"3\": [1]} 2", "line 1, column 12", "trailing characters"),
        ("{\"3\": [-1]}", "line 1, column 9", "invalid value: integer `-1`"),
        ("{\"3\":\n [1.5]}", "line 2, column 5", "1.5"),
        ("{\"3\": 1}", "line 1, column 7", "expected a list of cells"),
        ("{\"3\": [[1]]}", "line 1", "invalid type: sequence"),
        ("{\"x\": [1]}", "line 1", "\"x\" is no order"),
        ("{\"61\": [1]}", "line 1", "order 61 is above 29"),
        ("{\"0\": [12]}", "line 1, column 10", "order 0 has no cell 12"),
        ("\u{1f}\u{8b}", "line 1", "where a number should be"),
    ] {
        let said = refused(text.as_bytes());
        assert!(said.starts_with(&format!("the MOC, {place}")) && said.contains(what), "{text:?}: {said}");
    }
    assert!(refused(&[0x1f, 0x8b, 8, 0]).contains("decompress it"));
    assert!(refused(&[b'3', b'/', 0xff]).starts_with("the MOC, byte 2: it is neither FITS nor text"));
    // Deep nesting is an error, not the end of the stack.
    assert!(refused(format!("{{\"3\": {}", "[".repeat(100_000)).as_bytes()).contains("invalid type"));
}

#[test]
fn broken_tables_are_refused_with_their_place() {
    let good = |changed: &[(&str, &str)]| fits("1K", "'RANGE'", &[0, 1 << 58], changed);
    assert!(Moc::parse(&good(&[])).unwrap().contains(45.0, 45.0));
    for (bytes, place, what) in [
        (good(&[("MOCDIM", "'TIME'")]), "the header of HDU 1", "MOCDIM is \"TIME\": only MOCs of space"),
        (good(&[("MOCDIM", "'TIME.SPACE'")]), "the header of HDU 1", "only MOCs of space"),
        (good(&[("COORDSYS", "'G'")]), "the header of HDU 1", "COORDSYS is \"G\""),
        (good(&[("ORDERING", "'NESTED'")]), "the header of HDU 1", "ORDERING is \"NESTED\""),
        (good(&[("ORDERING", "")]), "the header of HDU 1", "ORDERING is missing"),
        (good(&[("TFIELDS", "4")]), "the header of HDU 1", "a table of 4 columns"),
        (good(&[("TFORM1", "'1D'")]), "the header of HDU 1", "TFORM1 is \"1D\""),
        (good(&[("TFORM1", "'0K'")]), "the header of HDU 1", "not of one column 0K"),
        (good(&[("TFORM1", "'99999999999999999999K'")]), "the header of HDU 1", "not of one column"),
        (good(&[("TFORM1", "")]), "the header of HDU 1", "TFORM1 is \"\""),
        (good(&[("NAXIS1", "7")]), "the header of HDU 1", "rows of 7 bytes"),
        (good(&[("NAXIS2", "-1")]), "the header of HDU 1", "NAXIS2 is \"-1\""),
        (good(&[("NAXIS2", "")]), "the header of HDU 1", "NAXIS2 is missing"),
        (good(&[("NAXIS2", "361")]), "the header of HDU 1", "it says that 2888 bytes follow, there are 2880"),
        (good(&[("NAXIS2", "18446744073709551615")]), "the header of HDU 1", "larger than any disk"),
        (good(&[("NAXIS2", "99999999999999999999")]), "the header of HDU 1", "NAXIS2 is"),
        (good(&[("MOCORD_S", "61")]), "the header of HDU 1", "order 61 is above 29"),
        (good(&[("MOCORD_S", "x")]), "the header of HDU 1", "its order is \"x\""),
        (good(&[("NAXIS2", "3")]), "entry 3 (from 1)", "the last range has no end"),
        (fits("1J", "'RANGE'", &[0, 1], &[]), "the header of HDU 1", "ranges of 4 bytes"),
        (fits("1K", "'RANGE'", &[5, 5], &[]), "entry 1 (from 1)", "no range of cells"),
        (fits("1K", "'RANGE'", &[1, 2, 5, ALL + 1], &[]), "entry 3 (from 1)", "no range of cells"),
        (fits("1K", "'NUNIQ'", &[4, 3], &[]), "entry 2 (from 1)", "3 stands for no cell"),
        (fits("1K", "'NUNIQ'", &[0], &[]), "entry 1 (from 1)", "0 stands for no cell"),
        (fits("1K", "'NUNIQ'", &[u64::MAX], &[]), "entry 1 (from 1)", "stands for no cell"),
        (fits("1J", "'NUNIQ'", &[1 << 31], &[]), "entry 1 (from 1)", "stands for no cell"),
        (fits("1K", "'NUNIQ'", &[1 << 62], &[]), "entry 1 (from 1)", "stands for no cell"),
        (header(&PRIMARY), "its parts", "no binary table"),
        (header(&PRIMARY)[..2_000].to_vec(), "the header of HDU 0", "the file ends inside it"),
        ([header(&PRIMARY), vec![b' '; 1_001 * 2_880]].concat(), "the header of HDU 1", "it has no END"),
        (header(&PRIMARY).repeat(200), "its parts", "no binary table"),
    ] {
        let said = refused(&bytes);
        assert!(said.starts_with(&format!("the MOC, {place}")) && said.contains(what), "{what}: {said}");
    }
}

#[test]
fn a_file_is_named_in_what_is_wrong_with_it() {
    let folder = std::env::temp_dir().join(format!("region-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("footprint.moc");
    std::fs::write(&path, "3/1").unwrap();
    assert_eq!(Moc::read(&path).unwrap().ranges().len(), 1);
    std::fs::write(&path, "3/x").unwrap();
    let said = Moc::read(&path).unwrap_err().to_string();
    assert!(said.contains("footprint.moc, line 1, column 3: 'x' where a number should be"), "{said}");
    std::fs::remove_file(&path).unwrap();
    assert!(Moc::read(&path).unwrap_err().to_string().contains("footprint.moc: cannot read it: "));
    assert!(matches!(Moc::read(&folder), Err(RegionError::Read { .. })));
    std::fs::remove_dir(&folder).unwrap();
}

#[test]
fn what_is_too_large_is_refused() {
    let many: String = std::iter::once("12/".to_owned()).chain((0..=MOST_RANGES).map(|i| format!("{} ", 2 * i))).collect();
    assert!(refused(many.as_bytes()).contains("more than 16777216 ranges: degrade it"));
    assert!(refused(&vec![b' '; MOST_BYTES + 1]).contains("more than 256 MiB"));
}

/// Cells of several orders.
fn some_cells() -> impl Strategy<Value = Vec<(u8, u64)>> {
    let cell = (0..=29_u8).prop_flat_map(|order| (Just(order), 0..cells(order)));
    let coarse = (0..=3_u8).prop_flat_map(|order| (Just(order), 0..cells(order)));
    (proptest::collection::vec(cell, 0..40), proptest::collection::vec(coarse, 0..40)).prop_map(|(a, b)| [a, b].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn a_position_is_inside_if_one_of_the_cells_is_its_own(
        cells in some_cells(), places in proptest::collection::vec((0.0..=1.0, 0.0..=1.0), 100), form in 0..4,
    ) {
        let text = match form {
            0 => cells.iter().map(|(o, c)| format!("{o}/{c} ")).chain(["0/".to_owned()]).collect::<String>().into_bytes(),
            1 => format!("{{{}}}", cells.iter().map(|(o, c)| format!("\"{o}\":[{c}]")).collect::<Vec<_>>().join(",")).into_bytes(),
            2 => fits("1K", "'NUNIQ'", &cells.iter().map(|(o, c)| (4 << (2 * o)) + c).collect::<Vec<_>>(), &[]),
            _ => {
                let ends = |(o, c): &(u8, u64)| [c << (2 * (29 - o)), (c + 1) << (2 * (29 - o))];
                fits("1K", "'RANGE'", &cells.iter().flat_map(ends).collect::<Vec<_>>(), &[])
            }
        };
        let moc = Moc::parse(&text).unwrap();
        let kept: Vec<_> = moc.ranges().collect();
        prop_assert!(kept.windows(2).all(|two| two[0].1 < two[1].0) && kept.iter().all(|(start, end)| start < end));
        let centres = cells.iter().map(|(order, cell)| {
            let (ra, dec) = cdshealpix::nested::get(*order).center(*cell);
            (sky::normalise_ra(ra.to_degrees()), dec.to_degrees())
        });
        for (ra, dec) in places.into_iter().map(|(turn, height)| position(turn, height)).chain(centres) {
            let finest = cdshealpix::nested::get(29).hash(ra.to_radians(), dec.to_radians());
            let expected = cells.iter().any(|(order, cell)| finest >> (2 * (29 - order)) == *cell);
            prop_assert_eq!(moc.contains(ra, dec), expected, "{} {}", ra, dec);
        }
        // Exactly the cells, at their first and last of order 29.
        for (order, cell) in &cells {
            let shift = 2 * (29 - order);
            let (first, behind) = (cell << shift, (cell + 1) << shift);
            prop_assert!(moc.has(first) && moc.has(behind - 1));
            let covered = |fine: u64| cells.iter().any(|(order, cell)| fine >> (2 * (29 - order)) == *cell);
            prop_assert!(behind == ALL || moc.has(behind) == covered(behind));
            prop_assert!(first == 0 || moc.has(first - 1) == covered(first - 1));
        }
    }

    /// Whatever is done to a file, reading it ends, and what it gives is a MOC.
    #[test]
    fn damaged_files_give_errors_or_mocs(
        form in 0..5, cut in 0.0..1.0, changes in proptest::collection::vec((0.0..1.0, any::<u8>()), 0..8), cutting in any::<bool>(),
    ) {
        let mut bytes = match form {
            0 => b"3/1-5 7 4/80 90-91 29/5".to_vec(),
            1 => b"{\"3\": [1, 2, 7], \"29\": [123456, 5], \"5\": []}".to_vec(),
            2 => fits("1K", "'NUNIQ'", &[4, 64, 1025, 4 << 58], &[("MOCORD_S", "29")]),
            3 => fits("1J", "'NUNIQ'", &[4, 64, 1025], &[]),
            _ => fits("1K", "'RANGE'", &[0, 5, 1 << 52, 2 << 52], &[]),
        };
        for (place, value) in changes {
            let length = bytes.len();
            bytes[(place * length as f64) as usize] = value;
        }
        if cutting {
            bytes.truncate((cut * bytes.len() as f64) as usize);
        }
        if let Ok(moc) = Moc::parse(&bytes) {
            let kept: Vec<_> = moc.ranges().collect();
            prop_assert!(kept.windows(2).all(|two| two[0].1 < two[1].0) && kept.iter().all(|(s, e)| s < e && *e <= ALL));
            prop_assert!(!moc.contains(f64::NAN, 0.0) && moc.order() <= 29);
        }
    }
}

#[test]
fn poles_and_right_ascension_0_have_their_cells() {
    let north = Moc::parse(b"0/0-3").unwrap();
    let south = Moc::parse(b"0/8-11").unwrap();
    for ra in [0.0, 90.0, 180.0, 270.0, 360.0, 33.3] {
        assert!(north.contains(ra, 90.0) && south.contains(ra, -90.0) && !north.contains(ra, -90.0) && !south.contains(ra, 90.0));
    }
    let at_zero = Moc::parse(b"0/4").unwrap();
    for ra in [0.0, 360.0, 1e-12, 359.999_999_999, 44.0, 316.0] {
        assert!(at_zero.contains(ra, 0.0), "{ra}");
    }
    assert!(!at_zero.contains(46.0, 0.0) && !at_zero.contains(180.0, 0.0));
}
