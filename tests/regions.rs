//! Regions against astropy (separations), mocpy (MOCs, polygons) and numpy (boxes, polygons) on the same positions; the MOCs come
//! from files that mocpy has written.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use skysluice::sky::region::{Circle, Moc, Polygon, Region, RegionError, SkyBox};
use support::python::Python;
use support::scratch::Scratch;

fn pair(value: &Value) -> (f64, f64) {
    (value[0].as_f64().unwrap(), value[1].as_f64().unwrap())
}

fn region(scratch: &Scratch, described: &Value) -> Region {
    let name = described["name"].as_str().unwrap();
    let region: Result<Region, RegionError> = match described["kind"].as_str().unwrap() {
        "circle" => Circle::new(pair(&described["centre"]), described["radius"].as_f64().unwrap()).map(Region::from),
        "box" => SkyBox::new(pair(&described["ra"]), pair(&described["dec"])).map(Region::from),
        "polygon" => {
            let vertices: Vec<_> = described["vertices"].as_array().unwrap().iter().map(pair).collect();
            Polygon::new(&vertices).map(Region::from)
        }
        "moc" => Moc::read(&scratch.join(name)).map(|moc| {
            assert_eq!(moc.ranges().len() as u64, described["ranges"].as_u64().unwrap(), "ranges of {name}");
            moc.into()
        }),
        other => panic!("a region of kind {other}"),
    };
    region.unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn positions_lie_in_regions_as_astropy_mocpy_and_numpy_say() {
    let Some(python) = Python::ready() else { return };
    let scratch = Scratch::new("regions");
    let folder = scratch.path().to_str().unwrap().to_owned();
    let made = python.run("check_regions.py", ["make", &folder]);
    let bytes = std::fs::read(scratch.join("asked.f64")).unwrap();
    let numbers: Vec<f64> = bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
    let asked: Vec<(f64, f64)> = numbers.chunks_exact(2).map(|p| (p[0], p[1])).collect();
    let regions: Value = serde_json::from_slice(&std::fs::read(scratch.join("regions.json")).unwrap()).unwrap();
    let mut inside = Vec::new();
    for described in regions.as_array().unwrap() {
        region(&scratch, described).contains_all(&asked, &mut inside);
        let bytes: Vec<u8> = inside.iter().map(|inside| u8::from(*inside)).collect();
        scratch.write(&format!("{}.u8", described["name"].as_str().unwrap()), bytes);
    }
    let said = python.run("check_regions.py", ["check", &folder]);
    println!("{made} {said}");
    let number = |name: &str| said[name].as_u64().unwrap();
    assert!(made["regions"].as_u64().unwrap() >= 59, "{made}");
    assert!(number("compared") > 5_500_000 && number("inside") > 500_000 && number("mocpy") > 900_000, "{said}");

    // What mocpy writes of time is refused, and the words say why.
    for name in ["time.fits", "time.txt", "time.json", "both.fits", "both.txt", "both.json"] {
        let error = Moc::read(&scratch.join(name)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("only MOCs of space"), "{error}");
    }
}
