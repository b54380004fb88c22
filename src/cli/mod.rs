//! The command line: one file per subcommand, one definition for parsing, help, man page and completions.
//!
//! May depend on everything but the stages; they are reached through `pipeline`.

mod alert;
mod archive;
mod breaker;
mod catalog;
pub mod config;
mod deadletter;
mod demo;
mod ledger;
mod replay;
mod report;
mod run;
mod schema;
mod status;
mod usage;
pub mod validate;
mod what;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Exit codes, documented in the man page and in README.md.
pub mod exit {
    /// All went well.
    pub const OK: u8 = 0;
    /// Something else failed; the message says what.
    pub const FAILED: u8 = 1;
    /// Messages that were to be read are gone, and the configuration says to stop there (EX_DATAERR).
    pub const EXPIRED: u8 = 65;
    /// Too many failures in a row without progress (EX_SOFTWARE).
    pub const GAVE_UP: u8 = 70;
    /// A stop was cut short by `service.grace`; what was not durable is read again (EX_TEMPFAIL).
    pub const CUT_SHORT: u8 = 75;
    /// The configuration is wrong; nothing was started (EX_CONFIG).
    pub const CONFIGURATION: u8 = 78;
}

/// Alert appliance for astronomical surveys: decodes, cross-matches, filters, archives and republishes alert streams.
///
/// Exit codes: 0 all went well; 1 something failed; 2 wrong usage; 65 the broker no longer keeps messages that were to be read
/// (source.kafka.expired: stop); 70 too many failures in a row without progress; 75 a stop took longer than service.grace;
/// 78 wrong configuration. A second SIGTERM or SIGINT ends the process at once.
#[derive(Debug, Parser)]
#[command(name = "skysluice", version, arg_required_else_help = true)]
struct Cli {
    /// Least severe log messages to show: error, warn, info, debug or trace, or a filter such as `skysluice=debug`.
    #[arg(long, global = true, default_value = "info", env = "SKYSLUICE_LOG")]
    log: String,
    /// Write the log as JSON, one object a line.
    #[arg(long, global = true)]
    log_json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the main job: a simulated night through the whole pipeline into Parquet and Avro files. Needs no server.
    Demo(demo::Args),
    /// Run the components of a configuration file until they end or a stop is asked for.
    Run(run::Args),
    /// Let a range of time of a Kafka stream go through its component once more.
    ///
    /// From the first message with a timestamp as late as --from up to the first one as late as --to, in each partition, as the
    /// broker tells. It runs as the component NAME-replay under a group of its own: the service may run meanwhile, and its commits stay
    /// as they are. In the component's own archive, rows that are there are left out and missing ones are filled in; what the
    /// service has not committed yet is left to it. Outputs are sent again. The backup stays as it is. A replay that was cut short goes
    /// on where it was; one that is done does nothing when it is called again.
    ///
    /// Exit codes as of `run`.
    Replay(replay::Args),
    /// See what became of every alert: sums by component, UTC day and partition, over all runs.
    ///
    /// A day is the one on which alerts were made durable. A running process writes its sums every 5 s and at its end. Of one that
    /// was killed the sums of at most the last 5 s are missing; what it had not committed is read again by the next one and
    /// counts again, as skipped where the archive has it.
    ///
    /// Exit codes: 0 in = archived + skipped + dead-lettered in every partition; 1 somewhere not, or a file can't be read;
    /// 2 wrong usage; 78 wrong configuration.
    Ledger(ledger::Args),
    /// See which streams are held because too much of them failed, and let them go on.
    Breaker {
        #[command(subcommand)]
        what: breaker::Command,
    },
    /// Check a configuration file without starting anything.
    Validate {
        /// The configuration file.
        file: PathBuf,
    },
    /// Look at an archive, check it, get alerts out of it.
    Archive {
        #[command(subcommand)]
        what: archive::Command,
    },
    /// Make indexes of catalogues, look at them, search and match tables of positions with them.
    Catalog {
        #[command(subcommand)]
        what: catalog::Command,
    },
    /// Look at dead letters, process them again, remove them.
    Deadletter(deadletter::Args),
    /// Print what the configuration file may hold.
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// Look at the schemas of alerts: show one, compare two, check one against a survey and a configuration.
    Schema {
        #[command(subcommand)]
        what: schema::Command,
    },
    /// Look at one alert of a file.
    Alert {
        #[command(subcommand)]
        what: alert::Command,
    },
    /// Print shell completions.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the man page (roff).
    Man,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// JSON Schema of the configuration file, for editors.
    Schema,
    /// Every key with its type, default and meaning.
    Reference,
}

/// Parses the command line and runs the subcommand.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(message) = start_log(&cli.log, cli.log_json) {
        eprintln!("error: {message}");
        return ExitCode::from(2);
    }
    match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Ledger(args) => ledger::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Breaker { what } => breaker::run(&what),
        Command::Validate { file } => validate::run(&file),
        Command::Archive { what } => archive::run(&what),
        Command::Catalog { what } => catalog::run(&what),
        Command::Deadletter(args) => deadletter::run(&args),
        Command::Config { what: ConfigCommand::Schema } => config::schema(),
        Command::Config { what: ConfigCommand::Reference } => config::reference(),
        Command::Schema { what } => schema::run(&what),
        Command::Alert { what } => alert::run(&what),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "skysluice", &mut io::stdout());
            ExitCode::SUCCESS
        }
        Command::Man => match clap_mangen::Man::new(Cli::command()).render(&mut io::stdout()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => fail(&format!("the man page could not be written: {e}")),
        },
    }
}

fn start_log(filter: &str, json: bool) -> Result<(), String> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter).map_err(|e| format!("--log '{filter}': {e}"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    if json {
        log.json().init()
    } else {
        log.init()
    }
    Ok(())
}

/// A reader that closes the pipe early, as `head` does, has what it wanted.
fn print(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("cannot write: {error}");
            ExitCode::from(74)
        }
        _ => ExitCode::SUCCESS,
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(exit::FAILED)
}
