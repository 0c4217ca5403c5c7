//! Owns what a write does to the tables. It asks no clock and reaches no disk but through the batch.
//!
//! A refused write leaves no trace: a write of one operation checks all that may refuse it and
//! changes the batch only then; one of several is rolled back to where it began (`transaction`).

use std::sync::Arc;

use crate::model::{
    Answer, Applied, Cell, ColumnSpec, Counts, Effect, Failure, OnConflict, Proposal, PutMode, PutRow, RowKey, Table,
    Value, When, Write,
};

use super::StoreError;
use super::batch::Batch;
use super::catalog::Catalog;
use super::idempotency;
use super::keys;
use super::records::{RowRecord, encode, row_revision};
use super::refusals;

/// Why a write did not take effect.
pub(super) enum Stop {
    /// Every replica says so.
    Refused(Failure),
    /// This node cannot tell.
    Fault(StoreError),
}

impl Stop {
    /// The same, its refusal said of a part of the write.
    pub(super) fn said(self, of: impl FnOnce(Failure) -> Failure) -> Stop {
        match self {
            Stop::Refused(failure) => Stop::Refused(of(failure)),
            fault @ Stop::Fault(_) => fault,
        }
    }
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
        Write::PutRows { table, columns, rows, on_conflict } => {
            step.all_or_nothing(|step| step.put_rows(table, columns, rows, *on_conflict))
        }
        Write::Transaction { checks, operations } => step.transaction(checks, operations),
        Write::ChangeRows { table, row_ids, filters, change, last } => {
            step.change_rows(table, row_ids, filters, change, *last)
        }
        Write::AlterTable { name, changes } => step.alter_table(name, changes),
        Write::CreateIndex { table, index } => step.create_index(table, index),
        Write::DropIndex { table, index } => step.drop_index(table, index),
        Write::BuildIndex { table, index, rows } => step.build_index(table, index, *rows),
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
pub(super) struct Step<'a, 'b> {
    pub(super) catalog: &'a mut Catalog,
    pub(super) batch: &'a mut Batch<'b>,
    /// The revision that the write gets if it takes effect.
    pub(super) revision: u64,
}

impl Step<'_, '_> {
    fn create_table(&mut self, name: &str, columns: &[ColumnSpec]) -> Result<Effect, Stop> {
        if self.catalog.tables.contains_key(name) {
            return Err(refusals::table_exists(name).into());
        }
        if self.catalog.tables.len() >= refusals::MAX_TABLES {
            return Err(refusals::too_many_tables().into());
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
        for index in &table.indexes {
            self.batch.delete(keys::build(table.id, index.id));
        }
        self.batch.put(keys::dropped(table.id), Vec::new());
        self.catalog.remove_table(name);
        Ok(Effect::Dropped)
    }

    pub(super) fn put(
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
        let file = self.batch.file();
        // A row that is replaced whole, and is in no index, need not be read.
        let unread = mode != PutMode::Update && table.indexes.is_empty();
        let before = if unread && when == When::Always {
            self.batch.has(&place)?.then(Vec::new)
        } else {
            let before = self.batch.look(&place, |record| {
                if unread {
                    return Ok((row_revision(file, record)?, Vec::new()));
                }
                let row = RowRecord::read(file, &table, record)?;
                Ok((row.revision, row.values))
            })?;
            refusals::check_when(when, name, row_id, before.as_ref().map(|(revision, _)| *revision))?;
            before.map(|(_, values)| values)
        };
        let mut values = match (mode, &before) {
            (PutMode::Insert, Some(_)) => return Err(refusals::row_exists(name, row_id).into()),
            (PutMode::Update, None) => return Err(refusals::row_not_found(name, row_id, "written").into()),
            (PutMode::Update, Some(before)) => before.clone(),
            (PutMode::Insert, None) | (PutMode::Replace, _) => table.defaults(),
        };
        table.fill(&key.id(&table), cells.to_vec(), &mut values)?;
        self.change_row(&table, &key, before.as_deref(), Some(&values))?;
        let ids = table.ids();
        Ok(if before.is_some() { Effect::Updated(ids) } else { Effect::Inserted(ids) })
    }

    pub(super) fn delete(&mut self, name: &str, row_id: &str, when: When) -> Result<Effect, Stop> {
        let table = self.table(name)?;
        let key = RowKey::new(&table, row_id)?;
        let old = self.row(&table, &key)?;
        refusals::check_when(when, name, row_id, old.as_ref().map(|old| old.revision))?;
        let Some(old) = old else {
            return Err(refusals::row_not_found(name, row_id, "deleted").into());
        };
        self.change_row(&table, &key, Some(&old.values), None)?;
        Ok(Effect::Deleted(table.ids()))
    }

    fn put_rows(&mut self, name: &str, columns: &[String], rows: &[PutRow], way: OnConflict) -> Result<Effect, Stop> {
        let table = self.table(name)?;
        let columns: Vec<Result<usize, Failure>> = columns.iter().map(|column| table.column(column)).collect();
        let mut counts = Counts::default();
        let file = self.batch.file();
        // A row that is replaced whole, or left as it is, and is in no index, need not be read.
        let unread = way != OnConflict::Same && table.indexes.is_empty();
        for row in rows {
            let at_line = |failure: Failure| failure.at_line(row.line);
            let key = RowKey::new(&table, &row.row_id).map_err(at_line)?;
            let place = keys::row(table.id, &key);
            let before = if unread {
                self.batch.has_new(&place)?.then(Vec::new)
            } else {
                self.batch.look_new(&place, |record| Ok(RowRecord::read(file, &table, record)?.values))?
            };
            match (&before, way) {
                (None, _) => counts.inserted += 1,
                (Some(_), OnConflict::Replace) => counts.replaced += 1,
                (Some(_), OnConflict::Skip) => {
                    counts.skipped += 1;
                    continue;
                }
                (Some(before), OnConflict::Same) => {
                    if *before != values(&table, &columns, &key, row).map_err(at_line)? {
                        return Err(at_line(refusals::import_differs(name, &row.row_id)).into());
                    }
                    counts.skipped += 1;
                    continue;
                }
                (Some(_), OnConflict::Error) => {
                    return Err(at_line(refusals::import_exists(name, &row.row_id)).into());
                }
            }
            let values = values(&table, &columns, &key, row).map_err(at_line)?;
            self.change_row(&table, &key, before.as_deref(), Some(&values)).map_err(|stop| stop.said(at_line))?;
        }
        Ok(Effect::Imported(counts))
    }

    pub(super) fn table(&self, name: &str) -> Result<Arc<Table>, Failure> {
        let tables = &self.catalog.tables;
        match tables.get(name) {
            Some(entry) => Ok(entry.table.clone()),
            None => Err(refusals::table_not_found(name, tables.keys().map(String::as_str))),
        }
    }

    fn row(&self, table: &Table, key: &RowKey) -> Result<Option<RowRecord>, StoreError> {
        self.batch.look(&keys::row(table.id, key), |record| RowRecord::read(self.batch.file(), table, record))
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
    let mut values = table.defaults();
    for (column, cell) in &row.cells {
        let place = columns.get(*column as usize).ok_or_else(refusals::no_such_cell)?.clone()?;
        table.fill_one(&id, place, cell.clone(), &mut values)?;
    }
    Ok(values)
}
