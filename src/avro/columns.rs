//! The columns that a plan appends to, and how a bad alert is taken back.
//!
//! **Invariants:** a column has as many values as its scope has items. Nulls are kept as positions, so that a value that is
//! there costs nothing beyond itself; a null has a stand-in among the values.

use super::MAX_ALERT_BYTES;
use super::plan::{Filler, Layout, Plan, Store};

/// Values of one type, with the positions that are null.
#[derive(Debug)]
pub(super) struct Column<T> {
    pub values: Vec<T>,
    pub nulls: Vec<u32>,
    scope: u32,
    /// Values that it had last time, to grow at once.
    last: usize,
}

impl<T: Copy + Default> Column<T> {
    fn new(scope: u32) -> Self {
        Self { values: Vec::new(), nulls: Vec::new(), scope, last: 0 }
    }

    fn of(scopes: &[u32]) -> Vec<Self> {
        scopes.iter().map(|scope| Self::new(*scope)).collect()
    }

    #[inline(always)]
    pub fn push(&mut self, value: T) {
        self.values.push(value);
    }

    #[inline(always)]
    pub fn push_null(&mut self) {
        self.nulls.push(self.values.len() as u32);
        self.values.push(T::default());
    }

    fn truncate(&mut self, length: usize) {
        self.values.truncate(length);
        cut(&mut self.nulls, length);
    }

    pub fn take(&mut self) -> (Vec<T>, Vec<u32>) {
        self.last = self.values.len();
        (std::mem::take(&mut self.values), std::mem::take(&mut self.nulls))
    }
}

/// Takes back the positions that are not below `length`.
fn cut(positions: &mut Vec<u32>, length: usize) {
    while positions.last().is_some_and(|p| *p as usize >= length) {
        positions.pop();
    }
}

/// Values of a fixed size, one after the other.
#[derive(Debug)]
pub(super) struct FixedColumn {
    pub bytes: Column<u8>,
    pub size: usize,
}

impl FixedColumn {
    pub fn push(&mut self, value: &[u8]) {
        self.bytes.values.extend_from_slice(value);
    }

    pub fn push_null(&mut self) {
        self.bytes.nulls.push((self.bytes.values.len() / self.size) as u32);
        self.push_stand_in();
    }

    pub fn push_stand_in(&mut self) {
        self.bytes.values.resize(self.bytes.values.len() + self.size, 0);
    }
}

/// Where the items of each list end.
#[derive(Debug)]
pub(super) struct Offsets {
    pub ends: Vec<i32>,
    scope: u32,
}

/// Where a struct or a list is null.
#[derive(Debug)]
pub(super) struct Marks {
    pub nulls: Vec<u32>,
    scope: u32,
}

/// An array or a map that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub body: u32,
    pub end: u32,
    pub list: u32,
    pub remaining: u64,
}

/// Bytes that a batch may still take for columns and decompressed data, beyond what its messages have themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// What is left.
    pub left: u64,
}

impl Allowance {
    /// What a batch of `bytes` is granted: several times its own size, so that only bombs meet it.
    pub fn of_batch(bytes: usize) -> Self {
        Self { left: 4 * MAX_ALERT_BYTES + 16 * bytes as u64 }
    }

    /// What one alert may take of it.
    pub fn of_alert(self) -> u64 {
        self.left.min(MAX_ALERT_BYTES)
    }
}

/// All columns of a schema.
#[derive(Debug)]
pub(crate) struct Columns {
    /// Items per scope.
    pub(super) lengths: Vec<u32>,
    pub(super) booleans: Vec<Column<bool>>,
    pub(super) i32s: Vec<Column<i32>>,
    pub(super) i64s: Vec<Column<i64>>,
    pub(super) f32s: Vec<Column<f32>>,
    pub(super) f64s: Vec<Column<f64>>,
    pub(super) views: Vec<Column<u128>>,
    pub(super) i128s: Vec<Column<i128>>,
    pub(super) fixed: Vec<FixedColumn>,
    pub(super) lists: Vec<Offsets>,
    pub(super) marks: Vec<Marks>,
    pub(super) frames: Vec<Frame>,
}

impl Columns {
    /// Empty columns for a plan.
    pub fn new(plan: &Plan) -> Self {
        let layout: &Layout = &plan.layout;
        Self {
            lengths: vec![0; layout.lists.len() + 1],
            booleans: Column::of(&layout.booleans),
            i32s: Column::of(&layout.i32s),
            i64s: Column::of(&layout.i64s),
            f32s: Column::of(&layout.f32s),
            f64s: Column::of(&layout.f64s),
            views: Column::of(&layout.views),
            i128s: Column::of(&layout.i128s),
            fixed: layout
                .fixed
                .iter()
                .map(|(scope, size)| FixedColumn { bytes: Column::new(*scope), size: *size as usize })
                .collect(),
            lists: layout.lists.iter().map(|scope| Offsets { ends: vec![0], scope: *scope }).collect(),
            marks: layout.marks.iter().map(|scope| Marks { nulls: Vec::new(), scope: *scope }).collect(),
            frames: Vec::new(),
        }
    }

    /// Alerts held.
    pub fn rows(&self) -> usize {
        self.lengths[0] as usize
    }

    /// Grows every column at once to what it held last time.
    pub fn prepare(&mut self) {
        fn grow<T>(columns: &mut [Column<T>]) {
            for column in columns {
                column.values.reserve(column.last);
            }
        }
        grow(&mut self.booleans);
        grow(&mut self.i32s);
        grow(&mut self.i64s);
        grow(&mut self.f32s);
        grow(&mut self.f64s);
        grow(&mut self.views);
        grow(&mut self.i128s);
        for column in &mut self.fixed {
            column.bytes.values.reserve(column.bytes.last);
        }
    }

    /// Takes back every alert from `rows` on, and what was begun of one.
    pub fn truncate(&mut self, rows: usize) {
        self.lengths[0] = rows as u32;
        // The scope of a list is always before that of its items.
        for (i, list) in self.lists.iter_mut().enumerate() {
            list.ends.truncate(self.lengths[list.scope as usize] as usize + 1);
            self.lengths[i + 1] = list.ends.last().map_or(0, |end| *end as u32);
        }
        let lengths = &self.lengths;
        fn all<T: Copy + Default>(columns: &mut [Column<T>], lengths: &[u32]) {
            for column in columns {
                column.truncate(lengths[column.scope as usize] as usize);
            }
        }
        all(&mut self.booleans, lengths);
        all(&mut self.i32s, lengths);
        all(&mut self.i64s, lengths);
        all(&mut self.f32s, lengths);
        all(&mut self.f64s, lengths);
        all(&mut self.views, lengths);
        all(&mut self.i128s, lengths);
        for column in &mut self.fixed {
            let length = lengths[column.bytes.scope as usize] as usize;
            column.bytes.values.truncate(length * column.size);
            cut(&mut column.bytes.nulls, length);
        }
        for marks in &mut self.marks {
            cut(&mut marks.nulls, lengths[marks.scope as usize] as usize);
        }
        self.frames.clear();
    }

    /// Keeps columns as long as their neighbours.
    pub(super) fn fill(&mut self, fillers: &[Filler]) {
        fn one<T: Copy + Default>(column: &mut Column<T>, null: bool) {
            if null { column.push_null() } else { column.push(T::default()) }
        }
        for filler in fillers {
            match *filler {
                Filler::Value { store, null } => match store {
                    Store::Boolean(c) => one(&mut self.booleans[c as usize], null),
                    Store::I32(c) => one(&mut self.i32s[c as usize], null),
                    Store::I64(c) => one(&mut self.i64s[c as usize], null),
                    Store::F32(c) => one(&mut self.f32s[c as usize], null),
                    Store::F64(c) => one(&mut self.f64s[c as usize], null),
                    Store::View(c) => one(&mut self.views[c as usize], null),
                    Store::I128(c) => one(&mut self.i128s[c as usize], null),
                    Store::Fixed(c) if null => self.fixed[c as usize].push_null(),
                    Store::Fixed(c) => self.fixed[c as usize].push_stand_in(),
                },
                Filler::List(list) => {
                    let end = self.lengths[list as usize + 1] as i32;
                    self.lists[list as usize].ends.push(end);
                }
                Filler::Mark { marks, scope } => {
                    let position = self.lengths[scope as usize];
                    self.marks[marks as usize].nulls.push(position);
                }
            }
        }
    }
}
