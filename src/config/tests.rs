//! Configuration texts and what becomes of them.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::check::{Surroundings, check};
use super::*;

/// A folder with everything that the shipped configurations read.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let schema = include_str!("../../conf/schemas/ztf/ztf.avsc");
    write("catalogs/northern.moc", "0/0-3\n");
    write("catalogs/sample.csv", "id,ra,dec\na,10.5,-20.25\n");
    write("packets/one.avro", "");
    write("schemas/lsst/1100.avsc", "{\"newer\": true}");
    write("schemas/lsst/900.avsc", schema);
    write("schemas/lsst/README", "");
    write("schemas/ztf/ztf.avsc", schema);
    write("credentials/kafka-password", "hunter2\n");
    write("credentials/registry-password", "hunter3\n");
    write("credentials/registry-ca.pem", "");
    folder
}

fn check_in(folder: &Path, text: &str) -> Result<Settings, ConfigError> {
    let variable = |name: &str| (name != "UNSET").then(|| format!("value of {name}"));
    let around = Surroundings { folder: folder.to_owned(), system: folder.join("etc"), variable };
    check(text, &folder.join("skysluice.yaml"), &around)
}

fn load_good(text: &str) -> Settings {
    let folder = folder();
    check_in(folder.path(), text).unwrap_or_else(|error| panic!("{error}"))
}

fn shipped() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let mut files: Vec<PathBuf> = root.join("examples").read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.push(root.join("skysluice.yaml"));
    files.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// `conf/skysluice.yaml` with every setting that is commented out taken in, by the rule that the file itself states.
fn enabled() -> String {
    let enable = |line: &str| {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        match rest.strip_prefix("# ") {
            Some(setting) => format!("{indent}{setting}\n"),
            None => format!("{line}\n"),
        }
    };
    include_str!("../../conf/skysluice.yaml").lines().map(enable).collect()
}

fn minimal(extra: &str) -> String {
    format!("components:\n  - name: ztf\n    type: pipeline\n    survey: ztf\n    source: {{ simulator: {{}} }}\n{extra}")
}

#[test]
fn every_shipped_configuration_loads() {
    let files = shipped();
    assert!(files.len() >= 5);
    for (path, text) in files {
        let folder = folder();
        check_in(folder.path(), &text).unwrap_or_else(|error| panic!("{}:\n{error}", path.display()));
    }
    let settings = load_good(&enabled());
    assert_eq!(settings.components.len(), 4);
    assert!(matches!(settings.components[3].decode.framing, Framing::Bare(_)));
}

#[test]
fn the_commented_configuration_has_every_key_with_its_default() {
    fn collect(value: &Value, path: &str, out: &mut Vec<(String, Value)>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    out.push((path.clone(), value.clone()));
                    collect(value, &path, out);
                }
            }
            Value::Array(list) => list.iter().for_each(|value| collect(value, path, out)),
            _ => {}
        }
    }
    let mut written = Vec::new();
    collect(&serde_saphyr::from_str(&enabled()).unwrap(), "", &mut written);
    for (path, schema) in reference::paths(&schema()) {
        let values: Vec<&Value> = written.iter().filter(|(key, _)| *key == path).map(|(_, value)| value).collect();
        assert!(!values.is_empty(), "conf/skysluice.yaml has no `{path}`");
        match schema.get("default") {
            None | Some(Value::Array(_) | Value::Object(_)) => {}
            Some(default) => assert!(values.contains(&default), "`{path}`: default {default}, written {values:?}"),
        }
    }
}

#[test]
fn every_key_says_what_it_means_and_whether_it_can_be_left_out() {
    for schema in [schema(), profile_schema()] {
        let keys = reference::paths(&schema);
        assert!(keys.len() > 10);
        let mut seen = BTreeSet::new();
        for (path, schema) in keys {
            assert!(schema["description"].as_str().is_some_and(|words| words.len() > 8), "{path} has no words");
            assert!(seen.insert(path.clone()), "{path} twice");
            assert!(!schema.to_string().contains("\"null\""), "{path} allows null");
        }
    }
    let reference = reference::reference();
    for (path, _) in reference::paths(&schema()) {
        let last = path.rsplit('.').next().unwrap();
        assert!(reference.contains(&format!("{last}` (")), "the reference lacks {path}");
    }
}

/// Tells where a value does not fit the part of JSON Schema that ours uses.
fn misfit(schema: &Value, value: &Value, path: &str) -> Option<String> {
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        other => panic!("type {other}"),
    };
    let fits = match &schema["type"] {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
        _ => true,
    };
    if !fits {
        return Some(format!("{path}: {value} is not {}", schema["type"]));
    }
    if let Some(list) = schema["enum"].as_array()
        && !list.contains(value)
    {
        return Some(format!("{path}: {value} is not in {list:?}"));
    }
    if !schema["const"].is_null() && schema["const"] != *value {
        return Some(format!("{path}: {value} is not {}", schema["const"]));
    }
    for word in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[word].as_array() {
            let misfits: Vec<_> = choices.iter().filter_map(|choice| misfit(choice, value, path)).collect();
            if misfits.len() == choices.len() {
                return Some(misfits.join("; "));
            }
        }
    }
    if let Some(items) = schema.get("items")
        && let Some(list) = value.as_array()
    {
        return list.iter().find_map(|value| misfit(items, value, path));
    }
    let map = value.as_object()?;
    for required in schema["required"].as_array().into_iter().flatten() {
        if !map.contains_key(required.as_str().unwrap()) {
            return Some(format!("{path}: lacks {required}"));
        }
    }
    map.iter().find_map(|(key, value)| match (&schema["properties"][key], &schema["additionalProperties"]) {
        (Value::Null, Value::Bool(false)) => Some(format!("{path}: no key {key}")),
        (Value::Null, Value::Object(_)) => misfit(&schema["additionalProperties"], value, key),
        (Value::Null, _) => None,
        (inner, _) => misfit(inner, value, &format!("{path}.{key}")),
    })
}

#[test]
fn every_shipped_configuration_fits_the_schema_and_what_is_broken_does_not() {
    let schema = schema();
    for (path, text) in shipped().into_iter().chain([(PathBuf::from("enabled"), enabled())]) {
        // An empty mapping, with all its keys commented out, is null to YAML and an empty object to editors.
        let mut value: Value = serde_saphyr::from_str(&text).unwrap();
        if value["service"].is_null() {
            value.as_object_mut().unwrap().shift_remove("service");
        }
        assert_eq!(misfit(&schema, &value, ""), None, "{}", path.display());
    }
    for survey in ["ztf", "lsst"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("conf/surveys/{survey}.yaml"));
        let value: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(misfit(&profile_schema(), &value, ""), None);
    }
    for broken in
        ["    step: []\n", "    batch: { alerts: many }\n", "    archive: { root: a, by: night }\n", "    archive: {}\n"]
    {
        let value: Value = serde_saphyr::from_str(&minimal(broken)).unwrap();
        assert!(misfit(&schema, &value, "").is_some(), "{broken}");
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let settings = load_good(&minimal("    archive: { root: a/b }\n"));
    let Service { data, memory, grace, stall, restarts, threads } = settings.service;
    assert_eq!((data.to_str().unwrap(), memory, restarts, threads), ("/var/lib/skysluice", 512 << 20, 5, 0));
    assert_eq!((grace, stall), (Duration::from_secs(30), Duration::from_secs(120)));
    let pipeline = &settings.components[0];
    assert_eq!((pipeline.batch.alerts, pipeline.batch.bytes, pipeline.batch.linger.as_millis()), (256, 4 << 20, 10));
    assert!(matches!(pipeline.decode.framing, Framing::Container));
    let DeadLetters::Folder(dead) = &pipeline.dead_letters else { panic!() };
    assert_eq!(dead.to_str().unwrap(), "/var/lib/skysluice/ztf/dead-letters");
    let archive = pipeline.archive.as_ref().unwrap();
    assert_eq!((archive.roll_size, archive.roll_age, archive.by), (512 << 20, Duration::from_secs(60), HourBy::Ingest));
    assert!(archive.root.is_absolute() && archive.root.ends_with("a/b") && archive.staging.ends_with("a/b.staging"));
    assert_eq!(settings.fingerprint.len(), 16);
}

#[test]
fn values_arrive_as_they_are_written() {
    let settings = load_good(&enabled());
    let Source::Kafka(kafka) = &settings.components[0].source else { panic!() };
    assert_eq!((kafka.brokers.as_str(), kafka.group.as_str(), kafka.start), ("localhost:9092", "skysluice-ztf", Start::Earliest));
    assert_eq!(kafka.properties["sasl.password"], "hunter2");
    assert!(!format!("{settings:?}").contains("hunter2"));
    let steps = &settings.components[0].steps;
    assert_eq!(
        steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(),
        ["cut-1", "crossmatch-1", "crossmatch-2", "classify-1", "watchlist-1", "region-1"]
    );
    let StepKind::Crossmatch { catalogs } = &steps[1].kind else { panic!() };
    assert_eq!((catalogs[0].id.as_str(), catalogs[0].radius), ("sample", MatchRadius::Fixed(1.5)));
    let PublishTarget::Kafka { properties, .. } = &settings.components[0].publish[1].target else { panic!() };
    // The second output has no brokers of its own: it talks to the source's as the source does.
    assert_eq!(properties["security.protocol"], "SASL_PLAINTEXT");
    // The first has, and gets only what it says.
    let PublishTarget::Kafka { properties, .. } = &settings.components[0].publish[0].target else { panic!() };
    assert_eq!(properties.keys().collect::<Vec<_>>(), ["compression.type"]);
    let Framing::Confluent(schemas) = &settings.components[1].decode.framing else { panic!() };
    // What the folder has wins over what the profile of LSST knows; conditions are checked against the newest of both.
    assert_eq!(schemas.keys().copied().collect::<Vec<_>>(), [700, 701, 702, 703, 704, 800, 900, 1000, 1100]);
    assert!(schemas[&900].contains("ztf") && schemas[&1000].contains("lsst.v10_0"));
    assert!(settings.components[1].survey.schemas.last().unwrap().contains("newer"));
    let registry = settings.components[1].decode.registry.as_ref().unwrap();
    assert_eq!((registry.url.as_str(), registry.timeout), ("https://registry.example.org:8081", Registry::TIMEOUT));
    assert_eq!((registry.login.as_ref().unwrap().1.as_str(), registry.unknown), ("hunter3", UnknownIds::default()));
    assert!(registry.ca.as_ref().unwrap().ends_with("credentials/registry-ca.pem"));
    assert!(!format!("{settings:?}").contains("hunter3"));
}

#[test]
fn the_ids_that_the_profile_of_lsst_knows_are_enough_to_read_its_stream() {
    let text = minimal("    decode: { framing: confluent }\n").replace("survey: ztf", "survey: lsst");
    let component = &load_good(&text).components[0];
    let Framing::Confluent(schemas) = &component.decode.framing else { panic!() };
    assert_eq!(schemas.len(), 9);
    assert!(component.survey.schemas.len() == 9 && component.survey.schemas[8].contains("lsst.v11_0.alert"));
    for (id, json) in schemas {
        assert!(json.contains(&format!("\"lsst.v{}_{}.alert\"", id / 100, id % 100)), "{id}");
    }
    let ztf = check_in(folder().path(), &minimal("    decode: { framing: confluent }\n")).unwrap_err().to_string();
    assert!(ztf.contains("the survey `ztf` knows none by id"), "{ztf}");
    let with = |wait: &str| {
        minimal(&format!(
            "    decode: {{ framing: confluent, registry: {{ url: \"http://[::1]:8081/a/\", unknown: {wait} }} }}\n"
        ))
    };
    let registry = load_good(&with("{ wait: 0 s, then: hold }")).components[0].decode.registry.clone().unwrap();
    assert_eq!(registry.url, "http://[::1]:8081/a");
    assert_eq!(registry.unknown, UnknownIds { wait: Duration::ZERO, then: AfterWait::Hold });
}

#[test]
fn properties_keep_the_text_that_is_written() {
    let text = |value: &str| {
        format!(
            "components:\n  - name: ztf\n    type: pipeline\n    survey: ztf\n    source:\n      kafka:\n        brokers: a:1\n        \
             topics: [t]\n        properties:\n          some.password: {value}\n"
        )
    };
    for (written, wanted) in [
        ("0123", "0123"),
        ("12345678901234567890123456789012345678901234567890", "12345678901234567890123456789012345678901234567890"),
        ("1.50", "1.50"),
        ("yes", "yes"),
        ("true", "true"),
        ("\"a: b\"", "a: b"),
        ("{ env: USER_X }", "value of USER_X"),
        ("{ file: credentials/kafka-password }", "hunter2"),
    ] {
        let settings = load_good(&text(written));
        let Source::Kafka(kafka) = &settings.components[0].source else { panic!() };
        assert_eq!(kafka.properties["some.password"], wanted, "{written}");
    }
    let folder = folder();
    assert!(check_in(folder.path(), &text("{ env: UNSET }")).is_err());
    assert!(check_in(folder.path(), &text("{ env: A, file: B }")).is_err());
    assert!(check_in(folder.path(), &text("{}")).is_err());
}

#[test]
fn files_are_looked_for_beside_the_file_then_in_the_working_directory() {
    let (beside, working) = (folder(), folder());
    let text = minimal("    steps: [{ crossmatch: { catalog: catalogs/sample.csv, radius: 1 arcsec } }]\n");
    let around = Surroundings { folder: working.path().to_owned(), system: PathBuf::new(), variable: |_| None };
    let found = |file: &Path| {
        let settings = check(&text, file, &around).unwrap();
        let StepKind::Crossmatch { catalogs } = settings.components[0].steps[0].kind.clone() else { panic!() };
        catalogs[0].path.clone()
    };
    assert_eq!(found(&beside.path().join("x.yaml")), beside.path().join("catalogs/sample.csv"));
    assert_eq!(found(&beside.path().join("deep/x.yaml")), working.path().join("catalogs/sample.csv"));
    assert_eq!(found(Path::new("conf/x.yaml")), working.path().join("catalogs/sample.csv"));
}

#[test]
fn a_profile_beside_the_file_wins_over_the_system_and_the_built_in() {
    let folder = folder();
    let name = || check_in(folder.path(), &minimal("")).unwrap().components[0].survey.object_id[0].to_string();
    let put = |path: &str, object: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = "name: ztf\nalert_id: a\nra: ra\ndec: dec\ntime: t\ntime_scale: mjd\nobject_id: ";
        std::fs::write(path, format!("{text}{object}\n")).unwrap();
    };
    assert_eq!(name(), "objectId");
    put("etc/surveys/ztf.yaml", "system");
    assert_eq!(name(), "system");
    put("surveys/ztf.yaml", "beside");
    assert_eq!(name(), "beside");
}

#[test]
fn built_in_profiles_name_fields_that_are_in_their_schemas() {
    let ztf = builtin("ztf").unwrap();
    let schema: Value = serde_json::from_str(ztf.schemas.last().unwrap()).unwrap();
    let has = |path: &FieldPath| {
        let mut at = &schema;
        for name in &path.0 {
            let fields = match &at["fields"] {
                Value::Null => &at["type"][1]["fields"],
                fields => fields,
            };
            // A type that was defined before is written by its name.
            let Some(fields) = fields.as_array() else { return at["type"][1] == "ztf.alert.cutout" && name == "stampData" };
            let Some(found) = fields.iter().find(|field| field["name"] == name.as_str()) else { return false };
            at = if found["type"].is_object() { &found["type"] } else { found };
        }
        true
    };
    let Survey { alert_id, object_id, ra, dec, time, magnitude, history, cutouts, solar_system, .. } = &*ztf;
    for path in [alert_id, object_id, ra, dec, time, magnitude, history, cutouts, solar_system].into_iter().flatten() {
        assert!(has(path), "{path}");
    }
    assert!(!has(&FieldPath(vec!["candidate".to_owned(), "nothing".to_owned()])));
    assert_eq!(builtin("lsst").unwrap().time_scale, TimeScale::MjdTai);
    assert!(builtin("nothing").is_err());
}

#[test]
fn problems_of_conditions_are_shown_where_they_are_written() {
    let folder = folder();
    let text = minimal(
        "    steps:\n      - cut: { where: \"candidate.rbb >= 0.55\" }\n      - cut: { where: candidate.nbad = none }\n      \
         - cut: { where: \"a\\tb\" }\n    publish:\n      - { topic: x, files: o, where: 'matchs > 0' }\n",
    );
    let settings = check_in(folder.path(), &text).unwrap();
    let shown = |spot, offset| {
        let error = settings.problem_at(spot, "unknown field", "", offset);
        let span = error.problems[0].span.unwrap();
        text[span.offset..span.offset + span.len].to_owned()
    };
    assert_eq!(shown(Spot::Step(0, 0), 0), "candidate.rbb");
    assert_eq!(shown(Spot::Step(0, 0), 14), ">");
    assert_eq!(shown(Spot::Step(0, 1), 17), "none");
    assert_eq!(shown(Spot::Step(0, 2), 2), "\"a\\tb\"");
    assert_eq!(shown(Spot::Publish(0, 0), 0), "matchs");
    let error = settings.problem_at(Spot::Publish(0, 0), "unknown field `matchs`", "did you mean `matches`?", 0).to_string();
    let (file, line) = (folder.path().join("skysluice.yaml"), "      - { topic: x, files: o, where: 'matchs > 0' }");
    let wanted = format!(
        "  x unknown field `matchs`\n    ,-[{}:11:39]\n 11 | {line}\n    : {}^^^^^^\n    `----\n  help: did you mean `matches`?\n",
        file.display(),
        " ".repeat(38)
    );
    assert_eq!(error, wanted);
    let bare = Settings { components: settings.components.clone(), ..Settings::default() };
    let error = bare.problem_at(Spot::Publish(0, 0), "unknown field `matchs`", "did you mean `matches`?", 0).to_string();
    assert!(error.contains("unknown field `matchs` (in `matchs > 0`)"), "{error}");
}
