//! Searches by an index, compared with reading all rows; and the building of indexes, however batches are cut.

use proptest::prelude::*;

use crate::model::{
    Cell, Condition, Filter, IndexSpec, IndexUse, KeyRange, Order, PutMode, Row, RowKey, Table, Value, When, Write,
};

use super::super::{Store, View};
use super::common::{applied, apply, create, delete, drop_table, plain};

const COLUMNS: [&str; 6] =
    ["a", "n:int", "f:float:not-null:default=0.5", "x:text", "b:bool:not-null:default=true", "t:timestamp"];
const NAMES: [&str; 6] = ["a", "n", "f", "x", "b", "t"];

fn int() -> impl Strategy<Value = i64> {
    prop_oneof![6 => -2..4_i64, 1 => Just(i64::MAX), 1 => Just((1 << 53) + 1)]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ab\u{0}é]{0,3}", int().prop_map(|n| n.to_string()), Just("1.0".to_string()), Just("true".to_string())]
}

fn time() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..4_u8).prop_map(|n| format!("2024-01-01T0{n}:00:00Z")),
        (0..4_u8).prop_map(|n| format!("2024-01-01T0{n}:00:00+01:00")),
    ]
}

/// A row's cells, of each column some.
fn cells() -> impl Strategy<Value = Vec<(String, Cell)>> {
    let mixed = prop_oneof![
        int().prop_map(Value::Int),
        (-4..8_i32).prop_map(|n| Value::Float(f64::from(n) / 2.0)),
        text().prop_map(Value::Text),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Json("{\"k\":1}".into())),
        Just(Value::Json("[1,2]".into())),
    ];
    let values = (
        prop::option::of(mixed),
        prop::option::of(int().prop_map(Value::Int)),
        prop::option::of((-4..8_i32).prop_map(|n| Value::Float(f64::from(n) / 2.0))),
        prop::option::of(text().prop_map(Value::Text)),
        prop::option::of(any::<bool>().prop_map(Value::Bool)),
        prop::option::of(time().prop_map(Value::Text)),
    );
    values.prop_map(|(a, n, f, x, b, t)| {
        let cells = NAMES.iter().zip([a, n, f, x, b, t]);
        cells.filter_map(|(name, value)| Some((name.to_string(), Cell::Exact(value?)))).collect()
    })
}

fn filter() -> impl Strategy<Value = String> {
    let sign = "=|!=|\\.(gt|ge|lt|le)=";
    let number = "-?[0-3](\\.[05])?|9223372036854775807|9007199254740993";
    prop_oneof![
        4 => ("[nf]", sign, number).prop_map(|(c, sign, word)| format!("{c}{sign}{word}")),
        4 => ("a", sign, prop_oneof![number.prop_map(|n| n), text()]).prop_map(|(c, sign, word)| format!("{c}{sign}{word}")),
        2 => Just("a={\"k\": 1}".to_string()),
        2 => ("x", sign, text()).prop_map(|(c, sign, word)| format!("{c}{sign}{word}")),
        2 => ("[ax]\\.(prefix|contains)=", text()).prop_map(|(head, word)| head + &word),
        2 => ("[anfx]\\.in=", "[0-3](,[0-3]){0,3}").prop_map(|(head, words)| head + &words),
        1 => (sign, any::<bool>()).prop_map(|(sign, word)| format!("b{sign}{word}")),
        2 => (sign, time()).prop_map(|(sign, word)| format!("t{sign}{word}")),
        1 => "t\\.prefix=2024-01-01T0[0-3]",
        2 => "[anfxbt]\\.null=(true|false)",
        1 => "row_id\\.(gt|lt)=[0-9]",
    ]
}

fn indexes() -> impl Strategy<Value = Vec<Vec<usize>>> {
    let columns = Just((0..6).collect::<Vec<usize>>()).prop_shuffle();
    prop::collection::vec((columns, 1..4_usize).prop_map(|(columns, most)| columns[..most].to_vec()), 1..4)
}

fn order() -> impl Strategy<Value = Option<String>> {
    let columns = Just(NAMES.to_vec()).prop_shuffle();
    let signs = prop::sample::select(vec!["", "-"]);
    prop::option::of((columns, 1..3_usize, signs.clone(), signs).prop_map(|(columns, most, first, second)| {
        let by = columns[..most].iter().zip([first, second]).map(|(column, sign)| format!("{sign}{column}"));
        by.collect::<Vec<_>>().join(",")
    }))
}

/// A change of one row of a few; `None` deletes it.
type Change = (u8, Option<Vec<(String, Cell)>>);

fn changes(most: usize) -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec((0..12_u8, prop_oneof![4 => cells().prop_map(Some), 1 => Just(None)]), 0..most)
}

fn write((row, cells): &Change) -> Write {
    match cells {
        Some(cells) => Write::Put {
            table: "t".into(),
            row_id: row.to_string(),
            cells: cells.clone(),
            mode: PutMode::Replace,
            when: When::Always,
        },
        None => delete("t", row),
    }
}

fn index(number: usize, columns: &[usize], unique: bool) -> Write {
    let columns = columns.iter().map(|column| NAMES[*column].to_string()).collect();
    Write::CreateIndex { table: "t".into(), index: IndexSpec { name: Some(format!("i{number}")), columns, unique } }
}

fn build(number: usize, rows: u32) -> Write {
    Write::BuildIndex { table: "t".into(), index: format!("i{number}"), rows }
}

type Rows = Vec<(RowKey, Row)>;

fn passing(view: &View, table: &Table, keys: impl IntoIterator<Item = RowKey>, conditions: &[Condition]) -> Rows {
    let row = |key: RowKey| (key.clone(), view.row(table, &key).unwrap().unwrap());
    let passes = |(_, row): &(RowKey, Row)| conditions.iter().all(|condition| condition.passes(row));
    keys.into_iter().map(row).filter(passes).collect()
}

/// What an index names, as a search would show it, is what passes among all rows.
fn same(view: &View, filters: &[String], order: Option<&str>) {
    let table = view.table("t").unwrap();
    let conditions: Vec<Condition> =
        filters.iter().map(|filter| Filter::parse(filter).unwrap().bind(&table).unwrap()).collect();
    let order = order.map(|order| Order::parse(&table, order).unwrap().unwrap());
    let Some(by) = IndexUse::best(&table, &conditions, order.as_ref()) else { return };
    let read = |by: &IndexUse| -> Vec<RowKey> { view.walk(&table, by).map(Result::unwrap).collect() };
    let all: Vec<RowKey> = view.scan(&table, None).map(|row| row.unwrap().0).collect();
    let mut wanted = passing(view, &table, all, &conditions);
    let mut found = passing(view, &table, read(&by), &conditions);
    if let Some(order) = order.as_ref().filter(|_| by.ordered) {
        wanted.sort_by_key(|(key, row)| order.standing(key, row));
        assert_eq!(found, wanted, "{filters:?} {by:?}");
        for (at, (key, row)) in wanted.iter().enumerate() {
            let rest = passing(view, &table, read(&by.clone().after(&order.standing(key, row))), &conditions);
            assert_eq!(rest, wanted[at + 1..], "{filters:?} {by:?}");
        }
    } else if by.by_row_id {
        assert_eq!(found, wanted, "{filters:?} {by:?}");
        for (at, (key, _)) in wanted.iter().enumerate() {
            let rest = passing(view, &table, read(&by.clone().after_row(key)), &conditions);
            assert_eq!(rest, wanted[at + 1..], "{filters:?} {by:?}");
        }
    } else {
        found.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found, wanted, "{filters:?} {by:?}");
    }
}

/// The same in both directions of all orders that an index of these columns may have.
fn in_order(view: &View, filters: &[String], columns: &[usize]) {
    let names: Vec<&str> = columns.iter().map(|column| NAMES[*column]).collect();
    for given in 0..=names.len() {
        let word = |name: &&str| match *name {
            "b" => "b=true".to_string(),
            "t" => "t=2024-01-01T01:00:00Z".into(),
            name => format!("{name}=1"),
        };
        let filters: Vec<String> = names[..given].iter().map(word).chain(filters.iter().cloned()).collect();
        for (sign, id) in [("", None), ("", Some("row_id")), ("-", None), ("-", Some("row_id")), ("-", Some("-row_id"))]
        {
            let by = names[given..].iter().map(|name| format!("{sign}{name}")).chain(id.map(String::from));
            let order = by.collect::<Vec<_>>().join(",");
            if !order.is_empty() && order != "row_id" {
                same(view, &filters, Some(&order));
            }
        }
    }
}

/// Rows read backwards are those read forwards, whatever the range.
fn reversed(view: &View) {
    let table = view.table("t").unwrap();
    let all: Rows = view.scan(&table, None).map(Result::unwrap).collect();
    let bounds = [None].into_iter().chain(all.iter().map(|(key, _)| Some(key)));
    for (from, to) in bounds.clone().flat_map(|from| bounds.clone().map(move |to| (from, to))) {
        let range = from.map_or(KeyRange::default(), |from| KeyRange::default().after(from));
        let range = to.map_or(range.clone(), |to| range.before(to));
        let mut wanted: Rows = view.range(&table, &range).map(Result::unwrap).collect();
        wanted.reverse();
        assert_eq!(view.range_back(&table, &range).map(Result::unwrap).collect::<Rows>(), wanted, "{range:?}");
    }
}

/// Each index holds each row once.
fn whole(view: &View) {
    let table = view.table("t").unwrap();
    let all: Vec<RowKey> = view.scan(&table, None).map(|row| row.unwrap().0).collect();
    for index in table.indexes.iter().filter(|index| !index.is_failed()) {
        let entries = view.index_scan(&table, index, &[KeyRange::default()]);
        let mut keys: Vec<RowKey> = entries.map(Result::unwrap).collect();
        keys.sort();
        assert_eq!(keys, all, "{index:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn an_index_answers_as_a_scan_does(
        (before, after) in (changes(30), changes(30)),
        indexes in indexes(),
        checkpoint in any::<bool>(),
        searches in prop::collection::vec((prop::collection::vec(filter(), 0..4), order()), 1..8),
    ) {
        let store = Store::in_memory().unwrap();
        apply(&store, [create("t", &COLUMNS)]);
        apply(&store, before.iter().map(write));
        let unique = |columns: &[usize]| columns.contains(&3) && columns.len() > 2;
        for (number, columns) in indexes.iter().enumerate() {
            apply(&store, [index(number, columns, unique(columns))]);
        }
        if checkpoint {
            store.checkpoint().unwrap();
        }
        for (change, step) in after.iter().zip(0..) {
            apply(&store, [write(change), build(step % indexes.len(), 2)]);
        }
        for number in 0..indexes.len() {
            apply(&store, [build(number, 100), build(number, 100)]);
        }
        let view = store.view();
        whole(&view);
        reversed(&view);
        let copy = Store::in_memory().unwrap();
        let mut receiver = copy.receive().unwrap();
        view.clone().export().for_each(|chunk| receiver.write(&chunk.unwrap()).unwrap());
        copy.install(receiver.finish().unwrap()).unwrap();
        whole(&copy.view());
        assert_eq!(copy.view().digest().unwrap(), view.digest().unwrap());
        for (filters, order) in &searches {
            same(&view, filters, order.as_deref());
            for columns in &indexes {
                in_order(&view, filters, columns);
            }
        }
    }

    #[test]
    fn a_building_is_the_same_however_its_steps_are_cut_into_batches(
        changes in changes(60),
        (columns, unique) in (indexes(), any::<bool>()),
        (at, size, cut) in (0..30_usize, 1..4_u32, 1..9_usize),
    ) {
        let mut writes = vec![plain(create("t", &COLUMNS))];
        for (number, change) in changes.iter().enumerate() {
            if number == at {
                writes.push(plain(index(0, &columns[0], unique)));
            }
            writes.push(plain(write(change)));
            writes.push(plain(build(0, size)));
        }
        writes.extend((0..20).map(|_| plain(build(0, 1))));
        if at % 5 == 0 {
            writes.push(plain(Write::DropIndex { table: "t".into(), index: "i0".into() }));
        }
        if at % 7 == 0 {
            writes.push(plain(drop_table("t")));
        }
        let (one, other) = (Store::in_memory().unwrap(), Store::in_memory().unwrap());
        let answers = one.apply(&writes, applied(1)).unwrap();
        let mut others = Vec::new();
        for (number, part) in writes.chunks(cut).enumerate() {
            others.extend(other.apply(part, applied(number as u64)).unwrap());
            if number % 5 == 0 {
                other.checkpoint().unwrap();
            }
        }
        prop_assert_eq!(answers, others);
        prop_assert_eq!(one.view().digest().unwrap(), other.view().digest().unwrap());
        prop_assert!(other.view().builds().unwrap().is_empty());
    }
}
