//! Owns why a query has no answer, in our words.

use std::sync::PoisonError;

use rusqlite::{Error, ErrorCode};

use super::gate::{Ended, Gate};
use super::guard::{Denied, MEMORY};
use super::vtab::Notes;
use crate::model::{Code, Failure, nearest};
use crate::store::{StoreError, View};

/// Why a query has no answer, or no whole one.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The query's fault, or a limit.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is known of a query that failed.
pub(super) struct Scene<'a> {
    pub(super) view: &'a View,
    pub(super) gate: &'a Gate,
    pub(super) denied: &'a Denied,
    pub(super) notes: &'a Notes,
}

impl Scene<'_> {
    /// What SQLite's error means.
    pub(super) fn told(&self, error: &Error) -> SqlError {
        if let Some(error) = self.notes.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return error.into();
        }
        if let Some(what) = self.denied.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return only_reading(&what).into();
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => return ended(self.gate).into(),
            Some(ErrorCode::OutOfMemory) => return too_much_memory().into(),
            Some(ErrorCode::TooBig) => return too_long().into(),
            _ => {}
        }
        let (said, place) = said(error);
        if let Some(table) = said.strip_prefix("table ").and_then(|rest| rest.strip_suffix(" may not be modified")) {
            return only_reading(&format!("change table \"{table}\"")).into();
        }
        if let Some(name) = said.strip_prefix("no such table: ") {
            // The store knows what was meant; a name that it has stands behind the name of a schema.
            return match self.view.table(name) {
                Err(failure) => failure.into(),
                Ok(_) => bad(&said, &place).into(),
            };
        }
        if let Some(name) = said.strip_prefix("no such column: ") {
            return self.no_such_column(name, &said, &place).into();
        }
        bad(&said, &place).into()
    }

    fn no_such_column(&self, name: &str, said: &str, place: &str) -> Failure {
        let failure = Failure::new(Code::UnknownColumn, format!("{}{place}", shown(said)));
        let columns = self.notes.columns.lock().unwrap_or_else(PoisonError::into_inner);
        let last = name.rsplit('.').next().unwrap_or(name);
        match nearest(last, columns.iter().map(String::as_str)) {
            Some(near) => failure.hint(format!("did you mean \"{near}\"?")),
            None if name.starts_with('"') => failure.hint("text stands in single quotes: 'Ahmed'"),
            None => failure,
        }
    }
}

/// What SQLite said, and where in the query.
fn said(error: &Error) -> (String, String) {
    match error {
        Error::SqlInputError { msg, sql, offset, .. } => {
            let before = usize::try_from(*offset).ok().and_then(|offset| sql.get(..offset));
            let place = before.map(|before| {
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
                format!(" at line {line} column {column}")
            });
            (msg.clone(), place.unwrap_or_default())
        }
        Error::SqliteFailure(_, Some(message)) => (message.clone(), String::new()),
        Error::MultipleStatement => ("there is more than one statement".into(), String::new()),
        other => (other.to_string(), String::new()),
    }
}

/// What SQLite said, which may quote the query: no longer than can be read, control characters escaped.
fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() };
    text.chars().take(300).map(plain).collect()
}

/// `bad_sql` for what is wrong with a query.
pub(super) fn bad(said: &str, place: &str) -> Failure {
    Failure::new(Code::BadSql, format!("the query cannot be run: {}{place}", shown(said)))
}

fn only_reading(what: &str) -> Failure {
    let message = format!("SQL only reads, and the query would {}; nothing was changed", shown(what));
    Failure::new(Code::BadSql, message)
        .hint("write with: ddb insert, update, delete; tables: ddb table list, show, create")
}

/// The failure of a query that was ended from outside.
pub(super) fn ended(gate: &Gate) -> Failure {
    match gate.ended() {
        Some(Ended::Unwanted) => Failure::new(Code::Timeout, "the query was ended, as nobody waits for its answer"),
        _ => Failure::new(Code::Timeout, format!("the query did not end within {} s", gate.time().as_secs_f64()))
            .hint("ask for less, or give it more time: --timeout 60s, or timeout=60s in the URL"),
    }
}

fn too_much_memory() -> Failure {
    let message = format!("the query needs more memory than the {} MiB that all queries of a node share", MEMORY >> 20);
    Failure::new(Code::TooLarge, message).hint("sort, group or join fewer rows and columns")
}

fn too_long() -> Failure {
    Failure::new(Code::TooLarge, "a text of the query, or one that it makes, is longer than SQL takes")
        .hint("a query has 1 MiB at most, a value that it makes 16 MiB, a pattern 1,000 bytes")
}
