//! Owns changes of a table's columns: what may change, and the schema after it. Rows stay as they are.

use serde::{Deserialize, Serialize};

use super::schema::check_id_column;
use super::{Code, ColumnSpec, Failure, MAX_COLUMNS, Table, Value, check_name};

/// One change of a table's columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Alteration {
    /// A new column, behind the others. Rows that are there hold its default.
    Add(ColumnSpec),
    /// Another name for a column.
    Rename {
        /// The name it has.
        from: String,
        /// The name it gets.
        to: String,
    },
    /// A column goes, with all its values and the indexes that it is in.
    Drop {
        /// Its name.
        column: String,
    },
}

/// The most changes of one statement.
const MAX_CHANGES: usize = 100;

impl Table {
    /// The schema after these changes, in order, of a table with so many rows.
    ///
    /// # Errors
    /// `column_exists`, `unknown_column`, `bad_name`, `bad_request` for what cannot be changed.
    pub fn alter(&self, changes: &[Alteration], rows: u64, revision: u64) -> Result<Table, Failure> {
        let mut table = Table { revision, ..self.clone() };
        if changes.is_empty() || changes.len() > MAX_CHANGES {
            return Err(bad(format!("a table is altered by 1 to {MAX_CHANGES} changes, not {}", changes.len())));
        }
        for change in changes {
            match change {
                Alteration::Add(spec) => table.add_column(spec, rows, revision)?,
                Alteration::Rename { from, to } => table.rename_column(from, to)?,
                Alteration::Drop { column } => table.drop_column(column)?,
            }
        }
        Ok(table)
    }

    fn add_column(&mut self, spec: &ColumnSpec, rows: u64, revision: u64) -> Result<(), Failure> {
        self.check_new(&spec.name)?;
        check_id_column(spec)?;
        if spec.name == "id" {
            return Err(bad("column \"id\" is the row id, which a table has or has not from the beginning".into()));
        }
        if self.columns.len() >= MAX_COLUMNS {
            return Err(bad(format!("table \"{}\" has {MAX_COLUMNS} columns, as many as it may have", self.name)));
        }
        if rows > 0 && spec.not_null && spec.default.is_none() {
            let message =
                format!("column \"{}\" cannot be null, and the {rows} rows that are there have no value", spec.name);
            return Err(bad(message).hint(format!("give it a default: {}:default=VALUE", spec.name)));
        }
        if rows > 1 && spec.unique && spec.default.is_some() {
            let message = format!("column \"{}\" is unique, and {rows} rows would have the same default", spec.name);
            return Err(bad(message).hint("add it without a default"));
        }
        self.put_column(spec, revision, rows == 0)
    }

    fn rename_column(&mut self, from: &str, to: &str) -> Result<(), Failure> {
        let place = self.column(from)?;
        if from == "id" || to == "id" {
            return Err(bad("a column called \"id\" is the row id, which no other column can become".into()));
        }
        if from != to {
            self.check_new(to)?;
            check_id_column(&ColumnSpec::plain(to, self.columns[place].kind))?;
            self.columns[place].name = to.into();
        }
        Ok(())
    }

    fn drop_column(&mut self, name: &str) -> Result<(), Failure> {
        let place = self.column(name)?;
        if name == "id" {
            return Err(bad("column \"id\" is the row id and cannot be dropped".into()));
        }
        if self.columns.len() == 1 {
            return Err(bad(format!("column \"{name}\" is the only one of table \"{}\"", self.name))
                .hint("drop the table, or add another column first"));
        }
        let id = self.columns.remove(place).id;
        self.indexes.retain(|index| !index.columns.contains(&id));
        Ok(())
    }

    fn check_new(&self, name: &str) -> Result<(), Failure> {
        check_name("column", name)?;
        if self.columns.iter().all(|column| column.name != name) {
            return Ok(());
        }
        let message = format!("table \"{}\" already has a column \"{name}\"; nothing was changed", self.name);
        Err(Failure::new(Code::ColumnExists, message))
    }

    /// What a row of that revision, from before some columns, holds in the column at `place`.
    pub fn before_it_was_there(&self, place: usize, revision: u64) -> Option<&Value> {
        let column = &self.columns[place];
        column.default.as_ref().filter(|_| revision < column.since)
    }
}

fn bad(why: String) -> Failure {
    Failure::new(Code::BadRequest, format!("{why}; nothing was changed"))
}
