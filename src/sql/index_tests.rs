//! Compares the answers over indexed columns with those of plain tables in SQLite, whatever is compared.

use std::fmt::Write as _;

use proptest::prelude::*;
use rusqlite::Connection;

use super::tests::{QUERIES, Spec, TABLES, ask, same, tables_of};
use crate::store::View;

/// Two tables of all kinds of columns, with what is easily mistaken for its like.
const MIXED: [Spec; 2] = [("t", COLUMNS, ROWS), ("u", COLUMNS, ROWS)];

const COLUMNS: &[&str] = &["i:int", "f:float", "s:text", "b:bool", "at:timestamp", "x"];

const ROWS: &[&str] = &[
    r#"["1",0,0.0,"0",false,"2001-01-01T00:00:00Z",0]"#,
    r#"["2",1,-0.0,"1",true,"2001-01-01T02:00:00+02:00",1]"#,
    r#"["3",7,7.0,"7",null,"2000-12-31T23:59:59.5Z","7"]"#,
    r#"["4",-7,7.5,"07",true,"2001-01-01T00:00:00.000Z",7]"#,
    r#"["5",9007199254740993,9007199254740992.0," 7",false,"1999-12-31T23:59:59-05:00",7.0]"#,
    r#"["6",9007199254740992,9007199254740994.0,"7.0",null,null,7.5]"#,
    r#"["7",9223372036854775807,9223372036854775807.0,"a",null,"9999-12-31T23:59:59Z","07"]"#,
    r#"["8",-9223372036854775808,-9223372036854775808.0,"A",true,null," 7"]"#,
    r#"["9",null,1e300,"ab",null,"0000-01-01T00:00:00Z",true]"#,
    r#"["10",null,5e-324,"a\u0000b",null,null,false]"#,
    r#"["07",7,null,"é",false,"2001-02-01T00:00:00Z","true"]"#,
    r#"[" 7",7,null,null,null,null,[1,2]]"#,
    r#"["a",2,2.0,"",true,null,"[1,2]"]"#,
    r#"["A",3,0.5,"2001-01-01T00:00:00Z",null,null,null]"#,
    r#"["ab",4,-1e300,"Inf",null,"2001-01-01T00:00:00Z",""]"#,
    r#"["Inf",5,0.1,"Infinity",true,null,"a"]"#,
    r#"["é",6,-0.1,"9007199254740993",false,null,9007199254740993]"#,
    r#"["z",6,-0.1,"1e300",false,null,9007199254740992.0]"#,
];

/// What a column is held against.
const WORDS: &[&str] = &[
    "0",
    "1",
    "7",
    "-7",
    "7.0",
    "7.5",
    "'7'",
    "'07'",
    "' 7'",
    "'7.0'",
    "'+7'",
    "'a'",
    "'A'",
    "''",
    "'true'",
    "TRUE",
    "NULL",
    "x'37'",
    "9e999",
    "-9e999",
    "1e300",
    "-0.0",
    "'1e300'",
    "9007199254740992",
    "9007199254740993",
    "9007199254740992.0",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "'9007199254740993'",
    "'2001-01-01T00:00:00Z'",
    "'2001-01-01T02:00:00+02:00'",
    "'2001'",
    "'[1,2]'",
];

const NAMES: &[&str] = &["i", "f", "s", "b", "at", "x", "row_id"];
const SIGNS: &[&str] = &["=", "<", "<=", ">", ">=", "IS"];

fn mixed() -> (View, Connection) {
    let mut indexes: Vec<(&str, &[&str], bool)> = Vec::new();
    for columns in [&["i"] as &[&str], &["f"], &["s"], &["b"], &["at"], &["x"], &["b", "i"], &["x", "s"], &["i", "s"]] {
        indexes.extend(["t", "u"].map(|table| (table, columns, false)));
    }
    indexes.push(("u", &["s", "i"], true));
    tables_of(&MIXED, &indexes)
}

#[test]
fn indexes_change_no_answer() {
    let (view, plain) = tables_of(
        &TABLES,
        &[
            ("students", &["name"], true),
            ("students", &["grade"], false),
            ("students", &["grade", "age"], false),
            ("students", &["age"], false),
            ("students", &["score"], false),
            ("students", &["ok"], false),
            ("students", &["born"], false),
            ("students", &["note"], false),
            ("teachers", &["name"], false),
            ("teachers", &["room"], true),
            ("marks", &["student", "mark"], false),
            ("marks", &["teacher"], false),
            ("marks", &["mark"], false),
            ("marks", &["extra"], false),
        ],
    );
    QUERIES.iter().for_each(|query| same(&view, &plain, query));
}

#[test]
fn a_column_finds_the_same_rows_for_every_word() {
    let (view, plain) = mixed();
    for name in NAMES {
        for (at, word) in WORDS.iter().enumerate() {
            let other = WORDS[(at + 7) % WORDS.len()];
            // One row of many columns is one query instead of many.
            let mut query = String::from("SELECT");
            for sign in SIGNS {
                let of = |condition: String| {
                    format!("(SELECT json_group_array(row_id ORDER BY row_id) FROM t WHERE {condition}),")
                };
                query += &of(format!("{name} {sign} {word}"));
                query += &of(format!("{name} {sign} (SELECT {word})"));
                query += &of(format!("{name} {sign} (SELECT CAST({word} AS INTEGER))"));
                query += &of(format!("{name} {sign} CAST({word} AS TEXT)"));
            }
            let _ = write!(query, "(SELECT count(*) FROM t WHERE {name} IN ({word}, {other})),");
            let _ =
                write!(query, "(SELECT count(*) FROM t WHERE {name} IN (SELECT {name} FROM u WHERE {name} >= {word}))");
            same(&view, &plain, &query);
        }
    }
}

#[test]
fn columns_of_all_kinds_are_joined_alike() {
    let (view, plain) = mixed();
    for own in NAMES {
        for other in NAMES {
            for sign in SIGNS {
                same(
                    &view,
                    &plain,
                    &format!("SELECT t.row_id, u.row_id FROM t CROSS JOIN u ON u.{own} {sign} t.{other}"),
                );
            }
            same(&view, &plain, &format!("SELECT t.row_id, u.row_id FROM t LEFT JOIN u ON u.{own} = t.{other}"));
        }
    }
}

fn condition() -> impl Strategy<Value = String> {
    let picked = |words: &'static [&'static str]| proptest::sample::select(words);
    (picked(NAMES), picked(SIGNS), picked(WORDS), picked(WORDS), 0..8_u8).prop_map(|(name, sign, word, other, kind)| {
        match kind {
            0 => format!("{name} IN ({word}, {other}, 7)"),
            1 => format!("{name} IS NULL"),
            2 => format!("{name} GLOB 'a*'"),
            3 => format!("{name} BETWEEN {word} AND {other}"),
            4 => format!("({name} {sign} {word} OR {name} = {other})"),
            _ => format!("{name} {sign} {word}"),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_conditions_in_any_order_find_the_same(
        all in proptest::collection::vec((proptest::collection::vec(condition(), 1..4), 0..NAMES.len(), any::<bool>()), 20)
    ) {
        let (view, plain) = mixed();
        for (conditions, by, falls) in all {
            let (by, conditions) = (NAMES[by], conditions.join(" AND "));
            let falls = if falls { "DESC" } else { "" };
            same(&view, &plain, &format!("SELECT * FROM u WHERE {conditions} ORDER BY {by} {falls}, row_id"));
            same(&view, &plain, &format!("SELECT count(*), min(row_id) FROM u WHERE {conditions} GROUP BY {by} ORDER BY 2"));
            same(&view, &plain, &format!("SELECT count(*) FROM (SELECT DISTINCT {by} FROM u WHERE {conditions})"));
        }
    }
}

#[test]
fn plans_name_the_index_that_they_use() {
    let (view, _) = mixed();
    let wide = "SELECT * FROM t a CROSS JOIN u";
    for (query, plan) in [
        ("SELECT * FROM t WHERE i = 7", "INDEX 3:index i: i =="),
        ("SELECT * FROM t WHERE i IN (1, 2)", "INDEX 3:index i: i ="),
        ("SELECT * FROM t WHERE f > 0 AND f <= 7.5", "INDEX 3:index f: f > and f <="),
        ("SELECT * FROM t WHERE s GLOB 'a*'", "INDEX 3:index s: s >= and s <"),
        ("SELECT * FROM t WHERE b = TRUE AND i > 3", "INDEX 3:index b_i: b == and i >"),
        ("SELECT * FROM t WHERE at = '2001-01-01T00:00:00Z'", "INDEX 3:index at: at ="),
        ("SELECT * FROM t WHERE at > '2001'", "INDEX 0:all rows"),
        ("SELECT * FROM t WHERE x = 7", "INDEX 3:index x: x =="),
        ("SELECT * FROM t WHERE x > 7", "INDEX 0:all rows"),
        ("SELECT * FROM t WHERE x IN (7, 'a')", "INDEX 0:all rows"),
        ("SELECT * FROM t WHERE s = 'a' COLLATE NOCASE", "INDEX 0:all rows"),
        ("SELECT * FROM t WHERE i = 7 AND row_id = 'a'", "INDEX 1:row id ="),
        ("SELECT * FROM u WHERE s = 'a' AND i = 7", "INDEX 3:index s_i: s = and i =="),
        (&format!("{wide} ON u.i = a.i"), "u VIRTUAL TABLE INDEX 3:index i: i ="),
        // The small side is read, and the large one looked up.
        ("SELECT * FROM t JOIN u ON u.s = t.s WHERE t.row_id = '7'", "u VIRTUAL TABLE INDEX 3:index s: s ="),
    ] {
        let said = format!("{:?}", ask(&view, &format!("EXPLAIN QUERY PLAN {query}")).unwrap().rows);
        assert!(said.contains(plan), "{query}: {said}");
    }
    for (query, sorted) in [
        ("SELECT * FROM t WHERE i > 0 ORDER BY i", false),
        ("SELECT * FROM t WHERE s > 'a' ORDER BY s, row_id", false),
        ("SELECT * FROM t WHERE s = 'a' ORDER BY row_id", false),
        ("SELECT * FROM t WHERE i > 0 ORDER BY i DESC", true),
        ("SELECT * FROM t WHERE i > 0 ORDER BY i, s", true),
        ("SELECT * FROM t WHERE at = 'a' ORDER BY at, s", true),
    ] {
        let said = format!("{:?}", ask(&view, &format!("EXPLAIN QUERY PLAN {query}")).unwrap().rows);
        assert_eq!(said.contains("TEMP B-TREE"), sorted, "{query}: {said}");
    }
}
