//! Owns which rows a virtual table has to read: what a query's conditions on the row id leave of it.
//!
//! What it names holds every row that SQLite could want, and may hold others: SQLite tests each row again.
//! So wherever SQLite's rules of comparison are not plainly those of our keys, it names more.

use crate::model::{Access, ColumnType, KeyRange, RowKey, Table, Value};

/// A comparison of the row id with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// `=`, with a value that is known only when the query runs.
    Equal,
    /// `=`, with a value that stands in the query.
    Literal,
    Greater,
    AtLeast,
    Less,
    AtMost,
}

impl Sign {
    const WORDS: [(&'static str, Sign); 6] = [
        ("=", Sign::Equal),
        ("==", Sign::Literal),
        (">", Sign::Greater),
        (">=", Sign::AtLeast),
        ("<", Sign::Less),
        ("<=", Sign::AtMost),
    ];

    /// The sign as it stands in a plan.
    pub(super) fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, sign)| *sign == self).map_or("=", |(word, _)| word)
    }

    /// The signs of a plan, in order; what is no sign is prose.
    pub(super) fn of_plan(plan: &str) -> Vec<Sign> {
        let sign = |word: &str| Self::WORDS.iter().find(|(own, _)| *own == word).map(|(_, sign)| *sign);
        plan.split_whitespace().filter_map(sign).collect()
    }
}

/// What has to be read of `table` to find all rows whose ids pass all `tests`. A test without a value is one
/// with a value that no row id can be.
pub(super) fn reach(table: &Table, tests: &[(Sign, Option<Value>)]) -> Access {
    let mut range = KeyRange::default();
    for (sign, value) in tests {
        // Nothing compares with null.
        if *value == Some(Value::Null) {
            return Access::Point(Vec::new());
        }
        let Some(value) = value else { continue };
        let narrowed = if table.id_type() == Some(ColumnType::Int) {
            by_number(table, *sign, value)
        } else {
            by_text(*sign, value)
        };
        match narrowed {
            Narrowed::Not => {}
            Narrowed::To(keys) => return Access::Point(keys),
            Narrowed::From(from) => range.from = range.from.max(from),
            Narrowed::Before(to) => range.to = Some(range.to.map_or(to.clone(), |own| own.min(to))),
        }
    }
    if range == KeyRange::default() { Access::Scan } else { Access::Range(range) }
}

/// What one test leaves of the table.
enum Narrowed {
    Not,
    To(Vec<RowKey>),
    From(Vec<u8>),
    Before(Vec<u8>),
}

/// The key that comes next after `key`.
fn next(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// Ids that are texts compare byte by byte, like their keys.
fn by_text(sign: Sign, value: &Value) -> Narrowed {
    let key = match (sign, value) {
        (_, Value::Text(text)) => text.as_bytes().to_vec(),
        // A number that stands in the query is compared as its text. One that comes from elsewhere may
        // be compared as a number, and then "07" equals 7, too.
        (Sign::Literal, Value::Int(number)) => number.to_string().into_bytes(),
        _ => return Narrowed::Not,
    };
    match sign {
        Sign::Equal | Sign::Literal => Narrowed::To(vec![RowKey(key)]),
        Sign::Greater => Narrowed::From(next(key)),
        Sign::AtLeast => Narrowed::From(key),
        Sign::Less => Narrowed::Before(key),
        Sign::AtMost => Narrowed::Before(next(key)),
    }
}

/// Ids that are integers compare as numbers, also with floats and with texts that are numbers.
fn by_number(table: &Table, sign: Sign, value: &Value) -> Narrowed {
    let (floor, whole) = match value {
        Value::Int(number) => (*number, true),
        // Within these bounds the floor is exact: all larger floats are whole.
        Value::Float(number) if (-(2f64.powi(63))..2f64.powi(63)).contains(number) => {
            (number.floor() as i64, number.floor() == *number)
        }
        Value::Text(text) => match text.parse::<i64>() {
            Ok(number) => (number, true),
            Err(_) => return Narrowed::Not,
        },
        _ => return Narrowed::Not,
    };
    // Every integer is a row id.
    let Ok(RowKey(key)) = RowKey::new(table, &floor.to_string()) else { return Narrowed::Not };
    match sign {
        Sign::Equal | Sign::Literal if whole => Narrowed::To(vec![RowKey(key)]),
        Sign::Equal | Sign::Literal => Narrowed::To(Vec::new()),
        Sign::AtLeast if whole => Narrowed::From(key),
        Sign::Greater | Sign::AtLeast => Narrowed::From(next(key)),
        Sign::Less if whole => Narrowed::Before(key),
        Sign::Less | Sign::AtMost => Narrowed::Before(next(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ColumnSpec;

    #[test]
    fn conditions_on_the_row_id_say_what_to_read() {
        let table = |id: &str| Table::declare(1, "t", &[ColumnSpec::parse(id).unwrap()], 1).unwrap();
        let (text, int) = (table("id"), table("id:int"));
        let one = |table: &Table, sign, value| reach(table, &[(sign, Some(value))]);
        let words = |word: &str| Value::Text(word.into());
        let key = |n: i64| RowKey::new(&int, &n.to_string()).unwrap();
        let range = |from: &[u8], to: Option<&[u8]>| {
            Access::Range(KeyRange { from: from.to_vec(), to: to.map(<[u8]>::to_vec) })
        };
        for (sign, value, wanted) in [
            (Sign::Equal, words("a"), Access::Point(vec![RowKey(b"a".to_vec())])),
            (Sign::Literal, Value::Int(7), Access::Point(vec![RowKey(b"7".to_vec())])),
            (Sign::Equal, Value::Int(7), Access::Scan),
            (Sign::Literal, Value::Float(7.0), Access::Scan),
            (Sign::Equal, Value::Null, Access::Point(vec![])),
            (Sign::Greater, words("a"), range(b"a\0", None)),
            (Sign::AtMost, words("a"), range(b"", Some(b"a\0"))),
        ] {
            assert_eq!(one(&text, sign, value.clone()), wanted, "{sign:?} {value:?}");
        }
        let (three, after_three) = (key(3).0, next(key(3).0));
        for (sign, value, wanted) in [
            (Sign::Equal, Value::Int(3), Access::Point(vec![key(3)])),
            (Sign::Equal, Value::Float(3.0), Access::Point(vec![key(3)])),
            (Sign::Equal, Value::Float(3.5), Access::Point(vec![])),
            (Sign::Equal, words("3"), Access::Point(vec![key(3)])),
            (Sign::Equal, words("3.0"), Access::Scan),
            (Sign::Greater, Value::Float(3.5), range(&after_three, None)),
            (Sign::AtLeast, Value::Float(3.5), range(&after_three, None)),
            (Sign::AtLeast, Value::Int(3), range(&three, None)),
            (Sign::Less, Value::Float(3.5), range(b"", Some(&after_three))),
            (Sign::Less, Value::Int(3), range(b"", Some(&three))),
            (Sign::Greater, Value::Float(1e30), Access::Scan),
            (Sign::Less, words("abc"), Access::Scan),
        ] {
            assert_eq!(one(&int, sign, value.clone()), wanted, "{sign:?} {value:?}");
        }
        let both = [(Sign::AtLeast, Some(Value::Int(3))), (Sign::AtMost, Some(Value::Int(3))), (Sign::Less, None)];
        assert_eq!(reach(&int, &both), range(&three, Some(&after_three)));
        assert_eq!(Sign::of_plan("row id >= and < of it"), [Sign::AtLeast, Sign::Less]);
    }
}
