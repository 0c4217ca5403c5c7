//! Every limit of the README that the store keeps: reached without complaint, and not passed.

use crate::model::{
    Alteration, Applied, Cell, Code, ColumnSpec, Condition, Effect, Failure, Filter, IndexSpec, IndexState, IndexUse,
    MAX_INDEX_COLUMNS, MAX_INDEXED_BYTES, MAX_INDEXES, MAX_OPERATIONS, MAX_ROW_ID, MAX_TRANSACTION_BYTES, Operation,
    PutMode, RowKey, Value, Write,
};

use super::super::refusals::{MAX_ROW_BYTES, MAX_TABLES};
use super::super::{Store, View};
use super::common::{apply, create, drop_table, put};

/// The most columns of a table.
const COLUMNS: usize = 1_000;

fn one(store: &Store, write: Write) -> Result<Applied, Failure> {
    apply(store, [write]).remove(0)
}

#[track_caller]
fn refused(store: &Store, write: Write, code: Code, said: &str) {
    let before = store.view().digest().unwrap();
    let failure = one(store, write).unwrap_err();
    assert_eq!(failure.code, code, "{}", failure.message);
    assert!(failure.message.contains(said), "{}", failure.message);
    assert_eq!(store.view().digest().unwrap(), before, "a refused write leaves no trace");
}

fn index(columns: &[&str], name: &str) -> Write {
    let columns = columns.iter().map(|column| column.to_string()).collect();
    Write::CreateIndex { table: "t".into(), index: IndexSpec { name: Some(name.into()), columns, unique: false } }
}

fn operation(row_id: usize, bytes: usize) -> Operation {
    let cells = vec![("a".to_string(), Cell::Text("x".repeat(bytes)))];
    Operation::Put { table: "t".into(), row_id: row_id.to_string(), cells, mode: PutMode::Insert }
}

fn transaction(operations: Vec<Operation>) -> Write {
    Write::Transaction { checks: vec![], operations }
}

fn rows(view: &View) -> u64 {
    view.rows(&view.table("t").unwrap()).unwrap()
}

#[test]
fn a_cluster_has_ten_thousand_tables() {
    let store = Store::in_memory().unwrap();
    let names: Vec<String> = (0..MAX_TABLES).map(|number| format!("t{number}")).collect();
    for names in names.chunks(1_000) {
        let answers = apply(&store, names.iter().map(|name| create(name, &["a"])));
        assert!(answers.iter().all(Result::is_ok));
    }
    refused(&store, create("more", &["a"]), Code::TooLarge, "there are 10000 tables, as many as there may be");
    assert_eq!(store.view().tables().unwrap().len(), MAX_TABLES);
    one(&store, put("t9999", 1, &[("a", "x")])).unwrap();
    one(&store, drop_table("t7")).unwrap();
    one(&store, create("more", &["a"])).unwrap();
    refused(&store, create("again", &["a"]), Code::TooLarge, "10000 tables");
}

#[test]
fn a_table_has_a_thousand_columns() {
    let store = Store::in_memory().unwrap();
    let names: Vec<String> = (0..=COLUMNS).map(|number| format!("c{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    one(&store, create("other", &["a"])).unwrap();
    refused(&store, create("t", &names), Code::BadRequest, "has 1001 columns; it needs 1 to 1000");
    one(&store, create("t", &names[..COLUMNS])).unwrap();
    let cells: Vec<(&str, &str)> = names[..COLUMNS].iter().map(|name| (*name, *name)).collect();
    one(&store, put("t", 1, &cells)).unwrap();
    let (view, key) = (store.view(), RowKey("1".into()));
    let table = view.table("t").unwrap();
    let row = view.row(&table, &key).unwrap().unwrap();
    assert!(row.values.iter().zip(&names).all(|(value, name)| *value == Value::Text((*name).into())));
    let add = |name: &str| Alteration::Add(ColumnSpec::parse(name).unwrap());
    let alter = |changes: Vec<Alteration>| Write::AlterTable { name: "t".into(), changes };
    refused(&store, alter(vec![add("more")]), Code::BadRequest, "has 1000 columns, as many as it may have");
    // One that was dropped makes room.
    one(&store, alter(vec![Alteration::Drop { column: "c5".into() }, add("more")])).unwrap();
    refused(&store, alter(vec![add("again")]), Code::BadRequest, "1000 columns");
    let many = vec![Alteration::Rename { from: "more".into(), to: "more".into() }; 101];
    refused(&store, alter(many), Code::BadRequest, "altered by 1 to 100 changes, not 101");
}

#[test]
fn a_table_has_thirty_two_indexes_of_eight_columns() {
    let store = Store::in_memory().unwrap();
    let columns = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    one(&store, create("t", &columns)).unwrap();
    refused(&store, index(&columns, "nine"), Code::BadRequest, "an index has 1 to 8 columns, not 9");
    refused(&store, index(&[], "none"), Code::BadRequest, "1 to 8 columns, not 0");
    for number in 0..MAX_INDEXES {
        one(&store, index(&columns[..MAX_INDEX_COLUMNS], &format!("i{number}"))).unwrap();
    }
    refused(&store, index(&["i"], "more"), Code::BadRequest, "has 32 indexes, as many as it may have");
    one(&store, put("t", 1, &[("a", "x"), ("h", "y")])).unwrap();
    let view = store.view();
    let table = view.table("t").unwrap();
    let whole = [crate::model::KeyRange::default()];
    assert!(table.indexes.iter().all(|index| view.index_scan(&table, index, &whole).count() == 1));
    one(&store, Write::DropIndex { table: "t".into(), index: "i0".into() }).unwrap();
    one(&store, index(&["i"], "more")).unwrap();
    let unique: Vec<String> = (0..=MAX_INDEXES).map(|number| format!("c{number}:unique")).collect();
    let unique: Vec<&str> = unique.iter().map(String::as_str).collect();
    refused(&store, create("u", &unique), Code::BadRequest, "32 indexes");
}

#[test]
fn an_indexed_text_has_512_bytes_in_each_of_eight_columns() {
    let store = Store::in_memory().unwrap();
    let columns = ["a", "b", "c", "d", "e", "f", "g", "h"];
    one(&store, create("t", &columns)).unwrap();
    one(&store, index(&columns, "all")).unwrap();
    // Each byte of value 0 takes two in the key.
    let (longest, id) = ("\0".repeat(MAX_INDEXED_BYTES), "k".repeat(MAX_ROW_ID));
    let cells: Vec<(&str, &str)> = columns.iter().map(|column| (*column, longest.as_str())).collect();
    one(&store, put("t", &id, &cells)).unwrap();
    let view = store.view();
    let table = view.table("t").unwrap();
    let conditions: Vec<Condition> =
        columns.iter().map(|c| Filter::parse(&format!("{c}={longest}")).unwrap().bind(&table).unwrap()).collect();
    let by = IndexUse::best(&table, &conditions, None).unwrap();
    let found: Vec<RowKey> = view.index_scan(&table, &table.indexes[0], &by.ranges).map(Result::unwrap).collect();
    assert_eq!(found, [RowKey(id.into_bytes())]);
    let longer = "x".repeat(MAX_INDEXED_BYTES + 1);
    refused(&store, put("t", 2, &[("h", &longer)]), Code::TooLarge, "has 513 bytes, and index \"all\" takes 512");
    // What is there already and too long makes the building fail, and says so.
    one(&store, Write::DropIndex { table: "t".into(), index: "all".into() }).unwrap();
    one(&store, put("t", 2, &[("h", &longer)])).unwrap();
    one(&store, index(&["h"], "late")).unwrap();
    one(&store, Write::BuildIndex { table: "t".into(), index: "late".into(), rows: 100 }).unwrap();
    let table = store.view().table("t").unwrap();
    let IndexState::Failed(why) = &table.indexes[0].state else { panic!("{:?}", table.indexes[0].state) };
    assert!(why.contains("has 513 bytes"), "{why}");
}

#[test]
fn a_row_has_a_mebibyte_and_its_id_512_bytes() {
    let store = Store::in_memory().unwrap();
    one(&store, create("t", &["a:text"])).unwrap();
    let text = |bytes: usize| "x".repeat(bytes);
    // A record holds some bytes beside its values.
    one(&store, put("t", 1, &[("a", &text(MAX_ROW_BYTES - 32))])).unwrap();
    refused(&store, put("t", 1, &[("a", &text(MAX_ROW_BYTES))]), Code::TooLarge, "a row may take 1048576");
    one(&store, put("t", "é".repeat(MAX_ROW_ID / 2), &[])).unwrap();
    refused(&store, put("t", text(MAX_ROW_ID + 1), &[]), Code::BadName, "longer than 512 bytes");
}

#[test]
fn a_transaction_has_1024_operations_and_four_mebibytes() {
    let store = Store::in_memory().unwrap();
    one(&store, create("t", &["a:text"])).unwrap();
    let most = transaction((0..MAX_OPERATIONS).map(|row_id| operation(row_id, 1)).collect());
    let Effect::Transacted(done) = one(&store, most).unwrap().effect else { panic!("a transaction") };
    assert_eq!((done.len(), rows(&store.view())), (MAX_OPERATIONS, 1_024));
    let large = MAX_TRANSACTION_BYTES / 4 - 128;
    one(&store, transaction((2_000..2_004).map(|row_id| operation(row_id, large)).collect())).unwrap();
    let five = (3_000..3_005).map(|row_id| operation(row_id, large)).collect();
    refused(&store, transaction(five), Code::TooLarge, "operations[4]: with it the transaction reads and writes more");
    // What is read counts as well.
    let get = |row_id: usize| Operation::Get { table: "t".into(), row_id: row_id.to_string() };
    let read = |times: usize| transaction((0..times).map(|time| get(2_000 + time % 4)).collect());
    one(&store, read(4)).unwrap();
    refused(&store, read(5), Code::TooLarge, "operations[4]: with it the transaction reads and writes more");
    let both = transaction(vec![get(2_000), get(2_001), operation(4_000, large), get(2_002), operation(4_001, large)]);
    refused(&store, both, Code::TooLarge, "operations[4]");
    assert_eq!(rows(&store.view()), 1_028);
}
