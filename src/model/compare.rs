//! Owns how a value compares: numbers exactly, instants as such, the rest by the bytes of its text.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::json::vanishes;
use super::time::instant;
use super::{ColumnType, Value};

/// A number, whole or not; the two kinds compare as the numbers that they are, with nothing rounded.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    /// The number that `text` is, if it is one as JSON writes them and keeps its digits: a whole one
    /// beyond 64 bits is text, as two of them could not be told apart, and so are `007` and `+7`.
    pub(super) fn of_text(text: &str) -> Option<Number> {
        let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
        let begins = match digits {
            [b'0', second, ..] => matches!(second, b'.' | b'e' | b'E'),
            [first, ..] => first.is_ascii_digit(),
            [] => false,
        };
        if !begins || !digits.last().is_some_and(u8::is_ascii_digit) {
            return None;
        }
        if digits.iter().all(u8::is_ascii_digit) { text.parse().ok().map(Number::Int) } else { float(text) }
    }

    fn of_value(value: &Value) -> Option<Number> {
        match value {
            Value::Int(n) => Some(Number::Int(*n)),
            Value::Float(f) => Some(Number::Float(*f)),
            Value::Text(text) => Number::of_text(text),
            Value::Null | Value::Bool(_) | Value::Json(_) => None,
        }
    }

    /// The greatest whole number that is not above this one.
    pub(super) fn floor(self) -> i128 {
        match self {
            Number::Int(n) => n.into(),
            Number::Float(f) => f.floor() as i128,
        }
    }

    /// The least whole number that is not below this one.
    pub(super) fn ceil(self) -> i128 {
        match self {
            Number::Int(n) => n.into(),
            Number::Float(f) => f.ceil() as i128,
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        match (*self, *other) {
            (Number::Int(a), Number::Int(b)) => a.cmp(&b),
            (Number::Int(a), Number::Float(b)) => int_with_float(a, b),
            (Number::Float(a), Number::Int(b)) => int_with_float(b, a).reverse(),
            // No float is NaN: neither JSON nor `float` makes one.
            (Number::Float(a), Number::Float(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

/// Compares without making a float of the integer, which beyond 2^53 would be another number.
fn int_with_float(int: i64, float: f64) -> Ordering {
    // The floats that stand for one more than the largest integer, and for the smallest.
    const END: f64 = 9_223_372_036_854_775_808.0;
    if float >= END {
        return Ordering::Less;
    }
    if float < -END {
        return Ordering::Greater;
    }
    let whole = float.trunc();
    int.cmp(&(whole as i64)).then(0.0.partial_cmp(&(float - whole)).unwrap_or(Ordering::Equal))
}

/// The finite float that `text` names.
fn float(text: &str) -> Option<Number> {
    let float: f64 = text.parse().ok()?;
    (float.is_finite() && !vanishes(text, float)).then_some(Number::Float(float))
}

/// The word of a filter, read as a column's type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    Number(Number),
    Bool(bool),
    Instant(i128),
    Text(String),
    /// For a column of any values: what else the word could be.
    Loose {
        text: String,
        number: Option<Number>,
        json: Option<serde_json::Value>,
    },
}

impl Word {
    /// `text` as a word to compare with the values of a column of type `kind`; `None` if it is none.
    pub(super) fn read(kind: ColumnType, text: &str) -> Option<Word> {
        match kind {
            ColumnType::Text => Some(Word::Text(text.into())),
            ColumnType::Bool => text.parse().ok().map(Word::Bool),
            ColumnType::Timestamp => instant(text).map(Word::Instant),
            ColumnType::Float => float(text).map(Word::Number),
            ColumnType::Int => {
                // A fraction may be asked about: `.gt=1.5`. A whole number beyond 64 bits is a slip.
                let fraction = || float(text).filter(|_| text.contains(['.', 'e', 'E']));
                text.parse().ok().map(Number::Int).or_else(fraction).map(Word::Number)
            }
            ColumnType::Any => Some(Word::loose(text)),
            // In quotes as JSON has them, a word is text and never the number in it.
            ColumnType::Json => match serde_json::from_str(text) {
                Ok(quoted) => Some(Word::Text(quoted)),
                Err(_) => Some(Word::loose(text)),
            },
        }
    }

    fn loose(text: &str) -> Word {
        let json = if text.starts_with(['{', '[']) { serde_json::from_str(text).ok() } else { None };
        Word::Loose { text: text.into(), number: Number::of_text(text), json }
    }

    /// The number that the word is, in a column of numbers.
    pub(super) fn number(&self) -> Option<Number> {
        match self {
            Word::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// How `value` stands to the word; `None` for null, and for what cannot be compared with it.
    pub(super) fn compare(&self, value: &Value) -> Option<Ordering> {
        match (value, self) {
            (Value::Null, _) => None,
            (_, Word::Loose { text, number, .. }) => {
                match number.and_then(|number| Some((Number::of_value(value)?, number))) {
                    Some((own, number)) => Some(own.cmp(&number)),
                    None => Some(shown(value).as_ref().cmp(text)),
                }
            }
            (Value::Int(own), Word::Number(number)) => Some(Number::Int(*own).cmp(number)),
            (Value::Float(own), Word::Number(number)) => Some(Number::Float(*own).cmp(number)),
            (Value::Bool(own), Word::Bool(word)) => Some(own.cmp(word)),
            (Value::Text(own), Word::Instant(word)) => Some(instant(own)?.cmp(word)),
            (Value::Text(own), Word::Text(word)) => Some(own.cmp(word)),
            _ => None,
        }
    }

    /// Whether `value` equals the word; arrays and objects do whatever the order of their keys.
    pub(super) fn equals(&self, value: &Value) -> bool {
        if let (Value::Json(own), Word::Loose { json: Some(word), .. }) = (value, self) {
            return serde_json::from_str::<serde_json::Value>(own).is_ok_and(|own| own == *word);
        }
        self.compare(value) == Some(Ordering::Equal)
    }
}

/// The text of a value, as it is shown.
pub(super) fn shown(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Text(text) | Value::Json(text) => Cow::Borrowed(text),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            let mut text = String::new();
            value.write_json(&mut text);
            Cow::Owned(text)
        }
    }
}

/// A value as a sort key. In a column of any values numbers come first, and texts that are numbers
/// with them; the rest goes by the bytes of its text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum SortKey {
    Bool(bool),
    Instant(i128),
    Number(Number),
    Text(Vec<u8>),
}

impl SortKey {
    /// How many bytes of a text count; a cursor holds them, and has to fit into a request's line.
    pub(super) const TEXT: usize = 512;

    /// The sort key of a value in a column of type `kind`; `None` for null.
    pub(super) fn new(kind: ColumnType, value: &Value) -> Option<SortKey> {
        let text = |value: &Value| {
            let text = shown(value);
            SortKey::Text(text.as_bytes()[..text.len().min(SortKey::TEXT)].to_vec())
        };
        Some(match (value, kind) {
            (Value::Null, _) => return None,
            (Value::Bool(truth), ColumnType::Bool) => SortKey::Bool(*truth),
            (Value::Text(own), ColumnType::Timestamp) => instant(own).map_or_else(|| text(value), SortKey::Instant),
            (_, ColumnType::Text) => text(value),
            _ => Number::of_value(value).map_or_else(|| text(value), SortKey::Number),
        })
    }

    /// About how many bytes it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        match self {
            SortKey::Text(text) => size_of::<SortKey>() + text.len(),
            SortKey::Bool(_) | SortKey::Instant(_) | SortKey::Number(_) => size_of::<SortKey>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_a_number_if_json_would_write_it_so_and_no_digit_is_lost() {
        for text in ["0", "-0", "7", "-7", "1.0", "0.5", "1e5", "1E-5", "-0.0e+7", "9223372036854775807"] {
            assert!(Number::of_text(text).is_some(), "{text}");
        }
        for text in [
            "",
            "-",
            "+7",
            "007",
            "01.5",
            "1.",
            ".5",
            " 7",
            "7 ",
            "1e",
            "inf",
            "NaN",
            "0x10",
            "1_000",
            "2024-01-01",
            "9223372036854775808",
            "1e400",
            "1e-400",
            "٣",
            "--1",
            "1.2.3",
        ] {
            assert!(Number::of_text(text).is_none(), "{text}");
        }
    }

    #[test]
    fn integers_and_floats_compare_beyond_what_a_float_can_hold() {
        let cmp = |int: i64, float: f64| Number::Int(int).cmp(&Number::Float(float));
        assert_eq!(cmp(9_007_199_254_740_993, 9_007_199_254_740_992.0), Ordering::Greater);
        assert_eq!(cmp(9_007_199_254_740_992, 9_007_199_254_740_992.0), Ordering::Equal);
        assert_eq!(cmp(i64::MAX, 9_223_372_036_854_775_808.0), Ordering::Less);
        assert_eq!(cmp(i64::MIN, -9_223_372_036_854_775_808.0), Ordering::Equal);
        assert_eq!(cmp(i64::MIN, -1e300), Ordering::Greater);
        assert_eq!(cmp(1, 1.5), Ordering::Less);
        assert_eq!(cmp(-1, -1.5), Ordering::Greater);
        assert_eq!(cmp(0, -0.0), Ordering::Equal);
    }

    /// Every finite float is a whole number of 2^-1074; compared digit by digit after the point.
    fn oracle(a: &str, b: &str) -> Ordering {
        let parts = |text: &str| -> (bool, String, String) {
            let (sign, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
            let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
            (sign, format!("{whole:0>400}"), format!("{rest:0<1100}"))
        };
        let ((a_minus, a_whole, a_rest), (b_minus, b_whole, b_rest)) = (parts(a), parts(b));
        let sizes = (a_whole + &a_rest).cmp(&(b_whole + &b_rest));
        let zero = |text: &str| !text.contains(|c: char| matches!(c, '1'..='9'));
        match (a_minus && !zero(a), b_minus && !zero(b)) {
            (false, false) => sizes,
            (true, true) => sizes.reverse(),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }

    fn number() -> impl Strategy<Value = (Number, String)> {
        let near = prop_oneof![Just(0_i64), Just(1 << 53), Just(-(1 << 53)), Just(i64::MAX), Just(i64::MIN)];
        let ints = prop_oneof![
            any::<i64>(),
            -3..4_i64,
            (near, -3..4_i64).prop_map(|(middle, off)| middle.saturating_add(off))
        ];
        let floats = prop_oneof![
            any::<f64>().prop_filter("finite", |f| f.is_finite()),
            (-8..9_i32).prop_map(|n| f64::from(n) / 2.0),
            ints.clone().prop_map(|n| n as f64),
        ];
        prop_oneof![
            ints.prop_map(|n| (Number::Int(n), n.to_string())),
            // With so many digits every float is written exactly.
            floats.prop_map(|f| (Number::Float(f), format!("{f:.1100}"))),
        ]
    }

    proptest! {
        #[test]
        fn numbers_compare_as_their_digits_do((a, a_digits) in number(), (b, b_digits) in number()) {
            prop_assert_eq!(a.cmp(&b), oracle(&a_digits, &b_digits));
        }
    }
}
