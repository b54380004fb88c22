//! The zone index against astropy: `search_around_sky` and `match_to_catalog_sky` on the same positions.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::sync::Arc;

use arrow_array::Int64Array;
use skysluice::catalog::Hits;
use skysluice::catalog::zones::{Batch, Builder, Id, Options, ZoneIndex};
use support::python::Python;
use support::scratch::Scratch;

/// Arcseconds, and how many positions are asked for in each.
const RADII: [(f64, usize); 5] = [(0.001, 20_000), (1.5, 20_000), (30.0, 20_000), (3_600.0, 1_000), (90_000.0, 20)];

/// Positions that a test of a cross-match must have, from numpy's generator: made by the script, so that the two sides share
/// nothing but bytes.
fn positions(file: &Path) -> Vec<(f64, f64)> {
    let bytes = std::fs::read(file).unwrap();
    let numbers: Vec<f64> = bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
    numbers.chunks_exact(2).map(|p| (p[0], p[1])).collect()
}

#[test]
fn cones_and_neighbours_are_those_of_astropy() {
    let Some(python) = Python::ready() else { return };
    let scratch = Scratch::new("zones-astropy");
    let folder = scratch.path().to_str().unwrap().to_owned();
    let radii = RADII.map(|(radius, count)| format!("{radius}:{count}"));
    let arguments = |step: &str| [vec![step.to_owned(), folder.clone()], radii.to_vec()].concat();
    python.run("check_zones.py", arguments("make"));

    let rows = positions(&scratch.join("rows.f64"));
    let path = scratch.join("catalog.zones");
    let mut builder = Builder::create(&path, Options::default()).unwrap();
    let (ra, dec): (Vec<f64>, Vec<f64>) = rows.iter().copied().unzip();
    let id = Arc::new(Int64Array::from_iter_values(0..rows.len() as i64));
    builder.push(&Batch { id, ra: &ra, dec: &dec, motion: None, radius: None, carried: None }).unwrap();
    builder.finish(&mut |_| ()).unwrap();
    let index = ZoneIndex::open(&path).unwrap();
    let mut hits = Hits::default();
    for (radius, count) in RADII {
        let asked = positions(&scratch.join(format!("asked-{radius}.f64")));
        assert_eq!(asked.len(), count);
        index.search(&asked, radius, &mut hits);
        let mut out = Vec::new();
        for query in 0..count {
            for hit in hits.of(query) {
                let Id::Number(id) = index.id(hit.row) else { panic!("ids are numbers") };
                for number in [query as f64, id as f64, hit.distance] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
        scratch.write(&format!("found-{radius}.f64"), out);
    }
    let said = python.run("check_zones.py", arguments("check"));
    let pairs = said["pairs"].as_u64().unwrap();
    assert!(pairs > 50_000 && said["nearest"].as_u64().unwrap() > 10_000, "{said}");
}
