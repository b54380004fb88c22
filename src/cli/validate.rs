//! `skysluice validate FILE`: tells whether a configuration could be started, and starts nothing.

use std::path::Path;
use std::process::ExitCode;

use crate::config::{self, ConfigError, Problem, PublishTarget, Settings, Source, Spot};
use crate::filter::FilterError;
use crate::pipeline::{self, ChainError, PrepareError};

/// Checks a file. Exit code 0 when it can be used, 78 when not.
#[must_use]
pub fn run(file: &Path) -> ExitCode {
    let settings = match config::load(file) {
        Ok(settings) => settings,
        Err(error) => return refuse(&error),
    };
    for index in 0..settings.components.len() {
        if let Err(error) = pipeline::check(&settings, index) {
            return refuse(&at_its_place(&settings, index, &error));
        }
    }
    print!("{}", summary(&settings));
    ExitCode::SUCCESS
}

fn refuse(error: &ConfigError) -> ExitCode {
    eprint!("{error}");
    ExitCode::from(ConfigError::EXIT_CODE)
}

/// What keeps a component from being started, with its place in the file where it has one.
pub(super) fn at_its_place(settings: &Settings, component: usize, error: &PrepareError) -> ConfigError {
    let (spot, source) = match error {
        PrepareError::Chain(ChainError::Condition { index, source, .. }) => (Spot::Step(component, *index), Some(source)),
        PrepareError::Chain(error) => (Spot::Step(component, error.step().unwrap_or(0)), None),
        PrepareError::Publish { index, source, .. } => (Spot::Publish(component, *index), Some(source)),
        PrepareError::Columns(error) => {
            let help = error.suggestion.as_ref().map(|path| format!("did you mean `{path}`?")).unwrap_or_else(|| {
                "columns that steps add are always archived; a field that is new in the stream needs its schema in the profile".to_owned()
            });
            return settings.problem_at(Spot::Column(component, error.index), error.to_string(), help, 0);
        }
        other => {
            let name = &settings.components[component].name;
            let what = Problem::of_file(&settings.file, format!("component `{name}` can't be started: {other}"), "");
            return ConfigError::new(vec![what]);
        }
    };
    let help = source.and_then(FilterError::suggestion).map(|s| format!("did you mean `{s}`?")).unwrap_or_default();
    settings.problem_at(spot, error.to_string(), help, source.and_then(FilterError::offset).unwrap_or(0))
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
            Source::Letters(letters) => format!("{} dead letters", letters.messages.len()),
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
