//! The schemas that packets can be written with. LSST's are those of `conf/schemas`; ZTF's other versions are derived from 4.01 by
//! editing its JSON, as far as they differ.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::config::SimulatorError;

/// ZTF's 4.01, as it is embedded: names and types only, with an indentation of one, which makes it about as long as the real one.
const ZTF: &str = include_str!("ztf.avsc").trim_ascii_end();
/// LSST's 9.0.
const LSST_900: &str = include_str!("../../../conf/schemas/lsst/900.avsc").trim_ascii_end();
/// LSST's 11.0.
const LSST_1100: &str = include_str!("../../../conf/schemas/lsst/1100.avsc").trim_ascii_end();

/// A survey's packet in one version of its schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PacketSchema {
    /// ZTF 3.3, as sent until 2023: no forced photometry, and every union has its value before its null.
    Ztf33,
    /// ZTF 4.01.
    #[default]
    Ztf401,
    /// 4.01 and one new optional field at the end of the candidate, `exptimeref`: a stand-in for ZTF 4.02.
    Ztf402,
    /// LSST 9.0.
    Lsst900,
    /// LSST 11.0.
    Lsst1100,
}

impl PacketSchema {
    /// All of them, the one that is meant when only the survey is said first.
    pub const ALL: [Self; 5] = [Self::Ztf401, Self::Ztf33, Self::Ztf402, Self::Lsst1100, Self::Lsst900];

    /// The schema of a survey (`ztf`, `lsst`) in a version such as `4.01`.
    ///
    /// # Errors
    ///
    /// When there is none; the error names those that there are.
    pub fn find(survey: &str, version: Option<&str>) -> Result<Self, SimulatorError> {
        let fits = |schema: &Self| schema.survey() == survey && version.is_none_or(|version| schema.version() == version);
        Self::ALL.into_iter().find(fits).ok_or_else(|| SimulatorError::Schema {
            wanted: version.map_or_else(|| survey.to_owned(), |version| format!("{survey} {version}")),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }

    /// `ztf` or `lsst`.
    #[must_use]
    pub fn survey(self) -> &'static str {
        if self.is_lsst() { "lsst" } else { "ztf" }
    }

    /// The version, as the survey writes it.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::Ztf33 => "3.3",
            Self::Ztf401 => "4.01",
            Self::Ztf402 => "4.02",
            Self::Lsst900 => "9.0",
            Self::Lsst1100 => "11.0",
        }
    }

    /// Survey and version.
    #[must_use]
    pub fn name(self) -> String {
        format!("{} {}", self.survey(), self.version())
    }

    /// The id in the frame of LSST's messages.
    #[must_use]
    pub fn id(self) -> Option<u32> {
        match self {
            Self::Lsst900 => Some(900),
            Self::Lsst1100 => Some(1100),
            Self::Ztf33 | Self::Ztf401 | Self::Ztf402 => None,
        }
    }

    /// Name of the field that holds the alert's id.
    #[must_use]
    pub fn id_field(self) -> &'static str {
        if self.is_lsst() { "diaSourceId" } else { "candid" }
    }

    /// The schema as JSON text.
    #[must_use]
    pub fn text(self) -> Cow<'static, str> {
        match self {
            Self::Ztf401 => ZTF.into(),
            Self::Ztf33 => edited(older).into(),
            Self::Ztf402 => edited(newer).into(),
            Self::Lsst900 => LSST_900.into(),
            Self::Lsst1100 => LSST_1100.into(),
        }
    }

    pub(crate) fn is_lsst(self) -> bool {
        matches!(self, Self::Lsst900 | Self::Lsst1100)
    }
}

/// ZTF's 4.01 after `edit`, laid out in the same way.
fn edited(edit: fn(&mut Value)) -> String {
    let mut schema: Value = serde_json::from_str(ZTF).expect("ztf.avsc is JSON");
    edit(&mut schema);
    let text = serde_json::to_string_pretty(&schema).expect("texts as keys are always JSON");
    // The indentation of two halved.
    let lines = text.lines().map(|line| &line[(line.len() - line.trim_ascii_start().len()) / 2..]);
    lines.collect::<Vec<_>>().join("\n")
}

/// 4.01 to 3.3.
fn older(schema: &mut Value) {
    if let Some(fields) = schema["fields"].as_array_mut() {
        fields.retain(|field| field["name"] != "fp_hists");
    }
    value_first(schema);
    version(schema, "3.3");
}

/// 4.01 to our 4.02.
fn newer(schema: &mut Value) {
    let candidate =
        schema["fields"].as_array_mut().and_then(|fields| fields.iter_mut().find(|field| field["name"] == "candidate"));
    if let Some(fields) = candidate.and_then(|candidate| candidate["type"]["fields"].as_array_mut()) {
        fields.push(json!({ "name": "exptimeref", "type": ["null", "float"], "default": null }));
    }
    version(schema, "4.02");
}

/// Turns every union round. A default belongs to the first branch, so the null ones go.
fn value_first(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(value_first),
        Value::Object(object) => {
            if let Some(Value::Array(branches)) = object.get_mut("type") {
                branches.reverse();
            }
            object.retain(|key, value| key != "default" || !value.is_null());
            object.values_mut().for_each(value_first);
        }
        _ => {}
    }
}

/// Sets the version wherever it is said.
fn version(value: &mut Value, to: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| version(item, to)),
        Value::Object(object) => {
            if let Some(version) = object.get_mut("version") {
                *version = to.into();
            }
            object.values_mut().for_each(|value| version(value, to));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_survey_without_a_version_is_the_one_that_is_sent_today() {
        assert_eq!(PacketSchema::find("ztf", None).unwrap(), PacketSchema::default());
        assert_eq!(PacketSchema::find("lsst", None).unwrap(), PacketSchema::Lsst1100);
        assert_eq!(PacketSchema::find("ztf", Some("3.3")).unwrap(), PacketSchema::Ztf33);
        let error = PacketSchema::find("ztf", Some("9.0")).unwrap_err().to_string();
        assert!(error.contains("ztf 9.0") && error.contains("ztf 4.01, ztf 3.3"), "{error}");
    }

    #[test]
    fn older_and_newer_schemas_differ_where_they_should() {
        let [older, newer] = [PacketSchema::Ztf33, PacketSchema::Ztf402].map(|schema| schema.text());
        assert!(!older.contains("fp_hist") && !older.contains("\"default\": null") && !older.contains("4.01"));
        assert!(older.contains("\"version\": \"3.3\"") && newer.contains("\"version\": \"4.02\""));
        assert_eq!(newer.matches("exptimeref").count(), 1);
        // The layout is the one of the file, so that only what was edited differs.
        assert_eq!(edited(|_| ()), ZTF);
    }
}
