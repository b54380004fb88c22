//! `skysluice ledger FILE`: what became of every alert, by component, day and partition.

use std::path::PathBuf;
use std::process::ExitCode;

use chrono::NaiveDate;
use serde_json::{Value, json};

use super::deadletter::{find, load};
use super::{exit, fail, print};
use crate::config::late_name;
use crate::pipeline::{replay_name, requeue_name};
use crate::sums::{self, Day, EVERY, Sums, SumsError};

/// Arguments of `ledger`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file.
    #[arg(value_name = "CONFIG")]
    file: PathBuf,
    /// Only this component; all of the file when absent.
    #[arg(long, value_name = "NAME")]
    component: Option<String>,
    /// Only this UTC day, `2026-11-20`; all days when absent.
    #[arg(long, value_name = "DAY")]
    day: Option<NaiveDate>,
    /// Print JSON, one object for each component and day.
    #[arg(long)]
    json: bool,
}

/// The sums of a component on a day.
struct Entry {
    component: String,
    day: NaiveDate,
    sums: Day,
}

impl Entry {
    fn total(&self) -> Sums {
        let mut total = Sums::default();
        self.sums.partitions.iter().for_each(|p| total.add(&p.sums));
        total
    }

    fn is_balanced(&self) -> bool {
        self.sums.partitions.iter().all(|p| p.sums.are_balanced())
    }
}

/// Prints the sums.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    try_run(args).unwrap_or_else(|code| code)
}

fn try_run(args: &Args) -> Result<ExitCode, ExitCode> {
    let settings = load(&args.file)?;
    let names: Vec<&str> = match &args.component {
        Some(name) => vec![settings.components[find(&settings, name)?].name.as_str()],
        None => settings.components.iter().map(|c| c.name.as_str()).collect(),
    };
    let mut entries = Vec::new();
    for name in names {
        // What is processed once more has sums of its own.
        for component in [name.to_owned(), late_name(name), requeue_name(name), replay_name(name)] {
            let folder = settings.service.home(&component);
            let failed = |error: SumsError| fail(&error.to_string());
            for day in sums::days(&folder).map_err(failed)?.into_iter().filter(|day| args.day.is_none_or(|wanted| wanted == *day))
            {
                if let Some(sums) = sums::read(&folder, day).map_err(failed)? {
                    entries.push(Entry { component: component.clone(), day, sums });
                }
            }
        }
    }
    let text = if args.json { as_json(&entries) } else { as_table(&entries) };
    let printed = print(&text);
    Ok(if entries.iter().all(Entry::is_balanced) { printed } else { ExitCode::from(exit::FAILED) })
}

fn as_json(entries: &[Entry]) -> String {
    let one = |entry: &Entry| -> Value {
        json!({ "component": entry.component, "day": entry.day.to_string(), "balanced": entry.is_balanced(),
            "total": entry.total(), "partitions": entry.sums.partitions, "published": entry.sums.published })
    };
    format!("{:#}\n", Value::Array(entries.iter().map(one).collect()))
}

fn as_table(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "no sums yet: a component writes them when it has settled its first alerts\n".to_owned();
    }
    let mut text = String::new();
    for entry in entries {
        text += &format!("{}, {}\n", entry.component, entry.day);
        let mut rows: Vec<(String, Sums)> =
            entry.sums.partitions.iter().map(|p| (format!("{}[{}]", p.topic, p.partition), p.sums)).collect();
        rows.push(("all".to_owned(), entry.total()));
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(9);
        text += &format!(
            "  {:width$} {:>10} {:>10} {:>10} {:>10} {:>13} {:>10}\n",
            "partition", "messages", "in", "archived", "skipped", "dead-lettered", "expired"
        );
        for (name, s) in rows {
            let balance = if s.are_balanced() { "" } else { "  NOT BALANCED" };
            text += &format!(
                "  {name:width$} {:>10} {:>10} {:>10} {:>10} {:>13} {:>10}{balance}\n",
                s.messages, s.alerts, s.archived, s.skipped, s.dead, s.expired
            );
        }
        for (topic, count) in &entry.sums.published {
            text += &format!("  published to {topic}: {count} messages\n");
        }
        text += match entry.is_balanced() {
            true => "  balanced: in = archived + skipped + dead-lettered\n",
            false => "  NOT BALANCED: in is not archived + skipped + dead-lettered; please report this\n",
        };
    }
    text + &format!(
        "A running process writes its sums every {} s and at its end; of one that was killed, as much may be missing.\n",
        EVERY.as_secs()
    )
}
