//! A copy is whole and equal, or it is refused.

use super::super::{Marks, Receiver, Store, StoreError};
use super::common::{apply, contents, create, delete, drop_table, keyed, plain, put};

/// A store with rows on disk, in memory, deleted and dropped, and with remembered answers.
fn source() -> Store {
    let store = Store::in_memory().unwrap();
    apply(&store, [create("gone", &["v"]), create("t", &["id:int", "v"]), create("empty", &["v"])]);
    apply(&store, (0..100).map(|n| put("gone", n, &[("v", "left over")])));
    apply(&store, (0..3000).map(|n| put("t", n, &[("v", &"x".repeat(n % 500))])));
    store.apply(&[keyed("k1", 7, put("t", -1, &[("v", "keyed")]))], Marks::default()).unwrap();
    store.checkpoint().unwrap();
    apply(&store, (0..500).map(|n| delete("t", n * 3)));
    apply(&store, [drop_table("gone"), put("t", 1, &[("v", "new")])]);
    store.apply(&[], Marks { applied: Some(b"log".to_vec()), membership: Some(b"members".to_vec()) }).unwrap();
    store
}

fn stream(store: &Store) -> Vec<Vec<u8>> {
    store.view().export().map(Result::unwrap).collect()
}

fn receive(store: &Store, bytes: &[u8], step: usize) -> Result<super::super::Received, StoreError> {
    let mut receiver: Receiver = store.receive()?;
    for chunk in bytes.chunks(step) {
        receiver.write(chunk)?;
    }
    receiver.finish()
}

#[test]
fn a_copy_equals_its_source_and_goes_on_from_there() {
    let source = source();
    let chunks = stream(&source);
    assert!(chunks.len() > 3, "{} chunks", chunks.len());
    assert!(chunks.iter().all(|chunk| chunk.len() < 300 << 10));
    let target = Store::in_memory().unwrap();
    apply(&target, [create("t", &["other"]), put("t", "a", &[]), create("more", &["v"])]);
    target.checkpoint().unwrap();
    apply(&target, [put("t", "b", &[])]);
    let old = target.view();
    let seen = contents(&old);
    let received = receive(&target, &chunks.concat(), 100_000).unwrap();
    assert_eq!(received.marks(), &source.marks());
    target.install(received).unwrap();
    assert_eq!(contents(&target.view()), contents(&source.view()));
    assert_eq!(target.view().digest().unwrap(), source.view().digest().unwrap());
    assert_eq!((target.marks(), target.durable_marks()), (source.marks(), source.marks()));
    assert_eq!(target.pending_bytes(), 0);
    assert_eq!(contents(&old), seen);
    for store in [&source, &target] {
        let batch =
            [keyed("k1", 9, put("t", -1, &[("v", "keyed")])), plain(create("gone", &["v"])), plain(delete("t", 1))];
        let answers = store.apply(&batch, Marks::default()).unwrap();
        assert_eq!(answers[0].as_ref().unwrap().revision, 3104);
        assert!(answers.iter().all(Result::is_ok));
        store.checkpoint().unwrap();
    }
    assert_eq!(target.view().digest().unwrap(), source.view().digest().unwrap());
    assert_eq!(contents(&target.view()), contents(&source.view()));
}

#[test]
fn a_stream_may_be_cut_anywhere_on_its_way() {
    let source = Store::in_memory().unwrap();
    apply(&source, [create("t", &["v"]), put("t", "a", &[("v", "1")]), put("t", "b", &[])]);
    let bytes = stream(&source).concat();
    for step in [1, 2, 3, 7, 8, 9, 64, bytes.len()] {
        let target = Store::in_memory().unwrap();
        target.install(receive(&target, &bytes, step).unwrap()).unwrap();
        assert_eq!(target.view().digest().unwrap(), source.view().digest().unwrap());
    }
}

#[test]
fn a_stream_that_is_short_long_altered_or_shuffled_is_refused() {
    let source = Store::in_memory().unwrap();
    apply(&source, [create("t", &["v"]), put("t", "a", &[("v", "1")]), put("t", "b", &[])]);
    let bytes = stream(&source).concat();
    let target = Store::in_memory().unwrap();
    let refused = |bytes: &[u8]| matches!(receive(&target, bytes, 50), Err(StoreError::BadSnapshot(_)));
    for length in 0..bytes.len() {
        assert!(refused(&bytes[..length]), "cut to {length} of {} bytes", bytes.len());
    }
    for bit in 0..bytes.len() * 8 {
        let mut altered = bytes.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(refused(&altered), "bit {bit}");
    }
    assert!(refused(&[bytes.as_slice(), b"\0"].concat()));
    assert!(refused(&[bytes.as_slice(), &bytes].concat()));
    let chunks = stream(&self::source());
    let last = chunks.len() - 1;
    let mut fewer = chunks.clone();
    fewer.remove(1);
    assert!(refused(&fewer.concat()));
    let mut shuffled = chunks.clone();
    shuffled.swap(0, 1);
    assert!(refused(&shuffled.concat()));
    let mut twice = chunks.clone();
    twice.insert(1, chunks[0].clone());
    assert!(refused(&twice.concat()));
    assert!(refused(&chunks[last]));
    assert!(receive(&target, &chunks.concat(), 50_000).is_ok());
}
