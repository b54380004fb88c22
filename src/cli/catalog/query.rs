//! `skysluice catalog query`.

use std::path::PathBuf;

use indicatif::HumanCount;
use serde_json::{Value, json};

use super::opened::Opened;
use super::show::{self, Shown};
use super::{Failure, Reach, reach, year};
use crate::catalog::table::position;
use crate::catalog::zones::{Cones, Radius};
use crate::catalog::{Hit, Hits};
use crate::inspect::visible;

pub const EXAMPLES: &str = "Examples:
  skysluice catalog query gaia-dr3.skyz 187.70593 12.39112 5arcsec --epoch 2026.5
  skysluice catalog query stars.csv 12:30:49.42 +12:23:28.0 1arcmin
  skysluice catalog query gcvs.skyz 05h34m31.9s -01d12m06.9s 0.1deg --csv
  skysluice catalog query watch.skyz 10.68 41.27 own                  whose own radius reaches there";

/// Arguments of `query`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An index, a table of positions, or the description of one.
    #[arg(value_name = "CATALOG")]
    catalog: PathBuf,
    /// Right ascension, ICRS: decimal degrees, or hours as 12:34:56.7 or 12h34m56.7s.
    #[arg(value_name = "RA", allow_hyphen_values = true)]
    ra: String,
    /// Declination, ICRS: decimal degrees, or -01:23:45.6 or -01d23m45.6s.
    #[arg(value_name = "DEC", allow_hyphen_values = true)]
    dec: String,
    /// How far to look, with its unit (mas, arcsec, arcmin, deg), such as 1.5arcsec; `own`: as far as the radius of each source.
    #[arg(value_name = "RADIUS", value_parser = reach)]
    radius: Reach,
    /// Look for sources with proper motions where they are at this epoch, Julian year; where the catalogue has them without.
    #[arg(long, value_name = "YEAR", value_parser = year)]
    epoch: Option<f64>,
    /// Show so many of the nearest at most.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print JSON.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV.
    #[arg(long)]
    csv: bool,
}

/// Searches a catalogue.
pub fn run(args: &Args) -> Result<String, Failure> {
    let at = position(&args.ra, &args.dec).map_err(|e| format!("the position cannot be used: {e}"))?;
    let catalogue = Opened::open(&args.catalog)?;
    let radius = match args.radius {
        Reach::Radius(radius) => Radius::All(radius),
        Reach::Own if catalogue.has_radii() => Radius::Own(1.0),
        Reach::Own => return Err(Failure::Said(format!("{} has no radii of its own: give one", catalogue.name()))),
    };
    let mut hits = Hits::default();
    catalogue.find(&Cones { positions: &[at], radius, epoch: args.epoch }, &mut hits);
    let (found, all) = (hits.of(0), hits.total());
    let found = &found[..args.limit.unwrap_or(all).min(all)];
    if let (Some(epoch), (_, Some((from, to)))) = (args.epoch, catalogue.epochs())
        && !(from..=to).contains(&epoch)
    {
        eprintln!("warning: {} keeps motions for {from} to {to}: slow sources may be missed at {epoch}", catalogue.name());
    }
    let answer = Answer { args, at, catalogue: &catalogue, found, all };
    if args.json {
        Ok(format!("{:#}\n", answer.json()))
    } else if args.csv {
        Ok(answer.csv()?)
    } else {
        Ok(answer.text())
    }
}

struct Answer<'a> {
    args: &'a Args,
    /// Degrees.
    at: (f64, f64),
    catalogue: &'a Opened,
    found: &'a [Hit],
    /// Sources, also those beyond the limit.
    all: usize,
}

impl Answer<'_> {
    fn rows(&self) -> Vec<u32> {
        self.found.iter().map(|hit| hit.row).collect()
    }

    fn text(&self) -> String {
        let Answer { args, at: (ra, dec), catalogue, found, all } = self;
        let reach = match args.radius {
            Reach::Radius(radius) => format!("within {radius} arcsec"),
            Reach::Own => "whose own radius reaches there".to_owned(),
        };
        let epoch = args.epoch.map_or_else(String::new, |epoch| format!(" at epoch {epoch}"));
        let sources = if *all == 1 { "source" } else { "sources" };
        let mut out = format!(
            "{} around {} {} ({}){epoch}: {} {sources} {reach}\n",
            visible(catalogue.name()),
            show::degrees(*ra),
            show::degrees(*dec),
            sexagesimal(*ra, *dec),
            HumanCount(*all as u64)
        );
        if catalogue.covers(*ra, *dec) == Some(false) {
            out += "not covered: the catalogue has no sources in this part of the sky\n";
        }
        if !found.is_empty() {
            out += &show::table(&self.columns(4));
            if found.len() < *all {
                out += &format!("and {} more, further away\n", HumanCount((*all - found.len()) as u64));
            }
        }
        out
    }

    /// What is printed of the sources, distances with so many digits.
    fn columns(&self, digits: usize) -> Vec<Shown> {
        let Answer { catalogue, found, .. } = self;
        let place = |of: fn((f64, f64)) -> f64| found.iter().map(move |hit| show::degrees(of(catalogue.position(hit.row))));
        let mut columns = vec![
            Shown::numbers("arcsec", found.iter().map(|hit| format!("{:.digits$}", hit.distance))),
            Shown::texts("id", found.iter().map(|hit| catalogue.id(hit.row).to_string())),
            Shown::numbers("ra", place(|p| p.0)),
            Shown::numbers("dec", place(|p| p.1)),
        ];
        let carried = catalogue.carried(&self.rows());
        let schema = carried.schema();
        columns.extend(schema.fields().iter().zip(carried.columns()).map(|(f, array)| Shown::array(f.name(), array)));
        columns
    }

    fn json(&self) -> Value {
        let Answer { args, at: (ra, dec), catalogue, found, all } = self;
        let carried = catalogue.carried(&self.rows());
        let one = |(i, hit): (usize, &Hit)| {
            let (ra, dec) = catalogue.position(hit.row);
            let id = show::id(catalogue.id(hit.row));
            json!({ "id": id, "ra": ra, "dec": dec, "distance": hit.distance, "columns": show::columns(&carried, i) })
        };
        let radius = match args.radius {
            Reach::Radius(radius) => json!(radius),
            Reach::Own => json!("own"),
        };
        json!({
            "catalog": catalogue.name(), "ra": ra, "dec": dec, "radius": radius, "epoch": args.epoch,
            "covered": catalogue.covers(*ra, *dec), "count": all,
            "sources": found.iter().enumerate().map(one).collect::<Vec<_>>(),
        })
    }

    fn csv(&self) -> Result<String, String> {
        let Answer { catalogue, found, .. } = self;
        let carried = catalogue.carried(&self.rows());
        let mut out = csv::Writer::from_writer(Vec::new());
        let names = catalogue.columns().iter().map(|column| column.name.as_str());
        out.write_record(["id", "ra", "dec", "distance"].into_iter().chain(names)).map_err(|e| e.to_string())?;
        for (i, hit) in found.iter().enumerate() {
            let (ra, dec) = catalogue.position(hit.row);
            let id = catalogue.id(hit.row).to_string();
            let mut record = vec![id, ra.to_string(), dec.to_string(), hit.distance.to_string()];
            record.extend(carried.columns().iter().map(|array| match show::value(array, i) {
                Value::Null => String::new(),
                Value::String(text) => text,
                other => other.to_string(),
            }));
            out.write_record(record).map_err(|e| e.to_string())?;
        }
        let bytes = out.into_inner().map_err(|e| e.to_string())?;
        String::from_utf8(bytes).map_err(|e| e.to_string())
    }
}

/// A position as `12:34:56.78 -01:23:45.6`.
fn sexagesimal(ra: f64, dec: f64) -> String {
    let parts = |value: f64, scale: u64| {
        let units = (value * 3_600.0 * scale as f64).round() as u64;
        let (seconds, rest) = (units / scale, units % scale);
        (seconds / 3_600, seconds / 60 % 60, seconds % 60, rest)
    };
    let (h, m, s, rest) = parts(ra / 15.0, 100);
    let (d, am, asec, tenth) = parts(dec.abs(), 10);
    let sign = if dec < 0.0 { '-' } else { '+' };
    format!("{:02}:{m:02}:{s:02}.{rest:02} {sign}{d:02}:{am:02}:{asec:02}.{tenth}", h % 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_shown_in_hours_and_degrees() {
        assert_eq!(sexagesimal(187.705_916_7, 12.391_123), "12:30:49.42 +12:23:28.0");
        assert_eq!(sexagesimal(359.999_999_99, -0.25), "00:00:00.00 -00:15:00.0");
        assert_eq!(sexagesimal(0.0, -89.999_999), "00:00:00.00 -90:00:00.0");
    }
}
