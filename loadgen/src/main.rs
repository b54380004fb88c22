//! `skysluice-loadgen`: fills topics with alerts and measures whole runs of `skysluice`. It shares no code with what it measures but
//! the simulator; results go to standard output as JSON lines, everything else to standard error.

mod bench;
mod container;
mod error;
mod packets;
mod produce;
mod schedule;
mod table;
mod topic;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Produce(args) => produce::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Table(args) => table::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("skysluice-loadgen: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
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
        ] {
            let words = format!("skysluice-loadgen {words}");
            assert!(Cli::try_parse_from(words.split(' ')).is_err(), "{words}");
        }
    }
}
