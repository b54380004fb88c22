//! How a file is to be read, where it does not say so itself.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What a reader has to be told. The default finds out everything by itself: a CSV with a header, the first table of a FITS
/// file or a VOTable, Parquet.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dialect {
    /// The format, where the content must not decide. Text formats cannot be told from each other by their first bytes alone.
    pub format: Option<Format>,
    /// Which table of a file with several: of a FITS file the name (EXTNAME) or the number (1 is the first behind the primary)
    /// of the extension; of a VOTable its `ID`, its `name` or its number from 1. The first is taken otherwise.
    pub table: Option<String>,
    /// What stands between the cells of a text; the best of comma, tab, semicolon and bar is taken otherwise.
    pub delimiter: Option<Delimiter>,
    /// Lines before the header (or before the first row, where there is no header) that are no part of the table.
    pub skip_lines: u64,
    /// Lines that begin with it are comments: `#` unless given; none when empty.
    pub comment: Option<String>,
    /// The character around cells that hold a delimiter: `"` unless given; none when empty.
    pub quote: Option<String>,
    /// Where the names of the columns are.
    pub header: Header,
    /// Names of the columns, instead of those of the header. Where there is no header and no names, they are `col1`, `col2`...
    pub names: Option<Vec<String>>,
    /// Texts that mean "no value", instead of [`Dialect::NULLS`]. An empty cell always does.
    pub nulls: Option<Vec<String>>,
    /// Types of columns of a text, for those whose first rows do not tell.
    pub types: BTreeMap<String, Kind>,
    /// Bytes of a text.
    pub encoding: Encoding,
    /// Rows from which the types of a text's columns are found: 10,000 unless given.
    pub sample_rows: Option<usize>,
}

impl Dialect {
    /// Texts that mean "no value" unless others are given.
    pub const NULLS: [&str; 12] = ["null", "NULL", "Null", "NaN", "nan", "NAN", "\\N", "--", "N/A", "n/a", "None", "-"];

    /// Rows that are looked at for types unless another number is given.
    pub const SAMPLE_ROWS: usize = 10_000;
}

/// A format of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text with a row in each line: CSV, TSV, ECSV and their kin.
    Csv,
    /// Apache Parquet: a file, a folder of files, a HATS directory.
    Parquet,
    /// The binary table of a FITS file.
    Fits,
    /// VOTable, the XML of the Virtual Observatory.
    Votable,
}

impl Format {
    /// How it is called in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Format::Csv => "CSV",
            Format::Parquet => "Parquet",
            Format::Fits => "FITS",
            Format::Votable => "VOTable",
        }
    }
}

/// What stands between cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Delimiter {
    /// One character of ASCII.
    Byte(u8),
    /// Any number of blanks and tabs.
    Blanks,
}

impl TryFrom<String> for Delimiter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "comma" => Ok(Delimiter::Byte(b',')),
            "tab" => Ok(Delimiter::Byte(b'\t')),
            "semicolon" => Ok(Delimiter::Byte(b';')),
            "bar" => Ok(Delimiter::Byte(b'|')),
            "blanks" | " " => Ok(Delimiter::Blanks),
            one if one.len() == 1 && !one.contains(|c: char| c.is_alphanumeric() || "\r\n.+-".contains(c)) => {
                Ok(Delimiter::Byte(one.as_bytes()[0]))
            }
            other => Err(format!(
                "`{other}` cannot stand between cells: write comma, tab, semicolon, bar, blanks or another single sign"
            )),
        }
    }
}

/// Where the names of a text's columns are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Header {
    /// In the first line that is neither skipped nor a comment.
    #[default]
    Line,
    /// In the last comment before the first row.
    Comment,
    /// Nowhere: the first line is a row.
    None,
}

/// The type of a column of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number of 64 bits with a sign.
    Int,
    /// A number of double precision.
    Float,
    /// Anything, as it is written.
    Text,
}

/// What the bytes of a text mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// UTF-8, of which ASCII is a part.
    #[default]
    #[serde(alias = "utf-8")]
    Utf8,
    /// ISO 8859-1, one byte for each character.
    #[serde(rename = "latin-1")]
    Latin1,
}
