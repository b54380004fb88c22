//! The options that say how a table of positions is read.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::{Failure, year};
use crate::catalog::table::{Carried, Descriptor, Frame, IdColumn, Rejects, Unit};

/// How a table is read. Without any of it, columns are found by their names, units and meanings.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "How the table is read")]
pub struct TableArgs {
    /// A description of the table (YAML; catalogs/README.md says what it may hold). What is given beside it goes before it.
    #[arg(long, value_name = "FILE.yaml")]
    describe: Option<PathBuf>,
    /// The column of ids, or `$row`: the number of the row, from 1.
    #[arg(long, value_name = "COLUMN|$row")]
    id: Option<String>,
    /// The column of right ascension (galactic: longitude).
    #[arg(long, value_name = "COLUMN")]
    ra: Option<String>,
    /// The column of declination (galactic: latitude).
    #[arg(long, value_name = "COLUMN")]
    dec: Option<String>,
    /// The frame of the positions; what the file says, or icrs.
    #[arg(long, value_parser = frame_parser())]
    frame: Option<Frame>,
    /// The unit of right ascension; what the file says, or degrees for numbers and hours for sexagesimal texts.
    #[arg(long, value_parser = unit_parser())]
    unit: Option<Unit>,
    /// The epoch of the positions, Julian year, such as 2016.0; what the file says.
    #[arg(long, value_name = "YEAR", value_parser = year)]
    epoch: Option<f64>,
    /// The column of proper motion in right ascension, times the cosine of declination.
    #[arg(long, value_name = "COLUMN")]
    pm_ra: Option<String>,
    /// The column of proper motion in declination.
    #[arg(long, value_name = "COLUMN")]
    pm_dec: Option<String>,
    /// The unit of proper motions, such as mas/yr; what the file says.
    #[arg(long, value_name = "UNIT")]
    pm_unit: Option<String>,
    /// Columns to carry along; `*` and `?` stand for any signs, `*` alone for all columns.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    carry: Vec<String>,
    /// A row without a good position is an error that names it. The default where no description says else.
    #[arg(long, conflicts_with = "count")]
    strict: bool,
    /// Rows without a good position are left out and counted, the first of them named.
    #[arg(long)]
    count: bool,
}

fn frame_parser() -> impl TypedValueParser<Value = Frame> {
    PossibleValuesParser::new(["icrs", "fk5", "galactic"]).map(|text| match text.as_str() {
        "fk5" => Frame::Fk5,
        "galactic" => Frame::Galactic,
        _ => Frame::Icrs,
    })
}

fn unit_parser() -> impl TypedValueParser<Value = Unit> {
    PossibleValuesParser::new(["deg", "hours", "rad"]).map(|text| match text.as_str() {
        "hours" => Unit::Hours,
        "rad" => Unit::Rad,
        _ => Unit::Deg,
    })
}

/// A description whose table is named in it, and that table.
pub fn described(path: &Path) -> Result<(Descriptor, PathBuf), Failure> {
    let descriptor = Descriptor::load(path)?;
    match descriptor.path.clone() {
        Some(table) => Ok((descriptor, table)),
        None => Err(Failure::Said(format!(
            "{}: it names no table: write `path: FILE` in it, or give the table and this file with --describe",
            path.display()
        ))),
    }
}

impl TableArgs {
    /// The description that the options make, and the tables that it is for.
    pub fn descriptor(&self, inputs: &[PathBuf]) -> Result<(Descriptor, Vec<PathBuf>), Failure> {
        let said = |text: &str| Err(Failure::Said(text.to_owned()));
        let (mut about, tables) = match (&self.describe, inputs) {
            (Some(_), [input, ..]) if Descriptor::is_file(input) => {
                return said("a description is given twice: leave out --describe, or give the table in place of the other");
            }
            (Some(file), []) => {
                let (about, table) = described(file)?;
                (about, vec![table])
            }
            (Some(file), inputs) => (Descriptor::load(file)?, inputs.to_vec()),
            (None, [input]) if Descriptor::is_file(input) => {
                let (about, table) = described(input)?;
                (about, vec![table])
            }
            (None, inputs) if inputs.iter().any(|input| Descriptor::is_file(input)) => {
                return said("a description stands for one catalogue: give it alone, or by --describe with the tables");
            }
            (None, [first, ..]) => (Descriptor::plain(first), inputs.to_vec()),
            (None, []) => return said("give a table, or a description that names one"),
        };
        let columns = &mut about.columns;
        if let Some(id) = &self.id {
            columns.id = if id == "$row" { IdColumn::Row } else { IdColumn::Named(id.clone()) };
        }
        let put = |to: &mut Option<String>, given: &Option<String>| {
            if given.is_some() {
                to.clone_from(given);
            }
        };
        put(&mut columns.ra, &self.ra);
        put(&mut columns.dec, &self.dec);
        put(&mut columns.pm_ra, &self.pm_ra);
        put(&mut columns.pm_dec, &self.pm_dec);
        put(&mut columns.pm_unit, &self.pm_unit);
        columns.frame = self.frame.or(columns.frame);
        columns.unit = self.unit.or(columns.unit);
        columns.epoch = self.epoch.or(columns.epoch);
        if !self.carry.is_empty() {
            about.carry = self.carry.iter().map(|name| carried(name.trim())).collect();
        }
        if self.strict {
            about.rejects = Rejects::Strict;
        } else if self.count {
            about.rejects = Rejects::Count;
        }
        Ok((about, tables))
    }
}

/// A column, or a pattern, to carry as it is.
pub fn carried(name: &str) -> Carried {
    Carried { column: name.to_owned(), rename: None, unit: None }
}
