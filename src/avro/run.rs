//! Running a plan over a datum: the hot loop.
//!
//! **Invariant:** no recursion, and no allocation but the growth of columns, which is charged before it happens.

use super::columns::{Allowance, Columns, Frame};
use super::cursor::Cursor;
use super::error::{DatumError, Flaw};
use super::plan::{Item, Op, Plan, path};
use super::values;

/// Where a datum is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datum<'a> {
    /// Bytes in which it ends at the latest; they begin where their buffer begins.
    pub data: &'a [u8],
    /// Where it begins in them.
    pub start: usize,
    /// Number of the buffer that views point into.
    pub buffer: u32,
    /// Where its end is known to be that of `data`, it is only read as far as something in it is wanted.
    pub ends_with_data: bool,
}

impl Columns {
    /// Appends one alert. Gives where its datum ends.
    ///
    /// Of what is not wanted only the lengths are looked at, and nothing at all behind the last field that is wanted where
    /// the end of the datum is known beforehand.
    ///
    /// # Errors
    /// When the datum is corrupt; the caller has to [`Columns::truncate`] then.
    pub fn append(&mut self, plan: &Plan, datum: Datum<'_>, allowance: &mut Allowance) -> Result<usize, DatumError> {
        let Datum { data, start, buffer, ends_with_data } = datum;
        let ops = if ends_with_data { &plan.ops[..plan.stop as usize] } else { &plan.ops };
        let mut cursor = Cursor { data, at: start };
        let mut pc = 0;
        let mut left = allowance.of_alert();
        match self.run(plan, ops, &mut cursor, &mut pc, buffer, &mut left) {
            Ok(()) => {
                allowance.left -= allowance.of_alert() - left;
                Ok(if ops.len() < plan.ops.len() { data.len() } else { cursor.at })
            }
            Err(flaw) => {
                // Nothing was begun where the plan has no operations.
                let last = pc.saturating_sub(1);
                let done = plan.ops.get(last).map_or(0, |op| self.fields_done(*op));
                let owner = plan.owners.get(last).map_or(0, |owner| owner + done);
                Err(DatumError { path: path(&plan.segments, owner), byte: cursor.at - start, flaw })
            }
        }
    }

    #[inline]
    fn run(
        &mut self,
        plan: &Plan,
        ops: &[Op],
        from: &mut Cursor<'_>,
        pc: &mut usize,
        buffer: u32,
        left: &mut u64,
    ) -> Result<(), Flaw> {
        charge(plan.record, 1, u64::MAX, left)?;
        while let Some(&op) = ops.get(*pc) {
            *pc += 1;
            match op {
                Op::MaybeFloat(row, null) => values::maybe_floats(&mut self.f32s[row.columns()], from, null)?,
                Op::MaybeDouble(row, null) => values::maybe_doubles(&mut self.f64s[row.columns()], from, null)?,
                Op::MaybeBoolean(row, null) => values::maybe_booleans(&mut self.booleans[row.columns()], from, null)?,
                Op::MaybeInt(row, null) => values::maybe(&mut self.i32s[row.columns()], from, null, Cursor::int)?,
                Op::MaybeLong(row, null) => values::maybe(&mut self.i64s[row.columns()], from, null, Cursor::long)?,
                Op::MaybeText(row, null) => {
                    values::maybe(&mut self.views[row.columns()], from, null, |from| from.view::<true>(buffer))?;
                }
                Op::MaybeBytes(row, null) => {
                    values::maybe(&mut self.views[row.columns()], from, null, |from| from.view::<false>(buffer))?;
                }
                Op::Float(row) => values::all(&mut self.f32s[row.columns()], from, Cursor::float)?,
                Op::Double(row) => values::all(&mut self.f64s[row.columns()], from, Cursor::double)?,
                Op::Boolean(row) => values::all(&mut self.booleans[row.columns()], from, Cursor::boolean)?,
                Op::Int(row) => values::all(&mut self.i32s[row.columns()], from, Cursor::int)?,
                Op::Long(row) => values::all(&mut self.i64s[row.columns()], from, Cursor::long)?,
                Op::Text(row) => values::all(&mut self.views[row.columns()], from, |from| from.view::<true>(buffer))?,
                Op::Bytes(row) => values::all(&mut self.views[row.columns()], from, |from| from.view::<false>(buffer))?,
                Op::Next => {
                    let frame = self.frames.last_mut().expect("a plan has Next only behind the Array that pushed a frame");
                    self.lengths[frame.list as usize + 1] += 1;
                    frame.remaining -= 1;
                    *pc = frame.body as usize;
                    if frame.remaining == 0 {
                        let Frame { end, list, ends, .. } = *frame;
                        // Who passes over the block goes by what it says, and has to find the same behind it.
                        if ends.is_some_and(|ends| ends != from.at) {
                            return Err(Flaw::Block);
                        }
                        let (count, size) = from.sized_block()?;
                        (frame.remaining, frame.ends) = (count, size.map(|size| from.at + size));
                        if count == 0 {
                            self.frames.pop();
                            self.close(list)?;
                            *pc = end as usize;
                        } else {
                            charge(plan.items[list as usize], count, (from.data.len() - from.at) as u64, left)?;
                        }
                    }
                }
                Op::Array { list, end } => {
                    let (count, size) = from.sized_block()?;
                    if count == 0 {
                        self.close(list)?;
                        *pc = end as usize;
                    } else {
                        charge(plan.items[list as usize], count, (from.data.len() - from.at) as u64, left)?;
                        let ends = size.map(|size| from.at + size);
                        self.frames.push(Frame { body: *pc as u32, end, list, remaining: count, ends });
                    }
                }
                Op::Maybe { null_at, filling, skip } => {
                    if from.is_null(null_at)? {
                        self.fill(&plan.fillings[filling as usize]);
                        *pc = skip as usize;
                    }
                }
                Op::Union { table } => {
                    let branch = from.long()?;
                    let targets = &plan.tables[table as usize];
                    let target = usize::try_from(branch).ok().and_then(|b| targets.get(b)).ok_or(Flaw::Branch(branch))?;
                    *pc = *target as usize;
                }
                Op::Only => match from.long()? {
                    0 => {}
                    branch => return Err(Flaw::Branch(branch)),
                },
                Op::Fill(filling) => self.fill(&plan.fillings[filling as usize]),
                Op::Jump(to) => *pc = to as usize,
                Op::Enum { column, symbols } => {
                    let symbol = from.long()?;
                    if !(0..i64::from(symbols)).contains(&symbol) {
                        return Err(Flaw::Symbol(symbol));
                    }
                    self.i32s[column as usize].push(symbol as i32);
                }
                Op::Fixed(c) => {
                    let column = &mut self.fixed[c as usize];
                    column.push(from.take(column.size)?);
                }
                Op::DecimalBytes(c) => self.i128s[c as usize].push(Cursor::decimal(from.bytes()?)?),
                Op::DecimalFixed { column, size } => {
                    self.i128s[column as usize].push(Cursor::decimal(from.take(size as usize)?)?);
                }
                Op::Present(c) => self.booleans[c as usize].push(true),
                Op::Empty(c) => self.views[c as usize].push(0),
                Op::Skip(size) => drop(from.take(size as usize)?),
                Op::SkipMaybe { null_at, size, count } => {
                    for _ in 0..count {
                        if !from.is_null(null_at)? {
                            from.take(size as usize)?;
                        }
                    }
                }
                Op::SkipMaybeNumbers { null_at, count } => {
                    for _ in 0..count {
                        if !from.is_null(null_at)? {
                            from.long()?;
                        }
                    }
                }
                Op::SkipMaybeSized { null_at, count } => {
                    for _ in 0..count {
                        if !from.is_null(null_at)? {
                            from.bytes()?;
                        }
                    }
                }
                Op::SkipNumbers(count) => {
                    for _ in 0..count {
                        from.long()?;
                    }
                }
                Op::SkipSized(count) => {
                    for _ in 0..count {
                        from.bytes()?;
                    }
                }
                Op::SkipNull { null_at, to } => {
                    if from.is_null(null_at)? {
                        *pc = to as usize;
                    }
                }
                Op::SkipItems { size } => skip_items(from, size)?,
                Op::SkipArray { least, end } => match unsized_block(from, least, left)? {
                    0 => *pc = end as usize,
                    count => self.frames.push(Frame { body: *pc as u32, end, list: 0, remaining: count, ends: None }),
                },
                Op::SkipNext { least } => {
                    let frame =
                        self.frames.last_mut().expect("a plan has SkipNext only behind the SkipArray that pushed a frame");
                    frame.remaining -= 1;
                    *pc = frame.body as usize;
                    if frame.remaining == 0 {
                        frame.remaining = unsized_block(from, least, left)?;
                        if frame.remaining == 0 {
                            *pc = frame.end as usize;
                            self.frames.pop();
                        }
                    }
                }
                Op::Later => {}
            }
        }
        self.lengths[0] += 1;
        Ok(())
    }

    /// How many fields of an operation that failed were read.
    #[cold]
    fn fields_done(&self, op: Op) -> u32 {
        op.row().map_or(0, |(row, first)| row.columns().take_while(|column| self.holds_more(first, *column)).count() as u32)
    }

    /// Ends a list.
    #[inline]
    fn close(&mut self, list: u32) -> Result<(), Flaw> {
        let end = i32::try_from(self.lengths[list as usize + 1]).map_err(|_| Flaw::TooLarge)?;
        self.lists[list as usize].ends.push(end);
        Ok(())
    }
}

/// Moves past the items of an array that have `size` bytes each.
fn skip_items(from: &mut Cursor<'_>, size: u32) -> Result<(), Flaw> {
    loop {
        let (count, bytes) = from.sized_block()?;
        if count == 0 {
            return Ok(());
        }
        let bytes = bytes.map_or_else(|| count.checked_mul(u64::from(size)), |bytes| Some(bytes as u64));
        let there = bytes.and_then(|bytes| usize::try_from(bytes).ok()).and_then(|bytes| from.take(bytes).ok());
        there.ok_or(Flaw::Count(i64::try_from(count).unwrap_or(i64::MAX)))?;
    }
}

/// The count of the next block whose items have to be passed one by one; 0 where there is none. Blocks that say how long they
/// are are passed whole.
fn unsized_block(from: &mut Cursor<'_>, least: u32, left: &mut u64) -> Result<u64, Flaw> {
    loop {
        let (count, bytes) = from.sized_block()?;
        let Some(bytes) = bytes else {
            if count > 0 {
                let item = Item { cost: 0, least: u64::from(least) };
                charge(item, count, (from.data.len() - from.at) as u64, left)?;
            }
            return Ok(count);
        };
        from.take(bytes)?;
    }
}

/// Charges `count` items before the first is read: more than there are bytes for, or than an alert may take, is refused.
#[inline]
fn charge(item: Item, count: u64, bytes: u64, left: &mut u64) -> Result<(), Flaw> {
    if item.least > 0 && count > bytes / item.least {
        return Err(Flaw::Count(i64::try_from(count).unwrap_or(i64::MAX)));
    }
    // Items of no bytes cost time all the same.
    let cost = item.cost.max(if item.least == 0 { 16 } else { 1 });
    *left = count.checked_mul(cost).and_then(|cost| left.checked_sub(cost)).ok_or(Flaw::TooLarge)?;
    Ok(())
}
