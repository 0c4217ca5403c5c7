//! Owns the wording of what a write is refused for. Every replica says the same, byte for byte.

use crate::model::{Code, Failure, Filter, Index, MAX_TRANSACTION_BYTES, Table, Value, When, excerpt, nearest};

/// The most bytes that a row's record may take.
pub(super) const MAX_ROW_BYTES: usize = 1 << 20;

/// The most tables of a cluster.
pub(super) const MAX_TABLES: usize = 10_000;

/// `known` are the names of the tables there are.
pub(super) fn table_not_found<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Failure {
    let shown = excerpt(name, 80);
    let failure = Failure::new(Code::TableNotFound, format!("table \"{shown}\" does not exist"));
    match nearest(name, known) {
        Some(near) => failure.hint(format!("did you mean \"{near}\"? list them with: ddb table list")),
        None => failure.hint("list them with: ddb table list"),
    }
}

pub(super) fn table_exists(name: &str) -> Failure {
    Failure::new(Code::TableExists, format!("table \"{name}\" already exists; nothing was created"))
        .hint("choose another name, or drop the table first")
}

pub(super) fn too_many_tables() -> Failure {
    let message = format!("there are {MAX_TABLES} tables, as many as there may be; nothing was created");
    Failure::new(Code::TooLarge, message).hint("drop a table that is not needed any more")
}

pub(super) fn unique_violation(table: &Table, index: &Index, row_id: &str, other: &str) -> Failure {
    let columns = table.index_columns(index).join(", ");
    let message = format!(
        "row \"{other}\" of table \"{}\" has the same {columns} as row \"{row_id}\" would have; nothing was written",
        table.name
    );
    Failure::new(Code::UniqueViolation, message).hint(format!("index \"{}\" keeps {columns} unique", index.name))
}

/// Why a unique index cannot be built.
pub(super) fn not_unique(table: &Table, row_id: &str, other: &str) -> String {
    format!("rows \"{other}\" and \"{row_id}\" of table \"{}\" have the same values", table.name)
}

pub(super) fn not_building(table: &str, index: &str) -> Failure {
    let message = format!("index \"{index}\" of table \"{table}\" is not being built; nothing was written");
    Failure::new(Code::BadRequest, message)
}

pub(super) fn out_of_table_ids() -> Failure {
    Failure::new(Code::TooLarge, "no further table can be created: all table ids were used; nothing was created")
}

pub(super) fn row_exists(table: &str, row_id: &str) -> Failure {
    let message = format!("row \"{row_id}\" already exists in table \"{table}\"; nothing was written");
    Failure::new(Code::RowExists, message).hint("change it with update, or replace it with PUT (--upsert)")
}

pub(super) fn import_exists(table: &str, row_id: &str) -> Failure {
    let message = format!("row \"{row_id}\" already exists in table \"{table}\"; nothing was written");
    Failure::new(Code::RowExists, message)
        .hint("--on-conflict skip leaves such rows as they are, replace replaces them")
}

pub(super) fn import_differs(table: &str, row_id: &str) -> Failure {
    let message = format!("row \"{row_id}\" is in table \"{table}\" with other values; nothing was written");
    Failure::new(Code::RowExists, message)
        .hint("--on-conflict skip leaves such rows as they are, replace replaces them")
}

pub(super) fn no_such_cell() -> Failure {
    Failure::new(Code::BadRequest, "a cell belongs to no column; nothing was written")
}

pub(super) fn row_not_found(table: &str, row_id: &str, undone: &str) -> Failure {
    let message = format!("row \"{row_id}\" does not exist in table \"{table}\"; nothing was {undone}");
    Failure::new(Code::RowNotFound, message)
}

/// Whether the row, at revision `actual` if it is there, meets the condition.
pub(super) fn check_when(when: When, table: &str, row_id: &str, actual: Option<u64>) -> Result<(), Failure> {
    let fact = match (when, actual) {
        (When::Always, _) | (When::Absent, None) => return Ok(()),
        (When::Revision(wanted), Some(actual)) if wanted == actual => return Ok(()),
        (When::Revision(wanted), Some(actual)) => format!("is at revision {actual}, not {wanted}"),
        (When::Revision(wanted), None) => format!("does not exist, so it is not at revision {wanted}"),
        (When::Absent, Some(actual)) => format!("exists, at revision {actual}"),
    };
    let message = format!("row \"{row_id}\" of table \"{table}\" {fact}; nothing was written");
    Err(Failure::new(Code::RevisionMismatch, message).hint("read the row again and decide anew"))
}

fn condition(table: &str, row_id: &str, fact: &str) -> Failure {
    let message = format!("row \"{row_id}\" of table \"{table}\" {fact}; nothing was written");
    Failure::new(Code::ConditionFailed, message).hint("read the row again and decide anew")
}

pub(super) fn condition_absent(table: &str, row_id: &str) -> Failure {
    condition(table, row_id, "does not exist")
}

pub(super) fn condition_exists(table: &str, row_id: &str, revision: u64) -> Failure {
    condition(table, row_id, &format!("exists, at revision {revision}"))
}

/// `value` is what the row has where `filter` asks for something else.
pub(super) fn condition_failed(table: &str, row_id: &str, filter: &Filter, value: &Value) -> Failure {
    let mut shown = String::new();
    value.write_json(&mut shown);
    let wanted = excerpt(&filter.to_string(), 80);
    // JSON has escaped what is to be escaped.
    let shown: String = shown.chars().take(80).collect();
    condition(table, row_id, &format!("fails {wanted}: its {} is {shown}", filter.column))
}

pub(super) fn transaction_too_large() -> Failure {
    let message = format!(
        "with it the transaction reads and writes more than {MAX_TRANSACTION_BYTES} bytes of rows; nothing was written"
    );
    Failure::new(Code::TooLarge, message).hint("split the transaction")
}

pub(super) fn too_large(table: &str, row_id: &str, bytes: usize) -> Failure {
    let message = format!(
        "row \"{row_id}\" of table \"{table}\" would take {bytes} bytes, and a row may take {MAX_ROW_BYTES}; \
         nothing was written"
    );
    Failure::new(Code::TooLarge, message)
}

pub(super) fn key_reused(key: &str) -> Failure {
    let message = format!("idempotency key \"{key}\" came before with another write; nothing was written");
    Failure::new(Code::IdempotencyKeyReused, message).hint("give each write a key of its own")
}
