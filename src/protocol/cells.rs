//! Owns the reading of objects that map column names to values: exact, ordered, each name once.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json::without_place;
use crate::model::Value;

/// Up to how many columns a repeated name is looked for one by one.
const FEW: usize = 16;

/// An object's entries in the order given; no name stands twice. `T` is `Exact` or `String`.
pub(super) struct Columns<T>(pub(super) Vec<(String, T)>);

/// A value with all its digits.
pub(super) struct Exact(pub(super) Value);

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(reader)?;
        Value::parse_json(raw.get()).map(Exact).map_err(|said| D::Error::custom(without_place(&said)))
    }
}

/// A row id: a string, or an integer that stands for its decimal text.
pub(super) struct RowId(pub(super) String);

impl<'de> Deserialize<'de> for RowId {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        match Exact::deserialize(reader)?.0 {
            Value::Text(text) => Ok(RowId(text)),
            Value::Int(number) => Ok(RowId(number.to_string())),
            _ => Err(D::Error::custom("row_id must be a string or an integer")),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Columns<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_map(Entries(PhantomData))
    }
}

struct Entries<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
    type Value = Columns<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of column names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns<T>, A::Error> {
        let mut columns: Vec<(String, T)> = Vec::new();
        let mut seen: HashSet<String> = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let twice = if columns.len() < FEW {
                columns.iter().any(|(other, _)| *other == name)
            } else {
                if seen.is_empty() {
                    seen.extend(columns.iter().map(|(other, _)| other.clone()));
                }
                !seen.insert(name.clone())
            };
            if twice {
                return Err(A::Error::custom(format_args!("column \"{}\" stands twice", name.escape_debug())));
            }
            let value = map
                .next_value()
                .map_err(|error| A::Error::custom(format_args!("column \"{}\": {error}", name.escape_debug())))?;
            columns.push((name, value));
        }
        Ok(Columns(columns))
    }
}
