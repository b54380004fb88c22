//! Sources in memory, in the order of their table, with a k-d tree over them.
//!
//! For lists that are small or change often, and for cones of degrees: it takes some 60 bytes a source, ids and columns apart,
//! and is built anew whenever the table is read.

use std::hash::Hasher;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions, StringArray, UInt32Array};
use arrow_schema::{Schema, SchemaRef};
use xxhash_rust::xxh3::Xxh3Default;

use super::make::MakeOptions;
use super::table::{Part, Place, TableError};
use super::tree::Tree;
use super::zones::{Cones, Id, Radius};
use super::{CatalogError, Hit, Hits};
use crate::sky;

/// Sources, with what is known of each by its row.
pub(super) struct Memory {
    pub version: String,
    pub fingerprint: u64,
    /// Julian year of the positions.
    epoch: f64,
    ids: Vec<StringArray>,
    /// First row of each piece of ids, and the number of rows.
    starts: Vec<u32>,
    positions: Vec<(f64, f64)>,
    /// mas per year, right ascension times the cosine of declination; NaN for sources that stay where they are.
    motion: Option<Vec<(f64, f64)>>,
    /// Arcseconds.
    radii: Option<Vec<f64>>,
    carried: RecordBatch,
    /// Largest motion, mas per year.
    fastest: f64,
    /// Largest radius, arcseconds.
    widest: f64,
    tree: Tree,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory")
            .field("sources", &self.len())
            .field("carried", &self.carried.num_columns())
            .finish_non_exhaustive()
    }
}

impl Memory {
    /// Takes the parts of a table, all of one schema.
    pub fn new(parts: Vec<Part>, epoch: f64, version: String) -> Result<Memory, CatalogError> {
        let rows = parts.iter().map(|part| part.ra.len()).sum();
        let unfit = |reason: String| CatalogError::Index { rows, reason };
        if u32::try_from(rows).is_err() {
            return Err(unfit("there are more than 4294967295".to_owned()));
        }
        let years = (MakeOptions::EPOCHS.0 - epoch).abs().max((MakeOptions::EPOCHS.1 - epoch).abs());
        let (mut positions, mut starts, mut ids) = (Vec::with_capacity(rows), vec![0], Vec::with_capacity(parts.len()));
        let (mut motion, mut radii) = (None::<Vec<(f64, f64)>>, None::<Vec<f64>>);
        let mut batches = Vec::with_capacity(parts.len());
        let mut hash = Xxh3Default::new();
        for part in parts {
            let here = part.ra.iter().copied().zip(part.dec.iter().copied());
            for (ra, dec) in here {
                hash.write_u64(ra.to_bits());
                hash.write_u64(dec.to_bits());
                positions.push((ra, dec));
            }
            hash.write(part.ids.value_data());
            if let Some([ra, dec]) = part.motion {
                // As in an index that is made of the same table: who stays within the tolerance is not moved.
                let moves = |(ra, dec): (f64, f64)| ra.hypot(dec) / 1_000.0 * years > MakeOptions::TOLERANCE;
                let kept = |motion: (f64, f64)| if moves(motion) { motion } else { (f64::NAN, f64::NAN) };
                motion.get_or_insert_default().extend(ra.into_iter().zip(dec).map(kept));
            }
            if let Some(own) = part.radius {
                radii.get_or_insert_default().extend(own);
            }
            starts.push(positions.len() as u32);
            ids.push(part.ids);
            batches.push(part.carried);
        }
        let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
        let carried = arrow_select::concat::concat_batches(&schema, &batches).map_err(|e| unfit(e.to_string()))?;
        let speeds = motion.iter().flatten().map(|m| m.0.hypot(m.1)).filter(|speed| speed.is_finite());
        Ok(Memory {
            version,
            fingerprint: hash.finish(),
            epoch,
            ids,
            starts,
            fastest: speeds.fold(0.0, f64::max),
            widest: radii.iter().flatten().copied().fold(0.0, f64::max),
            tree: Tree::build(&positions)?,
            positions,
            motion,
            radii,
            carried,
        })
    }

    /// A list without columns.
    pub fn listed<S: AsRef<str>>(rows: impl IntoIterator<Item = (S, f64, f64)>) -> Result<Memory, CatalogError> {
        let (mut ids, mut ras, mut decs) = (Vec::new(), Vec::new(), Vec::new());
        for (id, ra, dec) in rows {
            if !((-180.0..=360.0).contains(&ra) && (-90.0..=90.0).contains(&dec)) {
                let place = Place::row(ids.len() as u64 + 1);
                let reason = format!("right ascension {ra}, declination {dec} is no position");
                return Err(TableError::Row { path: "the list".into(), place, reason }.into());
            }
            ids.push(id.as_ref().to_owned());
            ras.push(sky::normalise_ra(ra));
            decs.push(dec);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(ids.len()));
        let carried = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)
            .map_err(|e| CatalogError::Index { rows: ids.len(), reason: e.to_string() })?;
        Memory::new(vec![Part::of(StringArray::from(ids), ras, decs, carried)], 2000.0, String::new())
    }

    pub fn len(&self) -> usize {
        self.positions.len()
    }

    pub fn id(&self, row: u32) -> Id<'_> {
        let piece = self.starts.partition_point(|start| *start <= row) - 1;
        Id::Text(self.ids[piece].value((row - self.starts[piece]) as usize))
    }

    pub fn position(&self, row: u32) -> (f64, f64) {
        self.positions[row as usize]
    }

    pub fn radius(&self, row: u32) -> Option<f64> {
        self.radii.as_ref().map(|radii| radii[row as usize])
    }

    pub fn has_radii(&self) -> bool {
        self.radii.is_some() || self.positions.is_empty()
    }

    pub fn moves(&self) -> bool {
        self.fastest > 0.0
    }

    pub fn schema(&self) -> &SchemaRef {
        self.carried.schema_ref()
    }

    pub fn carried(&self, rows: &[u32]) -> RecordBatch {
        // Of a table without columns nothing but the number of rows would be taken.
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let places = UInt32Array::from(rows.to_vec());
        let columns = self.carried.columns().iter().map(|column| {
            arrow_select::take::take(column, &places, None).expect("rows are those of hits, and hits are rows of this table")
        });
        RecordBatch::try_new_with_options(self.carried.schema(), columns.collect(), &options)
            .expect("the columns are those of the schema, all of one length")
    }

    /// As [`super::Catalog::find`].
    pub fn find(&self, cones: &Cones, hits: &mut Hits) {
        hits.begin(cones.positions.len());
        let years = cones.epoch.filter(|epoch| epoch.is_finite()).map_or(0.0, |epoch| epoch - self.epoch);
        let drift = self.fastest / 1_000.0 * years.abs();
        for (query, &position) in cones.positions.iter().enumerate() {
            let radius = match cones.radius {
                Radius::All(radius) => radius,
                Radius::Each(radii) => radii.get(query).copied().unwrap_or(f64::NAN),
                Radius::Own(times) => times * self.widest,
            };
            if radius >= 0.0 && position.0.is_finite() && (-90.0..=90.0).contains(&position.1) {
                self.tree.visit(position, radius + drift, |row| {
                    let mut source = self.positions[row as usize];
                    if let (Some(motion), true) = (&self.motion, years != 0.0)
                        && motion[row as usize].0.is_finite()
                        && motion[row as usize].1.is_finite()
                    {
                        source = sky::moved(source, motion[row as usize], years);
                    }
                    let reach = match (cones.radius, &self.radii) {
                        (Radius::Own(times), Some(radii)) => times * radii[row as usize],
                        (Radius::Own(_), None) => f64::NAN,
                        _ => radius,
                    };
                    let distance = sky::separation(position, source);
                    if distance <= reach {
                        hits.push(Hit { row, distance });
                    }
                });
            }
            hits.close();
        }
    }
}
