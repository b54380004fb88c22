//! Schemas by the id in front of a message: those that the framing knows, and those that are looked up elsewhere.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::message::Reason;
use crate::alert::SchemasById;
use crate::avro::{AlertSchema, SchemaStore};

/// A schema, or why it cannot be used.
type Outcome = Result<Arc<AlertSchema>, Arc<str>>;

/// The schemas of a Confluent stream.
#[derive(Debug)]
pub(super) struct ById {
    known: HashMap<u32, Arc<AlertSchema>>,
    elsewhere: Option<Arc<dyn SchemasById>>,
    /// What became of the texts that were found elsewhere. They never change.
    met: RwLock<HashMap<u32, Outcome>>,
}

impl ById {
    pub fn new(known: HashMap<u32, Arc<AlertSchema>>) -> Self {
        Self { known, elsewhere: None, met: RwLock::default() }
    }

    pub fn look_up_in(&mut self, schemas: Arc<dyn SchemasById>) {
        self.elsewhere = Some(schemas);
    }

    /// The schema of an id; one that is met for the first time is compiled in `store`.
    pub fn schema(&self, id: u32, store: &SchemaStore) -> Result<Arc<AlertSchema>, Reason> {
        if let Some(known) = self.known.get(&id) {
            return Ok(known.clone());
        }
        let Some(elsewhere) = &self.elsewhere else { return Err(Reason::UnknownId(id)) };
        let unusable = |why: Arc<str>| Reason::UnusableId(id, why);
        if let Some(met) = self.met.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return met.clone().map_err(unusable);
        }
        let json = elsewhere.schema(id).map_err(Reason::NoSchema)?;
        let outcome: Outcome = store.add_met(&json).map_err(Arc::from);
        self.met.write().unwrap_or_else(PoisonError::into_inner).insert(id, outcome.clone());
        outcome.map_err(unusable)
    }
}
