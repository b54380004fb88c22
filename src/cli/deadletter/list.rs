//! `skysluice deadletter ls`: letters counted.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{Place, failed, places, plain, time};
use crate::letters::{By, Group, Groups};
use crate::pipeline::LetterStore;

/// Arguments of `ls`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file, or a folder of letters.
    #[arg(value_name = "CONFIG|FOLDER")]
    place: PathBuf,
    /// Only letters of this component; all without.
    #[arg(long, value_name = "NAME")]
    component: Option<String>,
    /// Count by one thing alone.
    #[arg(long, value_enum)]
    by: Option<Key>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Key {
    /// By the reason, whose numbers are `#`.
    Reason,
    /// By the stage that gave up.
    Stage,
    /// By topic and partition.
    Topic,
}

/// What a place holds.
struct Counted {
    place: Place,
    groups: Groups,
    letters: u64,
    aside: u64,
    omitted: u64,
    strangers: u64,
}

/// Prints the counts.
///
/// # Errors
/// The exit code; the reason has been printed.
pub fn run(args: &Args) -> Result<ExitCode, ExitCode> {
    let by = match args.by {
        None => By::All,
        Some(Key::Reason) => By::Reason,
        Some(Key::Stage) => By::Stage,
        Some(Key::Topic) => By::Topic,
    };
    let mut all = Vec::new();
    for place in places(&args.place, args.component.as_deref())? {
        let mut counted = Counted { place, groups: Groups::new(by), letters: 0, aside: 0, omitted: 0, strangers: 0 };
        let Counted { place, groups, letters, aside, omitted, strangers } = &mut counted;
        *strangers = place
            .store
            .each(|found| {
                groups.add(&found.letter);
                *letters += 1;
                *aside += u64::from(found.aside);
                *omitted += u64::from(found.omitted.is_some());
            })
            .map_err(|fault| failed(&fault))?;
        all.push(counted);
    }
    if args.json {
        println!("{:#}", Value::Array(all.iter().map(Counted::json).collect()));
    } else {
        all.iter().for_each(Counted::print);
    }
    Ok(ExitCode::SUCCESS)
}

impl Counted {
    fn json(&self) -> Value {
        json!({
            "name": self.place.name, "place": self.place.shown(), "letters": self.letters, "aside": self.aside,
            "omitted": self.omitted, "strangers": self.strangers,
            "groups": self.groups.sorted().into_iter().map(group).collect::<Vec<_>>(),
        })
    }

    fn print(&self) {
        println!("{}: {} letters in {}", self.place.name, self.letters, self.place.shown());
        match (&self.place.store, self.aside) {
            (_, 0) => {}
            (LetterStore::Folder(_), aside) => {
                println!("  {aside} of them are being processed again, or such an attempt was cut short: the next takes them up");
            }
            (LetterStore::Topic(topic), aside) => {
                println!("  {aside} of them were processed again: they lie before the position of {}", topic.group());
            }
        }
        if self.omitted > 0 {
            println!("  {} of them are without their bytes, which the topic did not take", self.omitted);
        }
        if self.strangers > 0 {
            println!("  besides, {} messages that are no letters", self.strangers);
        }
        let mut rows: Vec<[String; 6]> = vec![["count", "stage", "from", "offsets", "times", "reason"].map(str::to_owned)];
        rows.extend(self.groups.sorted().into_iter().map(row));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..6).map(width).collect();
        for row in rows.iter().filter(|_| self.letters > 0) {
            let mut line = format!("  {:>1$}", row[0], widths[0]);
            for column in (1..6).filter(|column| rows[1..].iter().any(|row| row[*column] != "-")) {
                line += &format!("  {:<1$}", row[column], widths[column]);
            }
            println!("{}", line.trim_end());
        }
    }
}

fn row(group: &Group) -> [String; 6] {
    let range = |range: Option<(String, String)>| match range {
        Some((first, last)) if first == last => first,
        Some((first, last)) => format!("{first} to {last}"),
        None => "-".to_owned(),
    };
    let text = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), plain);
    [
        group.count.to_string(),
        text(&group.stage),
        group.origin.as_ref().map_or_else(|| "-".to_owned(), |(topic, partition)| format!("{}[{partition}]", plain(topic))),
        range(group.offsets.map(|(first, last)| (first.to_string(), last.to_string()))),
        range(group.times.map(|(first, last)| (time(first), time(last)))),
        text(&group.reason),
    ]
}

fn group(group: &Group) -> Value {
    json!({
        "count": group.count,
        "reason": group.reason,
        "stage": group.stage,
        "topic": group.origin.as_ref().map(|(topic, _)| topic),
        "partition": group.origin.as_ref().map(|(_, partition)| partition),
        "offsets": group.offsets.map(|(first, last)| [first, last]),
        "times": group.times.map(|(first, last)| [time(first), time(last)]),
    })
}
