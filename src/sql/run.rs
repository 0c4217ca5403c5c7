//! Owns the life of a query: its tables, its parameters, its rows one by one.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, Error, Statement};

use super::fault::{Scene, SqlError, bad, ended};
use super::gate::Gate;
use super::guard::{self, Denied};
use super::value;
use super::vtab::{self, Notes, Source};
use crate::model::{ColumnType, Failure, SqlColumn, SqlParams, SqlQuery, Value, nearest};
use crate::store::View;

/// Who takes an answer. Each says whether there is anyone left who wants more.
pub trait Sink {
    /// The columns, before all rows.
    fn columns(&mut self, columns: Vec<SqlColumn>) -> bool;
    /// The next row, a value a column.
    fn row(&mut self, row: &[Value]) -> bool;
}

/// Runs a query over `view`, as long as `gate` lets it; it blocks. How many rows there were.
///
/// # Errors
/// What is wrong with the query, which limit it met, or that the store cannot be read. Rows may have gone to
/// the sink before.
pub fn run(view: &View, query: &SqlQuery, gate: &Arc<Gate>, sink: &mut dyn Sink) -> Result<u64, SqlError> {
    let notes = Arc::new(Notes::default());
    let denied = Denied::default();
    let scene = Scene { view, gate, denied: &denied, notes: &notes };
    let mut connection = guard::open().map_err(|error| scene.told(&error))?;
    add_tables(&connection, view, &notes, &scene)?;
    let denied = guard::close_in(&mut connection, gate.clone()).map_err(|error| scene.told(&error))?;
    let scene = Scene { denied: &denied, ..scene };
    let mut statement = connection.prepare(&query.text).map_err(|error| scene.told(&error))?;
    if statement.column_count() == 0 {
        return Err(bad("there is no SELECT in it", "").into());
    }
    bind(&mut statement, &query.params, &scene)?;
    let columns = columns(&statement);
    let count = columns.len();
    if !sink.columns(columns) {
        return Err(ended(gate).into());
    }
    let mut rows = statement.raw_query();
    let (mut values, mut number) = (Vec::with_capacity(count), 0);
    while let Some(row) = rows.next().map_err(|error| scene.told(&error))? {
        values.clear();
        for at in 0..count {
            values.push(value::answered(row.get_ref(at).map_err(|error| scene.told(&error))?));
        }
        number += 1;
        if !sink.row(&values) {
            return Err(ended(gate).into());
        }
    }
    Ok(number)
}

/// Makes all tables of the view known; SQLite looks at none before a query names it.
fn add_tables(connection: &Connection, view: &View, notes: &Arc<Notes>, scene: &Scene<'_>) -> Result<(), SqlError> {
    let tables = view.tables()?;
    let mut alike: HashMap<String, u32> = HashMap::new();
    for (table, _) in &tables {
        *alike.entry(table.name.to_ascii_lowercase()).or_default() += 1;
    }
    for (table, rows) in tables {
        let clash = alike
            .get(&table.name.to_ascii_lowercase())
            .is_some_and(|count| *count > 1)
            .then(|| format!("there is another table \"{}\" but for case, which SQL does not tell apart", table.name));
        let source = Source { view: view.clone(), table, rows, clash, notes: notes.clone() };
        vtab::add(connection, source).map_err(|error| scene.told(&error))?;
    }
    Ok(())
}

/// Gives each parameter of the query its value.
fn bind(statement: &mut Statement<'_>, params: &SqlParams, scene: &Scene<'_>) -> Result<(), SqlError> {
    let wanted = statement.parameter_count();
    let bound = |result: Result<(), Error>| result.map_err(|error| scene.told(&error));
    match params {
        SqlParams::Listed(values) => {
            if values.len() != wanted {
                let given = values.len();
                return Err(bad(&format!("it has {wanted} parameters, and {given} values were given"), "").into());
            }
            for (at, value) in (1..).zip(values) {
                bound(statement.raw_bind_parameter(at, value::given(value)))?;
            }
        }
        SqlParams::Named(values) => {
            let names: Vec<String> = (1..=wanted)
                .map(|at| statement.parameter_name(at).map(|name| name[1..].to_string()).unwrap_or_default())
                .collect();
            if let Some((name, _)) = values.iter().find(|(name, _)| !names.contains(name)) {
                return Err(no_such_parameter(name, &names).into());
            }
            for (at, name) in (1..).zip(&names) {
                let Some((_, value)) = values.iter().find(|(own, _)| own == name) else {
                    let shown = if name.is_empty() { format!("number {at}") } else { format!("\"{name}\"") };
                    return Err(bad(&format!("no value was given for its parameter {shown}"), "").into());
                };
                bound(statement.raw_bind_parameter(at, value::given(value)))?;
            }
        }
    }
    Ok(())
}

fn no_such_parameter(name: &str, known: &[String]) -> Failure {
    let failure = bad(&format!("it has no parameter \":{name}\""), "");
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => failure.hint(format!("did you mean \"{near}\"?")),
        None => failure,
    }
}

fn columns(statement: &Statement<'_>) -> Vec<SqlColumn> {
    // The first word of a declared type is ours: `vtab::declaration`. SQLite may show it in capitals.
    let kind = |declared: Option<&str>| {
        let word = declared.and_then(|text| text.split(' ').next()).unwrap_or_default();
        ColumnType::NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(word))
            .map_or(ColumnType::Any, |(_, kind)| *kind)
    };
    statement
        .columns()
        .map(|column| SqlColumn { name: column.name().to_string(), kind: kind(column.decl_type()) })
        .collect()
}
