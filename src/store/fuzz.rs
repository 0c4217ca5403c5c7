//! Owns what must hold of hostile bytes for a snapshot's stream: a receiver takes all of a copy, or refuses it.
//!
//! The tests here try each rule on alterations of its seeds, `fuzz/` on whatever its search comes upon.

#![expect(clippy::unwrap_used, reason = "what does not hold is to panic")]

use super::stream::{FrameWriter, end_frame, parse};
use super::{Marks, Store, StoreError, View};
use crate::model::{Cell, ColumnSpec, IndexSpec, Proposal, PutMode, RowKey, When, Write};

/// A store with a table, an index, and some rows.
fn source() -> Store {
    let columns = ["v:int", "s"].iter().map(|word| ColumnSpec::parse(word).unwrap()).collect();
    let put = |number: i64| Write::Put {
        table: "t".into(),
        row_id: number.to_string(),
        cells: vec![("v".into(), Cell::Text(number.to_string())), ("s".into(), Cell::Text("x".into()))],
        mode: PutMode::Replace,
        when: When::Always,
    };
    let index = IndexSpec { name: Some("by_v".into()), columns: vec!["v".into()], unique: true };
    let mut writes = vec![Write::CreateTable { name: "t".into(), columns }];
    writes.push(Write::CreateIndex { table: "t".into(), index });
    writes.extend((0..20).map(put));
    let proposals: Vec<Proposal> = writes.into_iter().map(|write| Proposal { write, key: None, at_ms: 1 }).collect();
    let store = Store::in_memory().unwrap();
    store.apply(&proposals, Marks { applied: Some(vec![7]), membership: None }).unwrap();
    store
}

/// A whole stream, and each of its frames.
pub fn streams() -> Vec<Vec<u8>> {
    let frames: Vec<Vec<u8>> = source().view().export().map(Result::unwrap).collect();
    [vec![frames.concat()], frames].concat()
}

/// Whether a receiver takes all of `bytes`: then what it has got is what was exported, and nothing else.
fn taken(store: &Store, bytes: &[u8]) -> bool {
    // A receiver is slow to make, and refuses what is no row of frames by this very function.
    let mut rest = bytes;
    while let Ok(Some((_, length))) = parse(rest) {
        rest = &rest[length..];
    }
    if !rest.is_empty() {
        return false;
    }
    let mut receiver = store.receive().unwrap();
    let taken = bytes.chunks(97).try_for_each(|chunk| receiver.write(chunk));
    let Ok(received) = taken.and_then(|()| receiver.finish()) else { return false };
    store.install(received).unwrap();
    true
}

/// No altered stream becomes a store.
pub fn stream(bytes: &[u8]) {
    if taken(&Store::in_memory().unwrap(), bytes) {
        assert!(streams()[0] == bytes, "another stream than the one that was sent");
    }
}

/// The pairs of a store as `pairs` reads them: two lengths of 16 bits, key, value.
pub fn contents() -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    let stream = streams().swap_remove(0);
    let Ok(Some((super::stream::Frame::Pairs(pairs), _))) = parse(&stream) else { panic!("no frame of pairs") };
    for (key, value) in pairs {
        bytes.extend((key.len() as u16).to_le_bytes());
        bytes.extend((value.len() as u16).to_le_bytes());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
    }
    vec![bytes]
}

/// A store that was made of any pairs at all, in a stream that checks out, is read or says that it is damaged.
pub fn content(mut bytes: &[u8]) {
    let (mut frame, mut count) = (FrameWriter::new(), 0);
    while let Some((lengths, rest)) = bytes.split_first_chunk::<4>() {
        let [key, value] = [0, 2].map(|at| usize::from(u16::from_le_bytes([lengths[at], lengths[at + 1]])));
        let Some((key, rest)) = rest.split_at_checked(key) else { break };
        let Some((value, rest)) = rest.split_at_checked(value) else { break };
        frame.add(key, value);
        count += 1;
        bytes = rest;
    }
    let stream = if count == 0 { end_frame(0) } else { [frame.finish(), end_frame(count)].concat() };
    let store = Store::in_memory().unwrap();
    if taken(&store, &stream) {
        // What is damaged is said to be, and nothing else is asked here.
        let _ = read_all(&store.view());
        let write = Write::Delete { table: "t".into(), row_id: "1".into(), when: When::Always };
        let _ = store.apply(&[Proposal { write, key: None, at_ms: 1 }], Marks::default());
    }
}

fn read_all(view: &View) -> Result<(), StoreError> {
    let digest = view.digest();
    for (table, _) in view.tables()? {
        if let Ok(key) = RowKey::new(&table, "1") {
            let _ = view.row(&table, &key);
        }
        view.scan(&table, None).take(100).for_each(drop);
        for index in &table.indexes {
            view.index_scan(&table, index, &[Default::default()]).take(100).for_each(drop);
        }
    }
    digest.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::{altered, altered_some};

    #[test]
    fn no_altered_stream_becomes_a_store() {
        let (seeds, store, mut whole) = (streams(), Store::in_memory().unwrap(), 0);
        let digest = source().view().digest().unwrap();
        altered(&seeds, |bytes| {
            if taken(&store, bytes) {
                assert!(seeds[0] == bytes, "another stream than the one that was sent");
                assert_eq!(store.view().digest().unwrap(), digest);
                whole += 1;
            }
        });
        assert!(whole > 0);
    }

    #[test]
    fn a_store_of_any_pairs_is_read_or_says_that_it_is_damaged() {
        altered_some(&contents(), 20, content);
    }
}
