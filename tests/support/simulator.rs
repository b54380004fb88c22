//! Packets of the simulator as messages for a topic.

use skysluice_simulator::{Simulator, SimulatorConfig};

use super::kafka::Outgoing;

/// The first `count` alerts of a simulated night, spread over partitions by turns. The same seed gives the same alerts.
pub fn alerts(seed: u64, count: u64, partitions: i32) -> impl Iterator<Item = Outgoing> {
    let simulator = Simulator::new(SimulatorConfig { seed, ..SimulatorConfig::default() }).unwrap();
    (0..count).map(move |index| {
        let mut payload = Vec::new();
        let info = simulator.packet(index, &mut payload);
        let partition = i32::try_from(index % u64::from(partitions.cast_unsigned())).unwrap();
        let (payload, timestamp) = (Some(payload), Some(info.timestamp_ms));
        Outgoing { partition: Some(partition), payload, timestamp, ..Outgoing::default() }
    })
}
