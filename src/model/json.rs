//! Owns the reading of one JSON value: strict where JSON readers differ.
//!
//! A repeated key, an integer beyond 64 bits and a float that overflows or vanishes are refused, since to
//! accept them would change what was sent. An array or object keeps its text, less white space.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::Value;

/// Parses JSON text into a value; the error says what is wrong and where.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    let said = |error: serde_json::Error| error.to_string();
    Ok(match text.as_bytes().first() {
        Some(b'"') => Value::Text(serde_json::from_str(text).map_err(said)?),
        Some(b'{' | b'[') => {
            let mut reader = serde_json::Deserializer::from_str(text);
            Strict.deserialize(&mut reader).and_then(|()| reader.end()).map_err(said)?;
            Value::Json(compact(text)?)
        }
        Some(b'-' | b'0'..=b'9') => number(text)?,
        _ => match serde_json::from_str::<Option<bool>>(text).map_err(said)? {
            Some(truth) => Value::Bool(truth),
            None => Value::Null,
        },
    })
}

fn number(text: &str) -> Result<Value, String> {
    let float: f64 = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if vanishes(text, float) {
        return Err(format!("the number {} is too small for a float", short(text)));
    }
    if text.contains(['.', 'e', 'E']) {
        return Ok(Value::Float(float));
    }
    text.parse().map(Value::Int).map_err(|_| format!("the integer {} does not fit in 64 bits", short(text)))
}

/// Whether `text` names a number other than zero whose float is zero.
pub(super) fn vanishes(text: &str, float: f64) -> bool {
    let digits = text.split(['e', 'E']).next().unwrap_or_default();
    float == 0.0 && digits.contains(|c: char| matches!(c, '1'..='9'))
}

fn short(text: &str) -> &str {
    text.get(..40).unwrap_or(text)
}

/// Drops the white space between tokens and checks the integers; `text` is valid JSON.
fn compact(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            ' ' | '\t' | '\r' | '\n' => {
                rest = &rest[1..];
                continue;
            }
            '"' => string_length(rest),
            '-' | '0'..='9' => {
                let end = rest.find([',', ']', '}', ' ', '\t', '\r', '\n']).unwrap_or(rest.len());
                number(&rest[..end])?;
                end
            }
            other => other.len_utf8(),
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    Ok(out)
}

/// The length of the string literal that `text` starts with, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Walks any JSON value and refuses repeated keys; builds nothing.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Strict)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut seen = std::collections::HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if let Some(key) = seen.replace(key) {
                return Err(A::Error::custom(format_args!("the key {key:?} stands twice")));
            }
            entries.next_value_seed(Strict)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_every_digit_and_the_order_of_keys() {
        assert_eq!(parse("9223372036854775807"), Ok(Value::Int(i64::MAX)));
        assert_eq!(parse("-9223372036854775808"), Ok(Value::Int(i64::MIN)));
        assert_eq!(parse(" 0.1 "), Ok(Value::Float(0.1)));
        assert_eq!(parse("0.0e7"), Ok(Value::Float(0.0)));
        assert_eq!(parse("null"), Ok(Value::Null));
        let text = r#" { "b" : [ 1 , 2.50 ] , "a" : " x \" , y " } "#;
        assert_eq!(parse(text), Ok(Value::Json(r#"{"b":[1,2.50],"a":" x \" , y "}"#.into())));
    }

    #[test]
    fn what_would_change_is_refused() {
        for bad in [
            "9223372036854775808",
            "18446744073709551616",
            "1e400",
            "1e-400",
            "[-0.5E-999]",
            "[18446744073709551616]",
            r#"{"a":1,"a":2}"#,
            r#"[{"a":{"b":1,"b":1}}]"#,
            r#""\ud800""#,
            "[1",
            "nul",
            "",
            "01",
            "[1]x",
            "NaN",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
