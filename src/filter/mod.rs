//! The expressions of `where`: SQL in, a mask of rows out.
//!
//! The grammar is sqlparser's; the tree, the types and the evaluation are ours. An expression goes three ways, each of which
//! can fail only in its own manner: [`Expression::parse`] (syntax), [`Expression::bind`] against a schema (fields, types),
//! [`Bound::evaluate`] on a batch of that schema. May depend on: sqlparser, arrow, strsim. It does no I/O and knows no survey.
//!
//! What an expression means:
//! - Names are paths such as `candidate.rb`, exact in case; `"quoted"` where a name is not a plain word. A lone name is a field
//!   of the record or an annotation. What lies inside an array (a history) has no single value and cannot be reached.
//! - Logic has three values: a comparison with null is unknown, `AND`, `OR` and `NOT` follow SQL. Unknown is null in the mask.
//! - NaN is a value, not null: every comparison with it is false, `<>` included; `NOT` turns that into true as SQL does.
//!   `x = x` is therefore false exactly where `x` is NaN and unknown where it is null. [`Bound::nans`] tells where it hid.
//! - Integers compare with integers exactly and with floats as 64-bit floats. A literal that is compared with a 32-bit float (or
//!   its `abs` or negation) is first rounded to 32 bits, so that `rb >= 0.65` holds for a `rb` that the survey wrote as 0.65.
//!   Arithmetic is 64-bit.
//! - `/` gives a float; division by zero, `%` by zero and integer overflow give null.
//! - `LIKE` is case-sensitive: `%` is any text, `_` any one character, `ESCAPE 'c'` quotes the next.
//!
//! **Invariant:** no expression, however hostile, overflows the stack: words, operators and depth are bounded.

mod bind;
mod bound;
mod compute;
mod error;
mod like;
mod parse;
mod path;
mod tree;

#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;

use arrow_schema::{FieldRef, Schema};

pub use bound::Bound;
pub use error::FilterError;

use tree::Node;

/// A parsed expression, not yet tied to a schema.
#[derive(Clone, Debug)]
pub struct Expression {
    text: String,
    root: Node,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// When it is not SQL, uses SQL that filters do not have, or is too large or too deep.
    pub fn parse(text: &str) -> Result<Expression, FilterError> {
        Ok(Expression { text: text.to_owned(), root: parse::parse(text)? })
    }

    /// The text that it was parsed from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a path begins with this name.
    #[must_use]
    pub fn mentions(&self, name: &str) -> bool {
        self.paths().iter().any(|path| path[0] == name)
    }

    /// The paths of all fields and annotations that it names, as often as it names them.
    #[must_use]
    pub fn paths(&self) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        self.root.each(&mut |node| {
            if let tree::Kind::Path(parts) = &node.kind {
                paths.push(parts.clone());
            }
        });
        paths
    }

    /// Ties the expression to a schema and to the annotations that will stand beside its records, in that order.
    ///
    /// # Errors
    /// When a field does not exist, types clash, or an annotation has the name of a field of the record.
    pub fn bind(&self, records: &Schema, annotations: &[FieldRef]) -> Result<Bound, FilterError> {
        bind::bind(&self.root, records, annotations)
    }
}
