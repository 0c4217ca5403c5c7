//! Dropped tables go away from the disk, piece by piece, and nobody sees them on their way.

use super::super::Store;
use super::super::dropped::ROWS_PER_CHECKPOINT;
use super::super::keys;
use super::common::{apply, contents, create, drop_table, on, put};

/// How many keys of dropped tables are on disk: markers, rows.
fn on_disk(store: &Store) -> (usize, usize) {
    let base = &store.snapshot().base;
    let count = |from: Vec<u8>| base.scan(&from, &keys::end(&from)).unwrap().map(Result::unwrap).count();
    (count(vec![keys::DROPPED]), count(keys::rows(0)))
}

#[test]
fn a_dropped_table_is_collected_in_pieces() {
    let rows = ROWS_PER_CHECKPOINT + 100;
    let store = Store::in_memory().unwrap();
    apply(&store, [create("t", &["v"]), create("kept", &["v"]), put("kept", "a", &[])]);
    apply(&store, (0..rows).map(|n| put("t", n, &[])));
    store.checkpoint().unwrap();
    let full = store.view();
    assert_eq!(on_disk(&store), (0, rows));
    apply(&store, [drop_table("t"), create("t", &["v"]), put("t", "b", &[])]);
    let seen = contents(&store.view());
    let digest = store.view().digest().unwrap();
    assert_eq!((digest.tables, digest.rows), (2, 2));

    store.checkpoint().unwrap();
    assert_eq!(on_disk(&store), (1, 100));
    assert_eq!(contents(&store.view()), seen);
    assert_eq!(store.view().digest().unwrap(), digest);
    store.checkpoint().unwrap();
    assert_eq!(on_disk(&store), (0, 0));
    assert_eq!(contents(&store.view()), seen);
    assert_eq!(store.view().digest().unwrap(), digest);

    let copy = Store::in_memory().unwrap();
    let mut receiver = copy.receive().unwrap();
    store.view().export().for_each(|chunk| receiver.write(&chunk.unwrap()).unwrap());
    copy.install(receiver.finish().unwrap()).unwrap();
    assert_eq!(copy.view().digest().unwrap(), digest);
    assert_eq!(full.digest().unwrap().rows, rows as u64 + 1, "a view from before still sees the table");
}

#[test]
fn remains_are_collected_after_a_restart_too() {
    let disk = crate::disk::SimDisk::new();
    let store = on(&disk);
    apply(&store, [create("t", &["v"])]);
    apply(&store, (0..ROWS_PER_CHECKPOINT + 1).map(|n| put("t", n, &[])));
    apply(&store, [drop_table("t")]);
    store.checkpoint().unwrap();
    assert_eq!(on_disk(&store), (1, 1));
    let again = on(&disk.after_power_loss(0));
    again.checkpoint().unwrap();
    assert_eq!(on_disk(&again), (0, 0));
}
