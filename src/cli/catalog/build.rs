//! `skysluice catalog build`.

use std::path::PathBuf;
use std::time::Instant;

use indicatif::{DecimalBytes, HumanCount};

use super::columns::TableArgs;
use super::{Bar, Failure, arcseconds, bytes, year};
use crate::catalog::make::{self, ENDING, Made, MakeOptions};
use crate::catalog::table::Descriptor;
use crate::catalog::zones::{Keep, MotionRule};
use crate::cli::usage;

pub const EXAMPLES: &str = "Examples:
  skysluice catalog build stars.csv -o stars.skyz
  skysluice catalog build 'GaiaSource_*.csv.gz' --describe catalogs/gaia-dr3.yaml -o gaia-dr3.skyz
  skysluice catalog build ztf_dr22/ --describe catalogs/ztf-objects.yaml --memory 4GiB
  skysluice catalog build list.csv --id name --radius-column radius --radius-unit arcmin -o watch.skyz";

/// Arguments of `build`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Tables: files, folders, HATS directories, names with wildcards; or a description (.yaml) with a `path` of its own.
    #[arg(value_name = "INPUT", required_unless_present = "describe")]
    inputs: Vec<PathBuf>,
    /// The index. Its ending is usually .skyz; NAME.skyz in this folder where it is not given.
    #[arg(short, long, value_name = "OUT.skyz")]
    output: Option<PathBuf>,
    /// Replace an index of that name. Who has the old one open keeps it.
    #[arg(long)]
    force: bool,
    /// Name of the catalogue; that of the description or the file.
    #[arg(long)]
    name: Option<String>,
    /// Version of the catalogue.
    #[arg(long, value_name = "TEXT")]
    version: Option<String>,
    /// What the index keeps of a source: everything; the number of its row alone (4 bytes more than the position); or the position
    /// alone (8.5 bytes). Without everything, distances are right to 0.17 mas, and no columns are carried.
    #[arg(long, value_enum, default_value_t = KeepArg::Everything)]
    keep: KeepArg,
    /// Memory for what the build gathers, 64 MiB at least; the program itself takes some 75 MB more.
    #[arg(long, value_name = "SIZE", default_value = "1 GiB", value_parser = bytes)]
    memory: u64,
    /// A column with a radius for each source, which is found from within it.
    #[arg(long, value_name = "COLUMN")]
    radius_column: Option<String>,
    /// Unit of the radii: mas, arcsec, arcmin, deg, rad; what the file says, or arcsec.
    #[arg(long, value_name = "UNIT", requires = "radius_column")]
    radius_unit: Option<String>,
    /// The epochs between which sources with proper motions are to be found where they are then.
    #[arg(long, value_names = ["FROM", "TO"], num_args = 2, value_parser = year)]
    motion_epochs: Option<Vec<f64>>,
    /// How far a source may move away from its position until then and still be searched there.
    #[arg(long, value_name = "ANGLE", default_value = "0.3 arcsec", value_parser = arcseconds)]
    motion_tolerance: f64,
    /// Keep no checksums of the input: its files are read once more for them.
    #[arg(long)]
    no_checksums: bool,
    #[command(flatten)]
    table: TableArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum KeepArg {
    Everything,
    RowNumbers,
    Positions,
}

/// Builds an index.
pub fn run(args: &Args) -> Result<String, Failure> {
    let (mut about, tables) = args.table.descriptor(&args.inputs)?;
    if let Some(name) = &args.name {
        if !Descriptor::is_name(name) {
            return Err(Failure::Said(format!(
                "`{name}` cannot be the name of a catalogue: write letters, digits, `-`, `_` and `.`, such as `gaia-dr3`"
            )));
        }
        about.name.clone_from(name);
    }
    about.version = args.version.clone().or(about.version);
    about.columns.radius = args.radius_column.clone().or(about.columns.radius);
    about.columns.radius_unit = args.radius_unit.clone().or(about.columns.radius_unit);
    if args.memory < MakeOptions::LEAST_MEMORY {
        return Err(Failure::Said("--memory: a build takes 64 MiB at least".to_owned()));
    }
    let epochs = match args.motion_epochs.as_deref() {
        Some([from, to]) if from <= to => (*from, *to),
        Some(_) => return Err(Failure::Said("--motion-epochs: write the earlier year first".to_owned())),
        None => MakeOptions::EPOCHS,
    };
    let options = MakeOptions {
        keep: match args.keep {
            KeepArg::Everything => Keep::Everything,
            KeepArg::RowNumbers => Keep::RowNumbers,
            KeepArg::Positions => Keep::Positions,
        },
        memory: args.memory,
        motion: Some(MotionRule { epochs, tolerance: args.motion_tolerance }),
        checksums: !args.no_checksums,
        replace: args.force,
        ..MakeOptions::default()
    };
    let target = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.{ENDING}", about.name)));
    let (start, cpu) = (Instant::now(), usage::cpu_seconds());
    let mut bar = Bar::new("read", None);
    let made = make::index(&tables, &about, &target, &options, &mut |progress| bar.show(progress));
    bar.clear();
    let made = made?;
    for warning in &made.warnings {
        eprintln!("warning: {}: {warning}", about.name);
    }
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), usage::cpu_seconds() - cpu);
    Ok(format!("{}: {}\n", target.display(), closing(&made, seconds, cpu)))
}

fn closing(made: &Made, seconds: f64, cpu: f64) -> String {
    let Made { meta, read, sources, bytes, .. } = made;
    let each = if *sources == 0 { String::new() } else { format!(", {:.1} bytes a source", *bytes as f64 / *sources as f64) };
    format!(
        "{} sources of {} rows, {} left out; {}{each}; {seconds:.1} s, {} rows/s, {cpu:.1} s of processor time, {} of memory",
        HumanCount(*sources),
        HumanCount(*read),
        HumanCount(meta.rejects.total()),
        DecimalBytes(*bytes),
        HumanCount((*read as f64 / seconds.max(1e-3)) as u64),
        DecimalBytes(usage::max_rss_bytes())
    )
}
