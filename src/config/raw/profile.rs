//! A survey profile as written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use crate::config::at::At;

/// How a survey names what every survey has. A field is a path, such as `candidate.ra`. Where a list of paths is given, the
/// first that a schema has is used, and for each alert the first that is not null.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Name of the survey.
    pub name: At<String>,
    /// Id of the alert.
    pub alert_id: At<Paths>,
    /// Id of the object.
    pub object_id: At<Paths>,
    /// Right ascension, ICRS, degrees.
    pub ra: At<Paths>,
    /// Declination, ICRS, degrees.
    pub dec: At<Paths>,
    /// Time of observation.
    pub time: At<Paths>,
    /// What the time counts.
    pub time_scale: Clock,
    /// Brightness. Default: none.
    #[serde(default)]
    pub magnitude: Option<At<Paths>>,
    /// What the brightness is.
    #[schemars(extend("default" = "mag"))]
    pub magnitude_unit: Option<Brightness>,
    /// Arrays of earlier detections, upper limits and forced photometry: each of them. Default: none.
    #[serde(default)]
    pub history: Option<At<Paths>>,
    /// Cut-outs, bytes: each of them. Default: none.
    #[serde(default)]
    pub cutouts: Option<At<Paths>>,
    /// Name or id of the solar-system object. Default: none.
    #[serde(default)]
    pub solar_system: Option<At<Paths>>,
    /// Texts that mean "none". Default: none.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub none_texts: Vec<String>,
    /// Numbers that mean "none". Default: none.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub none_numbers: Vec<f64>,
    /// Files of known schemas, oldest first: conditions are checked against the newest before anything starts. Relative to
    /// the folder of the profile. Default: `schema_ids` and those of `decode`, otherwise conditions are checked by the first alert.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub schemas: Vec<At<String>>,
    /// Files of schemas by the ids that they have in the survey's registry, so that `confluent` messages with these ids are
    /// decoded without asking anyone; relative to the folder of the profile. Ids grow with versions: where there are no
    /// `schemas`, these are taken for them. Default: none.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>", extend("default" = {}))]
    pub schema_ids: BTreeMap<u32, At<String>>,
    /// What fields mean: a path, such as `candidate.ra` or, in an array of records, `prv_candidates.jd`, with a `unit` (in the
    /// spelling of VOUnit: `deg`, `mag`, `nJy`), a `doc` (a sentence) or both. Readers of the archive are shown them. A path that
    /// a schema does not have is passed over. Default: none, and readers see names and types alone.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub fields: BTreeMap<String, At<FieldMeaning>>,
}

/// What a field means.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldMeaning {
    /// Unit of its values. Default: none, as for counts, ids and texts.
    #[serde(default)]
    pub unit: Option<String>,
    /// What it is, in a sentence. Default: none.
    #[serde(default)]
    pub doc: Option<String>,
}

/// What a time counts.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// Julian date, UTC.
    Jd,
    /// Modified Julian date, UTC.
    Mjd,
    /// Modified Julian date, TAI.
    MjdTai,
}

/// What a brightness is.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
pub enum Brightness {
    /// Magnitude.
    #[serde(rename = "mag")]
    Mag,
    /// Flux in nanojansky; the magnitude is AB.
    #[serde(rename = "nJy")]
    NanoJansky,
}

/// One path or several.
pub struct Paths(pub Vec<String>);

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl<'de> Visitor<'de> for Value {
            type Value = Paths;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path such as `candidate.ra`, or a list of paths")
            }

            fn visit_str<E: de::Error>(self, path: &str) -> Result<Paths, E> {
                Ok(Paths(vec![path.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Paths, A::Error> {
                let mut paths = Vec::new();
                while let Some(path) = list.next_element()? {
                    paths.push(path);
                }
                Ok(Paths(paths))
            }
        }

        deserializer.deserialize_any(Value)
    }
}

impl JsonSchema for Paths {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Paths".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"], "items": { "type": "string" } })
    }
}
