//! Messages that the broker had deleted before they were read: found to the offset, counted in the ledger, written to
//! `gaps.jsonl` in the component's folder, and either passed over or the end of the run, as the configuration says.
//!
//! Offsets may be left out for other reasons: markers of transactions, compaction. What is gone is what lies below the first offset
//! that the log still has (its low watermark).
//!
//! **Invariant:** a gap is in the file before anything behind it is handed out.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use rdkafka::consumer::Consumer;
use serde::{Deserialize, Serialize};

use super::Kafka;
use super::partition::Hole;
use crate::alert::{Fault, Span, TopicPartition};
use crate::config::Expired;
use crate::durable;

/// Name of the file.
const FILE: &str = "gaps.jsonl";
/// How long the question where a log begins may take. It is asked again.
const LOOK_LIMIT: Duration = Duration::from_secs(1);

/// A line of the file. Its keys are a promise to who reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Gap {
    topic: String,
    partition: i32,
    /// The first offset that is gone.
    from: i64,
    /// The first one after it that is not.
    to: i64,
    /// When it was noticed, UTC, RFC 3339.
    noticed: String,
}

impl Kafka {
    /// Looks at where the log of a partition begins, before it is read from `position` on. What is gone already is counted; returns
    /// where reading begins.
    pub(super) fn begin_in_log(&self, origin: &TopicPartition, position: i64) -> Result<i64, Fault> {
        match self.log_start(origin) {
            Some(first) if position < first => {
                self.lose(origin, Span { start: position, end: first })?;
                Ok(first)
            }
            // Where the broker does not answer now, the first message tells.
            _ => Ok(position),
        }
    }

    /// Looks into offsets that did not come. Returns whether it is known what became of them.
    pub(super) fn look_into(&self, origin: &TopicPartition, hole: Hole) -> Result<bool, Fault> {
        let Some(first) = self.log_start(origin) else { return Ok(false) };
        let span = Span { start: hole.from, end: hole.to.min(first) };
        if span.start < span.end {
            self.lose(origin, span)?;
        }
        Ok(true)
    }

    /// The first offset that the log still has, where the broker tells.
    pub(super) fn log_start(&self, origin: &TopicPartition) -> Option<i64> {
        let marks = self.connection.consumer().fetch_watermarks(&origin.topic, origin.partition, LOOK_LIMIT);
        marks.ok().map(|(first, _)| first)
    }

    /// These messages are gone for good.
    pub(super) fn lose(&self, origin: &TopicPartition, span: Span) -> Result<(), Fault> {
        let folder = &self.context.state;
        note(folder, origin, span, SystemTime::now()).map_err(|e| {
            let path = folder.join(FILE);
            let lost = format!("{origin}: offsets {} to {} are no longer kept by the broker", span.start, span.end - 1);
            Fault::environment(format!(
                "{lost}, and that cannot be written to {}: {e}; reading waits until it can",
                path.display()
            ))
        })?;
        let news = self.context.ledger.expire(origin, span);
        let component = self.context.component.as_str();
        let (from, to) = (span.start, span.end);
        if self.config.expired == Expired::Continue {
            if news > 0 {
                tracing::error!(
                    component, partition = %origin, from, to, expired = news,
                    "messages are lost: the broker no longer kept them when they were to be read; reading goes on behind them"
                );
            }
            return Ok(());
        }
        Err(Fault::halt(format!(
            "{origin}: the {} messages from offset {from} to {} are no longer kept by the broker, and `source.kafka.expired` is `stop`: \
             nothing behind them is read or committed; restore them, or write `expired: continue` to go on at offset {to}",
            to - from,
            to - 1
        )))
    }
}

/// Appends what of a gap is news. The process may have been killed after it had written a gap and before it had committed behind
/// it; then the same gap is noticed again, perhaps longer by now.
fn note(folder: &Path, origin: &TopicPartition, span: Span, now: SystemTime) -> std::io::Result<()> {
    let path = folder.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e),
    };
    // A line that a crash has cut off is none.
    let mut gaps = text.lines().filter_map(|line| serde_json::from_str::<Gap>(line).ok());
    let before = gaps.rfind(|g| *g.topic == *origin.topic && g.partition == origin.partition);
    let from = match before {
        Some(gap) if gap.from <= span.start && span.start < gap.to => gap.to,
        _ => span.start,
    };
    if from >= span.end {
        return Ok(());
    }
    let noticed = DateTime::<Utc>::from(now).to_rfc3339_opts(SecondsFormat::Secs, true);
    let gap = Gap { topic: origin.topic.to_string(), partition: origin.partition, from, to: span.end, noticed };
    let begin = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let line = format!("{begin}{}\n", serde_json::to_string(&gap)?);
    durable::create_folders(folder).map_err(std::io::Error::other)?;
    let mut file = File::options().create(true).append(true).open(&path)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()?;
    durable::sync_folder(folder).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn gaps(folder: &Path) -> Vec<(i32, i64, i64)> {
        let text = fs::read_to_string(folder.join(FILE)).unwrap();
        let gaps = text.lines().filter_map(|line| serde_json::from_str::<Gap>(line).ok());
        gaps.map(|g| (g.partition, g.from, g.to)).collect()
    }

    #[test]
    fn a_gap_is_written_once_also_when_it_has_grown_or_a_line_was_cut_off() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("ztf");
        let put = |partition: i32, start: i64, end: i64| {
            let origin = TopicPartition { topic: "t".into(), partition };
            note(&folder, &origin, Span { start, end }, SystemTime::UNIX_EPOCH).unwrap();
        };
        put(0, 10, 20);
        put(0, 10, 20);
        put(1, 10, 20);
        put(0, 10, 25);
        assert_eq!(gaps(&folder), [(0, 10, 20), (1, 10, 20), (0, 20, 25)]);
        let text = fs::read_to_string(folder.join(FILE)).unwrap();
        assert_eq!(
            text.lines().next(),
            Some(r#"{"topic":"t","partition":0,"from":10,"to":20,"noticed":"1970-01-01T00:00:00Z"}"#)
        );
        fs::write(folder.join(FILE), &text[..text.len() - 9]).unwrap();
        put(2, 0, 3);
        // The topic was made anew: the same offsets are others.
        put(0, 40, 50);
        put(0, 12, 20);
        assert_eq!(gaps(&folder), [(0, 10, 20), (1, 10, 20), (2, 0, 3), (0, 40, 50), (0, 12, 20)]);
    }
}
