//! From columns to Arrow arrays, without copying values.

use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, BinaryViewType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    StringViewType, Time32MillisecondType, Time64MicrosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType,
};
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, GenericByteViewArray, ListArray, MapArray, NullArray,
    PrimitiveArray, RecordBatch, RecordBatchOptions, StructArray,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, TimeUnit};

use super::AlertSchema;
use super::columns::{Column, Columns};
use super::plan::{Shape, Store};

impl Columns {
    /// Gives the alerts held as a batch whose views point into `buffers`, and is empty again.
    ///
    /// # Errors
    /// When arrow refuses the columns, which would be a defect here.
    pub fn finish(&mut self, schema: &AlertSchema, buffers: &Arc<[Buffer]>) -> Result<RecordBatch, ArrowError> {
        let rows = self.rows();
        let fields = schema.decoded.fields();
        let shapes = &schema.plan().shapes;
        let columns = shapes.iter().zip(fields).map(|(shape, field)| self.array(shape, field.data_type(), rows, buffers));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        self.lengths.fill(0);
        RecordBatch::try_new_with_options(schema.decoded.clone(), columns, &RecordBatchOptions::new().with_row_count(Some(rows)))
    }

    fn array(
        &mut self,
        shape: &Shape,
        data_type: &DataType,
        length: usize,
        buffers: &Arc<[Buffer]>,
    ) -> Result<ArrayRef, ArrowError> {
        Ok(match shape {
            Shape::Null => Arc::new(NullArray::new(length)),
            Shape::Value(store) => self.values(*store, data_type, buffers)?,
            Shape::Enum { column, symbols } => {
                let keys = primitive::<Int32Type>(&mut self.i32s[*column as usize])?;
                Arc::new(DictionaryArray::try_new(keys, symbols.clone())?)
            }
            Shape::Struct { fields, children, marks } => {
                let nulls = self.null_marks(*marks, length);
                let arrays = children
                    .iter()
                    .zip(fields)
                    .map(|(child, field)| self.array(child, field.data_type(), length, buffers))
                    .collect::<Result<_, _>>()?;
                Arc::new(StructArray::try_new_with_length(fields.clone(), arrays, nulls, length)?)
            }
            Shape::List { list, item, marks } => {
                let DataType::List(field) = data_type else { return Err(mismatch(data_type)) };
                let (offsets, items) = self.offsets(*list);
                let values = self.array(item, field.data_type(), items, buffers)?;
                Arc::new(ListArray::try_new(field.clone(), offsets, values, self.null_marks(*marks, length))?)
            }
            Shape::Map { list, key, value, marks } => {
                let DataType::Map(field, sorted) = data_type else { return Err(mismatch(data_type)) };
                let DataType::Struct(entries) = field.data_type() else { return Err(mismatch(data_type)) };
                let (offsets, items) = self.offsets(*list);
                let keys = self.array(key, entries[0].data_type(), items, buffers)?;
                let values = self.array(value, entries[1].data_type(), items, buffers)?;
                let entries = StructArray::try_new_with_length(entries.clone(), vec![keys, values], None, items)?;
                Arc::new(MapArray::try_new(field.clone(), offsets, entries, self.null_marks(*marks, length), *sorted)?)
            }
        })
    }

    fn offsets(&mut self, list: u32) -> (OffsetBuffer<i32>, usize) {
        let list = &mut self.lists[list as usize];
        let capacity = list.ends.len();
        let ends = std::mem::replace(&mut list.ends, Vec::with_capacity(capacity));
        list.ends.push(0);
        let items = ends.last().map_or(0, |end| *end as usize);
        (OffsetBuffer::new(ScalarBuffer::from(ends)), items)
    }

    fn null_marks(&mut self, marks: Option<u32>, length: usize) -> Option<NullBuffer> {
        marks.and_then(|marks| self.marks[marks as usize].nulls.take(length))
    }

    fn values(&mut self, store: Store, data_type: &DataType, buffers: &Arc<[Buffer]>) -> Result<ArrayRef, ArrowError> {
        Ok(match store {
            Store::Boolean(c) => {
                let (values, nulls) = self.booleans[c as usize].take_bits();
                Arc::new(BooleanArray::new(values, nulls))
            }
            Store::I32(c) => {
                let column = &mut self.i32s[c as usize];
                match data_type {
                    DataType::Date32 => Arc::new(primitive::<Date32Type>(column)?),
                    DataType::Time32(_) => Arc::new(primitive::<Time32MillisecondType>(column)?),
                    _ => Arc::new(primitive::<Int32Type>(column)?),
                }
            }
            Store::I64(c) => {
                let column = &mut self.i64s[c as usize];
                match data_type {
                    DataType::Time64(_) => Arc::new(primitive::<Time64MicrosecondType>(column)?),
                    DataType::Timestamp(unit, zone) => match unit {
                        TimeUnit::Nanosecond => {
                            Arc::new(primitive::<TimestampNanosecondType>(column)?.with_timezone_opt(zone.clone()))
                        }
                        TimeUnit::Microsecond => {
                            Arc::new(primitive::<TimestampMicrosecondType>(column)?.with_timezone_opt(zone.clone()))
                        }
                        _ => Arc::new(primitive::<TimestampMillisecondType>(column)?.with_timezone_opt(zone.clone())),
                    },
                    _ => Arc::new(primitive::<Int64Type>(column)?),
                }
            }
            Store::F32(c) => Arc::new(primitive::<Float32Type>(&mut self.f32s[c as usize])?),
            Store::F64(c) => Arc::new(primitive::<Float64Type>(&mut self.f64s[c as usize])?),
            Store::View(c) => {
                let (views, nulls) = self.views[c as usize].take();
                match data_type {
                    DataType::Utf8View => {
                        Arc::new(GenericByteViewArray::<StringViewType>::try_new(views, buffers.clone(), nulls)?)
                    }
                    _ => Arc::new(GenericByteViewArray::<BinaryViewType>::try_new(views, buffers.clone(), nulls)?),
                }
            }
            Store::I128(c) => {
                let array = primitive::<Decimal128Type>(&mut self.i128s[c as usize])?;
                let DataType::Decimal128(precision, scale) = data_type else { return Err(mismatch(data_type)) };
                Arc::new(array.with_precision_and_scale(*precision, *scale)?)
            }
            Store::Fixed(c) => {
                let column = &mut self.fixed[c as usize];
                let (values, nulls) = column.take();
                Arc::new(FixedSizeBinaryArray::try_new(column.size as i32, values, nulls)?)
            }
        })
    }
}

fn mismatch(data_type: &DataType) -> ArrowError {
    ArrowError::SchemaError(format!("a plan disagrees with its own columns at {data_type}"))
}

fn primitive<T: ArrowPrimitiveType>(column: &mut Column<T::Native>) -> Result<PrimitiveArray<T>, ArrowError>
where
    T::Native: Default,
{
    let (values, nulls) = column.take();
    PrimitiveArray::try_new(values, nulls)
}
