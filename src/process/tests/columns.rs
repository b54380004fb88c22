//! The columns of matches, held against ones that are made row by row, for batches of all sizes in which rows fall at each step.

use arrow_array::types::Float64Type;

use super::matching::{ARCSEC, bools, column, index, ints, texts};
use super::*;

/// Places with sources, the northern ones covered by an index.
const STATIONS: usize = 10;

fn station(number: usize) -> (f64, f64) {
    (10.0 + 3.0 * number as f64, if number.is_multiple_of(2) { 60.0 } else { -60.0 })
}

/// Separation of a source from its station, arcseconds: no two catalogues and no two stations have the same.
fn separation(catalog: usize, station: usize, source: usize) -> f64 {
    0.05 + 0.1 * catalog as f64 + 0.02 * station as f64 + 0.2 * source as f64
}

/// Numbers without an order (splitmix64), below `end`.
fn random(state: &mut u64, end: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % end
}

/// A catalogue with so many sources at each station; the step that asks it tries rows with a score of more than `score`.
struct Made {
    id: &'static str,
    sources: [usize; STATIONS],
    limit: usize,
    /// Whether it is an index, which knows what it covers and carries columns.
    index: bool,
    score: f64,
}

impl Made {
    fn rows(&self, number: usize) -> Vec<(i64, f64, f64, f64)> {
        let at = |k: usize, j: usize| (station(k).0, station(k).1 + separation(number, k, j) * ARCSEC);
        let places = (0..STATIONS).flat_map(|k| (0..self.sources[k]).map(move |j| at(k, j)));
        (0..).zip(places).map(|(id, (ra, dec))| (id, ra, dec, 1.0)).collect()
    }

    /// Row of the first source of a station.
    fn first(&self, station: usize) -> usize {
        self.sources[..station].iter().sum()
    }
}

#[test]
fn the_columns_of_each_catalogue_are_those_made_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = 11;
    let mut sources = |most: u64| std::array::from_fn(|_| random(&mut state, most + 1) as usize);
    let made = [
        Made { id: "a", sources: sources(4), limit: 2, index: true, score: 0.2 },
        Made { id: "b", sources: sources(2), limit: 100, index: false, score: 0.2 },
        Made { id: "none", sources: [0; STATIONS], limit: 100, index: true, score: 0.2 },
        Made { id: "c", sources: sources(1), limit: 100, index: true, score: 0.5 },
        Made { id: "d", sources: sources(3), limit: 1, index: false, score: 0.5 },
        Made { id: "e", sources: sources(3), limit: 100, index: true, score: 0.5 },
    ];
    let matched_by = |score: f64| {
        let of = |(number, made): (usize, &Made)| {
            let rows = made.rows(number);
            let path = match made.index {
                true => index(folder.path(), &format!("{}.skyz", made.id), &rows),
                false => {
                    let lines = rows.iter().map(|(id, ra, dec, _)| format!("{id},{ra},{dec:.9}\n")).collect::<String>();
                    let path = folder.path().join(format!("{}.csv", made.id));
                    std::fs::write(&path, format!("id,ra,dec\n{lines}")).unwrap();
                    path
                }
            };
            Matched { limit: made.limit as u32, ..Matched::within(&path, made.id, 1.5) }
        };
        made.iter().enumerate().filter(|(_, made)| made.score == score).map(of).collect()
    };
    let steps = [
        cut("some", "candidate.rb > 0.2"),
        matched("first", matched_by(0.2)),
        cut("fewer", "candidate.rb > 0.5"),
        matched("second", matched_by(0.5)),
    ];
    let chain = Chain::new(&steps, None).unwrap();
    let mut seen = [0; 4];
    for round in 0..60 {
        let rows = random(&mut state, 80) as usize;
        let sorts = if round % 3 == 0 { 1 } else { 3 };
        let scores: Vec<f64> = (0..rows).map(|_| [0.9, 0.3, 0.1][random(&mut state, sorts) as usize]).collect();
        // A few places beyond the stations, where there is nothing; in some batches nothing else.
        let from = if round % 7 == 0 { STATIONS } else { 0 };
        let at: Vec<Option<usize>> = (0..rows)
            .map(|_| (round % 2 == 0 || random(&mut state, 5) > 0).then(|| from + random(&mut state, 12) as usize))
            .collect();
        let records = records("rb", &scores.iter().copied().map(Some).collect::<Vec<_>>());
        let positions: Vec<Option<(f64, f64)>> = at.iter().map(|at| at.map(station)).collect();
        let out = chain.apply(&batch(vec![part(&schema("s", &records), records, &positions)])).unwrap();
        let out = &out.parts[0];
        let tried = |made: &Made, row: usize| at[row].filter(|_| scores[row] > made.score);
        let listed = |made: &Made, k: usize| made.sources.get(k).map_or(0, |n| *n.min(&made.limit));
        for (number, made) in made.iter().enumerate() {
            let each = |of: &dyn Fn(usize) -> Option<i64>| (0..rows).map(|row| tried(made, row).and_then(of)).collect::<Vec<_>>();
            let path = |name: &str| format!("catalogs.{}.{name}", made.id);
            let flags = |name: &str| bools(out, &path(name)).into_iter().map(|b| b.map(i64::from)).collect::<Vec<_>>();
            let counts = ints(out, &path("matches")).into_iter().map(|n| n.map(i64::from)).collect::<Vec<_>>();
            assert_eq!(counts, each(&|k| Some(listed(made, k) as i64)), "{} {round}", made.id);
            let capped = each(&|k| Some(i64::from(made.sources.get(k).is_some_and(|n| *n > made.limit))));
            assert_eq!(flags("capped"), capped, "{} {round}", made.id);
            let covered = |k: usize| i64::from(k.is_multiple_of(2) || listed(made, k) > 0);
            assert_eq!(flags("covered"), each(&|k| made.index.then(|| covered(k))), "{} {round}", made.id);
            let distance = column(out, &path("distance"));
            let micro = |arcsec: f64| (arcsec * 1e4).round() as i64;
            let found: Vec<Option<i64>> = distance.as_primitive::<Float64Type>().iter().map(|d| d.map(micro)).collect();
            let nearest = each(&|k| (listed(made, k) > 0).then(|| micro(separation(number, k, 0))));
            assert_eq!(found, nearest, "{} {round}", made.id);
            if made.index {
                let kinds: Vec<Option<String>> = each(&|k| (listed(made, k) > 0).then(|| made.first(k) as i64))
                    .into_iter()
                    .map(|first| first.map(|first| format!("s{first}")))
                    .collect();
                assert_eq!(texts(out, &path("kind")), kinds, "{} {round}", made.id);
            }
            seen[0] += capped.iter().flatten().sum::<i64>();
            seen[1] += nearest.iter().flatten().count() as i64;
        }
        for row in 0..rows {
            let asked = made.iter().any(|made| tried(made, row).is_some());
            let of = |made: &Made| -> Vec<String> {
                let Some(k) = tried(made, row) else { return Vec::new() };
                (0..listed(made, k)).map(|j| format!("{}/{}/{}", made.id, made.first(k) + j, 100 + row)).collect()
            };
            let list: Vec<String> = made.iter().flat_map(of).collect();
            assert_eq!(matches(out)[row], asked.then_some(list.len() as i32), "{round}");
            seen[2] += list.len() as i64;
            seen[3] += i64::from(!asked);
            assert_eq!(found(out, row), asked.then_some(list), "{round}");
        }
    }
    assert!(seen.iter().all(|seen| *seen > 100), "{seen:?}");
}
