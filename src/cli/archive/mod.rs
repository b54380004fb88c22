//! `skysluice archive`: what an archive holds, whether it is whole, and its alerts as Avro again.

mod check;
mod export;
mod list;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{exit, fail};
use crate::config::{self, HourBy, Survey};
use crate::pipeline::WantedHours;
use crate::pipeline::list::{Listing, Wanted};

/// What is done with an archive.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show what an archive holds: hours with files, rows and offsets, components, schemas, and offsets that are not there.
    ///
    /// Reads the footers alone; an archive that is being written can be looked at. Exit code 1 where a file can't be read.
    #[command(
        after_help = "Examples:\n  skysluice archive ls /srv/archive\n  skysluice archive ls /srv/archive --hour 2026-11-09\n  skysluice archive ls ztf.yaml --component ztf --json"
    )]
    Ls(list::Args),
    /// Check that an archive is whole: every page of every file decodes, and rows, footers, folders and reports agree.
    ///
    /// Prints one line for each thing that is wrong (what, where, what to do) and ends with 1; with 0 where nothing is. Nothing
    /// is changed. Parquet pages carry no checksums: a byte that changed inside an uncompressed cut-out still decodes and is not
    /// found; keep checksums of the files where that matters.
    #[command(
        after_help = "Examples:\n  skysluice archive check /srv/archive\n  skysluice archive check ztf.yaml --report run.json\n  skysluice archive check /srv/archive --hour 2026-11-09T03 --json"
    )]
    Check(check::Args),
    /// Write archived alerts as Avro object containers again, in the schema that their producer had.
    ///
    /// One container per schema. A container is whole or not there, and none is replaced.
    #[command(
        after_help = "Examples:\n  skysluice archive export /srv/archive -o exported\n  skysluice archive export /srv/archive --hour 2026-11-09T03 -o hour.avro\n  skysluice archive export ztf.yaml --where 'candidate.rb > 0.9' -o good.avro\n  skysluice archive export one.parquet two.parquet --annotated -o annotated"
    )]
    Export(export::Args),
}

/// Runs a subcommand.
#[must_use]
pub fn run(command: &Command) -> ExitCode {
    match command {
        Command::Ls(args) => list::run(args),
        Command::Check(args) => check::run(args),
        Command::Export(args) => export::run(args),
    }
}

/// What is looked at.
#[derive(Debug, clap::Args)]
struct Scope {
    /// Only what this component wrote. With a configuration file: the component whose archive is meant, where there are several.
    #[arg(long, value_name = "NAME")]
    component: Option<String>,
    /// Only this hour (UTC), such as 2026-11-09T03; 2026-11-09 is a day, 2026-11 a month, `quarantine` what has no usable time.
    /// Can be given several times.
    #[arg(long = "hour", value_name = "HOUR")]
    hours: Vec<WantedHours>,
}

/// An archive, as far as a path and a configuration tell.
struct Archive {
    root: PathBuf,
    component: Option<String>,
    staging: PathBuf,
    by: Option<HourBy>,
    survey: Option<Arc<Survey>>,
}

impl Scope {
    /// The archive that a path stands for: itself, or the one of a configuration file.
    fn archive(&self, path: &Path) -> Result<Archive, ExitCode> {
        let is_configuration = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
        if !is_configuration {
            // Resolved first: the staging folder is beside the archive, not beside a link to it.
            let root = path.canonicalize().map_err(|e| fail(&format!("{}: {e}", path.display())))?;
            let staging = config::Archive::new(root.clone()).staging;
            return Ok(Archive { root, component: self.component.clone(), staging, by: None, survey: None });
        }
        let settings = config::load(path).map_err(|problem| {
            eprint!("{problem}");
            ExitCode::from(exit::CONFIGURATION)
        })?;
        let named = |name: &str| self.component.as_deref().is_none_or(|wanted| wanted == name);
        let found: Vec<_> = settings.components.iter().filter(|c| named(&c.name)).collect();
        let archives: Vec<_> = found.iter().filter_map(|c| c.archive.as_ref().map(|archive| (*c, archive))).collect();
        match (&archives[..], &self.component) {
            ([(component, archive)], _) => Ok(Archive {
                root: archive.root.clone(),
                component: Some(component.name.clone()),
                staging: archive.staging.clone(),
                by: Some(archive.by),
                survey: Some(component.survey.clone()),
            }),
            ([], Some(name)) if found.is_empty() => {
                let names: Vec<_> = settings.components.iter().map(|c| c.name.as_str()).collect();
                Err(fail(&format!("{}: no component is named {name}; there are {}", path.display(), names.join(", "))))
            }
            ([], _) => Err(fail(&format!("{}: no component with an archive; give the root of one instead", path.display()))),
            (several, _) => {
                let names: Vec<_> = several.iter().map(|(c, _)| c.name.as_str()).collect();
                let names = names.join(", ");
                Err(fail(&format!("{}: several components have archives ({names}); choose one with --component", path.display())))
            }
        }
    }

    fn wanted(&self, archive: &Archive) -> Wanted {
        Wanted { component: archive.component.clone(), hours: self.hours.clone() }
    }

    /// The archive of a path with its files.
    fn list(&self, path: &Path) -> Result<(Archive, Listing), ExitCode> {
        let archive = self.archive(path)?;
        let listing = crate::pipeline::list::list(&archive.root, &self.wanted(&archive)).map_err(|e| fail(&e.to_string()))?;
        Ok((archive, listing))
    }
}

/// A bar over so many bytes; it is not shown where standard error is no terminal.
fn progress(bytes: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes}, {eta} left") {
        bar.set_style(style);
    }
    bar.tick();
    bar
}
