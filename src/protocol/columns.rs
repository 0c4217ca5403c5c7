//! Owns how columns are declared in JSON: `"name"`, `"name:type"` or `{"name","type"}`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeSeq as _, Serializer};

use crate::model::{Column, ColumnSpec, ColumnType, Failure, check_name};

/// One declared column as it was written, either form.
pub(super) enum Declared {
    Word(String),
    Pair { name: String, kind: Option<String> },
}

impl Declared {
    /// The column that was declared.
    pub(super) fn spec(self) -> Result<ColumnSpec, Failure> {
        match self {
            Declared::Word(word) => ColumnSpec::parse(&word),
            Declared::Pair { name, kind } => {
                // A checked name has no colon, so that the two join and part again as they were.
                check_name("column", &name)?;
                ColumnSpec::parse(&format!("{name}:{}", kind.as_deref().unwrap_or("any")))
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
        let (mut name, mut kind) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            let twice = match key.as_str() {
                "name" => name.replace(map.next_value()?).is_some(),
                "type" => kind.replace(map.next_value()?).is_some(),
                _ => return Err(A::Error::unknown_field(&key, &["name", "type"])),
            };
            if twice {
                return Err(A::Error::custom(format_args!("duplicate field `{key}`")));
            }
        }
        Ok(Declared::Pair { name: name.ok_or_else(|| A::Error::missing_field("name"))?, kind })
    }
}

/// The declarations that `columns` came from.
pub(super) fn specs(columns: &[Column]) -> Vec<ColumnSpec> {
    columns.iter().map(|column| ColumnSpec { name: column.name.clone(), kind: column.kind }).collect()
}

/// For `#[serde(with)]`: writes `[{"name","type"}…]`.
pub(super) fn serialize<S: Serializer>(columns: &[ColumnSpec], writer: S) -> Result<S::Ok, S::Error> {
    #[derive(serde::Serialize)]
    struct Pair<'a> {
        name: &'a str,
        r#type: &'static str,
    }
    let mut list = writer.serialize_seq(Some(columns.len()))?;
    for column in columns {
        list.serialize_element(&Pair { name: &column.name, r#type: column.kind.as_str() })?;
    }
    list.end()
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
            while let Some(Told { name, kind }) = items.next_element()? {
                let known = ColumnType::NAMES.iter().find(|(known, _)| *known == kind);
                let (_, kind) =
                    known.ok_or_else(|| A::Error::custom(format_args!("unknown column type \"{kind}\"")))?;
                columns.push(ColumnSpec { name, kind: *kind });
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
}
