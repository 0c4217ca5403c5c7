//! Owns what values of the keyspace look like: postcard records, and how rows become them.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::{Answer, Row, RowKey, Table, Value};

use super::StoreError;
use super::keys;

/// What most records fit in, so that writing them takes one allocation.
const RECORD_BYTES: usize = 256;

/// What the caller wants remembered with a batch; the store does not look inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// How far the caller's log is applied.
    pub applied: Option<Vec<u8>>,
    /// Who the caller's members are.
    pub membership: Option<Vec<u8>>,
}

/// What becomes known together with a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tip {
    pub(super) revision: u64,
    pub(super) marks: Marks,
}

impl Tip {
    /// Reads it from the keyspace.
    pub(super) fn load(
        file: &str,
        get: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, StoreError>,
    ) -> Result<Tip, StoreError> {
        let counters: Counters = get(&keys::counters())?.map_or(Ok(Counters::default()), |own| decode(file, &own))?;
        let marks = Marks { applied: get(&keys::applied())?, membership: get(&keys::membership())? };
        Ok(Tip { revision: counters.revision, marks })
    }
}

/// The counters of the group.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Counters {
    /// The revision of the last write that took effect.
    pub(super) revision: u64,
    /// The id that the next table gets.
    pub(super) next_table: u32,
    /// The latest time that any write was stamped with, in milliseconds since 1970.
    pub(super) now_ms: u64,
    /// The number of the oldest remembered idempotency key.
    pub(super) first_answer: u64,
    /// The number that the next idempotency key gets.
    pub(super) next_answer: u64,
}

/// How far the building of an index is.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The last row that was entered.
    pub(super) after: Option<RowKey>,
    /// How many rows were entered.
    pub(super) rows: u64,
}

/// What was answered under an idempotency key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) digest: u128,
    pub(super) answer: Answer,
}

/// An idempotency key in the order of arrival.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Arrival {
    pub(super) at_ms: u64,
    pub(super) key: String,
}

/// A row as it is read back.
#[derive(Debug)]
pub(super) struct RowRecord {
    pub(super) revision: u64,
    /// In the table's column order; the `id` column is null, as the key holds it.
    pub(super) values: Vec<Value>,
}

/// A row on its way in: values by column id, those that are null left out.
#[derive(Serialize)]
struct RowRef<'a> {
    revision: u64,
    cells: Vec<(u32, &'a Value)>,
}

pub(super) fn encode(file: &str, record: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let out = Vec::with_capacity(RECORD_BYTES);
    postcard::to_extend(record, out)
        .map_err(|error| StoreError::damaged(file, format!("cannot write a record: {error}")))
}

pub(super) fn decode<T: DeserializeOwned>(file: &str, mut bytes: &[u8]) -> Result<T, StoreError> {
    take(file, &mut bytes)
}

/// Reads what `bytes` begin with; they are the rest afterwards.
fn take<'b, T: Deserialize<'b>>(file: &str, bytes: &mut &'b [u8]) -> Result<T, StoreError> {
    let (taken, rest) = postcard::take_from_bytes(bytes)
        .map_err(|error| StoreError::damaged(file, format!("a record makes no sense: {error}")))?;
    *bytes = rest;
    Ok(taken)
}

/// The revision that a row's record begins with.
pub(super) fn row_revision(file: &str, mut record: &[u8]) -> Result<u64, StoreError> {
    take(file, &mut record)
}

/// The record of a row whose values stand in the table's column order.
pub(super) fn encode_row(file: &str, table: &Table, revision: u64, values: &[Value]) -> Result<Vec<u8>, StoreError> {
    let cells = table.columns.iter().zip(values);
    let cells = cells.filter(|(_, value)| **value != Value::Null).map(|(column, value)| (column.id, value)).collect();
    encode(file, &RowRef { revision, cells })
}

impl RowRecord {
    /// Reads what `encode_row` wrote, cell by cell into its column.
    pub(super) fn read(file: &str, table: &Table, mut record: &[u8]) -> Result<RowRecord, StoreError> {
        let revision = take(file, &mut record)?;
        let mut values = vec![Value::Null; table.columns.len()];
        let cells: usize = take(file, &mut record)?;
        for _ in 0..cells {
            let (id, value): (u32, Value) = take(file, &mut record)?;
            let own_place = table.columns.get(id as usize).is_some_and(|column| column.id == id);
            let place =
                if own_place { Some(id as usize) } else { table.columns.iter().position(|column| column.id == id) };
            if let Some(place) = place {
                values[place] = value;
            }
        }
        // Nothing was kept of the columns that came later.
        for (place, own) in values.iter_mut().enumerate() {
            if let Some(default) = table.before_it_was_there(place, revision) {
                own.clone_from(default);
            }
        }
        Ok(RowRecord { revision, values })
    }

    /// The row with its id filled in.
    pub(super) fn into_row(self, table: &Table, key: &RowKey) -> Row {
        let id = key.id(table);
        let RowRecord { revision, mut values } = self;
        if let Some(column) = table.id_column() {
            values[column] = id.clone();
        }
        Row { id, values, revision }
    }
}
