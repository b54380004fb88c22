//! `skysluice catalog match`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::take::take;
use indicatif::HumanCount;
use rayon::prelude::*;

use super::columns::TableArgs;
use super::opened::Opened;
use super::{Bar, Failure, Reach, reach};
use crate::catalog::Hits;
use crate::catalog::table::{Part, TableWriter};
use crate::catalog::zones::{Cones, Radius};
use crate::inspect::visible;

pub const EXAMPLES: &str = "Examples:
  skysluice catalog match stars.csv --catalog gaia-dr3.skyz --radius 1.5arcsec -o matches.parquet
  skysluice catalog match stars.fits --catalog gcvs.skyz --catalog tns.csv --radius 3arcsec --nearest --unmatched -o matches.csv
  skysluice catalog match nights/ --describe nights.yaml --catalog watch.skyz --radius own -o seen.parquet";

pub const LONG: &str = "The output has a row for each match: id, ra, dec (degrees, ICRS) and row (number in the table, from 1) of the \
input and what is carried of it (--carry); catalogid, sourceid, sourcera, sourcedec (degrees, at the catalogue's epoch) and distance \
(arcsec); then the columns that each catalogue carries, as CATALOG_column. Rows are in the order of the input, then of the \
catalogues, then by distance. Where the table has an epoch (--epoch, or what the file says), sources with proper motions are moved \
to it.";

/// Positions that are searched together by a thread.
const TOGETHER: usize = 1_024;

/// Arguments of `match`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The table of positions: a file, a folder of Parquet files, or a description (.yaml) with a `path` of its own.
    #[arg(value_name = "TABLE", required_unless_present = "describe")]
    table: Option<PathBuf>,
    /// A catalogue: an index, a table of positions, or the description of one. Can be given several times.
    #[arg(long = "catalog", value_name = "CATALOG", required = true)]
    catalogs: Vec<PathBuf>,
    /// How far to look, with its unit (mas, arcsec, arcmin, deg), such as 1.5arcsec; `own`: as far as the radius of each source.
    #[arg(long, value_name = "RADIUS", value_parser = reach)]
    radius: Reach,
    /// Of each catalogue the nearest source alone.
    #[arg(long, conflicts_with = "all")]
    nearest: bool,
    /// Of each catalogue all sources within the radius: the default.
    #[arg(long)]
    all: bool,
    /// Keep positions without any match, in a row whose columns of catalogues are empty.
    #[arg(long)]
    unmatched: bool,
    /// The output: .parquet or .csv.
    #[arg(short, long, value_name = "OUT.parquet|OUT.csv")]
    output: PathBuf,
    /// Replace a file of that name.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    columns: TableArgs,
}

/// Sums of a catalogue.
#[derive(Clone, Copy, Default)]
struct Sum {
    matched: u64,
    matches: u64,
    not_covered: u64,
}

/// Matches a table.
pub fn run(args: &Args) -> Result<String, Failure> {
    if args.output.exists() && !args.force {
        let path = args.output.display();
        return Err(Failure::Said(format!("{path} exists already: remove it, or allow that it is replaced (--force)")));
    }
    let inputs: Vec<PathBuf> = args.table.iter().cloned().collect();
    let (about, tables) = args.columns.descriptor(&inputs)?;
    let start = Instant::now();
    let catalogues = args.catalogs.iter().map(|path| Opened::open(path)).collect::<Result<Vec<_>, _>>()?;
    for (i, catalogue) in catalogues.iter().enumerate() {
        let name = catalogue.name();
        if catalogues[..i].iter().any(|other| other.name() == name) {
            return Err(Failure::Said(format!("two catalogues are called {name}: their columns could not be told apart")));
        }
        if args.radius == Reach::Own && !catalogue.has_radii() {
            return Err(Failure::Said(format!("{name} has no radii of its own: give one")));
        }
    }
    let (table, positions) = about.positions(&tables[0])?;
    let mut positions = positions.with_whole_ids();
    let whole_ids = positions.ids_are_whole();
    let matcher = Matcher {
        args,
        epoch: positions.epoch(),
        whole_ids,
        schema: schema(whole_ids, positions.carried(), &catalogues)?,
        catalogues,
    };
    let mut writer = TableWriter::create(&args.output, &matcher.schema)?;
    let bar = Bar::new("matched", table.rows());
    let mut sums = vec![Sum::default(); matcher.catalogues.len()];
    let mut written = 0;
    for part in positions.by_ref() {
        let part = part?;
        let starts: Vec<usize> = (0..part.ra.len()).step_by(TOGETHER).collect();
        let found: Vec<_> = starts.par_iter().map(|start| matcher.rows(&part, *start)).collect::<Result<_, String>>()?;
        for (rows, counted) in found {
            writer.write(&rows)?;
            written += rows.num_rows() as u64;
            for (sum, more) in sums.iter_mut().zip(counted) {
                sum.matched += more.matched;
                sum.matches += more.matches;
                sum.not_covered += more.not_covered;
            }
        }
        bar.bar.set_position(part.rows().last().copied().unwrap_or(0));
    }
    writer.finish()?;
    bar.clear();
    let report = positions.report();
    for warning in report.warnings() {
        eprintln!("warning: {}: {warning}", tables[0].display());
    }
    let count = |n: u64| HumanCount(n).to_string();
    let mut out = format!(
        "{}: {} rows from {} positions in {:.1} s\n",
        args.output.display(),
        count(written),
        count(report.kept),
        start.elapsed().as_secs_f64()
    );
    for (catalogue, Sum { matched, matches, not_covered }) in matcher.catalogues.iter().zip(sums) {
        let name = visible(catalogue.name());
        out += &format!("  {name}: {} positions with a match, {} matches", count(matched), count(matches));
        if not_covered > 0 {
            out += &format!(", {} positions not covered", count(not_covered));
        }
        out.push('\n');
    }
    Ok(out)
}

/// The columns of the output.
fn schema(whole_ids: bool, carried: &Schema, catalogues: &[Opened]) -> Result<Arc<Schema>, String> {
    let id = if whole_ids { DataType::Int64 } else { DataType::Utf8 };
    let unit = |field: Field, unit: &str| field.with_metadata([("unit".to_owned(), unit.to_owned())]);
    let mut fields = vec![
        Field::new("id", id, true),
        unit(Field::new("ra", DataType::Float64, false), "deg"),
        unit(Field::new("dec", DataType::Float64, false), "deg"),
        Field::new("row", DataType::Int64, false),
    ];
    fields.extend(carried.fields().iter().map(|field| field.as_ref().clone()));
    fields.extend([
        Field::new("catalogid", DataType::Utf8, true),
        Field::new("sourceid", DataType::Utf8, true),
        unit(Field::new("sourcera", DataType::Float64, true), "deg"),
        unit(Field::new("sourcedec", DataType::Float64, true), "deg"),
        unit(Field::new("distance", DataType::Float64, true), "arcsec"),
    ]);
    for catalogue in catalogues {
        let batch = catalogue.carried(&[]);
        for (field, column) in batch.schema().fields().iter().zip(catalogue.columns()) {
            let field = Field::new(format!("{}_{}", catalogue.name(), field.name()), field.data_type().clone(), true);
            fields.push(if column.unit.is_empty() { field } else { unit(field, &column.unit) });
        }
    }
    for (i, field) in fields.iter().enumerate() {
        if fields[..i].iter().any(|other| other.name() == field.name()) {
            return Err(format!(
                "two columns of the output would be called `{}`: leave it out of what is carried, or carry it under another name \
                 by a description (`{{ column: {0}, as: other }}`)",
                field.name()
            ));
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// What every part of the table is matched with.
struct Matcher<'a> {
    args: &'a Args,
    catalogues: Vec<Opened>,
    /// Of the table's positions, Julian year.
    epoch: Option<f64>,
    whole_ids: bool,
    schema: Arc<Schema>,
}

/// A row of the output: that of the part, and the catalogue with its row and distance.
type Pair = (u32, Option<(usize, u32, f64)>);

impl Matcher<'_> {
    /// The rows of the output for some rows of a part.
    fn rows(&self, part: &Part, start: usize) -> Result<(RecordBatch, Vec<Sum>), String> {
        let end = part.ra.len().min(start + TOGETHER);
        let positions: Vec<(f64, f64)> = (start..end).map(|row| (part.ra[row], part.dec[row])).collect();
        let radius = match self.args.radius {
            Reach::Radius(radius) => Radius::All(radius),
            Reach::Own => Radius::Own(1.0),
        };
        let cones = Cones { positions: &positions, radius, epoch: self.epoch };
        let mut sums = vec![Sum::default(); self.catalogues.len()];
        let mut found = Vec::with_capacity(self.catalogues.len());
        for (catalogue, sum) in self.catalogues.iter().zip(&mut sums) {
            let mut hits = Hits::default();
            catalogue.find(&cones, &mut hits);
            sum.not_covered = positions.iter().filter(|p| catalogue.covers(p.0, p.1) == Some(false)).count() as u64;
            found.push(hits);
        }
        let mut pairs: Vec<Pair> = Vec::new();
        for query in 0..positions.len() {
            let row = (start + query) as u32;
            let before = pairs.len();
            for (number, (hits, sum)) in found.iter().zip(&mut sums).enumerate() {
                let hits = hits.of(query);
                let hits = if self.args.nearest { &hits[..hits.len().min(1)] } else { hits };
                sum.matched += u64::from(!hits.is_empty());
                sum.matches += hits.len() as u64;
                pairs.extend(hits.iter().map(|hit| (row, Some((number, hit.row, hit.distance)))));
            }
            if self.args.unmatched && pairs.len() == before {
                pairs.push((row, None));
            }
        }
        Ok((self.batch(part, &pairs).map_err(|e| format!("the matches cannot be put together: {e}"))?, sums))
    }

    fn batch(&self, part: &Part, pairs: &[Pair]) -> Result<RecordBatch, arrow_schema::ArrowError> {
        let input = UInt32Array::from_iter_values(pairs.iter().map(|pair| pair.0));
        let of =
            |values: &[f64]| -> ArrayRef { Arc::new(Float64Array::from_iter_values(pairs.iter().map(|p| values[p.0 as usize]))) };
        let ids: ArrayRef = match (&part.whole_ids, self.whole_ids) {
            (Some(numbers), _) => Arc::new(numbers.clone()),
            // Where one of a column of numbers is none, those of its part come as texts; those that are numbers are one again.
            (None, true) => Arc::new(part.ids.iter().map(|id| id.and_then(|id| id.parse().ok())).collect::<Int64Array>()),
            (None, false) => Arc::new(part.ids.clone()),
        };
        let mut columns: Vec<ArrayRef> = vec![take(&ids, &input, None)?, of(&part.ra), of(&part.dec)];
        columns.push(Arc::new(Int64Array::from_iter_values(pairs.iter().map(|p| part.rows()[p.0 as usize] as i64))));
        for column in part.carried.columns() {
            columns.push(take(column, &input, None)?);
        }
        let source = |(number, row, _): (usize, u32, f64)| (&self.catalogues[number], row);
        let matched = || pairs.iter().map(|pair| pair.1);
        let name = matched().map(|m| m.map(|m| source(m).0.name()));
        columns.push(Arc::new(name.collect::<StringArray>()));
        let id = matched().map(|m| m.map(source).map(|(catalogue, row)| catalogue.id(row).to_string()));
        columns.push(Arc::new(id.collect::<StringArray>()));
        for of in [|p: (f64, f64)| p.0, |p: (f64, f64)| p.1] {
            let place = matched().map(|m| m.map(source).map(|(catalogue, row)| of(catalogue.position(row))));
            columns.push(Arc::new(place.collect::<Float64Array>()));
        }
        columns.push(Arc::new(matched().map(|m| m.map(|m| m.2)).collect::<Float64Array>()));
        for (number, catalogue) in self.catalogues.iter().enumerate() {
            let own = |pair: &Pair| pair.1.filter(|m| m.0 == number).map(|m| m.1);
            let rows: Vec<u32> = pairs.iter().filter_map(own).collect();
            let mut next = 0;
            let places = pairs.iter().map(|pair| {
                own(pair).map(|_| {
                    next += 1;
                    next - 1
                })
            });
            let places: UInt32Array = places.collect();
            for column in catalogue.carried(&rows).columns() {
                columns.push(take(column, &places, None)?);
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(pairs.len()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
    }
}
