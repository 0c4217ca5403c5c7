//! The power goes at every point of a checkpoint, and the disk keeps any part of what was not synced.

use std::io::ErrorKind;

use super::super::Store;
use super::common::{applied, apply, contents, create, delete, drop_table, on, put};
use crate::disk::SimDisk;

fn prepare(disk: &SimDisk) -> Store {
    let store = on(disk);
    apply(&store, [create("gone", &["v"]), create("t", &["id:int", "v"])]);
    apply(&store, (0..150).map(|n| put("t", n, &[("v", "old")])));
    apply(&store, (0..50).map(|n| put("gone", n, &[])));
    store.checkpoint().unwrap();
    store
}

fn change(store: &Store) {
    apply(store, (100..250).map(|n| put("t", n, &[("v", &"new".repeat(n))])));
    apply(store, (0..50).map(|n| delete("t", n)));
    apply(store, [drop_table("gone")]);
}

#[test]
fn a_power_cut_leaves_the_checkpoint_before_or_the_one_after() {
    let (mut before, mut after) = (0, 0);
    for operations in 0.. {
        let disk = SimDisk::new();
        let store = prepare(&disk);
        let old = (store.view().digest().unwrap(), store.marks());
        change(&store);
        let new = (store.view().digest().unwrap(), store.marks());
        disk.fail_after(operations, ErrorKind::Other);
        let finished = store.checkpoint().is_ok();
        for seed in 0..6 {
            let found = disk.after_power_loss(seed);
            let again = on(&found);
            let state = (again.view().digest().unwrap(), again.marks());
            if state == new {
                after += 1;
            } else {
                assert_eq!(state, old, "cut after {operations} operations, seed {seed}");
                assert!(!finished, "an acknowledged checkpoint was lost");
                before += 1;
            }
            // What was found goes on working.
            apply(&again, [put("t", -1, &[("v", "later")])]);
            assert_eq!(again.checkpoint().unwrap(), again.marks());
            let later = on(&found.after_power_loss(seed));
            assert_eq!(contents(&later.view()), contents(&again.view()));
        }
        if finished {
            break;
        }
    }
    assert!(before > 10 && after > 5, "{before} times the one before, {after} times the one after");
}

#[test]
fn a_power_cut_during_an_install_leaves_the_old_store_or_the_new_one() {
    let source = Store::in_memory().unwrap();
    apply(&source, [create("other", &["v"])]);
    apply(&source, (0..300).map(|n| put("other", n, &[("v", "copied")])));
    let new = source.view().digest().unwrap();
    for operations in 0.. {
        let disk = SimDisk::new();
        let store = prepare(&disk);
        let old = store.view().digest().unwrap();
        let mut receiver = store.receive().unwrap();
        source.view().export().for_each(|chunk| receiver.write(&chunk.unwrap()).unwrap());
        disk.fail_after(operations, ErrorKind::Other);
        let installed = store.install(receiver.finish().unwrap());
        for seed in 0..3 {
            let again = on(&disk.after_power_loss(seed));
            let found = again.view().digest().unwrap();
            assert!(found == new || (found == old && installed.is_err()), "after {operations}, seed {seed}");
            assert_eq!(again.marks(), applied(if found == new { 301 } else { 202 }));
        }
        if installed.is_ok() {
            assert!(operations > 3);
            return;
        }
        assert!(store.checkpoint().is_err(), "after a failed install nothing may be called durable");
    }
}
