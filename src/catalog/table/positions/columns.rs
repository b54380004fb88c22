//! Which columns hold ids, positions and motions: those that are named, or those with the usual names and meanings.

use std::path::Path;

use arrow_schema::DataType;

use super::frame::Frame;
use crate::catalog::table::names::{list, plain};
use crate::catalog::table::{Column, Table, TableError};

/// Names of columns, lower case and without what is neither letter nor digit, the likeliest first.
const ID: [&str; 13] = [
    "id",
    "sourceid",
    "name",
    "sourcename",
    "source",
    "objectid",
    "objectname",
    "oid",
    "objid",
    "mainid",
    "designation",
    "identifier",
    "objname",
];
const RA: [&str; 11] = [
    "ra",
    "raj2000",
    "raicrs",
    "radeg",
    "radegrees",
    "radegree",
    "radegj2000",
    "rightascension",
    "alpha",
    "ra2000",
    "raepoch2000",
];
const DEC: [&str; 13] = [
    "dec",
    "dej2000",
    "decj2000",
    "deicrs",
    "decicrs",
    "decdeg",
    "dedeg",
    "decdegrees",
    "declination",
    "delta",
    "decl",
    "dec2000",
    "de",
];
const LON: [&str; 5] = ["glon", "l", "gall", "galacticlongitude", "lii"];
const LAT: [&str; 5] = ["glat", "b", "galb", "galacticlatitude", "bii"];

/// What is looked for, in the words of a message, by name, and by UCD.
struct Role {
    what: &'static str,
    names: &'static [&'static str],
    ucd: &'static str,
    /// As the first UCDs (before 2004) said it.
    old_ucd: &'static str,
}

const ID_ROLE: Role = Role { what: "for the id", names: &ID, ucd: "meta.id", old_ucd: "ID_MAIN" };
const RA_ROLE: Role = Role { what: "for right ascension", names: &RA, ucd: "pos.eq.ra", old_ucd: "POS_EQ_RA_MAIN" };
const DEC_ROLE: Role = Role { what: "for declination", names: &DEC, ucd: "pos.eq.dec", old_ucd: "POS_EQ_DEC_MAIN" };
const LON_ROLE: Role = Role { what: "for galactic longitude", names: &LON, ucd: "pos.galactic.lon", old_ucd: "POS_GAL_LON" };
const LAT_ROLE: Role = Role { what: "for galactic latitude", names: &LAT, ucd: "pos.galactic.lat", old_ucd: "POS_GAL_LAT" };

/// Where ids come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IdColumn {
    /// The column with a usual name.
    #[default]
    Find,
    /// This column.
    Named(String),
    /// There is none: the number of the row in the table, from 1, is the id. It lasts as long as the order of the rows does.
    Row,
}

/// The unit of right ascension (or longitude). Declination is in degrees, or in radians where this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Degrees; sexagesimal texts are degrees, minutes and seconds of arc.
    Deg,
    /// Hours; sexagesimal texts are hours, minutes and seconds of time.
    Hours,
    /// Radians.
    Rad,
}

/// Columns of positions. What is not given is found by usual names, UCDs and what the file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PositionColumns {
    /// The column of ids.
    pub id: IdColumn,
    /// Right ascension, or galactic longitude.
    pub ra: Option<String>,
    /// Declination, or galactic latitude.
    pub dec: Option<String>,
    /// Frame of the positions; what the file says, or ICRS, unless given.
    pub frame: Option<Frame>,
    /// Unit of right ascension. Unless given, that of the column; without any, numbers are degrees, and sexagesimal texts
    /// are hours unless their letters say degrees.
    pub unit: Option<Unit>,
    /// Epoch of the positions, Julian years; what the file says unless given.
    pub epoch: Option<f64>,
    /// Proper motion in right ascension, times the cosine of declination unless `pm_ra_is_angle`. Never looked for.
    pub pm_ra: Option<String>,
    /// Proper motion in declination.
    pub pm_dec: Option<String>,
    /// Unit of proper motions, such as `mas/yr`; that of the columns unless given.
    pub pm_unit: Option<String>,
    /// The proper motion in right ascension is that of the coordinate, without the cosine.
    pub pm_ra_is_angle: bool,
    /// A radius of each source's own: it is found from within. Never looked for.
    pub radius: Option<String>,
    /// Unit of the radii, such as `arcmin`; that of the column unless given, and arcseconds without any.
    pub radius_unit: Option<String>,
}

/// The columns of a table that were decided on: places among its columns.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    /// None: the number of the row.
    pub id: Option<usize>,
    pub ra: usize,
    pub dec: usize,
    pub frame: Frame,
    /// None: as sexagesimal texts say.
    pub unit: Option<Unit>,
    /// Julian years.
    pub epoch: Option<f64>,
    /// Columns, and factors to mas/yr.
    pub motion: Option<[(usize, f64); 2]>,
    pub pm_ra_is_angle: bool,
    /// The column of radii, and the factor to arcseconds.
    pub radius: Option<(usize, f64)>,
}

/// Decides on the columns.
pub(super) fn choose(table: &Table, given: &PositionColumns) -> Result<Chosen, TableError> {
    let path = table.path();
    let asked = |reason: String| TableError::Asked { path: path.to_owned(), reason };
    let galactic = given.frame == Some(Frame::Galactic);
    let hats = table.meta().position.as_ref().filter(|_| !galactic);
    let pick = |given: Option<&String>, hint: Option<&String>, role: &Role| match given {
        Some(name) => table.column(name),
        None => match hint.map(|name| table.column(name)) {
            Some(Ok(place)) => Ok(place),
            _ => discover(path, table.columns(), role),
        },
    };
    let (lon, lat) = if galactic { (&LON_ROLE, &LAT_ROLE) } else { (&RA_ROLE, &DEC_ROLE) };
    let ra = pick(given.ra.as_ref(), hats.map(|pair| &pair.0), lon)?;
    let dec = pick(given.dec.as_ref(), hats.map(|pair| &pair.1), lat)?;
    if ra == dec {
        return Err(asked(format!("`{}` cannot be both coordinates", table.columns()[ra].name)));
    }
    let id = match &given.id {
        IdColumn::Row => None,
        IdColumn::Named(name) => Some(table.column(name)?),
        IdColumn::Find => Some(discover(path, table.columns(), &ID_ROLE).map_err(|error| match error {
            TableError::NoColumn { path, wanted, near, found } => {
                TableError::NoColumn { path, wanted, near: format!("{near}; `$row` takes the number of the row"), found }
            }
            other => other,
        })?),
    };
    let column = &table.columns()[ra];
    let frame = match (given.frame, column.frame.as_ref().or(table.meta().frame.as_ref())) {
        (Some(frame), _) => frame,
        (None, None) => Frame::Icrs,
        (None, Some(named)) => Frame::named(named, table.meta().equinox.as_deref())
            .map_err(|reason| asked(format!("{reason}; give `frame` if the file is wrong")))?,
    };
    for place in [ra, dec] {
        let column = &table.columns()[place];
        let numeric = column.data_type.is_numeric();
        if !numeric && column.data_type != DataType::Utf8 {
            return Err(asked(format!("the column `{}` holds no angles but {}", column.name, column.data_type)));
        }
    }
    let unit = match given.unit {
        Some(unit) => Some(unit),
        None => match column.unit.as_deref().map(unit_named) {
            Some(Some(unit)) => Some(unit),
            // What is not understood is no angle, or so rare that it has to be stated.
            Some(None) => {
                let unit = column.unit.as_deref().unwrap_or_default();
                return Err(asked(format!("the unit `{unit}` of `{}` is not understood: give `unit`", column.name)));
            }
            None => None,
        },
    };
    let motion = motion(table, given, frame)?;
    let radius = radius(table, given)?;
    let epoch = given.epoch.or(table.meta().epoch);
    Ok(Chosen { id, ra, dec, frame, unit, epoch, motion, pm_ra_is_angle: given.pm_ra_is_angle, radius })
}

fn unit_named(unit: &str) -> Option<Unit> {
    let unit = unit.trim().trim_matches('"').to_ascii_lowercase();
    match unit.as_str() {
        "deg" | "degree" | "degrees" | "degs" | "\u{b0}" | "d:m:s" | "dms" | "deg:min:sec" | "angle[deg]" => Some(Unit::Deg),
        "h" | "hr" | "hour" | "hours" | "hourangle" | "h:m:s" | "hms" | "hh:mm:ss" => Some(Unit::Hours),
        "rad" | "radian" | "radians" => Some(Unit::Rad),
        _ => None,
    }
}

/// Columns of proper motion with their factors to mas/yr.
fn motion(table: &Table, given: &PositionColumns, frame: Frame) -> Result<Option<[(usize, f64); 2]>, TableError> {
    let asked = |reason: String| TableError::Asked { path: table.path().to_owned(), reason };
    let (ra, dec) = match (&given.pm_ra, &given.pm_dec) {
        (None, None) => return Ok(None),
        (Some(ra), Some(dec)) => (table.column(ra)?, table.column(dec)?),
        _ => return Err(asked("a proper motion needs both `pm_ra` and `pm_dec`".to_owned())),
    };
    if frame == Frame::Galactic {
        return Err(asked("proper motions in galactic coordinates are not understood: leave them out".to_owned()));
    }
    let factor = |place: usize| {
        let column = &table.columns()[place];
        if !column.data_type.is_numeric() {
            return Err(asked(format!("the proper motion `{}` holds no numbers but {}", column.name, column.data_type)));
        }
        let unit = given.pm_unit.as_deref().or(column.unit.as_deref());
        match unit.map(|unit| (unit, per_year(unit))) {
            Some((_, Some(factor))) => Ok((place, factor)),
            Some((unit, None)) => Err(asked(format!(
                "the unit `{unit}` of `{}` is not understood: there are mas/yr, arcsec/yr and deg/yr",
                column.name
            ))),
            None => Err(asked(format!("the file gives no unit for `{}`: give `pm_unit`, such as mas/yr", column.name))),
        }
    };
    Ok(Some([factor(ra)?, factor(dec)?]))
}

/// The column of radii with its factor to arcseconds.
fn radius(table: &Table, given: &PositionColumns) -> Result<Option<(usize, f64)>, TableError> {
    let asked = |reason: String| TableError::Asked { path: table.path().to_owned(), reason };
    let Some(name) = &given.radius else {
        return if given.radius_unit.is_some() {
            Err(asked("`radius_unit` is given without `radius`: say which column it belongs to".to_owned()))
        } else {
            Ok(None)
        };
    };
    let place = table.column(name)?;
    let column = &table.columns()[place];
    if !column.data_type.is_numeric() && column.data_type != DataType::Utf8 {
        return Err(asked(format!("the radius `{}` holds no numbers but {}", column.name, column.data_type)));
    }
    let unit = given.radius_unit.as_deref().or(column.unit.as_deref()).unwrap_or("arcsec");
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "mas" | "milliarcsec" => 1e-3,
        "arcsec" | "\"" | "as" | "arcs" | "arcsecond" | "arcseconds" => 1.0,
        "arcmin" | "'" | "arcminute" | "arcminutes" => 60.0,
        "deg" | "degree" | "degrees" | "\u{b0}" => 3_600.0,
        "rad" | "radian" | "radians" => 180.0 * 3_600.0 / std::f64::consts::PI,
        _ => {
            return Err(asked(format!(
                "the unit `{unit}` of the radius `{}` is not understood: there are mas, arcsec, arcmin, deg and rad",
                column.name
            )));
        }
    };
    Ok(Some((place, factor)))
}

/// Milliarcseconds per Julian year of a unit, as FITS, VOUnits and CDS write it.
fn per_year(unit: &str) -> Option<f64> {
    let unit: String =
        unit.to_ascii_lowercase().chars().filter(|c| !c.is_whitespace() && *c != '*' && *c != '(' && *c != ')').collect();
    let angle = ["/yr", "/year", "/a", ".yr-1", "yr-1", "/y"].iter().find_map(|end| unit.strip_suffix(end))?;
    match angle {
        "mas" | "milliarcsec" => Some(1.0),
        "uas" | "\u{3bc}as" | "microarcsec" => Some(1e-3),
        "arcsec" | "\"" | "as" | "arcs" => Some(1e3),
        "arcmin" => Some(6e4),
        "deg" => Some(3.6e6),
        "rad" => Some(180.0 * 3.6e6 / std::f64::consts::PI),
        _ => None,
    }
}

/// The column with the meaning or a usual name.
fn discover(path: &Path, columns: &[Column], role: &Role) -> Result<usize, TableError> {
    let words = |column: &Column| -> Vec<String> {
        column.ucd.iter().flat_map(|ucd| ucd.split(';')).map(|word| word.trim().to_ascii_lowercase()).collect()
    };
    let means = |column: &Column, main: bool| {
        let words = words(column);
        words.first().is_some_and(|first| first == role.ucd) && words.iter().any(|word| word == "meta.main") == main
    };
    let old = |column: &Column| column.ucd.as_deref().is_some_and(|ucd| ucd.eq_ignore_ascii_case(role.old_ucd));
    let main = columns.iter().position(|column| means(column, true) || old(column));
    let plains: Vec<String> = columns.iter().map(|column| plain(&column.name)).collect();
    let named = || role.names.iter().find_map(|name| plains.iter().position(|plain| plain == name));
    let meant = || columns.iter().position(|column| means(column, false));
    if let Some(place) = main.or_else(named).or_else(meant) {
        return Ok(place);
    }
    let near = columns
        .iter()
        .zip(&plains)
        .filter(|(_, plain)| plain.len() > 1)
        .map(|(column, plain)| (role.names.iter().map(|name| strsim::jaro_winkler(name, plain)).fold(0.0, f64::max), column))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    Err(TableError::NoColumn {
        path: path.to_owned(),
        wanted: format!("{}, none of {}", role.what, role.names.join(", ")),
        near: near.map(|(_, column)| format!("; is it `{}`?", column.name)).unwrap_or_default(),
        found: list(columns),
    })
}
