//! Regions of the sky that alerts have to lie in, or may not.

use std::sync::Arc;

use super::report::Tally;
use super::tried::Tried;
use crate::alert::Verdict;
use crate::config::{Shape, Side};
use crate::sky::region::{Moc, Region, RegionError};

/// The regions of a step.
#[derive(Debug)]
pub(super) struct Regions {
    regions: Vec<Arc<Region>>,
    pass: Side,
}

impl Regions {
    /// Reads the files of those that are in files.
    pub fn new(shapes: &[Shape], pass: Side) -> Result<Regions, RegionError> {
        let region = |shape: &Shape| match shape {
            Shape::Region(region) => Ok(region.clone()),
            Shape::Moc(path) => Moc::read(path).map(|moc| {
                if moc.is_empty() {
                    tracing::warn!("coverage map {}: it is empty, and nothing lies in it", path.display());
                }
                Arc::new(Region::Moc(moc))
            }),
        };
        Ok(Regions { regions: shapes.iter().map(region).collect::<Result<_, _>>()?, pass })
    }

    /// Skips the alerts that lie elsewhere. One without a position lies in no region.
    pub fn apply(&self, tried: &Tried, verdicts: &mut [Verdict], skipped: Verdict, tally: &mut Tally) {
        let mut positions = tried.rows.iter().zip(&tried.positions).peekable();
        for (row, verdict) in verdicts.iter_mut().enumerate().filter(|(_, verdict)| **verdict == Verdict::Passed) {
            let position = positions.next_if(|(tried, _)| **tried as usize == row).map(|(_, position)| *position);
            tally.not_tried += u64::from(position.is_none());
            let inside = position.is_some_and(|(ra, dec)| self.regions.iter().any(|region| region.contains(ra, dec)));
            if inside == (self.pass == Side::Inside) {
                tally.passed += 1;
            } else {
                *verdict = skipped;
                tally.skipped += 1;
            }
        }
    }
}
