//! Changes in key order, in runs and one by one, compared with a plain map.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use redb::backends::InMemoryBackend;

use super::super::disk::{Disk, Pairs};
use super::super::{StoreError, keys};

fn disk() -> Disk {
    Disk::open("in memory", Arc::new(InMemoryBackend::new())).unwrap()
}

/// Keys of some stretch: the first, how many, and how far apart; to put, or to delete.
type Stretch = (u16, u16, u16, bool);

/// Some transactions, each of some calls whose keys rise.
fn transactions() -> impl Strategy<Value = Vec<Vec<Vec<Stretch>>>> {
    let stretch = (0..3_000_u16, 1..400_u16, 1..4_u16, prop::bool::weighted(0.8));
    let call = prop::collection::vec(stretch, 1..5);
    prop::collection::vec(prop::collection::vec(call, 1..4), 1..5)
}

fn key(n: u16) -> Vec<u8> {
    [&[keys::ROW], n.to_be_bytes().as_slice()].concat()
}

/// The changes of a call; of two stretches that meet, the latter counts.
fn changes(call: &[Stretch], turn: usize) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
    let each = |(first, count, apart, puts): &Stretch| {
        let value = puts.then(|| vec![turn as u8; turn * 37 % 300]);
        let keys: Vec<u16> = (0..*count).map(|n| first + n * apart).collect();
        keys.into_iter().map(move |n| (key(n), value.clone()))
    };
    call.iter().flat_map(each).collect()
}

fn all(disk: &Disk) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let pairs = disk.base().unwrap().scan(&[keys::ROW], &[keys::ROW + 1]).unwrap();
    pairs.map(Result::unwrap).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn changes_in_key_order_make_a_map(transactions in transactions()) {
        let disk = disk();
        let mut map = BTreeMap::new();
        for (turn, calls) in transactions.iter().enumerate() {
            let work = |pairs: &mut Pairs| {
                for call in calls {
                    let changes = changes(call, turn);
                    pairs.change(changes.iter().map(|(key, value)| (key.as_slice(), value.as_deref())))?;
                    for (key, value) in changes {
                        match value {
                            Some(value) => map.insert(key, value),
                            None => map.remove(&key),
                        };
                    }
                }
                Ok::<_, StoreError>(())
            };
            disk.write(work).unwrap();
            prop_assert_eq!(&all(&disk), &map);
        }
    }
}

#[test]
fn a_run_of_new_keys_takes_little_more_than_half_of_the_room() {
    let (in_a_run, one_by_one) = (disk(), disk());
    let value = vec![7; 100];
    let keys: Vec<Vec<u8>> = (0..20_000).map(key).collect();
    for disk in [&in_a_run, &one_by_one] {
        // Rows are never the last there is.
        disk.write(|pairs| pairs.put(&[keys::COUNT], &[])).unwrap();
    }
    in_a_run.write(|pairs| pairs.change(keys.iter().map(|key| (key.as_slice(), Some(value.as_slice()))))).unwrap();
    one_by_one.write(|pairs| keys.iter().try_for_each(|key| pairs.put(key, &value))).unwrap();
    assert_eq!(all(&in_a_run), all(&one_by_one));
    let pages = |disk: &Disk| disk.base().unwrap().leaf_pages();
    let (few, many) = (pages(&in_a_run), pages(&one_by_one));
    assert!(few * 10 < many * 6, "{few} pages against {many}");
}
