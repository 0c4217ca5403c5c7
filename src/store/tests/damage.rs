//! Bytes that changed on the disk are noticed when they are read.

use super::super::StoreError;
use super::common::{apply, create, on, put, try_on};
use crate::disk::{Disk as _, SimDisk};

#[test]
fn an_altered_value_is_damage_and_names_the_file() {
    let disk = SimDisk::new();
    let store = on(&disk);
    apply(&store, [create("t", &["v"]), put("t", "a", &[("v", "find me")]), put("t", "b", &[("v", "whole")])]);
    store.checkpoint().unwrap();
    disk.cut();
    let found = disk.after_power_loss(0);
    found
        .tamper("store", |bytes| {
            let places: Vec<usize> = (0..bytes.len() - 7).filter(|at| &bytes[*at..*at + 7] == b"find me").collect();
            assert!(!places.is_empty());
            places.iter().for_each(|at| bytes[*at] = b'F');
        })
        .unwrap();
    let store = on(&found);
    let view = store.view();
    let table = view.table("t").unwrap().unwrap();
    let rows: Vec<_> = view.scan(&table, None).collect();
    assert!(matches!(&rows[0], Err(StoreError::Damaged { file, .. }) if file.contains("store")), "{:?}", rows[0]);
    assert_eq!(rows.len(), 1, "a scan ends where it fails");
    let digest = view.digest();
    assert!(matches!(digest, Err(StoreError::Damaged { .. })), "{digest:?}");
    assert!(view.clone().export().any(|chunk| chunk.is_err()));

    let batch = [super::common::plain(put("t", "c", &[])), super::common::plain(put("t", "a", &[]))];
    assert!(store.apply(&batch, super::super::Marks::default()).is_err(), "a write that must read it");
    assert_eq!(store.view().revision(), 3, "nothing of the batch was applied");
    let key = crate::model::RowKey::new(&table, "b").unwrap();
    assert!(view.row(&table, &key).unwrap().is_some(), "other rows can be read");
}

#[test]
fn no_altered_byte_becomes_an_altered_row() {
    let disk = SimDisk::new();
    let store = on(&disk);
    apply(&store, [create("t", &["v"])]);
    apply(&store, (0..60).map(|n| put("t", n, &[("v", &n.to_string().repeat(20))])));
    store.checkpoint().unwrap();
    let table = store.view().table("t").unwrap().unwrap();
    let rows: Vec<_> = store.view().scan(&table, None).map(Result::unwrap).collect();
    disk.cut();
    let mut noticed = 0;
    let length = disk.open("store").unwrap().len().unwrap() as usize;
    for at in (0..length).step_by(97) {
        let found = disk.after_power_loss(0);
        found.tamper("store", |bytes| bytes[at] ^= 0x55).unwrap();
        let Ok(store) = try_on(&found) else {
            noticed += 1;
            continue;
        };
        for row in store.view().scan(&table, None) {
            match row {
                Ok(row) => assert!(rows.contains(&row), "byte {at}: {row:?}"),
                Err(_) => noticed += 1,
            }
        }
    }
    assert!(noticed > 10, "{noticed}");
}
