//! Regions of the sky that alerts have to lie in, or may not.

use std::sync::Arc;

use super::report::Tally;
use super::tried::Tried;
use crate::alert::Verdict;
use crate::config::Shape;
use crate::sky::region::{Moc, Region, RegionError};

/// The regions of a step.
#[derive(Debug)]
pub(super) struct Regions {
    include: Vec<Arc<Region>>,
    exclude: Vec<Arc<Region>>,
}

impl Regions {
    /// Reads the files of those that are in files.
    pub fn new(include: &[Shape], exclude: &[Shape]) -> Result<Regions, RegionError> {
        let region = |shape: &Shape| match shape {
            Shape::Region(region) => Ok(region.clone()),
            Shape::Moc(path) => Moc::read(path).map(|moc| Arc::new(Region::Moc(moc))),
        };
        let all = |shapes: &[Shape]| shapes.iter().map(region).collect::<Result<Vec<_>, _>>();
        Ok(Regions { include: all(include)?, exclude: all(exclude)? })
    }

    /// Skips the alerts that lie elsewhere. One without a position lies in no region.
    pub fn apply(&self, tried: &Tried, verdicts: &mut [Verdict], skipped: Verdict, tally: &mut Tally) {
        let mut positions = tried.rows.iter().zip(&tried.positions).peekable();
        for (row, verdict) in verdicts.iter_mut().enumerate().filter(|(_, verdict)| **verdict == Verdict::Passed) {
            let position = positions.next_if(|(tried, _)| **tried as usize == row).map(|(_, position)| *position);
            let passes = match position {
                None => {
                    tally.not_tried += 1;
                    self.include.is_empty()
                }
                Some((ra, dec)) => {
                    let lies = |region: &Arc<Region>| region.contains(ra, dec);
                    (self.include.is_empty() || self.include.iter().any(lies)) && !self.exclude.iter().any(lies)
                }
            };
            if passes {
                tally.passed += 1;
            } else {
                *verdict = skipped;
                tally.skipped += 1;
            }
        }
    }
}
