//! Circles and boxes against separations and plain arithmetic, what holds for every region, and how long a position takes.
#![allow(clippy::unwrap_used)]

use std::f64::consts::PI;

use proptest::prelude::*;

use super::*;
use crate::sky;

/// A position evenly over the sphere from two numbers in [0, 1].
pub(super) fn position(turn: f64, height: f64) -> (f64, f64) {
    (turn * 360.0, (2.0 * height - 1.0).asin().to_degrees())
}

/// A position at an angle (radians) from another, in a direction (radians, from north to east).
pub(super) fn offset((ra, dec): (f64, f64), direction: f64, away: f64) -> (f64, f64) {
    let (sin_dec, cos_dec) = dec.to_radians().sin_cos();
    let (sin_away, cos_away) = away.sin_cos();
    let north = sin_away * direction.cos();
    let z = sin_dec * cos_away + cos_dec * north;
    let (x, y) = (cos_away * cos_dec - north * sin_dec, sin_away * direction.sin());
    (sky::normalise_ra(ra + y.atan2(x).to_degrees()), z.atan2(x.hypot(y)).to_degrees())
}

/// What matters to all regions: poles, right ascension 0, and what is off the sphere.
const NOWHERE: [(f64, f64); 7] =
    [(f64::NAN, 0.0), (0.0, f64::NAN), (-1e-9, 0.0), (360.1, 0.0), (0.0, 90.000001), (0.0, -91.0), (f64::INFINITY, 0.0)];

fn everything() -> Vec<Region> {
    vec![
        Circle::new((0.0, 0.0), 180.0).unwrap().into(),
        Polygon::new(&[(0.0, 0.1), (120.0, 0.1), (240.0, 0.1)]).unwrap().into(),
        SkyBox::new((0.0, 360.0), (-90.0, 90.0)).unwrap().into(),
        Moc::parse(b"0/0-11").unwrap().into(),
    ]
}

#[test]
fn what_is_off_the_sphere_lies_in_no_region() {
    for region in everything() {
        for (ra, dec) in NOWHERE {
            assert!(!region.contains(ra, dec), "{ra} {dec} in {region:?}");
        }
        for (ra, dec) in [(0.0, 90.0), (360.0, 90.0), (360.0, 45.0), (77.7, 90.0)] {
            assert!(region.contains(ra, dec), "{ra} {dec} not in {region:?}");
        }
    }
}

#[test]
fn all_at_once_is_one_by_one() {
    let regions = [everything(), vec![Circle::new((359.0, 89.0), 3.0).unwrap().into()]].concat();
    let positions: Vec<_> = (0..1_000).map(|i| position(f64::from(i * 37 % 1_000) / 1_000.0, f64::from(i) / 999.0)).collect();
    let positions = [positions, NOWHERE.to_vec()].concat();
    let mut inside = vec![true; 5];
    for region in regions {
        region.contains_all(&positions, &mut inside);
        let expected: Vec<bool> = positions.iter().map(|&(ra, dec)| region.contains(ra, dec)).collect();
        assert_eq!(inside, expected);
    }
}

#[test]
fn areas_are_those_of_formulas() {
    let whole = 4.0 * PI * SQUARE_DEGREES;
    let octant = Polygon::new(&[(0.0, 0.0), (90.0, 0.0), (0.0, 90.0)]).unwrap();
    for (region, expected) in [
        (Circle::new((10.0, 20.0), 180.0).unwrap().into(), whole),
        (Circle::new((10.0, 20.0), 90.0).unwrap().into(), whole / 2.0),
        (Circle::new((10.0, 20.0), 1e-3).unwrap().into(), PI * 1e-6),
        (octant.into(), whole / 8.0),
        (SkyBox::new((350.0, 10.0), (0.0, 30.0)).unwrap().into(), whole / 72.0),
        (SkyBox::new((0.0, 360.0), (-90.0, 90.0)).unwrap().into(), whole),
        (Moc::parse(b"0/3 1/0-3").unwrap().into(), whole / 6.0),
    ] {
        let region: Region = region;
        let got = region.square_degrees();
        assert!((got / expected - 1.0).abs() < 1e-10, "{region:?}: {got} instead of {expected}");
    }
}

#[test]
fn what_cannot_be_is_refused_and_the_words_say_what_to_do() {
    let circle = |centre, radius| Circle::new(centre, radius).unwrap_err().to_string();
    assert_eq!(circle((10.0, 20.0), 0.0), "a circle cannot have the radius 0: give degrees, more than 0 and at most 180");
    assert!(circle((10.0, 20.0), f64::NAN).contains("the radius NaN"));
    assert!(circle((10.0, 20.0), 180.1).contains("180.1") && circle((10.0, 20.0), -1.0).contains("-1"));
    assert_eq!(
        circle((370.0, 20.0), 1.0),
        "the centre of a circle at right ascension 370, declination 20 is not on the sphere: give ICRS degrees, from 0 to 360 and \
         from -90 to 90"
    );
    for (ra, dec) in NOWHERE {
        assert!(Circle::new((ra, dec), 1.0).is_err());
    }
    let sky_box = |ra, dec| SkyBox::new(ra, dec).unwrap_err().to_string();
    for ra in [(10.0, 10.0), (360.0, 0.0), (0.0, 0.0), (-10.0, 10.0), (0.0, 361.0), (f64::NAN, 1.0), (1.0, f64::NAN)] {
        assert!(sky_box(ra, (0.0, 1.0)).starts_with(&format!("a box cannot reach from right ascension {} eastward", ra.0)));
    }
    for dec in [(1.0, 1.0), (2.0, 1.0), (-91.0, 0.0), (0.0, 90.1), (f64::NAN, 1.0), (0.0, f64::NAN)] {
        assert!(sky_box((0.0, 1.0), dec).starts_with(&format!("a box cannot reach from declination {} to", dec.0)));
    }
}

#[test]
fn the_boundary_of_a_circle_is_inside_however_it_is_rounded() {
    let circle = |centre, radius| Circle::new(centre, radius).unwrap();
    assert!(circle((10.0, 0.0), 1.0).contains(11.0, 0.0) && circle((0.3, 0.0), 0.1).contains(0.2, 0.0));
    assert!(circle((359.9, 0.0), 0.2).contains(0.1, 0.0) && !circle((359.9, 0.0), 0.2).contains(0.1 + 1e-12, 0.0));
    assert!(circle((0.0, 90.0), 30.0).contains(123.4, 60.0) && !circle((0.0, 90.0), 30.0).contains(123.4, 60.0 - 1e-12));
    assert!(circle((0.0, 0.0), 90.0).contains(90.0, 45.0) && circle((0.0, 0.0), 90.0).contains(0.0, -90.0));
    assert!(circle((10.0, 20.0), 180.0).contains(190.0, -20.0));
    // A milliarcsecond short of the whole sky.
    let nearly = circle((10.0, 20.0), 180.0 - 1e-3 / 3_600.0);
    assert!(!nearly.contains(190.0, -20.0) && nearly.contains(190.0, -20.0 + 2e-3 / 3_600.0));
    // Far below the last digits of a position.
    assert!(circle((10.0, 20.0), 1e-200).contains(10.0, 20.0) && !circle((10.0, 20.0), 1e-200).contains(10.0, 20.0 + 1e-11));
}

#[test]
fn boxes_hold_their_sides_both_poles_and_right_ascension_0_by_either_name() {
    let sky_box = |ra, dec| SkyBox::new(ra, dec).unwrap();
    let narrow = sky_box((350.0, 10.0), (-5.0, 90.0));
    for (ra, dec) in [(350.0, -5.0), (10.0, -5.0), (0.0, 0.0), (360.0, 0.0), (355.0, 90.0), (180.0, 90.0)] {
        assert!(narrow.contains(ra, dec), "{ra} {dec}");
    }
    for (ra, dec) in [(349.999, 0.0), (10.001, 0.0), (180.0, 89.999), (0.0, -5.001)] {
        assert!(!narrow.contains(ra, dec), "{ra} {dec}");
    }
    assert!(sky_box((350.0, 360.0), (0.0, 1.0)).contains(0.0, 0.5) && sky_box((0.0, 10.0), (0.0, 1.0)).contains(360.0, 0.5));
    assert!(sky_box((360.0, 10.0), (0.0, 1.0)).contains(5.0, 0.5) && !sky_box((360.0, 10.0), (0.0, 1.0)).contains(359.0, 0.5));
    assert!(!sky_box((0.0, 360.0), (-90.0, 89.0)).contains(0.0, 90.0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn circles_agree_with_separations(
        (turn, height) in (0.0..1.0, 0.0..=1.0),
        size in -9.0..2.2553_f64,
        (direction, nearness) in (0.0..2.0 * PI, -16.0..1.0_f64),
        pole in 0..8,
    ) {
        let mut centre = position(turn, height);
        match pole {
            0 => centre.1 = 90.0,
            1 => centre.1 = -90.0,
            2 => centre.0 = 0.0,
            3 => centre.0 = 360.0,
            _ => {}
        }
        let radius = 10_f64.powf(size).min(180.0);
        let circle = Circle::new(centre, radius).unwrap();
        for sign in [-1.0, 1.0] {
            let away = (radius.to_radians() * (1.0 + sign * 10_f64.powf(nearness))).clamp(0.0, PI);
            let (ra, dec) = offset(centre, direction, away);
            let separation = sky::separation(centre, (ra, dec));
            prop_assert_eq!(circle.contains(ra, dec), separation <= radius * 3_600.0 + EDGE, "{} {}", separation, radius);
        }
    }

    #[test]
    fn every_position_at_the_radius_is_in_the_circle(
        (turn, height) in (0.0..1.0, 0.0..=1.0), size in -6.0..2.2553_f64, direction in 0.0..2.0 * PI,
    ) {
        let (centre, radius) = (position(turn, height), 10_f64.powf(size).min(179.0));
        let circle = Circle::new(centre, radius).unwrap();
        let at = |away: f64| {
            let (ra, dec) = offset(centre, direction, away);
            (circle.contains(ra, dec), sky::separation(centre, (ra, dec)))
        };
        let (inside, outside) = (at(radius.to_radians() - 1e-14), at(radius.to_radians() + 3e-14));
        prop_assert!(inside.0 && !outside.0, "{:?} {:?} {}", inside, outside, radius * 3_600.0);
    }

    /// Tenths of degrees as whole numbers, so that sides are met.
    #[test]
    fn boxes_agree_with_plain_arithmetic(
        (from, width) in (0..3_600_i64, 1..=3_600_i64), (low, high) in (-900..900_i64, 1..1_800_i64),
        (ra, dec) in (0..=3_600_i64, -900..=900_i64),
    ) {
        let (to, high) = ((from + width) % 3_600, (low + high).min(900));
        prop_assume!(to != from || from == 0);
        let to = if to == 0 { 3_600 } else { to };
        let tenth = |n: i64| n as f64 / 10.0;
        let sky_box = SkyBox::new((tenth(from), tenth(to)), (tenth(low), tenth(high))).unwrap();
        let expected = (low..=high).contains(&dec) && (dec.abs() == 900 || (ra - from).rem_euclid(3_600) <= width);
        prop_assert_eq!(sky_box.contains(tenth(ra), tenth(dec)), expected);
    }
}

#[test]
#[ignore = "a measurement, for optimised builds"]
fn nanoseconds_a_position() {
    let count = 1_000_000;
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let everywhere: Vec<_> = (0..count).map(|_| position(random(), random())).collect();
    let near: Vec<_> =
        (0..count).map(|_| offset((150.0, 40.0), 2.0 * PI * random(), 12.0_f64.to_radians() * random().sqrt())).collect();
    let vertices = |count: u32| {
        let vertex =
            |i| offset((150.0, 40.0), 2.0 * PI * f64::from(i) / f64::from(count), (10.0 - f64::from(i % 2)).to_radians());
        (0..count).map(vertex).collect::<Vec<_>>()
    };
    let mut cells = String::from("10/");
    for i in 0..100_000 {
        cells += &format!(" {}", i * 125 + 3);
    }
    let moc = Moc::parse(cells.as_bytes()).unwrap();
    assert_eq!(moc.ranges().len(), 100_000);
    let regions: [(&str, Region); 8] = [
        ("circle of 10 degrees", Circle::new((150.0, 40.0), 10.0).unwrap().into()),
        ("circle of 10 arcseconds", Circle::new((150.0, 40.0), 10.0 / 3_600.0).unwrap().into()),
        ("circle of 100 degrees", Circle::new((150.0, 40.0), 100.0).unwrap().into()),
        ("polygon of 20 vertices", Polygon::new(&vertices(20)).unwrap().into()),
        ("polygon of 400 vertices", Polygon::new(&vertices(400)).unwrap().into()),
        ("box", SkyBox::new((140.0, 160.0), (30.0, 50.0)).unwrap().into()),
        ("MOC of 100,000 ranges", moc.into()),
        ("MOC of 1 range", Moc::parse(b"0/0-3").unwrap().into()),
    ];
    let mut inside = Vec::with_capacity(count);
    for (name, region) in regions {
        for (which, positions) in [("over the sky", &everywhere), ("near it", &near)] {
            let mut best = f64::INFINITY;
            for _ in 0..5 {
                let start = std::time::Instant::now();
                region.contains_all(positions, &mut inside);
                best = best.min(start.elapsed().as_nanos() as f64 / count as f64);
            }
            let share = inside.iter().filter(|inside| **inside).count() as f64 / count as f64;
            println!("{name}, {which}: {best:.1} ns, {:.1} % inside", share * 100.0);
        }
    }
}
