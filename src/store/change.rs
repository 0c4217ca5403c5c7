//! Owns the one way by which a row changes: every put and delete of a row goes through here.
//!
//! What belongs to a row beside its record (its place in the count, in the indexes) is kept here, so
//! that no kind of write can forget it.

use std::sync::Arc;

use crate::model::{RowKey, Table, Value};

use super::apply::{Step, Stop};
use super::keys;
use super::records::encode_row;
use super::refusals;

impl Step<'_, '_> {
    /// Makes `before`, which is what is there, into `after`, each in the table's column order; `None`
    /// where there is no row. Of a table without indexes nobody looks at the values of `before`. What may refuse it
    /// is checked before anything changes.
    pub(super) fn change_row(
        &mut self,
        table: &Arc<Table>,
        key: &RowKey,
        before: Option<&[Value]>,
        after: Option<&[Value]>,
    ) -> Result<(), Stop> {
        let place = keys::row(table.id, key);
        let entries = self.index_changes(table, key, before, after)?;
        match after {
            Some(values) => {
                table.check_nulls(values)?;
                let record = encode_row(self.batch.file(), table, self.revision, values)?;
                if record.len() > refusals::MAX_ROW_BYTES {
                    return Err(refusals::too_large(&table.name, &key.text(table), record.len()).into());
                }
                self.batch.put(place, record);
            }
            None => self.batch.delete(place),
        }
        for (place, value) in entries {
            match value {
                Some(value) => self.batch.put(place, value),
                None => self.batch.delete(place),
            }
        }
        match (before, after) {
            (None, Some(_)) => self.catalog.count(&table.name, |rows| rows.saturating_add(1)),
            (Some(_), None) => self.catalog.count(&table.name, |rows| rows.saturating_sub(1)),
            _ => {}
        }
        Ok(())
    }

    /// Does `work`; where it is refused, all is as it was before.
    pub(super) fn all_or_nothing<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        self.batch.savepoint();
        self.catalog.savepoint();
        let result = work(self);
        if result.is_ok() {
            self.batch.keep();
            self.catalog.keep();
        } else {
            self.batch.roll_back();
            self.catalog.roll_back();
        }
        result
    }
}
