//! Columns that are used again: growing is what costs, and a batch is much like the one before.
//!
//! **Invariant:** what was in use when a panic came is dropped with it and never used again.

use std::sync::{Arc, Mutex, PoisonError};

use crate::avro::{AlertSchema, Columns};

/// Sets of columns that are kept, at most; the ones given back first go first.
const KEPT: usize = 32;

/// Columns that are not in use, with the schema they are for.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Mutex<Vec<(Arc<AlertSchema>, Columns)>>,
}

impl Pool {
    /// Empty columns for a schema.
    pub fn take(&self, schema: &Arc<AlertSchema>) -> Columns {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let known = idle.iter().rposition(|(s, _)| Arc::ptr_eq(s, schema)).map(|i| idle.remove(i).1);
        drop(idle);
        let mut columns = known.unwrap_or_else(|| Columns::new(schema.plan()));
        columns.prepare();
        columns
    }

    /// Takes columns back; they have to be empty.
    pub fn give(&self, schema: Arc<AlertSchema>, columns: Columns) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= KEPT {
            idle.remove(0);
        }
        idle.push((schema, columns));
    }
}
