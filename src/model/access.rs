//! Owns which row keys can pass the conditions on the row id: a few, a range, or all.
//!
//! What it names holds every row that passes, and may hold others: each row is still tested.

use super::compare::Word;
use super::condition::Test;
use super::{ColumnType, Condition, RowKey, Table};

/// The part of a table that a search has to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// These rows, in key order, each of which may be missing.
    Point(Vec<RowKey>),
    /// The rows whose keys are in the range.
    Range(KeyRange),
    /// All rows.
    Scan,
}

/// A range of row keys; it may hold none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key that is inside.
    pub from: Vec<u8>,
    /// The first key after it that is outside; none where there is no end.
    pub to: Option<Vec<u8>>,
}

impl KeyRange {
    pub(super) fn starts_at(&mut self, from: Vec<u8>) {
        if from > self.from {
            self.from = from;
        }
    }

    pub(super) fn ends_before(&mut self, to: Vec<u8>) {
        if self.to.as_ref().is_none_or(|own| to < *own) {
            self.to = Some(to);
        }
    }

    /// The part of the range that comes after `last`.
    #[must_use]
    pub fn after(mut self, last: &RowKey) -> KeyRange {
        self.starts_at(next(last.0.clone()));
        self
    }

    /// The part of the range that comes before `last`.
    #[must_use]
    pub fn before(mut self, last: &RowKey) -> KeyRange {
        self.ends_before(last.0.clone());
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.to.as_ref().is_some_and(|to| *to <= self.from)
    }

    fn holds(&self, key: &RowKey) -> bool {
        key.0 >= self.from && self.to.as_ref().is_none_or(|to| key.0 < *to)
    }
}

impl Access {
    /// What has to be read of `table` to find all rows that pass all `conditions`.
    pub fn of(table: &Table, conditions: &[Condition]) -> Access {
        let ints = table.id_type() == Some(ColumnType::Int);
        let mut range = KeyRange::default();
        let mut points: Option<Vec<RowKey>> = None;
        for test in conditions.iter().filter_map(Condition::on_row_id) {
            let keys: Vec<RowKey> = match test {
                Test::Equal(word) => key(word).into_iter().collect(),
                Test::In(words) => words.iter().filter_map(key).collect(),
                _ => {
                    if ints {
                        int_bound(&mut range, test)
                    } else {
                        text_bound(&mut range, test)
                    }
                    continue;
                }
            };
            points = Some(match points {
                Some(own) => own.into_iter().filter(|key| keys.contains(key)).collect(),
                None => keys,
            });
        }
        match points {
            Some(mut keys) => {
                keys.retain(|key| range.holds(key));
                keys.sort_unstable();
                keys.dedup();
                Access::Point(keys)
            }
            None if range == KeyRange::default() => Access::Scan,
            None => Access::Range(range),
        }
    }

    /// Its name: `point`, `range` or `scan`.
    pub fn name(&self) -> &'static str {
        match self {
            Access::Point(_) => "point",
            Access::Range(_) => "range",
            Access::Scan => "scan",
        }
    }
}

/// The key that comes next after `key`.
fn next(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// The key of the row whose id equals the word; none where no id does.
fn key(word: &Word) -> Option<RowKey> {
    match word {
        Word::Text(text) => Some(RowKey(text.as_bytes().to_vec())),
        word => {
            let number = word.number()?;
            let id = i64::try_from(number.floor()).ok()?;
            (number.floor() == number.ceil()).then(|| RowKey::int(id))
        }
    }
}

fn text_bound(range: &mut KeyRange, test: &Test) {
    let bytes = |text: &String| text.as_bytes().to_vec();
    match test {
        Test::Less(Word::Text(text), equal) => range.ends_before(if *equal { next(bytes(text)) } else { bytes(text) }),
        Test::Greater(Word::Text(text), equal) => range.starts_at(if *equal { bytes(text) } else { next(bytes(text)) }),
        Test::Prefix(text) => {
            range.starts_at(bytes(text));
            // No byte of UTF-8 is 255, so the last can always be counted up.
            if let [head @ .., last] = text.as_bytes() {
                range.ends_before([head, &[last + 1]].concat());
            }
        }
        _ => {}
    }
}

fn int_bound(range: &mut KeyRange, test: &Test) {
    match test {
        Test::Less(word, equal) => {
            let Some(number) = word.number() else { return };
            let end = if *equal { number.floor() + 1 } else { number.ceil() };
            if end <= i64::MAX.into() {
                range.ends_before(clamped(end));
            }
        }
        Test::Greater(word, equal) => {
            let Some(number) = word.number() else { return };
            let start = if *equal { number.ceil() } else { number.floor() + 1 };
            if start > i64::MAX.into() {
                range.starts_at(next(RowKey::int(i64::MAX).0));
            } else if start > i64::MIN.into() {
                range.starts_at(clamped(start));
            }
        }
        _ => {}
    }
}

/// The key of an integer id, of the least one for what is below.
fn clamped(id: i128) -> Vec<u8> {
    RowKey::int(i64::try_from(id).unwrap_or(i64::MIN)).0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{ColumnSpec, Filter, Row, Value};

    fn table(id: &str) -> Table {
        Table::declare(1, "t", &[ColumnSpec::parse(id).unwrap(), ColumnSpec::parse("a").unwrap()], 1).unwrap()
    }

    fn bind(table: &Table, filters: &[&str]) -> Vec<Condition> {
        filters.iter().map(|filter| Filter::parse(filter).unwrap().bind(table).unwrap()).collect()
    }

    #[test]
    fn a_filter_on_the_row_id_says_what_to_read() {
        let text = table("id");
        let access = |filters: &[&str]| Access::of(&text, &bind(&text, filters));
        let keys = |keys: &[&str]| Access::Point(keys.iter().map(|key| RowKey(key.as_bytes().to_vec())).collect());
        let range = |from: &str, to: Option<&str>| {
            Access::Range(KeyRange { from: from.into(), to: to.map(|to| to.as_bytes().to_vec()) })
        };
        for (filters, wanted) in [
            (&[][..], Access::Scan),
            (&["a=1"], Access::Scan),
            (&["id!=1"], Access::Scan),
            (&["row_id.contains=1", "id.null=false"], Access::Scan),
            (&["id=1"], keys(&["1"])),
            (&["row_id=1", "a.gt=2"], keys(&["1"])),
            (&["id.in=c,a,b,a"], keys(&["a", "b", "c"])),
            (&["id.in=c,a,b", "id.gt=a", "row_id.in=a,b"], keys(&["b"])),
            (&["id=1", "id=2"], keys(&[])),
            (&["id.ge=a", "id.lt=b"], range("a", Some("b"))),
            (&["id.gt=a", "id.le=b"], range("a\0", Some("b\0"))),
            (&["id.prefix=ab"], range("ab", Some("ac"))),
            (&["id.prefix=ab", "id.gt=abx"], range("abx\0", Some("ac"))),
            (&["id.prefix="], Access::Scan),
        ] {
            assert_eq!(access(filters), wanted, "{filters:?}");
        }
        let (ints, int) = (table("id:int"), |n: i64| RowKey::int(n).0);
        let access = |filters: &[&str]| Access::of(&ints, &bind(&ints, filters));
        let range = |from: Option<i64>, to: Option<i64>| {
            Access::Range(KeyRange { from: from.map(int).unwrap_or_default(), to: to.map(int) })
        };
        for (filters, wanted) in [
            (&["id=7.0"][..], Access::Point(vec![RowKey::int(7)])),
            (&["id=7.5"], Access::Point(vec![])),
            (&["id.gt=-1", "id.lt=5"], range(Some(0), Some(5))),
            (&["id.ge=1.5", "id.le=4.5"], range(Some(2), Some(5))),
            (&["id.le=9223372036854775807"], Access::Scan),
            (&["id.lt=9223372036854775807"], range(None, Some(i64::MAX))),
            (&["id.lt=-1e30"], range(None, Some(i64::MIN))),
        ] {
            assert_eq!(access(filters), wanted, "{filters:?}");
        }
        let Access::Range(nothing) = access(&["id.gt=9223372036854775807"]) else { panic!("a range") };
        assert!(nothing.from > int(i64::MAX));
    }

    proptest! {
        #[test]
        fn no_row_that_passes_is_left_unread(
            ids in prop::collection::vec(prop_oneof![-4..5_i64, Just(i64::MAX), Just(i64::MIN)], 1..8),
            filters in prop::collection::vec(("=|!=|\\.(gt|ge|lt|le)=", "-?[0-4](\\.[05])?|-?1e30|-?9223372036854775807"), 0..4),
            ints in any::<bool>(),
        ) {
            let table = table(if ints { "id:int" } else { "id" });
            let filters: Vec<String> = filters.iter().map(|(sign, word)| format!("id{sign}{word}")).collect();
            let conditions = bind(&table, &filters.iter().map(String::as_str).collect::<Vec<_>>());
            let access = Access::of(&table, &conditions);
            for id in ids {
                let key = RowKey::new(&table, &id.to_string()).unwrap();
                let row = Row { id: key.id(&table), values: vec![key.id(&table), Value::Null], revision: 1 };
                let read = match &access {
                    Access::Point(keys) => keys.contains(&key),
                    Access::Range(range) => range.holds(&key),
                    Access::Scan => true,
                };
                let passes = Condition::all_pass(&conditions, &row);
                prop_assert!(read || !passes, "{:?} {:?} {:?}", filters, id, access);
            }
        }
    }
}
