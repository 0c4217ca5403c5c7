//! Owns what a write does to the tables. It asks no clock and reaches no disk but through the batch.
//!
//! Each write first checks all that may refuse it and changes the batch only then, so a refused
//! write leaves no trace.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{
    Answer, Applied, Cell, ColumnSpec, Counts, Effect, Failure, OnConflict, Proposal, PutMode, PutRow, RowKey, Table,
    Value, When, Write,
};

use super::StoreError;
use super::catalog::{Batch, Catalog};
use super::idempotency;
use super::keys;
use super::records::{RowRecord, decode, encode, encode_row};
use super::refusals;

/// Why a write did not take effect.
enum Stop {
    /// Every replica says so.
    Refused(Failure),
    /// This node cannot tell.
    Fault(StoreError),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Refused(failure)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        Stop::Fault(error)
    }
}

/// Applies a proposal, or repeats what was answered to it before.
pub(super) fn apply(catalog: &mut Catalog, batch: &mut Batch<'_>, proposal: &Proposal) -> Result<Answer, StoreError> {
    let counters = &mut catalog.counters;
    counters.now_ms = counters.now_ms.max(proposal.at_ms);
    let Some(key) = &proposal.key else { return apply_write(catalog, batch, &proposal.write) };
    if let Some(answer) = idempotency::recall(batch, key)? {
        return Ok(answer);
    }
    let answer = apply_write(catalog, batch, &proposal.write)?;
    idempotency::remember(&mut catalog.counters, batch, key, &answer)?;
    Ok(answer)
}

pub(super) fn apply_write(catalog: &mut Catalog, batch: &mut Batch<'_>, write: &Write) -> Result<Answer, StoreError> {
    let revision = catalog.counters.revision + 1;
    let mut step = Step { catalog, batch, revision };
    let outcome = match write {
        Write::CreateTable { name, columns } => step.create_table(name, columns),
        Write::DropTable { name } => step.drop_table(name),
        Write::Put { table, row_id, cells, mode, when } => step.put(table, row_id, cells, *mode, *when),
        Write::Delete { table, row_id, when } => step.delete(table, row_id, *when),
        Write::PutRows { table, columns, rows, on_conflict } => step.put_rows(table, columns, rows, *on_conflict),
    };
    match outcome {
        Ok(effect) => {
            catalog.counters.revision = revision;
            Ok(Ok(Applied { revision, effect }))
        }
        Err(Stop::Refused(failure)) => Ok(Err(failure)),
        Err(Stop::Fault(error)) => Err(error),
    }
}

/// One write under way.
struct Step<'a, 'b> {
    catalog: &'a mut Catalog,
    batch: &'a mut Batch<'b>,
    /// The revision that the write gets if it takes effect.
    revision: u64,
}

impl Step<'_, '_> {
    fn create_table(&mut self, name: &str, columns: &[ColumnSpec]) -> Result<Effect, Stop> {
        if self.catalog.tables.contains_key(name) {
            return Err(refusals::table_exists(name).into());
        }
        let id = self.catalog.counters.next_table;
        let table = Table::declare(id, name, columns, self.revision)?;
        let next = id.checked_add(1).ok_or_else(refusals::out_of_table_ids)?;
        self.batch.put(keys::table(name), encode(self.batch.file(), &table)?);
        self.batch.put(keys::count(id), encode(self.batch.file(), &0_u64)?);
        self.catalog.counters.next_table = next;
        self.catalog.add_table(Arc::new(table.clone()));
        Ok(Effect::Created(table))
    }

    fn drop_table(&mut self, name: &str) -> Result<Effect, Stop> {
        let table = self.table(name)?;
        self.batch.delete(keys::table(name));
        self.batch.delete(keys::count(table.id));
        self.batch.put(keys::dropped(table.id), Vec::new());
        self.catalog.tables.remove(name);
        Ok(Effect::Dropped)
    }

    fn put(
        &mut self,
        name: &str,
        row_id: &str,
        cells: &[(String, Cell)],
        mode: PutMode,
        when: When,
    ) -> Result<Effect, Stop> {
        let table = self.table(name)?;
        let key = RowKey::new(&table, row_id)?;
        let place = keys::row(table.id, &key);
        let old = self.row(&place)?;
        refusals::check_when(when, name, row_id, old.as_ref().map(|old| old.revision))?;
        let there = old.is_some();
        let mut values = match (mode, old) {
            (PutMode::Insert, Some(_)) => return Err(refusals::row_exists(name, row_id).into()),
            (PutMode::Update, None) => return Err(refusals::row_not_found(name, row_id, "written").into()),
            (PutMode::Update, Some(old)) => old.values(&table),
            (PutMode::Insert, None) | (PutMode::Replace, _) => vec![Value::Null; table.columns.len()],
        };
        table.fill(&key.id(&table), cells.to_vec(), &mut values)?;
        let record = encode_row(self.batch.file(), &table, self.revision, &values)?;
        if record.len() > refusals::MAX_ROW_BYTES {
            return Err(refusals::too_large(name, row_id, record.len()).into());
        }
        self.batch.put(place, record);
        if there {
            return Ok(Effect::Updated);
        }
        self.catalog.count(name, |rows| rows.saturating_add(1));
        Ok(Effect::Inserted)
    }

    fn delete(&mut self, name: &str, row_id: &str, when: When) -> Result<Effect, Stop> {
        let table = self.table(name)?;
        let place = keys::row(table.id, &RowKey::new(&table, row_id)?);
        let old = self.row(&place)?.map(|old| old.revision);
        refusals::check_when(when, name, row_id, old)?;
        if old.is_none() {
            return Err(refusals::row_not_found(name, row_id, "deleted").into());
        }
        self.batch.delete(place);
        self.catalog.count(name, |rows| rows.saturating_sub(1));
        Ok(Effect::Deleted)
    }

    fn put_rows(&mut self, name: &str, columns: &[String], rows: &[PutRow], way: OnConflict) -> Result<Effect, Stop> {
        let table = self.table(name)?;
        let columns: Vec<Result<usize, Failure>> = columns.iter().map(|column| table.column(column)).collect();
        // Aside until the last row has passed, as a refused row refuses all.
        let mut records: HashMap<Vec<u8>, Vec<u8>> = HashMap::with_capacity(rows.len());
        let mut counts = Counts::default();
        for row in rows {
            let at_line = |failure: Failure| failure.at_line(row.line);
            let key = RowKey::new(&table, &row.row_id).map_err(at_line)?;
            let place = keys::row(table.id, &key);
            let there = records.contains_key(&place) || self.batch.get(&place)?.is_some();
            match (there, way) {
                (false, _) => counts.inserted += 1,
                (true, OnConflict::Replace) => counts.replaced += 1,
                (true, OnConflict::Skip) => {
                    counts.skipped += 1;
                    continue;
                }
                (true, OnConflict::Error) => return Err(at_line(refusals::import_exists(name, &row.row_id)).into()),
            }
            let values = values(&table, &columns, &key, row).map_err(at_line)?;
            let record = encode_row(self.batch.file(), &table, self.revision, &values)?;
            if record.len() > refusals::MAX_ROW_BYTES {
                return Err(at_line(refusals::too_large(name, &row.row_id, record.len())).into());
            }
            records.insert(place, record);
        }
        for (place, record) in records {
            self.batch.put(place, record);
        }
        self.catalog.count(name, |rows| rows.saturating_add(counts.inserted));
        Ok(Effect::Imported(counts))
    }

    fn table(&self, name: &str) -> Result<Arc<Table>, Failure> {
        let tables = &self.catalog.tables;
        match tables.get(name) {
            Some(entry) => Ok(entry.table.clone()),
            None => Err(refusals::table_not_found(name, tables.keys().map(String::as_str))),
        }
    }

    fn row(&self, place: &[u8]) -> Result<Option<RowRecord>, StoreError> {
        self.batch.get(place)?.map(|record| decode(self.batch.file(), &record)).transpose()
    }
}

/// The values of a row of an import, in the table's column order; `columns` are the positions of the cells' columns.
fn values(
    table: &Table,
    columns: &[Result<usize, Failure>],
    key: &RowKey,
    row: &PutRow,
) -> Result<Vec<Value>, Failure> {
    let id = key.id(table);
    let mut values = vec![Value::Null; table.columns.len()];
    for (column, cell) in &row.cells {
        let place = columns.get(*column as usize).ok_or_else(refusals::no_such_cell)?.clone()?;
        table.fill_one(&id, place, cell.clone(), &mut values)?;
    }
    Ok(values)
}
