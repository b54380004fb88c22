//! Moving past values that are not wanted. Neighbours that are skipped in the same manner become one operation.
//!
//! **Invariant:** what is compiled here has been compiled whole before, so that its depth and size are sane.

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, UuidSchema};

use super::Compiler;
use crate::avro::AvroError;
use crate::avro::plan::Op;

/// A value that is skipped by one operation.
#[derive(Clone, Copy)]
enum Single {
    /// So many bytes.
    Bytes(u32),
    /// A variable-length integer.
    Number,
    /// A length and its bytes.
    Sized,
}

impl Single {
    fn of(schema: &Schema) -> Option<Single> {
        // What is longer has been refused.
        let bytes = |size: usize| Some(Single::Bytes(u32::try_from(size).unwrap_or(u32::MAX)));
        match schema {
            Schema::Null => bytes(0),
            Schema::Boolean => bytes(1),
            Schema::Float => bytes(4),
            Schema::Double => bytes(8),
            Schema::Fixed(fixed)
            | Schema::Duration(fixed)
            | Schema::Uuid(UuidSchema::Fixed(fixed))
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => bytes(fixed.size),
            Schema::Bytes | Schema::String | Schema::BigDecimal | Schema::Uuid(_) | Schema::Decimal(_) => Some(Single::Sized),
            Schema::Array(_) | Schema::Map(_) | Schema::Union(_) | Schema::Record(_) | Schema::Ref { .. } => None,
            _ => Some(Single::Number),
        }
    }

    /// Bytes that it has at least.
    fn least(self) -> u64 {
        match self {
            Single::Bytes(size) => u64::from(size),
            Single::Number | Single::Sized => 1,
        }
    }
}

impl<'a> Compiler<'a> {
    /// Compiles moving past a value, which is null where the branch of its union is `null_at`. Gives the bytes that it has at
    /// least.
    pub(super) fn skip(&mut self, schema: &'a Schema, null_at: Option<u8>) -> Result<u64, AvroError> {
        let schema = match schema {
            Schema::Ref { name } => self.named(name)?,
            other => other,
        };
        if let Some(single) = Single::of(schema) {
            self.skip_single(single, null_at);
            return Ok(if null_at.is_some() { 1 } else { single.least() });
        }
        let gate = null_at.map(|null_at| (null_at, self.push(Op::Later)));
        let least = match schema {
            Schema::Record(record) => {
                let mut least = 0u64;
                for field in &record.fields {
                    least = least.saturating_add(self.below(&field.name, |this| this.skip(&field.schema, None))?);
                }
                least
            }
            Schema::Array(array) => self.skip_items(&array.items, false)?,
            Schema::Map(map) => self.skip_items(&map.types, true)?,
            Schema::Union(union) => match union.variants() {
                [only] => {
                    self.push(Op::Only);
                    self.skip(only, None)?.saturating_add(1)
                }
                [Schema::Null, other] => self.skip(other, Some(0))?,
                [other, Schema::Null] => self.skip(other, Some(1))?,
                branches => self.skip_members(branches)?,
            },
            _ => 0,
        };
        let Some((null_at, gate)) = gate else { return Ok(least) };
        self.ops[gate] = Op::SkipNull { null_at, to: self.here() };
        Ok(1)
    }

    fn skip_single(&mut self, single: Single, null_at: Option<u8>) {
        let op = match (single, null_at) {
            (Single::Bytes(0), None) => return,
            (Single::Bytes(size), None) => Op::Skip(size),
            (Single::Number, None) => Op::SkipNumbers(1),
            (Single::Sized, None) => Op::SkipSized(1),
            (Single::Bytes(size), Some(null_at)) => Op::SkipMaybe { null_at, size, count: 1 },
            (Single::Number, Some(null_at)) => Op::SkipMaybeNumbers { null_at, count: 1 },
            (Single::Sized, Some(null_at)) => Op::SkipMaybeSized { null_at, count: 1 },
        };
        let within = self.ops.len() > self.target as usize;
        match (self.ops.last_mut().filter(|_| within), op) {
            (Some(Op::Skip(all)), Op::Skip(size)) if all.checked_add(size).is_some() => *all += size,
            (Some(Op::SkipNumbers(count)), Op::SkipNumbers(_)) | (Some(Op::SkipSized(count)), Op::SkipSized(_)) => *count += 1,
            (Some(Op::SkipMaybe { null_at: at, size: all, count }), Op::SkipMaybe { null_at, size, .. })
                if (*at, *all) == (null_at, size) =>
            {
                *count += 1;
            }
            (Some(Op::SkipMaybeNumbers { null_at: at, count }), Op::SkipMaybeNumbers { null_at, .. })
            | (Some(Op::SkipMaybeSized { null_at: at, count }), Op::SkipMaybeSized { null_at, .. })
                if *at == null_at =>
            {
                *count += 1;
            }
            _ => {
                self.push(op);
            }
        }
    }

    /// Items of an array, or keys and values of a map.
    fn skip_items(&mut self, item: &'a Schema, keys: bool) -> Result<u64, AvroError> {
        let start = self.push(Op::Later);
        if keys {
            self.skip_single(Single::Sized, None);
        }
        let least = self.below("item", |this| this.skip(item, None))?.saturating_add(u64::from(keys));
        let least = u32::try_from(least).unwrap_or(u32::MAX);
        let size = match self.ops[start + 1..] {
            [] => Some(0),
            [Op::Skip(size)] => Some(size),
            _ => None,
        };
        if let Some(size) = size {
            self.ops.truncate(start + 1);
            self.owners.truncate(start + 1);
            self.ops[start] = Op::SkipItems { size };
        } else {
            self.push(Op::SkipNext { least });
            self.ops[start] = Op::SkipArray { least, end: self.here() };
        }
        Ok(1)
    }

    fn skip_members(&mut self, branches: &'a [Schema]) -> Result<u64, AvroError> {
        let table = self.tables.len();
        self.tables.push(Box::default());
        self.push(Op::Union { table: table as u32 });
        let (mut targets, mut jumps) = (Vec::new(), Vec::new());
        for branch in branches {
            targets.push(self.here());
            self.skip(branch, None)?;
            jumps.push(self.push(Op::Later));
        }
        let end = self.here();
        jumps.into_iter().for_each(|jump| self.ops[jump] = Op::Jump(end));
        self.tables[table] = targets.into();
        Ok(1)
    }
}
