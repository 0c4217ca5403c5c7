//! Bytes that changed on the disk are noticed when they are read.

use super::super::StoreError;
use super::common::{apply, contents, create, on, put, try_on};
use crate::disk::{Disk as _, SimDisk};
use crate::model::{Row, RowKey};

/// A store of many pages on a disk that is not used any more, and the rows of its table.
fn many_pages() -> (SimDisk, Vec<(RowKey, Row)>) {
    let disk = SimDisk::new();
    let store = on(&disk);
    apply(&store, [create("t", &["v"]), put("t", "z", &[("v", "find me")])]);
    apply(&store, (0..400).map(|n| put("t", format!("row {n}"), &[("v", &n.to_string().repeat(50))])));
    store.checkpoint().unwrap();
    let rows = contents(&store.view()).remove(0).2;
    disk.cut();
    (disk, rows)
}

/// The disk with an altered file.
fn altered(disk: &SimDisk, change: impl FnOnce(&mut Vec<u8>)) -> SimDisk {
    let found = disk.after_power_loss(0);
    found.tamper("store", change).unwrap();
    found
}

#[test]
fn an_altered_value_is_damage_and_names_the_file() {
    let found = altered(&many_pages().0, |bytes| {
        let places: Vec<usize> = (0..bytes.len() - 7).filter(|at| &bytes[*at..*at + 7] == b"find me").collect();
        assert!(!places.is_empty());
        places.iter().for_each(|at| bytes[*at] = b'F');
    });
    let store = match try_on(&found) {
        // The page may be one that every opening reads.
        Err(StoreError::Damaged { file, .. }) => return assert!(file.contains("store"), "{file}"),
        opened => opened.unwrap(),
    };
    let view = store.view();
    let table = view.table("t").unwrap();
    let rows: Vec<_> = view.scan(&table, None).collect();
    let last = rows.last().unwrap();
    assert!(matches!(last, Err(StoreError::Damaged { file, .. }) if file.contains("store")), "{last:?}");
    assert!(rows.iter().rev().skip(1).all(Result::is_ok), "a scan ends where it fails");
    // By a store of its own: once redb has met the damage it may say no more than that it did.
    let digest = on(&found.after_power_loss(0)).view().digest();
    assert!(matches!(digest, Err(StoreError::Damaged { .. })), "{digest:?}");
    assert!(view.clone().export().any(|chunk| chunk.is_err()));

    let revision = view.revision();
    let batch = [super::common::plain(put("t", "c", &[])), super::common::plain(put("t", "z", &[]))];
    assert!(store.apply(&batch, super::super::Marks::default()).is_err(), "a write that must read it");
    assert_eq!(store.view().revision(), revision, "nothing of the batch was applied");
    let key = RowKey::new(&table, "row 0").unwrap();
    assert!(view.row(&table, &key).unwrap().is_some(), "rows of other pages can be read");
}

#[test]
fn no_altered_bit_hides_a_row_or_brings_back_an_old_one() {
    let (disk, rows) = many_pages();
    let length = disk.open("store").unwrap().len().unwrap() as usize;
    let mut noticed = 0;
    for at in (0..length).step_by(1499) {
        let found = altered(&disk, |bytes| bytes[at] ^= 1 << (at % 8));
        let Ok(store) = try_on(&found) else {
            noticed += 1;
            continue;
        };
        let view = store.view();
        let table = view.table("t").unwrap_or_else(|_| panic!("byte {at}: the table is hidden"));
        for (key, row) in rows.iter().step_by(7) {
            match view.row(&table, key) {
                Ok(found) => assert_eq!(found.as_ref(), Some(row), "byte {at}"),
                Err(_) => noticed += 1,
            }
        }
        let read: Vec<_> = view.rows_under(&table, rows.iter().map(|(key, _)| Ok(key.clone()))).collect();
        assert_eq!(read.len(), rows.len(), "byte {at}");
        for (found, there) in read.into_iter().zip(&rows) {
            match found {
                Ok(found) => assert_eq!(&found, there, "byte {at}"),
                Err(_) => noticed += 1,
            }
        }
        let scanned: Result<Vec<_>, _> = view.scan(&table, None).collect();
        assert!(scanned.is_err() || scanned.unwrap() == rows, "byte {at}");
    }
    assert!(noticed > 10, "{noticed}");
}

#[test]
fn no_altered_byte_becomes_an_altered_row() {
    let disk = SimDisk::new();
    let store = on(&disk);
    apply(&store, [create("t", &["v"])]);
    apply(&store, (0..60).map(|n| put("t", n, &[("v", &n.to_string().repeat(20))])));
    store.checkpoint().unwrap();
    let table = store.view().table("t").unwrap();
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
