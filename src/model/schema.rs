//! Owns tables: their columns and indexes, and the row of values a request's cells make.

use serde::{Deserialize, Serialize};

use super::{
    Cell, Code, Column, ColumnSpec, ColumnType, Failure, Ids, Index, IndexSpec, Value, check_name, excerpt, nearest,
};

/// The most columns a table may have.
pub const MAX_COLUMNS: usize = 1_000;

/// A table's schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Unique in the group, never used again, also after a drop.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its columns, in declared order.
    pub columns: Vec<Column>,
    /// Its secondary indexes, the oldest first.
    pub indexes: Vec<Index>,
    /// The id that the next column gets.
    pub(super) next_column: u32,
    /// The id that the next index gets.
    pub(super) next_index: u32,
    /// The revision of the last change to the schema.
    pub revision: u64,
}

impl Table {
    /// A new table from its declaration.
    ///
    /// # Errors
    /// `bad_name` for a bad, reserved or repeated name, `bad_request` for no columns, too many,
    /// or constraints that its columns cannot have.
    pub fn declare(id: u32, name: &str, specs: &[ColumnSpec], revision: u64) -> Result<Table, Failure> {
        check_name("table", name)?;
        if specs.is_empty() || specs.len() > MAX_COLUMNS {
            let message = format!("table \"{name}\" has {} columns; it needs 1 to {MAX_COLUMNS}", specs.len());
            return Err(Failure::new(Code::BadRequest, message));
        }
        let name = name.to_string();
        let (columns, indexes) = (Vec::with_capacity(specs.len()), Vec::new());
        let mut table = Table { id, name, columns, indexes, next_column: 0, next_index: 0, revision };
        for spec in specs {
            check_name("column", &spec.name)?;
            if table.columns.iter().any(|other| other.name == spec.name) {
                return Err(Failure::new(Code::BadName, format!("column \"{}\" is declared twice", spec.name)));
            }
            check_id_column(spec)?;
            table.put_column(spec, revision, true)?;
        }
        Ok(table)
    }

    /// Adds a checked column, and the index that keeps it unique; that one is built at once in an empty table.
    pub(super) fn put_column(&mut self, spec: &ColumnSpec, revision: u64, empty: bool) -> Result<(), Failure> {
        self.columns.push(Column::new(self.next_column, spec, revision));
        self.next_column += 1;
        // The row id is unique by itself.
        if spec.unique && spec.name != "id" {
            self.add_index(&IndexSpec { name: None, columns: vec![spec.name.clone()], unique: true }, empty)?;
        }
        Ok(())
    }

    /// The declaration that the column at `place` amounts to.
    pub fn spec(&self, place: usize) -> ColumnSpec {
        let Column { id, name, kind, not_null, default, .. } = self.columns[place].clone();
        let unique = self.indexes.iter().any(|index| index.unique && index.columns == [id] && !index.is_failed());
        ColumnSpec { name, kind, not_null, unique, default }
    }

    /// What a new row holds where it says nothing.
    pub fn defaults(&self) -> Vec<Value> {
        self.columns.iter().map(|column| column.default.clone().unwrap_or(Value::Null)).collect()
    }

    /// Refuses a row that lacks a value it must have; `values` are in column order.
    ///
    /// # Errors
    /// `not_null_violation`.
    pub fn check_nulls(&self, values: &[Value]) -> Result<(), Failure> {
        let missing = |(column, value): &(&Column, &Value)| column.not_null && **value == Value::Null;
        // The key of a row holds its id, and it always has one.
        match self.columns.iter().zip(values).filter(|(column, _)| column.name != "id").find(missing) {
            None => Ok(()),
            Some((column, _)) => {
                let message = format!(
                    "column \"{}\" of table \"{}\" cannot be null; nothing was written",
                    column.name, self.name
                );
                Err(Failure::new(Code::NotNullViolation, message).hint(format!("give \"{}\" a value", column.name)))
            }
        }
    }

    /// The position of the `id` column, if the table declares one.
    pub fn id_column(&self) -> Option<usize> {
        self.columns.iter().position(|column| column.name == "id")
    }

    /// The declared type of the row id; `None` where no `id` column is declared.
    pub fn id_type(&self) -> Option<ColumnType> {
        self.id_column().map(|index| self.columns[index].kind)
    }

    /// What its row ids are.
    pub fn ids(&self) -> Ids {
        if self.id_type() == Some(ColumnType::Int) { Ids::Int } else { Ids::Text }
    }

    /// The position of the column called `name`.
    ///
    /// # Errors
    /// `unknown_column`, with the nearest declared name as a hint.
    pub fn column(&self, name: &str) -> Result<usize, Failure> {
        if let Some(index) = self.columns.iter().position(|column| column.name == name) {
            return Ok(index);
        }
        let shown = excerpt(name, 80);
        let failure = Failure::new(Code::UnknownColumn, format!("table \"{}\" has no column \"{shown}\"", self.name));
        let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        Err(match nearest(name, names.iter().copied()) {
            Some(near) => failure.hint(format!("did you mean \"{near}\"?")),
            None => failure.hint(format!("its columns are: {}", names.join(", "))),
        })
    }

    /// Puts the cells of a request into `values` (one a column, in column order).
    ///
    /// `id` is the row's id: a cell for the `id` column must equal it and is not stored.
    ///
    /// # Errors
    /// `unknown_column` or `type_mismatch`; `values` is then of no use.
    pub fn fill(&self, id: &Value, cells: Vec<(String, Cell)>, values: &mut [Value]) -> Result<(), Failure> {
        for (name, cell) in cells {
            self.fill_one(id, self.column(&name)?, cell, values)?;
        }
        Ok(())
    }

    /// Puts one cell of a request into the column at `index`, as `fill` does.
    ///
    /// # Errors
    /// `type_mismatch`.
    pub fn fill_one(&self, id: &Value, index: usize, cell: Cell, values: &mut [Value]) -> Result<(), Failure> {
        let Column { name, kind, .. } = &self.columns[index];
        if name == "id" {
            return self.check_id_cell(id, cell);
        }
        values[index] = cell.fit(*kind).map_err(|what| self.misfit(name, *kind, &what))?;
        Ok(())
    }

    fn check_id_cell(&self, id: &Value, cell: Cell) -> Result<(), Failure> {
        let same = match (id, &cell) {
            (_, Cell::Exact(Value::Null)) => true,
            (Value::Int(own), Cell::Exact(Value::Int(given))) => own == given,
            (Value::Int(own), Cell::Text(given)) => own.to_string() == *given,
            (Value::Text(own), Cell::Text(given) | Cell::Exact(Value::Text(given))) => own == given,
            (Value::Text(own), Cell::Exact(Value::Int(given))) => {
                self.id_type() == Some(ColumnType::Any) && *own == given.to_string()
            }
            _ => false,
        };
        if same {
            return Ok(());
        }
        let mut shown = String::new();
        id.write_json(&mut shown);
        Err(Failure::new(Code::TypeMismatch, format!("column \"id\" is the row id, and the row id is {shown}"))
            .hint("leave \"id\" out, or give it the row id's value"))
    }

    fn misfit(&self, column: &str, kind: ColumnType, what: &str) -> Failure {
        let table = &self.name;
        let message =
            format!("{what} does not fit column \"{column}\" of table \"{table}\", which is {}", kind.as_str());
        Failure::new(Code::TypeMismatch, message)
    }
}

/// What a column called `id` or `row_id` must be.
pub(super) fn check_id_column(spec: &ColumnSpec) -> Result<(), Failure> {
    if spec.name == "row_id" {
        return Err(Failure::new(Code::BadName, "a column cannot be called \"row_id\"")
            .hint("call it \"id\": a column of that name is the row id"));
    }
    if spec.name == "id" && !matches!(spec.kind, ColumnType::Any | ColumnType::Text | ColumnType::Int) {
        let message = format!("column \"id\" is the row id and cannot have the type {}", spec.kind.as_str());
        return Err(Failure::new(Code::BadRequest, message).hint("declare it id, id:text or id:int"));
    }
    if spec.name == "id" && spec.default.is_some() {
        return Err(Failure::new(Code::BadRequest, "column \"id\" is the row id and cannot have a default")
            .hint("every row is given its id"));
    }
    Ok(())
}
