//! The header of ECSV (Enhanced Character-Separated Values, APE 6 of astropy): YAML in comments, with delimiter, types, units
//! and descriptions. Gaia's archive publishes its tables so, and astropy keeps the same text in its Parquet files.

use arrow_schema::DataType;
use serde::Deserialize;

use crate::catalog::table::Column;
use crate::catalog::table::dialect::Delimiter;

/// What the header says.
#[derive(Debug, Default)]
pub struct Ecsv {
    /// A blank unless the header says otherwise.
    pub delimiter: Option<Delimiter>,
    /// Name, type (none: not one value in a cell) and words of each column.
    pub columns: Vec<(Column, Option<DataType>)>,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    delimiter: Option<String>,
    datatype: Vec<RawColumn>,
}

#[derive(Deserialize)]
struct RawColumn {
    name: String,
    datatype: String,
    #[serde(default)]
    subtype: Option<String>,
    #[serde(default)]
    unit: Option<String>,
    #[serde(default)]
    description: Option<String>,
}

/// Reads the comments at the head of a text; `None` when they are no ECSV.
pub fn read(comments: &[String]) -> Option<Result<Ecsv, String>> {
    let first = comments.iter().position(|line| line.trim_start().starts_with("%ECSV"))?;
    let lines: Vec<&str> = comments[first + 1..].iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    Some(header(&lines.join("\n"), Some(Delimiter::Byte(b' '))))
}

/// Reads the YAML of a header.
pub fn header(text: &str, delimiter: Option<Delimiter>) -> Result<Ecsv, String> {
    // `meta` can hold whatever the writer had, with tags that only its program knows: it is not looked at.
    let mut kept = String::new();
    let mut keep = false;
    for line in text.lines() {
        if line.starts_with(|c: char| c.is_alphabetic()) {
            keep = ["delimiter:", "datatype:"].iter().any(|key| line.starts_with(key));
        }
        if keep {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: 16, max_nodes: 200_000, max_total_scalar_bytes: 4 << 20, max_documents: 1 },
        with_snippet: false,
    };
    let raw: Raw = serde_saphyr::from_str_with_options(&kept, options)
        .map_err(|e| e.to_string().lines().next().unwrap_or("it is no YAML").to_owned())?;
    let delimiter = match raw.delimiter {
        // One blank, not any number: an empty cell is `""`.
        Some(given) if given == " " => Some(Delimiter::Byte(b' ')),
        Some(given) => Some(Delimiter::try_from(given)?),
        None => delimiter,
    };
    let columns = raw.datatype.into_iter().map(column).collect();
    Ok(Ecsv { delimiter, columns })
}

fn column(raw: RawColumn) -> (Column, Option<DataType>) {
    let data_type = match raw.datatype.as_str() {
        // A subtype says that the cell holds more than what its type says: an array, JSON.
        _ if raw.subtype.is_some() => None,
        "bool" => Some(DataType::Boolean),
        "int8" => Some(DataType::Int8),
        "int16" => Some(DataType::Int16),
        "int32" => Some(DataType::Int32),
        "int64" => Some(DataType::Int64),
        "uint8" => Some(DataType::UInt8),
        "uint16" => Some(DataType::UInt16),
        "uint32" => Some(DataType::UInt32),
        "uint64" => Some(DataType::UInt64),
        "float16" | "float32" => Some(DataType::Float32),
        "float64" | "float128" => Some(DataType::Float64),
        "string" => Some(DataType::Utf8),
        _ => None,
    };
    let mut column = Column::new(raw.name, data_type.clone().unwrap_or(DataType::Utf8));
    column.unit = raw.unit.filter(|unit| !unit.trim().is_empty());
    column.description = raw.description.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    (column, data_type)
}
