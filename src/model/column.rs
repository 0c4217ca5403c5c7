//! Owns columns: their types, and how one is declared: `name[:type][:not-null][:unique][:default=VALUE]`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::compare::shown;
use super::{Cell, Code, Failure, Value, check_name, excerpt};

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
    /// Whether null is refused.
    pub not_null: bool,
    /// Whether no two rows may have the same value.
    pub unique: bool,
    /// What it holds where a new row leaves it out.
    pub default: Option<Value>,
}

/// What may stand behind a column's name.
const GRAMMAR: &str = "declare a column as name[:type][:not-null][:unique][:default=VALUE]";

impl ColumnSpec {
    /// A column of that name and type without constraints.
    pub fn plain(name: &str, kind: ColumnType) -> ColumnSpec {
        ColumnSpec { name: name.into(), kind, not_null: false, unique: false, default: None }
    }

    /// Parses `name[:type][:not-null][:unique][:default=VALUE]`; a default is the rest of the word.
    ///
    /// # Errors
    /// `bad_name` for the name, `bad_request` for an unknown type or constraint, `type_mismatch` for
    /// a default that is none of the type.
    pub fn parse(text: &str) -> Result<ColumnSpec, Failure> {
        let (name, mut rest) = parted(text);
        check_name("column", name)?;
        let mut spec = ColumnSpec::plain(name, ColumnType::Any);
        let mut default = None;
        let mut first = true;
        while let Some(words) = rest {
            if let Some(value) = words.strip_prefix("default=") {
                default = Some(Cell::Text(value.into()));
                break;
            }
            let (word, more) = parted(words);
            match (word, ColumnType::NAMES.iter().find(|(known, _)| *known == word)) {
                ("not-null", _) => spec.not_null = true,
                ("unique", _) => spec.unique = true,
                (_, Some((_, kind))) if first => spec.kind = *kind,
                _ => return Err(unknown(name, word, first)),
            }
            (rest, first) = (more, false);
        }
        spec.with_default(default)
    }

    /// The same with a default, which must be of the column's type.
    ///
    /// # Errors
    /// `type_mismatch`.
    pub fn with_default(mut self, default: Option<Cell>) -> Result<ColumnSpec, Failure> {
        let misfit = |what: String| {
            let message = format!("{what} is no default for column \"{}\", which is {}", self.name, self.kind.as_str());
            Failure::new(Code::TypeMismatch, message)
        };
        let value = default.map(|cell| cell.fit(self.kind)).transpose().map_err(misfit)?;
        self.default = value.filter(|value| *value != Value::Null);
        Ok(self)
    }
}

/// What stands before the first colon, and what behind it.
fn parted(text: &str) -> (&str, Option<&str>) {
    text.split_once(':').map_or((text, None), |(word, rest)| (word, Some(rest)))
}

fn unknown(name: &str, word: &str, first: bool) -> Failure {
    let shown = excerpt(word, 80);
    if first {
        let message = format!("column \"{name}\" has the unknown type \"{shown}\"");
        let hint = format!("types are any, text, int, float, bool, json and timestamp; {GRAMMAR}");
        return Failure::new(Code::BadRequest, message).hint(hint);
    }
    Failure::new(Code::BadRequest, format!("column \"{name}\" has the unknown constraint \"{shown}\"")).hint(GRAMMAR)
}

impl fmt::Display for ColumnSpec {
    /// As `parse` reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.kind != ColumnType::Any {
            write!(f, ":{}", self.kind.as_str())?;
        }
        if self.not_null {
            f.write_str(":not-null")?;
        }
        if self.unique {
            f.write_str(":unique")?;
        }
        match &self.default {
            Some(value) => write!(f, ":default={}", shown(value)),
            None => Ok(()),
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
    /// Whether null is refused.
    pub not_null: bool,
    /// What it holds where a new row leaves it out, and in rows from before it was there.
    pub default: Option<Value>,
    /// The revision that it came with: rows of an earlier one hold nothing of it.
    pub since: u64,
}

impl Column {
    /// A column that comes with the write of that revision.
    pub(super) fn new(id: u32, spec: &ColumnSpec, since: u64) -> Column {
        let ColumnSpec { name, kind, not_null, default, .. } = spec.clone();
        Column { id, name, kind, not_null, default, since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_is_read_and_written_alike() {
        for (text, kind, not_null, unique, default) in [
            ("a", ColumnType::Any, false, false, None),
            ("a:int", ColumnType::Int, false, false, None),
            ("a:text:not-null", ColumnType::Text, true, false, None),
            ("a:unique", ColumnType::Any, false, true, None),
            ("a:int:not-null:unique:default=7", ColumnType::Int, true, true, Some(Value::Int(7))),
            ("a:text:default=", ColumnType::Text, false, false, Some(Value::Text(String::new()))),
            ("a:text:default=x:unique", ColumnType::Text, false, false, Some(Value::Text("x:unique".into()))),
            (
                "a:timestamp:default=2024-01-01T00:00:00Z",
                ColumnType::Timestamp,
                false,
                false,
                Some(Value::Text("2024-01-01T00:00:00Z".into())),
            ),
        ] {
            let spec = ColumnSpec::parse(text).unwrap();
            assert_eq!(spec, ColumnSpec { name: "a".into(), kind, not_null, unique, default }, "{text}");
            assert_eq!(spec.to_string(), text);
        }
        assert_eq!(ColumnSpec::parse("a:any:unique:not-null").unwrap().to_string(), "a:not-null:unique");
        assert_eq!(ColumnSpec::parse("a:json:default=null").unwrap().default, None);
    }

    #[test]
    fn what_is_no_declaration_is_refused() {
        for (text, code, said) in [
            ("a:word", Code::BadRequest, "unknown type \"word\""),
            ("a:", Code::BadRequest, "unknown type \"\""),
            ("a:int:text", Code::BadRequest, "unknown constraint \"text\""),
            ("a:int:notnull", Code::BadRequest, "unknown constraint \"notnull\""),
            ("a:int:default=x", Code::TypeMismatch, "text \"x\" is no default for column \"a\", which is int"),
            ("a-b:int", Code::BadName, "only letters"),
        ] {
            let failure = ColumnSpec::parse(text).unwrap_err();
            assert_eq!(failure.code, code, "{text}");
            assert!(failure.message.contains(said), "{text}: {}", failure.message);
        }
    }
}
