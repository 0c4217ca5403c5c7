//! Owns what must hold of all that a stranger may send: nothing panics, and what is taken is kept to the bit.
//!
//! The tests here try each rule on alterations of its seeds, `fuzz/` on whatever its search comes upon.

#![expect(clippy::unwrap_used, reason = "what does not hold is to panic")]

use super::*;
use crate::model::{
    Access, Cell, ColumnSpec, Condition, Filter, IndexSpec, IndexUse, Order, Row, RowKey, Table, Value, Write,
};

fn table() -> Table {
    let words = ["id:int", "n:int", "f:float", "s", "b:bool", "j:json", "at:timestamp"];
    let specs: Vec<ColumnSpec> = words.iter().map(|word| ColumnSpec::parse(word).unwrap()).collect();
    let mut table = Table::declare(1, "t", &specs, 1).unwrap();
    let index = IndexSpec { name: Some("by_n".into()), columns: vec!["n".into(), "s".into()], unique: false };
    table.add_index(&index, true).unwrap();
    table
}

fn seeds(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Bodies of every kind of request.
pub fn bodies() -> Vec<Vec<u8>> {
    seeds(&[
        r#"{"table_name":"t","row_id":"7","data":{"n":-9223372036854775808,"f":2.5e-3,"s":"\ud83d\ude00","j":[1,{"a":null}]}}"#,
        r#"{"name":"t","columns":["id:int","n:int not null",{"name":"f","type":"float"}]}"#,
        r#"{"data":{"n":18446744073709551616,"f":1e400}}"#,
        r#"{"table_name":"t","columns":["a","b"]}"#,
        r#"{"conditions":[{"table":"t","row_id":1,"exists":true,"filter":["n>1"]}],"operations":[{"insert":{"table":"t","row_id":"1","data":{"n":1}}}]}"#,
        r#"{"operations":[{"update":{"table":"t","row_id":2,"text":{"n":"7"}}},{"delete":{"table":"t","row_id":3,"if_exists":true}},{"get":{"table":"t","row_id":4}}]}"#,
        r#"{"insert":{"table":"t","row_id":"1","data":{}}}"#,
        r#"{"name":"by_n","columns":["n"],"unique":true}"#,
        r#"{"changes":[{"add":"c:text:unique"},{"rename":{"from":"a","to":"b"}},{"drop":"x"}]}"#,
        r#"{"sql":"select 1","parameters":[1,null,"x"]}"#,
        r#"{"table_name":"t","row_id":"x"}"#,
    ])
}

/// No body of a request brings a node down.
pub fn body(body: &[u8]) {
    let _ = parse_create_table(body);
    let _ = parse_create_table_v0(body);
    let _ = parse_insert(body);
    let _ = parse_update(body);
    let _ = parse_delete(body);
    let _ = parse_transaction(body);
    let _ = parse_transaction_line(body);
    let _ = parse_sql(body);
    let _ = parse_alter_table("t", body);
    let _ = parse_create_index("t", body);
    let _ = decode_failure(body);
    if let Ok(Write::Put { table, row_id, cells, .. }) = parse_insert(body) {
        let again = parse_insert(&encode_insert(&table, &row_id, &cells)).unwrap();
        let Write::Put { cells: same, .. } = again else { panic!("{again:?}") };
        assert_eq!(same, cells, "what is encoded is read back");
    }
    if let Ok(cells) = parse_row_body(body) {
        assert_eq!(parse_row_body(&encode_row_body(&cells)).unwrap(), cells);
    }
}

fn some_order(table: &Table) -> Order {
    Order::parse(table, "-n,s").unwrap().unwrap()
}

fn some_row() -> Row {
    Row { id: Value::Int(7), values: vec![Value::Null; 7], revision: 1 }
}

/// Words of queries: filters, orders, cursors, columns, durations, segments of a path.
pub fn words() -> Vec<Vec<u8>> {
    let (table, row) = (table(), some_row());
    let (order, key) = (some_order(&table), RowKey::new(&table, "7").unwrap());
    let cursors = [encode_cursor(1, &key), encode_ordered_cursor(1, &order, &order.standing(&key, &row))];
    let texts = [
        "n>=5",
        "s~a",
        "f!=1e-3",
        "-n,s",
        "n",
        "id:int not null default 5",
        "n:int:not-null:unique:default=5",
        "250ms",
        "stale",
        "a%2Fb",
        "at=now",
    ];
    seeds(&texts.into_iter().chain(cursors.iter().map(String::as_str)).collect::<Vec<_>>())
}

/// No filter, order, cursor or other word of a query brings a node down.
pub fn word(bytes: &[u8]) {
    let (table, text) = (table(), String::from_utf8_lossy(bytes));
    let order = some_order(&table);
    if let Ok(filter) = Filter::parse(&text)
        && let Ok(condition) = filter.bind(&table)
    {
        let _ = condition.passes(&some_row());
        let _ = Access::of(&table, std::slice::from_ref(&condition));
        let _ = IndexUse::best(&table, &[condition], Some(&order));
    }
    let filters: Vec<Filter> = text.split('\n').filter_map(|line| Filter::parse(line).ok()).collect();
    if let Ok(conditions) = Condition::bind_all(&filters, &table) {
        let _ = Access::of(&table, &conditions);
        let _ = IndexUse::best(&table, &conditions, None);
    }
    let _ = Order::parse(&table, &text);
    let _ = ColumnSpec::parse(&text);
    let _ = decode_cursor(1, &text);
    let _ = decode_ordered_cursor(1, &order, &text);
    let _ = parse_duration(&text);
    let _ = parse_level(&text);
    let _ = decode_segment(&text);
    assert_eq!(decode_segment(&encode_segment(&text)).ok().as_deref(), Some(&*text));
}

/// Files to import.
pub fn imports() -> Vec<Vec<u8>> {
    seeds(&[
        "id,n,f,s\n1,-5,2.50,\"a,\"\"b\"\"\"\n2,,,\n",
        "{\"id\":1,\"n\":9223372036854775807,\"f\":0.1,\"j\":{\"k\":[]}}\n{\"id\":2}\n",
    ])
}

/// No line of an import brings a node down, in either format.
pub fn import(bytes: &[u8]) {
    let table = table();
    for format in [LineFormat::Csv, LineFormat::Jsonl] {
        let (mut ends, mut reader) = (RecordEnds::new(format), RowReader::new(format, table.clone(), None));
        let mut rest = bytes;
        while let Some(length) = ends.next(rest) {
            assert!((1..=rest.len()).contains(&length));
            let _ = reader.read(1, &rest[..length]);
            rest = &rest[length..];
        }
        let _ = reader.read(2, rest);
    }
}

/// The eight bytes of numbers at the edges, and texts behind them.
pub fn values() -> Vec<Vec<u8>> {
    let numbers =
        [0u64, 1, 1 << 52, (1 << 53) + 1, 1 << 63, u64::MAX >> 1, 0x7fef_ffff_ffff_ffff, 0x0010_0000_0000_0000];
    let texts = ["", " a,\"b\"\r\n", "\u{0}\u{7f}\u{2028}", "null", "\u{1f600}\\u0041", "007", "1e3", "\n"];
    let bytes = |(number, text): (&u64, &str)| [&number.to_le_bytes(), text.as_bytes()].concat();
    numbers.iter().zip(texts).map(bytes).collect()
}

/// Every 64-bit integer, float and text comes back to the bit: through a body, and through a file of either format.
pub fn value(bytes: &[u8]) {
    let Some((bits, text)) = bytes.split_first_chunk::<8>() else { return };
    let (bits, text) = (u64::from_le_bytes(*bits), String::from_utf8_lossy(text).into_owned());
    let (table, id, float) = (table(), Value::Int(bits as i64), f64::from_bits(bits));
    let mut given = vec![Value::Null; table.columns.len()];
    (given[0], given[1]) = (id.clone(), Value::Int(bits as i64));
    if float.is_finite() {
        given[2] = Value::Float(float);
    }
    given[3] = Value::Text(text);
    let cells: Vec<(String, Cell)> = table
        .columns
        .iter()
        .zip(&given)
        .skip(1)
        .map(|(column, value)| (column.name.clone(), Cell::Exact(value.clone())))
        .collect();
    let mut back = vec![Value::Null; table.columns.len()];
    back[0] = id.clone();
    table.fill(&id, parse_row_body(&encode_row_body(&cells)).unwrap(), &mut back).unwrap();
    same(&given, &back);
    let row = Row { id: id.clone(), values: given.clone(), revision: 1 };
    for format in [LineFormat::Csv, LineFormat::Jsonl] {
        let mut file = Vec::new();
        if format == LineFormat::Csv {
            write_csv_head(&mut file, &table);
        }
        write_line(&mut file, format, &table, &row);
        let (mut ends, mut reader) = (RecordEnds::new(format), RowReader::new(format, table.clone(), None));
        let (mut rest, mut read) = (&file[..], Vec::new());
        while let Some(length) = ends.next(rest) {
            read.extend(reader.read(1, &rest[..length]).unwrap());
            rest = &rest[length..];
        }
        let [put] = &read[..] else { panic!("{read:?} of {file:?}") };
        assert_eq!(put.row_id, (bits as i64).to_string());
        let mut back = vec![Value::Null; table.columns.len()];
        back[0] = id.clone();
        for (column, cell) in put.cells.clone() {
            table.fill_one(&id, column as usize, cell, &mut back).unwrap();
        }
        same(&given, &back);
    }
}

/// Equal also in the sign of a zero, which `==` passes over.
fn same(given: &[Value], back: &[Value]) {
    for (given, back) in given.iter().zip(back) {
        match (given, back) {
            (Value::Float(given), Value::Float(back)) => assert_eq!(given.to_bits(), back.to_bits(), "{given:?}"),
            _ => assert_eq!(given, back),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::altered;

    #[test]
    fn no_body_of_a_request_brings_a_node_down() {
        altered(&bodies(), body);
    }

    #[test]
    fn no_filter_order_cursor_or_word_of_a_query_brings_a_node_down() {
        altered(&words(), word);
    }

    #[test]
    fn no_line_of_an_import_brings_a_node_down() {
        altered(&imports(), import);
    }

    #[test]
    fn every_integer_float_and_text_comes_back_to_the_bit() {
        altered(&values(), value);
    }
}
