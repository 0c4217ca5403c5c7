//! Owns tables and columns: their types, and the row of values a request's cells make.

use serde::{Deserialize, Serialize};

use super::{Cell, Code, Failure, Value, check_name, excerpt, nearest};

/// The most columns a table may have.
const MAX_COLUMNS: usize = 1_000;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColumnType {
    /// Any JSON value.
    Any,
    /// Text.
    Text,
    /// A 64-bit integer.
    Int,
    /// A finite 64-bit float.
    Float,
    /// `true` or `false`.
    Bool,
    /// Any JSON value.
    Json,
    /// An RFC 3339 timestamp, kept as it was written, compared as an instant.
    Timestamp,
}

impl ColumnType {
    /// All types with their names.
    pub const NAMES: [(&'static str, ColumnType); 7] = [
        ("any", ColumnType::Any),
        ("text", ColumnType::Text),
        ("int", ColumnType::Int),
        ("float", ColumnType::Float),
        ("bool", ColumnType::Bool),
        ("json", ColumnType::Json),
        ("timestamp", ColumnType::Timestamp),
    ];

    /// The type's name, as it stands in `name:type`.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("any", |(name, _)| name)
    }
}

/// A column as a request declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSpec {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
}

impl ColumnSpec {
    /// Parses `name` or `name:type`.
    ///
    /// # Errors
    /// `bad_name` for the name, `bad_request` for an unknown type.
    pub fn parse(text: &str) -> Result<ColumnSpec, Failure> {
        let (name, kind) = text.split_once(':').unwrap_or((text, "any"));
        check_name("column", name)?;
        match ColumnType::NAMES.iter().find(|(known, _)| *known == kind) {
            Some((_, kind)) => Ok(ColumnSpec { name: name.into(), kind: *kind }),
            None => {
                let shown = excerpt(kind, 80);
                let message = format!("column \"{name}\" has the unknown type \"{shown}\"");
                let hint = "types are any, text, int, float, bool, json and timestamp";
                Err(Failure::new(Code::BadRequest, message).hint(hint))
            }
        }
    }
}

/// A column of a table. Rows name it by `id`, so that a rename need not touch them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Unique in the table, never used again.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
}

/// A table's schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Unique in the group, never used again, also after a drop.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its columns, in declared order.
    pub columns: Vec<Column>,
    /// The revision of the last change to the schema.
    pub revision: u64,
}

impl Table {
    /// A new table from its declaration.
    ///
    /// # Errors
    /// `bad_name` for a bad, reserved or repeated name, `bad_request` for no columns, too many,
    /// or an `id` that is neither any, text nor int.
    pub fn declare(id: u32, name: &str, specs: &[ColumnSpec], revision: u64) -> Result<Table, Failure> {
        check_name("table", name)?;
        if specs.is_empty() || specs.len() > MAX_COLUMNS {
            let message = format!("table \"{name}\" has {} columns; it needs 1 to {MAX_COLUMNS}", specs.len());
            return Err(Failure::new(Code::BadRequest, message));
        }
        let mut columns: Vec<Column> = Vec::with_capacity(specs.len());
        for (index, ColumnSpec { name, kind }) in specs.iter().enumerate() {
            check_name("column", name)?;
            if columns.iter().any(|other| other.name == *name) {
                return Err(Failure::new(Code::BadName, format!("column \"{name}\" is declared twice")));
            }
            if name == "row_id" {
                return Err(Failure::new(Code::BadName, "a column cannot be called \"row_id\"")
                    .hint("call it \"id\": a column of that name is the row id"));
            }
            if name == "id" && !matches!(kind, ColumnType::Any | ColumnType::Text | ColumnType::Int) {
                let message = format!("column \"id\" is the row id and cannot have the type {}", kind.as_str());
                return Err(Failure::new(Code::BadRequest, message).hint("declare it id, id:text or id:int"));
            }
            columns.push(Column { id: index as u32, name: name.clone(), kind: *kind });
        }
        Ok(Table { id, name: name.into(), columns, revision })
    }

    /// The position of the `id` column, if the table declares one.
    pub fn id_column(&self) -> Option<usize> {
        self.columns.iter().position(|column| column.name == "id")
    }

    /// The declared type of the row id; `None` where no `id` column is declared.
    pub fn id_type(&self) -> Option<ColumnType> {
        self.id_column().map(|index| self.columns[index].kind)
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
