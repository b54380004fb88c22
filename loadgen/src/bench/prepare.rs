//! What is prepared before a run's clock starts: packets as files or in a topic, catalogues, the file of the schema.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::line::{History, Subject};
use crate::bench::{BenchArgs, Source, catalogs, machine};
use crate::error::Error;
use crate::packets::{Framing, PacketArgs, Packets};
use crate::produce::{self, Compression, Key, ProduceArgs};
use crate::topic;

/// Alerts and time at most for measuring the simulator alone.
const GENERATOR: (u64, Duration) = (20_000, Duration::from_secs(1));
/// Alerts at most by which the mean history is found.
const SAMPLE: u64 = 20_000;

/// What is ready for the runs.
pub(super) struct Prepared {
    /// Folder of files.
    pub(super) files: PathBuf,
    /// Catalogues that were made.
    pub(super) catalogues: Vec<PathBuf>,
    /// The section `decode` of the configuration.
    pub(super) decode: Option<Value>,
    /// Whether no two alerts have the same id.
    pub(super) unique: bool,
    /// The ids of the alerts, where they are known.
    pub(super) ids: Option<Vec<i64>>,
    /// The topic that was filled, or is filled in each run.
    pub(super) filling: Option<ProduceArgs>,
}

/// Prepares everything and says what the packets are.
pub(super) fn prepare(args: &BenchArgs, folder: &Path, subject: &mut Subject) -> Result<Prepared, Error> {
    let packets = Packets::new(&args.packets)?;
    let mut prepared = Prepared {
        files: folder.join("packets"),
        catalogues: Vec::new(),
        decode: decode(&args.packets, &packets, folder)?,
        unique: args.packets.unique_ids,
        ids: None,
        filling: None,
    };
    let mut made_up = args.packets.from.is_none();
    match args.source {
        Source::Memory => {}
        Source::Files => {
            if prepared.files.exists() {
                std::fs::remove_dir_all(&prepared.files).map_err(Error::file("remove", &prepared.files))?;
            }
            eprintln!("writing {} packets to {}", subject.count, prepared.files.display());
            let bytes = packets.write(subject.count, &prepared.files)?;
            sync(Some(&prepared.files))?;
            subject.packet.bytes = Some(bytes as f64 / subject.count as f64);
            subject.page_cache = Some("warm: written and synced just before, as far as memory goes");
        }
        Source::Kafka if args.produce => {
            let filling = filling(args, folder)?;
            // At a rate, each run has a topic of its own, which is filled meanwhile.
            if args.rate.is_none() {
                eprintln!("filling topic {} with {} alerts", filling.topic, filling.count);
                let summary = produce::produce(&filling)?;
                sync(None)?;
                subject.packet.bytes = Some(summary.bytes as f64 / filling.count as f64);
            }
            prepared.filling = Some(filling);
        }
        Source::Kafka => {
            let (Some(brokers), Some(topic)) = (&args.brokers, &args.topic) else {
                return Err(Error::Arguments("name the topic with --topic, or let one be filled with --produce"));
            };
            let holding = topic::look(brokers, topic)?;
            subject.packet.bytes = Some(holding.mean_bytes);
            subject.count = args.count.unwrap_or(holding.messages);
            // What `produce` sent with the same arguments can be told from its running numbers.
            made_up = made_up
                && !holding.sample.is_empty()
                && holding.sample.iter().all(|(number, sent)| {
                    let (mut packet, mut key) = (Vec::new(), String::new());
                    packets.make(*number, &mut packet, &mut key);
                    packet == *sent
                });
            subject.packet.kind = format!("messages of topic {topic}");
        }
    }
    if made_up {
        prepared.unique = true;
        let (bytes, time) = generator(&packets, subject.count);
        subject.generator_us_per_alert = Some(time);
        subject.packet.bytes.get_or_insert(bytes);
        subject.packet.history = history(&packets, subject.count);
        subject.packet.kind = format!("{}, made up, distinct", args.packets.schema()?.name());
        if args.source != Source::Kafka || args.produce {
            let mut ids: Vec<i64> = (0..subject.count).filter_map(|number| Some(packets.look(number)?.id)).collect();
            ids.sort_unstable();
            prepared.ids = Some(ids);
        }
    } else if let Some(from) = &args.packets.from {
        let ids = if args.packets.unique_ids { "own ids, " } else { "" };
        subject.packet.kind = format!("files of {} over and over, {ids}stamps repeat", from.display());
    }
    if args.catalogs > 0 {
        eprintln!("writing {} catalogues of {} sources", args.catalogs, args.catalog_rows);
        let made = catalogs::write(args.catalogs, args.catalog_rows, &packets, subject.count, &folder.join("catalogs"))?;
        sync(Some(folder))?;
        prepared.catalogues = made;
    }
    Ok(prepared)
}

/// The section `decode` for the framing of the packets, with the schema in a file where messages don't have it.
pub(crate) fn decode(args: &PacketArgs, packets: &Packets, folder: &Path) -> Result<Option<Value>, Error> {
    let (framing, id) = args.framing()?;
    if framing == Framing::Container {
        return Ok(None);
    }
    let Some(schema) = packets.schema() else {
        return Err(Error::Arguments("packets of --from are measured as they are; leave --framing out, or give --config"));
    };
    let schemas = folder.join("schemas");
    std::fs::create_dir_all(&schemas).map_err(Error::file("create", &schemas))?;
    let file = schemas.join(format!("{id}.avsc"));
    std::fs::write(&file, schema).map_err(Error::file("write", &file))?;
    Ok(Some(match framing {
        Framing::Bare => json!({ "framing": "bare", "schema": file }),
        _ => json!({ "framing": "confluent", "schemas": schemas }),
    }))
}

/// How the topic of a run is filled.
fn filling(args: &BenchArgs, folder: &Path) -> Result<ProduceArgs, Error> {
    let (Some(brokers), Some(count)) = (&args.brokers, args.count) else {
        unreachable!("the command line demands brokers and a count for this source");
    };
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    Ok(ProduceArgs {
        brokers: brokers.clone(),
        topic: args.topic.clone().unwrap_or_else(|| format!("bench-{plain}-{}", std::process::id())),
        count,
        rate: args.rate,
        burst: None,
        partitions: NonZeroU32::new(args.partitions),
        // ZTF's messages have the object for a key, LSST's have none.
        key: if args.packets.schema()?.id().is_some() { Key::None } else { Key::Object },
        first_index: 0,
        compression: Compression::None,
        journal: None,
        packets: args.packets.clone(),
    })
}

/// Brings what was written to the disk, so that the run doesn't compete with it: a whole file system, or all of them, by one command,
/// because one call for each of many files takes minutes.
fn sync(folder: Option<&Path>) -> Result<(), Error> {
    let mut command = Command::new("sync");
    if let Some(folder) = folder {
        command.arg("--file-system").arg(folder);
    }
    let status = command.status();
    let outcome =
        status.and_then(|status| if status.success() { Ok(()) } else { Err(std::io::Error::other(status.to_string())) });
    outcome.map_err(Error::file("sync", folder.unwrap_or(Path::new("/"))))
}

/// Mean size of the simulator's packets, and the microseconds of CPU time that one takes.
pub(super) fn generator(packets: &Packets, count: u64) -> (f64, f64) {
    let (mut packet, mut key) = (Vec::new(), String::new());
    let (mut made, mut bytes) = (0, 0);
    let (start, cpu) = (Instant::now(), machine::thread_cpu());
    while made < count.min(GENERATOR.0) && start.elapsed() < GENERATOR.1 {
        packets.make(made, &mut packet, &mut key);
        bytes += packet.len();
        made += 1;
    }
    let seconds = cpu.zip(machine::thread_cpu()).map_or(start.elapsed().as_secs_f64(), |(before, after)| after - before);
    (bytes as f64 / made as f64, seconds * 1e6 / made as f64)
}

/// Mean lengths of the histories of made-up alerts.
fn history(packets: &Packets, count: u64) -> Option<History> {
    let looked = count.clamp(1, SAMPLE);
    let (mut previous, mut forced) = (0, 0);
    for number in 0..looked {
        let info = packets.look(number)?;
        (previous, forced) = (previous + info.previous, forced + info.forced);
    }
    Some(History { previous: previous as f64 / looked as f64, forced: forced as f64 / looked as f64 })
}
