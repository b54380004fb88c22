//! A folder of packets (or one file, or a glob pattern) as a finite stream: every file is one message.
//!
//! Topic `COMPONENT.files`, partition 0; the offset of a file is its line in the manifest. New files are looked for on start.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::builder::Builder;
use super::positions::{Positions, fault, make_folder};
use super::{SourceContext, manifest};
use crate::alert::{Budget, Fault, Polled, RawMessage, Source, TopicPartition, Turnstile};
use crate::config::FilesSource;

/// A file larger than this is no packet of any survey, and would not fit beside others in an arena of 4 GiB.
const LARGEST: u64 = 1 << 30;

/// Bytes of a message that tell its schema: those of a Confluent frame.
const FRAME: usize = 5;
/// How long to wait before a held file is asked about again.
const HELD_PAUSE: Duration = Duration::from_millis(10);

/// Reads packets from files.
#[derive(Debug)]
pub(super) struct Files {
    paths: Vec<PathBuf>,
    next: usize,
    builder: Builder,
    turnstile: Turnstile,
    /// How the next file begins, where its schema is waited for.
    held: Option<Vec<u8>>,
    budget: Budget,
    positions: Positions,
}

impl Files {
    /// Lists the files and finds where the last run ended.
    pub(super) fn open(config: &FilesSource, context: SourceContext) -> Result<Self, Fault> {
        make_folder(&context.state)?;
        let found = list(&config.path)?;
        let paths = manifest::update(&context.state.join("files.manifest"), found)?;
        let positions = Positions::load(context.state.join("files.position"), "offset into files.manifest".into())?;
        let start = positions.get(0);
        let next = usize::try_from(start).ok().filter(|n| *n <= paths.len()).ok_or_else(|| {
            Fault::defect(format!(
                "{}: the committed position {start} is not in files.manifest, which has {} lines; restore the manifest, or remove \
                 both files to read everything anew",
                context.state.display(),
                paths.len()
            ))
        })?;
        let origin = Arc::new(TopicPartition { topic: format!("{}.files", context.component).into(), partition: 0 });
        let turnstile = Turnstile::new(context.gate, origin.clone());
        let builder = Builder::new(origin, context.generation, context.limits, Some(start), context.budget.arenas.clone());
        Ok(Self { paths, next, builder, turnstile, held: None, budget: context.budget, positions })
    }

    /// Takes the next file into the batch. Returns whether it may be handed out; if not, it has to be asked for again.
    fn read_next(&mut self) -> Result<bool, Fault> {
        if let Some(beginning) = &self.held
            && !self.turnstile.admits(Some(beginning))
        {
            return Ok(false);
        }
        self.held = None;
        let path = &self.paths[self.next];
        let unreadable = |e| {
            let why = fault(path, "can't read the packet", &e).message;
            Fault::environment(format!("{why}; restore the file or make it readable, it is not passed over"))
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.len() > LARGEST {
            return Err(Fault::environment(format!(
                "{}: {} bytes are too many for one packet (at most {LARGEST}); move the file away",
                path.display(),
                metadata.len()
            )));
        }
        let modified = metadata.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        let arena = self.builder.arena();
        let before = arena.len();
        // By the file's own length in one read; one that grows meanwhile is a packet that is still being written, as ever.
        if let Err(e) = file.read_to_end(arena) {
            arena.truncate(before);
            return Err(unreadable(e));
        }
        let payload = &arena[before..];
        if !self.turnstile.admits(Some(payload)) {
            self.held = Some(payload[..payload.len().min(FRAME)].to_vec());
            arena.truncate(before);
            return Ok(false);
        }
        let range = |i: usize| u32::try_from(i).expect("a batch is cut at 2 GiB and a file has at most 1 GiB");
        let payload = range(before)..range(arena.len());
        self.builder.push(RawMessage {
            offset: self.next as i64,
            timestamp: modified.and_then(|t| i64::try_from(t.as_millis()).ok()),
            payload: Some(payload),
            ..RawMessage::default()
        });
        self.next += 1;
        Ok(true)
    }
}

impl Source for Files {
    fn poll(&mut self, patience: Duration) -> Result<Polled, Fault> {
        let end = Instant::now() + patience;
        let due = |builder: &Builder| builder.deadline().is_some_and(|d| d <= Instant::now());
        while !self.builder.is_full() && !due(&self.builder) && self.next < self.paths.len() {
            if !self.read_next()? {
                break;
            }
        }
        if self.builder.is_empty() {
            if self.held.is_none() {
                return Ok(Polled::End);
            }
            thread::sleep(patience.min(HELD_PAUSE));
            return Ok(Polled::Idle);
        }
        Ok(self.builder.cut_until(&self.budget, end).map_or(Polled::Idle, Polled::Batch))
    }

    fn keep_alive(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn commit(&mut self, watermarks: &[(TopicPartition, i64)], _last: bool) -> Result<(), Fault> {
        self.positions.commit(&self.builder.origin().topic, watermarks)
    }
}

/// The files that `path` means, absolute and sorted. Hidden files and folders are not packets.
fn list(path: &Path) -> Result<Vec<PathBuf>, Fault> {
    let mut found = Vec::new();
    match fs::canonicalize(path) {
        Ok(whole) if whole.is_dir() => walk(&whole, &mut found)?,
        Ok(whole) => found.push(whole),
        Err(missing) => expand(path, &missing, &mut found)?,
    }
    found.sort();
    found.dedup();
    if found.is_empty() {
        return Err(Fault::environment(format!(
            "{}: no file to read; put packets there (hidden files don't count), or correct `path`",
            path.display()
        )));
    }
    Ok(found)
}

fn expand(path: &Path, missing: &std::io::Error, found: &mut Vec<PathBuf>) -> Result<(), Fault> {
    let pattern = path.to_str().filter(|p| p.contains(['*', '?', '['])).ok_or_else(|| {
        let why = fault(path, "can't open", missing).message;
        Fault::environment(format!("{why}; make the folder, or correct `path`"))
    })?;
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
    let matches = glob::glob_with(pattern, options)
        .map_err(|e| Fault::defect(format!("{pattern}: not a glob pattern: {e}; correct `path`")))?;
    for entry in matches {
        let entry = entry.map_err(|e| fault(e.path(), "can't list", e.error()))?;
        let whole = fs::canonicalize(&entry).map_err(|e| fault(&entry, "can't open", &e))?;
        if whole.is_file() {
            found.push(whole);
        }
    }
    Ok(())
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Fault> {
    let failed = |e| fault(folder, "can't list", &e);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        // Links to files are followed, links to folders are not: they could go round in circles.
        if entry.file_type().map_err(failed)?.is_dir() {
            walk(&path, found)?;
        } else if fs::metadata(&path).map_err(|e| fault(&path, "can't open", &e))?.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::alert::{FaultKind, RawBatch};
    use crate::config::BatchLimits;
    use crate::source::testing::{Nine, assert_contiguous, context, count, drain, poll_until};

    fn open(path: &Path, context: SourceContext) -> Files {
        Files::open(&FilesSource { path: path.to_path_buf() }, context).unwrap()
    }

    fn payloads(batches: &[RawBatch]) -> Vec<(i64, String)> {
        let text = |b: &RawBatch, m| String::from_utf8(b.payload(m).unwrap().to_vec()).unwrap();
        batches.iter().flat_map(|b| b.messages.iter().map(move |m| (m.offset, text(b, m)))).collect()
    }

    fn fill(folder: &Path, names: &[&str]) {
        for name in names {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
    }

    fn named(entries: &[(i64, &str)]) -> Vec<(i64, String)> {
        entries.iter().map(|(o, n)| (*o, (*n).to_string())).collect()
    }

    #[test]
    fn a_folder_is_read_once_in_order_of_path_and_then_ends() {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fill(folder.path(), &["b.avro", "a/2.avro", "a/1.avro", ".hidden", "a/.git/x"]);
        let limits = BatchLimits { alerts: 2, ..BatchLimits::default() };
        let mut files = open(folder.path(), context(state.path(), limits));
        let batches = drain(&mut files);
        assert_eq!(payloads(&batches), named(&[(0, "a/1.avro"), (1, "a/2.avro"), (2, "b.avro")]));
        assert_contiguous(&batches, 0);
        assert!(batches.iter().all(|b| b.messages.len() <= 2 && &*b.token.origin.topic == "test.files"));
        assert!(batches[0].messages[0].timestamp.unwrap() > 1_600_000_000_000);
        assert!(matches!(files.poll(Duration::ZERO).unwrap(), Polled::End));
    }

    #[test]
    fn a_run_continues_at_the_commit_and_new_files_come_last() {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fill(folder.path(), &["b", "d"]);
        let mut files = open(folder.path(), context(state.path(), BatchLimits::default()));
        let origin = (*drain(&mut files)[0].token.origin).clone();
        files.commit(&[(origin.clone(), 1)], true).unwrap();
        fill(folder.path(), &["a", "c"]);
        let mut files = open(folder.path(), context(state.path(), BatchLimits::default()));
        let batches = drain(&mut files);
        assert_eq!(payloads(&batches), named(&[(1, "d"), (2, "a"), (3, "c")]));
        assert_contiguous(&batches, 1);
        files.commit(&[(origin, 4)], true).unwrap();
        let mut files = open(folder.path(), context(state.path(), BatchLimits::default()));
        assert_eq!(drain(&mut files).len(), 0);
    }

    #[test]
    fn without_budget_the_batch_is_held_and_nothing_more_is_read() {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fill(folder.path(), &["a", "b", "c"]);
        let context = context(state.path(), BatchLimits { alerts: 1, ..BatchLimits::default() });
        let all = context.budget.try_take(context.budget.limit()).unwrap();
        let mut files = open(folder.path(), context);
        for _ in 0..5 {
            assert!(matches!(files.poll(Duration::from_millis(1)).unwrap(), Polled::Idle));
        }
        assert_eq!(files.next, 1);
        drop(all);
        assert_eq!(payloads(&drain(&mut files)).len(), 3);
    }

    #[test]
    fn a_file_whose_schema_is_not_there_is_waited_for() {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (name, id) in [("a", 8), ("b", 9), ("c", 8)] {
            fs::write(folder.path().join(name), [&[0, 0, 0, 0, id][..], name.as_bytes()].concat()).unwrap();
        }
        let gate = Arc::new(Nine::default());
        let mut context = context(state.path(), BatchLimits::default());
        context.gate = Some(gate.clone());
        let mut files = open(folder.path(), context);
        let first = poll_until(&mut files, |b| count(b) == 1);
        assert!(first[0].payload(&first[0].messages[0]).unwrap().ends_with(b"a"));
        for _ in 0..3 {
            assert!(matches!(files.poll(Duration::from_millis(1)).unwrap(), Polled::Idle));
        }
        gate.open();
        let rest = drain(&mut files);
        assert_contiguous(&rest, 1);
        assert_eq!(count(&rest), 2);
        drop(files);
        assert!(gate.held.lock().unwrap().len() >= 3 && *gate.left.lock().unwrap() == [0]);
    }

    #[test]
    fn bytes_cut_a_batch_and_an_empty_file_is_a_message() {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fill(folder.path(), &["aaaa", "bbbb", "cccc"]);
        fs::write(folder.path().join("dddd"), "").unwrap();
        let limits = BatchLimits { alerts: 100, bytes: 8, linger: Duration::from_secs(60) };
        let batches = drain(&mut open(folder.path(), context(state.path(), limits)));
        assert_eq!(batches.iter().map(|b| b.messages.len()).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(payloads(&batches)[3], (3, String::new()));
    }

    #[test]
    fn one_file_and_a_pattern() {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fill(folder.path(), &["x/1.avro", "x/2.json", "y/3.avro", "y/.4.avro"]);
        let pattern = folder.path().join("*/*.avro");
        let batches = drain(&mut open(&pattern, context(&state.path().join("p"), BatchLimits::default())));
        assert_eq!(payloads(&batches), named(&[(0, "x/1.avro"), (1, "y/3.avro")]));
        let one = folder.path().join("x/2.json");
        let batches = drain(&mut open(&one, context(&state.path().join("one"), BatchLimits::default())));
        assert_eq!(payloads(&batches), named(&[(0, "x/2.json")]));
    }

    #[test]
    fn what_is_missing_is_said_with_its_path() {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["missing", "", "*.avro"] {
            let path = folder.path().join(name);
            let fault =
                Files::open(&FilesSource { path: path.clone() }, context(state.path(), BatchLimits::default())).unwrap_err();
            assert_eq!(fault.kind, FaultKind::Environment);
            assert!(
                fault.message.contains(path.to_str().unwrap()) && fault.message.contains("correct `path`"),
                "{}",
                fault.message
            );
        }
    }

    #[test]
    fn a_file_that_vanished_is_a_fault_that_can_be_mended() {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fill(folder.path(), &["a", "b"]);
        let mut files = open(folder.path(), context(state.path(), BatchLimits { alerts: 1, ..BatchLimits::default() }));
        assert!(matches!(files.poll(Duration::ZERO).unwrap(), Polled::Batch(_)));
        fs::remove_file(folder.path().join("b")).unwrap();
        let fault = files.poll(Duration::ZERO).unwrap_err();
        assert!(fault.kind == FaultKind::Environment && fault.message.contains("/b"), "{}", fault.message);
        fill(folder.path(), &["b"]);
        assert_eq!(payloads(&drain(&mut files)), named(&[(1, "b")]));
    }
}
