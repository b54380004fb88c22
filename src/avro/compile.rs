//! From a schema, and what is wanted of it, to its plan and its Arrow columns.

mod nested;
mod skip;

use std::collections::HashMap;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, Name, UuidSchema};
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Fields, Schema as ArrowSchema, SchemaRef, TimeUnit};

use super::plan::{Filler, Item, Layout, Op, Plan, Row, Segment, Shape, Store, path};
use super::{AvroError, Kept, MAX_ALERT_BYTES, MAX_COLUMNS, MAX_DEPTH};

/// What a row takes besides the columns of its schema, bytes: origin, verdict, flags, candidate view.
const ROW: u64 = 256;

/// Compiles a schema, which has to be a record. What is kept of it is numbered as the columns of all of it are, which have
/// to be compiled first: only then is it known that its depth and size are sane.
pub(super) fn compile(schema: &Schema, kept: &Kept) -> Result<(Plan, SchemaRef), AvroError> {
    let mut compiler = Compiler { segments: vec![Segment { outer: 0, name: "".into() }], ..Compiler::default() };
    compiler.learn(schema);
    let (fields, shapes, least) = if *kept == Kept::Nothing {
        let least = compiler.skip(schema, None)?;
        (Fields::empty(), Vec::new(), least)
    } else {
        let built = compiler.value(schema, Nulls::Never, 0, kept)?;
        let Shape::Struct { fields, children, .. } = built.shape else {
            return Err(AvroError::NotARecord("record without fields".to_owned()));
        };
        (fields, children, built.least)
    };
    let plan = Plan {
        stop: compiler.ops.iter().rposition(|op| !op.leaves_columns_alone()).map_or(0, |last| last as u32 + 1),
        ops: compiler.ops,
        owners: compiler.owners,
        segments: compiler.segments,
        tables: compiler.tables,
        fillings: compiler.fillings,
        record: Item { cost: compiler.record_cost + ROW, least },
        items: compiler.items,
        layout: compiler.layout,
        shapes,
    };
    Ok((plan, Arc::new(ArrowSchema::new(fields))))
}

/// How a value can be null.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nulls {
    Never,
    /// It is in a union with null, which is this branch.
    Branch(u8),
    /// It is a member of a larger union, which says when it is not there.
    Outside,
}

/// What was made of a schema.
struct Built {
    shape: Shape,
    data_type: DataType,
    nullable: bool,
    /// Bytes in the datum at least.
    least: u64,
    /// What fills its columns.
    fillers: Vec<Filler>,
}

#[derive(Default)]
struct Compiler<'a> {
    ops: Vec<Op>,
    owners: Vec<u32>,
    segments: Vec<Segment>,
    tables: Vec<Box<[u32]>>,
    fillings: Vec<Box<[Filler]>>,
    items: Vec<Item>,
    record_cost: u64,
    layout: Layout,
    /// Types met, with names resolved: what a short text can unfold to is bounded by this.
    types: usize,
    /// Entries of all fillings: a large union takes the square of its branches.
    filled: usize,
    /// Named types.
    names: HashMap<String, &'a Schema>,
    /// Values of the dictionaries, by name of the enum.
    symbols: HashMap<String, ArrayRef>,
    /// Records that are being compiled.
    open: Vec<String>,
    /// The last place that is jumped to: operations before it are not added to.
    target: u32,
    /// Segment of the field that is being compiled.
    at: u32,
    /// Scope of what is being compiled.
    scope: u32,
}

impl<'a> Compiler<'a> {
    fn push(&mut self, op: Op) -> usize {
        self.ops.push(op);
        self.owners.push(self.at);
        self.ops.len() - 1
    }

    /// As [`Compiler::push`], or into the operation before where that reads the neighbours of this field in the same manner.
    fn push_field(&mut self, op: Op) {
        let within = self.ops.len() > self.target as usize;
        if let (Some(last), Some(owner)) = (self.ops.last_mut().filter(|_| within), self.owners.last())
            && owner + last.fields() == self.at
            && last.join(op)
        {
            return;
        }
        self.push(op);
    }

    /// Where the next operation will be, to be jumped to.
    fn here(&mut self) -> u32 {
        self.target = self.ops.len() as u32;
        self.target
    }

    /// Notes the named types of a schema.
    fn learn(&mut self, schema: &'a Schema) {
        let name = match schema {
            Schema::Array(array) => return self.learn(&array.items),
            Schema::Map(map) => return self.learn(&map.types),
            Schema::Union(union) => return union.variants().iter().for_each(|branch| self.learn(branch)),
            Schema::Record(record) => {
                record.fields.iter().for_each(|field| self.learn(&field.schema));
                &record.name
            }
            Schema::Enum(symbols) => &symbols.name,
            Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => &fixed.name,
            Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => &fixed.name,
            _ => return,
        };
        self.names.insert(name.fullname(None), schema);
    }

    /// The type of this name.
    fn named(&self, name: &Name) -> Result<&'a Schema, AvroError> {
        let name = name.fullname(None);
        let known = self.names.get(&name).copied();
        known.ok_or_else(|| self.wrong(format!("the type {name} is not defined")))
    }

    fn wrong(&self, what: impl Into<String>) -> AvroError {
        AvroError::Type { path: path(&self.segments, self.at), what: what.into() }
    }

    /// Compiles `inside` as the field or member `name`.
    fn below<T>(&mut self, name: &str, inside: impl FnOnce(&mut Self) -> Result<T, AvroError>) -> Result<T, AvroError> {
        let outer = self.at;
        self.segments.push(Segment { outer, name: name.into() });
        self.at = self.segments.len() as u32 - 1;
        let result = inside(self)?;
        self.at = outer;
        Ok(result)
    }

    fn cost(&mut self, bytes: u64) {
        match self.scope.checked_sub(1) {
            None => self.record_cost += bytes,
            Some(list) => self.items[list as usize].cost += bytes,
        }
    }

    fn marks(&mut self, nulls: Nulls) -> Option<u32> {
        (nulls != Nulls::Never).then(|| {
            self.layout.marks.push(self.scope);
            self.layout.marks.len() as u32 - 1
        })
    }

    fn value(&mut self, schema: &'a Schema, nulls: Nulls, depth: usize, kept: &Kept) -> Result<Built, AvroError> {
        if depth > MAX_DEPTH {
            return Err(AvroError::TooDeep);
        }
        self.types += 1;
        if self.types > MAX_COLUMNS {
            return Err(AvroError::TooManyColumns);
        }
        let utc = || Some(Arc::from("UTC"));
        match schema {
            Schema::Null => {
                Ok(Built { shape: Shape::Null, data_type: DataType::Null, nullable: true, least: 0, fillers: Vec::new() })
            }
            Schema::Boolean => self.plain(nulls, DataType::Boolean, Op::Boolean, Op::MaybeBoolean),
            Schema::Int => self.int(nulls, DataType::Int32),
            Schema::Long => self.long(nulls, DataType::Int64),
            Schema::Float => self.plain(nulls, DataType::Float32, Op::Float, Op::MaybeFloat),
            Schema::Double => self.plain(nulls, DataType::Float64, Op::Double, Op::MaybeDouble),
            Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => self.bytes(nulls),
            Schema::String | Schema::Uuid(UuidSchema::String) => self.text(nulls),
            Schema::Date => self.int(nulls, DataType::Date32),
            Schema::TimeMillis => self.int(nulls, DataType::Time32(TimeUnit::Millisecond)),
            Schema::TimeMicros => self.long(nulls, DataType::Time64(TimeUnit::Microsecond)),
            Schema::TimestampMillis => self.long(nulls, DataType::Timestamp(TimeUnit::Millisecond, utc())),
            Schema::TimestampMicros => self.long(nulls, DataType::Timestamp(TimeUnit::Microsecond, utc())),
            Schema::TimestampNanos => self.long(nulls, DataType::Timestamp(TimeUnit::Nanosecond, utc())),
            Schema::LocalTimestampMillis => self.long(nulls, DataType::Timestamp(TimeUnit::Millisecond, None)),
            Schema::LocalTimestampMicros => self.long(nulls, DataType::Timestamp(TimeUnit::Microsecond, None)),
            Schema::LocalTimestampNanos => self.long(nulls, DataType::Timestamp(TimeUnit::Nanosecond, None)),
            Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
                self.fixed(fixed.size, nulls)
            }
            Schema::Decimal(decimal) => {
                let (precision, scale) = (decimal.precision, decimal.scale);
                match (&decimal.inner, precision) {
                    (InnerDecimalSchema::Bytes, 39..) => self.bytes(nulls),
                    (InnerDecimalSchema::Fixed(fixed), 39..) => self.fixed(fixed.size, nulls),
                    (inner, _) => {
                        let data_type = DataType::Decimal128(precision as u8, scale as i8);
                        let size = match inner {
                            InnerDecimalSchema::Bytes => None,
                            InnerDecimalSchema::Fixed(fixed) => Some(self.size(fixed.size)?),
                        };
                        let op = move |column| match size {
                            None => Op::DecimalBytes(column),
                            Some(size) => Op::DecimalFixed { column, size },
                        };
                        let built = self.leaf(nulls, data_type, op, None)?;
                        Ok(Built { least: size.map_or(1, u64::from), ..built })
                    }
                }
            }
            Schema::Enum(symbols) => {
                if symbols.symbols.is_empty() {
                    return Err(self.wrong("an enum without symbols"));
                }
                let count = symbols.symbols.len() as u32;
                let data_type = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
                let built = self.leaf(nulls, data_type, |column| Op::Enum { column, symbols: count }, None)?;
                let Shape::Value(Store::I32(column)) = built.shape else { return Ok(built) };
                let values = || Arc::new(StringArray::from_iter_values(&symbols.symbols)) as ArrayRef;
                let symbols = self.symbols.entry(symbols.name.fullname(None)).or_insert_with(values).clone();
                Ok(Built { shape: Shape::Enum { column, symbols }, ..built })
            }
            Schema::Array(array) => self.list(&array.items, nulls, depth, kept.part(0)),
            Schema::Map(map) => self.map(&map.types, nulls, depth, kept.part(0)),
            Schema::Union(union) => self.union(union, nulls, depth, kept),
            Schema::Record(record) => {
                self.open.push(record.name.fullname(None));
                let built = self.record(record, nulls, depth, kept);
                self.open.pop();
                built
            }
            Schema::Ref { name } => {
                let full = name.fullname(None);
                if self.open.contains(&full) {
                    return Err(AvroError::Recursive(full));
                }
                self.value(self.named(name)?, nulls, depth + 1, kept)
            }
        }
    }

    /// A type whose neighbours are read together, and with their unions.
    fn plain(
        &mut self,
        nulls: Nulls,
        data_type: DataType,
        op: fn(Row) -> Op,
        maybe: fn(Row, u8) -> Op,
    ) -> Result<Built, AvroError> {
        self.leaf(nulls, data_type, |column| op(Row::one(column)), Some(maybe))
    }

    fn int(&mut self, nulls: Nulls, data_type: DataType) -> Result<Built, AvroError> {
        self.plain(nulls, data_type, Op::Int, Op::MaybeInt)
    }

    fn long(&mut self, nulls: Nulls, data_type: DataType) -> Result<Built, AvroError> {
        self.plain(nulls, data_type, Op::Long, Op::MaybeLong)
    }

    fn bytes(&mut self, nulls: Nulls) -> Result<Built, AvroError> {
        self.plain(nulls, DataType::BinaryView, Op::Bytes, Op::MaybeBytes)
    }

    fn text(&mut self, nulls: Nulls) -> Result<Built, AvroError> {
        self.plain(nulls, DataType::Utf8View, Op::Text, Op::MaybeText)
    }

    fn size(&self, size: usize) -> Result<u32, AvroError> {
        match u32::try_from(size) {
            Ok(small) if u64::from(small) <= MAX_ALERT_BYTES => Ok(small),
            _ => Err(self.wrong(format!("a fixed of {size} bytes, more than {MAX_ALERT_BYTES}"))),
        }
    }

    /// Parquet has no values of no bytes, and Arrow would lose their number: a fixed of size 0 is an empty `BinaryView`.
    fn fixed(&mut self, size: usize, nulls: Nulls) -> Result<Built, AvroError> {
        let built = match self.size(size)? {
            0 => self.leaf(nulls, DataType::BinaryView, Op::Empty, None)?,
            size => self.leaf(nulls, DataType::FixedSizeBinary(size as i32), Op::Fixed, None)?,
        };
        Ok(Built { least: size as u64, ..built })
    }

    /// A column of plain values: its store follows from its type.
    fn leaf(
        &mut self,
        nulls: Nulls,
        data_type: DataType,
        op: impl Fn(u32) -> Op,
        maybe: Option<fn(Row, u8) -> Op>,
    ) -> Result<Built, AvroError> {
        let scope = self.scope;
        let layout = &mut self.layout;
        let (scopes, store, bytes, least): (_, fn(u32) -> Store, u64, u64) = match &data_type {
            DataType::Boolean => (&mut layout.booleans, Store::Boolean, 1, 1),
            DataType::Float32 => (&mut layout.f32s, Store::F32, 4, 4),
            DataType::Float64 => (&mut layout.f64s, Store::F64, 8, 8),
            DataType::BinaryView | DataType::Utf8View => (&mut layout.views, Store::View, 16, 1),
            DataType::Decimal128(..) => (&mut layout.i128s, Store::I128, 16, 1),
            DataType::Int64 | DataType::Time64(_) | DataType::Timestamp(..) => (&mut layout.i64s, Store::I64, 8, 1),
            DataType::FixedSizeBinary(size) => {
                let size = *size as u32;
                layout.fixed.push((scope, size));
                let column = layout.fixed.len() as u32 - 1;
                self.cost(u64::from(size));
                return self.leaf_ops(nulls, data_type, Store::Fixed(column), op(column), None, u64::from(size));
            }
            _ => (&mut layout.i32s, Store::I32, 4, 1),
        };
        scopes.push(scope);
        let column = scopes.len() as u32 - 1;
        self.cost(bytes);
        let maybe = match (nulls, maybe) {
            (Nulls::Branch(null_at), Some(maybe)) => Some(maybe(Row::one(column), null_at)),
            _ => None,
        };
        self.leaf_ops(nulls, data_type, store(column), op(column), maybe, least)
    }

    fn leaf_ops(
        &mut self,
        nulls: Nulls,
        data_type: DataType,
        store: Store,
        op: Op,
        maybe: Option<Op>,
        least: u64,
    ) -> Result<Built, AvroError> {
        let fillers = vec![Filler::Values { store, count: 1, null: nulls != Nulls::Never }];
        match (nulls, maybe) {
            (_, Some(maybe)) => self.push_field(maybe),
            (Nulls::Branch(null_at), None) => {
                let filling = self.filling(&fillers)?;
                let skip = self.here() + 2;
                self.push(Op::Maybe { null_at, filling, skip });
                self.push(op);
            }
            _ => self.push_field(op),
        }
        Ok(Built { shape: Shape::Value(store), data_type, nullable: nulls != Nulls::Never, least, fillers })
    }

    fn filling(&mut self, fillers: &[Filler]) -> Result<u32, AvroError> {
        self.filled += fillers.len();
        if self.filled > 32 * MAX_COLUMNS {
            return Err(AvroError::TooManyColumns);
        }
        let mut joined: Vec<Filler> = Vec::new();
        for filler in fillers {
            if !joined.last_mut().is_some_and(|last| last.join(*filler)) {
                joined.push(*filler);
            }
        }
        self.fillings.push(joined.into());
        Ok(self.fillings.len() as u32 - 1)
    }
}
