//! The plan: what is done, in which order, to decode one datum of a schema.
//!
//! **Invariant:** the operations are flat; arrays and maps loop, unions jump forward. Every index in an operation is valid
//! for the columns made by the same plan's layout.

use arrow_array::ArrayRef;
use arrow_schema::Fields;

/// One step of decoding. The numbers are indices into the columns of the type that the step appends to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Boolean(u32),
    Int(u32),
    Long(u32),
    Float(u32),
    Double(u32),
    Bytes(u32),
    Text(u32),
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
    MaybeBoolean(u32, u8),
    MaybeInt(u32, u8),
    MaybeLong(u32, u8),
    MaybeFloat(u32, u8),
    MaybeDouble(u32, u8),
    MaybeBytes(u32, u8),
    MaybeText(u32, u8),
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
    Value {
        store: Store,
        null: bool,
    },
    /// An empty list.
    List(u32),
    /// A null list or struct.
    Mark {
        marks: u32,
        scope: u32,
    },
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
    /// The segment of the field that each operation belongs to, for messages.
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
