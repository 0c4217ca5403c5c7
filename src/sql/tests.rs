//! Compares the answers with those of plain tables in SQLite, and holds what a query may not do.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::{Gate, Sink, SqlError, run, value};
use crate::model::{
    Cell, Code, ColumnSpec, Failure, IndexSpec, Proposal, PutMode, SqlColumn, SqlParams, SqlQuery, Value, When, Write,
};
use crate::store::{Marks, Store, View};

/// A table, its columns, and its rows as JSON: the row id, then a value a column.
pub(super) type Spec = (&'static str, &'static [&'static str], &'static [&'static str]);

pub(super) const TABLES: [Spec; 3] = [
    (
        "students",
        &[
            "id:int",
            "name:text",
            "grade:text",
            "age:int",
            "score:float",
            "ok:bool",
            "born:timestamp",
            "note",
            "doc:json",
        ],
        &[
            r#"[1,"Ahmed","A",20,1.5,true,"2001-01-01T00:00:00Z","x",{"k":[1,2]}]"#,
            r#"[2,"Sara","B",21,2.0,false,"2002-01-01T00:00:00Z",7,[1,2,3]]"#,
            r#"[3,"lina","A",null,null,null,null,null,null]"#,
            r#"[-5,"Omar",null,19,-0.25,true,"1999-12-31T23:59:59+02:00","7",{"k":null}]"#,
            r#"[9223372036854775807,"Max","C",9223372036854775807,1e300,false,null,7.5,"text"]"#,
            r#"[-9223372036854775808,"Min","C",-9223372036854775808,5e-324,true,null,true,12]"#,
            r#"[10,"Ärla","B",20,0.1,false,"2001-01-01T00:00:00Z","10",null]"#,
        ],
    ),
    (
        "teachers",
        &["name:text", "subject:text", "room:int"],
        &[
            r#"["t1","Huda","maths",1]"#,
            r#"["t2","Omar","art",2]"#,
            r#"["T3","Nour","maths",null]"#,
            r#"["10","Ten","art",10]"#,
        ],
    ),
    (
        "marks",
        &["id", "student:int", "teacher:text", "mark:float", "extra"],
        &[
            r#"["m1",1,"t1",1.0,1]"#,
            r#"["m2",1,"t2",2.5,"1"]"#,
            r#"["7",2,"t1",3.0,null]"#,
            r#"["07",2,"T3",null,7]"#,
            r#"["m10",10,"10",4.0,"b"]"#,
            r#"["m1x",99,"t9",5.0,"a"]"#,
            r#"["-1",-5,"t2",0.0,2.5]"#,
        ],
    ),
];

pub(super) const QUERIES: &[&str] = &[
    "SELECT * FROM students ORDER BY id",
    "SELECT id, name FROM students ORDER BY id DESC LIMIT 3",
    "SELECT name FROM students WHERE id = 2",
    "SELECT name FROM students WHERE id = '2' OR id = 3.0 OR grade = 'B' ORDER BY name",
    "SELECT name FROM students WHERE id IN (1, 10, 4, '2', 2.5) ORDER BY id",
    "SELECT id FROM students WHERE id > 1 AND id <= 10",
    "SELECT id FROM students WHERE id BETWEEN -9223372036854775808 AND 1.5",
    "SELECT id FROM students WHERE id >= 9223372036854775807",
    "SELECT id FROM students WHERE id < 9223372036854775807.0",
    "SELECT id FROM students WHERE id > 1e30 OR id < -1e30",
    "SELECT id FROM students WHERE id = 9.223372036854775807e18",
    "SELECT id FROM students WHERE id < 'abc'",
    "SELECT id FROM students WHERE id = NULL OR id IS NULL",
    "SELECT id, age + 0, age - 1 FROM students WHERE age IS NOT NULL AND id <> 9223372036854775807 AND id > -6",
    "SELECT grade, count(*), min(age), max(score), avg(score) FROM students GROUP BY grade ORDER BY grade",
    "SELECT grade, count(*) AS n FROM students GROUP BY grade HAVING n > 1 ORDER BY n DESC, grade",
    "SELECT count(*), count(age), count(DISTINCT grade), total(score) FROM students",
    "SELECT DISTINCT grade FROM students ORDER BY 1",
    "SELECT name FROM students WHERE ok ORDER BY name COLLATE NOCASE",
    "SELECT name, ok, NOT ok FROM students ORDER BY ok, id",
    "SELECT id FROM students WHERE born > '2000' ORDER BY born, id",
    "SELECT id, typeof(note), note FROM students ORDER BY id",
    "SELECT id FROM students WHERE note = 7",
    "SELECT id FROM students WHERE note = '7'",
    "SELECT id FROM students WHERE note > 5 ORDER BY note, id",
    "SELECT id, json_extract(doc, '$.k[1]') FROM students WHERE json_valid(doc) AND json_type(doc) = 'object'",
    "SELECT s.id, j.value FROM students s, json_each(s.doc) j WHERE s.id = 2",
    "SELECT s.name, t.name, m.mark FROM students s JOIN marks m ON m.student = s.id JOIN teachers t ON t.row_id = m.teacher ORDER BY 1, 2",
    "SELECT s.name, count(m.id) FROM students s LEFT JOIN marks m ON m.student = s.id GROUP BY s.id ORDER BY s.id",
    "SELECT m.id, t.row_id FROM marks m JOIN teachers t ON t.room = m.mark ORDER BY 1, 2",
    "SELECT a.id, b.id FROM marks a JOIN marks b ON a.extra = b.extra ORDER BY 1, 2",
    "SELECT s.id, m.id FROM students s JOIN marks m ON m.id = s.age - 14 ORDER BY 1, 2",
    "SELECT m.id, s.id FROM marks m JOIN students s ON m.id = s.note ORDER BY 1, 2",
    "SELECT s.id, m.id FROM marks m CROSS JOIN students s ON s.id = m.id ORDER BY 1, 2",
    "SELECT m.id FROM students s CROSS JOIN marks m ON m.id = s.note ORDER BY 1",
    "SELECT id FROM marks WHERE id = 7",
    "SELECT id FROM marks WHERE id IN (7, 'm1')",
    "SELECT id FROM marks WHERE id = 'M1' COLLATE NOCASE",
    "SELECT id FROM marks WHERE id > 'm1' AND id < 'm2'",
    "SELECT id FROM marks WHERE id >= 7 ORDER BY id",
    "SELECT id FROM marks WHERE id GLOB 'm1*' ORDER BY id DESC",
    "SELECT id FROM marks WHERE id LIKE 'M1%' ORDER BY id",
    "SELECT id FROM marks WHERE id IN (SELECT 'm' || id FROM students)",
    "SELECT id FROM marks WHERE id IN (SELECT age - 14 FROM students)",
    "SELECT row_id FROM teachers WHERE row_id IS 't1'",
    "SELECT id, mark, rank() OVER (ORDER BY mark DESC) FROM marks ORDER BY id",
    "SELECT id FROM students WHERE EXISTS (SELECT 1 FROM marks WHERE student = students.id) ORDER BY id",
    "SELECT subject FROM teachers UNION SELECT grade FROM students ORDER BY 1",
    "SELECT name FROM teachers INTERSECT SELECT name FROM students",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 5) SELECT x, name FROM c LEFT JOIN students ON id = x",
    "SELECT STUDENTS.NAME FROM Students WHERE Id = 1",
    "SELECT group_concat(id, ',') FROM (SELECT id FROM marks ORDER BY id)",
    "SELECT 9007199254740993, 0.1 + 0.2, 1e300 * 10, 'é', x'00ff', NULL, 9e999",
];

fn tables() -> (View, Connection) {
    tables_of(&TABLES, &[])
}

/// A store with tables and indexes, and SQLite with the same rows in plain tables of its own.
pub(super) fn tables_of(tables: &[Spec], indexes: &[(&str, &[&str], bool)]) -> (View, Connection) {
    let store = Store::in_memory().unwrap();
    let plain = Connection::open_in_memory().unwrap();
    plain.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DQS_DML, false).unwrap();
    for &(name, columns, rows) in tables {
        let specs: Vec<ColumnSpec> = columns.iter().map(|column| ColumnSpec::parse(column).unwrap()).collect();
        put(&store, Write::CreateTable { name: name.into(), columns: specs });
        for (table, columns, unique) in indexes.iter().filter(|(table, ..)| *table == name) {
            let columns = columns.iter().map(ToString::to_string).collect();
            let index = IndexSpec { name: None, columns, unique: *unique };
            put(&store, Write::CreateIndex { table: (*table).into(), index });
        }
        for row in rows {
            let values: Vec<Box<serde_json::value::RawValue>> = serde_json::from_str(row).unwrap();
            let values: Vec<Value> = values.iter().map(|value| Value::parse_json(value.get()).unwrap()).collect();
            let mut row_id = String::new();
            match &values[0] {
                Value::Text(text) => row_id.clone_from(text),
                other => other.write_json(&mut row_id),
            }
            let named = columns.iter().map(|column| column.split(':').next().unwrap()).filter(|name| *name != "id");
            let cells = named.zip(&values[1..]).map(|(name, value)| (name.to_string(), Cell::Exact(value.clone())));
            let (table, cells) = (name.into(), cells.collect());
            put(&store, Write::Put { table, row_id, cells, mode: PutMode::Insert, when: When::Always });
        }
    }
    let view = store.view();
    for &(name, columns, rows) in tables {
        let table = view.table(name).unwrap();
        let own = table.id_column().is_none().then_some("row_id").into_iter();
        let all: Vec<String> = own.chain(columns.iter().copied()).map(plain_column).collect();
        plain.execute_batch(&format!("CREATE TABLE {name}({}) WITHOUT ROWID", all.join(", "))).unwrap();
        let marks = vec!["?"; all.len()].join(", ");
        for row in view.scan(&table, None) {
            let (_, row) = row.unwrap();
            let own = table.id_column().is_none().then_some(&row.id).into_iter();
            let values: Vec<_> = own.chain(&row.values).map(value::given).collect();
            let insert = format!("INSERT INTO {name} VALUES ({marks})");
            plain.execute(&insert, rusqlite::params_from_iter(values)).unwrap();
        }
        let count: i64 = plain.query_row(&format!("SELECT count(*) FROM {name}"), [], |row| row.get(0)).unwrap();
        assert_eq!(count as usize, rows.len());
    }
    (view, plain)
}

/// A column as a plain table of SQLite declares it.
fn plain_column(column: &str) -> String {
    match column.split_once(':').unwrap_or((column, "")) {
        ("id", "int") => "id INTEGER PRIMARY KEY".into(),
        ("id" | "row_id", _) => format!("{column} TEXT PRIMARY KEY"),
        (name, "int") => format!("{name} INTEGER"),
        (name, "float") => format!("{name} REAL"),
        (name, "bool") => format!("{name} BOOLEAN"),
        (name, "text" | "timestamp") => format!("{name} TEXT"),
        (name, _) => format!("{name} BLOB"),
    }
}

fn put(store: &Store, write: Write) {
    let answers = store.apply(&[Proposal { write, key: None, at_ms: 0 }], Marks::default()).unwrap();
    answers[0].as_ref().unwrap();
}

#[derive(Default)]
pub(super) struct Collected {
    columns: Vec<SqlColumn>,
    pub(super) rows: Vec<Vec<Value>>,
    most: Option<usize>,
}

impl Sink for Collected {
    fn columns(&mut self, columns: Vec<SqlColumn>) -> bool {
        self.columns = columns;
        true
    }

    fn row(&mut self, row: &[Value]) -> bool {
        self.rows.push(row.to_vec());
        self.most.is_none_or(|most| self.rows.len() < most)
    }
}

const LONG: Duration = Duration::from_secs(60);

pub(super) fn ask_within(view: &View, text: &str, params: SqlParams, gate: Gate) -> Result<Collected, Failure> {
    let mut found = Collected::default();
    match run(view, &SqlQuery { text: text.into(), params }, &Arc::new(gate), &mut found) {
        Ok(count) => {
            assert_eq!(count as usize, found.rows.len());
            Ok(found)
        }
        Err(SqlError::Refused(failure)) => Err(failure),
        Err(SqlError::Store(error)) => panic!("{error}"),
    }
}

pub(super) fn ask(view: &View, text: &str) -> Result<Collected, Failure> {
    ask_within(view, text, SqlParams::Listed(vec![]), Gate::new(LONG))
}

fn plain_rows(plain: &Connection, text: &str) -> Vec<Vec<Value>> {
    let mut statement = plain.prepare(text).unwrap();
    let count = statement.column_count();
    let rows = statement.query_map([], |row| (0..count).map(|at| row.get_ref(at).map(value::answered)).collect());
    rows.unwrap().map(Result::unwrap).collect()
}

/// Holds the answer to a query against that of plain tables.
pub(super) fn same(view: &View, plain: &Connection, query: &str) {
    let mut own = ask(view, query).unwrap_or_else(|failure| panic!("{query}: {failure}")).rows;
    let mut wanted = plain_rows(plain, query);
    if !query.contains("ORDER BY") {
        let text = |row: &Vec<Value>| format!("{row:?}");
        own.sort_by_key(text);
        wanted.sort_by_key(text);
    }
    assert_eq!(own, wanted, "{query}");
}

#[test]
fn answers_are_those_of_plain_tables_in_sqlite() {
    let (view, plain) = tables();
    QUERIES.iter().for_each(|query| same(&view, &plain, query));
}

#[test]
fn columns_have_their_names_and_types_and_rows_their_revision() {
    let (view, _) = tables();
    let found = ask(&view, "SELECT id, name, ok, born, note, doc, score * 2, _revision FROM students WHERE id = 1");
    let found = found.unwrap();
    let columns: Vec<String> =
        found.columns.iter().map(|column| format!("{}:{}", column.name, column.kind.as_str())).collect();
    let wanted =
        ["id:int", "name:text", "ok:bool", "born:timestamp", "note:any", "doc:json", "score * 2:any", "_revision:int"];
    assert_eq!(columns, wanted);
    let row = view.row(&view.table("students").unwrap(), &key(&view, "students", "1")).unwrap().unwrap();
    assert_eq!(found.rows[0][7], Value::Int(row.revision as i64));
    assert_eq!(ask(&view, "SELECT * FROM teachers").unwrap().columns[0].name, "row_id");
}

fn key(view: &View, table: &str, id: &str) -> crate::model::RowKey {
    crate::model::RowKey::new(&view.table(table).unwrap(), id).unwrap()
}

#[test]
fn conditions_on_the_row_id_are_pushed_down() {
    let (view, _) = tables();
    for (query, plan) in [
        ("SELECT * FROM students WHERE id = 2", "INDEX 1:row id ="),
        ("SELECT * FROM marks WHERE id IN ('m1', 'm2')", "INDEX 1:row id ="),
        ("SELECT * FROM marks WHERE id > 'a' AND id <= 'b'", "INDEX 2:row id > and <="),
        ("SELECT * FROM marks WHERE id GLOB 'a*'", "INDEX 2:row id >= and <"),
        ("SELECT * FROM marks WHERE id = 'a' COLLATE NOCASE", "INDEX 0:all rows"),
        ("SELECT * FROM teachers t JOIN marks m ON t.row_id = m.teacher", "t VIRTUAL TABLE INDEX 1:row id ="),
    ] {
        let found = ask(&view, &format!("EXPLAIN QUERY PLAN {query}")).unwrap();
        let said = format!("{:?}", found.rows);
        assert!(said.contains(plan), "{query}: {said}");
    }
    // Rows come by their ids: there is nothing to sort.
    let plan = ask(&view, "EXPLAIN QUERY PLAN SELECT * FROM students ORDER BY id").unwrap();
    assert!(!format!("{:?}", plan.rows).contains("TEMP B-TREE"), "{:?}", plan.rows);
}

#[test]
fn parameters_are_given_by_position_or_by_name() {
    let (view, _) = tables();
    let ids = |text: &str, params| {
        let found = ask_within(&view, text, params, Gate::new(LONG))?;
        Ok::<_, Failure>(found.rows.into_iter().map(|mut row| row.remove(0)).collect::<Vec<Value>>())
    };
    let named = |names: &[(&str, Value)]| {
        SqlParams::Named(names.iter().map(|(name, value)| (name.to_string(), value.clone())).collect())
    };
    let a = Value::Text("A".into());
    let listed =
        ids("SELECT id FROM students WHERE grade = ? AND id < ?", SqlParams::Listed(vec![a.clone(), Value::Int(3)]));
    assert_eq!(listed, Ok(vec![Value::Int(1)]));
    let both = "SELECT id FROM students WHERE grade = :g AND id < $most";
    assert_eq!(ids(both, named(&[("most", Value::Float(2.5)), ("g", a.clone())])), Ok(vec![Value::Int(1)]));
    let big = Value::Int(i64::MIN);
    assert_eq!(ids("SELECT ?", SqlParams::Listed(vec![big.clone()])), Ok(vec![big]));
    for (text, params, said) in [
        ("SELECT ?", SqlParams::Listed(vec![]), "it has 1 parameters, and 0 values were given"),
        ("SELECT 1", SqlParams::Listed(vec![Value::Null]), "it has 0 parameters"),
        (both, named(&[("g", a.clone())]), "no value was given for its parameter \"most\""),
        (both, named(&[("grade", a)]), "it has no parameter \":grade\""),
    ] {
        let failure = ids(text, params).unwrap_err();
        assert!(failure.code == Code::BadSql && failure.message.contains(said), "{text}: {failure}");
    }
}

#[test]
fn what_does_more_than_read_is_refused() {
    let (view, _) = tables();
    for (query, said) in [
        ("INSERT INTO students(id) VALUES (4)", "insert into \"students\""),
        ("UPDATE students SET name = 'x'", "change table \"students\""),
        ("DELETE FROM students", "change table \"students\""),
        ("WITH a AS (SELECT 1) DELETE FROM marks", "change table \"marks\""),
        ("CREATE TABLE t(a)", "create or change something"),
        ("CREATE TEMP TABLE t AS SELECT * FROM students", "create or change something"),
        ("CREATE VIRTUAL TABLE t USING fts5(a)", "create or change something"),
        ("ATTACH 'x.db' AS x", "attach or detach a database"),
        ("VACUUM INTO 'x.db'", "there is no SELECT in it"),
        ("PRAGMA hard_heap_limit", "run the PRAGMA \"hard_heap_limit\""),
        ("SELECT * FROM pragma_table_info('students')", "run the PRAGMA \"table_info\""),
        ("SELECT load_extension('x')", "load an extension"),
        ("SELECT name FROM sqlite_master", "\"sqlite_master\""),
        ("BEGIN", "begin or end a transaction"),
        ("EXPLAIN DELETE FROM students", "change table \"students\""),
    ] {
        let failure = ask(&view, query).map(|_| ()).unwrap_err();
        assert_eq!(failure.code, Code::BadSql, "{query}: {failure}");
        assert!(failure.message.contains(said), "{query}: {failure}");
    }
    for (query, code, said) in [
        ("", Code::BadSql, "there is no SELECT"),
        ("SELECT 1; SELECT 2", Code::BadSql, "more than one statement"),
        ("SELECT 1; DROP TABLE students", Code::BadSql, ""),
        ("SELECT\n *  FORM students", Code::BadSql, "near \"FORM\": syntax error at line 2 column 5"),
        ("SELECT * FROM studnets", Code::TableNotFound, "table \"studnets\" does not exist"),
        ("SELECT nmae FROM students", Code::UnknownColumn, "no such column: nmae at line 1 column 8"),
        ("SELECT \"Ahmed\"", Code::UnknownColumn, "single-quotes"),
        ("SELECT sum(id) FROM students WHERE id > 2 OR id < -6 OR id = 1 AND abs(id)", Code::BadSql, "overflow"),
        ("SELECT json('[')", Code::BadSql, "malformed JSON"),
        ("SELECT zeroblob(99999999)", Code::TooLarge, "16 MiB"),
    ] {
        let failure = ask(&view, query).map(|_| ()).unwrap_err();
        assert_eq!(failure.code, code, "{query}: {failure}");
        assert!(format!("{failure} {:?}", failure.hint).contains(said), "{query}: {failure}");
    }
    let hint = |query: &str| ask(&view, query).map(|_| ()).unwrap_err().hint.unwrap_or_default();
    assert!(hint("SELECT * FROM studnets").contains("did you mean \"students\"?"));
    assert_eq!(hint("SELECT nmae FROM students"), "did you mean \"name\"?");
    assert!(ask(&view, "SELECT 1;  -- the end\n").is_ok());
}

#[test]
fn names_that_differ_in_case_only_are_refused_where_they_are_used() {
    let store = Store::in_memory().unwrap();
    for (name, columns) in [("t", ["a", "b"]), ("T", ["a", "b"]), ("u", ["a", "A"]), ("v", ["a", "b"])] {
        let columns = columns.map(|column| ColumnSpec::parse(column).unwrap()).to_vec();
        put(&store, Write::CreateTable { name: name.into(), columns });
    }
    let view = store.view();
    for (query, said) in [("SELECT * FROM t", "another table"), ("SELECT * FROM u", "another column \"A\"")] {
        let failure = ask(&view, query).map(|_| ()).unwrap_err();
        assert!(failure.code == Code::BadSql && failure.message.contains(said), "{query}: {failure}");
    }
    assert!(ask(&view, "SELECT * FROM V").unwrap().rows.is_empty());
}

#[test]
fn a_query_ends_when_its_time_is_up_or_nobody_wants_it() {
    let (view, _) = tables();
    const ENDLESS: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
    let gate = |time| Gate::new(Duration::from_millis(time));
    let failure = ask_within(&view, ENDLESS, SqlParams::Listed(vec![]), gate(50)).map(|_| ()).unwrap_err();
    assert_eq!((failure.code, failure.message.as_str()), (Code::Timeout, "the query did not end within 0.05 s"));
    let closed = Gate::new(LONG);
    closed.close();
    let failure = ask_within(&view, ENDLESS, SqlParams::Listed(vec![]), closed).map(|_| ()).unwrap_err();
    assert!(failure.message.contains("nobody waits"), "{failure}");
    // A reader that wants no more ends it at once.
    let mut few = Collected { most: Some(3), ..Collected::default() };
    let endless = ENDLESS.replace("count(*)", "x");
    let query = SqlQuery { text: endless, params: SqlParams::Listed(vec![]) };
    assert!(run(&view, &query, &Arc::new(Gate::new(LONG)), &mut few).is_err());
    assert_eq!(few.rows.len(), 3);
}

#[test]
fn waiting_for_the_reader_takes_no_time_of_the_query() {
    let gate = Gate::new(Duration::from_secs(1));
    let began = std::time::Instant::now();
    gate.waiting(|| {
        while began.elapsed() < Duration::from_millis(1_100) {
            std::thread::yield_now();
        }
    });
    assert_eq!(gate.ended(), None);
}

#[test]
fn a_query_sees_one_moment_whatever_is_written_meanwhile() {
    let store = Store::in_memory().unwrap();
    put(&store, Write::CreateTable { name: "t".into(), columns: vec![ColumnSpec::parse("id:int").unwrap()] });
    let row = |id: i64| {
        let mode = PutMode::Insert;
        Write::Put { table: "t".into(), row_id: id.to_string(), cells: vec![], mode, when: When::Always }
    };
    (0..10).for_each(|id| put(&store, row(id)));

    /// Puts a row for each that it is shown.
    struct Meddler<'a>(&'a Store, Vec<Value>);
    impl Sink for Meddler<'_> {
        fn columns(&mut self, _: Vec<SqlColumn>) -> bool {
            true
        }
        fn row(&mut self, row: &[Value]) -> bool {
            let id = 100 + self.1.len();
            let (table, row_id) = ("t".into(), id.to_string());
            put(self.0, Write::Put { table, row_id, cells: vec![], mode: PutMode::Insert, when: When::Always });
            self.1.push(row[0].clone());
            true
        }
    }
    let mut meddler = Meddler(&store, Vec::new());
    let text = "SELECT a.id + (SELECT count(*) FROM t WHERE id >= a.id) FROM t a".into();
    let query = SqlQuery { text, params: SqlParams::Listed(vec![]) };
    assert_eq!(run(&store.view(), &query, &Arc::new(Gate::new(LONG)), &mut meddler).unwrap(), 10);
    assert_eq!(meddler.1, vec![Value::Int(10); 10]);
    assert_eq!(ask(&store.view(), "SELECT count(*) FROM t").unwrap().rows, [[Value::Int(20)]]);
}
