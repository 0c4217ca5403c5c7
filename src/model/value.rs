//! Owns values: what a column can hold, and which given value fits which column type.
//!
//! A value that does not fit is refused, never changed.

use serde::{Deserialize, Serialize};

use super::{ColumnType, excerpt, json::vanishes, time::instant};

/// One value of one column: any JSON value, integers with all 64 bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// No value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A 64-bit signed integer.
    Int(i64),
    /// A finite 64-bit float.
    Float(f64),
    /// Text; also what a `timestamp` column holds, exactly as it was written.
    Text(String),
    /// A JSON array or object, as its compact text: keys in the order given, numbers as written.
    Json(String),
}

// No float is NaN: neither JSON nor the fitting of text makes one.
impl Eq for Value {}

/// A value as a request gives it, before the table's schema is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Cell {
    /// A value with its type, as JSON has it.
    Exact(Value),
    /// Text that is made to fit the column's type, as a shell word is.
    Text(String),
}

impl Cell {
    /// The value as a column of that type keeps it.
    ///
    /// # Errors
    /// What the value is, for a message that reads "… does not fit".
    pub fn fit(self, kind: ColumnType) -> Result<Value, String> {
        match self {
            Cell::Exact(value) => fit_exact(value, kind),
            Cell::Text(text) => fit_text(text, kind),
        }
    }
}

fn fit_exact(value: Value, kind: ColumnType) -> Result<Value, String> {
    let fits = match (&value, kind) {
        (Value::Null, _) | (_, ColumnType::Any | ColumnType::Json) => true,
        (Value::Text(text), ColumnType::Timestamp) => instant(text).is_some(),
        (Value::Int(n), ColumnType::Float) => return exact_float(*n).ok_or_else(|| describe(&value)),
        (Value::Text(_), ColumnType::Text)
        | (Value::Int(_), ColumnType::Int)
        | (Value::Float(_), ColumnType::Float)
        | (Value::Bool(_), ColumnType::Bool) => true,
        _ => false,
    };
    if fits { Ok(value) } else { Err(describe(&value)) }
}

/// The float that equals `n`, if there is one: floats above 2^53 skip integers.
fn exact_float(n: i64) -> Option<Value> {
    let float = n as f64;
    (float as i128 == i128::from(n)).then_some(Value::Float(float))
}

fn fit_text(text: String, kind: ColumnType) -> Result<Value, String> {
    let value = match kind {
        ColumnType::Any | ColumnType::Text => return Ok(Value::Text(text)),
        ColumnType::Int => text.parse().ok().map(Value::Int),
        ColumnType::Float => {
            text.parse().ok().filter(|f: &f64| f.is_finite() && !vanishes(&text, *f)).map(Value::Float)
        }
        ColumnType::Bool => text.parse().ok().map(Value::Bool),
        ColumnType::Timestamp => instant(&text).map(|_| Value::Text(text.clone())),
        ColumnType::Json => Value::parse_json(&text).ok(),
    };
    value.ok_or_else(|| describe(&Value::Text(text)))
}

/// A value in words, short enough for a message: `text "abc"`, `integer 7`.
fn describe(value: &Value) -> String {
    let short = |text: &str| -> String {
        let cut = excerpt(text, 60);
        if text.chars().count() > 60 { format!("{cut}…") } else { cut }
    };
    match value {
        Value::Null => "null".into(),
        Value::Bool(b) => format!("bool {b}"),
        Value::Int(n) => format!("integer {n}"),
        Value::Float(f) => format!("float {f:?}"),
        Value::Text(text) => format!("text \"{}\"", short(text)),
        Value::Json(text) => format!("JSON {}", short(text)),
    }
}

impl Value {
    /// Appends the value as JSON text.
    pub fn write_json(&self, out: &mut String) {
        use std::fmt::Write as _;
        // Writing to a String cannot fail.
        let _ = match self {
            Value::Null => out.write_str("null"),
            Value::Bool(b) => write!(out, "{b}"),
            Value::Int(n) => write!(out, "{n}"),
            Value::Float(f) => write!(out, "{}", serde_json::json!(f)),
            Value::Text(text) => write!(out, "{}", serde_json::json!(text)),
            Value::Json(text) => out.write_str(text),
        };
    }
}

impl Value {
    /// Parses JSON text into a value.
    ///
    /// # Errors
    /// What is wrong and where: also a repeated key, or a number that no column type keeps exactly.
    pub fn parse_json(text: &str) -> Result<Value, String> {
        super::json::parse(text)
    }
}
