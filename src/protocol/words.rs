//! Owns the words that stand in paths and parameters: durations, levels, percent-encoded names.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::model::{Code, Failure, Level, check_name, check_row_id, excerpt};

/// What need not be encoded in a path segment or a query value.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Reads a duration: `500ms`, `5s`, `2m`; a plain number is seconds.
///
/// # Errors
/// `bad_request` for anything else.
pub fn parse_duration(text: &str) -> Result<Duration, Failure> {
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => Some(0.001),
        "" | "s" => Some(1.0),
        "m" => Some(60.0),
        _ => None,
    };
    let seconds = number.parse::<f64>().ok().zip(scale).map(|(number, scale)| number * scale);
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(|| {
        let shown = excerpt(text, 40);
        Failure::new(Code::BadRequest, format!("\"{shown}\" is not a duration")).hint("write it as 500ms, 5s or 2m")
    })
}

/// Writes a duration as `parse_duration` reads it, to the millisecond.
pub fn format_duration(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

/// Reads a level: `linearizable` or `stale`.
///
/// # Errors
/// `bad_request` for anything else.
pub fn parse_level(text: &str) -> Result<Level, Failure> {
    match text {
        "linearizable" => Ok(Level::Linearizable),
        "stale" => Ok(Level::Stale),
        _ => {
            let shown = excerpt(text, 40);
            Err(Failure::new(Code::BadRequest, format!("\"{shown}\" is not a level"))
                .hint("levels are linearizable and stale"))
        }
    }
}

/// The name of a level, as `parse_level` reads it.
pub fn level_name(level: Level) -> &'static str {
    match level {
        Level::Linearizable => "linearizable",
        Level::Stale => "stale",
    }
}

/// A name as it stands in a path or as a query value.
pub fn encode_segment(name: &str) -> String {
    utf8_percent_encode(name, PLAIN).to_string()
}

/// The name that a path segment stands for, decoded once.
///
/// # Errors
/// `bad_name` for a broken percent sign or what is not UTF-8.
pub fn decode_segment(segment: &str) -> Result<String, Failure> {
    let bad = |why: &str| {
        let shown = excerpt(segment, 80);
        Failure::new(Code::BadName, format!("\"{shown}\" is no name: {why}"))
    };
    if !segment.contains('%') {
        return Ok(segment.into());
    }
    let whole = |rest: &str| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    if segment.split('%').skip(1).any(|rest| !whole(rest)) {
        return Err(bad("a % is not followed by two hexadecimal digits"));
    }
    match percent_decode_str(segment).decode_utf8() {
        Ok(name) => Ok(name.into_owned()),
        Err(_) => Err(bad("it is not UTF-8")),
    }
}

/// The path of a table: `/v1/tables/{t}`.
///
/// # Errors
/// `bad_name`: what is no name must not become another path.
pub fn table_path(table: &str) -> Result<String, Failure> {
    check_name("table", table)?;
    Ok(format!("/v1/tables/{table}"))
}

/// The path of a row: `/v1/tables/{t}/rows/{id}`.
///
/// # Errors
/// `bad_name`, as of a table.
pub fn row_path(table: &str, row_id: &str) -> Result<String, Failure> {
    check_row_id(row_id)?;
    Ok(format!("{}/rows/{}", table_path(table)?, encode_segment(row_id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_come_back() {
        for (text, ms) in [("500ms", 500), ("5s", 5_000), ("2m", 120_000), ("3", 3_000), ("0.5s", 500), ("0s", 0)] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration.as_millis(), ms, "{text}");
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
        for bad in ["", "s", "5h", "-5s", "5 s", "1e3s", "..s", "nans", &format!("{}m", "9".repeat(400))] {
            assert_eq!(parse_duration(bad).map_err(|f| f.code), Err(Code::BadRequest), "{bad}");
        }
    }

    #[test]
    fn a_segment_is_decoded_once_and_comes_back() {
        for name in ["students", "a/b c?d#e%f", "é\"", "%2e"] {
            assert_eq!(decode_segment(&encode_segment(name)).as_deref(), Ok(name));
        }
        assert_eq!(decode_segment("%252e").as_deref(), Ok("%2e"));
        for bad in ["%", "a%2", "%zz", "%ff", "%c3%28", "%é1"] {
            assert_eq!(decode_segment(bad).map_err(|f| f.code), Err(Code::BadName), "{bad}");
        }
        assert_eq!(row_path("t", "../a").as_deref(), Ok("/v1/tables/t/rows/..%2Fa"));
        for (table, row_id) in [("..", "1"), ("t", ".."), ("t", "")] {
            assert_eq!(row_path(table, row_id).map_err(|f| f.code), Err(Code::BadName));
        }
    }

    #[test]
    fn levels_come_back() {
        for level in [Level::Linearizable, Level::Stale] {
            assert_eq!(parse_level(level_name(level)), Ok(level));
        }
        assert_eq!(parse_level("strong").map_err(|f| f.code), Err(Code::BadRequest));
    }
}
