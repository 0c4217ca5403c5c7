//! Owns what a write does to schemas and indexes: entries kept with their rows, and the building over rows
//! from before.
//!
//! Every write enters its rows into all indexes of the table, also those that are being built, whose steps
//! then pass over what is there. So an index is whole once the last step has seen the last row.

use std::sync::Arc;

use crate::model::{Alteration, Effect, Entry, Index, IndexSpec, IndexState, RowKey, Table, Value};

use super::StoreError;
use super::apply::{Step, Stop};
use super::batch::Pair;
use super::keys;
use super::overlay::Change;
use super::records::{Progress, RowRecord, decode, encode};
use super::refusals;

/// The most bytes of rows that one step of a building reads.
const STEP_BYTES: usize = 1 << 20;

impl Step<'_, '_> {
    /// What a row's change changes in the table's indexes.
    pub(super) fn index_changes(
        &self,
        table: &Table,
        key: &RowKey,
        before: Option<&[Value]>,
        after: Option<&[Value]>,
    ) -> Result<Vec<Change>, Stop> {
        let mut changes = Vec::new();
        for index in table.indexes.iter().filter(|index| !index.is_failed()) {
            // What was too long for the index was never in it.
            let old = before.and_then(|values| index.entry(table, key, values).ok());
            let new = after.map(|values| index.entry(table, key, values)).transpose()?;
            if old == new {
                continue;
            }
            if let Some(Entry { key: bytes, sole }) = old {
                let place = keys::entry(table.id, index.id, &bytes);
                // While an index is built, the values of a row that is not in it yet may be another's.
                if index.state == IndexState::Ready || !sole || self.holder(&place)?.as_ref() == Some(key) {
                    changes.push((place, None));
                }
            }
            if let Some(entry) = new {
                let (place, value) = self
                    .enter(table, index, key, entry)?
                    .map_err(|other| refusals::unique_violation(table, index, &key.text(table), &other.text(table)))?;
                changes.push((place, Some(value)));
            }
        }
        Ok(changes)
    }

    /// The pair that enters a row, or the row that has its values already.
    fn enter(
        &self,
        table: &Table,
        index: &Index,
        key: &RowKey,
        entry: Entry,
    ) -> Result<Result<Pair, RowKey>, StoreError> {
        let place = keys::entry(table.id, index.id, &entry.key);
        if !entry.sole {
            return Ok(Ok((place, (key.0.len() as u16).to_be_bytes().to_vec())));
        }
        match self.holder(&place)? {
            Some(other) if other != *key => Ok(Err(other)),
            _ => Ok(Ok((place, holder_value(key)))),
        }
    }

    /// The row that has the values of a sole entry.
    fn holder(&self, place: &[u8]) -> Result<Option<RowKey>, StoreError> {
        self.batch.look(place, |value| Ok(held(value)))
    }

    /// Changes the columns of a table; rows stay as they are.
    pub(super) fn alter_table(&mut self, name: &str, changes: &[Alteration]) -> Result<Effect, Stop> {
        let rows = self.catalog.tables.get(name).map_or(0, |entry| entry.rows);
        let table = self.table(name)?.alter(changes, rows, self.revision)?;
        self.put_table(name, table)
    }

    pub(super) fn create_index(&mut self, name: &str, spec: &IndexSpec) -> Result<Effect, Stop> {
        let mut table = Table::clone(&*self.table(name)?);
        let empty = self.catalog.tables.get(name).is_none_or(|entry| entry.rows == 0);
        table.add_index(spec, empty)?;
        table.revision = self.revision;
        self.put_table(name, table)
    }

    pub(super) fn drop_index(&mut self, name: &str, index: &str) -> Result<Effect, Stop> {
        let mut table = Table::clone(&*self.table(name)?);
        let place = table.index(index)?;
        table.indexes.remove(place);
        table.revision = self.revision;
        self.put_table(name, table)
    }

    /// Replaces a table's schema: indexes that are new begin to be built, those that are gone are removed.
    pub(super) fn put_table(&mut self, name: &str, table: Table) -> Result<Effect, Stop> {
        let before = self.table(name)?;
        let ids = |table: &Table, wanted: &dyn Fn(&Index) -> bool| -> Vec<u32> {
            table.indexes.iter().filter(|index| wanted(index)).map(|index| index.id).collect()
        };
        let (all, holds) = (|_: &Index| true, |index: &Index| !index.is_failed());
        let builds = |index: &Index| index.state == IndexState::Building;
        let (known, held, building) = (ids(&before, &all), ids(&table, &holds), ids(&table, &builds));
        for id in ids(&before, &holds).into_iter().filter(|id| !held.contains(id)) {
            self.batch.put(keys::dropped_index(table.id, id), Vec::new());
        }
        for id in ids(&before, &builds).into_iter().filter(|id| !building.contains(id)) {
            self.batch.delete(keys::build(table.id, id));
        }
        for id in building.into_iter().filter(|id| !known.contains(id)) {
            self.batch.put(keys::build(table.id, id), encode(self.batch.file(), &Progress::default())?);
        }
        self.batch.put(keys::table(name), encode(self.batch.file(), &table)?);
        self.catalog.set_table(Arc::new(table.clone()));
        Ok(Effect::Altered(table))
    }

    /// Enters the next rows into an index that is being built; ends the building at the last, or where a row
    /// cannot be entered.
    pub(super) fn build_index(&mut self, name: &str, index: &str, rows: u32) -> Result<Effect, Stop> {
        let table = self.table(name)?;
        let place = table.index(index)?;
        let index = &table.indexes[place];
        if index.state != IndexState::Building {
            return Err(refusals::not_building(name, &index.name).into());
        }
        let file = self.batch.file();
        let progress = self.batch.look(&keys::build(table.id, index.id), |record| decode::<Progress>(file, record))?;
        let mut progress = progress.unwrap_or_default();
        let prefix = keys::rows(table.id);
        let from = progress.after.as_ref().map_or(prefix.clone(), |last| [keys::row(table.id, last), vec![0]].concat());
        let found = self.batch.range(&from, &keys::end(&prefix), rows as usize, STEP_BYTES)?;
        let last = found.is_empty();
        for (place, record) in found {
            let key = keys::row_key(&place);
            let values = RowRecord::read(self.batch.file(), &table, &record)?.values;
            let entered = match index.entry(&table, &key, &values) {
                Ok(entry) => self
                    .enter(&table, index, &key, entry)?
                    .map_err(|other| refusals::not_unique(&table, &key.text(&table), &other.text(&table))),
                Err(failure) => Err(failure.message.trim_end_matches("; nothing was written").to_string()),
            };
            match entered {
                Ok((place, value)) => self.batch.put(place, value),
                Err(why) => return self.end_building(&table, index.id, IndexState::Failed(why)),
            }
            progress.rows += 1;
            progress.after = Some(key);
        }
        if last {
            return self.end_building(&table, index.id, IndexState::Ready);
        }
        self.batch.put(keys::build(table.id, index.id), encode(self.batch.file(), &progress)?);
        Ok(Effect::Built)
    }

    fn end_building(&mut self, table: &Table, id: u32, state: IndexState) -> Result<Effect, Stop> {
        let mut table = table.clone();
        table.revision = self.revision;
        for index in table.indexes.iter_mut().filter(|index| index.id == id) {
            index.state = state.clone();
        }
        let name = table.name.clone();
        self.put_table(&name, table)?;
        Ok(Effect::Built)
    }
}

/// The value of an entry whose bytes are its values' alone.
fn holder_value(key: &RowKey) -> Vec<u8> {
    // Longer than the two bytes of a length, whatever the key.
    [&[0, 0], key.0.as_slice()].concat()
}

fn held(value: &[u8]) -> RowKey {
    RowKey(value.get(2..).unwrap_or_default().to_vec())
}

/// The row that an entry is of.
pub(super) fn row_of(mut place: Vec<u8>, value: &[u8]) -> Option<RowKey> {
    if value.len() > 2 {
        return Some(held(value));
    }
    place.drain(..row_start(&place, value)?);
    Some(RowKey(place))
}

/// What an entry begins with up to the row's key, and that row.
pub(super) fn values_and_row(mut place: Vec<u8>, value: &[u8]) -> Option<(Vec<u8>, RowKey)> {
    if value.len() > 2 {
        return Some((place, held(value)));
    }
    let row = place.split_off(row_start(&place, value)?);
    Some((place, RowKey(row)))
}

/// Where the row's key begins in the key of an entry that ends with it.
fn row_start(place: &[u8], value: &[u8]) -> Option<usize> {
    let length = usize::from(u16::from_be_bytes(value.try_into().ok()?));
    place.len().checked_sub(length).filter(|start| *start >= keys::INDEX_HEAD)
}
