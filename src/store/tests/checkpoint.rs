//! What a checkpoint keeps, what a crash may take, and what readers see of either: nothing.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::{Marks, Store, StoreError};
use super::common::{applied, apply, contents, create, delete, drop_table, on, plain, put};
use crate::disk::SimDisk;
use crate::model::RowKey;

#[test]
fn a_checkpoint_is_found_again_after_a_loss_of_power() {
    let disk = SimDisk::new();
    let store = on(&disk);
    apply(&store, [create("t", &["id:int", "v"]), put("t", 1, &[("v", "x")]), put("t", -1, &[("v", "y")])]);
    let marks = store.checkpoint().unwrap();
    assert_eq!(marks, applied(3));
    let again = on(&disk.after_power_loss(0));
    assert_eq!(contents(&again.view()), contents(&store.view()));
    assert_eq!(again.view().digest().unwrap(), store.view().digest().unwrap());
    assert_eq!((again.marks(), again.durable_marks(), again.view().revision()), (applied(3), applied(3), 3));
}

#[test]
fn without_a_checkpoint_the_last_one_is_found_with_its_marks() {
    let disk = SimDisk::new();
    let store = on(&disk);
    let member = |n: u8| Marks { applied: None, membership: Some(vec![n]) };
    apply(&store, [create("t", &["v"]), put("t", "a", &[("v", "1")])]);
    store.apply(&[], member(1)).unwrap();
    store.checkpoint().unwrap();
    let before = contents(&store.view());
    apply(&store, [put("t", "a", &[("v", "2")]), put("t", "b", &[])]);
    store.apply(&[], member(2)).unwrap();
    let newest = Marks { applied: applied(4).applied, membership: Some(vec![2]) };
    let durable = Marks { applied: applied(2).applied, membership: Some(vec![1]) };
    assert_eq!((store.marks(), store.durable_marks()), (newest, durable.clone()));
    let again = on(&disk.after_power_loss(0));
    assert_eq!(contents(&again.view()), before);
    assert_eq!((again.marks(), again.view().revision()), (durable, 2));
}

#[test]
fn a_view_never_changes() {
    let store = Store::in_memory().unwrap();
    apply(&store, [create("t", &["v"]), put("t", "a", &[("v", "1")]), put("t", "b", &[("v", "1")])]);
    let mut seen = vec![store.view()];
    let steps: [&dyn Fn(); 6] = [
        &|| drop(store.checkpoint().unwrap()),
        &|| drop(apply(&store, [put("t", "a", &[("v", "2")]), delete("t", "b")])),
        &|| drop(store.checkpoint().unwrap()),
        &|| drop(apply(&store, [put("t", "c", &[]), put("t", "b", &[])])),
        &|| drop(apply(&store, [drop_table("t")])),
        &|| drop(store.checkpoint().unwrap()),
    ];
    let mut expected = vec![contents(&store.view())];
    for step in steps {
        step();
        seen.push(store.view());
        expected.push(contents(&store.view()));
        assert_eq!(seen.iter().map(contents).collect::<Vec<_>>(), expected);
    }
    assert_eq!(seen.iter().map(|view| view.revision()).collect::<Vec<_>>(), [3, 3, 5, 5, 7, 8, 8]);
}

/// Writes rows of a mebibyte each, a little less than a row has at most.
fn fill(store: &Store, letter: char, mebibytes: usize) {
    let body = letter.to_string().repeat((1 << 20) - 1_000);
    let filled = apply(store, (0..mebibytes).map(|n| put("t", format!("{n:02}"), &[("v", &body)])));
    assert!(filled.iter().all(Result::is_ok), "{filled:?}");
}

/// What checkpoints wrote and is kept, in mebibytes.
fn kept(store: &Store) -> Vec<usize> {
    store.kept_bytes().iter().map(|bytes| bytes.div_ceil(1 << 20)).collect()
}

#[test]
fn what_is_kept_of_older_checkpoints_is_never_seen_instead_of_the_newest() {
    let store = Store::in_memory().unwrap();
    apply(&store, [create("t", &["v"])]);
    let mut seen = Vec::new();
    // How many mebibytes are written, how many may be kept, and what is kept then, the newest first. In every second
    // round the first of them is deleted again, which what is kept is told of in few bytes.
    let rounds: [(usize, usize, &[usize]); 14] = [
        (9, 16, &[9]),
        (9, 16, &[9]),
        (1, 16, &[9]),
        (17, 16, &[]),
        (1, 16, &[1]),
        (9, 16, &[10]),
        (1, 16, &[10]),
        (1, 24, &[11]),
        (9, 24, &[9, 11]),
        (1, 24, &[10, 11]),
        (3, 24, &[3, 10, 11]),
        (10, 24, &[10, 3, 10]),
        (1, 16, &[10, 3]),
        (1, 16, &[11, 3]),
    ];
    for (round, (mebibytes, keep, left)) in rounds.into_iter().enumerate() {
        fill(&store, char::from(b'a' + round as u8), mebibytes);
        apply(&store, [if round % 2 == 0 { delete("t", "00") } else { put("t", "a", &[]) }]);
        store.checkpoint_and_keep(keep << 20).unwrap();
        assert_eq!(kept(&store), left, "round {round}");
        seen.push((store.view(), contents(&store.view())));
        for (view, contents) in seen.iter().rev().take(4) {
            let table = view.table("t").unwrap();
            let rows = (0..17).map(|n| format!("{n:02}")).chain(["a".to_string()]);
            let found = rows.filter_map(|id| view.row(&table, &RowKey(id.into_bytes())).unwrap());
            assert!(found.eq(contents[0].2.iter().map(|(_, row)| row.clone())), "round {round}");
        }
    }
}

#[test]
fn what_is_too_much_beside_what_is_to_be_written_goes_before_that_is_written() {
    let disk = SimDisk::new();
    let store = on(&disk);
    apply(&store, [create("t", &["v"])]);
    for (letter, mebibytes, left) in [('a', 9, [9].as_slice()), ('b', 3, &[12]), ('c', 3, &[3, 12])] {
        fill(&store, letter, mebibytes);
        store.checkpoint_and_keep(16 << 20).unwrap();
        assert_eq!(kept(&store), left);
    }
    fill(&store, 'd', 9);
    disk.fail_after(0, ErrorKind::StorageFull);
    store.checkpoint_and_keep(16 << 20).unwrap_err();
    assert_eq!(kept(&store), [3]);
}

#[test]
fn a_full_disk_loses_nothing_and_needs_no_restart() {
    let mut syncs = 0;
    for operations in 0.. {
        let disk = SimDisk::new();
        let store = on(&disk);
        let rows = |range: std::ops::Range<u32>, v: &str| {
            apply(&store, range.map(|n| put("t", n, &[("v", v)])));
        };
        apply(&store, [create("t", &["v"])]);
        rows(0..200, "old");
        store.checkpoint().unwrap();
        rows(100..300, "new");
        disk.fail_after(operations, ErrorKind::StorageFull);
        let early = store.view();
        let failed = store.checkpoint();
        rows(250..350, "later");
        let all = contents(&store.view());
        assert_eq!(all[0].1, 350);
        if failed.is_ok() {
            assert!(operations > 3, "the checkpoint changed the disk only {operations} times");
            assert!(syncs > 1, "no sync was told to fail");
            return;
        }
        if let Err(StoreError::Io { source, .. }) = &failed {
            // What was to be synced is lost then, and the next sync would not tell.
            assert!(source.to_string().contains("a sync failed"), "{source}");
            syncs += 1;
            disk.heal();
            assert!(store.checkpoint().is_err(), "after a failed sync nothing may be called durable");
            assert_eq!(store.durable_marks(), applied(201));
            continue;
        }
        assert!(matches!(failed, Err(StoreError::NoSpace { .. })), "{failed:?}");
        assert_eq!((store.marks(), store.durable_marks()), (applied(501), applied(201)));
        assert!(store.checkpoint().is_err());
        disk.heal();
        // A view from before the failure may hear of it; it does not see anything else.
        assert!(early.tables().is_err() || contents(&early)[0].1 == 300);
        assert_eq!(store.checkpoint().unwrap(), applied(501));
        assert_eq!(store.pending_bytes(), 0);
        assert_eq!(contents(&store.view()), all);
        assert_eq!(contents(&on(&disk.after_power_loss(0)).view()), all);
    }
}

#[test]
fn after_any_other_failure_of_the_disk_no_checkpoint_is_tried_again() {
    for operations in 0.. {
        let disk = SimDisk::new();
        let store = on(&disk);
        apply(&store, [create("t", &["v"])]);
        store.checkpoint().unwrap();
        apply(&store, (0..200).map(|n| put("t", n, &[])));
        disk.fail_some(operations, 1, ErrorKind::Other);
        if store.checkpoint().is_ok() {
            assert!(operations > 3, "the checkpoint changed the disk only {operations} times");
            return;
        }
        assert!(matches!(store.checkpoint(), Err(StoreError::Io { .. })), "after operation {operations}");
        assert_eq!(store.durable_marks(), applied(1));
    }
}

#[test]
fn readers_and_checkpoints_see_whole_batches_only() {
    let disk = SimDisk::new();
    let store = on(&disk);
    apply(&store, [create("t", &["v"]), put("t", "a", &[("v", "0")]), put("t", "b", &[("v", "0")])]);
    let done = AtomicBool::new(false);
    let equal = |store: &Store| {
        let view = store.view();
        let rows = contents(&view).remove(0).2;
        assert_eq!((rows.len(), &rows[0].1.values), (2, &rows[1].1.values));
        assert_eq!(view.marks(), applied(view.revision()));
        assert_eq!(rows[1].1.revision, view.revision());
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                equal(&store);
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                store.checkpoint().unwrap();
                equal(&on(&disk.after_power_loss(0)));
            }
        });
        for n in 0..500 {
            let v = n.to_string();
            apply(&store, [put("t", "a", &[("v", &v)]), put("t", "b", &[("v", &v)])]);
        }
        done.store(true, Ordering::Relaxed);
    });
    equal(&store);
}

#[test]
fn only_a_checkpoint_writes() {
    let disk = SimDisk::new();
    let store = on(&disk);
    apply(&store, [create("t", &["v"]), put("t", "a", &[])]);
    store.checkpoint().unwrap();
    let changes = disk.operations();
    apply(&store, [put("t", "b", &[])]);
    store.view().digest().unwrap();
    store.checkpoint().unwrap();
    assert!(disk.operations() > changes);
    let changes = disk.operations();
    store.checkpoint().unwrap();
    drop(store);
    assert_eq!(disk.operations(), changes, "an idle checkpoint, or closing, wrote something");
}

#[test]
fn a_row_may_take_a_mebibyte_and_no_more() {
    let store = Store::in_memory().unwrap();
    apply(&store, [create("t", &["v"])]);
    let large = |bytes: usize| apply(&store, [put("t", "a", &[("v", &"x".repeat(bytes))])]).remove(0);
    let refused = large(1 << 20).unwrap_err();
    assert_eq!(refused.code, crate::model::Code::TooLarge);
    assert_eq!(large((1 << 20) - 16).unwrap().revision, 2);
    store.checkpoint().unwrap();
    assert_eq!(contents(&store.view())[0].2.len(), 1);
}

#[test]
fn pending_bytes_grow_with_writes_and_shrink_with_a_checkpoint() {
    let store = Store::in_memory().unwrap();
    apply(&store, [create("t", &["v"])]);
    let empty = store.pending_bytes();
    store.apply(&[plain(put("t", "a", &[("v", &"x".repeat(10_000))]))], Marks::default()).unwrap();
    assert!(store.pending_bytes() > empty + 10_000);
    store.checkpoint().unwrap();
    assert_eq!(store.pending_bytes(), 0);
    assert!(store.disk_bytes() > 10_000);
}
