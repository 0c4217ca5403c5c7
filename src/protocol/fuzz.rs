//! Hostile bytes for all that a stranger may send: nothing panics, and what is taken is kept to the bit.

use super::*;
use crate::fuzz::{altered, seeds};
use crate::model::{Cell, ColumnSpec, Filter, Order, Row, RowKey, Table, Value, Write};

const BODIES: [&str; 9] = [
    r#"{"table_name":"t","row_id":"7","data":{"n":-9223372036854775808,"f":2.5e-3,"s":"\ud83d\ude00","j":[1,{"a":null}]}}"#,
    r#"{"name":"t","columns":["id:int","n:int not null",{"name":"f","type":"float"}]}"#,
    r#"{"data":{"n":18446744073709551616,"f":1e400}}"#,
    r#"{"table_name":"t","columns":["a","b"]}"#,
    r#"{"checks":[{"table":"t","row_id":"1","exists":true}],"operations":[{"op":"insert","table":"t","row_id":"1","data":{}}]}"#,
    r#"{"name":"by_n","columns":["n"],"unique":true}"#,
    r#"{"changes":[{"add":"c:int"},{"rename":"a","to":"b"},{"drop":"x"}]}"#,
    r#"{"sql":"select 1","parameters":[1,null,"x"]}"#,
    r#"{"table_name":"t","row_id":"x"}"#,
];

fn table() -> Table {
    let words = ["id:int", "n:int", "f:float", "s", "b:bool", "j:json", "at:timestamp"];
    let specs: Vec<ColumnSpec> = words.iter().map(|word| ColumnSpec::parse(word).unwrap()).collect();
    Table::declare(1, "t", &specs, 1).unwrap()
}

#[test]
fn no_body_of_a_request_brings_a_node_down() {
    altered(&seeds(&BODIES), |body| {
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
    });
}

#[test]
fn no_filter_order_cursor_or_word_of_a_query_brings_a_node_down() {
    let table = table();
    let order = Order::parse(&table, "-n,s").unwrap().unwrap();
    let row = Row { id: Value::Int(7), values: vec![Value::Null; 7], revision: 1 };
    let key = RowKey::new(&table, "7").unwrap();
    let words = [encode_cursor(1, &key), encode_ordered_cursor(1, &order, &order.standing(&key, &row))];
    let texts =
        ["n>=5", "s~a", "f!=1e-3", "-n,s", "n", "id:int not null default 5", "250ms", "stale", "a%2Fb", "at=now"];
    let all: Vec<&str> = texts.into_iter().chain(words.iter().map(String::as_str)).collect();
    altered(&seeds(&all), |bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(filter) = Filter::parse(&text) {
            let _ = filter.bind(&table);
        }
        let _ = Order::parse(&table, &text);
        let _ = ColumnSpec::parse(&text);
        let _ = decode_cursor(1, &text);
        let _ = decode_ordered_cursor(1, &order, &text);
        let _ = parse_duration(&text);
        let _ = parse_level(&text);
        let _ = decode_segment(&text);
        assert_eq!(decode_segment(&encode_segment(&text)).ok().as_deref(), Some(&*text));
    });
}

#[test]
fn no_line_of_an_import_brings_a_node_down() {
    let table = table();
    let lines = [
        "id,n,f,s\n1,-5,2.50,\"a,\"\"b\"\"\"\n2,,,\n",
        "{\"id\":1,\"n\":9223372036854775807,\"f\":0.1,\"j\":{\"k\":[]}}\n{\"id\":2}\n",
    ];
    for format in [LineFormat::Csv, LineFormat::Jsonl] {
        altered(&seeds(&lines), |bytes| {
            let (mut ends, mut reader) = (RecordEnds::new(format), RowReader::new(format, table.clone(), None));
            let mut rest = bytes;
            while let Some(length) = ends.next(rest) {
                assert!((1..=rest.len()).contains(&length));
                let _ = reader.read(1, &rest[..length]);
                rest = &rest[length..];
            }
            let _ = reader.read(2, rest);
        });
    }
}

#[test]
fn every_integer_and_every_float_comes_back_to_the_bit() {
    let numbers: Vec<Vec<u8>> =
        [0u64, 1, 1 << 52, (1 << 53) + 1, 1 << 63, u64::MAX >> 1, 0x7fef_ffff_ffff_ffff, 0x0010_0000_0000_0000]
            .iter()
            .map(|number| number.to_le_bytes().to_vec())
            .collect();
    altered(&numbers, |bytes| {
        let Some(bits) = bytes.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes)) else { return };
        let mut cells = vec![("n".to_string(), Cell::Exact(Value::Int(bits as i64)))];
        let float = f64::from_bits(bits);
        if float.is_finite() {
            cells.push(("f".into(), Cell::Exact(Value::Float(float))));
        }
        let back = parse_row_body(&encode_row_body(&cells)).unwrap();
        let table = table();
        let mut values = vec![Value::Null; table.columns.len()];
        table.fill(&Value::Int(1), back, &mut values).unwrap();
        assert_eq!(values[1], Value::Int(bits as i64));
        if float.is_finite() {
            let Value::Float(same) = values[2] else { panic!("{:?}", values[2]) };
            assert_eq!(same.to_bits(), bits, "{float:?}");
        }
    });
}
