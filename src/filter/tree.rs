//! Our own tree of an expression: what is left of SQL once parsed, untyped, each node with its place in the text.

/// A node and the byte of the text where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Byte offset.
    pub at: usize,
    /// What it is.
    pub kind: Kind,
}

/// What a node is. Negated forms are wrapped in `Not`; `BETWEEN` is two comparisons.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// `NULL`.
    Null,
    /// `TRUE`, `FALSE`.
    Bool(bool),
    /// A whole number that fits 64 bits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// `'text'`.
    Text(String),
    /// A path, not empty.
    Path(Vec<String>),
    /// `NOT x`.
    Not(Box<Node>),
    /// `x AND y AND ...`, two or more.
    All(Vec<Node>),
    /// `x OR y OR ...`, two or more.
    Any(Vec<Node>),
    /// `x < y`.
    Compare(Comparison, Box<Node>, Box<Node>),
    /// `x + y`.
    Arithmetic(Operator, Box<Node>, Box<Node>),
    /// `-x`.
    Negate(Box<Node>),
    /// `abs(x)`.
    Abs(Box<Node>),
    /// `x IS NULL`.
    IsNull(Box<Node>),
    /// `x IS TRUE`, `IS FALSE`, `IS UNKNOWN` (`None`).
    Is(Box<Node>, Option<bool>),
    /// `x IN (literal, ...)`.
    In(Box<Node>, Vec<Node>),
    /// `x LIKE 'pattern'`, with the character that quotes.
    Like(Box<Node>, String, Option<char>),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// An operator of arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Comparison {
    /// The comparison with its sides exchanged.
    pub fn flipped(self) -> Self {
        match self {
            Comparison::Lt => Comparison::Gt,
            Comparison::Le => Comparison::Ge,
            Comparison::Gt => Comparison::Lt,
            Comparison::Ge => Comparison::Le,
            same => same,
        }
    }
}

impl Node {
    /// Shows this node and all below it to `look`.
    pub fn each(&self, look: &mut impl FnMut(&Node)) {
        look(self);
        match &self.kind {
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) | Kind::Path(_) => {}
            Kind::Not(x) | Kind::Negate(x) | Kind::Abs(x) | Kind::IsNull(x) | Kind::Is(x, _) | Kind::Like(x, _, _) => {
                x.each(look)
            }
            Kind::All(items) | Kind::Any(items) => items.iter().for_each(|x| x.each(look)),
            Kind::Compare(_, x, y) | Kind::Arithmetic(_, x, y) => [x, y].into_iter().for_each(|x| x.each(look)),
            Kind::In(x, items) => {
                x.each(look);
                items.iter().for_each(|x| x.each(look));
            }
        }
    }

    /// The node as it is named in messages.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "NULL".to_owned(),
            Kind::Bool(b) => b.to_string(),
            Kind::Int(i) => i.to_string(),
            Kind::Float(f) => f.to_string(),
            Kind::Text(t) => format!("'{t}'"),
            Kind::Path(parts) => format!("`{}`", parts.join(".")),
            Kind::Arithmetic(..) | Kind::Negate(_) | Kind::Abs(_) => "the sum".to_owned(),
            _ => "the condition".to_owned(),
        }
    }
}
