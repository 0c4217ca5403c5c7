//! Random writes, checkpoints, crashes and views, compared with a plain map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::model::{Effect, Ids, RowKey, Value};

use super::super::{Store, View};
use super::common::{applied, create, delete, on, plain, put};
use crate::disk::SimDisk;

#[derive(Clone, Debug)]
enum Op {
    Put(u8, u8),
    Delete(u8),
    /// The writes since the last one become a batch.
    Apply,
    Checkpoint,
    View,
    /// All that was applied since the last checkpoint is gone.
    Crash(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => (0..40_u8, any::<u8>()).prop_map(|(row, v)| Op::Put(row, v)),
        4 => (0..40_u8).prop_map(Op::Delete),
        4 => Just(Op::Apply),
        1 => Just(Op::Checkpoint),
        1 => Just(Op::View),
        1 => any::<u64>().prop_map(Op::Crash),
    ];
    prop::collection::vec(op, 1..120)
}

type Map = BTreeMap<RowKey, (Value, u64)>;

fn rows(view: &View, after: Option<&RowKey>) -> Map {
    let table = view.table("t").unwrap();
    let rows = view.scan(&table, after).map(Result::unwrap);
    rows.map(|(key, mut row)| (key, (row.values.remove(0), row.revision))).collect()
}

fn same(view: &View, map: &Map) {
    assert_eq!(&rows(view, None), map);
    assert_eq!(view.tables().unwrap()[0].1, map.len() as u64);
    let table = view.table("t").unwrap();
    for n in (0..40).step_by(7) {
        let key = RowKey(n.to_string().into_bytes());
        let tail: Map =
            map.range(key.clone()..).filter(|(other, _)| **other != key).map(|(k, v)| (k.clone(), v.clone())).collect();
        assert_eq!(rows(view, Some(&key)), tail);
        let row = view.row(&table, &key).unwrap();
        assert_eq!(row.map(|mut row| (row.values.remove(0), row.revision)), map.get(&key).cloned());
    }
    // Close together and rising for a while, then falling, and with gaps.
    let keys = (0..45).chain((0..45).rev()).chain((0..45).step_by(3)).map(|n| RowKey(n.to_string().into_bytes()));
    let read = view.rows_under(&table, keys.clone().map(Ok)).map(Result::unwrap);
    let read: Vec<_> = read.map(|(key, mut row)| (key, (row.values.remove(0), row.revision))).collect();
    let there: Vec<_> =
        keys.filter_map(|key| map.get_key_value(&key).map(|(key, row)| (key.clone(), row.clone()))).collect();
    assert_eq!(read, there);
}

/// The map as it should be, beside the store.
struct Twin {
    store: Store,
    disk: SimDisk,
    map: Map,
    durable: Map,
    waiting: Vec<Op>,
}

impl Twin {
    fn new() -> Twin {
        let disk = SimDisk::new();
        let store = on(&disk);
        store.apply(&[plain(create("t", &["v"]))], applied(1)).unwrap();
        store.checkpoint().unwrap();
        Twin { store, disk, map: Map::new(), durable: Map::new(), waiting: Vec::new() }
    }

    fn apply(&mut self) {
        let batch: Vec<_> = self.waiting.iter().filter_map(proposal).collect();
        let answers = self.store.apply(&batch, applied(0)).unwrap();
        for (op, answer) in self.waiting.drain(..).zip(answers) {
            let (row, v) = match op {
                Op::Put(row, v) => (row, Some(v)),
                Op::Delete(row) => (row, None),
                _ => continue,
            };
            let key = RowKey(row.to_string().into_bytes());
            let effect = match (v, self.map.contains_key(&key)) {
                (Some(_), false) => Some(Effect::Inserted(Ids::Text)),
                (Some(_), true) => Some(Effect::Updated(Ids::Text)),
                (None, true) => Some(Effect::Deleted(Ids::Text)),
                (None, false) => None,
            };
            assert_eq!(answer.as_ref().ok().map(|applied| &applied.effect), effect.as_ref());
            match (v, answer) {
                (Some(v), Ok(applied)) => drop(self.map.insert(key, (Value::Text(v.to_string()), applied.revision))),
                (_, _) => drop(self.map.remove(&key)),
            }
        }
    }

    fn step(&mut self, op: Op, views: &mut Vec<(View, Map)>) {
        match op {
            Op::Put(..) | Op::Delete(_) => self.waiting.push(op),
            Op::Apply => self.apply(),
            Op::Checkpoint => {
                self.store.checkpoint().unwrap();
                self.durable.clone_from(&self.map);
            }
            Op::View => views.push((self.store.view(), self.map.clone())),
            Op::Crash(seed) => {
                self.disk = self.disk.after_power_loss(seed);
                self.store = on(&self.disk);
                self.map.clone_from(&self.durable);
            }
        }
    }
}

fn proposal(op: &Op) -> Option<crate::model::Proposal> {
    match op {
        Op::Put(row, v) => Some(plain(put("t", row, &[("v", &v.to_string())]))),
        Op::Delete(row) => Some(plain(delete("t", row))),
        _ => None,
    }
}

#[test]
fn a_table_that_lives_for_part_of_a_batch_leaves_what_it_leaves_over_many() {
    let table = || create("t", &["v"]);
    let writes = [table(), put("t", 1, &[]), super::common::drop_table("t"), table()].map(plain);
    let (one, other) = (Store::in_memory().unwrap(), Store::in_memory().unwrap());
    one.apply(&writes, applied(1)).unwrap();
    writes.chunks(1).for_each(|part| drop(other.apply(part, applied(1)).unwrap()));
    assert_eq!(one.view().digest().unwrap(), other.view().digest().unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_store_is_a_map_and_views_stay(ops in ops()) {
        let mut twin = Twin::new();
        let mut views = Vec::new();
        for op in ops {
            twin.step(op, &mut views);
        }
        same(&twin.store.view(), &twin.map);
        for (view, map) in &views {
            same(view, map);
        }
    }

    #[test]
    fn replicas_agree_however_the_writes_are_cut_into_batches(ops in ops(), seed in 1..9_usize) {
        let mut writes: Vec<_> = ops.iter().filter_map(proposal).collect();
        let again = [plain(super::common::drop_table("t")), plain(create("t", &["v"]))];
        writes.splice(writes.len() / 2..writes.len() / 2, again);
        for (n, proposal) in writes.iter_mut().enumerate().filter(|(n, _)| n % 3 == 0) {
            *proposal = super::common::keyed(n % 7, n as u64, proposal.write.clone());
        }
        writes.insert(0, plain(create("t", &["v"])));
        let (one, other) = (Store::in_memory().unwrap(), Store::in_memory().unwrap());
        let mut answers = one.apply(&writes, applied(1)).unwrap();
        for (n, part) in writes.chunks(seed).enumerate() {
            let own = other.apply(part, applied(n as u64)).unwrap();
            prop_assert_eq!(&own, &answers[..own.len()]);
            answers.drain(..own.len());
            if n % 5 == 0 {
                other.checkpoint().unwrap();
            }
        }
        prop_assert_eq!(one.view().digest().unwrap(), other.view().digest().unwrap());
    }
}
