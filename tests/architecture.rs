//! Holds the rules of ARCHITECTURE.md that a compiler does not: who may name whom, what pure modules leave alone, how long files
//! are and how they begin.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const LONGEST: usize = 500;

/// What makes and moves alerts one after the other. They meet only in `pipeline.rs`.
const STAGES: [&str; 5] = ["source", "decode", "process", "archive", "publish"];

/// Modules that compute: no clock, no I/O, nothing of how the program is run.
const PURE: [&str; 7] = ["alert", "avro", "sky", "catalog", "filter", "inspect", "ledger"];

/// Above the stages.
const HOUSE: [&str; 4] = ["actor", "pipeline", "cli", "admin"];

/// A crate that belongs to some modules alone, and those modules.
const RESERVED: [(&str, &[&str]); 6] = [
    ("rdkafka", &["source", "publish", "mirror"]),
    ("parquet", &["archive", "catalog"]),
    ("ureq", &["registry"]),
    ("actix", &["actor", "pipeline"]),
    ("actix_rt", &["actor", "pipeline"]),
    ("clap", &["cli", "main"]),
];

/// What a pure module may not name, and the files where it may, with the reason.
const IMPURE: [(&str, &[&str]); 8] = [
    // The book is pure; the handle around it waits for sinks, at most for a given time.
    ("Instant::now", &["ledger/handle.rs"]),
    ("SystemTime", &[]),
    // Loading a catalogue reads its file, and so does a region that is a MOC.
    ("std::fs", &["catalog/", "sky/region/file.rs"]),
    ("File::", &["catalog/", "sky/region/file.rs"]),
    ("std::net", &[]),
    ("std::process", &[]),
    ("std::env", &[]),
    ("thread::sleep", &[]),
];

/// What no one writes outside tests.
const FORBIDDEN: [&str; 6] = [".unwrap()", "panic!(", "todo!(", "unimplemented!(", "dbg!(", "allow(unsafe_code"];

/// Where one of these has its place, with the reason: faults are injected there on purpose; a file is mapped there, and its head
/// says why that is sound.
const PERMITTED: [(&str, &str); 2] = [("src/actor/inject.rs", "panic!("), (MAPPED, "allow(unsafe_code")];

/// The only file with unsafe code.
const MAPPED: &str = "src/catalog/zones/map.rs";

/// A source file, as far as the rules care.
struct Source {
    /// Path below `src/`, such as `alert/batch.rs`.
    path: String,
    /// Top module: `alert`, `pipeline`, `main`.
    module: String,
    text: String,
    /// Lines of code outside tests with their numbers, without comments and the content of strings.
    code: Vec<(usize, String)>,
}

impl Source {
    fn new(path: String, text: String) -> Source {
        let module = path.split(['/', '.']).next().unwrap().to_owned();
        let code = code(&text);
        Source { path, module, text, code }
    }

    /// Beginnings of the paths of modules that are there for tests alone: `#[cfg(test)] mod NAME;`.
    fn testing(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs");
        let whole =
            ["mod", "lib", "main"].iter().find_map(|end| stem.strip_suffix(end)).filter(|s| s.is_empty() || s.ends_with('/'));
        let folder = whole.map_or_else(|| format!("{stem}/"), str::to_owned);
        let mut found = Vec::new();
        for after in self.text.split("#[cfg(test)]\n").skip(1) {
            let mut lines = after.lines();
            let line = lines.next().unwrap_or_default();
            if let Some(file) = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
                let beside = self.path.rfind('/').map_or("", |at| &self.path[..=at]);
                found.push(format!("{beside}{file}"));
            } else if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
                found.extend([format!("{folder}{name}.rs"), format!("{folder}{name}/")]);
            }
        }
        found
    }

    /// Top modules of this crate that the code names.
    fn names(&self) -> BTreeSet<String> {
        let whole = self.code.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n");
        named(&whole).into_iter().filter(|m| *m != self.module).collect()
    }

    /// Lines that use the crate `name`.
    fn uses(&self, name: &str) -> Vec<usize> {
        let uses = |line: &str| {
            line.match_indices(name).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                let after = &line[at + name.len()..];
                let foreign = before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '.');
                let started = line[..at].ends_with(" ::") || line[..at].ends_with("(::");
                (foreign || started)
                    && (after.starts_with("::") || (line.trim_start().starts_with("use ") && after.starts_with(';')))
            })
        };
        self.code.iter().filter(|(_, line)| uses(line)).map(|(n, _)| *n).collect()
    }
}

/// Lines outside `#[cfg(test)]` modules, comments and strings taken out.
fn code(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut test = false;
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("#[cfg(test)]") {
            test = true;
        } else if test && (line == "}" || line.ends_with(';') && !line.starts_with(' ')) {
            test = false;
            continue;
        }
        if !test {
            lines.push((number + 1, bare(line)));
        }
    }
    lines
}

/// A line without its comment and without what stands in its strings.
fn bare(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars().peekable();
    let mut text = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if text => drop(chars.next()),
            '"' if out.ends_with('\'') && chars.peek() == Some(&'\'') => out.push(c),
            '"' => {
                text = !text;
                out.push(c);
            }
            '/' if !text && chars.peek() == Some(&'/') => break,
            _ if text => {}
            _ => out.push(c),
        }
    }
    out
}

/// What follows `crate::` in code: `crate::a::b` and `use crate::{a::b, c}`.
fn named(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].chars().next_back().is_some_and(|c| c == '$' || c == '_' || c.is_alphanumeric()) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if !rest.starts_with('{') {
            found.insert(word(rest));
            continue;
        }
        let mut depth = 0;
        for (i, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 1 && (c == ',' || c == '{') {
                found.insert(word(&rest[i + 1..]));
            }
            if depth == 0 {
                break;
            }
        }
    }
    found.remove("");
    found
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().unwrap() != "target" {
            files(&path, found);
        } else if path.extension().is_some_and(|x| x == "rs") {
            found.push(path);
        }
    }
}

fn below(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    files(&root, &mut found);
    found.sort();
    let source = |path: PathBuf| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        Source::new(name, std::fs::read_to_string(&path).unwrap())
    };
    let mut sources: Vec<Source> = found.into_iter().map(source).collect();
    let testing: Vec<String> = sources.iter().flat_map(Source::testing).collect();
    for source in &mut sources {
        if testing.iter().any(|t| source.path.starts_with(t))
            || source.path.split('/').any(|part| matches!(part, "benches" | "tests"))
        {
            source.code.clear();
        }
    }
    sources
}

/// All breaches, told together.
fn none(breaches: &[String]) {
    assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
}

fn breaches_of_layers(sources: &[Source]) -> Vec<String> {
    let mut out = Vec::new();
    for source in sources {
        let (module, path) = (source.module.as_str(), &source.path);
        for other in source.names() {
            let other = other.as_str();
            // Below the stages: they are given it by the pipeline and know it by traits of `alert` alone.
            if module == "registry" && (STAGES.contains(&other) || HOUSE.contains(&other)) {
                out.push(format!("src/{path} names `{other}`: the registry is below the stages"));
            }
            let (stage, pure) = (STAGES.contains(&module), PURE.contains(&module));
            if (stage || pure) && other == "registry" {
                out.push(format!("src/{path} names `registry`: stages know it by the traits of `alert`"));
            }
            if (stage || pure) && STAGES.contains(&other) {
                out.push(format!("src/{path} names the stage `{other}`: stages meet only in pipeline.rs"));
            }
            if (stage || pure) && HOUSE.contains(&other) {
                out.push(format!("src/{path} names `{other}`, which is above it"));
            }
            if pure && other == "config" && module != "catalog" {
                out.push(format!("src/{path} names `config`: pure modules are told what they need"));
            }
        }
        for (name, allowed) in RESERVED {
            if !allowed.contains(&module) {
                out.extend(source.uses(name).iter().map(|n| format!("src/{path}:{n} uses {name}, which only {allowed:?} may")));
            }
        }
    }
    out
}

fn breaches_of_purity(sources: &[Source]) -> Vec<String> {
    let mut out = Vec::new();
    for source in sources.iter().filter(|s| PURE.contains(&s.module.as_str())) {
        for (what, allowed) in IMPURE {
            if allowed.iter().any(|a| source.path.starts_with(a)) {
                continue;
            }
            let lines = source.code.iter().filter(|(_, line)| line.contains(what));
            out.extend(
                lines.map(|(n, _)| format!("src/{}:{n} has {what}: pure modules read no clock and do no I/O", source.path)),
            );
        }
    }
    out
}

/// Whether a line of code has the keyword, not a longer word such as the name of the lint.
fn is_unsafe(line: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices("unsafe").any(|(at, found)| !line[..at].ends_with(word) && !line[at + found.len()..].starts_with(word))
}

fn breaches_of_style(folder: &str, sources: &[Source]) -> Vec<String> {
    let mut out = Vec::new();
    for source in sources {
        let path = format!("{folder}/{}", source.path);
        let lines = source.text.lines().count();
        if lines > LONGEST {
            out.push(format!("{path} has {lines} lines, more than {LONGEST}: split it by concept"));
        }
        if !source.text.starts_with("//!") {
            out.push(format!("{path} does not say at its head what it is for (`//!`)"));
        }
        // Of tests as well, and whatever a lint is told elsewhere.
        if path != MAPPED {
            let lines = source.text.lines().enumerate().filter(|(_, line)| is_unsafe(&bare(line)));
            out.extend(lines.map(|(n, _)| format!("{path}:{} has unsafe code, which only {MAPPED} may", n + 1)));
        }
        if matches!(folder, "tests" | "benches") {
            continue;
        }
        for (n, line) in &source.code {
            let found = FORBIDDEN.iter().filter(|f| line.contains(**f) && !PERMITTED.contains(&(path.as_str(), **f)));
            out.extend(found.map(|f| format!("{path}:{n} has `{f}` outside tests")));
        }
    }
    out
}

#[test]
fn stages_meet_only_in_the_pipeline_and_libraries_stay_where_they_belong() {
    none(&breaches_of_layers(&below("src")));
}

#[test]
fn pure_modules_read_no_clock_and_do_no_io() {
    none(&breaches_of_purity(&below("src")));
}

#[test]
fn files_are_short_say_what_they_are_for_and_do_not_panic() {
    let all = ["src", "fuzz", "loadgen", "tests", "benches"].map(|folder| breaches_of_style(folder, &below(folder)));
    none(&all.concat());
}

/// What the judge shares with what it judges, it can't judge.
#[test]
fn the_load_generator_shares_only_the_simulator_with_the_program() {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("loadgen/Cargo.toml")).unwrap();
    let own = |line: &&str| line.starts_with("skysluice") || line.contains("package = \"skysluice");
    assert_eq!(manifest.lines().filter(own).collect::<Vec<_>>(), ["skysluice-simulator.workspace = true"]);
    let sources = below("loadgen");
    let lines = sources.iter().flat_map(|s| s.uses("skysluice").into_iter().map(move |n| format!("loadgen/{}:{n}", s.path)));
    none(&lines.collect::<Vec<_>>());
    assert_eq!(Source::new("judge/mod.rs".to_owned(), "use skysluice::archive;".to_owned()).uses("skysluice"), [1]);
}

#[test]
fn every_module_is_known_to_these_rules() {
    let known: BTreeSet<&str> = STAGES.iter().chain(&PURE).chain(&HOUSE).copied().collect();
    let others = ["config", "letters", "durable", "hold", "lib", "main", "mirror", "writers", "registry", "state", "sums"];
    let strangers: Vec<String> = below("src")
        .iter()
        .filter(|s| !known.contains(s.module.as_str()) && !others.contains(&s.module.as_str()))
        .map(|s| format!("src/{}: say in tests/architecture.rs what may name it", s.path))
        .collect();
    none(&strangers);
}

#[test]
fn there_is_one_arrow_and_unsafe_code_is_denied() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).unwrap();
    let names: Vec<&str> = lock.lines().filter_map(|l| l.strip_prefix("name = ")).collect();
    for name in ["arrow-array", "arrow-schema", "arrow-buffer", "parquet", "rdkafka", "apache-avro"] {
        let count = names.iter().filter(|n| n.trim_matches('"') == name).count();
        assert_eq!(count, 1, "{name} is in Cargo.lock {count} times");
    }
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""));
}

/// The rules themselves: each of these is a breach, and what is right is none.
#[test]
fn each_rule_finds_its_breach() {
    let source = |path: &str, text: &str| Source::new(path.to_owned(), format!("//! x\n{text}"));
    let layers = |path: &str, text: &str| breaches_of_layers(&[source(path, text)]).len();
    assert_eq!(layers("decode/mod.rs", "use crate::archive::Columns;"), 1);
    assert_eq!(layers("decode/mod.rs", "use crate::{alert::{A, B}, archive::C, avro};"), 1);
    assert_eq!(layers("decode/mod.rs", "fn f() { crate::publish::g() }"), 1);
    assert_eq!(layers("ledger/book.rs", "use crate::actor::Shell;"), 1);
    assert_eq!(layers("filter/mod.rs", "use crate::config::Step;"), 1);
    assert_eq!(layers("process/mod.rs", "use rdkafka::Message;"), 1);
    assert_eq!(layers("decode/mod.rs", "fn f(x: parquet::file::X) {}"), 1);
    assert_eq!(layers("cli/run.rs", "use actix::prelude::*;"), 1);
    assert_eq!(layers("decode/mod.rs", "use ureq::Agent;"), 1);
    assert_eq!(layers("decode/mod.rs", "use crate::registry::Registry;"), 1);
    assert_eq!(layers("registry/mod.rs", "use crate::source::Source;"), 1);
    assert_eq!(layers("registry/client.rs", "use ureq::Agent;\nuse crate::alert::Gate;"), 0);
    assert_eq!(layers("decode/mod.rs", "use crate::{alert::{A, B}, avro, config::Framing};"), 0);
    assert_eq!(layers("decode/mod.rs", "// crate::archive is next\nlet s = \"parquet::x\";"), 0);
    assert_eq!(layers("decode/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::archive::X;\n}"), 0);
    assert_eq!(layers("pipeline.rs", "use crate::{source, archive};\nuse actix::Actor;"), 0);
    assert_eq!(layers("source/kafka/mod.rs", "use rdkafka::Message;"), 0);

    let purity = |path: &str, text: &str| breaches_of_purity(&[source(path, text)]).len();
    assert_eq!(purity("avro/plan.rs", "let t = Instant::now();"), 1);
    assert_eq!(purity("filter/bind.rs", "use std::fs::File;"), 1);
    assert_eq!(purity("catalog/csv.rs", "use std::fs::File;"), 0);
    assert_eq!(purity("source/files.rs", "use std::fs::File;"), 0);

    let tests = |path: &str, text: &str| source(path, text).testing();
    assert_eq!(tests("a/mod.rs", "#[cfg(test)]\nmod naive;"), ["a/naive.rs", "a/naive/"]);
    assert_eq!(tests("a/b.rs", "#[cfg(test)]\nmod tests;\nmod c;"), ["a/b/tests.rs", "a/b/tests/"]);
    assert_eq!(tests("a/b.rs", "#[cfg(test)]\n#[path = \"c.rs\"]\nmod tests;"), ["a/c.rs"]);
    assert_eq!(tests("lib.rs", "mod a;"), [""; 0]);

    let style = |text: &str| breaches_of_style("src", &[Source::new("a.rs".to_owned(), text.to_owned())]).len();
    assert_eq!(style("fn f() {}"), 1);
    assert_eq!(style("//! x\nlet a = b.unwrap();"), 1);
    assert_eq!(style("//! x\nlet a = \".unwrap()\"; // panic!()"), 0);
    assert_eq!(style("//! x\n#[cfg(test)]\nmod tests {\n    fn f() { a.unwrap(); }\n}\nlet a = b.unwrap();"), 1);
    assert_eq!(style(&"//! x\n".repeat(501)), 1);
    assert_eq!(style("//! x\nunsafe { f() }"), 1);
    assert_eq!(style("//! x\n#[cfg(test)]\nmod tests {\n    unsafe fn f() {}\n}"), 1);
    assert_eq!(style("//! x\n// unsafe\nlet unsafety = \"unsafe\";"), 0);
    assert_eq!(style("//! x\n#![allow(unsafe_code)]"), 1);
}
