//! Owns which index serves a search, and which of its entries have to be read.
//!
//! What is named holds every row that passes, and may hold others: each row is still tested. A column of
//! any values compares a word with numbers as numbers and with the rest as text, so that one comparison
//! may name two stretches of an index.

use super::compare::{Number, SortKey, Word};
use super::condition::Test;
use super::index::{NULL, NUMBER, TEXT, begin_text};
use super::{ColumnType, Condition, IndexState, KeyRange, Order, RowKey, Standing, Table};

/// The most stretches of an index that one search reads.
const MOST_RANGES: usize = 1_000;

/// How an index serves a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexUse {
    /// The index's position in the table.
    pub index: usize,
    /// The stretches to read, in order; no two have an entry in common.
    pub ranges: Vec<KeyRange>,
    /// Whether the rows come in the order that was asked for.
    pub ordered: bool,
    /// Whether the rows come by row id.
    pub by_row_id: bool,
    /// How many bytes of all entries are the same, as the conditions ask.
    fixed: usize,
    /// How well it serves: more conditions, then equality, then order.
    worth: usize,
}

impl IndexUse {
    /// The index that serves best, if one serves at all.
    pub fn best(table: &Table, conditions: &[Condition], order: Option<&Order>) -> Option<IndexUse> {
        let serving = (0..table.indexes.len()).filter_map(|place| IndexUse::of(table, place, conditions, order));
        // Of equals the oldest.
        serving.reduce(|best, other| if other.worth > best.worth { other } else { best })
    }

    /// How the index at that position serves, if it does.
    pub fn of(table: &Table, place: usize, conditions: &[Condition], order: Option<&Order>) -> Option<IndexUse> {
        let index = &table.indexes[place];
        if index.state != IndexState::Ready {
            return None;
        }
        let columns: Vec<usize> =
            index.columns.iter().filter_map(|id| table.columns.iter().position(|own| own.id == *id)).collect();
        let mut prefixes = vec![Vec::new()];
        let (mut points, mut singles, mut worth) = (0, 0, 0);
        let mut spans = None;
        for column in &columns {
            let tests = || conditions.iter().filter_map(|condition| condition.on_column(*column));
            match tests().filter_map(exactly).min_by_key(Vec::len) {
                Some(exact) if prefixes.len() * exact.len() <= MOST_RANGES => {
                    singles += usize::from(exact.len() == 1 && singles == points);
                    points += 1;
                    worth += 100;
                    prefixes =
                        prefixes.iter().flat_map(|p| exact.iter().map(move |e| [p, e.as_slice()].concat())).collect();
                }
                _ => {
                    let kind = table.columns[*column].kind;
                    let narrowed = tests().filter_map(|test| stretches(test, kind)).reduce(|a, b| common(&a, &b));
                    worth += if narrowed.is_some() { 10 } else { 0 };
                    spans = narrowed.filter(|spans| prefixes.len() * spans.len() <= MOST_RANGES);
                    break;
                }
            }
        }
        if index.unique && points == columns.len() {
            worth += 50;
        }
        let ordered = singles == points && order.and_then(Order::rising).is_some_and(|by| by == columns[points..]);
        if worth == 0 && !ordered {
            return None;
        }
        let ranges = match spans {
            None => prefixes.iter().map(|prefix| behind(prefix, &all())).collect(),
            Some(spans) => prefixes.iter().flat_map(|p| spans.iter().map(move |span| behind(p, span))).collect(),
        };
        let by_row_id = points == columns.len() && prefixes.len() == 1;
        let fixed = if by_row_id || ordered { prefixes[0].len() } else { 0 };
        Some(IndexUse { index: place, ranges, ordered, by_row_id, fixed, worth: worth + usize::from(ordered) })
    }

    /// The part of it that comes after the row that stands at `last`, where its rows come in order.
    #[must_use]
    pub fn after(self, last: &Standing) -> IndexUse {
        self.behind(|bytes| last.encode(bytes))
    }

    /// The part of it that comes after that row, where its rows come by row id.
    #[must_use]
    pub fn after_row(self, last: &RowKey) -> IndexUse {
        self.behind(|bytes| bytes.extend_from_slice(&last.0))
    }

    fn behind(mut self, last: impl FnOnce(&mut Vec<u8>)) -> IndexUse {
        let Some(mut from) = self.ranges.first().map(|range| range.from[..self.fixed].to_vec()) else { return self };
        last(&mut from);
        from.push(0);
        for range in &mut self.ranges {
            if range.from < from {
                range.from.clone_from(&from);
            }
        }
        self.ranges.retain(|range| range.to.as_ref().is_none_or(|to| range.from < *to));
        self
    }
}

/// A stretch of one column's values.
type Span = (Vec<u8>, Vec<u8>);

fn all() -> Span {
    (Vec::new(), vec![u8::MAX])
}

/// The entries that begin with `prefix` and go on within `span`.
fn behind(prefix: &[u8], (from, to): &Span) -> KeyRange {
    KeyRange { from: [prefix, from.as_slice()].concat(), to: Some([prefix, to.as_slice()].concat()) }
}

/// What values pass only if they are one of these; `None` where that cannot be said.
fn exactly(test: &Test) -> Option<Vec<Vec<u8>>> {
    let mut exact: Vec<Vec<u8>> = match test {
        Test::Equal(word) => vec![point(word)?],
        Test::In(words) => words.iter().map(point).collect::<Option<_>>()?,
        Test::Null(true) => vec![vec![NULL]],
        _ => return None,
    };
    exact.sort_unstable();
    exact.dedup();
    Some(exact)
}

/// The bytes of all values that equal the word.
fn point(word: &Word) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    match word {
        Word::Number(number) | Word::Loose { number: Some(number), .. } => number_key(*number, &mut bytes),
        Word::Bool(truth) => SortKey::Bool(*truth).encode(&mut bytes),
        Word::Instant(instant) => SortKey::Instant(*instant).encode(&mut bytes),
        // Arrays and objects are equal whatever the order of their keys.
        Word::Loose { json: Some(_), .. } => return None,
        Word::Text(text) | Word::Loose { text, .. } => text_key(text, &mut bytes),
    }
    Some(bytes)
}

fn number_key(number: Number, out: &mut Vec<u8>) {
    SortKey::Number(number).encode(out);
}

fn text_key(text: &str, out: &mut Vec<u8>) {
    begin_text(text.as_bytes(), out);
    out.extend_from_slice(&[0, 1]);
}

/// Stretches outside which nothing passes, in order; `None` where that cannot be said.
fn stretches(test: &Test, kind: ColumnType) -> Option<Vec<Span>> {
    match test {
        // Equal to an array or an object are only values that begin as it does.
        Test::Equal(Word::Loose { text, json: Some(_), .. }) => Some(vec![beginning(text.get(..1)?)]),
        Test::Prefix(text) if kind == ColumnType::Text => Some(vec![beginning(text)]),
        // A number may begin with anything.
        Test::Prefix(text) if kind == ColumnType::Any => Some(vec![(vec![NUMBER], vec![TEXT]), beginning(text)]),
        Test::Less(word, equal) => Some(bounded(word, |key| (Vec::new(), if *equal { end(key) } else { key }))),
        Test::Greater(word, equal) => Some(bounded(word, |key| (if *equal { key } else { end(key) }, vec![NULL]))),
        Test::Null(false) => Some(vec![(Vec::new(), vec![NULL])]),
        _ => None,
    }
}

/// The stretch that `bound` makes of the word's bytes, for each kind of value that it compares with.
fn bounded(word: &Word, bound: impl Fn(Vec<u8>) -> Span) -> Vec<Span> {
    let Word::Loose { text, number, .. } = word else {
        return point(word).map(bound).into_iter().collect();
    };
    let mut text_bytes = Vec::new();
    text_key(text, &mut text_bytes);
    let texts = within((vec![TEXT], vec![NULL]), bound(text_bytes));
    let numbers = (vec![NUMBER], vec![TEXT]);
    let numbers = match number {
        None => numbers,
        Some(number) => {
            let mut bytes = Vec::new();
            number_key(*number, &mut bytes);
            within(numbers, bound(bytes))
        }
    };
    vec![numbers, texts]
}

fn within((from, to): Span, (other_from, other_to): Span) -> Span {
    (from.max(other_from), to.min(other_to))
}

/// The texts that begin with `text`.
fn beginning(text: &str) -> Span {
    let mut bytes = Vec::new();
    begin_text(text.as_bytes(), &mut bytes);
    (bytes.clone(), end(bytes))
}

/// What lies in both.
fn common(a: &[Span], b: &[Span]) -> Vec<Span> {
    let pairs = a.iter().flat_map(|a| b.iter().map(move |b| within(a.clone(), b.clone())));
    pairs.filter(|(from, to)| from < to).collect()
}

/// The least bytes after all that begin with `bytes`.
fn end(mut bytes: Vec<u8>) -> Vec<u8> {
    while let Some(last) = bytes.pop() {
        if last < u8::MAX {
            bytes.push(last + 1);
            break;
        }
    }
    bytes
}
