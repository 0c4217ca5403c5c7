//! Owns secondary indexes: what one is, and the bytes under which a row sorts in it.
//!
//! The bytes of values sort as `compare` orders values of the column's type, nulls last, and no value's
//! bytes are the beginning of another's, so that those of several columns may stand one after the other.
//! A number is its nearest float and what it lacks of it: exact, and the same for `1` and `1.0`.

use serde::{Deserialize, Serialize};

use super::compare::{Number, SortKey};
use super::{Code, Column, ColumnType, Failure, RowKey, Table, Value, check_name, nearest};

/// The most columns of an index.
pub const MAX_INDEX_COLUMNS: usize = 8;
/// The most indexes of a table.
pub const MAX_INDEXES: usize = 32;
/// The most bytes that the text of an indexed value may have.
pub const MAX_INDEXED_BYTES: usize = SortKey::TEXT;

const BOOL: u8 = 0x10;
const INSTANT: u8 = 0x20;
pub(super) const NUMBER: u8 = 0x30;
pub(super) const TEXT: u8 = 0x40;
pub(super) const NULL: u8 = 0xfe;

/// An index as a request declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexSpec {
    /// Its name; the columns' names joined by `_` where nothing is said.
    pub name: Option<String>,
    /// The names of its columns, in order.
    pub columns: Vec<String>,
    /// Whether no two rows may have the same values; null is the same as nothing.
    pub unique: bool,
}

/// How far an index is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexState {
    /// Rows from before it are still being entered.
    Building,
    /// It holds every row.
    Ready,
    /// It could not be built, for this reason; it holds nothing.
    Failed(String),
}

/// A secondary index of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Unique in the table, never used again.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// The ids of its columns, in order.
    pub columns: Vec<u32>,
    /// Whether no two rows may have the same values; null is the same as nothing.
    pub unique: bool,
    /// How far it is.
    pub state: IndexState,
}

/// The place of a row in an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The bytes under which it sorts.
    pub key: Vec<u8>,
    /// Whether the bytes are the values' alone, which is so where they are unique; else the row's key ends them.
    pub sole: bool,
}

impl Index {
    /// Whether it could not be built.
    pub fn is_failed(&self) -> bool {
        matches!(self.state, IndexState::Failed(_))
    }

    /// Where the row of these values (in the table's column order) stands.
    ///
    /// # Errors
    /// `too_large` for a value longer than an index takes.
    pub fn entry(&self, table: &Table, key: &RowKey, values: &[Value]) -> Result<Entry, Failure> {
        let mut bytes = Vec::with_capacity(32);
        let mut nulls = false;
        for id in &self.columns {
            let Some(place) = table.columns.iter().position(|column| column.id == *id) else { continue };
            let (column, value) = (&table.columns[place], &values[place]);
            match SortKey::new(column.kind, value) {
                None => {
                    nulls = true;
                    bytes.push(NULL);
                }
                Some(sort_key) => {
                    self.check_length(table, column, value)?;
                    sort_key.encode(&mut bytes);
                }
            }
        }
        let sole = self.unique && !nulls;
        if !sole {
            bytes.extend_from_slice(&key.0);
        }
        Ok(Entry { key: bytes, sole })
    }

    fn check_length(&self, table: &Table, column: &Column, value: &Value) -> Result<(), Failure> {
        let length = match value {
            Value::Text(text) | Value::Json(text) if column.kind != ColumnType::Timestamp => text.len(),
            _ => return Ok(()),
        };
        if length <= MAX_INDEXED_BYTES {
            return Ok(());
        }
        let message = format!(
            "a value of column \"{}\" of table \"{}\" has {length} bytes, and index \"{}\" takes {MAX_INDEXED_BYTES}; \
             nothing was written",
            column.name, table.name, self.name
        );
        Err(Failure::new(Code::TooLarge, message).hint("shorten the value, or drop the index"))
    }
}

impl Table {
    /// Adds an index; in an empty table there is nothing to build.
    ///
    /// # Errors
    /// `index_exists`, `unknown_column`, `bad_name`, `bad_request` for what cannot be indexed or is too many.
    pub fn add_index(&mut self, spec: &IndexSpec, empty: bool) -> Result<&Index, Failure> {
        let bad = |why: String| Err(Failure::new(Code::BadRequest, format!("{why}; nothing was created")));
        if spec.columns.is_empty() || spec.columns.len() > MAX_INDEX_COLUMNS {
            return bad(format!("an index has 1 to {MAX_INDEX_COLUMNS} columns, not {}", spec.columns.len()));
        }
        if self.indexes.len() >= MAX_INDEXES {
            return bad(format!("table \"{}\" has {MAX_INDEXES} indexes, as many as it may have", self.name));
        }
        let mut columns = Vec::with_capacity(spec.columns.len());
        for name in &spec.columns {
            let Column { id, kind, .. } = &self.columns[self.column(name)?];
            if name == "id" {
                return bad("column \"id\" is the row id, by which rows are found without an index".into());
            }
            if *kind == ColumnType::Json {
                return bad(format!("column \"{name}\" is json, which has no order to index it by"));
            }
            if columns.contains(id) {
                return bad(format!("the index names column \"{name}\" twice"));
            }
            columns.push(*id);
        }
        let name = spec.name.clone().unwrap_or_else(|| spec.columns.join("_"));
        check_name("index", &name)?;
        if self.indexes.iter().any(|index| index.name == name) {
            let message = format!("table \"{}\" already has an index \"{name}\"; nothing was created", self.name);
            return Err(Failure::new(Code::IndexExists, message).hint("give it another name with --name"));
        }
        let state = if empty { IndexState::Ready } else { IndexState::Building };
        self.indexes.push(Index { id: self.next_index, name, columns, unique: spec.unique, state });
        self.next_index += 1;
        Ok(&self.indexes[self.indexes.len() - 1])
    }

    /// The position of the index called `name`.
    ///
    /// # Errors
    /// `index_not_found`, with the nearest name as a hint.
    pub fn index(&self, name: &str) -> Result<usize, Failure> {
        if let Some(place) = self.indexes.iter().position(|index| index.name == name) {
            return Ok(place);
        }
        let shown = super::excerpt(name, 80);
        let message = format!("table \"{}\" has no index \"{shown}\"", self.name);
        let failure = Failure::new(Code::IndexNotFound, message);
        let near = nearest(name, self.indexes.iter().map(|index| index.name.as_str()));
        Err(failure.hint(near.map_or_else(
            || format!("list them with: ddb table index {} list", self.name),
            |near| format!("did you mean \"{near}\"?"),
        )))
    }

    /// The names of an index's columns, in its order.
    pub fn index_columns(&self, index: &Index) -> Vec<&str> {
        let named = |id: &u32| self.columns.iter().find(|column| column.id == *id);
        index.columns.iter().filter_map(named).map(|column| column.name.as_str()).collect()
    }
}

impl SortKey {
    /// Appends the bytes that sort as it does.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            SortKey::Bool(truth) => out.extend_from_slice(&[BOOL, u8::from(*truth)]),
            SortKey::Instant(nanos) => {
                out.push(INSTANT);
                out.extend_from_slice(&((*nanos as u128) ^ (1 << 127)).to_be_bytes());
            }
            SortKey::Number(number) => number.encode(out),
            SortKey::Text(text) => {
                begin_text(text, out);
                out.extend_from_slice(&[0, 1]);
            }
        }
    }
}

/// Appends a text's bytes without their end: what all texts that begin with it begin with.
pub(super) fn begin_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(TEXT);
    for byte in text {
        out.push(*byte);
        if *byte == 0 {
            out.push(0xff);
        }
    }
}

impl Number {
    fn encode(self, out: &mut Vec<u8>) {
        let (float, rest) = match self {
            // At most 512 on either side, as floats next to 2^63 are 1,024 apart.
            Number::Int(n) => (n as f64, (i128::from(n) - (n as f64) as i128) as i16),
            Number::Float(f) => (f, 0),
        };
        // Zero has two signs and is one number.
        let bits = (float + 0.0).to_bits();
        let sortable = if bits >> 63 == 0 { bits ^ (1 << 63) } else { !bits };
        out.push(NUMBER);
        out.extend_from_slice(&sortable.to_be_bytes());
        out.extend_from_slice(&((rest as u16) ^ (1 << 15)).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let near = prop_oneof![Just(0_i64), Just(1 << 53), Just(-(1 << 53)), Just(i64::MAX), Just(i64::MIN)];
        let int = prop_oneof![any::<i64>(), -3..4_i64, (near, -600..600_i64).prop_map(|(a, b)| a.saturating_add(b))];
        let float = any::<f64>().prop_filter("finite", |f| f.is_finite());
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            int.clone().prop_map(Value::Int),
            int.clone().prop_map(|n| Value::Float(n as f64)),
            int.prop_map(|n| Value::Text(n.to_string())),
            float.prop_map(Value::Float),
            Just(Value::Float(-0.0)),
            "[a\u{0}\u{1}é]{0,3}".prop_map(Value::Text),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn bytes_sort_as_values_do(a in value(), b in value(), kind in 0..6_usize) {
            let kind = ColumnType::NAMES[kind].1;
            let (Ok(a), Ok(b)) = (super::super::Cell::Exact(a).fit(kind), super::super::Cell::Exact(b).fit(kind)) else {
                return Ok(());
            };
            // Nulls come last.
            let keys = [&a, &b].map(|value| SortKey::new(kind, value).map_or((true, None), |key| (false, Some(key))));
            let bytes = [&keys[0], &keys[1]].map(|(_, key)| {
                let mut out = Vec::new();
                match key {
                    Some(key) => key.encode(&mut out),
                    None => out.push(NULL),
                }
                // What stands behind must not matter.
                out.extend_from_slice(&[0xff, 0]);
                out
            });
            prop_assert_eq!(keys[0].cmp(&keys[1]), bytes[0].cmp(&bytes[1]), "{:?} {:?}", a, b);
        }
    }
}
