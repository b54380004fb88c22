//! Steps as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::at::At;
use crate::config::checked;
use crate::config::units::Angle;

/// One step.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Lets only the alerts pass for which a condition is true.
    Cut(Cut),
    /// Matches positions against catalogues and adds the matches as annotations.
    Crossmatch(Crossmatch),
    /// Names the class of an alert by an ordered table of conditions.
    Classify(Classify),
    /// Looks for the entries of lists that an alert is near to, and adds them as annotations.
    Watchlist(Watchlist),
    /// Lets only the alerts pass that lie in some regions of the sky, or outside of some.
    Region(Region),
}

/// Lets only the alerts pass for which a condition is true.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// SQL expression over the fields of the alert by their path, and over annotations: `candidate.rb >= 0.55 AND
    /// candidate.nbad = 0`. What is null or NaN does not pass.
    #[serde(rename = "where")]
    pub condition: At<String>,
    /// Name in counters and in the archive's reason. Default: `cut-1`, `cut-2`, ... in their order.
    pub name: Option<At<String>>,
}

/// Matches positions against one catalogue (`catalog`) or several (`catalogs`). Annotations: `matches`, the number of all matches;
/// `crossmatches`, a list with `candid`, `candra`, `canddec`, `catalogid`, `sourceid`, `sourcera`, `sourcedec`, `distance` (arcsec)
/// and the columns that are carried; and `catalogs.ID` for each catalogue: `matches` (null: not tried, 0: none), `covered` (false: the
/// catalogue has not looked there; null: not known), `capped` (there were more than `limit`), and of the nearest match `distance`
/// and the columns.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crossmatch {
    /// The one catalogue: an index made by `skysluice catalog build`, a table (CSV, FITS, VOTable, Parquet) or the description of
    /// one (YAML). A changed file is taken up while the stream runs.
    pub catalog: Option<At<String>>,
    /// Several catalogues.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub catalogs: Vec<At<Matched>>,
    /// Sources up to this separation match: above 0, up to 30 deg; or `own`: each source has a radius of its own in the
    /// catalogue, `2.5 own`: so many times that. With `catalogs` it is that of all which give none.
    pub radius: Option<At<Angle>>,
    /// Name of the one catalogue in annotations. Default: that of the index or description, or of the file without its ending.
    pub id: Option<At<String>>,
    /// Only this many nearest sources match, 1 to 10000. Default: all within the radius.
    pub nearest: Option<At<u32>>,
    /// Matches of an alert with one catalogue that are listed at most, nearest first, 1 to 10000; where there are more, `capped` is
    /// true. The default is more than a good radius finds.
    #[schemars(extend("default" = checked::Matched::LIMIT))]
    pub limit: Option<At<u32>>,
    /// Columns of the catalogue that matches bring along: names, with `*` and `?`. Default: all that an index or a description
    /// carries, none of a table.
    pub columns: Option<Vec<At<String>>>,
    /// SQL expression over columns of the catalogue: only sources for which it is true match. Default: all.
    #[serde(rename = "where")]
    pub condition: Option<At<String>>,
    /// What the search runs on. The default takes a k-d tree in memory for tables up to 100,000 sources, and an index for others,
    /// made once in `service.data`.
    #[schemars(extend("default" = "auto"))]
    pub engine: Option<At<Engine>>,
    /// Name in counters. Default: `crossmatch-1`, `crossmatch-2`, ... in their order.
    pub name: Option<At<String>>,
}

/// One of several catalogues. What it does not give is that of the step.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Matched {
    /// Index, table or description.
    pub catalog: At<String>,
    /// Name in annotations.
    pub id: Option<At<String>>,
    /// Radius, `own`, or so many times `own`.
    pub radius: Option<At<Angle>>,
    /// Only this many nearest sources match.
    pub nearest: Option<At<u32>>,
    /// Matches that are listed at most.
    pub limit: Option<At<u32>>,
    /// Columns that matches bring along.
    pub columns: Option<Vec<At<String>>>,
    /// SQL expression over columns of the catalogue.
    #[serde(rename = "where")]
    pub condition: Option<At<String>>,
    /// What the search runs on.
    pub engine: Option<At<Engine>>,
}

/// Names the class of an alert: that of the first condition which is true. An alert that no catalogue was asked about (no valid
/// position) and for which no condition is true has none: its class is null.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Classify {
    /// The classes in their order.
    pub classes: Vec<At<Class>>,
    /// Class of the alerts for which no condition is true.
    #[schemars(extend("default" = checked::OTHERWISE))]
    pub otherwise: Option<At<String>>,
    /// Name of the annotation: letters, digits and `_`.
    #[schemars(extend("default" = checked::CLASS))]
    pub column: Option<At<String>>,
    /// Name in counters. Default: `classify-1`, `classify-2`, ... in their order.
    pub name: Option<At<String>>,
}

/// A class and when an alert is of it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Its name.
    pub class: At<String>,
    /// SQL expression over fields of the alert and annotations of the steps before: `catalogs.gaia.distance < 1`.
    #[serde(rename = "where")]
    pub condition: At<String>,
}

/// Looks for the entries of lists that an alert is near to: as near as the radius of each entry says. Annotations: `watched`, the
/// number of hits (null: not tried), and `watchlists`, a list with `listid`, `sourceid`, `sourcera`, `sourcedec`, `distance` and
/// `radius` (arcsec). A changed list is taken up while the stream runs; when it is wrong, the one before stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Watchlist {
    /// The lists.
    pub lists: Vec<At<WatchedList>>,
    /// Whether only alerts with a hit pass.
    #[schemars(extend("default" = false))]
    pub require: Option<At<bool>>,
    /// Name in counters. Default: `watchlist-1`, `watchlist-2`, ... in their order.
    pub name: Option<At<String>>,
}

/// A list.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchedList {
    /// A table with columns for id, position and radius, the description of one, or an index with radii.
    pub list: At<String>,
    /// Name of the list in annotations. Default: that of the file without its ending.
    pub id: Option<At<String>>,
    /// One radius for all entries, above 0, up to 30 deg. Default: that of each, in the column `radius` (arcsec where it gives no
    /// other unit).
    pub radius: Option<At<Angle>>,
}

/// Lets only the alerts pass that lie in one of some regions, or in none of them. Boundaries belong to regions. An alert without a
/// valid position lies in no region.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// The regions; together they are one.
    pub regions: Vec<At<Shape>>,
    /// Which alerts pass.
    #[schemars(extend("default" = "inside"))]
    pub pass: Option<At<Side>>,
    /// Name in counters and in the archive's reason. Default: `region-1`, `region-2`, ... in their order.
    pub name: Option<At<String>>,
}

/// Which alerts pass.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Those that lie in one of the regions.
    #[default]
    Inside,
    /// Those that lie in none of them.
    Outside,
}

/// A region of the sky. Positions are ICRS, decimal degrees.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// All within a radius of a centre.
    Circle(Circle),
    /// What arcs of great circles between vertices enclose.
    Polygon(Polygon),
    /// Between two meridians and two parallels.
    Box(SkyBox),
    /// A coverage map in a file.
    Moc(Moc),
}

/// What arcs of great circles between vertices enclose.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Polygon {
    /// Three or more vertices, each `[ra, dec]` in degrees. Inside is the smaller part of the sphere, in whatever order they are.
    pub vertices: Vec<(f64, f64)>,
}

/// A coverage map in a file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Moc {
    /// File of a MOC as FITS, text or JSON.
    pub file: At<String>,
}

/// All within a radius of a centre.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Circle {
    /// Right ascension of the centre, degrees.
    pub ra: f64,
    /// Declination of the centre, degrees.
    pub dec: f64,
    /// Radius, up to 180 deg.
    pub radius: At<Angle>,
}

/// Between two meridians and two parallels.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SkyBox {
    /// From the first right ascension eastward to the second, degrees; `[0, 360]` is all around.
    pub ra: (f64, f64),
    /// From the lower declination to the upper one, degrees.
    pub dec: (f64, f64),
}

/// What a search runs on.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Zones for an index and for large tables, a tree for small ones.
    #[default]
    Auto,
    /// A mapped file, sorted by zones of declination.
    Zones,
    /// A k-d tree in memory.
    KdTree,
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Engine::Auto => "auto",
            Engine::Zones => "zones",
            Engine::KdTree => "kdtree",
        })
    }
}
