//! Damaged files: what is wrong is never believed, and never a panic.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, StringArray};
use xxhash_rust::xxh3::xxh3_64;

use super::{batch, columns, folder, keeping};
use crate::catalog::Hits;
use crate::catalog::tests::{Dice, sources};
use crate::catalog::zones::format::{Header, Kind, PAGE};
use crate::catalog::zones::{Batch, Builder, Cones, Keep, MotionRule, Options, Radius, ZoneError, ZoneIndex};

/// A file that has all sections but ORDER, or all but those of the payload.
fn whole(path: &Path, keep: Keep) -> Vec<u8> {
    let mut dice = Dice(30);
    let rows = sources(&mut dice);
    let (ra, dec): (Vec<f64>, Vec<f64>) = rows.iter().copied().unzip();
    let radius: Vec<f64> = rows.iter().map(|_| dice.within(0.5, 1.9)).collect();
    let speed: Vec<f64> = rows.iter().map(|_| 10f64.powf(dice.within(0.0, 4.0))).collect();
    let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows.len()).map(|i| format!("name {i}"))));
    let magnitude: ArrayRef = Arc::new(Float32Array::from_iter((0..rows.len()).map(|i| (i % 4 > 0).then_some(20.0))));
    let options = Options {
        epoch: 2016.0,
        motion: Some(MotionRule { epochs: (2016.0, 2030.0), tolerance: 0.1 }),
        // Cells of which rows are skipped without being read would hide damage.
        rows_per_cell: 64,
        ..keeping(keep)
    };
    let mut builder = Builder::create(path, options).unwrap();
    let carried = columns(vec![("mag", magnitude), ("name", names.clone())]);
    let given =
        Batch { motion: Some((&speed, &speed)), radius: Some(&radius), carried: Some(carried), ..batch(names, &ra, &dec) };
    builder.push(&given).unwrap();
    builder.finish(&mut |_| ()).unwrap();
    fs::read(path).unwrap()
}

/// Uses everything that an index offers.
fn use_all(index: &ZoneIndex, positions: &[(f64, f64)]) {
    let mut hits = Hits::default();
    if positions.is_empty() {
        return;
    }
    for radius in [Radius::All(1.5), Radius::All(3_600.0), Radius::All(648_000.0), Radius::Own(1.0)] {
        for epoch in [None, Some(2030.0)] {
            index.find(&Cones { positions, radius, epoch }, &mut hits);
            assert_eq!(hits.queries(), positions.len());
            let rows: Vec<u32> = hits.of(0).iter().map(|h| h.row).collect();
            for row in &rows {
                let _ = (index.id(*row), index.position(*row), index.radius(*row));
            }
            assert_eq!(index.carried(&rows).num_rows(), rows.len());
        }
    }
    index.will_need(positions, 10.0);
    for (ra, dec) in positions {
        let _ = index.covers(*ra, *dec);
    }
}

/// What became of a damaged file.
fn outcome(path: &Path, bytes: &[u8], positions: &[(f64, f64)]) -> Result<(), ZoneError> {
    // A new file each time: a mapped one is never written to.
    let fresh = path.with_extension("fresh");
    fs::write(&fresh, bytes).unwrap();
    fs::rename(&fresh, path).unwrap();
    let index = ZoneIndex::open(path)?;
    use_all(&index, positions);
    index.verify()
}

#[test]
fn a_flipped_byte_is_never_believed() {
    let folder = folder();
    let path = folder.path().join("a.zones");
    let positions: Vec<(f64, f64)> = sources(&mut Dice(30))[..3].to_vec();
    let mut dice = Dice(31);
    let mut seen = std::collections::BTreeSet::new();
    for keep in [Keep::Everything, Keep::RowNumbers] {
        let good = whole(&path, keep);
        outcome(&path, &good, &positions).unwrap();
        let header = Header::read(&good).unwrap();
        let mut covered: Vec<_> = std::iter::once(0..PAGE).collect();
        for section in &header.sections {
            let kind = Kind::ALL[section.kind as usize - 1];
            seen.insert(kind);
            let (start, len) = (section.offset as usize, section.len as usize);
            covered.push(start..start + len);
            let mut places: Vec<usize> = (0..6).map(|_| (dice.roll() * len as f64) as usize).collect();
            places.extend([0, len - 1]);
            for at in places {
                for mask in [0x01, 0x80, 0xff] {
                    let mut bad = good.clone();
                    bad[start + at] ^= mask;
                    let error = outcome(&path, &bad, &positions).unwrap_err().to_string();
                    assert!(error.contains("damaged"), "{kind:?} byte {at}: {error}");
                    // COFF may be found out by what it contradicts.
                    assert!(error.contains(kind.name()), "{kind:?} byte {at}: {error}");
                }
            }
        }
        for at in (0..PAGE).step_by(7).chain(PAGE - 8..PAGE) {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            outcome(&path, &bad, &positions).unwrap_err();
        }
        // Between the sections: nobody reads it.
        let padding: Vec<usize> = (0..good.len()).filter(|at| covered.iter().all(|c| !c.contains(at))).collect();
        assert!(padding.len() > 1_000);
        for at in padding.iter().step_by(padding.len() / 10) {
            let mut other = good.clone();
            other[*at] ^= 0xff;
            outcome(&path, &other, &positions).unwrap();
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), Kind::ALL);
}

/// Sections of noise under checksums that are right: whatever a file says, opening or searching it does not panic.
#[test]
fn noise_that_is_signed_does_no_harm() {
    let folder = folder();
    let path = folder.path().join("a.zones");
    let good = whole(&path, Keep::Everything);
    let positions: Vec<(f64, f64)> = sources(&mut Dice(30))[..3].to_vec();
    let mut dice = Dice(32);
    let (mut refused, mut opened) = (0, 0);
    for round in 0..300 {
        let mut bad = good.clone();
        let mut header = Header::read(&bad).unwrap();
        let section = &mut header.sections[round % 10];
        let (start, len) = (section.offset as usize, section.len as usize);
        for _ in 0..1 + round / 30 {
            bad[start + (dice.roll() * len as f64) as usize] = (dice.roll() * 256.0) as u8;
        }
        section.checksum = xxh3_64(&bad[start..start + len]);
        bad[..PAGE].copy_from_slice(&header.write());
        match outcome(&path, &bad, &positions) {
            Ok(()) => opened += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(opened > 50 && refused > 20, "{opened} {refused}");
    // The same with the header's own numbers and the table.
    for round in 0..2_000 {
        let mut bad = good.clone();
        for _ in 0..1 + round % 3 {
            let at = 12 + (dice.roll() * 600.0) as usize;
            bad[at] = (dice.roll() * 256.0) as u8;
        }
        let sum = xxh3_64(&bad[..PAGE - 8]);
        bad[PAGE - 8..PAGE].copy_from_slice(&sum.to_le_bytes());
        let _ = outcome(&path, &bad, &positions[..1]);
    }
}

#[test]
fn short_foreign_and_newer_files_are_told_apart() {
    let folder = folder();
    let path = folder.path().join("a.zones");
    let good = whole(&path, Keep::Everything);
    let said = |bytes: &[u8]| outcome(&path, bytes, &[]).unwrap_err().to_string();
    for (cut, expected) in [
        (0, "is not a zone index"),
        (4, "is not a zone index"),
        (100, "100 bytes of 4096: copy or build it again"),
        (PAGE, "4096 bytes of"),
        (good.len() - 1, "copy or build it again"),
    ] {
        let error = said(&good[..cut]);
        assert!(error.contains(expected), "{cut}: {error}");
    }
    assert!(said(b"id,ra,dec\n1,2,3\n").contains("is not a zone index: build one from the catalogue's files"));
    let mut newer = good.clone();
    newer[8] = 2;
    let error = said(&newer);
    assert!(error.contains("its format is 2.0, this program reads up to 1.x: update the program"), "{error}");
    let missing = ZoneIndex::open(&folder.path().join("missing")).unwrap_err();
    assert!(matches!(missing, ZoneError::Io { doing: "open", .. }));
    // A file that has grown is as good as it was.
    outcome(&path, &[&good[..], &[0; 100]].concat(), &[]).unwrap();
}

/// Sections of a kind that a later minor version knows are passed over, and their bytes are checked all the same.
#[test]
fn unknown_sections_are_passed_over() {
    let folder = folder();
    let path = folder.path().join("a.zones");
    let mut file = whole(&path, Keep::Everything);
    let mut header = Header::read(&file).unwrap();
    let mut section = header.sections[0];
    (section.kind, section.offset, section.len) = (77, file.len() as u64, 5);
    section.checksum = xxh3_64(b"later");
    header.sections.push(section);
    file.extend_from_slice(b"later");
    header.file_len = file.len() as u64;
    file[..PAGE].copy_from_slice(&header.write());
    file[10] = 9;
    let sum = xxh3_64(&file[..PAGE - 8]);
    file[PAGE - 8..PAGE].copy_from_slice(&sum.to_le_bytes());
    outcome(&path, &file, &[(1.0, 1.0)]).unwrap();
    *file.last_mut().unwrap() ^= 1;
    let error = outcome(&path, &file, &[(1.0, 1.0)]).unwrap_err().to_string();
    assert!(error.contains("a section of a later version is damaged"), "{error}");
}
