//! Where a schema is taken from: a file, a folder, an id, the newest message of a topic. Files of alerts are opened here too.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::{avro, config, pipeline};

/// Largest file that is read whole, bytes: a night's container, not a night.
const LARGEST: u64 = 1 << 30;
/// Bytes at the beginning of a container that hold its header, whatever else is in it.
const HEADER: u64 = avro::MAX_SCHEMA_BYTES as u64 + (1 << 20);
/// How every Parquet file begins.
const PARQUET: &[u8] = b"PAR1";

/// Options that say where schemas are.
#[derive(Debug, clap::Args)]
pub struct Places {
    /// Folder of schemas by their id, such as 900.avsc; it wins over the schemas that are built in.
    #[arg(long, value_name = "DIR")]
    schemas: Option<PathBuf>,
    /// Full name of the record to begin with, where WHAT is a folder of files that define several.
    #[arg(long, value_name = "NAME")]
    root: Option<String>,
    /// Brokers: WHAT is then the name of a topic, unless it is a number, has a slash or ends in .avsc.
    #[arg(long, value_name = "HOST:PORT")]
    brokers: Option<String>,
    /// Property of librdkafka to read the topic with. `KEY=@FILE` takes the value from a file, as for passwords.
    #[arg(long = "property", value_name = "KEY=VALUE", requires = "brokers")]
    properties: Vec<String>,
}

/// A schema and where it was found.
pub struct Found {
    /// Where, in words.
    pub place: String,
    /// JSON text.
    pub json: String,
}

impl Places {
    /// Places of schemas by their id alone.
    pub fn of_ids(schemas: Option<PathBuf>) -> Places {
        Places { schemas, root: None, brokers: None, properties: Vec::new() }
    }

    /// The schema that `what` stands for.
    ///
    /// # Errors
    /// When there is none; the message says what was tried.
    pub fn find(&self, what: &str) -> Result<Found, String> {
        let path = Path::new(what);
        let id = what.parse::<u32>().ok().filter(|_| what.bytes().all(|b| b.is_ascii_digit()));
        if let Some(brokers) = &self.brokers
            && id.is_none()
            && !what.contains('/')
            && !what.ends_with(".avsc")
        {
            return self.of_topic(brokers, what);
        }
        match fs::metadata(path) {
            Ok(about) if about.is_dir() => of_folder(path, self.root.as_deref()),
            Ok(_) => self.of_file(path),
            Err(_) if id.is_some() => self.of_id(id.unwrap_or_default()),
            Err(error) => {
                Err(format!("{what}: {error}; WHAT is a file, a folder of .avsc files, a schema id, or with --brokers a topic"))
            }
        }
    }

    /// The schema of an id. Seam: a registry is to be asked here, between the folder and the built-in schemas.
    pub fn of_id(&self, id: u32) -> Result<Found, String> {
        if let Some(folder) = &self.schemas {
            let file = folder.join(format!("{id}.avsc"));
            if file.exists() {
                return Ok(Found { place: format!("schema id {id}, {}", file.display()), json: text(&file)? });
            }
        }
        let known = config::builtin("lsst").map_err(|e| e.to_string())?.schema_ids.clone();
        if let Some(json) = known.get(&id) {
            return Ok(Found { place: format!("schema id {id}, built in"), json: json.to_string() });
        }
        let known: Vec<String> = known.keys().map(ToString::to_string).collect();
        let folder = self.schemas.as_ref().map(|f| format!(" nor in {}", f.display())).unwrap_or_default();
        Err(format!(
            "schema id {id} is not among those built in ({}){folder}; put its schema into a folder as {id}.avsc and name the folder with --schemas",
            known.join(", ")
        ))
    }

    fn of_file(&self, path: &Path) -> Result<Found, String> {
        let place = path.display().to_string();
        let start = beginning(path, HEADER)?;
        if start.starts_with(PARQUET) {
            let json = pipeline::read_schema(path).map_err(|e| e.to_string())?;
            let json =
                json.ok_or_else(|| format!("{place} is Parquet, but was not written by Skysluice: it has no Avro schema"))?;
            return Ok(Found { place: format!("{place} (archived alerts)"), json });
        }
        if let Some(found) = self.of_message(&start, &place)? {
            return Ok(found);
        }
        Ok(Found { json: text(path)?, place })
    }

    /// The schema of a container or of a Confluent frame; none where it is neither.
    fn of_message(&self, message: &[u8], place: &str) -> Result<Option<Found>, String> {
        if avro::container_magic(message) {
            let json = avro::embedded_schema(message).map_err(|e| format!("{place}: {e}"))?.to_owned();
            return Ok(Some(Found { place: format!("{place} (schema of the container)"), json }));
        }
        let Some(id) = confluent_id(message) else { return Ok(None) };
        let found = self.of_id(id).map_err(|e| format!("{place}: {e}"))?;
        Ok(Some(Found { place: format!("{place} ({})", found.place), ..found }))
    }

    fn of_topic(&self, brokers: &str, topic: &str) -> Result<Found, String> {
        let mut properties = BTreeMap::new();
        for property in &self.properties {
            let (key, value) = property.split_once('=').ok_or_else(|| format!("--property {property}: write KEY=VALUE"))?;
            let value = match value.strip_prefix('@') {
                Some(file) => {
                    let value = fs::read_to_string(file).map_err(|e| format!("--property {key}: {file}: {e}"))?;
                    value.trim_end_matches(['\n', '\r']).to_owned()
                }
                None => value.to_owned(),
            };
            properties.insert(key.to_owned(), value);
        }
        let message = pipeline::newest(brokers, topic, &properties).map_err(|e| e.to_string())?;
        let place = format!("newest message of {topic}");
        self.of_message(&message, &place)?
            .ok_or_else(|| format!("{place}: {}; a topic of bare datums does not tell its schema", not_a_frame(&message)))
    }
}

/// Files of a folder that name each other's types, as one schema.
fn of_folder(folder: &Path, root: Option<&str>) -> Result<Found, String> {
    let place = folder.display().to_string();
    let wrong = |e: &dyn std::fmt::Display| format!("{place}: {e}");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| wrong(&e))? {
        let path = entry.map_err(|e| wrong(&e))?.path();
        if path.extension().is_some_and(|e| e == "avsc") {
            files.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text(&path)?));
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(format!("{place}: a folder without .avsc files"));
    }
    let roots = avro::roots(&files).map_err(|e| wrong(&e))?;
    // Surveys ship types that no alert has; the alert is the one that is called so.
    let alerts: Vec<&String> = roots.iter().filter(|name| name.rsplit('.').next() == Some("alert")).collect();
    let root = match (root, roots.as_slice(), alerts.as_slice()) {
        (Some(root), ..) => root,
        (None, [only], _) => only,
        (None, _, [only]) => only,
        (None, [], _) => return Err(wrong(&"its types name each other in a circle; name the record to begin with by --root")),
        (None, several, _) => {
            return Err(wrong(&format!(
                "{} types that no other uses: {}; name one with --root, or one file",
                several.len(),
                several.join(", ")
            )));
        }
    };
    let json = avro::resolve(&files, root).map_err(|e| wrong(&e))?;
    Ok(Found { place, json })
}

/// The schema id of a Confluent frame.
pub fn confluent_id(message: &[u8]) -> Option<u32> {
    match *message {
        [0, a, b, c, d, ..] => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    }
}

/// Whether a file begins as Parquet does.
pub fn is_parquet(message: &[u8]) -> bool {
    message.starts_with(PARQUET)
}

/// What a message is that is neither a container nor a Confluent frame nor Parquet.
pub fn not_a_frame(message: &[u8]) -> String {
    let first: Vec<String> = message.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    let guess = match message {
        [] => return "it is empty".to_owned(),
        [0x1f, 0x8b, ..] => ", which is gzip: unpack it first",
        [b'P', b'K', 3, 4, ..] => ", which is zip: unpack it first",
        _ if message.get(257..262) == Some(b"ustar") => ", and is a tar archive: unpack it first",
        _ if message.iter().take(512).all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) => ", which is text",
        _ => "",
    };
    format!(
        "it begins with {}{guess}; an Avro container begins with 'Obj' and 01, a Confluent frame with 00 and a schema id, Parquet with 'PAR1'",
        first.join(" ")
    )
}

/// The first bytes of a file.
pub fn beginning(path: &Path, bytes: u64) -> Result<Vec<u8>, String> {
    let mut start = Vec::new();
    let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
    file.take(bytes).read_to_end(&mut start).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(start)
}

/// A whole file of alerts.
pub fn whole(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = beginning(path, LARGEST + 1)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("{}: a file of more than 1 GiB is not looked into", path.display()));
    }
    Ok(bytes)
}

/// The text of a schema file.
fn text(path: &Path) -> Result<String, String> {
    let bytes = beginning(path, avro::MAX_SCHEMA_BYTES as u64 + 1)?;
    let place = path.display();
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        format!("{place}: neither text (byte {at} is not UTF-8) nor a file of alerts: {}", not_a_frame(e.as_bytes()))
    })
}
