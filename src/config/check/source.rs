//! Sources, brokers, topics and the properties of the Kafka client.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, read};
use crate::config::at::{At, Place};
use crate::config::checked::{
    Expired, FilesSource, Framing, KafkaSource, Late, PacketKind, SimulatorSource, Source, Start, late_group, late_name,
};
use crate::config::moment::moment;
use crate::config::raw;

/// Longest name of a topic (`Topic.MAX_NAME_LENGTH` of Apache Kafka).
const LONGEST_TOPIC: usize = 249;

/// Properties that are set elsewhere or carry the promises of the product, and what to use in their place.
const OURS: [(&str, &str); 9] = [
    ("bootstrap.servers", "write `brokers:`"),
    ("metadata.broker.list", "write `brokers:`"),
    ("group.id", "write `group:`"),
    ("auto.offset.reset", "write `start:`"),
    ("enable.auto.commit", "offsets are committed when alerts are durable"),
    ("enable.auto.offset.store", "offsets are committed when alerts are durable"),
    ("enable.idempotence", "it is always on"),
    ("acks", "it is always `all`"),
    ("request.required.acks", "it is always `all`"),
];

/// Beginnings of properties that say how to talk to a cluster, whoever does it.
const SECURITY: [&str; 3] = ["security.", "sasl.", "ssl."];

impl Checker<'_> {
    pub(super) fn source(&mut self, component: usize, name: &str, raw: &At<raw::Source>) -> Option<Source> {
        match &raw.value {
            raw::Source::Kafka(kafka) => self.kafka(component, name, kafka).map(Source::Kafka),
            raw::Source::Files(files) => {
                self.input(&files.path, "folder of packets").map(|path| Source::Files(FilesSource { path }))
            }
            raw::Source::Simulator(simulator) => self.simulator(simulator).map(Source::Simulator),
        }
    }

    fn kafka(&mut self, component: usize, name: &str, raw: &raw::Kafka) -> Option<KafkaSource> {
        let cluster = self.brokers(&raw.brokers);
        let group = raw.group.as_ref().map_or_else(|| format!("skysluice-{name}"), |group| group.value.clone());
        if let Some(given) = &raw.group
            && given.value.trim().is_empty()
        {
            self.problem(given.place, "the consumer group is empty", format!("the default is `skysluice-{name}`"));
        }
        if raw.topics.value.is_empty() {
            self.problem(raw.topics.place, "there are no topics", "write their names: `topics: [ztf_local]`");
        }
        let mut topics: Vec<String> = Vec::with_capacity(raw.topics.value.len());
        for topic in &raw.topics.value {
            self.topic(topic);
            if topics.contains(&topic.value) {
                self.problem(topic.place, format!("the topic `{}` is given twice", topic.value), "remove one of them");
            }
            topics.push(topic.value.clone());
            self.claims.input(component, &cluster, &topic.value, &group, topic.place);
            if raw.late.is_some() {
                self.claims.input(component, &cluster, &topic.value, &late_group(&group), topic.place);
            }
        }
        let late = raw.late.as_ref().and_then(|late| self.late(name, late, raw.until_end == Some(true)));
        let properties = self.properties(&raw.properties)?;
        Some(KafkaSource {
            brokers: raw.brokers.value.trim().to_owned(),
            topics,
            group,
            start: self.start(raw.start.as_ref()),
            expired: match raw.expired {
                None | Some(raw::Expired::Continue) => Expired::Continue,
                Some(raw::Expired::Stop) => Expired::Stop,
            },
            until_end: raw.until_end.unwrap_or(false),
            replay: None,
            late,
            backlog: None,
            properties,
        })
    }

    fn late(&mut self, name: &str, raw: &At<raw::Late>, until_end: bool) -> Option<Late> {
        let At { value: raw::Late { after, share }, place } = raw;
        if until_end {
            let help = "remove `late`, or `until_end`: a run that ends reads each partition in order";
            self.problem(*place, "`late` and `until_end` exclude each other", help);
        }
        let taken = late_name(name);
        if let Some(first) = self.claims.name(&taken, *place) {
            let help = format!("rename the component in line {}, or this one", self.line(first));
            self.problem(*place, format!("the backlog is read under the name `{taken}`, which is taken"), help);
        }
        let after = self.time_above_zero(after.as_ref(), Late::AFTER);
        let value = share.as_ref().map_or(Late::SHARE, |share| share.value);
        if let Some(At { place, .. }) = share
            && !(value > 0.0 && value < 1.0)
        {
            let help = format!("write a number above 0 and below 1, such as {}", Late::SHARE);
            self.problem(*place, format!("{value} is no part of the whole that leaves something to both"), help);
        }
        Some(Late { after, share: value })
    }

    fn start(&mut self, raw: Option<&At<raw::Begin>>) -> Start {
        let Some(At { value: raw::Begin(text), place }) = raw else { return Start::Earliest };
        match text.trim() {
            "earliest" => Start::Earliest,
            "latest" => Start::Latest,
            other => match moment(other) {
                Ok(millis) => Start::At(millis),
                Err(error) => {
                    let message = format!("`start` can be `earliest`, `latest` or a time, and {}", error.message);
                    self.problem(*place, message, error.help);
                    Start::Earliest
                }
            },
        }
    }

    fn simulator(&mut self, raw: &raw::Simulator) -> Option<SimulatorSource> {
        let default = SimulatorSource::default();
        if let Some(At { value: 0, place }) = &raw.count {
            self.problem(*place, "a count of zero makes no alerts", "write how many, or remove `count` for no end");
        }
        if let Some(At { value, place }) = &raw.rate
            && !(value.is_finite() && *value > 0.0)
        {
            self.problem(
                *place,
                format!("a rate of {value} makes no alerts"),
                "write alerts per second above 0, or remove `rate`",
            );
        }
        let catalog = match &raw.catalog {
            Some(catalog) => Some(self.input(catalog, "catalogue")?),
            None => None,
        };
        let mut history = |mean: Option<&At<f64>>| {
            let At { value, place } = mean?;
            if !(0.0..=1000.0).contains(value) {
                self.problem(*place, format!("a history cannot have {value} entries on average"), "write 0 to 1000");
            }
            Some(*value)
        };
        let (previous, forced) = (history(raw.previous.as_ref()), history(raw.forced.as_ref()));
        Some(SimulatorSource {
            kind: match raw.kind.as_ref().map(|kind| kind.value) {
                None | Some(raw::PacketKind::Ztf) => PacketKind::Ztf,
                Some(raw::PacketKind::Lsst) => PacketKind::Lsst,
            },
            count: raw.count.as_ref().map(|count| count.value),
            rate: raw.rate.as_ref().map(|rate| rate.value),
            seed: raw.seed.as_ref().map_or(default.seed, |seed| seed.value),
            partitions: self.count(raw.partitions.as_ref(), default.partitions, 1024),
            catalog,
            previous,
            forced,
        })
    }

    /// Made-up packets have one framing; decoded in another one, each of them would be a dead letter.
    pub(super) fn simulated_framing(&mut self, raw: &raw::Source, framing: &Framing) {
        if let raw::Source::Simulator(raw::Simulator { kind: Some(At { value: raw::PacketKind::Lsst, place }), .. }) = raw
            && !matches!(framing, Framing::Confluent(_))
        {
            let help = "write `decode: { framing: confluent, schemas: FOLDER }` with 1100.avsc in the folder";
            self.problem(*place, "packets of `lsst` come in Confluent's framing", help);
        }
    }

    /// Brokers as a set, by which clusters are told apart.
    pub(super) fn brokers(&mut self, brokers: &At<String>) -> BTreeSet<String> {
        let mut cluster = BTreeSet::new();
        for broker in brokers.value.split(',').map(str::trim) {
            let legal = broker.rsplit_once(':').is_some_and(|(host, port)| {
                let host = host.rsplit_once("://").map_or(host, |(_, host)| host);
                !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok_and(|port| port > 0)
            });
            if !legal {
                let help = "write `host:port`, several separated by commas: `localhost:9092`";
                self.problem(brokers.place, format!("`{broker}` is not a broker"), help);
            }
            cluster.insert(broker.to_ascii_lowercase());
        }
        cluster
    }

    /// The name of a topic, by Kafka's own rule.
    pub(super) fn topic(&mut self, topic: &At<String>) {
        let name = &topic.value;
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() {
            self.problem(topic.place, "the name of the topic is empty", "write its name, such as `ztf_local`");
        } else if !name.chars().all(legal) || name.len() > LONGEST_TOPIC || name == "." || name == ".." {
            let help = "a name has at most 249 letters, digits, `.`, `_` and `-`; patterns are not names";
            self.problem(topic.place, format!("`{name}` is not the name of a topic"), help);
        }
    }

    /// Properties with their references resolved; none when one of them cannot be.
    pub(super) fn properties(&mut self, raw: &raw::Properties) -> Option<BTreeMap<String, String>> {
        let mut properties = BTreeMap::new();
        let before = self.problems.len();
        for (key, At { value, place }) in raw {
            if let Some((_, instead)) = OURS.iter().find(|(ours, _)| ours == key) {
                self.problem(*place, format!("the property `{key}` cannot be set here"), *instead);
            }
            if let Some(value) = self.property(key, value, *place) {
                properties.insert(key.clone(), value);
            }
        }
        (self.problems.len() == before).then_some(properties)
    }

    /// The value of a property, its reference resolved.
    pub(super) fn property(&mut self, key: &str, value: &raw::Property, place: Place) -> Option<String> {
        match value {
            raw::Property::Text(text) => Some(text.clone()),
            raw::Property::AsWritten => Some(self.text[place.offset..place.offset + place.len].to_owned()),
            raw::Property::Env(variable) => {
                let found = (self.around.variable)(&variable.value);
                if found.is_none() {
                    let help = format!("set it before the start, or write `{key}: {{ file: PATH }}`");
                    let message = format!("the variable `{}` of the environment is not set", variable.value);
                    self.problem(variable.place, message, help);
                }
                found
            }
            raw::Property::File(path) => {
                let found = self.input(path, "file")?;
                match read(&found) {
                    Ok(text) => Some(text.trim_end_matches(['\n', '\r']).to_owned()),
                    Err(problem) => {
                        self.problem(path.place, problem.message, problem.help);
                        None
                    }
                }
            }
        }
    }
}

/// The properties that hold for whoever talks to the same cluster: a producer in place of a consumer, or the other way round.
#[must_use]
pub fn security(properties: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let shared = |key: &str| SECURITY.iter().any(|start| key.starts_with(start));
    properties.iter().filter(|(key, _)| shared(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}
