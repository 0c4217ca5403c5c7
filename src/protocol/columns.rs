//! Owns how columns are declared in JSON: `"name"`, `"name:type…"` or
//! `{"name","type","not_null","unique","default"}`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde_json::value::RawValue;

use super::cells::Exact;
use crate::model::{Cell, ColumnSpec, ColumnType, Failure, Table, Value, check_name};

/// One declared column as it was written, either form.
pub(super) enum Declared {
    Word(String),
    Object { name: String, kind: Option<String>, not_null: bool, unique: bool, default: Option<Value> },
}

impl Declared {
    /// The column that was declared.
    pub(super) fn spec(self) -> Result<ColumnSpec, Failure> {
        match self {
            Declared::Word(word) => ColumnSpec::parse(&word),
            Declared::Object { name, kind, not_null, unique, default } => {
                // A checked name has no colon, so that the two join and part again as they were.
                check_name("column", &name)?;
                let kind = kind.as_deref().unwrap_or("any");
                if kind.contains(':') {
                    check_name("type", kind)?;
                }
                let spec = ColumnSpec { not_null, unique, ..ColumnSpec::parse(&format!("{name}:{kind}"))? };
                spec.with_default(default.map(Cell::Exact))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Declared {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(DeclaredVisitor)
    }
}

struct DeclaredVisitor;

impl<'de> Visitor<'de> for DeclaredVisitor {
    type Value = Declared;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a column: \"name\", \"name:type\" or {\"name\", \"type\"}")
    }

    fn visit_str<E>(self, word: &str) -> Result<Declared, E> {
        Ok(Declared::Word(word.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Declared, A::Error> {
        let (mut name, mut kind, mut not_null, mut unique, mut default) = (None, None, None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            let twice = match key.as_str() {
                "name" => name.replace(map.next_value()?).is_some(),
                "type" => kind.replace(map.next_value()?).is_some(),
                "not_null" => not_null.replace(map.next_value()?).is_some(),
                "unique" => unique.replace(map.next_value()?).is_some(),
                "default" => default.replace(map.next_value::<Exact>()?.0).is_some(),
                _ => {
                    return Err(A::Error::unknown_field(&key, &["name", "type", "not_null", "unique", "default"]));
                }
            };
            if twice {
                return Err(A::Error::custom(format_args!("duplicate field `{key}`")));
            }
        }
        let name = name.ok_or_else(|| A::Error::missing_field("name"))?;
        let (not_null, unique) = (not_null.unwrap_or(false), unique.unwrap_or(false));
        Ok(Declared::Object { name, kind, not_null, unique, default })
    }
}

/// The declarations that the columns of `table` amount to.
pub(super) fn specs(table: &Table) -> Vec<ColumnSpec> {
    (0..table.columns.len()).map(|place| table.spec(place)).collect()
}

/// A column as it is written; what is not so is left out.
#[derive(serde::Serialize)]
struct Written<'a> {
    name: &'a str,
    r#type: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    not_null: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unique: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<Box<RawValue>>,
}

impl<'a> Written<'a> {
    fn new(column: &'a ColumnSpec) -> Written<'a> {
        let ColumnSpec { name, kind, not_null, unique, default } = column;
        let raw = |value: &Value| {
            let mut text = String::new();
            value.write_json(&mut text);
            RawValue::from_string(text).ok()
        };
        let default = default.as_ref().and_then(raw);
        Written { name, r#type: kind.as_str(), not_null: *not_null, unique: *unique, default }
    }
}

/// For `#[serde(serialize_with)]`: writes one column.
pub(super) fn serialize_one<S: Serializer>(column: &ColumnSpec, writer: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&Written::new(column), writer)
}

/// For `#[serde(with)]`: writes `[{"name","type",…}…]`.
pub(super) fn serialize<S: Serializer>(columns: &[ColumnSpec], writer: S) -> Result<S::Ok, S::Error> {
    writer.collect_seq(columns.iter().map(Written::new))
}

/// For `#[serde(with)]`: reads what `serialize` wrote, also from a node that tells more of a column.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(reader: D) -> Result<Vec<ColumnSpec>, D::Error> {
    struct List;
    impl<'de> Visitor<'de> for List {
        type Value = Vec<ColumnSpec>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of columns")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            let mut columns = Vec::new();
            while let Some(Told { name, kind, not_null, unique, default }) = items.next_element()? {
                let known = ColumnType::NAMES.iter().find(|(known, _)| *known == kind);
                let (_, kind) =
                    known.ok_or_else(|| A::Error::custom(format_args!("unknown column type \"{kind}\"")))?;
                let default = default.map(|exact| exact.0);
                columns.push(ColumnSpec { name, kind: *kind, not_null, unique, default });
            }
            Ok(columns)
        }
    }
    reader.deserialize_seq(List)
}

/// A column as a node tells it.
#[derive(serde::Deserialize)]
struct Told {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    not_null: bool,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    default: Option<Exact>,
}
