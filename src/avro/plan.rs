//! The plan: what is done, in which order, to decode one datum of a schema.
//!
//! **Invariant:** the operations are flat; arrays and maps loop, unions jump forward. Every index in an operation is valid
//! for the columns made by the same plan's layout.

use std::ops::Range;

use arrow_array::ArrayRef;
use arrow_schema::Fields;

/// Neighbouring fields of the same type: each has a column, and those are neighbours too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub first: u32,
    pub count: u32,
}

impl Row {
    pub fn one(column: u32) -> Row {
        Row { first: column, count: 1 }
    }

    /// The columns, among those of their type.
    #[inline(always)]
    pub fn columns(self) -> Range<usize> {
        self.first as usize..(self.first + self.count) as usize
    }
}

/// One step of decoding. The numbers are indices into the columns of the type that the step appends to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Boolean(Row),
    Int(Row),
    Long(Row),
    Float(Row),
    Double(Row),
    Bytes(Row),
    Text(Row),
    Fixed(u32),
    Enum {
        column: u32,
        symbols: u32,
    },
    DecimalBytes(u32),
    DecimalFixed {
        column: u32,
        size: u32,
    },
    /// A record without fields.
    Present(u32),
    /// A fixed of no bytes.
    Empty(u32),
    /// The same in a union with null, whose branch is the second number: nine of ten fields of real alerts.
    MaybeBoolean(Row, u8),
    MaybeInt(Row, u8),
    MaybeLong(Row, u8),
    MaybeFloat(Row, u8),
    MaybeDouble(Row, u8),
    MaybeBytes(Row, u8),
    MaybeText(Row, u8),
    /// A union with null of anything else: null fills the columns below and goes to `skip`.
    Maybe {
        null_at: u8,
        filling: u32,
        skip: u32,
    },
    /// A union of one branch.
    Only,
    /// Any other union: goes where the table says.
    Union {
        table: u32,
    },
    /// Nulls, or what stands in for them, in the columns of a branch that was not chosen.
    Fill(u32),
    Jump(u32),
    /// Items up to the matching `Next`; `end` is behind it.
    Array {
        list: u32,
        end: u32,
    },
    Next,
    /// What comes from here on moves past values that are not wanted. This many bytes.
    Skip(u32),
    /// This many variable-length integers.
    SkipNumbers(u32),
    /// This many lengths, each with its bytes.
    SkipSized(u32),
    /// `count` unions with null of values of `size` bytes.
    SkipMaybe {
        null_at: u8,
        size: u32,
        count: u32,
    },
    SkipMaybeNumbers {
        null_at: u8,
        count: u32,
    },
    SkipMaybeSized {
        null_at: u8,
        count: u32,
    },
    /// A union with null of anything else: null goes to `to`.
    SkipNull {
        null_at: u8,
        to: u32,
    },
    /// Items of `size` bytes each.
    SkipItems {
        size: u32,
    },
    /// Items up to the matching `SkipNext`, of at least so many bytes; `end` is behind it.
    SkipArray {
        least: u32,
        end: u32,
    },
    SkipNext {
        least: u32,
    },
    /// Stands where an operation will be that is not known yet.
    Later,
}

impl Op {
    /// Takes the field behind into this step where it is of the same kind and its column is the next one.
    pub fn join(&mut self, behind: Op) -> bool {
        let (row, next) = match (self, behind) {
            (Op::Boolean(row), Op::Boolean(next))
            | (Op::Int(row), Op::Int(next))
            | (Op::Long(row), Op::Long(next))
            | (Op::Float(row), Op::Float(next))
            | (Op::Double(row), Op::Double(next))
            | (Op::Bytes(row), Op::Bytes(next))
            | (Op::Text(row), Op::Text(next)) => (row, next),
            (Op::MaybeBoolean(row, null), Op::MaybeBoolean(next, at))
            | (Op::MaybeInt(row, null), Op::MaybeInt(next, at))
            | (Op::MaybeLong(row, null), Op::MaybeLong(next, at))
            | (Op::MaybeFloat(row, null), Op::MaybeFloat(next, at))
            | (Op::MaybeDouble(row, null), Op::MaybeDouble(next, at))
            | (Op::MaybeBytes(row, null), Op::MaybeBytes(next, at))
            | (Op::MaybeText(row, null), Op::MaybeText(next, at))
                if *null == at =>
            {
                (row, next)
            }
            _ => return false,
        };
        let neighbours = row.first + row.count == next.first;
        if neighbours {
            row.count += next.count;
        }
        neighbours
    }

    /// Fields that it reads.
    pub fn fields(self) -> u32 {
        self.row().map_or(1, |(row, _)| row.count)
    }

    /// The columns of the fields that it reads where they are several, as the store of the first one.
    pub fn row(self) -> Option<(Row, Store)> {
        Some(match self {
            Op::Boolean(row) | Op::MaybeBoolean(row, _) => (row, Store::Boolean(row.first)),
            Op::Int(row) | Op::MaybeInt(row, _) => (row, Store::I32(row.first)),
            Op::Long(row) | Op::MaybeLong(row, _) => (row, Store::I64(row.first)),
            Op::Float(row) | Op::MaybeFloat(row, _) => (row, Store::F32(row.first)),
            Op::Double(row) | Op::MaybeDouble(row, _) => (row, Store::F64(row.first)),
            Op::Bytes(row) | Op::MaybeBytes(row, _) | Op::Text(row) | Op::MaybeText(row, _) => (row, Store::View(row.first)),
            _ => return None,
        })
    }

    /// Whether it only moves on in the datum.
    pub fn leaves_columns_alone(self) -> bool {
        matches!(
            self,
            Op::Only
                | Op::Union { .. }
                | Op::Jump(_)
                | Op::Skip(_)
                | Op::SkipNumbers(_)
                | Op::SkipSized(_)
                | Op::SkipMaybe { .. }
                | Op::SkipMaybeNumbers { .. }
                | Op::SkipMaybeSized { .. }
                | Op::SkipNull { .. }
                | Op::SkipItems { .. }
                | Op::SkipArray { .. }
                | Op::SkipNext { .. }
        )
    }
}

/// A column of plain values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Boolean(u32),
    I32(u32),
    I64(u32),
    F32(u32),
    F64(u32),
    View(u32),
    I128(u32),
    Fixed(u32),
}

/// What keeps a column as long as its neighbours when there is no value for it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Filler {
    /// A value in each of `count` columns, of which `store` is the first.
    Values { store: Store, count: u32, null: bool },
    /// An empty list.
    List(u32),
    /// A null list or struct.
    Mark { marks: u32, scope: u32 },
}

impl Filler {
    /// Takes the column behind into this one where it is filled alike.
    pub fn join(&mut self, behind: Filler) -> bool {
        let (Filler::Values { store, count, null }, Filler::Values { store: next, count: more, null: its }) = (self, behind)
        else {
            return false;
        };
        let neighbours = *null == its
            && match (*store, next) {
                (Store::Boolean(a), Store::Boolean(b))
                | (Store::I32(a), Store::I32(b))
                | (Store::I64(a), Store::I64(b))
                | (Store::F32(a), Store::F32(b))
                | (Store::F64(a), Store::F64(b))
                | (Store::View(a), Store::View(b))
                | (Store::I128(a), Store::I128(b))
                | (Store::Fixed(a), Store::Fixed(b)) => a + *count == b,
                _ => false,
            };
        if neighbours {
            *count += more;
        }
        neighbours
    }
}

/// How long an item of a list is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Item {
    /// Bytes that its columns take.
    pub cost: u64,
    /// Bytes that it has in the datum at least.
    pub least: u64,
}

/// Which column belongs to which scope. Scope 0 is the alerts themselves, scope `n + 1` the items of list `n`. A column has
/// as many values as its scope has items, which is how a bad alert is taken back without anything being noted beforehand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    pub booleans: Vec<u32>,
    pub i32s: Vec<u32>,
    pub i64s: Vec<u32>,
    pub f32s: Vec<u32>,
    pub f64s: Vec<u32>,
    pub views: Vec<u32>,
    pub i128s: Vec<u32>,
    /// Scope and size.
    pub fixed: Vec<(u32, u32)>,
    /// The scope that a list itself is in.
    pub lists: Vec<u32>,
    /// Nulls of structs, lists and maps.
    pub marks: Vec<u32>,
}

/// How columns become one array again.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Null,
    Value(Store),
    Enum { column: u32, symbols: ArrayRef },
    Struct { fields: Fields, children: Vec<Shape>, marks: Option<u32> },
    List { list: u32, item: Box<Shape>, marks: Option<u32> },
    Map { list: u32, key: Box<Shape>, value: Box<Shape>, marks: Option<u32> },
}

/// A compiled schema.
#[derive(Debug)]
pub(crate) struct Plan {
    pub ops: Vec<Op>,
    /// From this operation on there is nothing that is wanted.
    pub stop: u32,
    /// The segment of the field that each operation belongs to, for messages; of the first where they are several, which have
    /// segments one after the other.
    pub owners: Vec<u32>,
    pub segments: Vec<Segment>,
    pub tables: Vec<Box<[u32]>>,
    pub fillings: Vec<Box<[Filler]>>,
    /// Per list.
    pub items: Vec<Item>,
    pub record: Item,
    pub layout: Layout,
    pub shapes: Vec<Shape>,
}

/// A field by its own name and the segment of the field around it; segment 0 is the record itself.
#[derive(Debug)]
pub(crate) struct Segment {
    pub outer: u32,
    pub name: Box<str>,
}

/// Path of a field, such as `candidate.ra`.
pub(crate) fn path(segments: &[Segment], mut at: u32) -> String {
    let mut names = Vec::new();
    while at != 0 {
        let segment = &segments[at as usize];
        names.push(&*segment.name);
        at = segment.outer;
    }
    names.reverse();
    names.join(".")
}
