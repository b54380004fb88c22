//! The search against brute force, and what loading says of bad files.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;

use super::{Catalog, CatalogError, Cones, Hits, Opening, Radius};
use crate::config::Engine;
use crate::sky;

/// Numbers that look random: splitmix64.
pub(in crate::catalog) struct Dice(pub u64);

impl Dice {
    /// In [0, 1).
    #[allow(clippy::cast_precision_loss)]
    pub(in crate::catalog) fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(in crate::catalog) fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.roll()
    }

    /// Uniform on the sphere.
    pub(in crate::catalog) fn anywhere(&mut self) -> (f64, f64) {
        (self.within(0.0, 360.0), self.within(-1.0, 1.0).asin().to_degrees())
    }

    /// About `arcsec` away from a position at most, in any direction, by turning the unit vector.
    pub(in crate::catalog) fn near(&mut self, (ra, dec): (f64, f64), arcsec: f64) -> (f64, f64) {
        let (r, turn) = (self.roll().sqrt() * arcsec / sky::ARCSEC_PER_RADIAN, self.within(0.0, std::f64::consts::TAU));
        let (east, north) = (r.sin() * turn.sin(), r.sin() * turn.cos());
        let (sa, ca) = ra.to_radians().sin_cos();
        let (sd, cd) = dec.to_radians().sin_cos();
        let x = r.cos() * cd * ca - east * sa - north * sd * ca;
        let y = r.cos() * cd * sa + east * ca - north * sd * sa;
        let z = r.cos() * sd + north * cd;
        (sky::normalise_ra(y.atan2(x).to_degrees()), z.atan2(x.hypot(y)).to_degrees())
    }
}

/// Everywhere, along RA 0, at and around the poles, on the poles, duplicates, and pairs 0.1 to 3 mas apart.
pub(in crate::catalog) fn sources(dice: &mut Dice) -> Vec<(f64, f64)> {
    let arcsec = 1.0 / 3_600.0;
    let mut all: Vec<(f64, f64)> = (0..1_000).map(|_| dice.anywhere()).collect();
    all.extend((0..200).map(|_| (sky::normalise_ra(dice.within(-10.0, 10.0) * arcsec), dice.within(-60.0, 60.0))));
    all.extend((0..100).map(|_| (dice.within(0.0, 360.0), 90.0 - dice.within(0.0, 20.0) * arcsec)));
    all.extend((0..100).map(|_| (dice.within(0.0, 360.0), -90.0 + dice.within(0.0, 20.0) * arcsec)));
    all.extend([(0.0, 90.0), (123.0, 90.0), (0.0, -90.0), (200.0, -90.0), (0.0, 0.0), (180.0, 0.0)]);
    for i in 0..100 {
        let twin = all[i];
        all.push(twin);
        let pair = dice.near(twin, 0.003);
        all.push(pair);
    }
    let many = all[7];
    all.extend(std::iter::repeat_n(many, 100));
    all
}

/// Haversine, another formula than the search uses.
pub(in crate::catalog) fn haversine(a: (f64, f64), b: (f64, f64)) -> f64 {
    let half = |x: f64| (x.to_radians() / 2.0).sin().powi(2);
    let h = half(b.1 - a.1) + a.1.to_radians().cos() * b.1.to_radians().cos() * half(b.0 - a.0);
    2.0 * h.sqrt().clamp(0.0, 1.0).asin() * sky::ARCSEC_PER_RADIAN
}

#[test]
fn search_equals_brute_force_on_a_hundred_thousand_positions() {
    let mut dice = Dice(42);
    let rows = sources(&mut dice);
    let vectors: Vec<[f64; 3]> = rows.iter().map(|p| sky::unit_vector(p.0, p.1)).collect();
    let catalog = Catalog::new("all", rows.iter().enumerate().map(|(i, p)| (i.to_string(), p.0, p.1))).unwrap();
    let (mut hits, mut asked, mut found) = (Hits::default(), 0, 0);
    for (radius, queries) in [(0.001, 30_000), (1.5, 25_000), (5.0, 20_000), (30.0, 20_000), (3_600.0, 4_500), (90_000.0, 500)] {
        let positions: Vec<(f64, f64)> = (0..queries)
            .map(|i| match i % 4 {
                0 => dice.anywhere(),
                1 => rows[i % rows.len()],
                _ => dice.near(rows[i % rows.len()], 2.0 * radius),
            })
            .collect();
        catalog.search(&positions, radius, &mut hits);
        assert_eq!(hits.queries(), queries);
        let wide = sky::squared_chord(radius / sky::ARCSEC_PER_RADIAN).sqrt() + 1e-12;
        for (query, &position) in positions.iter().enumerate() {
            let [x, y, z] = sky::unit_vector(position.0, position.1);
            let got = hits.of(query);
            let mut expected = Vec::new();
            for (row, v) in vectors.iter().enumerate() {
                if (v[0] - x).powi(2) + (v[1] - y).powi(2) + (v[2] - z).powi(2) > wide * wide {
                    continue;
                }
                let distance = haversine(position, rows[row]);
                // A source on the very edge may fall on either side of it by rounding.
                let row = u32::try_from(row).unwrap();
                if distance <= radius - 1e-9 || (distance <= radius + 1e-9 && got.iter().any(|h| h.row == row)) {
                    expected.push((row, distance));
                }
            }
            let mut rows_found: Vec<u32> = got.iter().map(|h| h.row).collect();
            rows_found.sort_unstable();
            assert_eq!(rows_found, expected.iter().map(|e| e.0).collect::<Vec<_>>(), "{position:?} at {radius}");
            for hit in got {
                let distance = expected.iter().find(|e| e.0 == hit.row).unwrap().1;
                assert!((hit.distance - distance).abs() < 1e-6 && hit.distance <= radius);
            }
            assert!(got.windows(2).all(|w| (w[0].distance, w[0].row) < (w[1].distance, w[1].row)));
        }
        asked += queries;
        found += hits.total();
    }
    assert_eq!(asked, 100_000);
    assert!(found > 100_000, "the positions must find something: {found}");
}

#[test]
fn odd_questions_have_plain_answers() {
    let mut hits = Hits::default();
    let empty = Catalog::new("none", Vec::<(&str, f64, f64)>::new()).unwrap();
    empty.search(&[(1.0, 2.0)], 1e6, &mut hits);
    assert_eq!((hits.queries(), hits.total()), (1, 0));

    let catalog = Catalog::new("three", [("a", 360.0, 0.0), ("b", 180.0, 0.0), ("c", 0.0, 90.0)]).unwrap();
    let found = |position, radius, hits: &mut Hits| {
        catalog.search(&[position], radius, hits);
        hits.of(0).iter().map(|h| catalog.source_id(h.row).to_string()).collect::<String>()
    };
    assert_eq!(found((0.0, 0.0), 0.0, &mut hits), "a");
    assert_eq!(catalog.position(0), (0.0, 0.0));
    assert_eq!(found((77.0, 90.0), 1e-9, &mut hits), "c");
    assert_eq!(found((0.0, 0.0), 648_000.0, &mut hits), "acb");
    assert_eq!(found((0.0, 0.0), 1e12, &mut hits), "acb");
    assert_eq!(found((0.0, 0.0), -1.0, &mut hits), "");
    assert_eq!(found((0.0, 0.0), f64::NAN, &mut hits), "");
    assert_eq!(found((f64::NAN, 0.0), 648_000.0, &mut hits), "");
    assert_eq!(found((0.0, f64::INFINITY), 648_000.0, &mut hits), "");
    // The edge belongs to the cone, the next number below does not, whatever the tree proposes.
    let edge = sky::separation((0.3, 0.1), (0.0, 0.0));
    assert_eq!(found((0.3, 0.1), edge, &mut hits), "a");
    assert_eq!(found((0.3, 0.1), edge.next_down(), &mut hits), "");
    assert!(Catalog::new("bad", [("a", f64::NAN, 0.0)]).is_err());
}

fn load(text: &str) -> Result<Catalog, CatalogError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    Catalog::open(&Opening::of(file.path()))
}

fn id(catalog: &Catalog, row: u32) -> String {
    catalog.source_id(row).to_string()
}

#[test]
fn a_table_is_opened_as_it_is() {
    let catalog = load("# made by hand\nmag,dec,ra,id\n1,90,360,\"a, b\"\n2,-90,-1e-30,c\n3,0,-10,d\n").unwrap();
    assert_eq!((id(&catalog, 0).as_str(), id(&catalog, 1).as_str()), ("a, b", "c"));
    assert_eq!((catalog.position(0), catalog.position(1), catalog.position(2)), ((0.0, 90.0), (0.0, -90.0), (350.0, 0.0)));
    assert_eq!((catalog.engine(), catalog.version(), catalog.schema().fields().len()), (Engine::KdTree, "", 0));
    let error = load("id,ra,dec\na,1,2\nb,x,2\n").unwrap_err().to_string();
    assert!(error.contains("line 3") && error.contains("`x`"), "{error}");
    assert!(matches!(Catalog::open(&Opening::of(Path::new("/nowhere.csv"))), Err(CatalogError::Open { .. })));
}

#[test]
fn doubtful_ids_are_warned_about() {
    let catalog = load("id,ra,dec\na,1,2\na,3,4\n,5,6\n").unwrap();
    assert_eq!(catalog.len(), 3);
    let warnings = catalog.warnings().join("\n");
    assert!(warnings.contains("1 sources without an id: line 4"), "{warnings}");
    assert!(warnings.contains("1 ids used again: `a` in line 2 and line 3"), "{warnings}");
    assert!(load("id,ra,dec\n").unwrap().warnings()[0].contains("holds no source"));
}

#[test]
fn the_sample_catalogue_is_sound() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalogs/sample.csv");
    let catalog = Catalog::open(&Opening::of(&path)).unwrap();
    assert_eq!(catalog.warnings(), &[] as &[String]);
    assert_eq!(catalog.len(), 122);
    let mut hits = Hits::default();
    // M 87, 12h30m49.42s +12d23m28.0s.
    catalog.search(&[(187.705_93, 12.391_12)], 1.0, &mut hits);
    assert_eq!(hits.of(0).iter().map(|h| id(&catalog, h.row)).collect::<Vec<_>>(), ["m-87"]);
}

/// A catalogue with proper motions and radii, once in memory and once as an index.
fn both(folder: &Path) -> [Catalog; 2] {
    let mut dice = Dice(11);
    let mut text = "id,ra,dec,pmra,pmdec,radius\n".to_owned();
    for (i, (ra, dec)) in sources(&mut dice).into_iter().enumerate() {
        let fast = if i % 50 == 0 { 2_000.0 } else { 20.0 };
        let (pm_ra, pm_dec) = (dice.within(-fast, fast), dice.within(-fast, fast));
        text += &format!("s{i},{ra:?},{dec:?},{pm_ra},{pm_dec},{}\n", 10f64.powf(dice.within(-3.0, 2.0)));
    }
    std::fs::write(folder.join("table.csv"), text).unwrap();
    let about = "name: both\nversion: v2\npath: table.csv\ncolumns: { id: id, ra: ra, dec: dec, epoch: 2016.0, pm_ra: pmra, pm_dec: pmdec, \
                 pm_unit: mas/yr, radius: radius }\ncarry: [pmra]\n";
    std::fs::write(folder.join("both.yaml"), about).unwrap();
    [Engine::KdTree, Engine::Zones].map(|engine| {
        let cache = Some(folder.join("cache"));
        let catalog = Catalog::open(&Opening { engine, cache, ..Opening::of(&folder.join("both.yaml")) }).unwrap();
        assert_eq!((catalog.engine(), catalog.id(), catalog.version()), (engine, "both", "v2"));
        catalog
    })
}

/// Ids and separations of each query. Equal separations come in the order of ids: rows are numbered differently.
fn named(catalog: &Catalog, hits: &Hits) -> Vec<Vec<(String, f64)>> {
    let of = |query: usize| {
        let mut all: Vec<_> = hits.of(query).iter().map(|h| (id(catalog, h.row), h.distance)).collect();
        all.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        all
    };
    (0..hits.queries()).map(of).collect()
}

/// The same ids at the same separations, but for what one of them has within a nanoarcsecond of its edge.
fn agree(a: &[(String, f64)], b: &[(String, f64)], edge: f64) -> bool {
    let sure = |all: &[(String, f64)]| all.iter().filter(|h| h.1 < edge - 1e-9).cloned().collect::<Vec<_>>();
    let (a, b) = (sure(a), sure(b));
    a.len() == b.len()
        && a.iter().zip(&b).all(|(a, b)| (a.1 - b.1).abs() < 1e-9)
        && a.iter().map(|h| &h.0).collect::<std::collections::BTreeSet<_>>() == b.iter().map(|h| &h.0).collect()
}

#[test]
fn both_engines_find_the_same_sources() {
    let folder = tempfile::tempdir().unwrap();
    let [tree, zones] = both(folder.path());
    assert!(tree.moves() && zones.moves() && tree.has_radii() && zones.has_radii());
    let mut dice = Dice(5);
    let from = |dice: &mut Dice, i: usize, reach: f64| match i % 4 {
        0 => dice.anywhere(),
        _ => dice.near(tree.position((i % tree.len()) as u32), 2.0 * reach),
    };
    let (mut a, mut b, mut found) = (Hits::default(), Hits::default(), 0);
    for (radius, epoch) in [
        (Radius::All(0.001), None),
        (Radius::All(1.5), None),
        (Radius::All(1.5), Some(2030.0)),
        (Radius::Own(1.0), Some(2019.5)),
        (Radius::All(30.0), Some(2016.0)),
        (Radius::All(3_600.0), None),
        (Radius::Own(1.0), None),
        (Radius::Own(3.0), Some(2016.0)),
    ] {
        let reach = if let Radius::All(radius) = radius { radius } else { 20.0 };
        let positions: Vec<(f64, f64)> = (0..5_000).map(|i| from(&mut dice, i, reach)).collect();
        let cones = Cones { positions: &positions, radius, epoch };
        tree.find(&cones, &mut a);
        zones.find(&cones, &mut b);
        found += a.total();
        let edge = if let Radius::All(radius) = radius { radius } else { f64::INFINITY };
        for (query, (a, b)) in named(&tree, &a).iter().zip(&named(&zones, &b)).enumerate() {
            assert!(agree(a, b, edge), "{radius:?} around {:?}: {a:?} {b:?}", positions[query]);
        }
    }
    assert!(found > 50_000, "{found}");
    // Movers are where they are at the epoch, in both.
    let mover = (0..tree.len() as u32).find(|row| id(&tree, *row) == "s50").unwrap();
    let there = |catalog: &Catalog| {
        let mut hits = Hits::default();
        let positions = [tree.position(mover)];
        catalog.find(&Cones { positions: &positions, radius: Radius::All(60.0), epoch: Some(2030.0) }, &mut hits);
        hits.of(0).iter().find(|h| id(catalog, h.row) == "s50").map(|h| h.distance)
    };
    let (a, b) = (there(&tree).unwrap(), there(&zones).unwrap());
    assert!((a - b).abs() < 1e-9 && a > 1.0, "{a} {b}");
}

#[test]
fn the_nearest_are_those_of_brute_force_however_far() {
    let folder = tempfile::tempdir().unwrap();
    let [tree, zones] = both(folder.path());
    let mut dice = Dice(3);
    let positions: Vec<(f64, f64)> = (0..300).map(|_| dice.anywhere()).collect();
    let mut hits = Hits::default();
    for catalog in [&tree, &zones] {
        for (count, within) in [(1, None), (7, None), (3, Some(7_200.0)), (1, Some(0.5)), (0, None), (5_000, None)] {
            catalog.nearest(&positions, count, within, None, &mut hits);
            for (query, &position) in positions.iter().enumerate() {
                let mut all: Vec<f64> = (0..catalog.len() as u32).map(|row| haversine(position, catalog.position(row))).collect();
                all.sort_by(f64::total_cmp);
                all.retain(|distance| within.is_none_or(|within| *distance <= within));
                all.truncate(count);
                let got: Vec<f64> = hits.of(query).iter().map(|h| h.distance).collect();
                let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-2;
                assert!(got.len() == all.len() && got.iter().zip(&all).all(near), "{count} within {within:?} of {position:?}");
            }
            if count > 7 {
                break;
            }
        }
    }
    let none = Catalog::new("none", Vec::<(&str, f64, f64)>::new()).unwrap();
    none.nearest(&positions, 2, None, None, &mut hits);
    assert_eq!((hits.queries(), hits.total()), (300, 0));
}
