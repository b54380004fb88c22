//! SURVEY FOLDER: decodes the datums in FOLDER/datums (each with its length before it, four bytes, little-endian), which were
//! written with FOLDER/schema.json, by serde_avro_fast into structs that borrow texts and bytes, each dropped at once, for two
//! seconds. Prints the median of the rounds, microseconds an alert; then for each alert its id, right ascension, number of previous
//! detections, and bytes of its cut-outs.

#[path = "../../decode/structs.rs"]
mod structs;

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_avro_fast::{Schema, from_datum_slice};
use structs::{LsstAlert, ZtfAlert};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Ztf<'a> = ZtfAlert<&'a str, &'a [u8]>;
type Lsst<'a> = LsstAlert<&'a str, &'a [u8]>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [survey, folder] = &arguments[..] else { return Err("SURVEY FOLDER".into()) };
    let schema: Schema = std::fs::read_to_string(format!("{folder}/schema.json"))?.parse()?;
    let file = std::fs::read(format!("{folder}/datums"))?;
    let (mut datums, mut rest) = (Vec::new(), &file[..]);
    while let Some((length, more)) = rest.split_first_chunk::<4>() {
        let (datum, more) = more.split_at(u32::from_le_bytes(*length) as usize);
        datums.push(datum);
        rest = more;
    }
    match survey.as_str() {
        "ztf" => {
            time::<Ztf>(&datums, &schema)?;
            for datum in datums {
                let alert: Ztf = from_datum_slice(datum, &schema)?;
                let stamps = [&alert.cutoutScience, &alert.cutoutTemplate, &alert.cutoutDifference];
                let stamps = stamps.into_iter().flatten().map(|stamp| stamp.stampData.len());
                say(alert.candid, alert.candidate.ra, alert.prv_candidates.map_or(0, |p| p.len()), stamps);
            }
        }
        _ => {
            time::<Lsst>(&datums, &schema)?;
            for datum in datums {
                let alert: Lsst = from_datum_slice(datum, &schema)?;
                let stamps = [&alert.cutoutScience, &alert.cutoutTemplate, &alert.cutoutDifference];
                let stamps = stamps.into_iter().flatten().map(|stamp| stamp.len());
                say(alert.diaSourceId, alert.diaSource.ra, alert.prvDiaSources.map_or(0, |p| p.len()), stamps);
            }
        }
    }
    Ok(())
}

fn time<'a, A: Deserialize<'a>>(datums: &[&'a [u8]], schema: &Schema) -> Result<(), Box<dyn Error>> {
    let (end, mut rounds) = (Instant::now() + Duration::from_secs(2), Vec::new());
    while rounds.is_empty() || Instant::now() < end {
        let start = Instant::now();
        for datum in datums {
            drop(black_box(from_datum_slice::<A>(datum, schema)?));
        }
        rounds.push(start.elapsed().as_secs_f64() * 1e6 / datums.len() as f64);
    }
    rounds.sort_by(f64::total_cmp);
    println!("{}", rounds[rounds.len() / 2]);
    Ok(())
}

fn say(id: i64, ra: f64, previous: usize, stamps: impl Iterator<Item = usize>) {
    println!("{id} {ra} {previous} {}", stamps.sum::<usize>());
}
