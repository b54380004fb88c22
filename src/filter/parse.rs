//! Text to tree, by sqlparser's expression grammar.
//!
//! **Invariant:** recursion here is bounded by `MAX_DEPTH`; chains of AND and OR, which sqlparser nests to the left without
//! bound, are walked in a loop, and what it may nest is bounded by `MAX_WORDS`.

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Spanned, UnaryOperator, Value,
    ValueWithSpan,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, Tokenizer};

use super::error::FilterError;
use super::tree::{Comparison, Kind, Node, Operator};

/// Words and operators of an expression; literals (long `IN` lists) do not count.
const MAX_WORDS: usize = 2_048;
/// Bytes of the text of an expression.
const MAX_BYTES: usize = 1 << 20;
/// Nesting of sqlparser's grammar, some of which it uses up by itself.
const MAX_NESTING: usize = 128;
/// Nesting of our tree.
const MAX_DEPTH: usize = 256;

/// Parses one expression that is the whole of the text.
pub(super) fn parse(text: &str) -> Result<Node, FilterError> {
    if text.trim().is_empty() {
        return Err(FilterError::Syntax { message: "the expression is empty".to_owned(), offset: Some(0) });
    }
    if text.len() > MAX_BYTES {
        return Err(FilterError::TooLarge { what: format!("{} bytes, {MAX_BYTES} are allowed", text.len()) });
    }
    let source = Source { text };
    let tokens = Tokenizer::new(&GenericDialect {}, text)
        .tokenize_with_location()
        .map_err(|e| FilterError::Syntax { message: e.message.clone(), offset: source.offset(e.location) })?;
    let words = tokens
        .iter()
        .filter(|t| {
            !matches!(
                t.token,
                Token::Whitespace(_) | Token::Comma | Token::Number(..) | Token::SingleQuotedString(_) | Token::RParen
            )
        })
        .count();
    if words > MAX_WORDS {
        return Err(FilterError::TooLarge { what: format!("{words} words and operators, {MAX_WORDS} are allowed") });
    }
    let dialect = GenericDialect {};
    let mut parser = Parser::new(&dialect).with_recursion_limit(MAX_NESTING).with_tokens_with_locations(tokens);
    let expr = parser.parse_expr().map_err(|e| source.error(e))?;
    let rest = parser.peek_token_ref();
    if rest.token != Token::EOF {
        return Err(FilterError::Syntax {
            message: format!("expected an operator or the end, found {}", rest.token),
            offset: source.offset(rest.span.start),
        });
    }
    source.node(&expr, 0)
}

struct Source<'a> {
    text: &'a str,
}

impl Source<'_> {
    /// Byte offset of a location (lines and characters counted from 1; line 0 is "unknown").
    fn offset(&self, at: Location) -> Option<usize> {
        let line = usize::try_from(at.line).ok()?.checked_sub(1)?;
        let column = usize::try_from(at.column).ok()?.checked_sub(1)?;
        let start: usize = self.text.split_inclusive('\n').take(line).map(str::len).sum();
        let rest = self.text.get(start..)?;
        Some(start + rest.char_indices().nth(column).map_or(rest.len(), |(i, _)| i))
    }

    /// The place is only in sqlparser's message, so it is read from there.
    fn error(&self, error: ParserError) -> FilterError {
        let message = match error {
            ParserError::TokenizerError(m) | ParserError::ParserError(m) => m,
            ParserError::RecursionLimitExceeded => {
                return FilterError::TooLarge { what: format!("nested deeper than {MAX_NESTING}") };
            }
        };
        let (message, place) = message.rsplit_once(" at Line: ").map_or((message.as_str(), None), |(m, p)| (m, Some(p)));
        let offset = place
            .and_then(|p| p.split_once(", Column: "))
            .and_then(|(line, column)| self.offset(Location { line: line.parse().ok()?, column: column.trim().parse().ok()? }));
        let at_end = message.ends_with("found: EOF");
        FilterError::Syntax {
            message: message
                .replace("Expected: ", "expected ")
                .replace(", found: EOF", ", found the end")
                .replace(", found: ", ", found "),
            offset: if at_end { Some(self.text.len()) } else { offset },
        }
    }

    fn unsupported(&self, expr: &Expr) -> FilterError {
        let written = expr.to_string();
        let what = if written.chars().count() <= 60 { format!("`{written}`") } else { "this".to_owned() };
        FilterError::Unsupported { what, offset: self.offset(expr.span().start) }
    }

    fn node(&self, expr: &Expr, depth: usize) -> Result<Node, FilterError> {
        if depth > MAX_DEPTH {
            return Err(FilterError::TooLarge { what: format!("nested deeper than {MAX_DEPTH}") });
        }
        let below = |e: &Expr| self.node(e, depth + 1);
        let boxed = |e: &Expr| below(e).map(Box::new);
        let negated = |node: Node, negated: bool| {
            if negated { Node { at: node.at, kind: Kind::Not(Box::new(node)) } } else { node }
        };
        match expr {
            Expr::Nested(inner) => below(inner),
            Expr::Identifier(ident) => self.path(std::slice::from_ref(ident)),
            Expr::CompoundIdentifier(idents) => self.path(idents),
            Expr::Value(value) => self.literal(value, expr),
            Expr::UnaryOp { op, expr: inner } => match op {
                UnaryOperator::Not => {
                    let inner = boxed(inner)?;
                    Ok(Node { at: inner.at, kind: Kind::Not(inner) })
                }
                UnaryOperator::Plus => below(inner),
                UnaryOperator::Minus => {
                    let inner = below(inner)?;
                    let at = inner.at;
                    let kind = match inner.kind {
                        Kind::Int(i) => Kind::Int(-i),
                        Kind::Float(f) => Kind::Float(-f),
                        _ => Kind::Negate(Box::new(inner)),
                    };
                    Ok(Node { at, kind })
                }
                _ => Err(self.unsupported(expr)),
            },
            Expr::BinaryOp { op: op @ (BinaryOperator::And | BinaryOperator::Or), .. } => {
                let items =
                    spine(expr, op).into_iter().map(|e| self.node(e, depth + 1)).collect::<Result<Vec<_>, FilterError>>()?;
                let at = items[0].at;
                Ok(Node { at, kind: if *op == BinaryOperator::And { Kind::All(items) } else { Kind::Any(items) } })
            }
            Expr::BinaryOp { left, op, right } => {
                let compare = match op {
                    BinaryOperator::Eq => Some(Comparison::Eq),
                    BinaryOperator::NotEq => Some(Comparison::Ne),
                    BinaryOperator::Lt => Some(Comparison::Lt),
                    BinaryOperator::LtEq => Some(Comparison::Le),
                    BinaryOperator::Gt => Some(Comparison::Gt),
                    BinaryOperator::GtEq => Some(Comparison::Ge),
                    _ => None,
                };
                let arithmetic = match op {
                    BinaryOperator::Plus => Some(Operator::Add),
                    BinaryOperator::Minus => Some(Operator::Subtract),
                    BinaryOperator::Multiply => Some(Operator::Multiply),
                    BinaryOperator::Divide => Some(Operator::Divide),
                    BinaryOperator::Modulo => Some(Operator::Remainder),
                    _ => None,
                };
                let kind = |x: Box<Node>, y: Box<Node>| match (compare, arithmetic) {
                    (Some(op), _) => Some(Kind::Compare(op, x, y)),
                    (_, Some(op)) => Some(Kind::Arithmetic(op, x, y)),
                    _ => None,
                };
                if compare.is_none() && arithmetic.is_none() {
                    return Err(FilterError::Unsupported { what: format!("`{op}`"), offset: self.offset(expr.span().start) });
                }
                let (x, y) = (boxed(left)?, boxed(right)?);
                let at = x.at;
                kind(x, y).map(|kind| Node { at, kind }).ok_or_else(|| self.unsupported(expr))
            }
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
                let inner = boxed(inner)?;
                Ok(negated(Node { at: inner.at, kind: Kind::IsNull(inner) }, matches!(expr, Expr::IsNotNull(_))))
            }
            Expr::IsTrue(inner) => self.is(inner, Some(true), depth),
            Expr::IsFalse(inner) => self.is(inner, Some(false), depth),
            Expr::IsUnknown(inner) => self.is(inner, None, depth),
            Expr::IsNotTrue(inner) => self.is(inner, Some(true), depth).map(|n| negated(n, true)),
            Expr::IsNotFalse(inner) => self.is(inner, Some(false), depth).map(|n| negated(n, true)),
            Expr::IsNotUnknown(inner) => self.is(inner, None, depth).map(|n| negated(n, true)),
            Expr::Between { expr: inner, negated: not, low, high } => {
                let inner = boxed(inner)?;
                let at = inner.at;
                let low = Node { at, kind: Kind::Compare(Comparison::Ge, inner.clone(), boxed(low)?) };
                let high = Node { at, kind: Kind::Compare(Comparison::Le, inner, boxed(high)?) };
                Ok(negated(Node { at, kind: Kind::All(vec![low, high]) }, *not))
            }
            Expr::InList { expr: inner, list, negated: not } => {
                let inner = boxed(inner)?;
                let list = list.iter().map(below).collect::<Result<Vec<_>, _>>()?;
                if let Some(odd) =
                    list.iter().find(|n| !matches!(n.kind, Kind::Null | Kind::Int(_) | Kind::Float(_) | Kind::Text(_)))
                {
                    return Err(FilterError::Unsupported {
                        what: format!("{} in a list (lists hold numbers or texts)", odd.describe()),
                        offset: Some(odd.at),
                    });
                }
                Ok(negated(Node { at: inner.at, kind: Kind::In(inner, list) }, *not))
            }
            Expr::Like { negated: not, any: false, expr: inner, pattern, escape_char } => {
                let inner = boxed(inner)?;
                let pattern = below(pattern)?;
                let Kind::Text(text) = pattern.kind else {
                    return Err(FilterError::Unsupported {
                        what: "LIKE without a quoted pattern".to_owned(),
                        offset: Some(pattern.at),
                    });
                };
                let escape = escape_char.as_deref().map(below).transpose()?;
                let escape = match escape.map(|e| (e.at, e.kind)) {
                    None => None,
                    Some((_, Kind::Text(t))) if t.chars().count() == 1 => t.chars().next(),
                    Some((at, _)) => {
                        return Err(FilterError::Syntax {
                            message: "ESCAPE takes one quoted character".to_owned(),
                            offset: Some(at),
                        });
                    }
                };
                Ok(negated(Node { at: inner.at, kind: Kind::Like(inner, text, escape) }, *not))
            }
            Expr::Function(function) => match abs_argument(function) {
                Some(argument) => {
                    let inner = boxed(argument)?;
                    Ok(Node { at: self.offset(expr.span().start).unwrap_or(inner.at), kind: Kind::Abs(inner) })
                }
                None => Err(self.unsupported(expr)),
            },
            Expr::CompoundFieldAccess { .. } | Expr::JsonAccess { .. } => Err(FilterError::Unsupported {
                what: format!("`{expr}` (elements of arrays have no single value)"),
                offset: self.offset(expr.span().start),
            }),
            _ => Err(self.unsupported(expr)),
        }
    }

    fn is(&self, inner: &Expr, truth: Option<bool>, depth: usize) -> Result<Node, FilterError> {
        let inner = Box::new(self.node(inner, depth + 1)?);
        Ok(Node { at: inner.at, kind: Kind::Is(inner, truth) })
    }

    fn path(&self, idents: &[Ident]) -> Result<Node, FilterError> {
        Ok(Node {
            at: idents.first().and_then(|i| self.offset(i.span.start)).unwrap_or(0),
            kind: Kind::Path(idents.iter().map(|i| i.value.clone()).collect()),
        })
    }

    fn literal(&self, value: &ValueWithSpan, expr: &Expr) -> Result<Node, FilterError> {
        let at = self.offset(value.span.start).unwrap_or(0);
        let kind = match &value.value {
            Value::Null => Kind::Null,
            Value::Boolean(b) => Kind::Bool(*b),
            Value::SingleQuotedString(s) => Kind::Text(s.clone()),
            Value::Number(digits, false) => match digits.parse::<i64>() {
                Ok(i) => Kind::Int(i),
                Err(_) => match digits.parse::<f64>() {
                    Ok(f) if f.is_finite() => Kind::Float(f),
                    _ => {
                        return Err(FilterError::Syntax {
                            message: format!("{digits} is not a number of 64 bits"),
                            offset: Some(at),
                        });
                    }
                },
            },
            _ => return Err(self.unsupported(expr)),
        };
        Ok(Node { at, kind })
    }
}

/// The terms of a chain of one operator, left to right.
fn spine<'e>(expr: &'e Expr, operator: &BinaryOperator) -> Vec<&'e Expr> {
    let mut terms = Vec::new();
    let mut cursor = expr;
    while let Expr::BinaryOp { left, op, right } = cursor {
        if op != operator {
            break;
        }
        terms.push(&**right);
        cursor = left;
    }
    terms.push(cursor);
    terms.reverse();
    terms
}

/// `x` of `abs(x)`.
fn abs_argument(function: &Function) -> Option<&Expr> {
    let plain = function.over.is_none() && function.filter.is_none() && function.within_group.is_empty();
    if !plain || !function.name.to_string().eq_ignore_ascii_case("abs") {
        return None;
    }
    match &function.args {
        FunctionArguments::List(list) => match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(e))] => Some(e),
            _ => None,
        },
        _ => None,
    }
}
