//! The packets to send: made by the simulator or read from a folder, in the framing that was asked for.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use skysluice_simulator::{PacketInfo, PacketSchema, Simulator, SimulatorConfig, Target};

use crate::container::{self, CandidatePlaces, Container};
use crate::error::Error;
use crate::random::Random;

/// Bytes of files that are held in memory at most.
const LIMIT: usize = 1 << 30;

/// Which packets.
#[derive(Args, Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct PacketArgs {
    /// Folder of packets, one file each, sent in the order of their names, over and over. Without it alerts are made up.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kind", "schema", "history", "seed"])]
    pub(crate) from: Option<PathBuf>,
    /// Survey whose alerts are made up; they are all distinct.
    #[arg(long, visible_alias = "survey", value_enum, default_value = "ztf")]
    pub(crate) kind: Survey,
    /// Version of its schema: 3.3, 4.01 or 4.02 of ZTF, 9.0 or 11.0 of LSST. Absent: 4.01 and 11.0.
    #[arg(long, value_name = "VERSION")]
    pub(crate) schema: Option<String>,
    /// History of made-up alerts.
    #[arg(long, value_enum, default_value = "full")]
    pub(crate) history: History,
    /// Seed of made-up alerts.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Known objects on which a fifth of made-up alerts fall, so that objects come again. With 0 every alert is of a new one.
    #[arg(long, default_value_t = 0, value_name = "N", conflicts_with = "from")]
    pub(crate) objects: u32,
    /// Cuts every N-th message in half, so that nobody can decode it and it has to become a dead letter.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) broken: Option<u64>,
    /// Gives each packet of --from its own candidate id, wherever the packet says it. For ZTF's packets only.
    #[arg(long)]
    pub(crate) unique_ids: bool,
    /// How a message holds its Avro datum. Files are sent as they are with `container`. Absent: as the survey does.
    #[arg(long, value_enum)]
    pub(crate) framing: Option<Framing>,
    /// Schema id in the frame of `--framing confluent`. Absent: LSST's own, otherwise 1.
    #[arg(long)]
    pub(crate) schema_id: Option<u32>,
}

/// Surveys whose alerts can be made up.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Survey {
    /// ZTF's packets, in containers.
    Ztf,
    /// LSST's packets, in Confluent's framing.
    Lsst,
}

/// History of made-up alerts.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum History {
    /// As real alerts of known objects: 34 previous candidates and 17 forced photometry points for ZTF, 20 and 50 for LSST.
    Full,
    /// None: all objects are new.
    None,
}

/// How a message holds its Avro datum.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Framing {
    /// An Avro object container with its schema inside.
    Container,
    /// 0x00, a 4-byte big-endian schema id, the datum.
    Confluent,
    /// The datum alone.
    Bare,
}

impl PacketArgs {
    /// Made-up alerts of a survey, all distinct and whole, in its own framing.
    pub(crate) fn made(kind: Survey, history: History) -> Self {
        Self {
            from: None,
            kind,
            schema: None,
            history,
            seed: 0,
            objects: 0,
            broken: None,
            unique_ids: false,
            framing: None,
            schema_id: None,
        }
    }

    /// The schema of made-up packets.
    pub(crate) fn schema(&self) -> Result<PacketSchema, Error> {
        let survey = match self.kind {
            Survey::Ztf => "ztf",
            Survey::Lsst => "lsst",
        };
        Ok(PacketSchema::find(survey, self.schema.as_deref())?)
    }

    /// What the simulator is asked for.
    pub(crate) fn config(&self) -> Result<SimulatorConfig, Error> {
        let mut random = Random::new(self.seed);
        let target = |number| {
            let (ra, dec) = random.place();
            Target { id: format!("object {number}"), ra, dec }
        };
        let targets = (0..self.objects).map(target).collect();
        let config = SimulatorConfig { seed: self.seed, targets, ..SimulatorConfig::of(self.schema()?) };
        Ok(match self.history {
            History::Full => config,
            History::None => SimulatorConfig { mean_history: 0.0, mean_forced: 0.0, ..config },
        })
    }

    /// The framing, and the id in it.
    pub(crate) fn framing(&self) -> Result<(Framing, u32), Error> {
        let id = if self.from.is_some() { None } else { self.schema()?.id() };
        let framing = self.framing.unwrap_or(if id.is_some() { Framing::Confluent } else { Framing::Container });
        if framing == Framing::Container && id.is_some() {
            return Err(Error::Arguments("LSST's packets are not made in containers; leave --framing out"));
        }
        Ok((framing, self.schema_id.or(id).unwrap_or(1)))
    }
}

/// A file, read.
#[derive(Debug)]
struct File {
    name: String,
    bytes: Vec<u8>,
    container: Option<Container>,
    places: Option<CandidatePlaces>,
}

/// Where packets come from.
enum Origin {
    Simulator(Box<Simulator>),
    Files(Vec<File>),
}

/// Packets by their running number.
pub(crate) struct Packets {
    origin: Origin,
    framing: Framing,
    schema_id: u32,
    broken: Option<u64>,
}

impl Packets {
    /// Prepares the simulator or reads the folder.
    pub(crate) fn new(args: &PacketArgs) -> Result<Self, Error> {
        let (framing, schema_id) = args.framing()?;
        let origin = match &args.from {
            Some(folder) => Origin::Files(read(folder, framing, args.unique_ids)?),
            None => Origin::Simulator(Box::new(Simulator::new(args.config()?)?)),
        };
        Ok(Self { origin, framing, schema_id, broken: args.broken })
    }

    /// How messages hold their datum.
    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether message `index` is broken on purpose.
    pub(crate) fn is_broken(&self, index: u64) -> bool {
        self.broken.is_some_and(|every| index % every == every - 1)
    }

    /// What message `index` says, where it is made up.
    pub(crate) fn look(&self, index: u64) -> Option<PacketInfo> {
        match &self.origin {
            Origin::Simulator(simulator) => Some(simulator.look(index)),
            Origin::Files(_) => None,
        }
    }

    /// The schema of made-up packets, as JSON text.
    pub(crate) fn schema(&self) -> Option<&str> {
        match &self.origin {
            Origin::Simulator(simulator) => Some(simulator.schema()),
            Origin::Files(_) => None,
        }
    }

    /// The schema of message `index`, as JSON text, where it is known: of files only those are that hold one record, uncompressed.
    pub(crate) fn schema_of(&self, index: u64) -> Option<&str> {
        let Origin::Files(files) = &self.origin else { return self.schema() };
        let file = &files[(index % files.len() as u64) as usize];
        std::str::from_utf8(&file.bytes[file.container.as_ref()?.schema.clone()]).ok()
    }

    /// Writes message `index` into `out` and its key, the object or the name of the file, into `key`, replacing what they held.
    pub(crate) fn make(&self, index: u64, out: &mut Vec<u8>, key: &mut String) {
        out.clear();
        key.clear();
        if self.framing == Framing::Confluent {
            out.push(0);
            out.extend_from_slice(&self.schema_id.to_be_bytes());
        }
        match &self.origin {
            Origin::Simulator(simulator) => {
                let info = match self.framing {
                    Framing::Container => simulator.packet(index, out),
                    Framing::Confluent | Framing::Bare => simulator.packet_datum(index, out),
                };
                key.push_str(&info.object_id);
            }
            Origin::Files(files) => {
                let file = &files[(index % files.len() as u64) as usize];
                key.push_str(&file.name);
                let range = match (&file.container, self.framing) {
                    (Some(container), Framing::Confluent | Framing::Bare) => container.datum.clone(),
                    _ => 0..file.bytes.len(),
                };
                let start = out.len();
                out.extend_from_slice(&file.bytes[range.clone()]);
                if let Some(places) = &file.places {
                    places.rename(index, range.start, &mut out[start..]);
                }
            }
        }
        if self.is_broken(index) {
            out.truncate(out.len() / 2);
        }
    }

    /// Writes packets 0 to `count` as files below `folder`, a thousand to a subfolder. Returns their bytes.
    pub(crate) fn write(&self, count: u64, folder: &std::path::Path) -> Result<u64, Error> {
        let (mut packet, mut key, mut bytes) = (Vec::new(), String::new(), 0);
        for index in 0..count {
            let folder = folder.join(format!("{:06}", index / 1000));
            if index % 1000 == 0 {
                std::fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
            }
            self.make(index, &mut packet, &mut key);
            let path = folder.join(format!("{index:010}.avro"));
            let mut file = std::fs::File::create(&path).map_err(Error::file("create", &path))?;
            file.write_all(&packet).map_err(Error::file("write", &path))?;
            bytes += packet.len() as u64;
        }
        Ok(bytes)
    }
}

/// Reads the files of a folder, in the order of their names.
fn read(folder: &std::path::Path, framing: Framing, unique_ids: bool) -> Result<Vec<File>, Error> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::file("read the folder", folder))? {
        let path = entry.map_err(Error::file("read the folder", folder))?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let mut files = Vec::with_capacity(paths.len());
    let mut total = 0;
    for path in paths {
        let bytes = std::fs::read(&path).map_err(Error::file("read", &path))?;
        total += bytes.len();
        if total > LIMIT {
            return Err(Error::TooLarge { folder: folder.to_owned(), limit: LIMIT });
        }
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let container = container::open(&bytes);
        if container.is_none() && framing != Framing::Container {
            let problem = "is not an uncompressed Avro container with one record";
            return Err(Error::Packet { path, problem, advice: "send it as it is with --framing container" });
        }
        let places = container.as_ref().and_then(|container| CandidatePlaces::find(&bytes, &container.datum));
        if unique_ids && places.is_none() {
            let problem = "is not a packet of ZTF";
            return Err(Error::Packet { path, problem, advice: "leave --unique-ids out and count by the header loadgen.index" });
        }
        files.push(File { name, bytes, container, places: places.filter(|_| unique_ids) });
    }
    if files.is_empty() {
        return Err(Error::NoFiles { folder: folder.to_owned() });
    }
    Ok(files)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    pub(crate) fn args(from: Option<PathBuf>) -> PacketArgs {
        PacketArgs { from, ..PacketArgs::made(Survey::Ztf, History::Full) }
    }

    fn make(args: &PacketArgs, index: u64) -> (Vec<u8>, String) {
        let (mut out, mut key) = (b"old".to_vec(), "old".to_owned());
        Packets::new(args).unwrap().make(index, &mut out, &mut key);
        (out, key)
    }

    #[test]
    fn framings_hold_the_same_datum() {
        let container = make(&args(None), 7);
        let confluent = make(&PacketArgs { framing: Some(Framing::Confluent), schema_id: Some(900), ..args(None) }, 7);
        let bare = make(&PacketArgs { framing: Some(Framing::Bare), ..args(None) }, 7);
        assert_eq!(container.0[container::open(&container.0).unwrap().datum], bare.0);
        assert_eq!(confluent.0[..5], [0, 0, 0, 3, 0x84]);
        assert_eq!(confluent.0[5..], bare.0);
        assert_eq!((&container.1, &confluent.1), (&bare.1, &bare.1));
        assert!(bare.1.starts_with("ZTF26"));
    }

    #[test]
    fn lsst_is_framed_with_the_id_of_its_schema_and_never_a_container() {
        let lsst = PacketArgs { kind: Survey::Lsst, ..args(None) };
        let (packet, key) = make(&lsst, 7);
        assert_eq!(packet[..5], [0, 0, 0, 4, 0x4c]);
        assert_eq!(key.len(), 18);
        let old = PacketArgs { schema: Some("9.0".to_owned()), history: History::None, ..lsst.clone() };
        let (old, _) = make(&old, 7);
        assert_eq!(old[..5], [0, 0, 0, 3, 0x84]);
        assert!(old.len() < packet.len());
        let error = |args: &PacketArgs| Packets::new(args).err().unwrap().to_string();
        assert!(error(&PacketArgs { framing: Some(Framing::Container), ..lsst.clone() }).contains("--framing"));
        assert!(error(&PacketArgs { schema: Some("4.01".to_owned()), ..lsst }).contains("can't make alerts"));
    }

    #[test]
    fn known_objects_come_again_and_broken_messages_are_cut() {
        let args = PacketArgs { objects: 3, broken: Some(10), ..args(None) };
        let packets = Packets::new(&args).unwrap();
        let names: std::collections::HashSet<String> = (0..200).map(|i| packets.look(i).unwrap().object_id.to_string()).collect();
        assert!((140..190).contains(&names.len()), "{}", names.len());
        let (whole, _) = make(&PacketArgs { broken: None, ..args.clone() }, 9);
        assert_eq!(make(&args, 9).0, whole[..whole.len() / 2]);
        assert!(packets.is_broken(9) && !packets.is_broken(10) && packets.is_broken(19));
    }

    #[test]
    fn files_are_sent_over_and_over_as_they_are_or_renamed_or_reframed() {
        let folder = tempfile::tempdir().unwrap();
        let written = Packets::new(&args(None)).unwrap().write(3, folder.path()).unwrap();
        let files = folder.path().join("000000");
        let same = args(Some(files.clone()));
        let (first, key) = make(&same, 3);
        assert_eq!(first, std::fs::read(files.join("0000000000.avro")).unwrap());
        assert_eq!(key, "0000000000");
        assert!(written > 3 * 50_000);

        let unique = PacketArgs { unique_ids: true, ..same.clone() };
        let renamed = make(&unique, 3).0;
        assert_eq!(renamed.len(), first.len());
        assert_ne!(renamed, first);
        assert_ne!(renamed, make(&unique, 6).0);
        let bare = make(&PacketArgs { framing: Some(Framing::Bare), ..unique }, 3).0;
        assert_eq!(bare, renamed[container::open(&renamed).unwrap().datum]);
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let empty = Packets::new(&args(Some(folder.path().to_owned()))).err().unwrap();
        assert!(empty.to_string().contains("no files in"), "{empty}");
        std::fs::write(folder.path().join("a.avro"), b"text").unwrap();
        let odd = PacketArgs { unique_ids: true, ..args(Some(folder.path().to_owned())) };
        assert!(Packets::new(&odd).err().unwrap().to_string().contains("not a packet of ZTF"));
        let missing = args(Some(folder.path().join("none")));
        assert!(Packets::new(&missing).err().unwrap().to_string().contains("can't read the folder"));
    }
}
