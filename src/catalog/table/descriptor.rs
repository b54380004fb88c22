//! A catalogue described in a file of its own: where it is from, how its table is read, what of it is kept. Written as YAML and
//! read as the configuration is, so that what is wrong is shown with file, line and column.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Dialect, Frame, IdColumn, PositionColumns, Positions, Rejects, Table, TableError, Unit};
use crate::config::{At, ConfigError, Problem, Shown, parse_yaml};

/// What is said about a catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Descriptor {
    /// How it is called in annotations: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Its title, for people.
    pub title: Option<String>,
    /// Which edition it is.
    pub version: Option<String>,
    /// Where it can be fetched or read about.
    pub url: Option<String>,
    /// What may be done with it.
    pub licence: Option<String>,
    /// How to cite it.
    pub citation: Option<String>,
    /// The file or folder, from the folder of the descriptor; who uses the descriptor may name another.
    pub path: Option<PathBuf>,
    /// How its file is read.
    pub dialect: Dialect,
    /// Its columns.
    pub columns: PositionColumns,
    /// What else of it is kept.
    pub carry: Vec<Carried>,
    /// What becomes of its bad rows.
    pub rejects: Rejects,
}

/// A column, or several of a pattern, that matches bring along.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "RawCarried")]
pub struct Carried {
    /// Its name; `*` and `?` stand for any signs, and for any sign.
    pub column: String,
    /// Its new name.
    pub rename: Option<String>,
    /// Its unit, where the file gives none or a wrong one.
    pub unit: Option<String>,
}

impl Carried {
    /// Whether it stands for all columns of a pattern.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.column.contains(['*', '?'])
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawCarried {
    Name(String),
    Full(FullCarried),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FullCarried {
    column: String,
    #[serde(rename = "as")]
    rename: Option<String>,
    unit: Option<String>,
}

impl From<RawCarried> for Carried {
    fn from(raw: RawCarried) -> Carried {
        match raw {
            RawCarried::Name(column) => Carried { column, rename: None, unit: None },
            RawCarried::Full(FullCarried { column, rename, unit }) => Carried { column, rename, unit },
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: At<String>,
    title: Option<String>,
    version: Option<String>,
    url: Option<String>,
    licence: Option<String>,
    citation: Option<String>,
    path: Option<PathBuf>,
    #[serde(default)]
    dialect: Dialect,
    #[serde(default)]
    columns: DescriptorColumns,
    #[serde(default)]
    carry: Vec<At<Carried>>,
    #[serde(default)]
    rejects: Rejects,
}

/// The columns as a descriptor writes them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DescriptorColumns {
    /// The column of ids, or `$row`: the number of the row.
    pub id: Option<String>,
    /// Right ascension, or galactic longitude.
    pub ra: Option<String>,
    /// Declination, or galactic latitude.
    pub dec: Option<String>,
    /// `icrs`, `fk5` or `galactic`.
    pub frame: Option<Frame>,
    /// `deg`, `hours` or `rad`.
    pub unit: Option<Unit>,
    /// Julian years.
    pub epoch: Option<At<f64>>,
    /// Proper motion in right ascension.
    pub pm_ra: Option<String>,
    /// Proper motion in declination.
    pub pm_dec: Option<String>,
    /// Their unit.
    pub pm_unit: Option<String>,
    /// The proper motion in right ascension lacks the cosine of declination.
    pub pm_ra_is_angle: bool,
    /// A radius of each source's own.
    pub radius: Option<String>,
    /// Its unit: `mas`, `arcsec`, `arcmin`, `deg`, `rad`.
    pub radius_unit: Option<String>,
}

/// The word for "the number of the row".
const ROW: &str = "$row";

/// Whether a sign can be in a name.
fn named(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

/// What a name can be.
const NAME_HELP: &str = "write letters, digits, `-`, `_` and `.`, such as `gaia-dr3`";

impl Descriptor {
    /// Reads a descriptor.
    ///
    /// # Errors
    /// When it cannot be read, or is wrong: with file, line and column.
    pub fn load(path: &Path) -> Result<Descriptor, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            let help = "a description of a catalogue is a file of YAML";
            ConfigError::new(vec![Problem::of_file(path, format!("cannot read {}: {e}", path.display()), help)])
        })?;
        Descriptor::parse(&text, path)
    }

    /// As [`Descriptor::load`], of a text as if it were in the file `path`.
    ///
    /// # Errors
    /// As [`Descriptor::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Descriptor, ConfigError> {
        let shown = Shown::new(path, text);
        let raw: Raw = parse_yaml(text, &shown).map_err(|mut problem| {
            if problem.help.contains("config reference") {
                problem.help = "catalogs/README.md describes it".to_owned();
            }
            ConfigError::new(vec![problem])
        })?;
        let mut problems = Vec::new();
        let name = &raw.name.value;
        if !Descriptor::is_name(name) {
            problems.push(shown.problem(raw.name.place, format!("`{name}` cannot be the name of a catalogue"), NAME_HELP));
        }
        if let Some(epoch) = &raw.columns.epoch
            && !(1800.0..2200.0).contains(&epoch.value)
        {
            let message = format!("{} is no epoch", epoch.value);
            problems.push(shown.problem(epoch.place, message, "write Julian years, such as 2016.0"));
        }
        for carried in &raw.carry {
            let Carried { column, rename, unit } = &carried.value;
            if carried.value.is_pattern() && (rename.is_some() || unit.is_some()) {
                let message = format!("`{column}` stands for several columns, which cannot have one name or unit");
                problems.push(shown.problem(carried.place, message, "give `as` and `unit` to columns one by one"));
            }
        }
        if !problems.is_empty() {
            return Err(ConfigError::new(problems));
        }
        let columns = raw.columns;
        Ok(Descriptor {
            name: raw.name.value,
            title: raw.title,
            version: raw.version,
            url: raw.url,
            licence: raw.licence,
            citation: raw.citation,
            path: raw.path.map(|file| path.parent().unwrap_or(Path::new("")).join(file)),
            dialect: raw.dialect,
            columns: PositionColumns {
                id: match columns.id {
                    None => IdColumn::Find,
                    Some(row) if row == ROW => IdColumn::Row,
                    Some(name) => IdColumn::Named(name),
                },
                ra: columns.ra,
                dec: columns.dec,
                frame: columns.frame,
                unit: columns.unit,
                epoch: columns.epoch.map(|epoch| epoch.value),
                pm_ra: columns.pm_ra,
                pm_dec: columns.pm_dec,
                pm_unit: columns.pm_unit,
                pm_ra_is_angle: columns.pm_ra_is_angle,
                radius: columns.radius,
                radius_unit: columns.radius_unit,
            },
            carry: raw.carry.into_iter().map(|carried| carried.value).collect(),
            rejects: raw.rejects,
        })
    }

    /// The description of a table without one: named after its file, columns found by their names, bad rows refused.
    #[must_use]
    pub fn plain(path: &Path) -> Descriptor {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let stem = file.strip_suffix(".gz").unwrap_or(&file);
        let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
        let name: String = stem.chars().map(|c| if named(c) { c } else { '-' }).collect();
        let name = name.trim_matches('-');
        Descriptor {
            name: if name.is_empty() { "catalogue".to_owned() } else { name.to_owned() },
            title: None,
            version: None,
            url: None,
            licence: None,
            citation: None,
            path: Some(path.to_owned()),
            dialect: Dialect::default(),
            columns: PositionColumns::default(),
            carry: Vec::new(),
            rejects: Rejects::Strict,
        }
    }

    /// Whether a file is a description, by its ending.
    #[must_use]
    pub fn is_file(path: &Path) -> bool {
        path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("yaml") || ending.eq_ignore_ascii_case("yml"))
    }

    /// Whether a text can be the name of a catalogue: letters, digits, `-`, `_` and `.`.
    #[must_use]
    pub fn is_name(text: &str) -> bool {
        !text.is_empty() && text.chars().all(named)
    }

    /// Opens its table in a file or folder, and begins to read the positions.
    ///
    /// # Errors
    /// As [`Table::open`] and [`Positions::new`].
    pub fn positions(&self, path: &Path) -> Result<(Table, Positions), TableError> {
        let table = Table::open(path, &self.dialect)?;
        let positions = Positions::new(&table, &self.columns, &self.carry, self.rejects, Table::BLOCK_ROWS)?;
        Ok((table, positions))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Result<Descriptor, String> {
        Descriptor::parse(text, Path::new("catalogs/x.yaml")).map_err(|e| e.to_string())
    }

    #[test]
    fn a_description_is_read_as_it_is_meant() {
        let text = "name: x-1.0\npath: data/x.csv\ndialect: { delimiter: bar, header: none, names: [a, b, c], nulls: [\"-99\"], types: { a: text } }\n\
                    columns: { id: $row, ra: b, dec: c, frame: galactic, unit: hours, epoch: 2015.5 }\n\
                    carry: [a, \"m*\", { column: b, as: lon, unit: h }]\nrejects: count\n";
        let got = parse(text).unwrap();
        assert_eq!((got.name.as_str(), got.path.as_deref()), ("x-1.0", Some(Path::new("catalogs/data/x.csv"))));
        assert_eq!((got.columns.id, got.columns.frame, got.columns.epoch), (IdColumn::Row, Some(Frame::Galactic), Some(2015.5)));
        assert_eq!(got.carry.len(), 3);
        assert_eq!((got.carry[2].rename.as_deref(), got.carry[1].is_pattern()), (Some("lon"), true));
        assert_eq!((got.rejects, got.dialect.nulls), (Rejects::Count, Some(vec!["-99".to_owned()])));
    }

    #[test]
    fn what_is_wrong_is_shown_with_its_line() {
        for (text, expected) in [
            ("name: x\nrejcts: count\n", &["x.yaml:2:1", "unknown key `rejcts`", "did you mean `rejects`?"][..]),
            ("name: x\nrejects: some\n", &["x.yaml:2:10", "`some` is not known here", "`strict`"]),
            ("name: a b\n", &["x.yaml:1:7", "`a b` cannot be the name of a catalogue"]),
            ("title: x\n", &["the key `name` is missing", "catalogs/README.md"]),
            ("name: x\ncolumns:\n  epoch: 16\n", &["x.yaml:3:10", "16 is no epoch", "Julian years"]),
            ("name: x\ncolumns:\n  frame: fk4\n", &["x.yaml:3:10", "`fk4` is not known here"]),
            ("name: x\ncarry:\n- { column: \"m*\", as: m }\n", &["x.yaml:3", "stands for several columns"]),
            ("name: x\ndialect:\n  delimiter: abc\n", &["x.yaml:3", "`abc` cannot stand between cells"]),
            ("name: x\ndialect:\n  delimeter: bar\n", &["x.yaml:3:3", "did you mean `delimiter`?"]),
        ] {
            let error = parse(text).unwrap_err();
            for part in expected {
                assert!(error.contains(part), "{error}\nlacks {part}");
            }
        }
    }
}
