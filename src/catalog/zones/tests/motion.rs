//! Sources that move, and sources with radii of their own.

use super::{batch, folder, keeping, number, numbers};
use crate::catalog::Hits;
use crate::catalog::tests::{Dice, sources};
use crate::catalog::zones::{Batch, Builder, Cones, Keep, MotionRule, Options, Radius, ZoneIndex};
use crate::sky;

const EPOCH: f64 = 2016.0;

fn options(keep: Keep) -> Options {
    let motion = Some(MotionRule { epochs: (2010.0, 2040.0), tolerance: 0.1 });
    Options { epoch: EPOCH, motion, ..keeping(keep) }
}

/// Motions from none to faster than Barnard's star, in all directions, some missing.
fn motions(dice: &mut Dice, count: usize) -> (Vec<f64>, Vec<f64>) {
    (0..count)
        .map(|i| match i % 5 {
            0 => (f64::NAN, f64::NAN),
            1 => (dice.within(-1.0, 1.0), dice.within(-1.0, 1.0)),
            _ => {
                let (speed, turn) = (10f64.powf(dice.within(0.0, 4.3)), dice.within(0.0, std::f64::consts::TAU));
                (speed * turn.sin(), speed * turn.cos())
            }
        })
        .unzip()
}

struct Moving {
    _folder: tempfile::TempDir,
    rows: Vec<(f64, f64)>,
    motions: Vec<(f64, f64)>,
    index: ZoneIndex,
}

fn moving(keep: Keep) -> Moving {
    let folder = folder();
    let mut dice = Dice(11);
    let rows = sources(&mut dice);
    let (east, north) = motions(&mut dice, rows.len());
    let (ra, dec): (Vec<f64>, Vec<f64>) = rows.iter().copied().unzip();
    let path = folder.path().join("m.zones");
    let mut builder = Builder::create(&path, options(keep)).unwrap();
    let given = Batch { motion: Some((&east, &north)), ..batch(numbers(rows.len()), &ra, &dec) };
    builder.push(&given).unwrap();
    builder.finish(&mut |_| ()).unwrap();
    let index = ZoneIndex::open(&path).unwrap();
    index.verify().unwrap();
    Moving { _folder: folder, rows, motions: east.into_iter().zip(north).collect(), index }
}

impl Moving {
    /// Whether a source is moved: more than the tolerance in the 24 years to the farther epoch.
    fn is_mover(&self, id: usize) -> bool {
        let (east, north) = self.motions[id];
        east.hypot(north) * 24.0 / 1_000.0 > 0.1
    }

    fn place(&self, id: usize, epoch: f64) -> (f64, f64) {
        let years = epoch - EPOCH;
        if self.is_mover(id) && years != 0.0 { sky::moved(self.rows[id], self.motions[id], years) } else { self.rows[id] }
    }

    fn check(&self, epoch: Option<f64>, positions: &[(f64, f64)], radius: f64, edge: f64) -> usize {
        let mut hits = Hits::default();
        self.index.find(&Cones { positions, radius: Radius::All(radius), epoch }, &mut hits);
        for (query, position) in positions.iter().enumerate() {
            let mut got: Vec<u32> = hits.of(query).iter().map(|h| number(&self.index, h.row)).collect();
            got.sort_unstable();
            let place = |id| self.place(id, epoch.unwrap_or(EPOCH));
            let distance = |id: u32| sky::separation(*position, place(id as usize));
            let expected = (0..self.rows.len() as u32)
                .filter(|id| {
                    let distance = distance(*id);
                    distance <= radius - edge || (distance <= radius + edge && got.contains(id))
                })
                .collect::<Vec<u32>>();
            assert_eq!(got, expected, "{position:?} at {radius} in {epoch:?}");
            assert!(hits.of(query).iter().all(|h| (h.distance - distance(number(&self.index, h.row))).abs() <= edge));
        }
        hits.total()
    }
}

#[test]
fn movers_are_found_where_they_are_at_the_epoch() {
    for (keep, edge) in [(Keep::Everything, 1e-9), (Keep::RowNumbers, 0.000_17)] {
        let sky = moving(keep);
        let movers = (0..sky.rows.len()).filter(|id| sky.is_mover(*id)).count();
        assert_eq!(sky.index.movers() as usize, movers);
        assert!(movers > 500 && movers < sky.rows.len());
        let mut found = 0;
        for epoch in [None, Some(2016.0), Some(2010.0), Some(2031.7), Some(2040.0), Some(1950.0)] {
            for radius in [0.001, 1.5, 30.0, 3_600.0] {
                // Where sources are then, where they were, and between.
                let at = |i: usize| if i.is_multiple_of(3) { sky.rows[i] } else { sky.place(i, epoch.unwrap_or(EPOCH)) };
                let positions: Vec<(f64, f64)> = (0..sky.rows.len()).step_by(11).map(at).collect();
                found += sky.check(epoch, &positions, radius, edge);
            }
        }
        assert!(found > 4_000, "{found}");
    }
}

/// Motions are given, and nobody asks for them: nothing moves, and the file has no movers.
#[test]
fn without_a_rule_nothing_moves() {
    let folder = folder();
    let path = folder.path().join("m.zones");
    let mut builder = Builder::create(&path, keeping(Keep::Everything)).unwrap();
    let given = Batch { motion: Some((&[5_000.0], &[5_000.0])), ..batch(numbers(1), &[10.0], &[20.0]) };
    builder.push(&given).unwrap();
    builder.finish(&mut |_| ()).unwrap();
    let index = ZoneIndex::open(&path).unwrap();
    let mut hits = Hits::default();
    index.search_at(2040.0, &[(10.0, 20.0)], 0.001, &mut hits);
    assert_eq!((index.movers(), hits.total()), (0, 1));
}

/// A watch list: each entry with a radius from nothing to half the sky.
#[test]
fn entries_have_radii_of_their_own() {
    let folder = folder();
    let mut dice = Dice(12);
    let rows = sources(&mut dice);
    let (ra, dec): (Vec<f64>, Vec<f64>) = rows.iter().copied().unzip();
    let radii: Vec<f64> = (0..rows.len())
        .map(|i| match i % 10 {
            0 => 0.0,
            1 => 1.5,
            _ => 10f64.powf(dice.within(-3.0, 5.5)),
        })
        .collect();
    for keep in [Keep::Everything, Keep::RowNumbers] {
        let path = folder.path().join("w.zones");
        let mut builder = Builder::create(&path, keeping(keep)).unwrap();
        builder.push(&Batch { radius: Some(&radii), ..batch(numbers(rows.len()), &ra, &dec) }).unwrap();
        builder.finish(&mut |_| ()).unwrap();
        let index = ZoneIndex::open(&path).unwrap();
        index.verify().unwrap();
        assert!(index.classes.len() > 15);
        let exact = keep == Keep::Everything;
        let mut positions: Vec<(f64, f64)> = (0..300).map(|_| dice.anywhere()).collect();
        positions.extend((0..600).map(|i| dice.near(rows[i], 1.5 * radii[i])));
        if exact {
            positions.extend(&rows[..200]);
        }
        let (mut hits, mut found) = (Hits::default(), 0);
        index.find(&Cones { positions: &positions, radius: Radius::Own(1.0), epoch: None }, &mut hits);
        for (query, position) in positions.iter().enumerate() {
            let mut got: Vec<u32> = hits.of(query).iter().map(|h| number(&index, h.row)).collect();
            got.sort_unstable();
            let edge = if exact { 0.0 } else { 0.000_17 };
            let inside = |id: &u32| {
                let distance = sky::separation(*position, rows[*id as usize]);
                let radius = radii[*id as usize];
                distance <= radius - edge || (distance <= radius + edge && got.contains(id))
            };
            let expected: Vec<u32> = (0..rows.len() as u32).filter(inside).collect();
            assert_eq!(got, expected, "{position:?}");
            assert!(hits.of(query).iter().all(|h| h.distance <= index.radius(h.row).unwrap()));
            found += got.len();
        }
        assert!(found > 1_000, "{found}");
        // The same list with one radius for all.
        index.search(&rows, 0.1, &mut hits);
        assert!((0..rows.len()).all(|query| !hits.of(query).is_empty()));
    }
}

/// A catalogue without radii has nobody in whose radius a position could be.
#[test]
fn without_radii_nothing_is_in_its_own() {
    let folder = folder();
    let index = super::build(&folder.path().join("a.zones"), &[(1.0, 2.0)], keeping(Keep::Everything));
    let mut hits = Hits::default();
    index.find(&Cones { positions: &[(1.0, 2.0)], radius: Radius::Own(1.0), epoch: None }, &mut hits);
    assert_eq!((hits.queries(), hits.total(), index.radius(0)), (1, 0, None));
}
