//! Cones: against brute force, against the k-d tree, at the edges.

use super::{build, folder, found, galactic, keeping};
use crate::catalog::tests::{Dice, haversine, sources};
use crate::catalog::zones::{Cones, Keep, Options, Radius, ZoneIndex};
use crate::catalog::{Catalog, Hits};
use crate::sky;

/// Radii and the share of the questions that each is asked in.
const RADII: [(f64, usize); 6] = [(0.001, 30), (1.5, 25), (5.0, 20), (30.0, 20), (3_600.0, 5), (90_000.0, 1)];

/// Hundredths of the questions: 100,000 of them with `SKYSLUICE_LONG`, a tenth otherwise.
fn share() -> usize {
    if std::env::var_os("SKYSLUICE_LONG").is_some() { 1_000 } else { 100 }
}

fn questions(dice: &mut Dice, rows: &[(f64, f64)], radius: f64, count: usize) -> Vec<(f64, f64)> {
    let question = |i: usize| match i % 4 {
        0 => dice.anywhere(),
        1 => rows[i % rows.len()],
        _ => dice.near(rows[i % rows.len()], 2.0 * radius),
    };
    (0..count).map(question).collect()
}

/// Brute force: unit vectors to choose, another formula than the search's to decide. `edge`: arcseconds in which either answer
/// is right, and by which distances may differ.
fn check(index: &ZoneIndex, rows: &[(f64, f64)], positions: &[(f64, f64)], radius: f64, edge: f64, hits: &Hits) {
    let vectors: Vec<[f64; 3]> = rows.iter().map(|p| sky::unit_vector(p.0, p.1)).collect();
    let wide = sky::squared_chord((radius + edge) / sky::ARCSEC_PER_RADIAN).sqrt() + 1e-12;
    assert_eq!(hits.queries(), positions.len());
    for (query, &position) in positions.iter().enumerate() {
        let [x, y, z] = sky::unit_vector(position.0, position.1);
        let mut got: Vec<(u32, f64)> = found(index, hits, query).into_iter().map(|(d, id)| (id, d)).collect();
        got.sort_by_key(|g| g.0);
        assert!(got.windows(2).all(|w| w[0].0 < w[1].0), "a source is found twice: {position:?} at {radius}");
        let mut expected = Vec::new();
        for (id, v) in (0u32..).zip(&vectors) {
            if (v[0] - x).powi(2) + (v[1] - y).powi(2) + (v[2] - z).powi(2) > wide * wide {
                continue;
            }
            let distance = haversine(position, rows[id as usize]);
            let there = || got.binary_search_by_key(&id, |g| g.0).is_ok();
            if distance <= radius - edge || (distance <= radius + edge && there()) {
                expected.push((id, distance));
            }
        }
        let ids = |of: &[(u32, f64)]| of.iter().map(|o| o.0).collect::<Vec<_>>();
        assert_eq!(ids(&got), ids(&expected), "{position:?} at {radius}");
        for (g, e) in got.iter().zip(&expected) {
            assert!((g.1 - e.1).abs() <= edge.max(1e-6) && g.1 <= radius, "{position:?} at {radius}: {g:?} {e:?}");
        }
    }
}

fn against_brute_force(rows: &[(f64, f64)], seed: u64, edge: f64, options: Options) {
    let folder = folder();
    let index = build(&folder.path().join("a.zones"), rows, options);
    let (mut dice, mut hits, mut total) = (Dice(seed), Hits::default(), 0);
    for (radius, weight) in RADII {
        let positions = questions(&mut dice, rows, radius, weight * share());
        for some in positions.chunks(1_000) {
            index.search(some, radius, &mut hits);
            check(&index, rows, some, radius, edge, &hits);
            total += hits.total();
        }
    }
    assert!(total > 10_000, "the questions must find something: {total}");
}

#[test]
fn search_equals_brute_force() {
    against_brute_force(&sources(&mut Dice(42)), 1, 1e-9, keeping(Keep::Everything));
}

/// All zones high and low, cells of one row and of thousands: geometry must not depend on them.
#[test]
fn search_equals_brute_force_whatever_the_cells() {
    for (seed, rows_per_cell) in [(2, 1), (3, 100), (4, 65_536)] {
        against_brute_force(&sources(&mut Dice(seed)), seed, 1e-9, Options { rows_per_cell, ..keeping(Keep::Everything) });
    }
}

#[test]
fn search_equals_brute_force_on_a_sky_as_ours() {
    let mut dice = Dice(5);
    let rows = galactic(&mut dice, 4_000);
    against_brute_force(&rows, 5, 1e-9, keeping(Keep::Everything));
}

/// Without payload distances are those of the quanta, and what is that close to the edge may be on either side of it.
#[test]
fn positions_alone_are_right_to_their_stated_error() {
    against_brute_force(&sources(&mut Dice(6)), 6, 0.000_17, keeping(Keep::RowNumbers));
    let folder = folder();
    let rows = sources(&mut Dice(6));
    let with = build(&folder.path().join("a.zones"), &rows, keeping(Keep::Everything));
    let bare = build(&folder.path().join("b.zones"), &rows, keeping(Keep::Positions));
    assert_eq!((with.position_error(), bare.position_error()), (0.0, 0.000_169));
    let (mut a, mut b) = (Hits::default(), Hits::default());
    with.search(&rows, 30.0, &mut a);
    bare.search(&rows, 30.000_17, &mut b);
    for query in 0..rows.len() {
        // The rows are the same, the ids are the rows.
        assert!(
            a.of(query).iter().all(|hit| b.of(query).iter().any(|h| h.row == hit.row && super::number(&bare, h.row) == h.row))
        );
    }
}

/// The two engines: same sources, same distances, bit for bit.
#[test]
fn zones_equal_the_tree() {
    let mut dice = Dice(7);
    let mut rows = sources(&mut dice);
    rows.extend(galactic(&mut dice, 20_000));
    let folder = folder();
    let index = build(&folder.path().join("a.zones"), &rows, keeping(Keep::Everything));
    let tree = Catalog::new("tree", rows.iter().enumerate().map(|(i, p)| (i.to_string(), p.0, p.1))).unwrap();
    let (mut zones, mut other) = (Hits::default(), Hits::default());
    for (radius, weight) in RADII {
        for some in questions(&mut dice, &rows, radius, weight * share()).chunks(500) {
            index.search(some, radius, &mut zones);
            tree.search(some, radius, &mut other);
            for (query, position) in some.iter().enumerate() {
                let mut expected: Vec<(f64, u32)> = other.of(query).iter().map(|h| (h.distance, h.row)).collect();
                expected.sort_by(|a, b| a.partial_cmp(b).unwrap());
                assert_eq!(found(&index, &zones, query), expected, "{position:?} at {radius}");
            }
        }
    }
}

#[test]
fn odd_questions_have_plain_answers() {
    let folder = folder();
    let mut hits = Hits::default();
    let empty = build(&folder.path().join("none"), &[], keeping(Keep::Everything));
    empty.search(&[(1.0, 2.0)], 1e6, &mut hits);
    assert_eq!((hits.queries(), hits.total(), empty.covers(1.0, 2.0)), (1, 0, None));

    let index = build(&folder.path().join("three"), &[(360.0, 0.0), (180.0, 0.0), (0.0, 90.0)], keeping(Keep::Everything));
    let ask = |position, radius, hits: &mut Hits| {
        index.search(&[position], radius, hits);
        hits.of(0).iter().map(|h| super::number(&index, h.row)).collect::<Vec<_>>()
    };
    assert_eq!(ask((0.0, 0.0), 0.0, &mut hits), [0]);
    assert_eq!(ask((360.0, 0.0), 0.0, &mut hits), [0]);
    assert_eq!(ask((-720.0, 0.0), 0.0, &mut hits), [0]);
    assert_eq!(ask((77.0, 90.0), 1e-9, &mut hits), [2]);
    assert_eq!(ask((0.0, 0.0), 648_000.0, &mut hits), [0, 2, 1]);
    assert_eq!(ask((0.0, 0.0), 1e12, &mut hits), [0, 2, 1]);
    for (position, radius) in [
        ((0.0, 0.0), -1.0),
        ((0.0, 0.0), f64::NAN),
        ((f64::NAN, 0.0), 648_000.0),
        ((0.0, f64::INFINITY), 648_000.0),
        ((0.0, 90.1), 648_000.0),
    ] {
        assert_eq!(ask(position, radius, &mut hits), [0u32; 0], "{position:?} {radius}");
    }
    // The edge belongs to the cone, the next number below does not.
    let edge = sky::separation((0.3, 0.1), (0.0, 0.0));
    assert_eq!(ask((0.3, 0.1), edge, &mut hits), [0]);
    assert_eq!(ask((0.3, 0.1), edge.next_down(), &mut hits), [0u32; 0]);
    // An answer to nothing, and to batches of every length around a group's.
    index.search(&[], 1.0, &mut hits);
    assert_eq!(hits.queries(), 0);
    for count in [1, 31, 32, 33, 64, 100] {
        index.search(&vec![(f64::NAN, 0.0); count], 1.0, &mut hits);
        assert_eq!((hits.queries(), hits.total()), (count, 0));
        index.search(&vec![(0.0, 0.0); count], 1.0, &mut hits);
        assert_eq!((hits.queries(), hits.total()), (count, count));
    }
}

#[test]
fn each_position_may_have_its_radius() {
    let folder = folder();
    let rows = sources(&mut Dice(8));
    let index = build(&folder.path().join("a.zones"), &rows, keeping(Keep::Everything));
    let mut dice = Dice(9);
    let positions = questions(&mut dice, &rows, 60.0, 500);
    let radii: Vec<f64> =
        (0..positions.len()).map(|i| if i % 50 == 0 { f64::NAN } else { 10f64.powf(dice.within(-3.0, 5.0)) }).collect();
    let (mut all, mut one) = (Hits::default(), Hits::default());
    // The last ten have no radius.
    index.find(&Cones { positions: &positions, radius: Radius::Each(&radii[..490]), epoch: None }, &mut all);
    assert_eq!(all.queries(), positions.len());
    for (query, position) in positions.iter().enumerate() {
        index.search(&[*position], if query < 490 { radii[query] } else { -1.0 }, &mut one);
        assert_eq!(all.of(query), one.of(0), "{position:?}");
    }
}

/// A search that has seen its widest batch has what it needs; groups of every kind in one batch do not disturb each other.
#[test]
fn wide_and_narrow_cones_go_together() {
    let folder = folder();
    let rows = galactic(&mut Dice(10), 30_000);
    let index = build(&folder.path().join("a.zones"), &rows, keeping(Keep::Everything));
    let positions: Vec<(f64, f64)> = rows[..200].to_vec();
    let radii: Vec<f64> = (0..200).map(|i| [648_000.0, 0.0, 200_000.0, 1.5, 324_000.0][i % 5]).collect();
    let mut hits = Hits::default();
    index.find(&Cones { positions: &positions, radius: Radius::Each(&radii), epoch: None }, &mut hits);
    for query in (0..200).step_by(5) {
        assert_eq!(hits.of(query).len(), rows.len());
        assert!(hits.of(query + 1).iter().any(|h| h.distance == 0.0));
        let half = rows.iter().filter(|r| sky::separation(positions[query + 4], **r) <= 324_000.0).count();
        assert_eq!(hits.of(query + 4).len(), half);
    }
}
