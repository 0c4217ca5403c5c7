//! Owns cursors: where a listing goes on, as an opaque word that only its own table takes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::{Code, Failure, RowKey};

/// Bytes before the row key: table id and checksum.
const HEAD: usize = 8;

/// The word for "after the row `last` of the table with that id".
pub fn encode_cursor(table_id: u32, last: &RowKey) -> String {
    let mut bytes = Vec::with_capacity(HEAD + last.0.len());
    bytes.extend_from_slice(&table_id.to_be_bytes());
    bytes.extend_from_slice(&checksum(table_id, &last.0));
    bytes.extend_from_slice(&last.0);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The row key that `cursor`, which must be of the table with that id, stands for.
///
/// # Errors
/// `bad_request` for a cursor that is damaged or another table's.
pub fn decode_cursor(table_id: u32, cursor: &str) -> Result<RowKey, Failure> {
    let bad = |why: &str| {
        Failure::new(Code::BadRequest, format!("the cursor {why}"))
            .hint("take the cursor of the page before, or leave it out to begin anew")
    };
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad("is damaged"))?;
    let Some((table, rest)) = bytes.split_first_chunk::<4>() else { return Err(bad("is damaged")) };
    let Some((sum, key)) = rest.split_first_chunk::<4>() else { return Err(bad("is damaged")) };
    let own = u32::from_be_bytes(*table);
    if *sum != checksum(own, key) {
        return Err(bad("is damaged"));
    }
    if own != table_id {
        return Err(bad("belongs to another table"));
    }
    Ok(RowKey(key.to_vec()))
}

fn checksum(table_id: u32, key: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&table_id.to_be_bytes());
    hasher.update(key);
    hasher.finalize().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
