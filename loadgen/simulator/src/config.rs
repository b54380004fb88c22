//! What a simulator is asked to make, and what is wrong with it.

use crate::schema::PacketSchema;

/// What to make. The same configuration gives the same alerts.
#[derive(Clone, Debug)]
pub struct SimulatorConfig {
    /// Which packets.
    pub schema: PacketSchema,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Sources on which part of the alerts fall.
    pub targets: Vec<Target>,
    /// Start of the first exposure, Unix time in milliseconds.
    pub start: i64,
    /// Share of the alerts that fall on a target, 0.1 to 0.5 arcseconds beside it; without targets none does.
    pub target_fraction: f64,
    /// Share of the alerts that are known solar-system objects.
    pub solar_system_fraction: f64,
    /// Mean number of previous detections; an alert has between none and three times as many.
    pub mean_history: f64,
    /// Mean number of forced photometry points; an alert has between none and twice as many. ZTF 3.3 has no field for them.
    pub mean_forced: f64,
    /// Alerts of one exposure: at most 32,000.
    pub alerts_per_exposure: u32,
    /// From the start of an exposure to that of the next, milliseconds; at least 1,000.
    pub cadence: u32,
    /// Exposures of one night, which all begin within 24 hours.
    pub exposures_per_night: u32,
}

/// A source on which alerts may fall.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Its name.
    pub id: String,
    /// Right ascension, ICRS, degrees.
    pub ra: f64,
    /// Declination, ICRS, degrees.
    pub dec: f64,
}

impl Default for SimulatorConfig {
    /// A night of ZTF: 320,000 alerts from 2026-11-09T03:00:00Z on, with the histories of packets of 2023. The start is fixed so
    /// that runs can be compared.
    fn default() -> Self {
        Self {
            schema: PacketSchema::default(),
            seed: 0,
            targets: Vec::new(),
            start: 1_794_193_200_000,
            target_fraction: 0.2,
            solar_system_fraction: 0.05,
            mean_history: 34.0,
            mean_forced: 17.0,
            alerts_per_exposure: 400,
            cadence: 40_000,
            exposures_per_night: 800,
        }
    }
}

impl SimulatorConfig {
    /// A night of the survey that the schema belongs to: the default for ZTF; for LSST 10,000 alerts in each of 800 visits, 38 s
    /// apart, with 20 previous sources and 50 forced ones.
    #[must_use]
    pub fn of(schema: PacketSchema) -> Self {
        let ztf = Self { schema, ..Self::default() };
        if schema.is_lsst() {
            Self { mean_history: 20.0, mean_forced: 50.0, alerts_per_exposure: 10_000, cadence: 38_000, ..ztf }
        } else {
            ztf
        }
    }
}

/// What a simulator can't make.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// A setting is out of its range.
    #[error("the simulator's {name} is {value}; it has to be {range}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
    /// There are no packets of this survey or version.
    #[error("there are no made-up packets `{wanted}`; there are {known}")]
    Schema {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// A target is nowhere on the sky.
    #[error(
        "target {index} of the simulator ({id}) has the position {ra}, {dec}; it has to be a place on the sky, ICRS, in degrees"
    )]
    Target {
        /// Its place in the list, from 0.
        index: usize,
        /// Its name.
        id: String,
        /// Right ascension as given.
        ra: f64,
        /// Declination as given.
        dec: f64,
    },
}

impl SimulatorConfig {
    /// Refuses what can't be made.
    pub(crate) fn check(&self) -> Result<(), SimulatorError> {
        let night = f64::from(self.cadence) * f64::from(self.exposures_per_night);
        let share = "between 0 and 1";
        let cases = [
            ("target_fraction", self.target_fraction, 0.0..=1.0, share),
            ("solar_system_fraction", self.solar_system_fraction, 0.0..=1.0, share),
            (
                "sum of target_fraction and solar_system_fraction",
                self.target_fraction + self.solar_system_fraction,
                0.0..=1.0,
                share,
            ),
            ("mean_history", self.mean_history, 0.0..=1000.0, "between 0 and 1000"),
            ("mean_forced", self.mean_forced, 0.0..=1000.0, "between 0 and 1000"),
            ("alerts_per_exposure", self.alerts_per_exposure.into(), 1.0..=32_000.0, "between 1 and 32000"),
            ("cadence", self.cadence.into(), 1000.0..=86_400_000.0, "between 1000 and 86400000 ms"),
            ("exposures_per_night", self.exposures_per_night.into(), 1.0..=86_400.0, "between 1 and 86400"),
            ("night (cadence times exposures_per_night)", night, 0.0..=86_400_000.0, "at most 24 hours (86400000 ms)"),
            // ZTF counts nights from 2017, and ids have four digits for them: 1,000 to 9,999.
            ("start", self.start as f64, 1.57e12..=2.0e12, "between 2019-10-02 and 2033-05-18 (1.57e12 and 2e12 ms)"),
        ];
        for (name, value, allowed, range) in cases {
            if !allowed.contains(&value) {
                return Err(SimulatorError::Setting { name, value, range });
            }
        }
        for (target, index) in self.targets.iter().zip(0..) {
            if !target.ra.is_finite() || !(-90.0..=90.0).contains(&target.dec) {
                return Err(SimulatorError::Target { index, id: target.id.clone(), ra: target.ra, dec: target.dec });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_default_is_fine_and_begins_in_the_night() {
        let config = SimulatorConfig::default();
        config.check().unwrap();
        // 2026-11-09T03:00:00Z is 20,766 days and three hours after the epoch.
        assert_eq!(config.start, (20_766 * 24 + 3) * 3_600_000);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let config = SimulatorConfig { target_fraction: 1.5, ..SimulatorConfig::default() };
        assert!(config.check().unwrap_err().to_string().contains("target_fraction is 1.5"));
        let config = SimulatorConfig { mean_history: f64::NAN, ..SimulatorConfig::default() };
        assert!(config.check().unwrap_err().to_string().contains("mean_history"));
        let target = Target { id: "x".to_owned(), ra: 10.0, dec: 91.0 };
        let config = SimulatorConfig { targets: vec![target], ..SimulatorConfig::default() };
        assert!(config.check().unwrap_err().to_string().contains("target 0 of the simulator (x)"));
    }
}
