//! Owns writes of several operations: what must hold before them, and that they are done all or none.

use crate::model::{
    Change, Check, Condition, Did, Done, Effect, Filter, MAX_TRANSACTION_BYTES, Operation, Part, PutMode, ReadRow, Row,
    RowKey, Table, When,
};

use super::apply::{Step, Stop};
use super::keys;
use super::records::RowRecord;
use super::refusals;

impl Step<'_, '_> {
    pub(super) fn transaction(&mut self, checks: &[Check], operations: &[Operation]) -> Result<Effect, Stop> {
        for (index, check) in checks.iter().enumerate() {
            self.check(check).map_err(|stop| stop.said(|failure| Part::Condition(index).says(failure)))?;
        }
        let all = |step: &mut Self| {
            let mut done = Vec::with_capacity(operations.len());
            let mut read = 0;
            for (index, operation) in operations.iter().enumerate() {
                let did = step.operate(operation, &mut read);
                let did = did.map_err(|stop| stop.said(|failure| Part::Operation(index).says(failure)))?;
                done.push(Did { done: did, ids: step.table(operation.place().0)?.ids() });
                if step.batch.written() + read > MAX_TRANSACTION_BYTES {
                    return Err(Part::Operation(index).says(refusals::transaction_too_large()).into());
                }
            }
            Ok(Effect::Transacted(done))
        };
        // One alone checks all that may refuse it before it changes anything.
        if operations.len() > 1 { self.all_or_nothing(all) } else { all(self) }
    }

    /// Changes the rows that are there and pass, up to the first that would be too much at once.
    pub(super) fn change_rows(
        &mut self,
        name: &str,
        row_ids: &[String],
        filters: &[Filter],
        change: &Change,
        last: bool,
    ) -> Result<Effect, Stop> {
        let table = self.table(name)?;
        let conditions = Condition::bind_all(filters, &table)?;
        self.all_or_nothing(|step| {
            let mut rows = 0;
            let mut through = None;
            for row_id in row_ids {
                if step.batch.written() >= MAX_TRANSACTION_BYTES {
                    return Ok(Effect::Changed { rows, through, last: false });
                }
                let row = step.whole_row(&table, row_id)?;
                if row.is_some_and(|(row, _)| Condition::all_pass(&conditions, &row)) {
                    match change {
                        Change::Update(cells) => step.put(name, row_id, cells, PutMode::Update, When::Always)?,
                        Change::Delete => step.delete(name, row_id, When::Always)?,
                    };
                    rows += 1;
                }
                through = Some(row_id.clone());
            }
            Ok(Effect::Changed { rows, through, last })
        })
    }

    fn check(&self, check: &Check) -> Result<(), Stop> {
        let Check { table: name, row_id, exists, revision, filters } = check;
        let table = self.table(name)?;
        let conditions = Condition::bind_all(filters, &table)?;
        let row = self.whole_row(&table, row_id)?.map(|(row, _)| row);
        match (exists, &row) {
            (Some(true), None) => return Err(refusals::condition_absent(name, row_id).into()),
            (Some(false), Some(row)) => return Err(refusals::condition_exists(name, row_id, row.revision).into()),
            _ => {}
        }
        if let Some(revision) = revision {
            refusals::check_when(When::Revision(*revision), name, row_id, row.as_ref().map(|row| row.revision))?;
        }
        if filters.is_empty() {
            return Ok(());
        }
        let Some(row) = row else { return Err(refusals::condition_absent(name, row_id).into()) };
        match conditions.iter().zip(filters).find(|(condition, _)| !condition.passes(&row)) {
            Some((condition, filter)) => {
                Err(refusals::condition_failed(name, row_id, filter, condition.value(&row)).into())
            }
            None => Ok(()),
        }
    }

    /// Does one operation; `read` counts the bytes of the rows that are read.
    fn operate(&mut self, operation: &Operation, read: &mut usize) -> Result<Done, Stop> {
        Ok(match operation {
            Operation::Put { table, row_id, cells, mode } => {
                match (self.put(table, row_id, cells, *mode, When::Always)?, mode) {
                    (Effect::Inserted(_), _) => Done::Inserted,
                    (_, PutMode::Replace) => Done::Replaced,
                    _ => Done::Updated,
                }
            }
            Operation::Delete { table: name, row_id, if_exists } => {
                let table = self.table(name)?;
                if *if_exists && !self.batch.has(&keys::row(table.id, &RowKey::new(&table, row_id)?))? {
                    return Ok(Done::Absent);
                }
                self.delete(name, row_id, When::Always)?;
                Done::Deleted
            }
            Operation::Get { table: name, row_id } => {
                let table = self.table(name)?;
                let Some((row, bytes)) = self.whole_row(&table, row_id)? else { return Ok(Done::Read(None)) };
                *read += bytes;
                let names = table.columns.iter().map(|column| column.name.clone());
                let data = names.zip(row.values).collect();
                Done::Read(Some(ReadRow { id: row.id, data, revision: row.revision }))
            }
        })
    }

    /// A row with its id filled in, and how many bytes its record takes.
    fn whole_row(&self, table: &Table, row_id: &str) -> Result<Option<(Row, usize)>, Stop> {
        let key = RowKey::new(table, row_id)?;
        let file = self.batch.file();
        let row = self.batch.look(&keys::row(table.id, &key), |record| {
            Ok((RowRecord::read(file, table, record)?.into_row(table, &key), record.len()))
        });
        Ok(row?)
    }
}
