//! Owns which way a virtual table is read: by all rows, by the row id, or through an index; and the words of a plan.
//!
//! SQLite asks which way is best before any value is known, and hands the words back with the values.

use std::ffi::c_int;

use crate::model::{ColumnType, Index, IndexState, Table};

/// What a column of a virtual table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    RowId,
    Column(usize),
    Revision,
}

/// A comparison of a column with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// `=`, with a value that is known only when the query runs.
    Equal,
    /// `=`, with a number that stands in the query.
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

    pub(super) fn is_equal(self) -> bool {
        matches!(self, Sign::Equal | Sign::Literal)
    }
}

/// A condition that SQLite offers to have looked after.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Which one of all that it offers.
    pub(super) at: usize,
    pub(super) place: Place,
    pub(super) sign: Sign,
    /// Whether each of several values is asked for in turn.
    pub(super) each: bool,
}

/// A way to read a table.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) number: c_int,
    pub(super) words: String,
    /// The conditions whose values are wanted, in the order of the words.
    pub(super) taken: Vec<usize>,
    /// About how many rows are read.
    pub(super) rows: f64,
    /// What it costs, in rows read one after the other.
    pub(super) cost: f64,
    /// Whether at most one row can pass.
    pub(super) one: bool,
    /// Whether the rows come as SQLite wants them ordered.
    pub(super) ordered: bool,
}

/// The cheapest way to read `table`, which has `all` rows, where these conditions can be looked after and the
/// rows are wanted in this order, with none for a column that falls.
pub(super) fn best(table: &Table, all: u64, asked: &[Asked], order: &[Option<Place>]) -> Way {
    let all = all.max(1) as f64;
    let ready = table.indexes.iter().filter(|index| index.state == IndexState::Ready);
    ready
        .filter_map(|index| through(table, index, all, asked, order))
        .fold(by_row_id(table, all, asked, order), |best, way| if way.cost < best.cost { way } else { best })
}

/// Rows that pass a bound, of so many: what SQLite assumes, too.
fn bounded(rows: f64, bounds: usize) -> f64 {
    (rows / 4f64.powi(i32::try_from(bounds).unwrap_or(i32::MAX))).max(1.0)
}

fn by_row_id(table: &Table, all: f64, asked: &[Asked], order: &[Option<Place>]) -> Way {
    let own = || asked.iter().filter(|own| own.place == Place::RowId);
    let own: Vec<&Asked> = match own().find(|own| own.sign.is_equal()) {
        Some(equal) => vec![equal],
        None => own().collect(),
    };
    let words: Vec<&str> = own.iter().map(|own| own.sign.word()).collect();
    let equal = own.first().filter(|own| own.sign.is_equal());
    let (number, words, rows) = match equal {
        Some(_) => (1, format!("row id {}", words.join(" and ")), 1.0),
        None if own.is_empty() => (0, "all rows".into(), all),
        None => (2, format!("row id {}", words.join(" and ")), bounded(all, own.len())),
    };
    // A number that is no literal may equal several texts: "7" and "07".
    let one = equal.is_some_and(|own| own.sign == Sign::Literal || table.id_type() == Some(ColumnType::Int));
    // Rows come in the order of their ids, which no two rows share.
    let ordered = order.first() == Some(&Some(Place::RowId));
    Way { number, words, taken: own.iter().map(|own| own.at).collect(), rows, cost: rows, one, ordered }
}

/// The way through an index, if the conditions leave a part of it.
fn through(table: &Table, index: &Index, all: f64, asked: &[Asked], order: &[Option<Place>]) -> Option<Way> {
    let mut taken: Vec<(&str, &Asked)> = Vec::new();
    let (mut rows, mut whole, mut numbers) = (all, true, true);
    let mut first = None;
    for id in &index.columns {
        let place = table.columns.iter().position(|column| column.id == *id)?;
        first = first.or(Some(place));
        let column = &table.columns[place];
        let fits = |own: &&Asked| own.place == Place::Column(place) && serves(column.kind, own);
        if let Some(equal) = asked.iter().filter(fits).find(|own| own.sign.is_equal()) {
            taken.push((&column.name, equal));
            numbers &= matches!(column.kind, ColumnType::Int | ColumnType::Float | ColumnType::Bool);
            rows = rows.sqrt();
            continue;
        }
        whole = false;
        let bounds: Vec<&Asked> = asked.iter().filter(fits).collect();
        rows = bounded(rows, bounds.len());
        taken.extend(bounds.into_iter().map(|own| (column.name.as_str(), own)));
        break;
    }
    let ranged = taken.first().is_some_and(|(_, own)| !own.sign.is_equal());
    if whole && index.unique {
        rows = 1.0;
    }
    let alone = index.columns.len() == 1;
    let ordered = match order {
        // Rows of the same values stand by their ids; but a number may be found in two places among any values.
        [Some(Place::RowId), ..] => alone && whole && table.columns[first?].kind != ColumnType::Any,
        // Bounds leave no nulls, which stand last here and first in SQL.
        [Some(Place::Column(column))] => ranged && Some(*column) == first,
        [Some(Place::Column(column)), Some(Place::RowId), ..] => ranged && alone && Some(*column) == first,
        _ => false,
    };
    let conditions: Vec<String> = taken.iter().map(|(name, own)| format!("{name} {}", own.sign.word())).collect();
    (!taken.is_empty()).then(|| Way {
        number: 3,
        words: format!("index {}: {}", index.name, conditions.join(" and ")),
        taken: taken.iter().map(|(_, own)| own.at).collect(),
        rows,
        // Each row is looked up behind its entry.
        cost: 1.0 + 3.0 * rows,
        one: whole && index.unique && numbers,
        ordered,
    })
}

/// Whether an index over a column of that kind finds all rows that pass the condition in SQL.
fn serves(kind: ColumnType, asked: &Asked) -> bool {
    match kind {
        ColumnType::Int | ColumnType::Float | ColumnType::Text => true,
        // SQL orders timestamps as texts, an index as instants; but equal texts are equal instants.
        ColumnType::Timestamp | ColumnType::Bool => asked.sign.is_equal(),
        // SQL sets numbers before all texts, an index also those in texts. What is in a list may be a number
        // or a text, and each that is not found through the index would be sought in the whole table.
        ColumnType::Any => asked.sign.is_equal() && !asked.each,
        ColumnType::Json => false,
    }
}

/// What is asked of a column by its name.
pub(super) type Test<'a> = (&'a str, Sign);

/// A way through an index, read from the words of its plan: the index's name, and what is asked of its columns.
pub(super) fn index_of(words: &str) -> Option<(&str, Vec<Test<'_>>)> {
    let (index, conditions) = words.strip_prefix("index ")?.split_once(": ")?;
    let read = |condition| {
        let (column, word) = str::split_once(condition, ' ')?;
        Some((column, Sign::WORDS.iter().find(|(own, _)| *own == word)?.1))
    };
    Some((index, conditions.split(" and ").map(read).collect::<Option<_>>()?))
}

/// The signs of a plan by the row id, in order; what is no sign is prose.
pub(super) fn signs_of(words: &str) -> Vec<Sign> {
    let sign = |word: &str| Sign::WORDS.iter().find(|(own, _)| *own == word).map(|(_, sign)| *sign);
    words.split_whitespace().filter_map(sign).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_plan_are_read_as_they_were_written() {
        assert_eq!(signs_of("row id >= and < of it"), [Sign::AtLeast, Sign::Less]);
        let read = index_of("index a_b: a == and b > and b <=");
        assert_eq!(read, Some(("a_b", vec![("a", Sign::Literal), ("b", Sign::Greater), ("b", Sign::AtMost)])));
        assert_eq!(index_of("row id ="), None);
    }
}
