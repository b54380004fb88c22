//! The built-in simulator as a stream: alert i is offset i / P of partition i % P, the same alert for the same seed.
//!
//! Topic `COMPONENT.simulated`. Positions are kept in `simulator.positions` of the state folder.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skysluice_simulator::{PacketSchema, Simulator, SimulatorConfig, Target};

use super::SourceContext;
use super::builder::{BUDGET_PAUSE, Builder};
use super::positions::{Positions, make_folder};
use crate::alert::{Budget, Fault, Polled, RawMessage, Source, TopicPartition};
use crate::config::{PacketKind, SimulatorSource};

/// Makes alerts.
pub(super) struct Simulated {
    simulator: Simulator,
    partitions: Vec<Partition>,
    count: u64,
    pace: Option<Pace>,
    budget: Budget,
    positions: Positions,
    topic: Arc<str>,
    /// The partition whose turn it is.
    turn: usize,
    /// The partition whose batch waits for the budget.
    ready: Option<usize>,
}

struct Partition {
    /// Index of the next alert, over all partitions.
    next: u64,
    builder: Builder,
}

/// Alerts per second since a moment.
struct Pace {
    rate: f64,
    first: u64,
    since: Instant,
}

impl Pace {
    /// Index before which every alert is due.
    fn due(&self, now: Instant) -> u64 {
        self.first.saturating_add((now.duration_since(self.since).as_secs_f64() * self.rate) as u64 + 1)
    }

    /// When the alert with this index is due.
    fn time(&self, index: u64) -> Instant {
        let ahead = index.saturating_sub(self.first) as f64 / self.rate;
        self.since + Duration::try_from_secs_f64(ahead).unwrap_or(Duration::from_secs(3600))
    }
}

impl Simulated {
    /// Begins at the positions that the last run committed.
    pub(super) fn open(config: &SimulatorSource, context: SourceContext) -> Result<Self, Fault> {
        make_folder(&context.state)?;
        let targets = config.catalog.as_deref().map_or(Ok(Vec::new()), targets)?;
        let schema = match config.kind {
            PacketKind::Ztf => PacketSchema::Ztf401,
            PacketKind::Lsst => PacketSchema::Lsst1100,
        };
        let mut settings = SimulatorConfig { seed: config.seed, targets, ..SimulatorConfig::of(schema) };
        settings.mean_history = config.previous.unwrap_or(settings.mean_history);
        settings.mean_forced = config.forced.unwrap_or(settings.mean_forced);
        let simulator = Simulator::new(settings)
            .map_err(|e| Fault::defect(format!("the simulator can't start: {e}; correct `source.simulator`")))?;
        let share = u64::from(config.partitions.max(1));
        let meaning = format!("simulator kind={} seed={} partitions={share}", schema.survey(), config.seed);
        let positions = Positions::load(context.state.join("simulator.positions"), meaning)?;
        let topic: Arc<str> = format!("{}.simulated", context.component).into();
        let partitions: Vec<Partition> = (0_i32..)
            .zip(0..share)
            .map(|(partition, p)| {
                let offset = positions.get(partition);
                let origin = Arc::new(TopicPartition { topic: topic.clone(), partition });
                let next = u64::try_from(offset).unwrap_or(0) * share + p;
                Partition {
                    next,
                    builder: Builder::new(
                        origin,
                        context.generation,
                        context.limits,
                        Some(offset),
                        context.budget.arenas.clone(),
                    ),
                }
            })
            .collect();
        let first = partitions.iter().map(|p| p.next).min().unwrap_or(0);
        let pace = config.rate.map(|rate| Pace { rate, first, since: Instant::now() });
        let count = config.count.unwrap_or(u64::MAX);
        Ok(Self { simulator, partitions, count, pace, budget: context.budget, positions, topic, turn: 0, ready: None })
    }

    /// Fills builders, each in its turn, until one has to be cut or no alert is due.
    fn fill(&mut self, now: Instant) {
        let limit = self.pace.as_ref().map_or(self.count, |pace| pace.due(now).min(self.count));
        let share = self.partitions.len();
        if let Some(late) = self.partitions.iter().position(|p| p.builder.deadline().is_some_and(|d| d <= now)) {
            self.ready = Some(late);
            return;
        }
        for turn in (0..share).map(|i| (self.turn + i) % share) {
            let partition = &mut self.partitions[turn];
            while partition.next < limit && !partition.builder.is_full() {
                make(&self.simulator, partition, share as u64);
            }
            let over = partition.next >= self.count && !partition.builder.is_empty();
            if over || partition.builder.is_full() {
                self.ready = Some(turn);
                self.turn = (turn + 1) % share;
                return;
            }
        }
    }

    /// Nothing is in flight: what was made for each partition goes on as it is.
    fn hurry(&mut self) {
        self.partitions.iter_mut().for_each(|p| p.builder.hurry());
        self.ready = self.partitions.iter().position(|p| !p.builder.is_empty());
    }

    /// When there is something to do again.
    fn next_event(&self) -> Option<Instant> {
        let due = self.pace.as_ref().and_then(|pace| {
            let next = self.partitions.iter().map(|p| p.next).filter(|n| *n < self.count).min()?;
            Some(pace.time(next))
        });
        self.partitions.iter().filter_map(|p| p.builder.deadline()).chain(due).min()
    }

    fn is_over(&self) -> bool {
        self.partitions.iter().all(|p| p.next >= self.count && p.builder.is_empty())
    }
}

fn make(simulator: &Simulator, partition: &mut Partition, share: u64) {
    let range = |i: usize| u32::try_from(i).expect("a batch is cut at 2 GiB and a packet is below 1 MiB");
    let arena = partition.builder.arena();
    let start = range(arena.len());
    let packet = simulator.packet(partition.next, arena);
    let middle = range(arena.len());
    arena.extend_from_slice(packet.object_id.as_bytes());
    let end = range(arena.len());
    partition.builder.push(RawMessage {
        offset: i64::try_from(partition.next / share).unwrap_or(i64::MAX),
        timestamp: Some(packet.timestamp_ms),
        key: Some(middle..end),
        payload: Some(start..middle),
        ..RawMessage::default()
    });
    partition.next += share;
}

impl Source for Simulated {
    fn poll(&mut self, patience: Duration) -> Result<Polled, Fault> {
        let end = Instant::now() + patience;
        loop {
            if self.ready.is_none() {
                self.fill(Instant::now());
            }
            if self.ready.is_none() && self.budget.is_idle() {
                self.hurry();
            }
            if let Some(ready) = self.ready {
                let batch = self.partitions[ready].builder.cut_until(&self.budget, end);
                if batch.is_some() {
                    self.ready = None;
                }
                return Ok(batch.map_or(Polled::Idle, Polled::Batch));
            }
            if self.is_over() {
                return Ok(Polled::End);
            }
            let now = Instant::now();
            if now >= end {
                return Ok(Polled::Idle);
            }
            let gathering = self.partitions.iter().any(|p| !p.builder.is_empty());
            let look = if gathering { now + BUDGET_PAUSE } else { end };
            let wake = self.next_event().map_or(look, |event| event.min(look)).min(end);
            std::thread::sleep(wake.saturating_duration_since(now));
        }
    }

    fn keep_alive(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn commit(&mut self, watermarks: &[(TopicPartition, i64)], _last: bool) -> Result<(), Fault> {
        self.positions.commit(&self.topic, watermarks)
    }
}

/// Sources of a catalogue (CSV with the columns id, ra and dec, degrees) that alerts may fall on.
fn targets(path: &Path) -> Result<Vec<Target>, Fault> {
    let wrong = |what: String| Fault::defect(format!("{}: {what}; correct the catalogue of `source.simulator`", path.display()));
    let mut reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(|e| Fault::environment(format!("can't read the catalogue {}: {e}", path.display())))?;
    let header = reader.headers().map_err(|e| wrong(e.to_string()))?.clone();
    let column = |name: &str| {
        header.iter().position(|h| h.eq_ignore_ascii_case(name)).ok_or_else(|| wrong(format!("there is no column `{name}`")))
    };
    let (id, ra, dec) = (column("id")?, column("ra")?, column("dec")?);
    let mut targets = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|e| wrong(e.to_string()))?;
        let line = row.position().map_or(0, csv::Position::line);
        let degrees = |column: usize, low: f64, high: f64| {
            let value = row.get(column).and_then(|text| text.parse().ok()).filter(|v| (low..=high).contains(v));
            value.ok_or_else(|| wrong(format!("line {line}: `{}` is not in {low}..{high}", row.get(column).unwrap_or_default())))
        };
        let id = row.get(id).unwrap_or_default().to_string();
        targets.push(Target { id, ra: degrees(ra, 0.0, 360.0)?, dec: degrees(dec, -90.0, 90.0)? });
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;
    use std::fs;

    use super::*;
    use crate::alert::RawBatch;
    use crate::config::BatchLimits;
    use crate::source::testing::{assert_contiguous, context, count, drain, poll_until};

    fn config(count: Option<u64>, partitions: u32) -> SimulatorSource {
        SimulatorSource { count, seed: 5, partitions, ..SimulatorSource::default() }
    }

    fn by_index(batches: &[RawBatch], share: i64) -> HashMap<i64, Vec<u8>> {
        let index = |b: &RawBatch, offset: i64| offset * share + i64::from(b.token.origin.partition);
        let mut all = HashMap::new();
        for batch in batches {
            for message in &batch.messages {
                let before = all.insert(index(batch, message.offset), batch.payload(message).unwrap().to_vec());
                assert!(before.is_none(), "an alert came twice");
            }
        }
        all
    }

    #[test]
    fn alerts_go_round_the_partitions_in_order_and_end() {
        let state = tempfile::tempdir().unwrap();
        let limits = BatchLimits { alerts: 10, ..BatchLimits::default() };
        let mut source = Simulated::open(&config(Some(103), 4), context(state.path(), limits)).unwrap();
        let batches = drain(&mut source);
        assert_contiguous(&batches, 0);
        let found = by_index(&batches, 4);
        assert_eq!(found.len(), 103);
        let simulator = Simulator::new(SimulatorConfig { seed: 5, ..SimulatorConfig::default() }).unwrap();
        for (index, payload) in &found {
            let mut expected = Vec::new();
            simulator.packet(u64::try_from(*index).unwrap(), &mut expected);
            assert_eq!(&expected, payload);
        }
        let batch = &batches[0];
        let mut packet = Vec::new();
        let info = simulator.packet(0, &mut packet);
        assert_eq!(batch.key(&batch.messages[0]), Some(info.object_id.as_bytes()));
        assert_eq!(batch.messages[0].timestamp, Some(info.timestamp_ms));
        assert!(batches.iter().all(|b| b.messages.len() <= 10 && &*b.token.origin.topic == "test.simulated"));
        assert!(matches!(source.poll(Duration::ZERO).unwrap(), Polled::End));
    }

    #[test]
    fn a_run_continues_at_the_positions_of_each_partition() {
        let state = tempfile::tempdir().unwrap();
        let limits = BatchLimits { alerts: 5, ..BatchLimits::default() };
        let mut source = Simulated::open(&config(Some(40), 2), context(state.path(), limits)).unwrap();
        let first = poll_until(&mut source, |b| b.len() == 3);
        let mark = |partition, offset| (TopicPartition { topic: "test.simulated".into(), partition }, offset);
        source.commit(&[mark(0, 10), mark(1, 5)], true).unwrap();
        assert_eq!(count(&first), 15);
        let mut source = Simulated::open(&config(Some(40), 2), context(state.path(), limits)).unwrap();
        let rest = drain(&mut source);
        let starts: HashMap<i32, i64> = rest.iter().rev().map(|b| (b.token.origin.partition, b.token.span.start)).collect();
        assert_eq!(starts, HashMap::from([(0, 10), (1, 5)]));
        assert_eq!(by_index(&rest, 2).len(), 40 - 15);
        let other = SimulatorSource { seed: 6, ..config(Some(40), 2) };
        let fault = Simulated::open(&other, context(state.path(), limits)).err().unwrap();
        assert!(fault.message.contains("seed=5") && fault.message.contains("remove"), "{}", fault.message);
    }

    #[test]
    fn packets_of_lsst_are_framed_with_their_schema_and_have_the_history_asked_for() {
        let state = tempfile::tempdir().unwrap();
        let short = SimulatorSource { kind: PacketKind::Lsst, previous: Some(0.0), forced: Some(0.0), ..config(Some(30), 1) };
        let mut source = Simulated::open(&short, context(state.path(), BatchLimits::default())).unwrap();
        let packets = by_index(&drain(&mut source), 1);
        assert_eq!(packets.len(), 30);
        source.commit(&[(TopicPartition { topic: "test.simulated".into(), partition: 0 }, 30)], true).unwrap();
        assert!(packets.values().all(|packet| packet[..5] == [0, 0, 0, 4, 0x4c] && packet.len() < 140_000));
        let other = Simulated::open(&config(Some(30), 1), context(state.path(), BatchLimits::default())).err().unwrap();
        assert!(other.message.contains("kind=lsst"), "{}", other.message);
    }

    #[test]
    fn the_rate_is_kept() {
        let state = tempfile::tempdir().unwrap();
        let limits = BatchLimits { linger: Duration::from_millis(1), ..BatchLimits::default() };
        let slow = SimulatorSource { rate: Some(500.0), ..config(Some(100), 3) };
        let begin = Instant::now();
        let batches = drain(&mut Simulated::open(&slow, context(state.path(), limits)).unwrap());
        let took = begin.elapsed();
        assert_eq!(count(&batches), 100);
        assert_contiguous(&batches, 0);
        assert!(took >= Duration::from_millis(190), "100 alerts at 500 per second came within {took:?}");
    }

    #[test]
    fn batches_follow_the_load() {
        let state = tempfile::tempdir().unwrap();
        let limits = BatchLimits { alerts: 10, linger: Duration::from_secs(3600), ..BatchLimits::default() };
        let context = context(state.path(), limits);
        let budget = context.budget.clone();
        let paced = SimulatorSource { rate: Some(1000.0), ..config(Some(100), 1) };
        let mut source = Simulated::open(&paced, context).unwrap();
        // Idle: what there is comes at once.
        let first = poll_until(&mut source, |b| b.len() == 1);
        assert!(count(&first) < 10);
        drop(first);
        // Something is in flight: only whole batches come, until the last.
        let busy = budget.try_take(1).unwrap();
        let full = poll_until(&mut source, |b| b.len() == 3);
        assert_eq!(count(&full), 30);
        drop((busy, full));
        let last = drain(&mut source);
        assert_eq!(last.last().unwrap().token.span.end, 100);
    }

    #[test]
    fn without_budget_the_batch_is_held_and_no_alert_is_made() {
        let state = tempfile::tempdir().unwrap();
        let limits = BatchLimits { alerts: 4, ..BatchLimits::default() };
        let context = context(state.path(), limits);
        let all = context.budget.try_take(context.budget.limit()).unwrap();
        let mut source = Simulated::open(&config(None, 2), context).unwrap();
        for _ in 0..5 {
            assert!(matches!(source.poll(Duration::from_millis(1)).unwrap(), Polled::Idle));
        }
        assert_eq!(source.partitions.iter().map(|p| p.next / 2).sum::<u64>(), 4);
        drop(all);
        let batches = poll_until(&mut source, |b| b.len() == 6);
        assert_contiguous(&batches, 0);
        let of = |p| batches.iter().filter(|b| b.token.origin.partition == p).count();
        assert_eq!((of(0), of(1)), (3, 3));
    }

    #[test]
    fn a_catalogue_gives_targets_and_its_errors_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.csv");
        fs::write(&path, "# a comment\nID, ra, dec, mag\ns1, 10.5, -20, 3\ns2, 0, 90, 4\n").unwrap();
        let found = targets(&path).unwrap();
        assert_eq!(
            found.iter().map(|t| (t.id.as_str(), t.ra, t.dec)).collect::<Vec<_>>(),
            [("s1", 10.5, -20.0), ("s2", 0.0, 90.0)]
        );
        for (text, says) in
            [("id,ra\n1,2\n", "`dec`"), ("id,ra,dec\n1,2,3\n1,NaN,3\n", "line 3"), ("id,ra,dec\n1,2,91\n", "`91`")]
        {
            fs::write(&path, text).unwrap();
            let message = targets(&path).unwrap_err().message;
            assert!(message.contains(says) && message.contains("c.csv"), "{message}");
        }
    }
}
