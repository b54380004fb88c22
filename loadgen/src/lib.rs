//! `skysluice-loadgen`: fills topics with alerts, measures whole runs of `skysluice` and judges what has become of the alerts. It
//! shares no code with what it measures and judges but the simulator; results go to standard output, as JSON lines but for the
//! tables that are asked for, everything else to standard error.

mod bench;
mod container;
mod crash;
mod error;
mod files;
mod journal;
mod judge;
mod packets;
mod place;
mod produce;
mod random;
mod schedule;
mod soak;
mod table;
mod topic;

use std::ffi::OsString;
use std::io::Write;

use clap::{Parser, Subcommand};

/// Makes load for Skysluice and measures whole runs of it.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sends alerts to a topic: made-up ones, or real files over and over; at a rate, or as fast as the brokers take them.
    ///
    /// Every message has the header `loadgen.index` with its running number, from which an oracle can tell what is missing or twice.
    /// Prints one JSON line when all of them are delivered.
    Produce(produce::ProduceArgs),
    /// Measures whole runs of `skysluice run`, from a source to synced Parquet.
    ///
    /// Prints one JSON line for each run, and with --repeat one with the medians.
    Bench(Box<bench::BenchArgs>),
    /// Prints the medians of the lines of `bench` in a file as a table: one row for each --label.
    Table(table::TableArgs),
    /// Says what has become of every alert that `produce --journal` has sent: lost, twice, altered, misplaced, foreign, out of order.
    ///
    /// Each alert is made again by its number, decoded by apache-avro, and compared with what the archive and the output topics hold,
    /// value by value. Exit code: 0 where all is right, 1 where something is not, 2 where it could not be judged.
    Judge(judge::JudgeArgs),
    /// Kills `skysluice run` again and again while alerts arrive and its archive is read, and judges what has become of them.
    ///
    /// Exit code: 0 where all is right, 1 where something is not, 2 where it could not be judged.
    CrashLoop(crash::CrashArgs),
    /// Sends alerts at given rates for given times, and says how lag, memory and open files of the program go meanwhile.
    ///
    /// Exit code: 0 where every alert is archived once, 1 where not, 2 where it could not be said.
    Soak(soak::SoakArgs),
}

/// Runs the command line `words`, the first of which is the program's name. Results are written to `out`. Returns the exit code.
pub fn run<W: Into<OsString> + Clone>(words: impl IntoIterator<Item = W>, out: &mut dyn Write) -> u8 {
    let command = match Cli::try_parse_from(words) {
        Ok(cli) => cli.command,
        Err(error) => {
            // Nothing is left to say where even this can't be printed.
            let _ = error.print();
            return u8::from(error.use_stderr()) * 2;
        }
    };
    let done = |result: Result<(), error::Error>| result.map(|()| true);
    let (outcome, failure) = match command {
        Command::Produce(args) => (done(produce::run(&args, out)), 1),
        Command::Bench(args) => (done(bench::run(&args, out)), 1),
        Command::Table(args) => (done(table::run(&args, out)), 1),
        Command::Judge(args) => (judge::run(&args, out), 2),
        Command::CrashLoop(args) => (crash::run(&args, out), 2),
        Command::Soak(args) => (soak::run(&args, out), 2),
    };
    match outcome {
        Ok(right) => u8::from(!right),
        Err(error) => {
            eprintln!("skysluice-loadgen: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            failure
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn arguments_of_produce_are_read() {
        let words =
            "skysluice-loadgen produce --brokers b:9092 --topic t --count 10 --rate 2.5 --burst 5 --key none --framing confluent";
        let Command::Produce(args) = Cli::try_parse_from(words.split(' ')).unwrap().command else { panic!("not produce") };
        assert_eq!((args.brokers.as_str(), args.topic.as_str(), args.count), ("b:9092", "t", 10));
        assert_eq!((args.rate, args.burst, args.first_index), (Some(2.5), Some(5), 0));
        assert_eq!(args.packets.framing, Some(packets::Framing::Confluent));
    }

    #[test]
    fn the_exit_code_says_what_kind_of_failure_it_was() {
        let code = |words: &str| run(words.split(' '), &mut Vec::new());
        assert_eq!(code("skysluice-loadgen table /nowhere"), 1);
        // What was not judged is neither right nor wrong.
        assert_eq!(code("skysluice-loadgen judge --journal /nowhere --archive /nowhere"), 2);
        assert_eq!(code("skysluice-loadgen judge --journal /nowhere"), 2);
        assert_eq!(code("skysluice-loadgen --version"), 0);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let start = "skysluice-loadgen produce --brokers b --topic t --count 1";
        for rest in
            ["--burst 5", "--rate 0", "--rate -1", "--rate nan", "--from d --survey ztf", "--framing avro", "--partitions 0"]
        {
            let words = format!("{start} {rest}");
            assert!(Cli::try_parse_from(words.split(' ')).is_err(), "{rest}");
        }
        for words in [
            "bench --source kafka --count 1",
            "bench --source tape --count 1",
            "bench --source memory",
            "bench --source kafka --brokers b --produce",
            "bench --source memory --count 1 --catalog a.csv --catalogs 2",
            "judge --archive a",
            "judge --journal j --archive a --output t",
            "judge --journal j --brokers b --output t --committed --allow-output-duplicates 1",
            "judge --journal j --archive a --letters f --letters-topic t",
            "crash-loop --rounds 3",
            "crash-loop --brokers b --rounds 0",
            "soak --brokers b",
            "soak --brokers b --phases 1000",
            "soak --brokers b --phases 1000x60 --transactions",
        ] {
            let words = format!("skysluice-loadgen {words}");
            assert!(Cli::try_parse_from(words.split(' ')).is_err(), "{words}");
        }
    }
}
