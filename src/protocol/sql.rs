//! Owns the bodies of SQL: the query, and its answer whole or line by line, both directions.
//!
//! The answer is `{"columns":[{"name","type"}],"rows":[[…]],"count","revision"}`. As lines it is an object
//! with `columns` and `revision`, an array for each row, and at the end `{"count"}`, or the error that cut it
//! short: an answer without such an end is not whole.

use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::value::RawValue;

use super::cells::{Columns, Exact};
use super::error::{decode_failure, encode_failure};
use super::json::{read_object, write_number, write_text, write_value};
use super::lines::LineFormat;
use crate::model::{Code, Failure, SqlColumn, SqlParams, SqlQuery, Value};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    query: String,
    params: Option<Params>,
}

struct Params(SqlParams);

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(reader)?.get();
        let said = |error: serde_json::Error| D::Error::custom(super::json::without_place(&error.to_string()));
        match raw.as_bytes().first() {
            Some(b'[') => {
                let values: Vec<Exact> = serde_json::from_str(raw).map_err(said)?;
                Ok(Params(SqlParams::Listed(values.into_iter().map(|value| value.0).collect())))
            }
            Some(b'{') => {
                let Columns(values): Columns<Exact> = serde_json::from_str(raw).map_err(said)?;
                Ok(Params(SqlParams::Named(values.into_iter().map(|(name, value)| (name, value.0)).collect())))
            }
            _ => Err(D::Error::custom("params must be an array, or an object of names and values")),
        }
    }
}

/// `POST /v1/sql`: `{"query","params"?}`; the parameters are an array, or an object by name.
///
/// # Errors
/// `bad_json`.
pub fn parse_sql(body: &[u8]) -> Result<SqlQuery, Failure> {
    let Body { query, params } = read_object(body)?;
    Ok(SqlQuery { text: query, params: params.map_or(SqlParams::Listed(Vec::new()), |params| params.0) })
}

/// The body that `parse_sql` reads.
pub fn encode_sql(query: &SqlQuery) -> Vec<u8> {
    let mut out = b"{\"query\":".to_vec();
    write_text(&mut out, &query.text);
    out.extend_from_slice(b",\"params\":");
    match &query.params {
        SqlParams::Listed(values) => write_array(&mut out, values),
        SqlParams::Named(values) => {
            out.push(b'{');
            for (at, (name, value)) in values.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_text(&mut out, name);
                out.push(b':');
                write_value(&mut out, value);
            }
            out.push(b'}');
        }
    }
    out.push(b'}');
    out
}

fn write_array(out: &mut Vec<u8>, values: &[Value]) {
    out.push(b'[');
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_value(out, value);
    }
    out.push(b']');
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlShape {
    /// One object.
    Whole,
    /// A line a row.
    Lines,
}

impl SqlShape {
    /// Reads the parameter `format`: `json` or `jsonl`.
    ///
    /// # Errors
    /// `bad_request` for anything else.
    pub fn parse(text: &str) -> Result<SqlShape, Failure> {
        match text {
            "json" => Ok(SqlShape::Whole),
            text if text == LineFormat::Jsonl.as_str() => Ok(SqlShape::Lines),
            _ => Err(Failure::new(Code::BadRequest, "parameter \"format\" is neither json nor jsonl")),
        }
    }

    /// Appends what stands before the rows.
    pub fn open(self, out: &mut Vec<u8>, columns: &[SqlColumn], revision: u64) {
        out.extend_from_slice(b"{\"columns\":[");
        for (at, column) in columns.iter().enumerate() {
            out.extend_from_slice(if at > 0 { b",{\"name\":" } else { b"{\"name\":" });
            write_text(out, &column.name);
            out.extend_from_slice(b",\"type\":");
            write_text(out, column.kind.as_str());
            out.push(b'}');
        }
        match self {
            SqlShape::Whole => out.extend_from_slice(b"],\"rows\":["),
            SqlShape::Lines => {
                out.extend_from_slice(b"],\"revision\":");
                write_number(out, revision);
                out.extend_from_slice(b"}\n");
            }
        }
    }

    /// Appends a row.
    pub fn row(self, out: &mut Vec<u8>, row: &[Value], first: bool) {
        if self == SqlShape::Whole && !first {
            out.push(b',');
        }
        write_array(out, row);
        if self == SqlShape::Lines {
            out.push(b'\n');
        }
    }

    /// Appends what stands after the last row.
    pub fn close(self, out: &mut Vec<u8>, count: u64, revision: u64) {
        out.extend_from_slice(if self == SqlShape::Whole { b"],\"count\":" } else { b"{\"count\":" });
        write_number(out, count);
        if self == SqlShape::Whole {
            out.extend_from_slice(b",\"revision\":");
            write_number(out, revision);
        }
        out.extend_from_slice(if self == SqlShape::Whole { b"}" } else { b"}\n" });
    }

    /// The last line of an answer that was cut short; none where a broken stream alone can tell.
    pub fn cut_short(self, failure: &Failure) -> Option<Vec<u8>> {
        (self == SqlShape::Lines).then(|| [encode_failure(failure, false), b"\n".to_vec()].concat())
    }
}

/// A line of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlLine {
    /// The names of the columns.
    Columns(Vec<String>),
    /// A row.
    Row(Vec<Value>),
    /// The end of a whole answer.
    End,
    /// The end of one that was cut short.
    Failed(Failure),
}

/// Reads a line of an answer.
///
/// # Errors
/// `internal`: the other side does not speak this protocol.
pub fn decode_sql_line(line: &[u8]) -> Result<SqlLine, Failure> {
    #[derive(serde::Deserialize)]
    struct Named {
        name: String,
    }
    #[derive(serde::Deserialize)]
    struct Object {
        columns: Option<Vec<Named>>,
    }
    if line.first() == Some(&b'[') {
        let values: Vec<Exact> = super::decode(line)?;
        return Ok(SqlLine::Row(values.into_iter().map(|value| value.0).collect()));
    }
    if let Some(failure) = decode_failure(line) {
        return Ok(SqlLine::Failed(failure));
    }
    Ok(match super::decode::<Object>(line)?.columns {
        Some(columns) => SqlLine::Columns(columns.into_iter().map(|column| column.name).collect()),
        None => SqlLine::End,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ColumnType;

    #[test]
    fn a_query_and_its_parameters_come_over_exactly() {
        let values = [Value::Int(i64::MIN), Value::Float(0.1), Value::Text("a\"é".into()), Value::Null];
        let named = [("a".to_string(), Value::Bool(true)), ("b".to_string(), Value::Json("[1,2.50]".into()))];
        for params in [SqlParams::Listed(values.to_vec()), SqlParams::Named(named.to_vec())] {
            let query = SqlQuery { text: "SELECT\n?".into(), params };
            assert_eq!(parse_sql(&encode_sql(&query)), Ok(query));
        }
        for (body, said) in [
            ("{}", "missing field `query`"),
            ("{\"query\":1}", "expected a string"),
            ("{\"query\":\"x\",\"params\":1}", "params must be an array"),
            ("{\"query\":\"x\",\"params\":{\"a\":1,\"a\":2}}", "stands twice"),
            ("{\"query\":\"x\",\"params\":[9223372036854775808]}", "does not fit in 64 bits"),
            ("{\"query\":\"x\",\"sql\":1}", "unknown field `sql`"),
        ] {
            let failure = parse_sql(body.as_bytes()).unwrap_err();
            assert!(failure.code == Code::BadJson && failure.message.contains(said), "{body}: {}", failure.message);
        }
    }

    #[test]
    fn an_answer_is_one_object_or_lines_that_come_back() {
        let columns = [SqlColumn { name: "a".into(), kind: ColumnType::Int }];
        let rows = [vec![Value::Int(i64::MAX)], vec![Value::Null]];
        let written = |shape: SqlShape| {
            let mut out = Vec::new();
            shape.open(&mut out, &columns, 7);
            rows.iter().enumerate().for_each(|(at, row)| shape.row(&mut out, row, at == 0));
            shape.close(&mut out, 2, 7);
            String::from_utf8(out).unwrap()
        };
        let wanted = "{\"columns\":[{\"name\":\"a\",\"type\":\"int\"}],\"rows\":[[9223372036854775807],[null]],\"count\":2,\"revision\":7}";
        assert_eq!(written(SqlShape::Whole), wanted);
        let lines: Vec<SqlLine> =
            written(SqlShape::Lines).lines().map(|line| decode_sql_line(line.as_bytes()).unwrap()).collect();
        let [one, two] = rows.map(SqlLine::Row);
        assert_eq!(lines, [SqlLine::Columns(vec!["a".into()]), one, two, SqlLine::End]);
        let failure = Failure::new(Code::Timeout, "too late");
        assert_eq!(decode_sql_line(&SqlShape::Lines.cut_short(&failure).unwrap()), Ok(SqlLine::Failed(failure)));
    }
}
