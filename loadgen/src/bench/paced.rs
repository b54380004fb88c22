//! A run that reads a topic while it is being filled at a rate: for latencies. The producer is part of this process, so its CPU time
//! is not that of the measured one, though both share the cores.

use std::path::Path;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::bench::child::{self, LOOK, Run, Running};
use crate::error::Error;
use crate::produce::{self, ProduceArgs};
use crate::topic;

/// How long brokers may take to answer a question.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the program may take to join its group.
const JOIN: u64 = 60;
/// How long what is committed may stand still before the run is taken for ended.
const STILL: Duration = Duration::from_secs(60);

/// A run, and the rate at which its alerts became durable, where it was long enough to have one.
pub(crate) struct Paced {
    pub(crate) run: Run,
    pub(crate) rate_held: Option<f64>,
}

/// Runs the program beside a producer: begins when it reads the topic, ends when it has committed everything.
pub(crate) fn run(program: &Path, configuration: &Path, folder: &Path, group: &str, args: &ProduceArgs) -> Result<Paced, Error> {
    let mut running = child::start(program, configuration, folder)?;
    let outcome = beside(&mut running, group, args);
    match outcome {
        Ok(commits) => Ok(Paced { run: running.finish()?, rate_held: held(&commits) }),
        Err(error) => {
            running.kill();
            Err(error)
        }
    }
}

/// Produces, watches the commits, and asks the program to end. Returns what was committed when.
fn beside(running: &mut Running, group: &str, args: &ProduceArgs) -> Result<Vec<(Duration, u64)>, Error> {
    let consumer = topic::consumer(&args.brokers, group)?;
    joined(running, &consumer, group, &args.brokers)?;
    let partitions = args.partitions.map_or(1, |partitions| partitions.get() as i32);
    let start = Instant::now();
    let mut commits = Vec::new();
    let mut ended = false;
    std::thread::scope(|scope| {
        let producing = scope.spawn(|| produce::produce(args));
        let mut moved = Instant::now();
        loop {
            ended = running.look()?.is_some();
            let committed = topic::committed(&consumer, &args.topic, partitions, &args.brokers)?;
            if commits.last().is_none_or(|(_, before)| *before < committed) {
                commits.push((start.elapsed(), committed));
                moved = Instant::now();
            }
            if !producing.is_finished() {
                moved = Instant::now();
            } else if ended || committed >= args.count || moved.elapsed() > STILL {
                break;
            }
            std::thread::sleep(LOOK);
        }
        producing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map(drop)
    })?;
    if !ended {
        running.stop()?;
    }
    Ok(commits)
}

/// Waits until the program has joined its group, or has ended.
fn joined(running: &mut Running, consumer: &BaseConsumer, group: &str, brokers: &str) -> Result<(), Error> {
    let start = Instant::now();
    while running.look()?.is_none() {
        let groups = consumer.fetch_group_list(Some(group), ANSWER).map_err(Error::kafka("look for the group", brokers))?;
        if groups.groups().iter().any(|found| found.name() == group && found.state() == "Stable") {
            return Ok(());
        }
        if start.elapsed() > Duration::from_secs(JOIN) {
            return Err(Error::NotReading { group: group.to_owned(), seconds: JOIN, log: running.log().to_owned() });
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// The rate between the first commit and the last.
fn held(commits: &[(Duration, u64)]) -> Option<f64> {
    let first = commits.iter().find(|(_, committed)| *committed > 0)?;
    let last = commits.last()?;
    (last.0 > first.0).then(|| (last.1 - first.1) as f64 / (last.0 - first.0).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_between_commits() {
        let at = |commits: &[(u64, u64)]| {
            held(&commits.iter().map(|(time, count)| (Duration::from_millis(*time), *count)).collect::<Vec<_>>())
        };
        assert_eq!(at(&[(0, 0), (1500, 1000), (2500, 2000), (3500, 3000)]), Some(1000.0));
        assert_eq!(at(&[(0, 0), (1500, 1000)]), None);
        assert_eq!(at(&[(0, 0)]), None);
        assert_eq!(at(&[]), None);
    }
}
