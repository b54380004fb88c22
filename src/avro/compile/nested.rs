//! Records, arrays, maps and unions: what takes several operations.

use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::schema::{RecordSchema, UnionSchema};
use arrow_schema::{DataType, Field, Fields};

use super::{Built, Compiler, Nulls};
use crate::avro::plan::{Filler, Item, Op, Shape};
use crate::avro::{AvroError, Kept};

impl<'a> Compiler<'a> {
    /// Something that takes several operations: `inside` compiles it, and null, where it can be, jumps over it.
    fn several(
        &mut self,
        nulls: Nulls,
        inside: impl FnOnce(&mut Self, Option<u32>) -> Result<Built, AvroError>,
    ) -> Result<Built, AvroError> {
        let scope = self.scope;
        let marks = self.marks(nulls);
        let gate = matches!(nulls, Nulls::Branch(_)).then(|| self.push(Op::Later));
        let mut built = inside(self, marks)?;
        built.nullable = marks.is_some();
        if let Some(marks) = marks {
            built.fillers.insert(0, Filler::Mark { marks, scope });
        }
        if let (Some(gate), Nulls::Branch(null_at)) = (gate, nulls) {
            let filling = self.filling(&built.fillers)?;
            self.ops[gate] = Op::Maybe { null_at, filling, skip: self.here() };
        }
        Ok(built)
    }

    pub(super) fn record(
        &mut self,
        record: &'a RecordSchema,
        nulls: Nulls,
        depth: usize,
        kept: &Kept,
    ) -> Result<Built, AvroError> {
        if record.fields.is_empty() {
            let built = self.leaf(nulls, DataType::Boolean, Op::Present, None)?;
            return Ok(Built { least: 0, ..built });
        }
        self.several(nulls, |this, marks| {
            let (mut children, mut fields, mut fillers, mut least) = (Vec::new(), Vec::new(), Vec::new(), 0u64);
            for (i, field) in record.fields.iter().enumerate() {
                let kept = kept.part(i);
                if *kept == Kept::Nothing {
                    let passed = this.below(&field.name, |this| this.skip(&field.schema, None))?;
                    least = least.saturating_add(passed);
                    continue;
                }
                let built = this.below(&field.name, |this| this.value(&field.schema, Nulls::Never, depth + 1, kept))?;
                fields.push(Field::new(&field.name, built.data_type, built.nullable));
                children.push(built.shape);
                fillers.extend(built.fillers);
                least = least.saturating_add(built.least);
            }
            let fields = Fields::from(fields);
            let data_type = DataType::Struct(fields.clone());
            Ok(Built { shape: Shape::Struct { fields, children, marks }, data_type, nullable: false, least, fillers })
        })
    }

    /// Items of an array or a map: `inside` compiles one.
    fn items(
        &mut self,
        nulls: Nulls,
        inside: impl FnOnce(&mut Self, u32, Option<u32>) -> Result<(Shape, DataType, u64), AvroError>,
    ) -> Result<Built, AvroError> {
        self.cost(4);
        self.several(nulls, |this, marks| {
            let outer = this.scope;
            this.layout.lists.push(outer);
            this.items.push(Item::default());
            let list = this.items.len() as u32 - 1;
            this.scope = list + 1;
            let start = this.push(Op::Later);
            let (shape, data_type, least) = this.below("item", |this| inside(this, list, marks))?;
            this.push(Op::Next);
            this.ops[start] = Op::Array { list, end: this.here() };
            this.items[list as usize].least = least;
            this.scope = outer;
            Ok(Built { shape, data_type, nullable: false, least: 1, fillers: vec![Filler::List(list)] })
        })
    }

    pub(super) fn list(&mut self, item: &'a Schema, nulls: Nulls, depth: usize, kept: &Kept) -> Result<Built, AvroError> {
        self.items(nulls, |this, list, marks| {
            let built = this.value(item, Nulls::Never, depth + 1, kept)?;
            let field = Field::new("item", built.data_type, built.nullable);
            Ok((Shape::List { list, item: Box::new(built.shape), marks }, DataType::List(Arc::new(field)), built.least))
        })
    }

    pub(super) fn map(&mut self, value: &'a Schema, nulls: Nulls, depth: usize, kept: &Kept) -> Result<Built, AvroError> {
        self.items(nulls, |this, list, marks| {
            let key = this.text(Nulls::Never)?;
            let value = this.value(value, Nulls::Never, depth + 1, kept)?;
            let entries =
                Fields::from(vec![Field::new("key", key.data_type, false), Field::new("value", value.data_type, value.nullable)]);
            let field = Field::new("entries", DataType::Struct(entries), false);
            let shape = Shape::Map { list, key: Box::new(key.shape), value: Box::new(value.shape), marks };
            Ok((shape, DataType::Map(Arc::new(field), false), key.least.saturating_add(value.least)))
        })
    }

    pub(super) fn union(&mut self, union: &'a UnionSchema, nulls: Nulls, depth: usize, kept: &Kept) -> Result<Built, AvroError> {
        let branches = union.variants();
        let one_more = |built: Built| Built { least: built.least.saturating_add(1), ..built };
        match branches {
            [] => Err(self.wrong("a union without branches")),
            [only] => {
                self.push(Op::Only);
                self.value(only, nulls, depth + 1, kept).map(one_more)
            }
            [Schema::Null, other] => self.value(other, Nulls::Branch(0), depth + 1, kept).map(|b| Built { least: 1, ..b }),
            [other, Schema::Null] => self.value(other, Nulls::Branch(1), depth + 1, kept).map(|b| Built { least: 1, ..b }),
            _ => self.members(branches, depth, kept),
        }
    }

    /// A union of several types: a struct of which exactly one member is set, or none where that one is not kept. It never
    /// lies in a union directly, so that the only null is its own.
    fn members(&mut self, branches: &'a [Schema], depth: usize, kept: &Kept) -> Result<Built, AvroError> {
        let null = branches.iter().any(|b| matches!(b, Schema::Null));
        let scope = self.scope;
        let marks = self.marks(if null { Nulls::Outside } else { Nulls::Never });
        let table = self.tables.len() as u32;
        self.tables.push(Box::default());
        self.push(Op::Union { table });
        let (mut targets, mut jumps, mut fills) = (Vec::new(), Vec::new(), Vec::new());
        let (mut children, mut fields, mut fillers) = (Vec::new(), Vec::new(), Vec::new());
        let mut number = 0;
        for branch in branches {
            targets.push(self.here());
            fills.push(self.push(Op::Later));
            if matches!(branch, Schema::Null) {
                fillers.push(Vec::new());
            } else {
                let (name, kept) = (format!("member{number}"), kept.part(number));
                number += 1;
                if *kept == Kept::Nothing {
                    self.below(&name, |this| this.skip(branch, None))?;
                    fillers.push(Vec::new());
                } else {
                    let built = self.below(&name, |this| this.value(branch, Nulls::Outside, depth + 1, kept))?;
                    fields.push(Field::new(name, built.data_type, true));
                    children.push(built.shape);
                    fillers.push(built.fillers);
                }
            }
            jumps.push(self.push(Op::Later));
        }
        let end = self.here();
        for (i, branch) in branches.iter().enumerate() {
            let own_null = marks.filter(|_| matches!(branch, Schema::Null)).map(|marks| Filler::Mark { marks, scope });
            let others = fillers.iter().enumerate().filter(|(j, _)| *j != i).flat_map(|(_, f)| f.iter().copied());
            let all: Vec<Filler> = own_null.into_iter().chain(others).collect();
            self.ops[fills[i]] = Op::Fill(self.filling(&all)?);
            self.ops[jumps[i]] = Op::Jump(end);
        }
        self.tables[table as usize] = targets.into();
        let fillers = marks.map(|marks| Filler::Mark { marks, scope }).into_iter().chain(fillers.into_iter().flatten()).collect();
        let fields = Fields::from(fields);
        let data_type = DataType::Struct(fields.clone());
        Ok(Built { shape: Shape::Struct { fields, children, marks }, data_type, nullable: null, least: 1, fillers })
    }
}
