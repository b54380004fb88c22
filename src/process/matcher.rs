//! One catalogue of a cross-match: opened, fitted to what is asked of it, searched for batches of alerts.
//!
//! **Invariants:** the columns that a catalogue carries into annotations are decided when it is first opened; an edition of it
//! that lacks one of them, or has it with another type, is refused and the one before stays. A batch sees one edition.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_cast::cast;
use arrow_schema::{DataType, Field, FieldRef, Schema};

use super::annotation::field;
use super::tried::Tried;
use crate::catalog::table::Carried;
use crate::catalog::{Catalog, CatalogError, Cones, Hits, Live, Opening, Radius, Seen};
use crate::config::{MatchRadius, Matched};
use crate::filter::{Bound, Expression};

/// A catalogue of a step.
#[derive(Debug)]
pub(super) struct Entry {
    pub id: String,
    /// Name of its own annotation.
    pub field: String,
    /// Index of its step.
    pub step: usize,
    /// The columns that matches bring along, as annotations have them.
    pub carried: Vec<FieldRef>,
    pub live: Arc<Live<Fitted>>,
    radius: MatchRadius,
    nearest: Option<usize>,
    limit: usize,
    /// The edition before this one, and when it was replaced: batches that it was asked about are still under way.
    before: Mutex<Option<(String, Instant)>>,
}

/// Bytes of an index from which the pages of a batch are asked for together before they are searched: parts of such a file are not
/// in memory, and the disk is asked for one page after the other otherwise (137 against 6 us a position with an empty cache, a
/// thousand million sources). Where they are in memory it costs some hundred nanoseconds a position.
const LARGE: u64 = 4 << 30;

/// How long a batch may be under way from its matches to its file.
const UNDER_WAY: Duration = Duration::from_secs(120);

/// An edition of a catalogue, with what is asked of it found in its columns.
#[derive(Debug)]
pub(super) struct Fitted {
    pub catalog: Catalog,
    /// Places of the carried columns among those of the catalogue.
    places: Vec<usize>,
    /// The carried columns of no source, as annotations have them.
    carried: RecordBatch,
    condition: Option<Bound>,
}

/// What a catalogue has for the alerts of a batch.
pub(super) struct Found {
    /// Place of the catalogue among all of the chain.
    pub entry: usize,
    pub tried: Arc<Tried>,
    pub fitted: Arc<Fitted>,
    /// For each alert that was tried.
    pub hits: Hits,
    /// Those of the alerts that were tried which had more matches than are listed, ascending.
    pub capped: Vec<usize>,
    /// Those of them where the catalogue has not looked, ascending; none where that is not known.
    pub uncovered: Option<Vec<usize>>,
    /// The carried columns of all hits, as annotations have them; without rows where nothing is carried.
    pub carried: RecordBatch,
}

impl Entry {
    /// Opens the catalogue.
    pub fn open(matched: &Matched, step: usize, cache: Option<&std::path::Path>) -> Result<Entry, CatalogError> {
        let condition = match &matched.condition {
            None => None,
            Some(text) => Some(Expression::parse(text).map_err(|error| unfit(matched, error.to_string()))?),
        };
        let mut carry: Vec<String> = matched.columns.clone().unwrap_or_default();
        for path in condition.iter().flat_map(Expression::paths) {
            if !carry.iter().any(|column| column == &path[0]) {
                carry.extend(path.into_iter().next());
            }
        }
        let opening = Opening {
            path: matched.path.clone(),
            id: Some(matched.id.clone()),
            engine: matched.engine,
            carry: carry.into_iter().map(|column| Carried { column, rename: None, unit: None }).collect(),
            cache: cache.map(std::path::Path::to_owned),
            radii: matches!(matched.radius, MatchRadius::Own(_)),
        };
        let watched = opening.watched();
        let (asked, decided) = (matched.clone(), OnceLock::new());
        let live = Live::new(watched, move || {
            let fitted = Fitted::new(Catalog::open(&opening)?, &asked, condition.as_ref())?;
            let first = decided.get_or_init(|| fitted.carried.schema());
            let types =
                |carried: &Schema| carried.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect::<Vec<_>>();
            if types(first) != types(fitted.carried.schema_ref()) {
                let list = |carried: &Schema| {
                    let fields = carried.fields();
                    fields.iter().map(|f| format!("{} ({})", f.name(), f.data_type())).collect::<Vec<_>>().join(", ")
                };
                let reason = format!(
                    "it brings along {}, but before it was {}: restart the service for other columns",
                    list(fitted.carried.schema_ref()),
                    list(first)
                );
                return Err(unfit(&asked, reason));
            }
            Ok(fitted)
        })?;
        let now = live.get();
        for warning in now.catalog.warnings() {
            tracing::warn!(catalog = matched.id, "{warning}");
        }
        tracing::info!("catalogue {}", now.catalog.edition());
        Ok(Entry {
            id: matched.id.clone(),
            field: Matched::field_of(&matched.id),
            step,
            carried: now.carried.schema_ref().fields().to_vec(),
            live: Arc::new(live),
            radius: matched.radius,
            nearest: matched.nearest.map(|count| count as usize),
            limit: matched.limit as usize,
            before: Mutex::default(),
        })
    }

    /// Looks at the files of the catalogue once, and takes up what is new.
    pub fn look(&self) {
        let before = self.live.get();
        match self.live.look() {
            Seen::Same => {}
            Seen::New => {
                // A poisoned lock still guards a whole value.
                let mut replaced = self.before.lock().unwrap_or_else(PoisonError::into_inner);
                *replaced = Some((before.catalog.edition(), Instant::now()));
                let now = self.live.get();
                tracing::info!("catalogue taken up anew: {}", now.catalog.edition());
                for warning in now.catalog.warnings() {
                    tracing::warn!(catalog = self.id, "{warning}");
                }
            }
            Seen::Bad(error) => {
                tracing::warn!(catalog = self.id, "{error}; the edition before stays: {}", before.catalog.edition());
            }
        }
    }

    /// How far a source reaches, arcseconds.
    pub fn reach(&self, catalog: &Catalog, row: u32) -> f64 {
        match self.radius {
            MatchRadius::Fixed(radius) => radius,
            MatchRadius::Own(times) => times * catalog.radius(row).unwrap_or(f64::NAN),
        }
    }

    /// The editions that batches under way may have been matched against, the one in use last.
    pub fn editions(&self) -> Vec<String> {
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let before = before.filter(|(_, when)| when.elapsed() < UNDER_WAY).map(|(edition, _)| edition);
        before.into_iter().chain([self.live.get().catalog.edition()]).collect()
    }

    /// Searches around the alerts that are tried.
    pub fn search(&self, entry: usize, tried: &Arc<Tried>) -> Result<Found, String> {
        let fitted = self.live.get();
        let catalog = &fitted.catalog;
        let mut hits = Hits::default();
        let radius = match self.radius {
            MatchRadius::Fixed(radius) => Radius::All(radius),
            MatchRadius::Own(times) => Radius::Own(times),
        };
        if let (Some(index), MatchRadius::Fixed(radius)) = (catalog.zones(), self.radius)
            && index.bytes() > LARGE
        {
            index.will_need(&tried.positions, radius);
        }
        if catalog.moves() {
            let mut part = Hits::default();
            for (range, epoch) in tried.epochs() {
                catalog.find(&Cones { positions: &tried.positions[range], radius, epoch }, &mut part);
                hits.append(&part);
            }
        } else {
            catalog.find(&Cones { positions: &tried.positions, radius, epoch: None }, &mut hits);
        }
        if let (Some(condition), true) = (&fitted.condition, hits.total() > 0) {
            let columns = catalog.carried(&rows(&hits));
            let mask = condition.evaluate(&columns, &[]).map_err(|e| e.to_string())?;
            let mut at = 0;
            hits.retain(|_, _| {
                at += 1;
                arrow_array::Array::is_valid(&mask, at - 1) && mask.value(at - 1)
            });
        }
        let (most, mut capped, mut last) = (self.nearest.unwrap_or(usize::MAX), Vec::new(), (0, 0));
        hits.retain(|query, _| {
            last = if last.0 == query { (query, last.1 + 1) } else { (query, 1) };
            if last.1 <= most && last.1 == self.limit + 1 {
                capped.push(query);
            }
            last.1 <= most.min(self.limit)
        });
        let carried = fitted.annotations(&hits)?;
        let uncovered = catalog.zones().filter(|index| index.has_footprint()).map(|index| {
            let cells = tried.cells();
            (0..hits.queries()).filter(|&query| hits.of(query).is_empty() && !index.covers_cell(cells[query])).collect()
        });
        Ok(Found { entry, tried: tried.clone(), fitted, hits, capped, uncovered, carried })
    }
}

impl Fitted {
    fn new(catalog: Catalog, matched: &Matched, condition: Option<&Expression>) -> Result<Fitted, CatalogError> {
        if matches!(matched.radius, MatchRadius::Own(_)) && !catalog.has_radii() {
            let reason = "`radius: own` asks for a radius of each source, and it has none: give a radius, or make it with one";
            return Err(unfit(matched, reason.to_owned()));
        }
        let schema = catalog.schema().clone();
        let condition = condition
            .map(|condition| condition.bind(&schema, &[]))
            .transpose()
            .map_err(|error| unfit(matched, format!("`where`: {error}")))?;
        let places = chosen(&schema, matched)?;
        let carried = places.iter().map(|&place| annotated(schema.field(place))).collect::<Vec<_>>();
        let carried = RecordBatch::new_empty(Arc::new(Schema::new(carried)));
        Ok(Fitted { catalog, places, carried, condition })
    }

    /// The carried columns of sources, as annotations have them.
    fn annotations(&self, hits: &Hits) -> Result<RecordBatch, String> {
        if self.places.is_empty() || hits.total() == 0 {
            return Ok(self.carried.clone());
        }
        let (all, schema) = (self.catalog.carried(&rows(hits)), self.carried.schema());
        let typed = |(place, field): (&usize, &FieldRef)| cast(all.column(*place), field.data_type());
        let columns = self.places.iter().zip(schema.fields()).map(typed).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        RecordBatch::try_new(schema, columns).map_err(|e| e.to_string())
    }
}

/// The sources of hits, by their rows.
fn rows(hits: &Hits) -> Vec<u32> {
    hits.all().iter().map(|hit| hit.row).collect()
}

fn unfit(matched: &Matched, reason: String) -> CatalogError {
    CatalogError::Unfit { path: matched.path.clone(), reason }
}

/// Places of the columns that are asked for, in the order of the catalogue.
fn chosen(schema: &Schema, matched: &Matched) -> Result<Vec<usize>, CatalogError> {
    let Some(patterns) = &matched.columns else {
        // Of a table without a description nothing is carried but what conditions read.
        let all = catalog_says(matched);
        return Ok(if all { (0..schema.fields().len()).collect() } else { Vec::new() });
    };
    let mut places = Vec::new();
    for pattern in patterns {
        let glob = glob::Pattern::new(pattern).map_err(|e| unfit(matched, format!("`{pattern}` is no pattern of names: {e}")))?;
        let found: Vec<usize> = (0..schema.fields().len()).filter(|&place| glob.matches(schema.field(place).name())).collect();
        if found.is_empty() {
            let names = schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(", ");
            let names = if names.is_empty() { "it carries none".to_owned() } else { format!("there are {names}") };
            return Err(unfit(matched, format!("no column is called `{pattern}`; {names}")));
        }
        places.extend(found);
    }
    places.sort_unstable();
    places.dedup();
    Ok(places)
}

/// Whether the catalogue itself says which columns it carries.
fn catalog_says(matched: &Matched) -> bool {
    Opening::of(&matched.path).says_columns()
}

/// A column as annotations have it: of a type that Avro has too.
fn annotated(column: &Field) -> FieldRef {
    let data_type = match column.data_type() {
        DataType::Boolean => DataType::Boolean,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => DataType::Int32,
        // Beyond 2^63 a number of 64 bits without sign is null.
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 | DataType::Float32 => DataType::Float32,
        DataType::Float64 => DataType::Float64,
        _ => DataType::Utf8,
    };
    let about = |key: &str| column.metadata().get(key).map_or("", String::as_str);
    let doc = if about("description").is_empty() { "As the catalogue has it" } else { about("description") };
    field(column.name(), data_type, true, about("unit"), doc)
}
