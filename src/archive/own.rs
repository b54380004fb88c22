//! Rows with bytes of their own, which hold nothing of the batch that they came in.
//!
//! May depend on: arrow.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, RecordBatch, StructArray};
use arrow_schema::{ArrowError, DataType};

/// Copies what views point to.
///
/// # Errors
/// When the columns are not what their schema says.
pub(super) fn copy(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(batch.schema(), batch.columns().iter().map(column).collect::<Result<_, _>>()?)
}

fn column(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        DataType::Struct(fields) => Arc::new(members(array.as_struct(), fields)?),
        DataType::List(item) => {
            let list: &ListArray = array.as_list();
            let values = column(list.values())?;
            Arc::new(ListArray::try_new(item.clone(), list.offsets().clone(), values, list.nulls().cloned())?)
        }
        DataType::Map(entries, sorted) => {
            let map = array.as_map();
            let DataType::Struct(fields) = entries.data_type() else { return Ok(array.clone()) };
            let values = members(map.entries(), fields)?;
            Arc::new(MapArray::try_new(entries.clone(), map.offsets().clone(), values, map.nulls().cloned(), *sorted)?)
        }
        // Everything else has been copied when the rows were chosen.
        _ => array.clone(),
    })
}

fn members(array: &StructArray, fields: &arrow_schema::Fields) -> Result<StructArray, ArrowError> {
    let columns = array.columns().iter().map(column).collect::<Result<_, _>>()?;
    StructArray::try_new_with_length(fields.clone(), columns, array.nulls().cloned(), array.len())
}
