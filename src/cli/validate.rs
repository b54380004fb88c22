//! `skysluice validate FILE`: tells whether a configuration could be started, and starts nothing.

use std::path::Path;
use std::process::ExitCode;

use crate::config::{self, ConfigError, PublishTarget, Settings, Source};

/// Checks a file. Exit code 0 when it can be used, 78 when not.
#[must_use]
pub fn run(file: &Path) -> ExitCode {
    match config::load(file) {
        Ok(settings) => {
            print!("{}", summary(&settings));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprint!("{error}");
            ExitCode::from(ConfigError::EXIT_CODE)
        }
    }
}

/// What would be started, one line a component.
fn summary(settings: &Settings) -> String {
    let mut text = format!("{}: good, fingerprint {}\n", settings.file.display(), settings.fingerprint);
    for pipeline in &settings.components {
        let source = match &pipeline.source {
            Source::Kafka(kafka) => format!("{} on {} as {}", kafka.topics.join(", "), kafka.brokers, kafka.group),
            Source::Files(files) => files.path.display().to_string(),
            Source::Simulator(simulator) => {
                simulator.count.map_or_else(|| "simulator".to_owned(), |count| format!("simulator, {count} alerts"))
            }
        };
        let archive =
            pipeline.archive.as_ref().map_or_else(|| "no archive".to_owned(), |archive| archive.root.display().to_string());
        let outputs: Vec<String> = pipeline
            .publish
            .iter()
            .map(|publish| match &publish.target {
                PublishTarget::Kafka { brokers, .. } => format!("{} on {brokers}", publish.topic),
                PublishTarget::Files { folder } => folder.join(&publish.topic).display().to_string(),
            })
            .collect();
        let outputs = if outputs.is_empty() { "no output".to_owned() } else { outputs.join(", ") };
        let steps = pipeline.steps.len();
        text += &format!("  {} ({}): {source} -> {steps} steps -> {archive}; {outputs}\n", pipeline.name, pipeline.survey.name);
    }
    text
}
