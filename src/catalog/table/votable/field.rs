//! A field of a VOTable: its type, how many of it a cell holds, and how many bytes that are in BINARY (VOTable 1.5, sections 2
//! and 6).

use arrow_schema::DataType;

/// What a cell holds one or several of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    Boolean,
    Bit,
    Byte,
    Short,
    Int,
    Long,
    Char,
    UnicodeChar,
    Float,
    Double,
    FloatComplex,
    DoubleComplex,
}

/// How many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Always so many.
    Fixed(u64),
    /// As each cell says.
    Varying,
}

/// A field.
#[derive(Clone, Debug)]
pub struct Field {
    pub base: Base,
    pub count: Count,
    /// A cell is an array of arrays.
    pub nested: bool,
    /// The value that means "none", as written.
    pub null: Option<String>,
}

impl Field {
    pub fn new(datatype: Option<&str>, arraysize: Option<&str>) -> Result<Field, String> {
        let base = match datatype {
            Some("boolean") => Base::Boolean,
            Some("bit") => Base::Bit,
            Some("unsignedByte") => Base::Byte,
            Some("short") => Base::Short,
            Some("int") => Base::Int,
            Some("long") => Base::Long,
            // Some services leave it out for texts.
            Some("char" | "string") => Base::Char,
            Some("unicodeChar") => Base::UnicodeChar,
            Some("float") => Base::Float,
            Some("double") => Base::Double,
            Some("floatComplex") => Base::FloatComplex,
            Some("doubleComplex") => Base::DoubleComplex,
            Some(other) => return Err(format!("`{}` is no datatype", crate::catalog::table::cells::shown(other.as_bytes()))),
            None => return Err("it has no datatype".to_owned()),
        };
        let size = arraysize.unwrap_or_default().trim();
        let (count, nested) = match size.strip_suffix('*') {
            _ if size.is_empty() => (if datatype == Some("string") { Count::Varying } else { Count::Fixed(1) }, false),
            Some(rest) => (Count::Varying, rest.contains('x')),
            None => {
                let product = size.split('x').try_fold(1u64, |all, axis| all.checked_mul(axis.trim().parse().ok()?));
                let count = product.filter(|count| *count <= super::LARGEST);
                (Count::Fixed(count.ok_or_else(|| format!("`{size}` is no arraysize"))?), size.contains('x'))
            }
        };
        Ok(Field { base, count, nested, null: None })
    }

    /// The type of the column, or why it is left out.
    pub fn data_type(&self) -> Result<DataType, String> {
        let one = match self.base {
            Base::Char | Base::UnicodeChar if self.nested => return Err("it holds several texts in each row".to_owned()),
            Base::Char | Base::UnicodeChar => return Ok(DataType::Utf8),
            Base::FloatComplex | Base::DoubleComplex => return Err("its numbers are complex".to_owned()),
            Base::Boolean | Base::Bit => DataType::Boolean,
            Base::Byte => DataType::UInt8,
            Base::Short => DataType::Int16,
            Base::Int => DataType::Int32,
            Base::Long => DataType::Int64,
            Base::Float => DataType::Float32,
            Base::Double => DataType::Float64,
        };
        match self.count {
            Count::Fixed(1) => Ok(one),
            Count::Fixed(0) => Err("it holds nothing".to_owned()),
            Count::Fixed(count) => Err(format!("it holds {count} values in each row")),
            Count::Varying => Err("it holds several values in each row".to_owned()),
        }
    }

    /// Bytes of so many values in BINARY.
    pub fn bytes(&self, count: u64) -> Option<u64> {
        let size = match self.base {
            Base::Bit => return Some(count.div_ceil(8)),
            Base::Boolean | Base::Byte | Base::Char => 1,
            Base::Short | Base::UnicodeChar => 2,
            Base::Int | Base::Float => 4,
            Base::Long | Base::Double | Base::FloatComplex => 8,
            Base::DoubleComplex => 16,
        };
        count.checked_mul(size).filter(|bytes| *bytes <= super::LARGEST)
    }
}
