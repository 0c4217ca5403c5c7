//! Owns which index serves a search, and which of its entries have to be read.
//!
//! What is named holds every row that passes, and may hold others: each row is still tested. A column of
//! any values compares a word with numbers as numbers and with the rest as text, so that one comparison
//! may name two stretches of an index.

use super::compare::{Number, SortKey, Word};
use super::condition::Test;
use super::index::{NULL, NUMBER, TEXT, begin_text};
use super::{ColumnType, Condition, IndexState, KeyRange, Order, RowKey, Standing, Table, Walk};

/// The most stretches of an index that one search reads.
const MOST_RANGES: usize = 1_000;

/// How an index serves a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexUse {
    /// The index's position in the table.
    pub index: usize,
    /// The stretches to read, in order; no two have an entry in common.
    pub ranges: Vec<KeyRange>,
    /// How each of them is walked.
    pub walk: Walk,
    /// Whether the rows come in the order that was asked for.
    pub ordered: bool,
    /// Whether the rows come by row id.
    pub by_row_id: bool,
    /// The bytes that all entries begin with, as the conditions ask, where the rows come in an order.
    fixed: Vec<u8>,
    /// How many columns behind them the order is by.
    by: usize,
    /// Whether the bytes of an entry may be its values' alone.
    sole: bool,
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
        let mut sole = index.unique;
        let mut spans = None;
        for column in &columns {
            let tests = || conditions.iter().filter_map(|condition| condition.on_column(*column));
            match tests().filter_map(exactly).min_by_key(Vec::len) {
                Some(exact) if prefixes.len() * exact.len() <= MOST_RANGES => {
                    singles += usize::from(exact.len() == 1 && singles == points);
                    points += 1;
                    sole &= exact.iter().all(|bytes| *bytes != [NULL]);
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
        let walk = order.and_then(Order::walk).filter(|(by, walk)| {
            let not_null = |column: &usize| table.columns[*column].not_null;
            // Backwards, nulls come first: those of the first column are told apart, of others there may be none.
            let nulls_last = *walk == Walk::Forward || by.iter().skip(1).all(not_null);
            singles == points && *by == columns[points..] && nulls_last
        });
        let ordered = walk.is_some();
        if worth == 0 && !ordered {
            return None;
        }
        let mut ranges: Vec<KeyRange> = match spans {
            None => prefixes.iter().map(|prefix| behind(prefix, &all())).collect(),
            Some(spans) => prefixes.iter().flat_map(|p| spans.iter().map(move |span| behind(p, span))).collect(),
        };
        let by_row_id = points == columns.len() && prefixes.len() == 1;
        let fixed = if by_row_id || ordered { prefixes.swap_remove(0) } else { Vec::new() };
        let (by, walk) = walk.map_or((0, Walk::Forward), |(by, walk)| (by.len(), walk));
        if walk != Walk::Forward {
            ranges = backwards(&ranges, (by > 0).then(|| nulls(&fixed)));
        }
        let worth = worth + usize::from(ordered);
        Some(IndexUse { index: place, ranges, walk, ordered, by_row_id, fixed, by, sole, worth })
    }

    /// The part of it that comes after the row that stands at `last`, where its rows come in order.
    #[must_use]
    pub fn after(mut self, last: &Standing) -> IndexUse {
        let mut values = self.fixed.clone();
        last.encode(self.by, &mut values);
        let entry = [values.as_slice(), &last.key().0].concat();
        if self.walk == Walk::Forward {
            return self.behind(entry);
        }
        let sole = self.sole && !last.has_null(self.by);
        let bound = if self.walk == Walk::BackwardByValues || sole { values.clone() } else { entry.clone() };
        let nulls = nulls(&self.fixed);
        let among_nulls = self.by > 0 && values.starts_with(&nulls);
        for range in &mut self.ranges {
            let of_nulls = self.by > 0 && range.from >= nulls;
            if of_nulls == among_nulls {
                range.ends_before(bound.clone());
            } else if among_nulls {
                range.to = Some(range.from.clone());
            }
        }
        if self.walk == Walk::BackwardByValues {
            self.ranges.insert(0, KeyRange { from: [entry.as_slice(), &[0]].concat(), to: Some(end(values)) });
        }
        self.ranges.retain(|range| !range.is_empty());
        self
    }

    /// The part of it that comes after that row, where its rows come by row id.
    #[must_use]
    pub fn after_row(self, last: &RowKey) -> IndexUse {
        let entry = [self.fixed.as_slice(), &last.0].concat();
        self.behind(entry)
    }

    fn behind(mut self, mut last: Vec<u8>) -> IndexUse {
        last.push(0);
        for range in &mut self.ranges {
            range.starts_at(last.clone());
        }
        self.ranges.retain(|range| !range.is_empty());
        self
    }
}

/// What all entries begin with that go on with a null.
fn nulls(fixed: &[u8]) -> Vec<u8> {
    [fixed, &[NULL]].concat()
}

/// The stretches from the last to the first, but what is from `nulls` on behind the rest.
fn backwards(ranges: &[KeyRange], nulls: Option<Vec<u8>>) -> Vec<KeyRange> {
    let Some(nulls) = nulls else { return ranges.iter().rev().cloned().collect() };
    let below = ranges.iter().rev().cloned().map(|mut range| {
        range.ends_before(nulls.clone());
        range
    });
    let above = ranges.iter().rev().cloned().map(|mut range| {
        range.starts_at(nulls.clone());
        range
    });
    below.chain(above).filter(|range| !range.is_empty()).collect()
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
