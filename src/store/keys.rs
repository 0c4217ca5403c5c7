//! Owns the layout of the keyspace: which key holds what. A key's first byte is its space.

use crate::model::RowKey;

/// Counters and marks.
pub(super) const META: u8 = 1;
/// Table name → schema.
pub(super) const TABLE: u8 = 2;
/// Table id, row key → row.
pub(super) const ROW: u8 = 3;
/// Table id → how many rows.
pub(super) const COUNT: u8 = 4;
/// Idempotency key → what was answered.
pub(super) const ANSWER: u8 = 5;
/// Number → idempotency key, in the order in which they came.
pub(super) const ORDER: u8 = 6;
/// Table id of a dropped table, or with the id of a dropped index, of which something may still be
/// there. Local: replicas differ in it.
pub(super) const DROPPED: u8 = 7;
/// Table id, index id, entry → the row key where the entry is the values' alone, else its length.
pub(super) const INDEX: u8 = 8;
/// Table id, index id → how far its building is.
pub(super) const BUILD: u8 = 9;
/// What comes after all spaces.
pub(super) const END: u8 = 10;

/// The format of the file.
pub(super) fn format() -> Vec<u8> {
    vec![META, b'f']
}

/// The counters.
pub(super) fn counters() -> Vec<u8> {
    vec![META, b'c']
}

/// The caller's mark of what is applied.
pub(super) fn applied() -> Vec<u8> {
    vec![META, b'a']
}

/// The caller's mark of who is a member.
pub(super) fn membership() -> Vec<u8> {
    vec![META, b'm']
}

pub(super) fn table(name: &str) -> Vec<u8> {
    joined(TABLE, name.as_bytes(), &[])
}

/// What all rows of a table start with.
pub(super) fn rows(table: u32) -> Vec<u8> {
    joined(ROW, &table.to_be_bytes(), &[])
}

pub(super) fn row(table: u32, key: &RowKey) -> Vec<u8> {
    joined(ROW, &table.to_be_bytes(), &key.0)
}

/// The key of a row in a buffer that is used again.
pub(super) fn put_row(place: &mut Vec<u8>, table: u32, key: &RowKey) {
    place.clear();
    put_joined(place, ROW, &table.to_be_bytes(), &key.0);
}

/// The row key inside the key of a row.
pub(super) fn row_key(key: &[u8]) -> RowKey {
    RowKey(key.get(5..).unwrap_or_default().to_vec())
}

pub(super) fn count(table: u32) -> Vec<u8> {
    joined(COUNT, &table.to_be_bytes(), &[])
}

pub(super) fn answer(key: &str) -> Vec<u8> {
    joined(ANSWER, key.as_bytes(), &[])
}

pub(super) fn order(number: u64) -> Vec<u8> {
    joined(ORDER, &number.to_be_bytes(), &[])
}

pub(super) fn dropped(table: u32) -> Vec<u8> {
    joined(DROPPED, &table.to_be_bytes(), &[])
}

pub(super) fn dropped_index(table: u32, index: u32) -> Vec<u8> {
    joined(DROPPED, &table.to_be_bytes(), &index.to_be_bytes())
}

/// What the things start with that the key of something dropped stands for.
pub(super) fn remains(key: &[u8]) -> Vec<Vec<u8>> {
    let Some((_, ids)) = key.split_first() else { return Vec::new() };
    let mut remains = vec![joined(INDEX, ids, &[])];
    if ids.len() == size_of::<u32>() {
        remains.push(joined(ROW, ids, &[]));
    }
    remains
}

/// What all entries of an index start with.
pub(super) fn index(table: u32, index: u32) -> Vec<u8> {
    joined(INDEX, &table.to_be_bytes(), &index.to_be_bytes())
}

/// The length of what all entries of an index start with.
pub(super) const INDEX_HEAD: usize = 9;

pub(super) fn entry(table: u32, index: u32, bytes: &[u8]) -> Vec<u8> {
    [self::index(table, index).as_slice(), bytes].concat()
}

pub(super) fn build(table: u32, index: u32) -> Vec<u8> {
    joined(BUILD, &table.to_be_bytes(), &index.to_be_bytes())
}

/// The least key that sorts after all keys that start with `prefix`.
pub(super) fn end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

fn joined(space: u8, first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut key = Vec::new();
    put_joined(&mut key, space, first, second);
    key
}

fn put_joined(key: &mut Vec<u8>, space: u8, first: &[u8], second: &[u8]) {
    key.reserve_exact(1 + first.len() + second.len());
    key.push(space);
    key.extend_from_slice(first);
    key.extend_from_slice(second);
}
