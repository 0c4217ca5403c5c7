//! What the store's directory holds, and when.

use std::path::Path;

use redb::StorageBackend as _;

use super::super::backend::Backend;
use super::super::{Store, StoreError};
use super::common::{apply, contents, create, put};
use crate::disk::{Disk as _, SimDisk};
use crate::world::background;

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_store_is_one_file_that_opens_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = Store::open(&path).unwrap();
    apply(&store, [create("t", &["v"]), put("t", "a", &[("v", "1")])]);
    store.checkpoint().unwrap();
    let before = contents(&store.view());
    apply(&store, [put("t", "b", &[])]);
    assert_eq!(names(directory.path()), ["store"]);
    drop(store);
    let store = Store::open(&path).unwrap();
    assert_eq!(contents(&store.view()), before);
    assert_eq!(store.view().revision(), 2);
}

#[test]
fn a_file_belongs_to_one_store_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = Store::open(&path).unwrap();
    let receiver = store.receive().unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::InUse { .. })));
    assert_eq!(names(directory.path()), ["store", "store.received-0"], "the other store's files are left alone");
    drop((store, receiver));
    assert!(Store::open(&path).is_ok());
}

#[test]
fn what_a_crash_left_behind_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let stray = ["store.new", "store.received-0", "store.received-17", "store.newer", "log"];
    for opening in ["the first", "the second"] {
        stray.iter().for_each(|name| std::fs::write(directory.path().join(name), "half a file").unwrap());
        drop(Store::open(&path).unwrap());
        assert_eq!(names(directory.path()), ["log", "store", "store.newer"], "{opening} opening");
    }
}

#[test]
fn a_file_that_is_no_store_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    for text in ["", "not a store, but a text that somebody put here"] {
        std::fs::write(&path, text).unwrap();
        let refused = Store::open(&path).err().unwrap();
        assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
        assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn an_installed_copy_takes_the_name_and_old_views_keep_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let source = Store::in_memory().unwrap();
    apply(&source, [create("copied", &["v"]), put("copied", "a", &[("v", "1")])]);
    let store = Store::open(&path).unwrap();
    apply(&store, [create("t", &["v"])]);
    apply(&store, (0..1000).map(|n| put("t", n, &[])));
    store.checkpoint().unwrap();
    let old = store.view();
    let before = contents(&old);

    let mut abandoned = store.receive().unwrap();
    let mut receiver = store.receive().unwrap();
    abandoned.write(&source.view().export().next().unwrap().unwrap()).unwrap();
    source.view().export().for_each(|chunk| receiver.write(&chunk.unwrap()).unwrap());
    let received = receiver.finish().unwrap();
    assert_eq!(names(directory.path()), ["store", "store.received-0", "store.received-1"]);
    drop(abandoned);
    store.install(received).unwrap();
    assert_eq!(names(directory.path()), ["store"]);
    assert_eq!(contents(&store.view()), contents(&source.view()));
    assert_eq!(contents(&old), before);

    apply(&store, [put("copied", "b", &[])]);
    store.checkpoint().unwrap();
    let now = contents(&store.view());
    assert_eq!(contents(&old), before);
    drop((store, old));
    assert_eq!(contents(&Store::open(&path).unwrap().view()), now);
}

#[tokio::test]
async fn what_has_time_is_synced_bit_by_bit() {
    const PIECE: usize = 64 << 10;
    let write = |disk: &SimDisk| {
        let backend = Backend::new(disk.open_or_create("a").unwrap());
        disk.sync_dir().unwrap();
        (0..40).for_each(|n| backend.write((n * PIECE) as u64, &[7; PIECE]).unwrap());
    };
    let least_kept = |disk: &SimDisk| {
        let kept = |seed| {
            let file = disk.after_power_loss(seed).open("a").unwrap();
            let mut bytes = vec![0; file.len().unwrap() as usize];
            file.read_at(0, &mut bytes).unwrap();
            bytes.iter().take_while(|byte| **byte == 7).count() / PIECE
        };
        (0..40).map(kept).min()
    };
    let disk = SimDisk::new();
    write(&disk);
    assert_eq!(least_kept(&disk), Some(0), "nobody has asked for a sync");
    let disk = SimDisk::new();
    let patient = disk.clone();
    background(move || write(&patient)).await.unwrap();
    assert_eq!(least_kept(&disk), Some(32), "pieces in whole steps of 2 MiB outlive any loss of power");
}
