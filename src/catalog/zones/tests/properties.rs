//! Properties that hold for any catalogue and any cone.

use proptest::prelude::*;

use super::{build, folder, found, keeping};
use crate::catalog::Hits;
use crate::catalog::zones::{Keep, Options};
use crate::sky;

/// Positions anywhere, at the poles, along right ascension 0, and on a coarse grid, so that many are the same.
fn position() -> impl Strategy<Value = (f64, f64)> {
    prop_oneof![
        (0.0..360.0f64, -1.0..1.0f64).prop_map(|(ra, z)| (ra, z.asin().to_degrees())),
        (0.0..360.0f64, 0.0..20.0f64, any::<bool>()).prop_map(|(ra, off, north)| {
            let dec = 90.0 - off / 3_600.0;
            (ra, if north { dec } else { -dec })
        }),
        (-10.0..10.0f64, -90.0..=90.0f64).prop_map(|(off, dec)| (sky::normalise_ra(off / 3_600.0), dec)),
        (0..36u8, -9..=9i8).prop_map(|(ra, dec)| (f64::from(ra) * 10.0, f64::from(dec) * 10.0)),
    ]
}

fn radius() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), (-4.0..5.82f64).prop_map(|log| 10f64.powf(log)), Just(648_000.0)]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if std::env::var_os("SKYSLUICE_LONG").is_some() { 5_000 } else { 300 },
        ..ProptestConfig::default()
    })]

    /// What is found is what a look at each source finds, with its distance.
    #[test]
    fn all_within_and_nothing_else(
        rows in prop::collection::vec(position(), 0..200), asked in prop::collection::vec(position(), 1..70),
        radius in radius(), rows_per_cell in 1u32..40, exact in any::<bool>(),
    ) {
        let folder = folder();
        let keep = if exact { Keep::Everything } else { Keep::RowNumbers };
        let options = Options { rows_per_cell, ..keeping(keep) };
        let index = build(&folder.path().join("p.zones"), &rows, options);
        let mut hits = Hits::default();
        index.search(&asked, radius, &mut hits);
        // Where a source is to the index, by its id.
        let mut places = vec![(0.0, 0.0); rows.len()];
        (0..rows.len() as u32).for_each(|row| places[super::number(&index, row) as usize] = index.position(row));
        for (query, position) in asked.iter().enumerate() {
            let distances = places.iter().map(|p| sky::separation(*position, *p));
            let mut expected: Vec<(f64, u32)> = distances.zip(0u32..).filter(|(d, _)| *d <= radius).collect();
            expected.sort_by(|a, b| a.partial_cmp(b).unwrap());
            prop_assert_eq!(found(&index, &hits, query), expected, "{:?} {}", position, radius);
        }
    }

    /// A wider cone holds a narrower one, and one at a time is as all together.
    #[test]
    fn cones_are_nested(rows in prop::collection::vec(position(), 1..200), asked in prop::collection::vec(position(), 1..40),
        radius in radius(), more in 1.0..3.0f64) {
        let folder = folder();
        let index = build(&folder.path().join("p.zones"), &rows, keeping(Keep::Everything));
        let (mut narrow, mut wide, mut single) = (Hits::default(), Hits::default(), Hits::default());
        index.search(&asked, radius, &mut narrow);
        index.search(&asked, radius * more, &mut wide);
        for (query, position) in asked.iter().enumerate() {
            prop_assert_eq!(narrow.of(query), &wide.of(query)[..narrow.of(query).len()]);
            index.search(&[*position], radius, &mut single);
            prop_assert_eq!(narrow.of(query), single.of(0));
        }
    }
}
