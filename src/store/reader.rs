//! Owns reading rows one by one where an index names them, as rows that were made together often lie together.

use std::sync::Arc;

use crate::model::{Row, RowKey, Table};

use super::StoreError;
use super::disk::Finger;
use super::keys;
use super::snapshot::Snapshot;
use super::view::decode_row;

/// Reads the rows of a table by key, in any order; cheaper where the next key is close to the one before.
pub struct RowReader {
    snapshot: Snapshot,
    table: Arc<Table>,
    /// Where the row looked for before is.
    before: Vec<u8>,
    /// Once two keys were close; it is at a row before the next.
    finger: Option<Finger>,
}

impl RowReader {
    pub(super) fn new(snapshot: Snapshot, table: Arc<Table>) -> RowReader {
        RowReader { snapshot, table, before: Vec::new(), finger: None }
    }

    /// The row under that key.
    ///
    /// # Errors
    /// The store's file cannot be read, or is damaged.
    pub fn row(&mut self, key: &RowKey) -> Result<Option<Row>, StoreError> {
        let place = keys::row(self.table.id, key);
        let near = is_near(&self.before, &place);
        let finger = self.finger.take().filter(|_| near);
        let (snapshot, table) = (&self.snapshot, &self.table);
        let look = |record: &[u8]| decode_row(snapshot.file(), table, key, record);
        let (found, finger) = match (snapshot.look_in_memory(snapshot.hash(&place), &place, look), finger) {
            (Some(found), finger) => (found?, finger),
            (None, None) if !near => (snapshot.base.look(&place, look)?, None),
            (None, finger) => {
                let mut finger = finger.map_or_else(|| snapshot.base.finger(&place), Ok)?;
                (finger.look(&place, look)?, Some(finger))
            }
        };
        (self.before, self.finger) = (place, finger);
        Ok(found)
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
