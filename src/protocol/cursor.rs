//! Owns cursors: where a listing goes on, as an opaque word that only its own table takes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::{Code, Failure, Order, RowKey, Standing};

/// Bytes before what a cursor holds: table id, checksum, kind.
const HEAD: usize = 9;

/// A listing by row id: the cursor holds a row key.
const BY_KEY: u8 = 0;
/// A listing in an order of its own: the cursor holds the order and where a row stands in it.
const BY_ORDER: u8 = 1;

/// The word for "after the row `last` of the table with that id".
pub fn encode_cursor(table_id: u32, last: &RowKey) -> String {
    sealed(table_id, BY_KEY, &last.0)
}

/// The row key that `cursor`, which must be of the table with that id, stands for.
///
/// # Errors
/// `bad_request` for a cursor that is damaged, another table's, or of a listing in another order.
pub fn decode_cursor(table_id: u32, cursor: &str) -> Result<RowKey, Failure> {
    opened(table_id, BY_KEY, cursor).map(RowKey)
}

/// The word for "after the row that stands at `last`" of a listing in that order.
pub fn encode_ordered_cursor(table_id: u32, order: &Order, last: &Standing) -> String {
    // Writing plain data to memory cannot fail.
    sealed(table_id, BY_ORDER, &postcard::to_stdvec(&(order.text(), last)).unwrap_or_default())
}

/// Where the row stands that `cursor` stands for, which must be of the same table and order.
///
/// # Errors
/// As `decode_cursor`.
pub fn decode_ordered_cursor(table_id: u32, order: &Order, cursor: &str) -> Result<Standing, Failure> {
    let held = opened(table_id, BY_ORDER, cursor)?;
    let (text, last): (&str, Standing) = postcard::from_bytes(&held).map_err(|_| bad("is damaged"))?;
    if text == order.text() { Ok(last) } else { Err(bad("belongs to another order")) }
}

fn bad(why: &str) -> Failure {
    Failure::new(Code::BadRequest, format!("the cursor {why}"))
        .hint("take the cursor of the page before, or leave it out to begin anew")
}

fn sealed(table_id: u32, kind: u8, held: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(HEAD + held.len());
    bytes.extend_from_slice(&table_id.to_be_bytes());
    bytes.extend_from_slice(&checksum(table_id, kind, held));
    bytes.push(kind);
    bytes.extend_from_slice(held);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn opened(table_id: u32, kind: u8, cursor: &str) -> Result<Vec<u8>, Failure> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad("is damaged"))?;
    let Some((table, rest)) = bytes.split_first_chunk::<4>() else { return Err(bad("is damaged")) };
    let Some((sum, rest)) = rest.split_first_chunk::<4>() else { return Err(bad("is damaged")) };
    let Some((own_kind, held)) = rest.split_first() else { return Err(bad("is damaged")) };
    let own = u32::from_be_bytes(*table);
    if *sum != checksum(own, *own_kind, held) {
        return Err(bad("is damaged"));
    }
    if own != table_id {
        return Err(bad("belongs to another table"));
    }
    if *own_kind != kind {
        return Err(bad("belongs to another order"));
    }
    Ok(held.to_vec())
}

fn checksum(table_id: u32, kind: u8, held: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&table_id.to_be_bytes());
    hasher.update(&[kind]);
    hasher.update(held);
    hasher.finalize().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ColumnSpec, Row, Table, Value};

    #[test]
    fn only_the_same_table_takes_an_unchanged_cursor() {
        let key = RowKey("Ahmed é".into());
        let word = encode_cursor(7, &key);
        assert_eq!(decode_cursor(7, &word), Ok(key));
        assert_eq!(decode_cursor(8, &word).map_err(|f| f.message), Err("the cursor belongs to another table".into()));
        for damaged in ["", "x", "!", &word[1..], &format!("{word}AA"), &word.replace(&word[12..14], "zz")] {
            let failure = decode_cursor(7, damaged).unwrap_err();
            assert_eq!(
                (failure.code, failure.message.as_str()),
                (Code::BadRequest, "the cursor is damaged"),
                "{damaged}"
            );
        }
    }

    #[test]
    fn only_the_same_order_takes_its_cursor() {
        let table = Table::declare(7, "t", &[ColumnSpec::parse("a").unwrap()], 1).unwrap();
        let order = |text: &str| Order::parse(&table, text).unwrap().unwrap();
        let (rising, falling, key) = (order("a"), order("-a"), RowKey("k".into()));
        for value in [Value::Null, Value::Int(i64::MIN), Value::Float(0.1), Value::Text("é".into())] {
            let row = Row { id: Value::Text("k".into()), values: vec![value], revision: 1 };
            let word = encode_ordered_cursor(7, &falling, &falling.standing(&key, &row));
            assert_eq!(decode_ordered_cursor(7, &falling, &word), Ok(falling.standing(&key, &row)));
            let other = "the cursor belongs to another order";
            assert_eq!(decode_ordered_cursor(7, &rising, &word).unwrap_err().message, other);
            assert_eq!(decode_cursor(7, &word).unwrap_err().message, other);
            assert_eq!(decode_ordered_cursor(7, &rising, &encode_cursor(7, &key)).unwrap_err().message, other);
            assert_eq!(
                decode_ordered_cursor(8, &falling, &word).unwrap_err().message,
                "the cursor belongs to another table"
            );
        }
    }
}
