//! Rows read one by one where keys lie close together, from the file and with changes over it.

use crate::disk::SimDisk;
use crate::model::RowKey;

use super::common::{apply, create, delete, on, put};

#[test]
fn a_reader_finds_each_row_wherever_the_one_before_was() {
    let disk = SimDisk::new();
    let store = on(&disk);
    apply(&store, [create("t", &["v"])]);
    let mut ids: Vec<String> = ('a'..='z').map(|last| format!("k{last}")).collect();
    // Between some of them lie more rows than a finger passes.
    ids.extend(["kc", "kd", "kx"].iter().flat_map(|id| (0..100).map(move |n| format!("{id}-{n:03}"))));
    apply(&store, ids.iter().map(|id| put("t", id, &[("v", id)])));
    apply(&store, ["kb", "ke", "kf", "kz"].map(|id| delete("t", id)));
    store.checkpoint().unwrap();
    drop(store);
    // Opened anew, it has nothing in memory.
    let store = on(&disk);
    let in_file = store.view();
    apply(&store, ["kg", "kz"].map(|id| put("t", id, &[("v", "new")])));
    apply(&store, ["kh", "ki"].map(|id| delete("t", id)));
    for view in [in_file, store.view()] {
        let table = view.table("t").unwrap();
        let same = |lasts: Vec<u8>| {
            let keys = lasts.iter().map(|last| RowKey(vec![b'k', *last]));
            let row = |key: RowKey| view.row(&table, &key).unwrap().map(|row| (key, row));
            let read: Vec<_> = view.rows_under(&table, keys.clone().map(Ok)).map(Result::unwrap).collect();
            assert_eq!(read, keys.filter_map(row).collect::<Vec<_>>(), "{lasts:?}");
        };
        for step in [1, 2, 3, 7, 25] {
            let rising = (b'a'..=b'z').step_by(step);
            same(rising.clone().chain(rising.clone().rev()).chain(rising.flat_map(|last| [last, last])).collect());
        }
        // On along the file, back to one that is in memory of the second view, and on again.
        same(b"jklgj".to_vec());
    }
}
