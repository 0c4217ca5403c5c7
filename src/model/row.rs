//! Owns row ids: what one is, and the key bytes under which a row sorts in its table.

use serde::{Deserialize, Serialize};

use super::{Code, ColumnType, Failure, Table, Value, excerpt};

/// The longest row id, in bytes of UTF-8.
pub const MAX_ROW_ID: usize = 512;

/// A row as it is read: its id, its values in column order, the revision of its last change.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The id as a value: `Int` in a table with `id:int`, else `Text`.
    pub id: Value,
    /// One value a column, in the table's column order; the `id` column is filled in.
    pub values: Vec<Value>,
    /// The revision of the row's last change.
    pub revision: u64,
}

/// A row id made into bytes that sort as the ids do: text as UTF-8, integers as
/// eight big-endian bytes with the sign bit flipped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RowKey(pub Vec<u8>);

impl RowKey {
    /// The key of the row id `text` in `table`.
    ///
    /// # Errors
    /// `bad_name` for an empty, overlong or control-character id; `type_mismatch` where the
    /// table's ids are integers and this is none.
    pub fn new(table: &Table, text: &str) -> Result<RowKey, Failure> {
        check_row_id(text)?;
        if table.id_type() != Some(ColumnType::Int) {
            return Ok(RowKey(text.as_bytes().to_vec()));
        }
        match text.parse::<i64>() {
            // Only the one canonical spelling: "+7" and "007" would be second names for row 7.
            Ok(n) if n.to_string() == text => Ok(RowKey::int(n)),
            _ => Err(Failure::new(
                Code::TypeMismatch,
                format!("row id \"{text}\" is not an integer, as column \"id\" of table \"{}\" asks", table.name),
            )),
        }
    }

    /// The key of the integer id `n`.
    pub(super) fn int(n: i64) -> RowKey {
        RowKey(((n as u64) ^ (1 << 63)).to_be_bytes().to_vec())
    }

    /// The id that this key stands for, as a request writes it.
    pub fn text(&self, table: &Table) -> String {
        match self.id(table) {
            Value::Int(n) => n.to_string(),
            _ => String::from_utf8_lossy(&self.0).into_owned(),
        }
    }

    /// The id that this key stands for.
    pub fn id(&self, table: &Table) -> Value {
        match <[u8; 8]>::try_from(self.0.as_slice()) {
            Ok(bytes) if table.id_type() == Some(ColumnType::Int) => {
                Value::Int((u64::from_be_bytes(bytes) ^ (1 << 63)) as i64)
            }
            _ => Value::Text(String::from_utf8_lossy(&self.0).into_owned()),
        }
    }
}

/// What the row ids of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ids {
    /// Texts.
    Text,
    /// Integers: the table declares `id:int`.
    Int,
}

impl Ids {
    /// The row id that a request writes as `text`, which is one of these.
    pub fn value(self, text: &str) -> Value {
        match (self, text.parse()) {
            (Ids::Int, Ok(number)) => Value::Int(number),
            _ => Value::Text(text.into()),
        }
    }
}

/// Checks a row id: 1 to 512 bytes of UTF-8 without control characters.
///
/// # Errors
/// `bad_name`, saying which rule is broken.
pub fn check_row_id(text: &str) -> Result<(), Failure> {
    let why = if text.is_empty() {
        "it is empty"
    } else if text.len() > MAX_ROW_ID {
        "it is longer than 512 bytes"
    } else if text.chars().any(char::is_control) {
        "it holds a control character"
    } else if text == "." || text == ".." {
        // RFC 3986, section 5.2.4: clients drop these segments from a path, also percent-encoded.
        "no URL can name it"
    } else {
        return Ok(());
    };
    let shown = excerpt(text, 80);
    Err(Failure::new(Code::BadName, format!("\"{shown}\" is not a row id: {why}")))
}
