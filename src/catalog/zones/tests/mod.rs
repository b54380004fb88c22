//! The zone index against brute force, the k-d tree, damage, and the ways in which files come and go.

#![allow(clippy::unwrap_used)]

mod batches;
mod cones;
mod damage;
mod files;
mod motion;
mod properties;

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};

use super::{Batch, Builder, Id, Keep, Options, ZoneIndex};
use crate::catalog::Hits;
use crate::catalog::tests::Dice;

/// A folder, gone with the test.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Ids that count from 0.
fn numbers(rows: usize) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(0..rows as i64))
}

/// A batch of positions alone.
fn batch<'a>(id: ArrayRef, ra: &'a [f64], dec: &'a [f64]) -> Batch<'a> {
    Batch { id, ra, dec, motion: None, radius: None, carried: None }
}

/// Builds an index of sources whose ids are their places, in batches of odd lengths.
fn build(path: &Path, rows: &[(f64, f64)], options: Options) -> ZoneIndex {
    let mut builder = Builder::create(path, options).unwrap();
    let mut first = 0;
    for part in rows.chunks(777) {
        let (ra, dec): (Vec<f64>, Vec<f64>) = part.iter().copied().unzip();
        let id: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + part.len() as i64));
        builder.push(&batch(id, &ra, &dec)).unwrap();
        first += part.len() as i64;
    }
    let mut last = 0;
    let meta = builder.finish(&mut |p| last = p.done).unwrap();
    assert_eq!(last as usize, rows.len());
    let index = ZoneIndex::open(path).unwrap();
    index.verify().unwrap();
    assert_eq!((index.len(), index.meta()), (rows.len(), &meta));
    index
}

/// As it is kept: everything, or positions with row numbers.
fn keeping(keep: Keep) -> Options {
    Options { name: "test".to_owned(), keep, ..Options::default() }
}

/// The number that a source has as its id.
fn number(index: &ZoneIndex, row: u32) -> u32 {
    let Id::Number(id) = index.id(row) else { panic!("ids are numbers") };
    id as u32
}

/// What a query found: distances and ids, ordered by them.
fn found(index: &ZoneIndex, hits: &Hits, query: usize) -> Vec<(f64, u32)> {
    let mut all: Vec<(f64, u32)> = hits.of(query).iter().map(|h| (h.distance, number(index, h.row))).collect();
    assert!(hits.of(query).windows(2).all(|w| (w[0].distance, w[0].row) < (w[1].distance, w[1].row)));
    all.sort_by(|a, b| a.partial_cmp(b).unwrap());
    all
}

/// A sky as ours: a third uniform, a disc, a bulge, clusters.
fn galactic(dice: &mut Dice, rows: usize) -> Vec<(f64, f64)> {
    (0..rows)
        .map(|i| match i % 20 {
            0..7 => dice.anywhere(),
            7..16 => {
                let (latitude, longitude) = (5.0 * (dice.roll() + dice.roll() + dice.roll() - 1.5), dice.within(0.0, 360.0));
                equatorial(longitude, latitude)
            }
            16..19 => equatorial(12.0 * (dice.roll() + dice.roll() - 1.0), 8.0 * (dice.roll() + dice.roll() - 1.0)),
            _ => dice.near(((i % 7) as f64 * 50.0, (i % 5) as f64 * 30.0 - 60.0), 300.0),
        })
        .collect()
}

/// Galactic to equatorial coordinates, degrees, to a few arcminutes: good enough to lay a disc across the zones.
fn equatorial(longitude: f64, latitude: f64) -> (f64, f64) {
    let (pole_ra, pole_dec, node) = (192.86f64, 27.13f64.to_radians(), 122.93f64.to_radians());
    let (b, turn) = (latitude.to_radians(), node - longitude.to_radians());
    let sin_dec = pole_dec.sin() * b.sin() + pole_dec.cos() * b.cos() * turn.cos();
    let y = b.cos() * turn.sin();
    let x = pole_dec.cos() * b.sin() - pole_dec.sin() * b.cos() * turn.cos();
    (crate::sky::normalise_ra(pole_ra + y.atan2(x).to_degrees()), sin_dec.clamp(-1.0, 1.0).asin().to_degrees())
}

/// Columns for a batch.
fn columns(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}
