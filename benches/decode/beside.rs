//! Decoders that cannot be part of this program: serde_avro_fast, one of whose parts is under a licence that `deny.toml` does not
//! allow, and fastavro, which is Python. They get the datums in files and answer with their time and what they saw.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::packets::Packets;
use crate::seen::Seen;

/// Microseconds an alert, and what was seen of each.
type Outcome = Result<(f64, Vec<Seen>), String>;

/// Lets each of them decode the packets.
pub fn measure(packets: &Packets) -> std::io::Result<Vec<(&'static str, Outcome)>> {
    let benches = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("schema.json"), &packets.schema)?;
    let mut file = std::io::BufWriter::new(std::fs::File::create(folder.path().join("datums"))?);
    for datum in packets.datums() {
        file.write_all(&(datum.len() as u32).to_le_bytes())?;
        file.write_all(datum)?;
    }
    file.into_inner()?;

    let variable = |name: &str, otherwise: &str| std::env::var_os(name).unwrap_or_else(|| OsString::from(otherwise));
    let mut fast = Command::new(variable("CARGO", "cargo"));
    fast.args(["run", "--quiet", "--release", "--locked", "--manifest-path"]).arg(benches.join("serde_avro_fast/Cargo.toml"));
    fast.arg("--");
    let mut python = Command::new(variable("SKYSLUICE_PYTHON", "python3"));
    python.arg(benches.join("decode_fastavro.py"));
    let survey = if packets.is_ztf { "ztf" } else { "lsst" };
    let ran = [("serde_avro_fast, structs that borrow", fast), ("fastavro, dictionaries (Python)", python)];
    Ok(ran.map(|(name, mut command)| (name, run(command.arg(survey).arg(folder.path())))).into())
}

fn run(command: &mut Command) -> Outcome {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(said.lines().last().unwrap_or("it says nothing").to_owned());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    read(&said).ok_or_else(|| format!("it says {said:.200}"))
}

/// A line with the time, then one for each alert: id, right ascension, previous detections, bytes of cut-outs.
fn read(said: &str) -> Option<(f64, Vec<Seen>)> {
    let mut lines = said.lines();
    let us = lines.next()?.parse().ok()?;
    let seen = lines.map(|line| {
        let [id, ra, previous, stamps] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
        Some(Seen {
            id: id.parse().ok()?,
            ra: ra.parse().ok()?,
            previous: Some(previous.parse().ok()?),
            stamps: Some(stamps.parse().ok()?),
        })
    });
    Some((us, seen.collect::<Option<_>>()?))
}
