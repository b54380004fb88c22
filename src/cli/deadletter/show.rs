//! `skysluice deadletter show`: letters one by one, and their payloads as files.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{Chosen, failed, places, plain, time};
use crate::durable::name_part;
use crate::letters::StoredLetter;
use crate::pipeline::Found;

/// Bytes of a payload that are shown.
const HEAD: usize = 128;
/// Bytes on a line of them.
const LINE: usize = 16;

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file, or a folder of letters.
    #[arg(value_name = "CONFIG|FOLDER")]
    place: PathBuf,
    /// Only letters of this component; all without.
    #[arg(long, value_name = "NAME")]
    component: Option<String>,
    #[command(flatten)]
    chosen: Chosen,
    /// How many to show.
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// Write the payloads, as they came, into this folder: TOPIC-PARTITION-OFFSET.avro where one is an object container, else
    /// .bin. Files that are there are kept.
    #[arg(long, value_name = "DIR")]
    payload: Option<PathBuf>,
}

/// Prints letters.
///
/// # Errors
/// The exit code; the reason has been printed.
pub fn run(args: &Args) -> Result<ExitCode, ExitCode> {
    let selection = args.chosen.selection(None);
    if let Some(folder) = &args.payload {
        fs::create_dir_all(folder).map_err(|e| failed(&format!("{}: {e}", folder.display())))?;
    }
    let (mut shown, mut more, mut broken) = (0, 0_u64, None);
    for place in places(&args.place, args.component.as_deref())? {
        let take = |found: Found| {
            if broken.is_some() || !selection.picks(&found.letter) {
                return;
            }
            if shown >= args.limit {
                more += 1;
                return;
            }
            print!("{}{}", if shown == 0 { "" } else { "\n" }, text(&found));
            shown += 1;
            if let (Some(folder), Some(payload)) = (&args.payload, &found.letter.payload) {
                match write(folder, &found.letter, payload) {
                    Ok(path) => println!("  written to {}", path.display()),
                    Err(error) => broken = Some(format!("{}: {error}", folder.display())),
                }
            }
        };
        place.store.each(take).map_err(|fault| failed(&fault))?;
    }
    if let Some(message) = broken {
        return Err(failed(&message));
    }
    if shown == 0 {
        return Err(failed(&"there is no such letter; `deadletter ls` counts those there are"));
    }
    if more > 0 {
        println!("\n{more} more; --limit shows them");
    }
    Ok(ExitCode::SUCCESS)
}

fn text(found: &Found) -> String {
    let letter = &found.letter;
    let record = letter.record.map(|record| format!(", record {record} of the message")).unwrap_or_default();
    let mut out = format!("{}[{}] offset {}{record}\n", plain(&letter.topic), letter.partition, letter.offset);
    let mut line = |name: &str, value: &str| out += &format!("  {name:<8} {value}\n");
    line("time", &letter.timestamp.map_or_else(|| "none".to_owned(), time));
    line("stage", &plain(&letter.stage));
    line("reason", &plain(&letter.reason));
    line("key", &letter.key.as_deref().map_or_else(|| "none".to_owned(), bytes));
    for header in &letter.headers {
        let value = header.value.as_deref().map_or_else(|| "none".to_owned(), bytes);
        line("header", &format!("{} = {value}", plain(&header.name)));
    }
    match (&letter.payload, found.omitted) {
        (_, Some(omitted)) => line("payload", &format!("{omitted} bytes, which the topic of dead letters did not take")),
        (None, _) => line("payload", "none (a tombstone)"),
        (Some(payload), _) => line("payload", &format!("{} bytes", payload.len())),
    }
    let payload = letter.payload.as_deref().unwrap_or_default();
    for (number, chunk) in payload[..payload.len().min(HEAD)].chunks(LINE).enumerate() {
        let hex: Vec<String> = chunk.iter().map(|b| format!("{b:02x}")).collect();
        let seen: String = chunk.iter().map(|b| if (0x20..0x7f).contains(b) { char::from(*b) } else { '.' }).collect();
        out += &format!("    {:08x}  {:<47}  |{seen}|\n", number * LINE, hex.join(" "));
    }
    out
}

/// Bytes as a text where they are one, else in hexadecimal digits.
fn bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => bytes.iter().map(|b| format!("{b:02x}")).collect(),
    }
}

/// Writes a payload under the first name that is free, or finds it there.
fn write(folder: &Path, letter: &StoredLetter, payload: &[u8]) -> std::io::Result<PathBuf> {
    let ending = if payload.starts_with(b"Obj\x01") { "avro" } else { "bin" };
    let stem = format!("{}-{}-{}", name_part(&letter.topic, 100), letter.partition, letter.offset);
    let mut number = 0;
    loop {
        let name = if number == 0 { format!("{stem}.{ending}") } else { format!("{stem}-{number}.{ending}") };
        let path = folder.join(name);
        match File::create_new(&path) {
            Ok(mut file) => return file.write_all(payload).map(|()| path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                // Two records of a message have the same bytes.
                if fs::read(&path)? == payload {
                    return Ok(path);
                }
                number += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::letters::StoredHeader;

    fn letter(topic: &str, payload: &[u8]) -> StoredLetter {
        StoredLetter {
            topic: topic.into(),
            partition: 2,
            offset: 17,
            record: Some(1),
            timestamp: Some(1_794_193_200_123),
            key: Some(b"ZTF18abc".to_vec()),
            headers: vec![StoredHeader { name: "schema".into(), value: Some(vec![0, 7]) }],
            stage: "process".into(),
            reason: "step `cut-1`: \u{1b}[2J".into(),
            payload: Some(payload.to_vec()),
        }
    }

    #[test]
    fn a_letter_is_readable() {
        let found = Found { letter: letter("ztf", b"Obj\x01ABCDEFGHIJKLMN"), omitted: None, aside: false };
        let expected = [
            "ztf[2] offset 17, record 1 of the message",
            "  time     2026-11-09T03:00:00.123Z",
            "  stage    process",
            "  reason   step `cut-1`: \\u{1b}[2J",
            "  key      ZTF18abc",
            "  header   schema = 0007",
            "  payload  18 bytes",
            "    00000000  4f 62 6a 01 41 42 43 44 45 46 47 48 49 4a 4b 4c  |Obj.ABCDEFGHIJKL|",
            "    00000010  4d 4e                                            |MN|",
        ];
        assert_eq!(text(&found).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn payloads_are_files_that_stay_in_their_folder_and_replace_none() {
        let home = tempfile::tempdir().unwrap();
        let put = |topic: &str, payload: &[u8]| {
            let path = write(home.path(), &letter(topic, payload), payload).unwrap();
            assert_eq!((path.parent().unwrap(), fs::read(&path).unwrap().as_slice()), (home.path(), payload));
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(put("ztf", b"Obj\x01"), "ztf-2-17.avro");
        assert_eq!(put("ztf", b"Obj\x01"), "ztf-2-17.avro");
        assert_eq!(put("ztf", b"Obj\x01another"), "ztf-2-17-1.avro");
        assert_eq!(put("ztf", b"\0\0\0\x03\x84"), "ztf-2-17.bin");
        assert!(put("../../etc/x", b"").starts_with("x.._.._etc_x-"));
    }
}
