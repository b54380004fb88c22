//! The columns that a plan appends to, and how a bad alert is taken back.
//!
//! **Invariants:** a column has as many values as its scope has items. Nulls are noted where they are, so that a value that is
//! there costs nothing beyond itself; a null has a stand-in among the values.

use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};

use super::MAX_ALERT_BYTES;
use super::plan::{Filler, Layout, Plan, Row, Store};

/// Where a column has nulls.
#[derive(Debug, Default)]
pub(super) struct Nulls {
    /// A bit for each value, 1 where it is there. Behind the last byte nothing is null.
    bits: Vec<u8>,
}

impl Nulls {
    #[inline(always)]
    pub fn mark(&mut self, position: usize) {
        if position / 8 >= self.bits.len() {
            self.grow(position);
        }
        self.bits[position / 8] &= !(1 << (position % 8));
    }

    #[cold]
    fn grow(&mut self, position: usize) {
        self.bits.resize(position / 8 + 32, 0xff);
    }

    /// Takes back what is not below `length`.
    fn truncate(&mut self, length: usize) {
        self.bits.truncate(length.div_ceil(8));
        if let Some(last) = self.bits.get_mut(length / 8) {
            *last |= 0xff << (length % 8);
        }
    }

    /// What Arrow has for it, where anything is null among `length` values. It is empty again.
    pub fn take(&mut self, length: usize) -> Option<NullBuffer> {
        if self.bits.is_empty() {
            return None;
        }
        let capacity = self.bits.len();
        let mut bits = std::mem::replace(&mut self.bits, Vec::with_capacity(capacity));
        bits.resize(length.div_ceil(8), 0xff);
        Some(NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bits), 0, length))).filter(|nulls| nulls.null_count() > 0)
    }
}

/// Values of one type, with what is null among them. What is touched for every value is in one line of the cache.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Column<T> {
    /// Behind some that are nobody's.
    values: Vec<T>,
    nulls: Nulls,
    /// How many are nobody's.
    padding: u32,
    scope: u32,
    /// Values that it had last time, to grow at once.
    last: u32,
}

impl<T: Copy + Default> Column<T> {
    pub fn new(scope: u32) -> Self {
        Self { values: Vec::new(), nulls: Nulls::default(), padding: 0, scope, last: 0 }
    }

    fn of(scopes: &[u32]) -> Vec<Self> {
        scopes.iter().map(|scope| Self::new(*scope)).collect()
    }

    #[inline(always)]
    pub fn len(&self) -> usize {
        self.values.len() - self.padding as usize
    }

    #[inline(always)]
    pub fn push(&mut self, value: T) {
        self.values.push(value);
    }

    #[inline(always)]
    pub fn push_null(&mut self) {
        self.nulls.mark(self.len());
        self.values.push(T::default());
    }

    fn truncate(&mut self, length: usize) {
        self.values.truncate(self.padding as usize + length);
        self.nulls.truncate(length);
    }

    /// Grows at once to what it held last time, and somewhat more. Columns grow side by side. As allocators give large blocks
    /// at whole pages, the ends of all columns would compete for the same few lines of the processor's first cache, which took
    /// three times as long; so each begins at another line of its block. `number` counts all columns of a schema.
    fn prepare(&mut self, number: &mut u32) {
        const LINE: usize = 64;
        const PAGE: usize = 4096;
        *number += 1;
        let last = self.last as usize;
        if !self.values.is_empty() || last == 0 {
            return;
        }
        let lines = (last * size_of::<T>()).min(PAGE) / LINE;
        // Multiples of the golden ratio are spread evenly, however many there are.
        let line = (u64::from(number.wrapping_mul(0x9e37_79b9)) * lines as u64) >> 32;
        let padding = line as usize * LINE / size_of::<T>();
        self.padding = padding as u32;
        self.values.reserve(padding + last + last / 8);
        self.values.resize(padding, T::default());
    }

    /// All values, for Arrow, and what is null among them. It is empty again.
    pub fn take(&mut self) -> (ScalarBuffer<T>, Option<NullBuffer>)
    where
        T: ArrowNativeType,
    {
        let length = self.len();
        let values = Buffer::from_vec(std::mem::take(&mut self.values));
        let values = ScalarBuffer::new(values, self.padding as usize, length);
        (self.last, self.padding) = (length as u32, 0);
        (values, self.nulls.take(length))
    }
}

impl Column<bool> {
    /// As [`Column::take`], packed.
    pub fn take_bits(&mut self) -> (BooleanBuffer, Option<NullBuffer>) {
        let length = self.len();
        let bits = BooleanBuffer::from(&self.values[self.padding as usize..]);
        self.values.truncate(self.padding as usize);
        self.last = length as u32;
        (bits, self.nulls.take(length))
    }
}

/// Values of a fixed size, one after the other.
#[derive(Debug)]
pub(super) struct FixedColumn {
    values: Vec<u8>,
    nulls: Nulls,
    pub size: usize,
    scope: u32,
    /// Bytes that it had last time, to grow at once.
    last: usize,
}

impl FixedColumn {
    pub fn push(&mut self, value: &[u8]) {
        self.values.extend_from_slice(value);
    }

    pub fn push_null(&mut self) {
        self.nulls.mark(self.values.len() / self.size);
        self.push_stand_in();
    }

    pub fn push_stand_in(&mut self) {
        self.values.resize(self.values.len() + self.size, 0);
    }

    /// All values, for Arrow, and what is null among them. It is empty again.
    pub fn take(&mut self) -> (Buffer, Option<NullBuffer>) {
        self.last = self.values.len();
        let nulls = self.nulls.take(self.last / self.size);
        (Buffer::from_vec(std::mem::take(&mut self.values)), nulls)
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
    pub nulls: Nulls,
    scope: u32,
}

/// An array or a map that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub body: u32,
    pub end: u32,
    pub list: u32,
    pub remaining: u64,
    /// Where the block ends, if it says so.
    pub ends: Option<usize>,
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
                .map(|(scope, size)| FixedColumn {
                    values: Vec::new(),
                    nulls: Nulls::default(),
                    size: *size as usize,
                    scope: *scope,
                    last: 0,
                })
                .collect(),
            lists: layout.lists.iter().map(|scope| Offsets { ends: vec![0], scope: *scope }).collect(),
            marks: layout.marks.iter().map(|scope| Marks { nulls: Nulls::default(), scope: *scope }).collect(),
            frames: Vec::new(),
        }
    }

    /// Alerts held.
    pub fn rows(&self) -> usize {
        self.lengths[0] as usize
    }

    /// Makes room for what every column held last time.
    pub fn prepare(&mut self) {
        fn all<T: Copy + Default>(columns: &mut [Column<T>], number: &mut u32) {
            columns.iter_mut().for_each(|column| column.prepare(number));
        }
        let mut number = 0;
        all(&mut self.booleans, &mut number);
        all(&mut self.i32s, &mut number);
        all(&mut self.i64s, &mut number);
        all(&mut self.f32s, &mut number);
        all(&mut self.f64s, &mut number);
        all(&mut self.views, &mut number);
        all(&mut self.i128s, &mut number);
        self.fixed.iter_mut().for_each(|column| column.values.reserve(column.last));
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
            let length = lengths[column.scope as usize] as usize;
            column.values.truncate(length * column.size);
            column.nulls.truncate(length);
        }
        for marks in &mut self.marks {
            marks.nulls.truncate(lengths[marks.scope as usize] as usize);
        }
        self.frames.clear();
    }

    /// Whether the column `number` of the type of `store` has a value for the item that is being read.
    pub(super) fn holds_more(&self, store: Store, number: usize) -> bool {
        fn one<T: Copy + Default>(column: &Column<T>) -> (usize, u32) {
            (column.len(), column.scope)
        }
        let (length, scope) = match store {
            Store::Boolean(_) => one(&self.booleans[number]),
            Store::I32(_) => one(&self.i32s[number]),
            Store::I64(_) => one(&self.i64s[number]),
            Store::F32(_) => one(&self.f32s[number]),
            Store::F64(_) => one(&self.f64s[number]),
            Store::View(_) => one(&self.views[number]),
            Store::I128(_) => one(&self.i128s[number]),
            Store::Fixed(_) => return false,
        };
        length > self.lengths[scope as usize] as usize
    }

    /// Keeps columns as long as their neighbours.
    pub(super) fn fill(&mut self, fillers: &[Filler]) {
        fn all<T: Copy + Default>(columns: &mut [Column<T>], row: Row, null: bool) {
            for column in &mut columns[row.columns()] {
                if null { column.push_null() } else { column.push(T::default()) }
            }
        }
        for filler in fillers {
            match *filler {
                Filler::Values { store, count, null } => match store {
                    Store::Boolean(first) => all(&mut self.booleans, Row { first, count }, null),
                    Store::I32(first) => all(&mut self.i32s, Row { first, count }, null),
                    Store::I64(first) => all(&mut self.i64s, Row { first, count }, null),
                    Store::F32(first) => all(&mut self.f32s, Row { first, count }, null),
                    Store::F64(first) => all(&mut self.f64s, Row { first, count }, null),
                    Store::View(first) => all(&mut self.views, Row { first, count }, null),
                    Store::I128(first) => all(&mut self.i128s, Row { first, count }, null),
                    Store::Fixed(first) => {
                        for column in &mut self.fixed[Row { first, count }.columns()] {
                            if null { column.push_null() } else { column.push_stand_in() }
                        }
                    }
                },
                Filler::List(list) => {
                    let end = self.lengths[list as usize + 1] as i32;
                    self.lists[list as usize].ends.push(end);
                }
                Filler::Mark { marks, scope } => {
                    let position = self.lengths[scope as usize];
                    self.marks[marks as usize].nulls.mark(position as usize);
                }
            }
        }
    }
}
