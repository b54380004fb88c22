//! A range of time that goes through a component once more, under the name `NAME-replay` and a group of its own.
//!
//! It works in the archive as letters do that are processed again: rows that the service or a requeue has archived are left out,
//! rows that are missing are filled in. Outputs are sent again.

use super::PrepareError;
use crate::alert::Fault;
use crate::config::{Live, Pipeline, Replay, Settings, Source, Spots, Start, show_moment};

/// A range of time of a component's stream, milliseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Where it begins: the first message with a timestamp as late as this.
    pub from: i64,
    /// Where it ends: before the first message with a timestamp as late as this.
    pub to: i64,
}

/// Name under which a component is replayed.
#[must_use]
pub fn replay_name(component: &str) -> String {
    format!("{component}-replay")
}

/// Settings with one component that reads a range of the stream of `settings.components[index]` and then ends. `into` gives the
/// component whose steps and sinks are used in place of its own. The same range and sinks have the same group, so that a replay
/// that was cut short goes on where it was.
///
/// # Errors
/// When the component reads something else than Kafka, has nothing that a replay could fill, or its name for it is taken.
pub fn replay(
    settings: &Settings,
    index: usize,
    into: Option<(&Settings, usize)>,
    range: Range,
) -> Result<Settings, PrepareError> {
    let of = &settings.components[index];
    let refused = |why: String| PrepareError::Fault(Fault::defect(why));
    let Source::Kafka(kafka) = &of.source else {
        return Err(refused(format!("{} does not read from Kafka: only a topic keeps what can be replayed", of.name)));
    };
    let (target, place) = into.unwrap_or((settings, index));
    let name = replay_name(&of.name);
    if target.components.iter().any(|other| other.name == name) {
        return Err(refused(format!("{} is replayed under the name {name}, which another component has: rename that", of.name)));
    }
    let mut component: Pipeline = target.components[place].clone();
    let archive = |c: &Pipeline| c.archive.as_ref().map(|archive| archive.root.clone());
    let backup = |c: &Pipeline| c.backup.as_ref().map(|backup| backup.files.root.clone());
    if component.backup.is_some() && backup(&component) == backup(of) {
        // Its files do not tell row by row what they hold.
        tracing::info!(component = name, "the backup is left as it is: a replay fills the archive and sends to the outputs");
        component.backup = None;
    }
    if component.archive.is_none() && component.backup.is_none() && component.publish.is_empty() {
        return Err(refused(format!(
            "{} has neither an archive nor an output that a replay could go to: give some by --into",
            of.name
        )));
    }
    let same_archive = component.archive.is_some() && archive(&component) == archive(of);
    let compact = |millis: i64| show_moment(millis).replace(['-', ':'], "");
    let mut kafka = kafka.clone();
    let live = Live { group: kafka.group.clone(), start: kafka.start };
    kafka.group += &format!("-replay-{}-{}", compact(range.from), compact(range.to));
    if into.is_some() {
        kafka.group += &format!("-{}", target.fingerprint);
    }
    kafka.start = Start::At(range.from);
    (kafka.until_end, kafka.late) = (true, None);
    kafka.replay = Some(Replay { of: of.name.clone(), to: range.to, behind: same_archive.then_some(live) });
    component.name = name;
    component.source = Source::Kafka(kafka);
    // Places in the file are those of other components.
    Ok(Settings { components: vec![component], spots: Spots::default(), ..target.clone() })
}
