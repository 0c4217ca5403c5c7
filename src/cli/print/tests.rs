//! Holds how one result looks in every format.

use super::*;
use crate::model::Value;

fn people() -> View {
    let rows = vec![
        vec![text("1"), text("Ahmed"), Value::Int(i64::MAX), Value::Null],
        vec![text("2"), text("a,\"b\"|\t\u{1b}[31m\n\\é"), Value::Float(0.1), Value::Json(r#"{"b":[1,2.50]}"#.into())],
    ];
    View::list(&["row_id", "name", "n", "bio"], rows)
}

fn shown(format: Format) -> String {
    people().render(format, Style::default())
}

fn one() -> View {
    View::single(&["table", "row_id", "revision"], vec![text("t"), text("1"), number(42)])
        .look(Look::Sentence("inserted row 1 into t (revision 42)".into()))
}

#[test]
fn a_table_has_a_frame_and_escapes_what_moves_a_cursor() {
    let wanted = "\
┌────────┬────────────────────────┬─────────────────────┬────────────────┐
│ row_id ┆ name                   ┆ n                   ┆ bio            │
╞════════╪════════════════════════╪═════════════════════╪════════════════╡
│ 1      ┆ Ahmed                  ┆ 9223372036854775807 ┆ NULL           │
│ 2      ┆ a,\"b\"|\\t\\u{1b}[31m\\n\\é ┆                 0.1 ┆ {\"b\":[1,2.50]} │
└────────┴────────────────────────┴─────────────────────┴────────────────┘
";
    assert_eq!(shown(Format::Table), wanted);
}

#[test]
fn json_is_an_array_of_flat_objects_that_any_reader_takes() {
    let out = shown(Format::Json);
    let wanted = r#"[
  {"row_id":"1","name":"Ahmed","n":9223372036854775807,"bio":null},
  {"row_id":"2","name":"a,\"b\"|\t\u001b[31m\n\\é","n":0.1,"bio":{"b":[1,2.50]}}
]
"#;
    assert_eq!(out, wanted);
    let empty = View::list(&["a"], Vec::new());
    assert_eq!(empty.render(Format::Json, Style::default()), "[]\n");
    assert_eq!(empty.render(Format::Jsonl, Style::default()), "");
    let odd = View::list(&["a"], vec![vec![text("\u{9b}\u{7f}\u{202e}")]]);
    assert_eq!(odd.render(Format::Jsonl, Style::default()), "{\"a\":\"\\u009b\\u007f\\u202e\"}\n");
}

#[test]
fn jsonl_has_one_object_a_line() {
    let out = shown(Format::Jsonl);
    assert_eq!(out.lines().count(), 2);
    assert!(out.starts_with("{\"row_id\":\"1\",\"name\":\"Ahmed\""));
    for line in out.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn csv_quotes_what_it_must_and_is_escaped_on_a_terminal_only() {
    let wanted = "row_id,name,n,bio\n1,Ahmed,9223372036854775807,\n2,\"a,\"\"b\"\"|\t\u{1b}[31m\n\\é\",0.1,\"{\"\"b\"\":[1,2.50]}\"\n";
    assert_eq!(shown(Format::Csv), wanted);
    let terminal = Style { terminal: true, ..Style::default() };
    assert!(!people().render(Format::Csv, terminal).contains('\u{1b}'));
}

#[test]
fn csv_tells_empty_text_from_null() {
    let view = View::list(&["a", "b", "c"], vec![vec![text(""), Value::Null, text("x,\"y\"")], vec![Value::Null; 3]]);
    assert_eq!(view.render(Format::Csv, Style::default()), "a,b,c\n\"\",,\"x,\"\"y\"\"\"\n,,\n");
}

#[test]
fn a_number_is_not_cut_where_texts_can_be() {
    let view = View::list(&["name", "n"], vec![vec![text("x".repeat(40)), Value::Int(i64::MAX)]]);
    for (width, whole) in [(45, true), (34, true), (20, false)] {
        let shown = view.render(Format::Table, Style { width: Some(width), ..Style::default() });
        assert_eq!(shown.contains("│ xxx") && shown.contains("┆ 9223372036854775807 │"), whole, "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= usize::from(width)), "{shown}");
    }
}

#[test]
fn tsv_has_a_row_a_line() {
    let wanted = "row_id\tname\tn\tbio\n1\tAhmed\t9223372036854775807\t\n2\ta,\"b\"|\\t\\u{1b}[31m\\n\\\\é\t0.1\t{\"b\":[1,2.50]}\n";
    assert_eq!(shown(Format::Tsv), wanted);
}

#[test]
fn line_has_a_column_a_line() {
    let wanted = "\
row_id = 1
  name = Ahmed
     n = 9223372036854775807
   bio = NULL

row_id = 2
  name = a,\"b\"|\\t\\u{1b}[31m\\n\\é
     n = 0.1
   bio = {\"b\":[1,2.50]}
";
    assert_eq!(shown(Format::Line), wanted);
}

#[test]
fn markdown_escapes_the_bars() {
    let wanted = "\
| row_id | name | n | bio |
| --- | --- | --- | --- |
| 1 | Ahmed | 9223372036854775807 | NULL |
| 2 | a,\"b\"\\|\\t\\u{1b}[31m\\n\\é | 0.1 | {\"b\":[1,2.50]} |
";
    assert_eq!(shown(Format::Markdown), wanted);
}

#[test]
fn rows_that_come_in_pieces_look_the_same() {
    for format in [Format::Table, Format::Json, Format::Jsonl, Format::Csv, Format::Tsv, Format::Line, Format::Markdown]
    {
        let View { columns, rows, .. } = people();
        let mut printer = Printer::new(format, Style::default(), columns);
        let mut out = printer.head();
        for row in rows {
            out += &printer.rows(vec![row]);
        }
        out += &printer.foot();
        assert_eq!(out, shown(format), "{format:?}");
    }
}

#[test]
fn one_result_is_a_sentence_for_people_and_an_object_for_programs() {
    assert_eq!(one().render(Format::Table, Style::default()), "inserted row 1 into t (revision 42)\n");
    for format in [Format::Json, Format::Jsonl] {
        assert_eq!(one().render(format, Style::default()), "{\"table\":\"t\",\"row_id\":\"1\",\"revision\":42}\n");
    }
    assert_eq!(one().render(Format::Csv, Style::default()), "table,row_id,revision\nt,1,42\n");
}

#[test]
fn a_title_stands_above_a_table_only_and_nulls_below_it_are_empty() {
    let view = View::list(&["a"], vec![vec![Value::Null]]).look(Look::Titled("all is well".into()));
    let wanted = "all is well\n┌───┐\n│ a │\n╞═══╡\n│   │\n└───┘\n";
    assert_eq!(view.render(Format::Table, Style::default()), wanted);
    assert_eq!(view.render(Format::Json, Style::default()), "[\n  {\"a\":null}\n]\n");
    assert_eq!(view.json(&[1, 2]).render(Format::Json, Style::default()), "[1,2]\n");
}

#[test]
fn bare_values_have_a_line_a_row() {
    let view = View::list(&["row_id"], vec![vec![text("a\u{202e}")], vec![Value::Int(7)]]).look(Look::Bare);
    assert_eq!(view.render(Format::Table, Style::default()), "a\\u{202e}\n7\n");
}

#[test]
fn a_table_wraps_to_the_terminal_and_becomes_lines_where_it_is_too_narrow() {
    let at = |width| Style { width: Some(width), ..Style::default() };
    let wrapped = people().render(Format::Table, at(60));
    assert!(wrapped.lines().all(|line| line.chars().count() <= 60), "{wrapped}");
    assert!(wrapped.starts_with('┌'));
    assert!(people().render(Format::Table, at(31)).starts_with("row_id = 1\n"));
}

#[test]
fn colour_comes_only_where_it_is_asked_for() {
    assert!(!shown(Format::Table).contains('\u{1b}'));
    let color = Style { color: true, ..Style::default() };
    let out = people().render(Format::Table, color);
    assert!(out.contains("\u{1b}[1m") && out.contains("\u{1b}[2m"), "{out:?}");
    assert!(!people().render(Format::Json, color).contains('\u{1b}'));
}

#[test]
fn sizes_have_a_unit_that_fits() {
    for (count, shown) in [(0, "0.0 B"), (1_536, "1.5 KiB"), (64 << 20, "64.0 MiB"), (5 << 40, "5120.0 GiB")] {
        assert_eq!(bytes(count), shown);
    }
}

#[test]
fn a_table_is_as_wide_as_the_terminal_and_shows_where_it_cut() {
    let rows = vec![vec![text("1"), text("a long name that goes on and on"), text("日本語"), Value::Null]];
    let view = View::list(&["row_id", "name", "city", "bio"], rows);
    let shown = |width| view.render(Format::Table, Style { terminal: true, width: Some(width), color: false });
    let wanted = "\
┌────────┬────────────────────┬────────┬──────┐
│ row_id ┆ name               ┆ city   ┆ bio  │
╞════════╪════════════════════╪════════╪══════╡
│ 1      ┆ a long name that…  ┆ 日本語 ┆ NULL │
└────────┴────────────────────┴────────┴──────┘
";
    assert_eq!(shown(47), wanted);
    assert!(shown(30).starts_with("row_id = 1\n  name = a long name that goes on and on\n"), "{}", shown(30));
    let whole = view.clone().look(Look::Titled("a title".into()));
    let shown = whole.render(Format::Table, Style { terminal: true, width: Some(47), color: false });
    assert!(shown.contains("goes on and") && !shown.contains('…'), "{shown}");
}
