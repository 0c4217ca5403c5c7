//! Owns the wording of what a write is refused for. Every replica says the same, byte for byte.

use crate::model::{Code, Failure, Filter, MAX_TRANSACTION_BYTES, Value, When, excerpt, nearest};

/// The most bytes that a row's record may take.
pub(super) const MAX_ROW_BYTES: usize = 1 << 20;

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
    let (wanted, shown) = (excerpt(&filter.to_string(), 80), excerpt(&shown, 80));
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
