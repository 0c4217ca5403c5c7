//! Owns how our values lie in SQLite, and how SQLite's come back.

use std::fmt::Write as _;

use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};

use crate::model::Value;

/// A value as SQLite takes it.
pub(super) fn given(value: &Value) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match value {
        Value::Null => ValueRef::Null,
        Value::Bool(truth) => ValueRef::Integer(i64::from(*truth)),
        Value::Int(number) => ValueRef::Integer(*number),
        Value::Float(number) => ValueRef::Real(*number),
        Value::Text(text) | Value::Json(text) => ValueRef::Text(text.as_bytes()),
    })
}

/// A revision as SQLite takes it.
pub(super) fn revision(revision: u64) -> ToSqlOutput<'static> {
    ToSqlOutput::Owned(Owned::Integer(i64::try_from(revision).unwrap_or(i64::MAX)))
}

/// A value that SQLite seeks, if it is like one of ours.
pub(super) fn sought(value: ValueRef<'_>) -> Option<Value> {
    let ours = match value {
        ValueRef::Blob(_) => false,
        ValueRef::Real(number) => number.is_finite(),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Text(_) => true,
    };
    ours.then(|| answered(value))
}

/// What SQLite answers as one of our values. JSON has no infinity and no bytes: these are told as text.
pub(super) fn answered(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(number) if number.is_finite() => Value::Float(number),
        ValueRef::Real(number) => Value::Text(if number > 0.0 { "Infinity" } else { "-Infinity" }.into()),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => {
            let mut text = String::with_capacity(3 + 2 * bytes.len());
            text.push_str("X'");
            for byte in bytes {
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02X}");
            }
            text.push('\'');
            Value::Text(text)
        }
    }
}
