//! `skysluice demo`: a simulated night through the real pipeline. It writes a configuration file and runs it, so that what it
//! shows is what any stream gets, and the file is there to play with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::report::Report;
use super::{exit, fail, run};
use crate::{config, pipeline};

/// The catalogue that the demo matches against.
const SAMPLE: &str = include_str!("../../catalogs/sample.csv");
/// Holds the number of alerts that the runs so far were to make; its presence marks the folder as a demo's.
const MARK: &str = "demo.alerts";
/// Alerts a second when the demo is to run until stopped and no rate is given: about a calm night.
const SERVE_RATE: f64 = 100.0;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Alerts to make. A second run in the same folder goes on with the night and adds as many.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    alerts: u64,
    /// Alerts per second; as fast as the machine takes them when absent.
    #[arg(long, value_name = "R", value_parser = positive)]
    rate: Option<f64>,
    /// Folder for everything that the demo writes.
    #[arg(long, value_name = "DIR", default_value = "skysluice-demo")]
    dir: PathBuf,
    /// Keep running until stopped (Ctrl-C), at 100 alerts a second unless --rate says otherwise.
    #[arg(long, conflicts_with = "alerts")]
    serve: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("a rate is a number of alerts per second above 0".to_owned()),
    }
}

/// Runs the demo.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let file = match prepare(args) {
        Ok(file) => file,
        Err(message) => return fail(&message),
    };
    let settings = match config::load(&file) {
        Ok(settings) => settings,
        Err(problem) => {
            eprint!("{problem}");
            return ExitCode::from(exit::CONFIGURATION);
        }
    };
    eprintln!("demo: a simulated night runs through {} (configuration: {})", args.dir.display(), file.display());
    let report = match run::run_settings(&settings) {
        Ok(report) => report,
        Err(code) => return code,
    };
    if let Err(message) = summary(&args.dir, &report) {
        return fail(&message);
    }
    ExitCode::from(report.exit_code())
}

fn prepare(args: &Args) -> Result<PathBuf, String> {
    let dir = &args.dir;
    let context = |what: &Path, e: std::io::Error| format!("{}: {e}", what.display());
    let mark = dir.join(MARK);
    let before: u64 = match fs::read_to_string(&mark) {
        Ok(text) => text
            .trim()
            .parse()
            .map_err(|_| format!("{}: not a number; this folder is no demo's, give another with --dir", mark.display()))?,
        Err(_) => {
            let strangers = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
            if strangers {
                return Err(format!(
                    "{} holds something else than a demo; nothing was written. Give another folder with --dir",
                    dir.display()
                ));
            }
            0
        }
    };
    fs::create_dir_all(dir).map_err(|e| context(dir, e))?;
    let dir = &dir.canonicalize().map_err(|e| context(dir, e))?;
    let total = before + if args.serve { 0 } else { args.alerts };
    // The mark before the work: a run that was cut off is made up for by the next one.
    fs::write(&mark, format!("{total}\n")).map_err(|e| context(&mark, e))?;
    let catalog = dir.join("sample.csv");
    fs::write(&catalog, SAMPLE).map_err(|e| context(&catalog, e))?;
    let file = dir.join("demo.yaml");
    let count = if args.serve { String::new() } else { format!("count: {total}, ") };
    let rate = match (args.rate, args.serve) {
        (Some(rate), _) => format!("rate: {rate}, "),
        (None, true) => format!("rate: {SERVE_RATE}, "),
        (None, false) => String::new(),
    };
    let quoted = |path: &str| serde_json::Value::from(dir.join(path).display().to_string()).to_string();
    let (data, archive, output, sample) = (quoted("data"), quoted("archive"), quoted("output"), quoted("sample.csv"));
    let text = format!(
        "# The demo's configuration: everything goes through the same stages as a real stream.\n\
         service: {{ data: {data} }}\n\
         components:\n\
         \x20 - name: ztf\n\
         \x20   type: pipeline\n\
         \x20   survey: ztf\n\
         \x20   source: {{ simulator: {{ {count}{rate}partitions: 4, catalog: {sample} }} }}\n\
         \x20   steps:\n\
         \x20     - cut: {{ where: \"candidate.rb >= 0.55\" }}\n\
         \x20     - crossmatch: {{ catalog: {sample}, radius: 1.5 arcsec }}\n\
         \x20   archive: {{ root: {archive}, partition: hour, roll: {{ size: 512 MiB, age: 60 s }} }}\n\
         \x20   publish:\n\
         \x20     - {{ topic: ztf-annotated, format: container, files: {output} }}\n\
         \x20     - {{ topic: ztf-matched, where: \"matches > 0\", format: container, files: {output} }}\n"
    );
    fs::write(&file, text).map_err(|e| context(&file, e))?;
    Ok(file)
}

fn summary(dir: &Path, report: &Report) -> Result<(), String> {
    let archive = dir.join("archive");
    let files = pipeline::inventory(&archive).map_err(|e| format!("archive {}: {e}", archive.display()))?;
    let bytes: u64 = files.iter().map(|f| f.bytes).sum();
    let rows: u64 = files.iter().map(|f| f.rows).sum();
    report.print();
    println!("  the archive now holds {rows} alerts in {} files, {:.1} MB", files.len(), bytes as f64 / 1e6);
    let glob = format!("{}/**/*.parquet", archive.display());
    println!("\nLook at it with DuckDB:");
    println!("  duckdb -c \"SELECT objectId, candidate.magpsf, matches FROM read_parquet('{glob}') WHERE matches > 0 LIMIT 10\"");
    println!("or Python:");
    println!(
        "  python3 -c \"import pyarrow.dataset as d; print(d.dataset('{}', partitioning='hive').head(5).to_pandas())\"",
        archive.display()
    );
    Ok(())
}
