//! Stub of the simulator's interface.

/// A position that alerts fall on.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name.
    pub id: String,
    /// Right ascension, ICRS, degrees.
    pub ra: f64,
    /// Declination, ICRS, degrees.
    pub dec: f64,
}

/// What to simulate.
#[derive(Clone, Debug, Default)]
pub struct SimulatorConfig {
    /// Seed.
    pub seed: u64,
    /// Positions.
    pub targets: Vec<Target>,
    /// Milliseconds since 1970 of the first alert.
    pub start: i64,
}

/// What is in a packet.
#[derive(Clone, Debug)]
pub struct PacketInfo {
    /// Id of the alert.
    pub candid: i64,
    /// Id of the object.
    pub object_id: String,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Right ascension, degrees.
    pub ra: f64,
    /// Declination, degrees.
    pub dec: f64,
}

/// The configuration can't be simulated.
#[derive(Clone, Debug, thiserror::Error)]
#[error("simulator")]
pub struct SimulatorError;

/// Makes packets.
#[derive(Clone, Debug)]
pub struct Simulator {
    config: SimulatorConfig,
}

impl Simulator {
    /// A simulator.
    ///
    /// # Errors
    /// Never.
    pub fn new(config: SimulatorConfig) -> Result<Self, SimulatorError> {
        Ok(Self { config })
    }

    /// Appends packet `index`.
    #[allow(clippy::cast_possible_wrap)]
    pub fn packet(&self, index: u64, out: &mut Vec<u8>) -> PacketInfo {
        out.extend_from_slice(b"Obj\x01");
        out.extend_from_slice(format!("{} {} {}", self.config.seed, index, self.config.targets.len()).as_bytes());
        PacketInfo {
            candid: index as i64,
            object_id: format!("SIM{index}"),
            timestamp_ms: self.config.start + index as i64,
            ra: 0.0,
            dec: 0.0,
        }
    }
}
