//! Owns the filter grammar, one for the command line and for `filter=`: a column, an operator, a word.
//!
//! Words stand for operators, because `<`, `>`, `~` and `*` mean something to shells. What a filter
//! means for a table is `condition`'s.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Code, Failure, excerpt};

/// The most filters that stand together: of a search, of an export, of a change, of a condition.
pub const MAX_FILTERS: usize = 100;

/// The most bytes of the word of a filter.
pub const MAX_FILTER_BYTES: usize = 32 << 10;

/// How a filter compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// `column=value`
    Eq,
    /// `column!=value`; null passes neither this nor any other comparison.
    Ne,
    /// `column.gt=value`
    Gt,
    /// `column.ge=value`
    Ge,
    /// `column.lt=value`
    Lt,
    /// `column.le=value`
    Le,
    /// `column.prefix=text`
    Prefix,
    /// `column.contains=text`
    Contains,
    /// `column.in=a,b,c`
    In,
    /// `column.null=true|false`
    Null,
}

impl Op {
    /// Every operator, as it stands between a column and a word.
    const SIGNS: [(&'static str, Op); 10] = [
        ("=", Op::Eq),
        ("!=", Op::Ne),
        (".gt=", Op::Gt),
        (".ge=", Op::Ge),
        (".lt=", Op::Lt),
        (".le=", Op::Le),
        (".prefix=", Op::Prefix),
        (".contains=", Op::Contains),
        (".in=", Op::In),
        (".null=", Op::Null),
    ];

    /// The operator as it stands between a column and a word: `.gt=`.
    pub fn sign(self) -> &'static str {
        Op::SIGNS.iter().find(|(_, op)| *op == self).map_or("=", |(sign, _)| sign)
    }
}

/// One comparison of a column with a word, before the table's schema is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// The column's name; `row_id` also names the row id.
    pub column: String,
    /// How it compares.
    pub op: Op,
    /// The word to compare with; its type is the column's.
    pub text: String,
}

/// What to write, as the hint of every refusal.
const GRAMMAR: &str = "write a filter as column=value, column!=value, or with .gt= .ge= .lt= .le= .prefix= .contains= \
                       .in=a,b,c .null=true|false after the column";

impl Filter {
    /// Parses `column=value`, `column.gt=value` and so on.
    ///
    /// # Errors
    /// `bad_filter`, saying what was expected.
    pub fn parse(text: &str) -> Result<Filter, Failure> {
        let bad = |why: String| Err(Failure::new(Code::BadFilter, why).hint(GRAMMAR));
        let shown = excerpt(text, 80);
        // Neither a name nor an operator holds a =, so the first one ends them; the rest is the word's.
        let Some(equals) = text.find('=') else {
            return bad(format!("\"{shown}\" is not a filter: it has no ="));
        };
        let (head, word) = (&text[..equals], &text[equals + 1..]);
        let (column, sign) = match head.find(['.', '!', '<', '>', '~', '^', '*']) {
            Some(at) => head.split_at(at),
            None => (head, ""),
        };
        let Some((_, op)) = Op::SIGNS.iter().find(|(known, _)| known.strip_suffix('=') == Some(sign)) else {
            let sign = excerpt(sign, 80);
            return bad(format!("filter \"{shown}\" uses the operator \"{sign}\", which there is not"));
        };
        if column.is_empty() {
            return bad(format!("filter \"{shown}\" names no column"));
        }
        Filter::new(column, *op, word)
    }

    /// A filter of these parts.
    ///
    /// # Errors
    /// `bad_filter` for a word that is too long.
    pub fn new(column: &str, op: Op, word: &str) -> Result<Filter, Failure> {
        if word.len() > MAX_FILTER_BYTES {
            let column = excerpt(column, 80);
            let message =
                format!("the filter on \"{column}\" has {} bytes, and may have {MAX_FILTER_BYTES}", word.len());
            return Err(Failure::new(Code::BadFilter, message).hint("compare with the beginning: .prefix="));
        }
        Ok(Filter { column: column.into(), op, text: word.into() })
    }

    /// Parses filters that stand together.
    ///
    /// # Errors
    /// `bad_filter` for the first that is none, and where they are too many.
    pub fn parse_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Filter>, Failure> {
        let filters: Vec<Filter> =
            texts.into_iter().take(MAX_FILTERS + 1).map(Filter::parse).collect::<Result<_, Failure>>()?;
        if filters.len() > MAX_FILTERS {
            return Err(Failure::new(
                Code::BadFilter,
                format!("{MAX_FILTERS} filters may stand together, and no more"),
            ));
        }
        Ok(filters)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.column, self.op.sign(), self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_so_many_bytes_and_so_many_filters_stand_together() {
        let word = |bytes: usize| format!("a.in={}", "x".repeat(bytes));
        assert!(Filter::parse(&word(MAX_FILTER_BYTES)).is_ok());
        let failure = Filter::parse(&word(MAX_FILTER_BYTES + 1)).unwrap_err();
        assert_eq!(failure.code, Code::BadFilter);
        assert_eq!(failure.message, "the filter on \"a\" has 32769 bytes, and may have 32768");
        let many = |count: usize| Filter::parse_all(std::iter::repeat_n("a=1", count));
        assert_eq!(many(MAX_FILTERS).map(|filters| filters.len()), Ok(MAX_FILTERS));
        assert_eq!(many(MAX_FILTERS + 1).map_err(|failure| failure.code), Err(Code::BadFilter));
    }

    #[test]
    fn every_operator_is_read_and_written_alike() {
        for (text, column, op, word) in [
            ("a=1", "a", Op::Eq, "1"),
            ("a=", "a", Op::Eq, ""),
            ("a==b!=c", "a", Op::Eq, "=b!=c"),
            ("a!=1", "a", Op::Ne, "1"),
            ("a.gt=1", "a", Op::Gt, "1"),
            ("a.ge=1", "a", Op::Ge, "1"),
            ("a.lt=-1.5", "a", Op::Lt, "-1.5"),
            ("a.le=1", "a", Op::Le, "1"),
            ("a.prefix=x.y", "a", Op::Prefix, "x.y"),
            ("a.contains==", "a", Op::Contains, "="),
            ("a.in=1,2", "a", Op::In, "1,2"),
            ("row_id.null=true", "row_id", Op::Null, "true"),
        ] {
            let filter = Filter::parse(text).unwrap();
            assert_eq!(filter, Filter { column: column.into(), op, text: word.into() }, "{text}");
            assert_eq!(filter.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_with_the_grammar() {
        for (text, said) in [
            ("", "\"\" is not a filter: it has no ="),
            ("a", "it has no ="),
            ("a.gt", "it has no ="),
            ("a>5", "it has no ="),
            ("=1", "names no column"),
            ("!=1", "names no column"),
            (".gt=1", "names no column"),
            ("a.near=1", "the operator \".near\""),
            ("a.=1", "the operator \".\""),
            ("a.GT=1", "the operator \".GT\""),
            ("a.gt.lt=1", "the operator \".gt.lt\""),
            ("a>=1", "the operator \">\""),
            ("a~=1", "the operator \"~\""),
            ("a!!=1", "the operator \"!!\""),
            ("a.\u{1b}=1", "the operator \".\\u{1b}\""),
        ] {
            let failure = Filter::parse(text).unwrap_err();
            assert_eq!(failure.code, Code::BadFilter, "{text}");
            assert!(failure.message.contains(said), "{text}: {}", failure.message);
            assert!(failure.hint.unwrap().contains(".gt="), "{text}");
        }
    }
}
