//! The configuration of a measured run, written as JSON, which is YAML too.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Where the alerts of a run come from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// The program's own simulator.
    Memory {
        /// Alerts.
        count: u64,
        /// Alerts per second.
        rate: Option<f64>,
        /// Seed.
        seed: u64,
        /// Partitions.
        partitions: u32,
        /// `lsst`, where it isn't ZTF.
        kind: Option<&'static str>,
        /// Whether alerts have no history.
        new: bool,
        /// Catalogue on whose sources part of the alerts fall.
        targets: Option<PathBuf>,
    },
    /// A folder of packets.
    Files(PathBuf),
    /// A topic.
    Kafka {
        /// Brokers.
        brokers: String,
        /// Topic.
        topic: String,
        /// Consumer group, new for each run.
        group: String,
        /// Ends with the messages that are there at the start; otherwise goes on until it is stopped.
        until_end: bool,
    },
}

/// What is done with them.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Survey profile, by name or file.
    pub(crate) survey: String,
    /// How messages are framed: the section `decode`; `None` is what the program takes for granted.
    pub(crate) decode: Option<Value>,
    /// Columns of the archive: the value of `archive.columns`.
    pub(crate) columns: Option<Value>,
    /// Age at which a file of the archive is finished; `None` leaves it to the program.
    pub(crate) roll: Option<&'static str>,
    /// Conditions, one cut each.
    pub(crate) cuts: Vec<String>,
    /// Catalogues, one cross-match each.
    pub(crate) catalogues: Vec<PathBuf>,
    /// Radius of the cross-matches, arcseconds.
    pub(crate) radius: f64,
    /// Where they are published.
    pub(crate) publish: Option<Output>,
    /// Threads that decode; `None` leaves it to the program.
    pub(crate) threads: Option<u32>,
}

/// Where a run publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Files in the working folder.
    Files,
    /// A topic of these brokers.
    Topic {
        /// Brokers.
        brokers: String,
        /// Topic.
        topic: String,
        /// Whether messages are sent in transactions.
        transactions: bool,
    },
}

/// The configuration of a run that keeps everything below `folder`. All paths are absolute, so that it can be run from anywhere.
pub(crate) fn write(origin: &Origin, plan: &Plan, folder: &Path) -> Value {
    let mut source = match origin {
        Origin::Memory { count, rate, seed, partitions, kind, new, targets } => {
            let none = new.then_some(0);
            json!({ "simulator": {
                "kind": kind, "count": count, "rate": rate, "seed": seed, "partitions": partitions, "catalog": targets,
                "previous": none, "forced": none,
            } })
        }
        Origin::Files(path) => json!({ "files": { "path": path } }),
        Origin::Kafka { brokers, topic, group, until_end } => {
            json!({ "kafka": {
                "brokers": brokers, "topics": [topic], "group": group, "start": "earliest", "until_end": until_end,
            } })
        }
    };
    // What is null is left to the program.
    if let Some(simulator) = source.get_mut("simulator").and_then(Value::as_object_mut) {
        simulator.retain(|_, value| !value.is_null());
    }
    let mut steps: Vec<Value> = plan.cuts.iter().map(|condition| json!({ "cut": { "where": condition } })).collect();
    // The same catalogue may be given several times, to measure many with one file.
    let catalogue = |(catalogue, number)| json!({ "catalog": catalogue, "id": format!("catalogue{number}") });
    let catalogues: Vec<Value> = plan.catalogues.iter().zip(1..).map(catalogue).collect();
    if !catalogues.is_empty() {
        steps.push(json!({ "crossmatch": { "radius": format!("{} arcsec", plan.radius), "catalogs": catalogues } }));
    }
    let publish = match &plan.publish {
        None => json!([]),
        Some(Output::Files) => json!([{ "topic": "bench", "format": "container", "files": folder.join("published") }]),
        Some(Output::Topic { brokers, topic, transactions }) => {
            json!([{ "topic": topic, "format": "container", "brokers": brokers, "transactions": transactions }])
        }
    };
    let mut service = json!({ "data": folder.join("data") });
    if let Some(threads) = plan.threads {
        service["threads"] = json!(threads);
    }
    let mut archive = json!({ "root": archive(folder) });
    if let Some(columns) = &plan.columns {
        archive["columns"] = columns.clone();
    }
    if let Some(age) = plan.roll {
        archive["roll"] = json!({ "age": age });
    }
    let mut component = json!({
        "name": "bench",
        "type": "pipeline",
        "survey": plan.survey,
        "source": source,
        "steps": steps,
        "archive": archive,
        "publish": publish,
    });
    if let Some(decode) = &plan.decode {
        component["decode"] = decode.clone();
    }
    json!({ "service": service, "components": [component] })
}

/// The archive of a run that keeps everything below `folder`.
pub(crate) fn archive(folder: &Path) -> PathBuf {
    folder.join("archive")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            survey: "ztf".to_owned(),
            decode: None,
            columns: None,
            roll: None,
            cuts: Vec::new(),
            catalogues: Vec::new(),
            radius: 1.5,
            publish: None,
            threads: None,
        }
    }

    #[test]
    fn the_simulator_gets_what_was_asked_for_and_no_nulls() {
        let memory = |kind, new, targets| Origin::Memory { count: 100, rate: None, seed: 3, partitions: 4, kind, new, targets };
        let all = write(&memory(Some("lsst"), true, Some("/c.csv".into())), &plan(), Path::new("/data"));
        let expected =
            json!({ "kind": "lsst", "count": 100, "seed": 3, "partitions": 4, "catalog": "/c.csv", "previous": 0, "forced": 0 });
        assert_eq!(all["components"][0]["source"]["simulator"], expected);
        let component = &write(&memory(None, false, None), &plan(), Path::new("/data"))["components"][0];
        assert_eq!(component["source"], json!({ "simulator": { "count": 100, "seed": 3, "partitions": 4 } }));
        assert_eq!(component["archive"], json!({ "root": "/data/archive" }));
        assert_eq!((&component["steps"], &component["publish"]), (&json!([]), &json!([])));
    }

    #[test]
    fn a_topic_is_read_once_to_its_end() {
        let origin = Origin::Kafka { brokers: "b:1".to_owned(), topic: "t".to_owned(), group: "g".to_owned(), until_end: true };
        let source = &write(&origin, &plan(), Path::new("/data"))["components"][0]["source"];
        let expected =
            json!({ "kafka": { "brokers": "b:1", "topics": ["t"], "group": "g", "start": "earliest", "until_end": true } });
        assert_eq!(*source, expected);
    }

    #[test]
    fn framing_columns_and_age_are_written_where_they_are_asked_for() {
        let decode = Some(json!({ "framing": "confluent", "schemas": "/s" }));
        let plan = Plan { decode, columns: Some(json!("all except cutouts")), roll: Some("1 s"), ..plan() };
        let component = &write(&Origin::Files("/p".into()), &plan, Path::new("/data"))["components"][0];
        assert_eq!(component["decode"], json!({ "framing": "confluent", "schemas": "/s" }));
        let archive = json!({ "root": "/data/archive", "columns": "all except cutouts", "roll": { "age": "1 s" } });
        assert_eq!(component["archive"], archive);
    }

    #[test]
    fn steps_and_outputs_are_those_of_the_plan() {
        let catalogue = PathBuf::from("/c.csv");
        let publish = Some(Output::Topic { brokers: "b:1".to_owned(), topic: "out".to_owned(), transactions: true });
        let cuts = vec!["candidate.rb >= 0.55".to_owned()];
        let plan = Plan { cuts, catalogues: vec![catalogue.clone(), catalogue], publish, threads: Some(2), ..plan() };
        let all = write(&Origin::Files("/p".into()), &plan, Path::new("/data"));
        let component = &all["components"][0];
        assert_eq!(component["steps"].as_array().map(Vec::len), Some(2));
        assert_eq!(component["steps"][0], json!({ "cut": { "where": "candidate.rb >= 0.55" } }));
        let catalogues = json!([{ "catalog": "/c.csv", "id": "catalogue1" }, { "catalog": "/c.csv", "id": "catalogue2" }]);
        assert_eq!(component["steps"][1], json!({ "crossmatch": { "radius": "1.5 arcsec", "catalogs": catalogues } }));
        let out = json!([{ "topic": "out", "format": "container", "brokers": "b:1", "transactions": true }]);
        assert_eq!(component["publish"], out);
        assert_eq!(all["service"], json!({ "data": "/data/data", "threads": 2 }));
    }
}
