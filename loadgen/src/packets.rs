//! The packets to send: made by the simulator or read from a folder, in the framing that was asked for.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use skysluice_simulator::{Simulator, SimulatorConfig};

use crate::container::{self, CandidatePlaces, Container};
use crate::error::Error;

/// Bytes of files that are held in memory at most.
const LIMIT: usize = 1 << 30;

/// Which packets.
#[derive(Args, Clone, Debug)]
pub(crate) struct PacketArgs {
    /// Folder of packets, one file each, sent in the order of their names, over and over. Without it alerts are made up.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["survey", "seed"])]
    pub(crate) from: Option<PathBuf>,
    /// Survey whose alerts are made up; they are all distinct.
    #[arg(long, value_enum, default_value = "ztf")]
    pub(crate) survey: Survey,
    /// Seed of made-up alerts.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Gives each message of --from its own candidate id, wherever the packet says it. For ZTF's packets only.
    #[arg(long)]
    pub(crate) unique_ids: bool,
    /// How a message holds its Avro datum. Files are sent as they are with `container`.
    #[arg(long, value_enum, default_value = "container")]
    pub(crate) framing: Framing,
    /// Schema id in the frame of `--framing confluent`.
    #[arg(long, default_value_t = 1)]
    pub(crate) schema_id: u32,
}

/// Surveys whose alerts can be made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Survey {
    /// ZTF's packet, schema 4.01.
    Ztf,
}

/// How a message holds its Avro datum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Framing {
    /// An Avro object container with its schema inside.
    Container,
    /// 0x00, a 4-byte big-endian schema id, the datum.
    Confluent,
    /// The datum alone.
    Bare,
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
}

impl Packets {
    /// Prepares the simulator or reads the folder.
    pub(crate) fn new(args: &PacketArgs) -> Result<Self, Error> {
        let origin = match &args.from {
            Some(folder) => Origin::Files(read(folder, args)?),
            None => {
                let Survey::Ztf = args.survey;
                let config = SimulatorConfig { seed: args.seed, ..SimulatorConfig::default() };
                Origin::Simulator(Box::new(Simulator::new(config)?))
            }
        };
        Ok(Self { origin, framing: args.framing, schema_id: args.schema_id })
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
fn read(folder: &std::path::Path, args: &PacketArgs) -> Result<Vec<File>, Error> {
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
        if container.is_none() && args.framing != Framing::Container {
            let problem = "is not an uncompressed Avro container with one record";
            return Err(Error::Packet { path, problem, advice: "send it as it is with --framing container" });
        }
        let places = container.as_ref().and_then(|container| CandidatePlaces::find(&bytes, &container.datum));
        if args.unique_ids && places.is_none() {
            let problem = "is not a packet of ZTF";
            return Err(Error::Packet { path, problem, advice: "leave --unique-ids out and count by the header loadgen.index" });
        }
        files.push(File { name, bytes, container, places: places.filter(|_| args.unique_ids) });
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
        PacketArgs { from, survey: Survey::Ztf, seed: 0, unique_ids: false, framing: Framing::Container, schema_id: 900 }
    }

    fn make(args: &PacketArgs, index: u64) -> (Vec<u8>, String) {
        let (mut out, mut key) = (b"old".to_vec(), "old".to_owned());
        Packets::new(args).unwrap().make(index, &mut out, &mut key);
        (out, key)
    }

    #[test]
    fn framings_hold_the_same_datum() {
        let container = make(&args(None), 7);
        let confluent = make(&PacketArgs { framing: Framing::Confluent, ..args(None) }, 7);
        let bare = make(&PacketArgs { framing: Framing::Bare, ..args(None) }, 7);
        assert_eq!(container.0[container::open(&container.0).unwrap().datum], bare.0);
        assert_eq!(confluent.0[..5], [0, 0, 0, 3, 0x84]);
        assert_eq!(confluent.0[5..], bare.0);
        assert_eq!((&container.1, &confluent.1), (&bare.1, &bare.1));
        assert!(bare.1.starts_with("ZTF26"));
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
        let bare = make(&PacketArgs { framing: Framing::Bare, ..unique }, 3).0;
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
