//! Imports among rows that are there, on disk or not, compared with a plain map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::Store;
use super::common::{apply, contents, create, delete};
use crate::model::{Cell, Counts, Effect, OnConflict, PutRow, Value, Write};

/// Rows of some stretch: the first, how many, how far apart; from the first on, or from the last back.
type Stretch = (u16, u16, u16, bool);

#[derive(Clone, Debug)]
enum Step {
    /// One batch of imports.
    Import(Vec<(Stretch, OnConflict)>),
    Delete(Stretch),
    Checkpoint,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let stretch = || (0..3_000_u16, 1..120_u16, prop::sample::select(vec![1_u16, 1, 2, 25]), prop::bool::weighted(0.8));
    let way = prop::sample::select(vec![OnConflict::Skip, OnConflict::Replace]);
    let step = prop_oneof![
        4 => prop::collection::vec((stretch(), way), 1..4).prop_map(Step::Import),
        1 => stretch().prop_map(Step::Delete),
        2 => Just(Step::Checkpoint),
    ];
    prop::collection::vec(step, 1..14)
}

fn ids((first, count, apart, rises): Stretch) -> Vec<String> {
    let mut ids: Vec<String> = (0..count).map(|n| format!("{:05}", first + n * apart)).collect();
    if !rises {
        ids.reverse();
    }
    ids
}

fn import(ids: &[String], value: &str, on_conflict: OnConflict) -> Write {
    let cells = || vec![(0, Cell::Text(value.into()))];
    let rows = (1..).zip(ids).map(|(line, id)| PutRow { line, row_id: id.clone(), cells: cells() }).collect();
    Write::PutRows { table: "t".into(), columns: vec!["v".into()], rows, on_conflict }
}

/// What an import does to `map`.
fn expected(map: &mut BTreeMap<String, String>, ids: &[String], value: &str, way: OnConflict) -> Counts {
    let mut counts = Counts::default();
    for id in ids {
        match (map.contains_key(id), way) {
            (false, _) => counts.inserted += 1,
            (true, OnConflict::Skip) => {
                counts.skipped += 1;
                continue;
            }
            (true, _) => counts.replaced += 1,
        }
        map.insert(id.clone(), value.into());
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn an_import_finds_the_rows_that_are_there_wherever_they_lie(steps in steps()) {
        let store = Store::in_memory().unwrap();
        apply(&store, [create("t", &["v"])]);
        let mut map = BTreeMap::new();
        for (turn, step) in steps.into_iter().enumerate() {
            match step {
                Step::Import(imports) => {
                    let value = turn.to_string();
                    let imports: Vec<_> = imports.into_iter().map(|(stretch, way)| (ids(stretch), way)).collect();
                    let answers = apply(&store, imports.iter().map(|(ids, way)| import(ids, &value, *way)));
                    for (answer, (ids, way)) in answers.into_iter().zip(&imports) {
                        let counts = expected(&mut map, ids, &value, *way);
                        prop_assert_eq!(answer.unwrap().effect, Effect::Imported(counts));
                    }
                }
                Step::Delete(stretch) => {
                    let ids = ids(stretch);
                    let answers = apply(&store, ids.iter().map(|id| delete("t", id)));
                    for (answer, id) in answers.into_iter().zip(&ids) {
                        prop_assert_eq!(answer.is_ok(), map.remove(id).is_some());
                    }
                }
                Step::Checkpoint => drop(store.checkpoint().unwrap()),
            }
        }
        let rows: Vec<Value> = contents(&store.view()).remove(0).2.into_iter().map(|(_, mut row)| row.values.remove(0)).collect();
        prop_assert_eq!(rows, map.into_values().map(Value::Text).collect::<Vec<_>>());
    }
}
