//! The packets that all decode.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_buffer::Buffer;
use skysluice::alert::{Permit, RawBatch, RawMessage, Span, Token, TopicPartition};
use skysluice::config::{FieldPath, MagnitudeUnit, Survey, TimeScale};
use skysluice_simulator::{PacketSchema, Simulator, SimulatorConfig};

use crate::seen::Seen;

/// Packets of a set, which are one batch.
pub const ALERTS: usize = 256;

/// A set of distinct packets with one schema.
pub struct Packets {
    pub name: &'static str,
    pub survey: Arc<Survey>,
    pub is_ztf: bool,
    /// JSON text of the schema.
    pub schema: String,
    /// Each datum in a registry's frame, with the id 1.
    pub frames: RawBatch,
    /// ZTF's own containers.
    pub containers: Option<RawBatch>,
    /// What the simulator says is in them.
    pub made: Vec<Seen>,
    data: Vec<Range<usize>>,
}

impl Packets {
    pub fn all() -> Vec<Packets> {
        let lsst = SimulatorConfig::of(PacketSchema::Lsst1100);
        let new = SimulatorConfig { mean_history: 0.0, mean_forced: 0.0, ..lsst.clone() };
        let ztf = SimulatorConfig::of(PacketSchema::Ztf401);
        vec![
            Packets::of("ZTF 4.01, history of 34 + 17", ztf),
            Packets::of("LSST 11.0 without history", new),
            Packets::of("LSST 11.0, history of 20 + 50", lsst),
        ]
    }

    fn of(name: &'static str, config: SimulatorConfig) -> Packets {
        let is_ztf = config.schema.survey() == "ztf";
        let simulator = Simulator::new(config).unwrap();
        let (mut arena, mut frames, mut data, mut made) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut whole, mut containers) = (Vec::new(), Vec::new());
        for index in 0..ALERTS as u64 {
            let start = arena.len();
            arena.extend([0, 0, 0, 0, 1]);
            let info = simulator.packet_datum(index, &mut arena);
            frames.push(start..arena.len());
            data.push(start + 5..arena.len());
            made.push(Seen { id: info.id, ra: info.ra, previous: Some(info.previous), stamps: None });
            if is_ztf {
                let start = whole.len();
                simulator.packet(index, &mut whole);
                containers.push(start..whole.len());
            }
        }
        Packets {
            name,
            survey: survey(is_ztf),
            is_ztf,
            schema: simulator.schema().to_owned(),
            frames: batch(arena, frames),
            containers: is_ztf.then(|| batch(whole, containers)),
            made,
            data,
        }
    }

    /// The bytes of each datum.
    pub fn datums(&self) -> impl Iterator<Item = &[u8]> {
        self.data.iter().map(|range| &self.frames.arena[range.clone()])
    }
}

fn batch(arena: Vec<u8>, messages: Vec<Range<usize>>) -> RawBatch {
    let message = |(offset, range): (i64, Range<usize>)| RawMessage {
        offset,
        payload: Some(range.start as u32..range.end as u32),
        ..RawMessage::default()
    };
    RawBatch {
        token: Token {
            origin: Arc::new(TopicPartition { topic: "alerts".into(), partition: 0 }),
            span: Span { start: 0, end: messages.len() as i64 },
            generation: 0,
        },
        arena: Buffer::from_vec(arena),
        messages: (0..).zip(messages).map(message).collect(),
        permit: Arc::new(Permit::unbounded()),
    }
}

/// What the profiles in `conf/surveys` say of the candidate.
fn survey(is_ztf: bool) -> Arc<Survey> {
    let paths = |text: &str| text.split(' ').map(|path| FieldPath(names(path))).collect();
    let [id, object, ra, dec, time, magnitude] = if is_ztf {
        ["candid candidate.candid", "objectId", "candidate.ra", "candidate.dec", "candidate.jd", "candidate.magpsf"]
    } else {
        let objects = "diaSource.diaObjectId diaSource.ssObjectId";
        ["diaSourceId", objects, "diaSource.ra", "diaSource.dec", "diaSource.midpointMjdTai", "diaSource.psfFlux"]
    };
    Arc::new(Survey {
        name: if is_ztf { "ztf" } else { "lsst" }.to_owned(),
        alert_id: paths(id),
        object_id: paths(object),
        ra: paths(ra),
        dec: paths(dec),
        time: paths(time),
        time_scale: if is_ztf { TimeScale::Jd } else { TimeScale::MjdTai },
        magnitude: paths(magnitude),
        magnitude_unit: if is_ztf { MagnitudeUnit::Mag } else { MagnitudeUnit::NanoJansky },
        history: vec![],
        cutouts: vec![],
        solar_system: vec![],
        none_texts: vec!["null".to_owned()],
        none_numbers: if is_ztf { vec![-999.0, -99999.0] } else { vec![0.0] },
        schemas: vec![],
        fields: BTreeMap::new(),
        schema_ids: BTreeMap::new(),
    })
}

/// The names along a path.
pub fn names(path: &str) -> Vec<String> {
    path.split('.').map(str::to_owned).collect()
}
