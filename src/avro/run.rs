//! Running a plan over a datum: the hot loop.
//!
//! **Invariant:** no recursion, and no allocation but the growth of columns, which is charged before it happens.

use super::columns::{Allowance, Columns, Frame};
use super::cursor::Cursor;
use super::error::{DatumError, Flaw};
use super::plan::{Item, Op, Plan, path};

impl Columns {
    /// Appends one alert, whose datum begins at `start` of `data` and ends where `data` ends or before. Views point into
    /// buffer number `buffer`, which begins where `data` begins. Gives where the datum ends.
    ///
    /// # Errors
    /// When the datum is corrupt; the caller has to [`Columns::truncate`] then.
    pub fn append(
        &mut self,
        plan: &Plan,
        data: &[u8],
        start: usize,
        buffer: u32,
        allowance: &mut Allowance,
    ) -> Result<usize, DatumError> {
        let mut cursor = Cursor { data, at: start };
        let mut pc = 0;
        let mut left = allowance.of_alert();
        match self.run(plan, &mut cursor, &mut pc, buffer, &mut left) {
            Ok(()) => {
                allowance.left -= allowance.of_alert() - left;
                Ok(cursor.at)
            }
            Err(flaw) => {
                let owner = plan.owners[pc.saturating_sub(1)];
                Err(DatumError { path: path(&plan.segments, owner), byte: cursor.at - start, flaw })
            }
        }
    }

    #[inline]
    fn run(&mut self, plan: &Plan, from: &mut Cursor<'_>, pc: &mut usize, buffer: u32, left: &mut u64) -> Result<(), Flaw> {
        macro_rules! maybe {
            ($columns:ident, $column:expr, $null_at:expr, $value:expr) => {{
                let column = &mut self.$columns[$column as usize];
                if from.is_null($null_at)? { column.push_null() } else { column.push($value) }
            }};
        }
        charge(plan.record, 1, u64::MAX, left)?;
        loop {
            let op = plan.ops[*pc];
            *pc += 1;
            match op {
                Op::MaybeFloat(c, null) => maybe!(f32s, c, null, from.float()?),
                Op::MaybeDouble(c, null) => maybe!(f64s, c, null, from.double()?),
                Op::MaybeInt(c, null) => maybe!(i32s, c, null, from.int()?),
                Op::MaybeLong(c, null) => maybe!(i64s, c, null, from.long()?),
                Op::MaybeText(c, null) => maybe!(views, c, null, from.view::<true>(buffer)?),
                Op::MaybeBytes(c, null) => maybe!(views, c, null, from.view::<false>(buffer)?),
                Op::MaybeBoolean(c, null) => maybe!(booleans, c, null, from.boolean()?),
                Op::Float(c) => self.f32s[c as usize].push(from.float()?),
                Op::Double(c) => self.f64s[c as usize].push(from.double()?),
                Op::Int(c) => self.i32s[c as usize].push(from.int()?),
                Op::Long(c) => self.i64s[c as usize].push(from.long()?),
                Op::Text(c) => self.views[c as usize].push(from.view::<true>(buffer)?),
                Op::Bytes(c) => self.views[c as usize].push(from.view::<false>(buffer)?),
                Op::Boolean(c) => self.booleans[c as usize].push(from.boolean()?),
                Op::Next => {
                    let frame = self.frames.last_mut().expect("a plan has Next only behind the Array that pushed a frame");
                    self.lengths[frame.list as usize + 1] += 1;
                    frame.remaining -= 1;
                    *pc = frame.body as usize;
                    if frame.remaining == 0 {
                        let Frame { end, list, .. } = *frame;
                        frame.remaining = from.block()?;
                        let count = frame.remaining;
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
                    let count = from.block()?;
                    if count == 0 {
                        self.close(list)?;
                        *pc = end as usize;
                    } else {
                        charge(plan.items[list as usize], count, (from.data.len() - from.at) as u64, left)?;
                        self.frames.push(Frame { body: *pc as u32, end, list, remaining: count });
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
                Op::End => {
                    self.lengths[0] += 1;
                    return Ok(());
                }
            }
        }
    }

    /// Ends a list.
    #[inline]
    fn close(&mut self, list: u32) -> Result<(), Flaw> {
        let end = i32::try_from(self.lengths[list as usize + 1]).map_err(|_| Flaw::TooLarge)?;
        self.lists[list as usize].ends.push(end);
        Ok(())
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
