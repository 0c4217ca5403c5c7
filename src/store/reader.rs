//! Owns reading rows one by one where an index names them, as rows that were made together often lie together.

use std::iter::Peekable;
use std::sync::Arc;

use crate::model::{Row, RowKey, Table};

use super::StoreError;
use super::disk::Finger;
use super::keys;
use super::snapshot::Snapshot;
use super::view::decode_row;

/// The rows of a table under some keys, in their order, without those that are not there; cheaper where the next key is
/// close to the one before.
pub struct RowReader<K: Iterator> {
    snapshot: Arc<Snapshot>,
    table: Arc<Table>,
    keys: Peekable<K>,
    /// Where the row looked for before is, and the one that is looked for.
    before: Vec<u8>,
    place: Vec<u8>,
    /// Where two keys are close, it is at a row before the second.
    finger: Option<Finger>,
}

impl<K: Iterator<Item = Result<RowKey, StoreError>>> RowReader<K> {
    pub(super) fn new(snapshot: Arc<Snapshot>, table: Arc<Table>, keys: K) -> RowReader<K> {
        RowReader { snapshot, table, keys: keys.peekable(), before: Vec::new(), place: Vec::new(), finger: None }
    }

    fn row(&mut self, key: &RowKey) -> Result<Option<Row>, StoreError> {
        std::mem::swap(&mut self.before, &mut self.place);
        keys::put_row(&mut self.place, self.table.id, key);
        let place = self.place.as_slice();
        let near = is_near(&self.before, place);
        let to_be_near = matches!(self.keys.peek(), Some(Ok(next)) if is_near(&key.0, &next.0));
        let finger = self.finger.take().filter(|_| near);
        let (snapshot, table) = (&self.snapshot, &self.table);
        let look = |record: &[u8]| decode_row(snapshot.file(), table, key, record);
        let (found, finger) = match (snapshot.look_in_memory(snapshot.hash(place), place, look), finger) {
            (Some(found), finger) => (found?, finger),
            (None, None) if !to_be_near => (snapshot.base.look(place, look)?, None),
            (None, finger) => {
                let mut finger = finger.map_or_else(|| snapshot.base.finger(place), Ok)?;
                (finger.look(place, look)?, Some(finger))
            }
        };
        self.finger = finger;
        Ok(found)
    }
}

impl<K: Iterator<Item = Result<RowKey, StoreError>>> Iterator for RowReader<K> {
    type Item = Result<(RowKey, Row), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let row = match self.keys.next()? {
                Ok(key) => self.row(&key).map(|row| row.map(|row| (key, row))),
                Err(error) => Err(error),
            };
            if let Some(row) = row.transpose() {
                return Some(row);
            }
        }
    }
}

/// How far apart the last bytes of keys that are close may be.
const NEAR: u8 = 16;

/// Whether a key comes a little after another.
fn is_near(before: &[u8], key: &[u8]) -> bool {
    match (before.split_last(), key.split_last()) {
        (Some((end, start)), Some((own_end, own_start))) => {
            end < own_end && own_end - end <= NEAR && start == own_start
        }
        _ => false,
    }
}
