//! Owns the order of a listing: `a,-b`, and where a row stands in it.
//!
//! Nulls come last in either direction, and rows that are equal in all columns go by row id, so that
//! every row has a place of its own. Of a text its first 512 bytes count.

use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

use super::compare::SortKey;
use super::index::NULL;
use super::{Code, ColumnType, Failure, Row, RowKey, Table, Value};

/// The most columns to order by.
const MAX_COLUMNS: usize = 8;

/// By which columns rows are ordered, in one table.
#[derive(Clone, Debug)]
pub struct Order {
    text: String,
    by: Vec<By>,
}

#[derive(Clone, Debug)]
struct By {
    /// The column's position; none for the row id.
    column: Option<usize>,
    kind: ColumnType,
    falling: bool,
}

/// The place of a row in an order; lesser ones come first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Standing {
    terms: Vec<Term>,
    key: RowKey,
}

/// In one column all terms that are not null rise or fall together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Term {
    Rising(SortKey),
    Falling(Reverse<SortKey>),
    Null,
}

/// The way through rows or the entries of an index that makes an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// As they lie.
    Forward,
    /// From the last to the first.
    Backward,
    /// From the last values to the first; rows of the same values as they lie, by row id.
    BackwardByValues,
}

impl Order {
    /// Reads `a,-b`; `None` where that is the order in which rows lie: by row id.
    ///
    /// # Errors
    /// `bad_request` for an empty name, a repeated one or too many, `unknown_column`.
    pub fn parse(table: &Table, text: &str) -> Result<Option<Order>, Failure> {
        let bad = |why: String| Failure::new(Code::BadRequest, why).hint("order by columns as in a,-b: b falling");
        let mut by: Vec<By> = Vec::new();
        for word in text.split(',') {
            let (name, falling) = word.strip_prefix('-').map_or((word, false), |name| (name, true));
            if name.is_empty() {
                return Err(bad("the order names no column".into()));
            }
            let is_id = name == "row_id" || (name == "id" && table.id_column().is_some());
            let column = if is_id { None } else { Some(table.column(name)?) };
            if by.iter().any(|other| other.column == column) {
                return Err(bad(format!("the order names column \"{name}\" twice")));
            }
            if by.len() == MAX_COLUMNS {
                return Err(bad(format!("the order names more than {MAX_COLUMNS} columns")));
            }
            let kind = match column {
                Some(index) => table.columns[index].kind,
                None if table.id_type() == Some(ColumnType::Int) => ColumnType::Int,
                None => ColumnType::Text,
            };
            by.push(By { column, kind, falling });
        }
        let as_rows_lie = by.first().is_some_and(|first| first.column.is_none() && !first.falling);
        Ok((!as_rows_lie).then(|| Order { text: text.into(), by }))
    }

    /// The order as it was asked for.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The positions of its columns up to the row id, behind which nothing counts, and how an index of them is
    /// walked to have the order: nulls aside, which in an index are above all values.
    pub(super) fn walk(&self) -> Option<(Vec<usize>, Walk)> {
        let columns: Vec<&By> = self.by.iter().take_while(|by| by.column.is_some()).collect();
        let ids_fall = self.by.get(columns.len()).is_some_and(|id| id.falling);
        let falls = columns.first().map_or(ids_fall, |first| first.falling);
        let walk = match (falls, ids_fall) {
            _ if columns.iter().any(|by| by.falling != falls) => return None,
            (false, false) => Walk::Forward,
            (true, true) => Walk::Backward,
            (true, false) => Walk::BackwardByValues,
            (false, true) => return None,
        };
        Some((columns.iter().filter_map(|by| by.column).collect(), walk))
    }

    /// Whether it is the rows' own, by row id, backwards.
    pub fn is_rows_backwards(&self) -> bool {
        self.by.first().is_some_and(|first| first.column.is_none() && first.falling)
    }

    /// Where `row` stands.
    pub fn standing(&self, key: &RowKey, row: &Row) -> Standing {
        let term = |by: &By| {
            let value = by.column.map_or(&row.id, |index| row.values.get(index).unwrap_or(&Value::Null));
            match SortKey::new(by.kind, value) {
                None => Term::Null,
                Some(key) if by.falling => Term::Falling(Reverse(key)),
                Some(key) => Term::Rising(key),
            }
        };
        Standing { terms: self.by.iter().map(term).collect(), key: key.clone() }
    }
}

impl Standing {
    /// Appends the bytes that an index has of its first `columns` columns.
    pub(super) fn encode(&self, columns: usize, out: &mut Vec<u8>) {
        for term in self.terms.iter().take(columns) {
            match term {
                Term::Rising(key) | Term::Falling(Reverse(key)) => key.encode(out),
                Term::Null => out.push(NULL),
            }
        }
    }

    /// Whether one of its first `columns` columns is null.
    pub(super) fn has_null(&self, columns: usize) -> bool {
        self.terms.iter().take(columns).any(|term| *term == Term::Null)
    }

    /// The key of the row that stands there.
    pub fn key(&self) -> &RowKey {
        &self.key
    }

    /// About how many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        let term = |term: &Term| match term {
            Term::Rising(key) | Term::Falling(Reverse(key)) => key.bytes(),
            Term::Null => size_of::<Term>(),
        };
        size_of::<Standing>() + self.key.0.len() + self.terms.iter().map(term).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ColumnSpec;

    fn table() -> Table {
        let columns = ["a", "n:int", "t:timestamp", "x:text", "b:bool"];
        Table::declare(1, "t", &columns.map(|column| ColumnSpec::parse(column).unwrap()), 1).unwrap()
    }

    /// The numbers of the rows as `order` has them, where row n has the nth value in `column`.
    fn sorted(order: &str, column: &str, values: &[Value]) -> Vec<usize> {
        let table = table();
        let order = Order::parse(&table, order).unwrap().unwrap();
        let standing = |(n, value): (usize, &Value)| {
            let mut row = Row { id: Value::Text(n.to_string()), values: vec![Value::Null; 5], revision: 1 };
            row.values[table.column(column).unwrap()] = value.clone();
            order.standing(&RowKey(n.to_string().into_bytes()), &row)
        };
        let mut rows: Vec<Standing> = values.iter().enumerate().map(standing).collect();
        rows.sort();
        rows.iter().map(|row| String::from_utf8(row.key().0.clone()).unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn columns_are_ordered_by_their_type_with_nulls_last_and_ties_by_row_id() {
        let text = |text: &str| Value::Text(text.into());
        let ints = [Value::Int(2), Value::Null, Value::Int(-7), Value::Int(2), Value::Int(10)];
        assert_eq!(sorted("n", "n", &ints), [2, 0, 3, 4, 1]);
        assert_eq!(sorted("-n", "n", &ints), [4, 0, 3, 2, 1]);
        assert_eq!(sorted("-n,-row_id", "n", &ints), [4, 3, 0, 2, 1]);
        assert_eq!(sorted("x,-row_id", "n", &ints), [4, 3, 2, 1, 0]);
        let any = [text("b"), text("10"), Value::Float(9.5), Value::Bool(true), text(""), Value::Null, Value::Int(10)];
        assert_eq!(sorted("a", "a", &any), [2, 1, 6, 4, 0, 3, 5]);
        let texts = [text("b"), text("10"), text("9"), text("é"), text("")];
        assert_eq!(sorted("x", "x", &texts), [4, 1, 2, 0, 3]);
        let times = [text("2024-01-01T01:00:00+02:00"), text("2024-01-01T00:00:00Z"), text("2023-12-31T22:30:00Z")];
        assert_eq!(sorted("t", "t", &times), [2, 0, 1]);
        assert_eq!(sorted("-b", "b", &[Value::Bool(false), Value::Bool(true), Value::Null]), [1, 0, 2]);
    }

    #[test]
    fn an_order_is_refused_or_is_that_of_the_rows_themselves() {
        let table = table();
        for (order, code) in [
            ("", Code::BadRequest),
            ("a,", Code::BadRequest),
            ("-", Code::BadRequest),
            ("a,-a", Code::BadRequest),
            ("nn", Code::UnknownColumn),
            ("id", Code::UnknownColumn),
            ("--n", Code::UnknownColumn),
        ] {
            assert_eq!(Order::parse(&table, order).unwrap_err().code, code, "{order}");
        }
        assert!(Order::parse(&table, "row_id").unwrap().is_none());
        assert!(Order::parse(&table, "row_id,-n").unwrap().is_none());
        assert!(Order::parse(&table, "-row_id").unwrap().is_some());
    }
}
