//! The geometry of the index: quanta, zones, cells, and the window of a cone. Pure functions of numbers.
//!
//! **Invariant:** a window is never too small. Whatever lies within the radius by `sky::separation` has quanta within it; what
//! it holds besides is for the exact test to throw out.

/// Quanta of right ascension in a degree; the whole circle is 2^32, so that wrapping is free.
pub(super) const RA_QUANTA: f64 = 4_294_967_296.0 / 360.0;
/// Quanta of declination in a degree: -90 is 0, +90 is 2^32 - 1.
pub(super) const DEC_QUANTA: f64 = 4_294_967_295.0 / 180.0;
/// Largest distance of a position from its quanta, arcseconds: half of 0.302 mas and half of 0.151 mas, across.
pub(super) const POSITION_ERROR: f64 = 0.000_169;
/// Bits of a zone's height, at most: two zones are the fewest.
pub(super) const MAX_SHIFT: u32 = 31;
/// And at least: 19.8 arcseconds.
pub(super) const MIN_SHIFT: u32 = 17;
/// Square degrees of the sky.
const SKY: f64 = 41_252.961_249_419_28;

/// The quanta of a position: right ascension in [0, 360), declination in [-90, 90], degrees.
#[inline]
pub(super) fn quantise(ra: f64, dec: f64) -> (u32, u32) {
    // What rounds up to the whole circle becomes 0 by the cast to 32 bits.
    ((ra * RA_QUANTA + 0.5) as u64 as u32, ((dec + 90.0) * DEC_QUANTA + 0.5) as u32)
}

/// The position (degrees) that has these quanta.
#[inline]
pub(super) fn position((ra, dec): (u32, u32)) -> (f64, f64) {
    (f64::from(ra) / RA_QUANTA, (f64::from(dec) / DEC_QUANTA - 90.0).clamp(-90.0, 90.0))
}

/// Bits of the zone height with which cells of `rows_per_cell` sources are about as high as wide, for sources that are spread
/// over the share `covered` of the sky.
pub(super) fn shift_for(rows: u64, rows_per_cell: u32, covered: f64) -> u32 {
    let side = (SKY * covered * f64::from(rows_per_cell) / (rows.max(1) as f64)).sqrt();
    let bits = (side * DEC_QUANTA).log2().round();
    (bits as u32).clamp(MIN_SHIFT, MAX_SHIFT)
}

/// Number of zones of a height.
pub(super) fn zones(shift: u32) -> usize {
    1 << (32 - shift)
}

/// Cells of a zone: one for each `rows_per_cell` sources, never none.
pub(super) fn cells(rows: u64, rows_per_cell: u32) -> u64 {
    rows.div_ceil(u64::from(rows_per_cell)).max(1)
}

/// The cell of a right ascension in a zone of `cells` cells.
#[inline(always)]
pub(super) fn cell(ra: u32, cells: u32) -> u32 {
    ((u64::from(ra) * u64::from(cells)) >> 32) as u32
}

/// A lower bound of the cosine of the declination in each zone; 0 in those at the poles.
pub(super) fn cosines(shift: u32) -> Vec<f64> {
    let edge = |zone: u64| {
        let dec = ((zone << shift) as f64 / DEC_QUANTA - 90.0).clamp(-90.0, 90.0);
        // Widened by more than a quantum turns into at any declination.
        (dec.to_radians().cos() - 1e-8).max(0.0)
    };
    (0..zones(shift) as u64).map(|zone| edge(zone).min(edge(zone + 1))).collect()
}

/// The quanta in which everything of a cone lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Lowest and highest declination.
    pub dec: (u32, u32),
    /// From here eastward to there; west of it where the window crosses right ascension 0.
    pub ra: (u32, u32),
}

/// Every right ascension.
const CIRCLE: (u32, u32) = (0, u32::MAX);

impl Window {
    /// Window of a cone: right ascension in [0, 360), declination in [-90, 90], radius in [0, 180], all degrees.
    /// `cosine` is not above the cosine of the declination.
    #[inline]
    pub fn new(ra: f64, dec: f64, radius: f64, cosine: f64) -> Window {
        let middle = (dec + 90.0) * DEC_QUANTA;
        let reach = radius * DEC_QUANTA + 2.0;
        // Casts of floats saturate at the poles.
        let decs = ((middle - reach) as u32, (middle + reach + 1.0) as u32);
        let x = radius.to_radians() / cosine;
        // asin(x) <= x (1 + x^2 / 5) up to there, and sin(radius) <= radius.
        let half = if x <= 0.5 { x * (1.0 + 0.2 * x * x) } else { half_width(dec, radius) };
        let half = half * (RA_QUANTA * 180.0 / std::f64::consts::PI) + 3.0;
        if half >= 2_147_483_647.0 {
            return Window { dec: decs, ra: CIRCLE };
        }
        let (centre, half) = ((ra * RA_QUANTA) as u64 as u32, half as u32);
        Window { dec: decs, ra: (centre.wrapping_sub(half), centre.wrapping_add(half)) }
    }

    /// The window as one or two ranges of right ascension (both ends included) that do not wrap and have nothing in common.
    #[inline(always)]
    pub fn parts(&self) -> ((u32, u32), Option<(u32, u32)>) {
        let (west, east) = self.ra;
        if west <= east { ((west, east), None) } else { ((west, u32::MAX), Some((0, east))) }
    }
}

/// Half the width of a cone in right ascension, radians: asin(sin r / cos dec), pi where a pole lies within.
#[cold]
fn half_width(dec: f64, radius: f64) -> f64 {
    if dec.abs() + radius >= 90.0 - 1e-9 {
        return std::f64::consts::PI;
    }
    // Both as far off as their rounding can make them, towards the wider.
    let sine = (radius.to_radians().sin() + 4e-16) / (dec.to_radians().cos() - 4e-16);
    if sine >= 1.0 { std::f64::consts::PI } else { (sine * (1.0 + 1e-15)).min(1.0).asin() + 1e-9 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sky;

    #[test]
    fn quanta_of_the_edges() {
        assert_eq!(quantise(0.0, -90.0), (0, 0));
        assert_eq!(quantise(180.0, 90.0), (1 << 31, u32::MAX));
        assert_eq!(quantise(360.0f64.next_down(), 0.0).0, 0);
        assert_eq!(position((0, u32::MAX)).1, 90.0);
        assert_eq!(position((0, 0)).1, -90.0);
        assert_eq!((zones(MAX_SHIFT), cell(u32::MAX, 7), cell(0, 7)), (2, 6, 0));
        assert!(shift_for(1_000_000_000, 8, 1.0) == 19 && shift_for(0, 8, 1.0) == MAX_SHIFT);
    }

    #[test]
    fn a_window_at_the_pole_is_the_whole_circle() {
        for (dec, radius) in [(90.0, 0.0), (-90.0, 1e-9), (89.0, 1.0), (0.0, 90.0), (-45.0, 180.0), (89.999_999, 1e-6)] {
            assert!(Window::new(10.0, dec, radius, 0.0).ra == CIRCLE, "{dec} {radius}");
        }
        let window = Window::new(0.0, 0.0, 1.0, 1.0);
        assert!(window.ra.0 > window.ra.1);
        let (first, second) = window.parts();
        assert_eq!((first.1, second.unwrap().0), (u32::MAX, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

        /// What is within the radius is within the window, for each bound of the cosine that a zone may give.
        #[test]
        fn windows_hold_their_cones(
            ra in 0.0..360.0f64, z in -1.0..1.0f64, polar in any::<bool>(), near in 0.0..40.0f64, log in -7.0..2.25f64,
            turn in 0.0..std::f64::consts::TAU, share in 0.0..1.0f64, shift in MIN_SHIFT..=MAX_SHIFT,
        ) {
            let dec = if polar { (90.0 - near / 3_600.0) * z.signum() } else { z.asin().to_degrees() };
            let radius = 10f64.powf(log).min(180.0);
            // A point `share` of the radius away, in the direction `turn`; the very edge as well.
            let away = (if share > 0.9 { 1.0 } else { share } * radius).to_radians();
            let (sd, cd) = dec.to_radians().sin_cos();
            let sin_dec = (sd * away.cos() + cd * away.sin() * turn.cos()).clamp(-1.0, 1.0);
            let east = (turn.sin() * away.sin() * cd).atan2(away.cos() - sd * sin_dec);
            let other = (sky::normalise_ra(ra + east.to_degrees()), sin_dec.asin().to_degrees());
            let radius = sky::separation((ra, dec), other).max(radius.min(1e-9)) / 3_600.0;
            let (q_ra, q_dec) = quantise(other.0, other.1);
            let zone = quantise(ra, dec).1 >> shift;
            for cosine in [cosines(shift)[zone as usize], 0.0] {
                let window = Window::new(ra, dec, radius.min(180.0), cosine);
                prop_assert!((window.dec.0..=window.dec.1).contains(&q_dec));
                let (first, second) = window.parts();
                let inside = |(west, east): (u32, u32)| (west..=east).contains(&q_ra);
                prop_assert!(inside(first) || second.is_some_and(inside), "{window:?} {q_ra}");
            }
        }

        #[test]
        fn quanta_are_within_the_stated_error(ra in 0.0..360.0f64, z in -1.0..1.0f64) {
            let dec = z.asin().to_degrees();
            prop_assert!(sky::separation((ra, dec), position(quantise(ra, dec))) <= POSITION_ERROR);
        }
    }
}
