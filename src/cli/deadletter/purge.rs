//! `skysluice deadletter purge`: letters removed for good.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Chosen, failed, places, wrong_usage};
use crate::config;

/// Arguments of `purge`.
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
    /// Only letters of messages older than this, such as `7d`. A message without a time is kept then. A topic lets go of its
    /// oldest messages alone: there this stops at the first that is not old enough.
    #[arg(long, value_name = "TIME", value_parser = age)]
    older_than: Option<Duration>,
    /// Remove without asking.
    #[arg(long)]
    yes: bool,
}

fn age(text: &str) -> Result<Duration, String> {
    config::parse_time(text).map_err(|error| format!("{}; {}", error.message, error.help))
}

/// Removes letters.
///
/// # Errors
/// The exit code; the reason has been printed.
pub fn run(args: &Args) -> Result<ExitCode, ExitCode> {
    let before = args.older_than.map(|age| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.as_millis()).unwrap_or(i64::MAX).saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
    });
    let selection = args.chosen.selection(before);
    for place in places(&args.place, args.component.as_deref())? {
        let doomed = place.store.doom(&selection).map_err(|fault| failed(&fault))?;
        if doomed.count == 0 {
            println!("{}: no such letter in {}", place.name, place.shown());
            continue;
        }
        if !args.yes && !confirmed(&format!("{}: remove {} letters of {} for good?", place.name, doomed.count, place.shown()))? {
            println!("nothing was removed");
            return Ok(ExitCode::SUCCESS);
        }
        let removed = place.store.remove(&selection, &doomed).map_err(|fault| failed(&fault))?;
        println!("{}: removed {removed} letters of {}", place.name, place.shown());
    }
    Ok(ExitCode::SUCCESS)
}

fn confirmed(question: &str) -> Result<bool, ExitCode> {
    if !io::stdin().is_terminal() {
        return Err(wrong_usage(&format!("{question} There is no one to ask: say --yes")));
    }
    print!("{question} [y/N] ");
    let mut answer = String::new();
    io::stdout().flush().and_then(|()| io::stdin().lock().read_line(&mut answer)).map_err(|e| failed(&e))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
