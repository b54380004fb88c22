//! What can be wrong with an expression.

use arrow_schema::{ArrowError, DataType};

/// An expression could not be parsed, bound or evaluated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FilterError {
    /// Not an expression of SQL.
    #[error("{message}")]
    Syntax {
        /// What was expected and what was found.
        message: String,
        /// Byte of the text where it went wrong.
        offset: Option<usize>,
    },
    /// SQL, but none that filters have.
    #[error(
        "{what} is not part of the filter language, which has: comparisons, + - * / %, AND, OR, NOT, IS [NOT] NULL, BETWEEN, IN, LIKE, abs()"
    )]
    Unsupported {
        /// The construct, as it was written where that is short.
        what: String,
        /// Byte of the text where it begins.
        offset: Option<usize>,
    },
    /// More words and operators, or deeper nesting, than is allowed.
    #[error("the expression is too large: {what}")]
    TooLarge {
        /// The limit that it broke.
        what: String,
    },
    /// The schema has no such field.
    #[error("no field `{path}`{}", .suggestion.as_ref().map(|s| format!("; did you mean `{s}`?")).unwrap_or_default())]
    UnknownField {
        /// The path as written.
        path: String,
        /// Byte of the text where it begins.
        offset: Option<usize>,
        /// The nearest path that exists.
        suggestion: Option<String>,
    },
    /// The field lies inside an array or a map.
    #[error(
        "`{path}` lies inside the {container} `{parent}`, so an alert has many of it; only fields with one value can be compared"
    )]
    InsideArray {
        /// The path as written.
        path: String,
        /// Its part that is an array or a map.
        parent: String,
        /// `array` or `map`.
        container: &'static str,
        /// Byte of the text where it begins.
        offset: Option<usize>,
    },
    /// Types do not fit.
    #[error("{message}")]
    Type {
        /// Which is what, and what was needed.
        message: String,
        /// Byte of the text where it begins.
        offset: Option<usize>,
    },
    /// An annotation has the name of a field of the survey.
    #[error(
        "`{name}` is both an annotation and a field of the survey, so an expression could mean either; name the annotation otherwise"
    )]
    Shadowed {
        /// The name.
        name: String,
    },
    /// A batch has another schema than the one bound to.
    #[error("`{path}` was bound as {expected} but the batch holds {found}")]
    Mismatch {
        /// The path.
        path: String,
        /// Type at binding.
        expected: DataType,
        /// What the batch has.
        found: String,
    },
    /// A kernel failed.
    #[error("evaluation failed: {0}")]
    Kernel(String),
}

impl FilterError {
    /// Byte of the text where it went wrong, where that is known.
    #[must_use]
    pub fn offset(&self) -> Option<usize> {
        match self {
            FilterError::Syntax { offset, .. }
            | FilterError::Unsupported { offset, .. }
            | FilterError::UnknownField { offset, .. }
            | FilterError::InsideArray { offset, .. }
            | FilterError::Type { offset, .. } => *offset,
            FilterError::TooLarge { .. }
            | FilterError::Shadowed { .. }
            | FilterError::Mismatch { .. }
            | FilterError::Kernel(_) => None,
        }
    }

    /// The path that was probably meant.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        match self {
            FilterError::UnknownField { suggestion, .. } => suggestion.as_deref(),
            _ => None,
        }
    }
}

impl From<ArrowError> for FilterError {
    fn from(error: ArrowError) -> Self {
        FilterError::Kernel(error.to_string())
    }
}
