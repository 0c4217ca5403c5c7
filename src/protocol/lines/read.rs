//! Owns the reading of one line as a row: strict, by the columns' names; types are looked at when it is applied.

use std::collections::HashMap;

use super::super::cells::{Columns, Exact};
use super::super::json::read_line;
use super::LineFormat;
use crate::model::{Cell, Code, ColumnType, Failure, PutRow, Table, Value, check_row_id};

/// What a name in a line stands for.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The row id.
    id: bool,
    /// A column, by its position in the table.
    column: Option<u32>,
}

/// Reads the lines of one import into one table.
#[derive(Debug)]
pub struct RowReader {
    format: LineFormat,
    table: Table,
    /// The name under which lines have the row id.
    id: String,
    slots: HashMap<String, Slot>,
    /// What stands before the number of its line in the id of a row that has none; without it such rows are refused.
    generate: Option<String>,
    /// The columns of a CSV file, once its header was read.
    header: Option<Vec<Slot>>,
}

impl RowReader {
    /// A reader of rows for `table`. The column called `id` is the row id; where none is named, it is
    /// the table's `id` column or else `row_id`.
    pub fn new(format: LineFormat, table: Table, id: Option<&str>) -> RowReader {
        let own = if table.id_column().is_some() { "id" } else { "row_id" };
        let id = id.unwrap_or(own).to_string();
        let mut slots: HashMap<String, Slot> = table
            .columns
            .iter()
            .zip(0..)
            .map(|(column, index)| (column.name.clone(), Slot { id: false, column: Some(index) }))
            .collect();
        let slot = slots.entry(id.clone()).or_insert(Slot { id: true, column: None });
        slot.id = true;
        if id == "id" {
            // It is the row id itself; nothing is kept beside.
            slot.column = None;
        }
        RowReader { format, table, id, slots, generate: None, header: None }
    }

    /// The same, where rows without an id get one: the prefix and the number of their line, which in
    /// text has as many zeros before it as it needs to sort.
    ///
    /// # Errors
    /// `bad_request` for a prefix where row ids are integers, `bad_name` for one that no row id begins with.
    pub fn generate(mut self, prefix: &str) -> Result<RowReader, Failure> {
        if self.table.id_type() == Some(ColumnType::Int) && !prefix.is_empty() {
            let what = "generated row ids can have no prefix: in this table they are integers";
            return Err(Failure::new(Code::BadRequest, what));
        }
        check_row_id(&generated(prefix, 1))?;
        self.generate = Some(prefix.into());
        Ok(self)
    }

    /// Whether what comes next is a row: the header of CSV has been read.
    pub fn is_ready(&self) -> bool {
        self.format == LineFormat::Jsonl || self.header.is_some()
    }

    /// The names of the columns that the rows' cells stand for.
    pub fn columns(&self) -> Vec<String> {
        self.table.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// The row that `record`, which begins at `line`, holds; `None` for a header or an empty line.
    ///
    /// # Errors
    /// `bad_line`, `unknown_column` or `type_mismatch`, with the line and what is wrong with it.
    pub fn read(&mut self, line: u64, record: &[u8]) -> Result<Option<PutRow>, Failure> {
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        let record = record.strip_suffix(b"\r").unwrap_or(record);
        if record.is_empty() {
            return Ok(None);
        }
        let row = match self.format {
            LineFormat::Jsonl if record.iter().all(u8::is_ascii_whitespace) => Ok(None),
            LineFormat::Jsonl => self.object(line, record).map(Some),
            LineFormat::Csv => self.fields(line, record),
        };
        row.map_err(|failure| failure.at_line(line))
    }

    fn object(&self, line: u64, record: &[u8]) -> Result<PutRow, Failure> {
        let Columns::<Exact>(given) = read_line(record)?;
        let mut row_id = None;
        let mut cells = Vec::with_capacity(given.len());
        for (name, Exact(value)) in given {
            let slot = self.slot(&name)?;
            if slot.id {
                row_id = self.id_text(&value)?;
            }
            if let Some(column) = slot.column {
                cells.push((column, Cell::Exact(value)));
            }
        }
        self.row(line, row_id, cells)
    }

    fn fields(&mut self, line: u64, record: &[u8]) -> Result<Option<PutRow>, Failure> {
        let record = std::str::from_utf8(record).map_err(|_| bad("it is not UTF-8"))?;
        let Some(header) = &self.header else {
            self.header = Some(self.read_header(record)?);
            return Ok(None);
        };
        let fields = split(record)?;
        if fields.len() != header.len() {
            return Err(bad(format!("it has {} fields, and the header has {}", fields.len(), header.len())));
        }
        let mut row_id = None;
        let mut cells = Vec::with_capacity(fields.len());
        for (slot, field) in header.iter().zip(fields) {
            let Some(field) = field else {
                // Said, not left out: a default is for what nobody says.
                let by_default = |column: &u32| self.table.columns[*column as usize].default.is_some();
                cells.extend(slot.column.filter(by_default).map(|column| (column, Cell::Exact(Value::Null))));
                continue;
            };
            if slot.id {
                row_id = Some(field.clone());
            }
            if let Some(column) = slot.column {
                cells.push((column, Cell::Text(field)));
            }
        }
        self.row(line, row_id, cells).map(Some)
    }

    fn read_header(&self, record: &str) -> Result<Vec<Slot>, Failure> {
        let mut names: Vec<String> = Vec::new();
        let mut slots = Vec::new();
        for name in split(record.trim_start_matches('\u{feff}'))? {
            let name = name.ok_or_else(|| bad("the header has a column without a name"))?;
            slots.push(self.slot(&name)?);
            if names.contains(&name) {
                return Err(bad(format!("the header has column \"{name}\" twice")));
            }
            names.push(name);
        }
        if self.generate.is_none() && !slots.iter().any(|slot| slot.id) {
            return Err(self.no_id());
        }
        Ok(slots)
    }

    fn slot(&self, name: &str) -> Result<Slot, Failure> {
        match self.slots.get(name) {
            Some(slot) => Ok(*slot),
            None => Err(self.table.column(name).map_or_else(|failure| failure, |_| bad("it cannot be read"))),
        }
    }

    /// The row id that a JSON value gives.
    fn id_text(&self, value: &Value) -> Result<Option<String>, Failure> {
        // Where the row id is a declared column, its type says what it is given as.
        let kind = if self.id == "id" { self.table.id_type() } else { None };
        match (value, kind) {
            (Value::Null, _) => Ok(None),
            (Value::Int(number), Some(ColumnType::Int | ColumnType::Any) | None) => Ok(Some(number.to_string())),
            (Value::Text(text), Some(ColumnType::Text | ColumnType::Any) | None) => Ok(Some(text.clone())),
            (_, Some(ColumnType::Int)) => Err(misfit(&self.id, "an integer")),
            (_, Some(ColumnType::Text)) => Err(misfit(&self.id, "a string")),
            _ => Err(misfit(&self.id, "a string or an integer")),
        }
    }

    fn row(&self, line: u64, row_id: Option<String>, cells: Vec<(u32, Cell)>) -> Result<PutRow, Failure> {
        let made = || {
            let prefix = self.generate.as_deref()?;
            let int = self.table.id_type() == Some(ColumnType::Int);
            Some(if int { line.to_string() } else { generated(prefix, line) })
        };
        let row_id = row_id.or_else(made).ok_or_else(|| self.no_id())?;
        check_row_id(&row_id)?;
        Ok(PutRow { line, row_id, cells })
    }

    fn no_id(&self) -> Failure {
        bad(format!("it has no row id: column \"{}\" is missing", self.id))
            .hint("name the column that is the row id: --id COLUMN, or let ids be made: --generate-ids")
    }
}

/// The id of a row that has none.
fn generated(prefix: &str, line: u64) -> String {
    format!("{prefix}{line:010}")
}

fn bad(message: impl Into<String>) -> Failure {
    Failure::new(Code::BadLine, message)
}

fn misfit(id: &str, wanted: &str) -> Failure {
    Failure::new(Code::TypeMismatch, format!("column \"{id}\" is the row id, and must be {wanted}"))
}

/// The fields of a record of CSV; an empty one without quotes is null.
fn split(record: &str) -> Result<Vec<Option<String>>, Failure> {
    let mut fields = Vec::new();
    let mut rest = record;
    loop {
        let after = if let Some(quoted) = rest.strip_prefix('"') {
            let (field, after) = unquote(quoted)?;
            fields.push(Some(field));
            after
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let (field, after) = rest.split_at(end);
            fields.push((!field.is_empty()).then(|| field.to_string()));
            after
        };
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err(bad(format!("text follows the closing quote of field {}", fields.len()))),
        }
    }
}

/// What stands before the closing quote, and what follows it.
fn unquote(text: &str) -> Result<(String, &str), Failure> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let Some((before, after)) = rest.split_once('"') else { return Err(bad("a quote is not closed")) };
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Ok((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{write_csv_head, write_line};
    use super::*;
    use crate::model::{ColumnSpec, Row, RowKey};

    fn table(columns: &[&str]) -> Table {
        let specs: Vec<ColumnSpec> = columns.iter().map(|word| ColumnSpec::parse(word).unwrap()).collect();
        Table::declare(1, "t", &specs, 1).unwrap()
    }

    fn stored(table: &Table, put: PutRow) -> Row {
        let id = RowKey::new(table, &put.row_id).unwrap().id(table);
        let mut values = vec![Value::Null; table.columns.len()];
        for (column, cell) in put.cells {
            table.fill_one(&id, column as usize, cell, &mut values).unwrap();
        }
        if let Some(column) = table.id_column() {
            values[column] = id.clone();
        }
        Row { id, values, revision: 1 }
    }

    #[test]
    fn what_is_written_is_read_back_and_written_alike() {
        let columns = ["text:text", "int:int", "float:float", "bool:bool", "json:json", "at:timestamp"];
        let text = |text: &str| Value::Text(text.into());
        let json = |text: &str| Value::Json(text.into());
        let rows = [
            vec![text("a"), Value::Int(i64::MIN), Value::Float(0.1), Value::Bool(true), json("[1,2.50]"), Value::Null],
            vec![text(""), Value::Null, Value::Float(7.0), Value::Null, text("word"), text("2024-02-29T12:00:00Z")],
            vec![text(" a,\"b\"\r\n\tc "), Value::Null, Value::Null, Value::Null, json("{\"k\":\"\\n\"}"), Value::Null],
            vec![text("null"), Value::Int(0), Value::Float(1e300), Value::Bool(false), Value::Int(7), Value::Null],
            vec![Value::Null; 6],
        ];
        for id in [&[][..], &["id:int"]] {
            let table = table(&[id, &columns].concat());
            for format in [LineFormat::Csv, LineFormat::Jsonl] {
                let mut reader = RowReader::new(format, table.clone(), None);
                let mut head = Vec::new();
                write_csv_head(&mut head, &table);
                if format == LineFormat::Csv {
                    assert_eq!(reader.read(1, &head), Ok(None));
                }
                for values in &rows {
                    let own = if id.is_empty() { Value::Text("7".into()) } else { Value::Int(7) };
                    let declared = if id.is_empty() { vec![] } else { vec![own.clone()] };
                    let row = Row { id: own, values: [declared, values.clone()].concat(), revision: 1 };
                    let mut line = Vec::new();
                    write_line(&mut line, format, &table, &row);
                    let back = stored(&table, reader.read(2, &line).unwrap().unwrap());
                    assert_eq!(back, row, "{}", String::from_utf8_lossy(&line));
                }
            }
        }
    }

    #[test]
    fn a_bad_line_says_where_and_why() {
        let jsonl =
            |line: &str| RowReader::new(LineFormat::Jsonl, table(&["id:int", "name"]), None).read(7, line.as_bytes());
        for (line, code, said) in [
            (
                "{\"id\":1",
                Code::BadLine,
                "line 7: it is not the JSON that was expected: EOF while parsing an object at column 7",
            ),
            ("[1]", Code::BadLine, "line 7: it is not the JSON that was expected: an object was expected at column 1"),
            ("{\"name\":\"x\"}", Code::BadLine, "line 7: it has no row id: column \"id\" is missing"),
            ("{\"id\":\"1\"}", Code::TypeMismatch, "line 7: column \"id\" is the row id, and must be an integer"),
            ("{\"id\":1,\"nam\":1}", Code::UnknownColumn, "line 7: table \"t\" has no column \"nam\""),
            ("{\"id\":1,\"name\":1,\"name\":2}", Code::BadLine, "column \"name\" stands twice"),
        ] {
            let failure = jsonl(line).unwrap_err();
            assert!(failure.code == code && failure.message.contains(said), "{line}: {failure:?}");
        }
        assert_eq!(jsonl("  "), Ok(None));
        let csv = |head: &str, line: &str| {
            let mut reader = RowReader::new(LineFormat::Csv, table(&["name", "grade"]), None);
            reader.read(1, head.as_bytes()).and_then(|_| reader.read(7, line.as_bytes()))
        };
        for (head, line, said) in [
            ("name,grade", "", "line 1: it has no row id: column \"row_id\" is missing"),
            ("row_id,nam", "", "line 1: table \"t\" has no column \"nam\""),
            ("row_id,name,name", "", "line 1: the header has column \"name\" twice"),
            ("row_id,name", "1", "line 7: it has 1 fields, and the header has 2"),
            ("row_id,name", ",x", "line 7: it has no row id"),
            ("row_id,name", "1,\"x\"y", "line 7: text follows the closing quote of field 2"),
            ("row_id,name", "1,\"x", "line 7: a quote is not closed"),
        ] {
            let failure = csv(head, line).unwrap_err();
            assert!(failure.message.contains(said), "{head} {line}: {failure:?}");
        }
    }

    #[test]
    fn a_prefix_with_which_no_row_id_begins_is_refused_at_once() {
        let reader = |prefix: &str| RowReader::new(LineFormat::Jsonl, table(&["name"]), None).generate(prefix);
        let longest = "é".repeat(251);
        for prefix in ["", "a", "..", &longest] {
            let row = reader(prefix).unwrap().object(7, b"{\"name\":\"x\"}").unwrap();
            assert_eq!(row.row_id, format!("{prefix}0000000007"));
        }
        for prefix in ["a\n", &format!("{longest}a")] {
            assert_eq!(reader(prefix).err().map(|failure| failure.code), Some(Code::BadName), "{prefix:?}");
        }
    }

    #[test]
    fn another_column_may_be_the_row_id_and_is_kept_if_it_is_declared() {
        let mut reader = RowReader::new(LineFormat::Csv, table(&["iata", "name"]), Some("iata"));
        assert_eq!(reader.read(1, "\u{feff}iata,name\r\n".as_bytes()), Ok(None));
        let row = reader.read(2, b"00M,\"\"\r\n").unwrap().unwrap();
        let text = |text: &str| Cell::Text(text.into());
        assert_eq!(row, PutRow { line: 2, row_id: "00M".into(), cells: vec![(0, text("00M")), (1, text(""))] });
        let reader = RowReader::new(LineFormat::Jsonl, table(&["name"]), Some("iata"));
        let row = reader.object(3, b"{\"name\":null,\"iata\":7}").unwrap();
        assert_eq!(row, PutRow { line: 3, row_id: "7".into(), cells: vec![(0, Cell::Exact(Value::Null))] });
    }
}
