//! The nearest sources, however far they are, by cones that grow until they hold enough: exact on any engine.

use super::{Catalog, Cones, Hit, Hits, Radius};

/// The whole sphere, arcseconds.
const SPHERE: f64 = 648_000.0;
/// Square arcseconds of the sky.
const SKY: f64 = 41_252.961_249_419_28 * 3_600.0 * 3_600.0;

impl Catalog {
    /// The `count` sources nearest to each position (degrees), by separation, then by row, no further than `within` arcseconds;
    /// movers at the epoch (Julian year). All that are as near as the last one are in the running: ties go by row. `found` is
    /// emptied first; a position that is none finds nothing.
    pub fn nearest(&self, positions: &[(f64, f64)], count: usize, within: Option<f64>, epoch: Option<f64>, found: &mut Hits) {
        let within = within.unwrap_or(SPHERE).min(SPHERE);
        found.begin(positions.len());
        // Most cones of the area that holds three times as many on average hold enough.
        let even = (3.0 * count as f64 * SKY / self.len().max(1) as f64 / std::f64::consts::PI).sqrt();
        let mut hits = Hits::default();
        for position in positions {
            let mut radius = even.min(within);
            loop {
                self.find(&Cones { positions: std::slice::from_ref(position), radius: Radius::All(radius), epoch }, &mut hits);
                if hits.total() >= count || radius >= within || count == 0 {
                    break;
                }
                radius = (4.0 * radius).min(within);
            }
            for hit in hits.of(0).iter().take(count) {
                found.push(Hit { ..*hit });
            }
            found.close();
        }
    }
}
