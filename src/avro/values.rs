//! Neighbouring fields of one type, read in one go: a value for each of a row of columns.
//!
//! **Invariant:** what these read, refuse, and say of where they stopped is what reading one value after the other with
//! [`Cursor`] gives; they only look at several bytes at once where there are enough.

use super::columns::Column;
use super::cursor::Cursor;
use super::error::Flaw;

/// Values that are always there.
#[inline(always)]
pub(super) fn all<'a, T: Copy + Default>(
    columns: &mut [Column<T>],
    from: &mut Cursor<'a>,
    read: impl Fn(&mut Cursor<'a>) -> Result<T, Flaw>,
) -> Result<(), Flaw> {
    for column in columns {
        column.push(read(from)?);
    }
    Ok(())
}

/// Values in unions with null, whose branch is `null_at`.
#[inline(always)]
pub(super) fn maybe<'a, T: Copy + Default>(
    columns: &mut [Column<T>],
    from: &mut Cursor<'a>,
    null_at: u8,
    read: impl Fn(&mut Cursor<'a>) -> Result<T, Flaw>,
) -> Result<(), Flaw> {
    for column in columns {
        if from.is_null(null_at)? { column.push_null() } else { column.push(read(from)?) }
    }
    Ok(())
}

/// The same for values of a fixed size, which are read together with their branch: branch and value take `$size` bytes.
macro_rules! maybe_of_size {
    ($name:ident, $type:ty, $size:literal, $read:expr, $value:expr) => {
        pub(super) fn $name(columns: &mut [Column<$type>], from: &mut Cursor<'_>, null_at: u8) -> Result<(), Flaw> {
            // Branches 0 and 1 as they are written in one byte.
            let (null, there) = (null_at << 1, (null_at ^ 1) << 1);
            let mut rest = from.rest();
            for column in columns {
                match rest.split_first_chunk::<$size>() {
                    Some(([branch, value @ ..], behind)) if *branch == there && $value(*value).is_some() => {
                        if let Some(value) = $value(*value) {
                            column.push(value);
                        }
                        rest = behind;
                    }
                    Some(([branch, ..], _)) if *branch == null => {
                        column.push_null();
                        rest = &rest[1..];
                    }
                    // Near the end, or in more bytes than needed, or wrong.
                    _ => {
                        from.at = from.data.len() - rest.len();
                        if from.is_null(null_at)? {
                            column.push_null()
                        } else {
                            column.push($read(from)?)
                        }
                        rest = from.rest();
                    }
                }
            }
            from.at = from.data.len() - rest.len();
            Ok(())
        }
    };
}

maybe_of_size!(maybe_floats, f32, 5, Cursor::float, |value| Some(f32::from_le_bytes(value)));
maybe_of_size!(maybe_doubles, f64, 9, Cursor::double, |value| Some(f64::from_le_bytes(value)));
maybe_of_size!(maybe_booleans, bool, 2, Cursor::boolean, |[value]: [u8; 1]| if value < 2 { Some(value == 1) } else { None });

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;

    type AtOnce<T> = fn(&mut [Column<T>], &mut Cursor<'_>, u8) -> Result<(), Flaw>;
    type One<T> = for<'a> fn(&mut Cursor<'a>) -> Result<T, Flaw>;

    /// Values and nulls of each column, where the reading stopped, and how it ended.
    fn ran<T: Copy + Default + Debug>(
        data: &[u8],
        read: impl FnOnce(&mut [Column<T>], &mut Cursor<'_>) -> Result<(), Flaw>,
    ) -> (String, usize, Result<(), Flaw>) {
        let mut columns: Vec<Column<T>> = (0..6).map(|_| Column::new(0)).collect();
        let mut cursor = Cursor { data, at: 1 };
        let result = read(&mut columns, &mut cursor);
        // NaN is not equal to itself, but written alike.
        (format!("{columns:?}"), cursor.at, result)
    }

    fn alike<T: Copy + Default + Debug>(data: &[u8], null_at: u8, at_once: AtOnce<T>, one: One<T>) {
        let fast = ran(data, |columns, from| at_once(columns, from, null_at));
        let plain = ran(data, |columns, from| maybe(columns, from, null_at, one));
        assert_eq!(fast, plain, "{data:02x?}");
    }

    proptest! {
        #[test]
        fn a_row_at_once_is_what_one_after_the_other_gives(
            values in prop::collection::vec((0u8..12, any::<u64>()), 6), size in prop::sample::select(&[1usize, 4, 8]), null_at in 0u8..2,
        ) {
            let mut data = vec![0xaa];
            for (kind, value) in values {
                let there = (null_at ^ 1) << 1;
                match kind {
                    0..=1 => data.push(null_at << 1),
                    2 => data.extend([0x80 | there, 0]),
                    3 => data.extend([0x80 | null_at << 1, 0x80, 0]),
                    4 if value % 8 == 0 => data.push(1 + value as u8 % 5),
                    _ => data.push(there),
                }
                if !matches!(kind, 0 | 1 | 3) {
                    // Booleans that are none are rare enough for the rest to be reached.
                    let value = if size == 1 && value % 16 > 0 { value >> 63 } else { value };
                    data.extend(&value.to_le_bytes()[..size]);
                }
            }
            for end in 1..=data.len() {
                alike(&data[..end], null_at, maybe_floats, |c| c.float());
                alike(&data[..end], null_at, maybe_doubles, |c| c.double());
                alike(&data[..end], null_at, maybe_booleans, |c| c.boolean());
            }
        }
    }
}
