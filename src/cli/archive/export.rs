//! `skysluice archive export`.

use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::DecimalBytes;

use super::{Scope, progress};
use crate::cli::{fail, print};
use crate::filter::Expression;
use crate::pipeline::export::{self, Export, Target};

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Roots of archives, folders or files in them, or configuration files.
    #[arg(value_name = "PATH|CONFIG", required = true)]
    paths: Vec<PathBuf>,
    /// Folder for the containers, or, with the ending .avro, the one container.
    #[arg(short, long, value_name = "DIR|FILE.avro")]
    output: PathBuf,
    #[command(flatten)]
    scope: Scope,
    /// Only rows for which this SQL expression is true, over all columns of the archive, such as `candidate.rb > 0.9`.
    #[arg(long = "where", value_name = "EXPR")]
    condition: Option<String>,
    /// Add the columns that the steps made (matches) behind the producer's fields.
    #[arg(long)]
    annotated: bool,
}

/// Exports alerts.
pub fn run(args: &Args) -> ExitCode {
    let condition = match args.condition.as_deref().map(Expression::parse).transpose() {
        Ok(condition) => condition,
        Err(error) => return fail(&format!("--where: {error}")),
    };
    let mut files = Vec::new();
    for path in &args.paths {
        match args.scope.list(path) {
            Ok((_, listing)) => {
                if let Some((_, error)) = listing.damaged.first() {
                    return fail(&error.to_string());
                }
                files.extend(listing.files);
            }
            Err(code) => return code,
        }
    }
    // A folder and a file in it may both be given.
    let mut seen = std::collections::HashSet::new();
    files.retain(|listed| seen.insert(listed.file.path.clone()));
    if files.is_empty() {
        return fail("there are no archived files of that kind; `skysluice archive ls` shows what there is");
    }
    let target = match args.output.extension().is_some_and(|e| e == "avro") {
        true => Target::File(args.output.clone()),
        false => Target::Folder(args.output.clone()),
    };
    let bar = progress(files.iter().map(|listed| listed.file.bytes).sum());
    let what = Export { condition, annotated: args.annotated };
    let exported = export::export(&files, &target, &what, &|bytes| bar.inc(bytes));
    bar.finish_and_clear();
    match exported {
        Ok(containers) => {
            let line = |c: &export::Exported| {
                format!("{}: {} alerts of {}, {}\n", c.path.display(), c.records, c.schema, DecimalBytes(c.bytes))
            };
            print(&containers.iter().map(line).collect::<String>())
        }
        Err(error) => fail(&error.to_string()),
    }
}
