//! Owns rows in JSON: one object a row, and the page of rows that a search answers with.

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use super::cells::{Columns, Exact};
use super::json::{write_number, write_text, write_value};
use crate::model::{Row, Table, Value};

/// One row: `{"row_id","data":{…},"revision"}`.
#[derive(Clone, Debug, PartialEq)]
pub struct RowObject {
    /// The row id: `Int` in a table with `id:int`, else `Text`.
    pub id: Value,
    /// The columns in declared order, integers exact.
    pub data: Vec<(String, Value)>,
    /// The revision of the row's last change.
    pub revision: u64,
}

/// Some rows of a search: `{"rows":[…],"count","cursor","revision"}`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Page {
    /// The rows, in the order asked for, else by row id.
    pub rows: Vec<RowObject>,
    /// How many they are.
    pub count: u64,
    /// What to ask for the next page with; `None` at the end.
    #[serde(default)]
    pub cursor: Option<String>,
    /// The revision that the rows reflect.
    pub revision: u64,
    /// How the rows were found, where that was asked for.
    #[serde(default)]
    pub explain: Option<Explain>,
}

/// How the rows of a search were found: `{"access","sorted","rows_examined","rows_returned"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explain {
    /// `point`, `range`, `index NAME` or `scan`: single rows, a range of row ids, what an index names, or the
    /// whole table was read.
    pub access: String,
    /// Whether the rows were sorted; if not, they come as they lie: by row id, or in the order of the index.
    pub sorted: bool,
    /// How many rows were read and tested.
    pub rows_examined: u64,
    /// How many of them are in the answer.
    pub rows_returned: u64,
}

impl<'de> Deserialize<'de> for RowObject {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Told {
            row_id: Exact,
            data: Columns<Exact>,
            revision: u64,
        }
        let Told { row_id, data, revision } = Told::deserialize(reader)?;
        let data = data.0.into_iter().map(|(name, value)| (name, value.0)).collect();
        Ok(RowObject { id: row_id.0, data, revision })
    }
}

impl RowObject {
    /// Appends its JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"row_id\":");
        write_value(out, &self.id);
        out.extend_from_slice(b",\"data\":{");
        for (index, (name, value)) in self.data.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_text(out, name);
            out.push(b':');
            write_value(out, value);
        }
        out.extend_from_slice(b"},\"revision\":");
        write_number(out, self.revision);
        out.push(b'}');
    }
}

/// Appends a row's object with the columns at the positions `shown`, or with all.
pub fn write_row(out: &mut Vec<u8>, table: &Table, row: &Row, shown: Option<&[usize]>) {
    out.extend_from_slice(b"{\"row_id\":");
    write_value(out, &row.id);
    out.extend_from_slice(b",\"data\":{");
    let mut first = true;
    let mut cell = |index: usize| {
        let (Some(column), Some(value)) = (table.columns.get(index), row.values.get(index)) else { return };
        out.extend_from_slice(if first { b"\"" } else { b",\"" });
        // A name holds nothing that needs an escape: `model::check_name`.
        out.extend_from_slice(column.name.as_bytes());
        out.extend_from_slice(b"\":");
        write_value(out, value);
        first = false;
    };
    match shown {
        Some(shown) => shown.iter().for_each(|index| cell(*index)),
        None => (0..table.columns.len()).for_each(cell),
    }
    out.extend_from_slice(b"},\"revision\":");
    write_number(out, row.revision);
    out.push(b'}');
}

/// The frame around the rows of a search; the rows go between `open` and `close`, with commas.
#[derive(Clone, Debug)]
pub enum RowShape {
    /// The first version's `{"table","rows","count","revision"}`.
    Search {
        /// The table's name.
        table: String,
    },
    /// `{"rows","count","cursor","revision"}`, with `"explain"` where that is asked for.
    Page,
}

impl RowShape {
    /// Appends what stands before the first row.
    pub fn open(&self, out: &mut Vec<u8>) {
        match self {
            RowShape::Search { table } => {
                out.extend_from_slice(b"{\"table\":");
                write_text(out, table);
                out.extend_from_slice(b",\"rows\":[");
            }
            RowShape::Page => out.extend_from_slice(b"{\"rows\":["),
        }
    }

    /// Appends what stands after the last row.
    pub fn close(&self, out: &mut Vec<u8>, count: u64, cursor: Option<&str>, revision: u64, explain: Option<&Explain>) {
        out.extend_from_slice(b"],\"count\":");
        write_number(out, count);
        if let RowShape::Page = self {
            out.extend_from_slice(b",\"cursor\":");
            match cursor {
                Some(cursor) => write_text(out, cursor),
                None => out.extend_from_slice(b"null"),
            }
        }
        out.extend_from_slice(b",\"revision\":");
        write_number(out, revision);
        if let Some(explain) = explain {
            out.extend_from_slice(b",\"explain\":");
            // Writing to memory cannot fail.
            let _ = serde_json::to_writer(&mut *out, explain);
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode;
    use super::*;
    use crate::model::ColumnSpec;

    fn table(columns: &[&str]) -> Table {
        let specs: Vec<_> = columns.iter().map(|column| ColumnSpec::parse(column).unwrap()).collect();
        Table::declare(1, "t", &specs, 1).unwrap()
    }

    #[test]
    fn a_row_comes_back_with_every_digit_and_in_order() {
        let table = table(&["id:int", "z", "a:float", "j:json", "n"]);
        let json = Value::Json(r#"{"b":[18e1,2.50],"a":1}"#.into());
        let values =
            vec![Value::Int(i64::MIN), Value::Text("\"\n\u{7f}é".into()), Value::Float(0.1), json, Value::Null];
        let row = Row { id: Value::Int(i64::MIN), values: values.clone(), revision: u64::MAX };
        let mut out = Vec::new();
        write_row(&mut out, &table, &row, None);
        let text = String::from_utf8(out.clone()).unwrap();
        assert!(text.starts_with(r#"{"row_id":-9223372036854775808,"data":{"id":-9223372036854775808,"z":"#), "{text}");
        assert!(text.ends_with(r#""j":{"b":[18e1,2.50],"a":1},"n":null},"revision":18446744073709551615}"#), "{text}");
        let back: RowObject = decode(&out).unwrap();
        let names = ["id", "z", "a", "j", "n"].map(String::from);
        assert_eq!((back.id, back.revision), (row.id, row.revision));
        assert_eq!(back.data, names.into_iter().zip(values).collect::<Vec<_>>());
    }

    #[test]
    fn a_page_comes_back_and_shows_the_columns_asked_for() {
        let table = table(&["id", "name", "grade"]);
        let values = vec![Value::Text("7".into()), Value::Text("Ahmed".into()), Value::Int(1)];
        let row = Row { id: Value::Text("7".into()), values, revision: 5 };
        let mut out = Vec::new();
        RowShape::Page.open(&mut out);
        write_row(&mut out, &table, &row, Some(&[2, 1]));
        RowShape::Page.close(&mut out, 1, Some("abc"), 9, None);
        let text = r#"{"rows":[{"row_id":"7","data":{"grade":1,"name":"Ahmed"},"revision":5}],"count":1,"cursor":"abc","revision":9}"#;
        assert_eq!(String::from_utf8_lossy(&out), text);
        let page: Page = decode(&out).unwrap();
        assert_eq!((page.count, page.cursor.as_deref(), page.revision), (1, Some("abc"), 9));
        let data = [("grade".into(), Value::Int(1)), ("name".into(), Value::Text("Ahmed".into()))];
        assert_eq!(page.rows, [RowObject { id: Value::Text("7".into()), data: data.into(), revision: 5 }]);
        let mut out = Vec::new();
        let shape = RowShape::Search { table: "t".into() };
        shape.open(&mut out);
        shape.close(&mut out, 0, None, 9, None);
        assert_eq!(String::from_utf8_lossy(&out), r#"{"table":"t","rows":[],"count":0,"revision":9}"#);
    }
}
