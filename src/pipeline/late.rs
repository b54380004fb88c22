//! The component that reads what another has set aside, under the name `NAME-late`: the same steps and sinks, a group, a state
//! folder and threads of its own, and a part of the memory.
//!
//! Both write into the same archive. The first goes on behind what it has set aside and never comes back, so it needs to know
//! nothing of the other. The other may come to rows that the first had archived and not committed before it was cut short: it looks
//! them up row by row, as a replay does, and in a backup, whose files do not tell their rows, by the ranges of the first.

use std::sync::Arc;

use rayon::ThreadPool;

use super::PrepareError;
use crate::config::{Backlog, KafkaSource, Pipeline, Settings, Source, Start, late_group, late_name};

/// The settings, with a component more for each whose source has `late`. It stands behind all others, so that these keep their
/// places in the file.
#[must_use]
pub fn with_late(settings: &Settings) -> Settings {
    let mut all = settings.clone();
    all.components.extend(settings.components.iter().filter_map(late));
    all
}

/// Names of all components of a file, with those that are made beside them.
#[must_use]
pub fn names(settings: &Settings) -> Vec<String> {
    with_late(settings).components.into_iter().map(|c| c.name).collect()
}

fn late(of: &Pipeline) -> Option<Pipeline> {
    let Source::Kafka(kafka) = &of.source else { return None };
    let share = kafka.late?.share;
    let kafka = KafkaSource {
        group: late_group(&kafka.group),
        start: Start::Earliest,
        late: None,
        backlog: Some(Backlog { of: of.name.clone(), group: kafka.group.clone(), share }),
        ..kafka.clone()
    };
    Some(Pipeline { name: late_name(&of.name), source: Source::Kafka(kafka), ..of.clone() })
}

/// What a component reads that another has set aside.
pub(super) fn backlog(config: &Pipeline) -> Option<&Backlog> {
    if let Source::Kafka(kafka) = &config.source { kafka.backlog.as_ref() } else { None }
}

/// Bytes that a component may hold: each of a file has the same part of `service.memory`, and shares it with the reader of its
/// backlog.
pub(super) fn memory(settings: &Settings, index: usize) -> u64 {
    let of_file = settings.components.iter().filter(|c| backlog(c).is_none()).count();
    let whole = settings.service.memory / of_file.max(1) as u64;
    let config = &settings.components[index];
    let part = |share: f64| (whole as f64 * share) as u64;
    match &config.source {
        Source::Kafka(KafkaSource { backlog: Some(backlog), .. }) => part(backlog.share),
        Source::Kafka(KafkaSource { late: Some(late), .. }) => whole - part(late.share),
        _ => whole,
    }
}

/// The threads of a component: those of all, or its own where it reads a backlog, so that nothing live waits behind that.
pub(super) fn threads(config: &Pipeline, all: Arc<ThreadPool>) -> Result<Arc<ThreadPool>, PrepareError> {
    match backlog(config) {
        Some(backlog) => super::pool(((all.current_num_threads() as f64 * backlog.share) as usize).max(1)),
        None => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;
    use crate::config;

    #[test]
    fn a_component_with_late_gets_another_beside_it_and_shares_its_part_of_the_memory() {
        let kafka = |name: &str, more: &str| {
            format!(
                "  - {{ name: {name}, type: pipeline, survey: ztf, archive: {{ root: {name} }}, \
                 source: {{ kafka: {{ brokers: \"a:1\", topics: [t], group: of-{name}{more} }} }} }}\n"
            )
        };
        let file = format!(
            "service: {{ memory: 1000 MB }}\ncomponents:\n{}{}",
            kafka("one", ", start: latest, late: { share: 0.25 }"),
            kafka("two", "")
        );
        let settings = with_late(&config::load_text(&file, Path::new("/nonexistent/x.yaml")).unwrap());
        let told: Vec<(&str, u64)> =
            (0..).zip(&settings.components).map(|(i, c)| (c.name.as_str(), memory(&settings, i))).collect();
        assert_eq!(told, [("one", 375_000_000), ("two", 500_000_000), ("one-late", 125_000_000)]);
        let Source::Kafka(late) = &settings.components[2].source else { panic!() };
        assert_eq!((late.group.as_str(), late.start, late.late), ("of-one-late", Start::Earliest, None));
        let backlog = late.backlog.clone().unwrap();
        assert_eq!((backlog.of.as_str(), backlog.group.as_str()), ("one", "of-one"));
        assert_eq!(settings.components[2].archive.as_ref().unwrap().root, settings.components[0].archive.as_ref().unwrap().root);
        let pool = super::super::pool(8).unwrap();
        let threads = |index: usize| threads(&settings.components[index], pool.clone()).unwrap().current_num_threads();
        assert_eq!([threads(0), threads(1), threads(2)], [8, 8, 2]);
    }
}
