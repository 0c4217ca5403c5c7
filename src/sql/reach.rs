//! Owns which rows a virtual table has to read: what a plan's conditions leave of it, once their values are known.
//!
//! What it names holds every row that SQLite could want, and may hold others: SQLite tests each row again.
//! So wherever SQLite's rules of comparison are not plainly those of our keys, it names more.

use super::plan::{self, Sign, Test};
use crate::model::{Access, ColumnType, Condition, Filter, IndexUse, KeyRange, Op, RowKey, Table, Value};

/// The part of a table that has to be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Rows as they lie.
    Rows(Access),
    /// The rows of these stretches of the index at this position, in its order.
    Index(usize, Vec<KeyRange>),
}

/// What has to be read of `table` to find all rows that pass the conditions of a plan with these values.
pub(super) fn reach(table: &Table, plan: &str, values: &[Option<Value>]) -> Reach {
    let through = plan::index_of(plan).and_then(|(name, own)| Some((table.index(name).ok()?, own)));
    match through {
        Some((place, own)) => by_index(table, place, &own, values),
        None => {
            let tests: Vec<_> = plan::signs_of(plan).into_iter().zip(values.iter().cloned()).collect();
            Reach::Rows(by_row_id(table, &tests))
        }
    }
}

/// The stretches of the index at `place`.
fn by_index(table: &Table, place: usize, own: &[Test<'_>], values: &[Option<Value>]) -> Reach {
    // Nothing compares with null.
    if values.contains(&Some(Value::Null)) {
        return Reach::Rows(Access::Point(Vec::new()));
    }
    let filter = |((column, sign), value): (&Test<'_>, &Option<Value>)| {
        filter(table, column, *sign, value.as_ref()?)?.bind(table).ok()
    };
    let conditions: Vec<Condition> = own.iter().zip(values).filter_map(filter).collect();
    match IndexUse::of(table, place, &conditions, None) {
        Some(by) => Reach::Index(place, by.ranges),
        // Bounds promised the index's order.
        None if own.first().is_some_and(|(_, sign)| !sign.is_equal()) => Reach::Index(place, vec![KeyRange::default()]),
        None => Reach::Rows(Access::Scan),
    }
}

/// A filter that all rows pass that pass the comparison in SQL; none where that is not plain.
fn filter(table: &Table, column: &str, sign: Sign, value: &Value) -> Option<Filter> {
    let kind = table.columns.iter().find(|own| own.name == column)?.kind;
    let filter = |op, text| Some(Filter { column: column.into(), op, text });
    let text = match (kind, value) {
        (ColumnType::Text | ColumnType::Timestamp | ColumnType::Any, Value::Text(text)) => text.clone(),
        (ColumnType::Text, Value::Int(number)) if sign == Sign::Literal => number.to_string(),
        // A truth is a number in SQL.
        (ColumnType::Any, Value::Int(0) | Value::Float(0.0)) if sign == Sign::Literal => {
            return filter(Op::In, "0,false".into());
        }
        (ColumnType::Any, Value::Int(1) | Value::Float(1.0)) if sign == Sign::Literal => {
            return filter(Op::In, "1,true".into());
        }
        (ColumnType::Any, Value::Int(_) | Value::Float(_)) if sign == Sign::Literal => shown(value),
        (ColumnType::Int | ColumnType::Float, Value::Int(_) | Value::Float(_)) => shown(value),
        (ColumnType::Int | ColumnType::Float, Value::Text(text)) => text.parse::<i64>().ok()?.to_string(),
        (ColumnType::Bool, Value::Int(number @ (0 | 1))) => (*number == 1).to_string(),
        _ => return None,
    };
    let op = match sign {
        Sign::Equal | Sign::Literal => Op::Eq,
        // A bound that is no float may be rounded up to one, or down.
        Sign::Greater if kind != ColumnType::Float => Op::Gt,
        Sign::Less if kind != ColumnType::Float => Op::Lt,
        Sign::Greater | Sign::AtLeast => Op::Ge,
        Sign::Less | Sign::AtMost => Op::Le,
    };
    filter(op, text)
}

/// A number as filters have it.
fn shown(value: &Value) -> String {
    let mut text = String::new();
    value.write_json(&mut text);
    text
}

/// What has to be read of `table` to find all rows whose ids pass all `tests`. A test without a value is one
/// with a value that no row id can be.
fn by_row_id(table: &Table, tests: &[(Sign, Option<Value>)]) -> Access {
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
    use crate::model::{ColumnSpec, IndexSpec};

    #[test]
    fn conditions_on_the_row_id_say_what_to_read() {
        let table = |id: &str| Table::declare(1, "t", &[ColumnSpec::parse(id).unwrap()], 1).unwrap();
        let (text, int) = (table("id"), table("id:int"));
        let one = |table: &Table, sign, value| by_row_id(table, &[(sign, Some(value))]);
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
        assert_eq!(by_row_id(&int, &both), range(&three, Some(&after_three)));
    }

    #[test]
    fn conditions_on_indexed_columns_say_which_entries_to_read() {
        let columns = ["a:int", "b:text", "c"].map(|column| ColumnSpec::parse(column).unwrap());
        let mut table = Table::declare(1, "t", &columns, 1).unwrap();
        for names in [&["a", "b"] as &[&str], &["c"]] {
            let columns = names.iter().map(ToString::to_string).collect();
            table.add_index(&IndexSpec { name: None, columns, unique: false }, true).unwrap();
        }
        let (one, text) = ([Some(Value::Int(1))], [Some(Value::Text("x".into()))]);
        let stretches = |plan: &str, values: &[Option<Value>]| match reach(&table, plan, values) {
            Reach::Index(place, ranges) => (place, ranges),
            Reach::Rows(rows) => panic!("{plan}: {rows:?}"),
        };
        let (both, first) = ("index a_b: a = and b >=", stretches("index a_b: a =", &one));
        let (place, narrow) = stretches(both, &[one.clone(), text.clone()].concat());
        assert!(place == 0 && first.0 == 0 && narrow[0].from > first.1[0].from && narrow[0].to <= first.1[0].to);
        // What says nothing about the second column leaves the first.
        assert_eq!(stretches(both, &[one.clone(), one.clone()].concat()), first);
        // A bound keeps the index's order, though it bounds nothing.
        assert_eq!(stretches("index a_b: a <", &[None]), (0, vec![KeyRange::default()]));
        // The number and the truth.
        assert_eq!(stretches("index c: c ==", &one).1.len(), 2);
        for (plan, value, wanted) in [
            ("index a_b: a =", [Some(Value::Null)], Access::Point(vec![])),
            ("index a_b: a =", text, Access::Scan),
            // It may equal the texts "1" and "01".
            ("index c: c =", one, Access::Scan),
        ] {
            assert_eq!(reach(&table, plan, &value), Reach::Rows(wanted), "{plan}");
        }
    }
}
