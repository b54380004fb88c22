//! Steps: unique names, sensible radii, catalogues that exist.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Checker, LARGEST_RADIUS};
use crate::config::at::{At, Place};
use crate::config::checked::{CLASS, Class, MatchRadius, Matched, OTHERWISE, Shape, Step, StepKind};
use crate::config::raw;
use crate::config::spots::Spot;
use crate::config::units::Angle;
use crate::sky::region::{self as sky, Region};

/// The word for radii that are in the catalogue.
const OWN: &str = "own";

/// How many times the radius of its own a source may reach.
const MOST_TIMES: f64 = 1_000.0;

/// Most matches that can be asked for.
const MOST: u32 = 10_000;

impl Checker<'_> {
    pub(super) fn steps(&mut self, component: usize, raw: &[At<raw::Step>]) -> Vec<Step> {
        let mut steps = Vec::with_capacity(raw.len());
        let (mut cuts, mut matches, mut classes, mut watches, mut regions) = (0, 0, 0, 0, 0);
        let mut lists: BTreeMap<String, Place> = BTreeMap::new();
        let mut columns: BTreeMap<String, Place> = BTreeMap::new();
        let mut names: BTreeMap<String, Place> = BTreeMap::new();
        let mut ids: BTreeMap<String, Place> = BTreeMap::new();
        for (index, At { value, place }) in raw.iter().enumerate() {
            let (given, number, word) = match value {
                raw::Step::Cut(cut) => (&cut.name, &mut cuts, "cut"),
                raw::Step::Crossmatch(crossmatch) => (&crossmatch.name, &mut matches, "crossmatch"),
                raw::Step::Classify(classify) => (&classify.name, &mut classes, "classify"),
                raw::Step::Watchlist(watchlist) => (&watchlist.name, &mut watches, "watchlist"),
                raw::Step::Region(region) => (&region.name, &mut regions, "region"),
            };
            *number += 1;
            let name = given.as_ref().map_or_else(|| format!("{word}-{number}"), |name| name.value.clone());
            let name_place = given.as_ref().map_or(*place, |name| name.place);
            if let Some(name) = given {
                self.name(name, "step");
            }
            if let Some(first) = names.insert(name.clone(), name_place) {
                let line = self.line(first);
                self.problem(name_place, format!("there are two steps named `{name}`"), format!("the other is in line {line}"));
            }
            let kind = match value {
                raw::Step::Cut(cut) => {
                    self.condition(&cut.condition);
                    self.places.insert(Spot::Step(component, index), cut.condition.place);
                    Some(StepKind::Cut { condition: cut.condition.value.clone() })
                }
                raw::Step::Crossmatch(crossmatch) => self.crossmatch(crossmatch, *place, &mut ids),
                raw::Step::Watchlist(watchlist) => self.watchlist(watchlist, *place, &mut lists),
                raw::Step::Region(region) => self.region(region, *place),
                raw::Step::Classify(classify) => {
                    self.places.insert(Spot::Step(component, index), *place);
                    self.classify(classify, *place, &mut columns)
                }
            };
            steps.extend(kind.map(|kind| Step { name, kind }));
        }
        steps
    }

    pub(super) fn condition(&mut self, condition: &At<String>) {
        if condition.value.trim().is_empty() {
            self.problem(condition.place, "the condition is empty", "write an expression, such as `candidate.rb >= 0.55`");
        }
    }

    fn crossmatch(&mut self, raw: &raw::Crossmatch, place: Place, ids: &mut BTreeMap<String, Place>) -> Option<StepKind> {
        let own = |catalog: &At<String>| raw::Matched {
            catalog: catalog.clone(),
            id: raw.id.clone(),
            radius: None,
            nearest: None,
            limit: None,
            columns: raw.columns.clone(),
            condition: raw.condition.clone(),
            engine: None,
        };
        let one = raw.catalog.as_ref().map(own);
        let entries: Vec<&raw::Matched> = match (&one, raw.catalogs.is_empty()) {
            (Some(one), true) => vec![one],
            (None, false) => {
                let misplaced = [
                    ("id", raw.id.as_ref().map(|id| id.place)),
                    ("columns", raw.columns.as_ref().and_then(|columns| columns.first()).map(|column| column.place)),
                    ("where", raw.condition.as_ref().map(|condition| condition.place)),
                ];
                for (key, place) in misplaced.into_iter().filter_map(|(key, place)| Some((key, place?))) {
                    let help = format!("write `{key}` at the catalogue in `catalogs` that it belongs to");
                    self.problem(place, format!("`{key}` cannot be the same for several catalogues"), help);
                }
                raw.catalogs.iter().map(|entry| &entry.value).collect()
            }
            (Some(_), false) => {
                self.problem(place, "there are both `catalog` and `catalogs`", "move the one catalogue into `catalogs`");
                return None;
            }
            (None, true) => {
                self.problem(place, "there is no catalogue", "add `catalog: FILE`, or several as `catalogs`");
                return None;
            }
        };
        let catalogs: Vec<_> = entries.into_iter().map(|entry| self.matched(entry, raw, place, ids)).collect();
        Some(StepKind::Crossmatch { catalogs: catalogs.into_iter().collect::<Option<_>>()? })
    }

    /// A catalogue; what it does not give is that of the step.
    fn matched(
        &mut self,
        entry: &raw::Matched,
        step: &raw::Crossmatch,
        step_place: Place,
        ids: &mut BTreeMap<String, Place>,
    ) -> Option<Matched> {
        let path = self.input(&entry.catalog, "catalogue");
        let (id, place) = self.id(entry.id.as_ref(), &entry.catalog);
        // Names of fields have fewer signs than ids.
        if let Some(first) = ids.insert(Matched::field_of(&id), place) {
            let line = self.line(first);
            let help = format!("the other is in line {line}; give one of them another `id:`");
            let alike = if Matched::field_of(&id) == id { "" } else { ", or ids that differ in signs alone" };
            self.problem(place, format!("two catalogues have the id `{id}`{alike}"), help);
        }
        let radius = match entry.radius.as_ref().or(step.radius.as_ref()) {
            Some(radius) => self.radius(radius),
            None => {
                let help = "add `radius: 1.5 arcsec`, or `radius: own` where each source has its own";
                let place = if step.catalogs.is_empty() { step_place } else { entry.catalog.place };
                self.problem(place, "the key `radius` is missing", help);
                None
            }
        };
        let nearest = entry.nearest.as_ref().or(step.nearest.as_ref());
        let nearest = nearest.map(|nearest| self.count(Some(nearest), 1, MOST));
        let limit = self.count(entry.limit.as_ref().or(step.limit.as_ref()), Matched::LIMIT, MOST);
        if let Some(condition) = &entry.condition {
            self.condition(condition);
        }
        let engine = entry.engine.as_ref().or(step.engine.as_ref());
        Some(Matched {
            path: path?,
            id,
            radius: radius?,
            nearest,
            limit,
            columns: entry.columns.as_ref().map(|columns| columns.iter().map(|column| column.value.clone()).collect()),
            condition: entry.condition.as_ref().map(|condition| condition.value.clone()),
            engine: engine.map(|engine| engine.value).unwrap_or_default(),
        })
    }

    fn classify(&mut self, raw: &raw::Classify, place: Place, columns: &mut BTreeMap<String, Place>) -> Option<StepKind> {
        let column = raw.column.as_ref().map_or(CLASS.to_owned(), |column| column.value.clone());
        let place = raw.column.as_ref().map_or(place, |column| column.place);
        let sound = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !column.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || !column.chars().all(sound) {
            let help = format!("write letters, digits and `_`, such as `{CLASS}`");
            self.problem(place, format!("`{column}` cannot be the name of an annotation"), help);
        }
        if ["matches", "crossmatches", "catalogs", "watched", "watchlists"].contains(&column.as_str()) {
            self.problem(
                place,
                format!("`{column}` is an annotation of other steps"),
                format!("write another name, such as `{CLASS}`"),
            );
        }
        if let Some(first) = columns.insert(column.clone(), place) {
            let help = format!("the other is in line {}; give this one another `column:`", self.line(first));
            self.problem(place, format!("two steps make the annotation `{column}`"), help);
        }
        if raw.classes.is_empty() {
            self.problem(place, "there are no classes", "write a list: `- { class: star, where: catalogs.gaia.distance < 1 }`");
        }
        let mut classes = Vec::with_capacity(raw.classes.len());
        for At { value, .. } in &raw.classes {
            self.condition(&value.condition);
            if value.class.value.trim().is_empty() {
                self.problem(value.class.place, "the name of the class is empty", "write a name, such as `star`");
            }
            classes.push(Class { name: value.class.value.clone(), condition: value.condition.value.clone() });
        }
        let otherwise = raw.otherwise.as_ref().map_or(OTHERWISE.to_owned(), |otherwise| otherwise.value.clone());
        Some(StepKind::Classify { column, classes, otherwise })
    }

    fn watchlist(&mut self, raw: &raw::Watchlist, place: Place, ids: &mut BTreeMap<String, Place>) -> Option<StepKind> {
        if raw.lists.is_empty() {
            self.problem(place, "there is no list", "add `lists:` with `- list: FILE`");
        }
        let lists: Vec<_> = raw.lists.iter().map(|list| self.list(&list.value, ids)).collect();
        let require = raw.require.as_ref().is_some_and(|require| require.value);
        Some(StepKind::Watchlist { lists: lists.into_iter().collect::<Option<_>>()?, require })
    }

    fn list(&mut self, raw: &raw::WatchedList, ids: &mut BTreeMap<String, Place>) -> Option<Matched> {
        let path = self.input(&raw.list, "list");
        let (id, place) = self.id(raw.id.as_ref(), &raw.list);
        if let Some(first) = ids.insert(id.clone(), place) {
            let help = format!("the other is in line {}; give one of them another `id:`", self.line(first));
            self.problem(place, format!("two lists have the id `{id}`"), help);
        }
        let radius = raw.radius.as_ref().map_or(Some(MatchRadius::Own(1.0)), |radius| self.radius(radius))?;
        Some(Matched { radius, limit: MOST, columns: Some(Vec::new()), ..Matched::within(&path?, &id, 0.0) })
    }

    fn region(&mut self, raw: &raw::Region, place: Place) -> Option<StepKind> {
        if raw.regions.is_empty() {
            self.problem(place, "there is no region", "add `regions:` with `- circle: { ra: 10, dec: 20, radius: 1 deg }`");
        }
        let regions: Vec<_> = raw.regions.iter().map(|shape| self.shape(shape)).collect();
        let pass = raw.pass.as_ref().map(|pass| pass.value).unwrap_or_default();
        Some(StepKind::Region { regions: regions.into_iter().collect::<Option<_>>()?, pass })
    }

    fn shape(&mut self, At { value, place }: &At<raw::Shape>) -> Option<Shape> {
        let made = match value {
            raw::Shape::Circle(circle) => {
                let radius = self.angle(&circle.radius)? / 3_600.0;
                sky::Circle::new((circle.ra, circle.dec), radius).map(Region::Circle)
            }
            raw::Shape::Polygon(polygon) => sky::Polygon::new(&polygon.vertices).map(Region::Polygon),
            raw::Shape::Box(sides) => sky::SkyBox::new(sides.ra, sides.dec).map(Region::Box),
            raw::Shape::Moc(moc) => return self.input(&moc.file, "coverage map").map(Shape::Moc),
        };
        made.map_err(|error| self.problem(*place, error.to_string(), "positions are ICRS, decimal degrees"))
            .ok()
            .map(|region| Shape::Region(Arc::new(region)))
    }

    /// The name of a catalogue or list: as it is given, or that of its file.
    fn id(&mut self, given: Option<&At<String>>, file: &At<String>) -> (String, Place) {
        let id = match given {
            Some(id) => id.value.clone(),
            None => Path::new(&file.value).file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        };
        let place = given.map_or(file.place, |id| id.place);
        if id.trim().is_empty() || id.len() > 64 || id.chars().any(char::is_control) {
            self.problem(place, format!("`{id}` cannot be the id of a catalogue"), "write 1 to 64 letters: `id: gaia`");
        }
        (id, place)
    }

    fn radius(&mut self, written: &At<Angle>) -> Option<MatchRadius> {
        if let Some(times) = written.value.0.trim().strip_suffix(OWN) {
            let times = if times.is_empty() { Ok(1.0) } else { times.trim().parse::<f64>() };
            if let Some(times) = times.ok().filter(|times| *times > 0.0 && *times <= MOST_TIMES) {
                return Some(MatchRadius::Own(times));
            }
            let message = format!("`{}` is no radius", written.value.0);
            let help = format!("write `own`, or how many times the radius of each source: `2.5 own`, at most {MOST_TIMES}");
            self.problem(written.place, message, help);
            return None;
        }
        let radius = self.angle(written)?;
        if radius > 0.0 && radius <= LARGEST_RADIUS {
            return Some(MatchRadius::Fixed(radius));
        }
        let message = format!("the radius `{}` is out of range", written.value.0);
        self.problem(written.place, message, "write more than 0 and at most `30 deg`, such as `1.5 arcsec`, or `own`");
        None
    }
}
