//! Owns what may stand at a place of the line: commands, options, and the values of arguments.

use std::path::Path;

use clap::{Arg, Command};

use super::live::Live;
use super::place::{Place, takes_value};
use crate::cli::help::TOPICS;
use crate::model::ColumnType;

/// What may stand at the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The whole word.
    pub(crate) value: String,
    /// What it means, in a few words; may be empty.
    pub(crate) help: String,
    /// Whether the word goes on: no space follows it.
    pub(crate) open: bool,
}

impl Candidate {
    fn new(value: impl Into<String>, help: impl ToString) -> Candidate {
        Candidate { value: value.into(), help: help.to_string(), open: false }
    }

    fn open(self) -> Candidate {
        Candidate { open: true, ..self }
    }

    /// The same behind what was typed before it in the same word.
    fn behind(self, typed: &str) -> Candidate {
        Candidate { value: format!("{typed}{}", self.value), ..self }
    }
}

/// All that may stand at `place` and begins with `current`.
pub(super) fn offers(place: &Place<'_>, current: &str, live: &dyn Live) -> Vec<Candidate> {
    let mut found = all(place, current, live);
    found.retain(|candidate| candidate.value.starts_with(current));
    found
}

fn all(place: &Place<'_>, current: &str, live: &dyn Live) -> Vec<Candidate> {
    if let Some(option) = place.waiting {
        return values(place, option, current, live);
    }
    if !place.literal && current.starts_with('-') {
        return match current.split_once('=') {
            Some((name, value)) => {
                let option = name.strip_prefix("--").and_then(|long| place.option(|arg| arg.get_long() == Some(long)));
                let found = option.map(|option| values(place, option, value, live)).unwrap_or_default();
                found.into_iter().map(|candidate| candidate.behind(&format!("{name}="))).collect()
            }
            None => options(place),
        };
    }
    let mut found = Vec::new();
    if place.is_unknown() {
        return found;
    }
    if !place.literal {
        found.extend(subcommands(place.command));
    }
    match place.next_positional() {
        Some(arg) => found.extend(values(place, arg, current, live)),
        // Where nothing but options can follow, they are what is asked for.
        None if found.is_empty() && !place.literal => found = options(place),
        None => {}
    }
    found
}

fn subcommands(command: &Command) -> Vec<Candidate> {
    let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
    visible.map(|command| Candidate::new(command.get_name(), about(command.get_about()))).collect()
}

fn options(place: &Place<'_>) -> Vec<Candidate> {
    let option = |arg: &Arg| Some(Candidate::new(format!("--{}", arg.get_long()?), about(arg.get_help())));
    place.options().filter_map(option).collect()
}

fn about(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default().lines().next().unwrap_or_default().into()
}

/// The values that `arg` may have. What an argument takes is known by its name, so that commands
/// that take the same thing call it the same.
fn values(place: &Place<'_>, arg: &Arg, current: &str, live: &dyn Live) -> Vec<Candidate> {
    let fixed = arg.get_possible_values();
    if !fixed.is_empty() && takes_value(arg) {
        let help = |value: &clap::builder::PossibleValue| about(value.get_help());
        return fixed.iter().filter(|v| !v.is_hide_set()).map(|v| Candidate::new(v.get_name(), help(v))).collect();
    }
    let table = place.value("table").unwrap_or_default();
    match (place.command.get_name(), arg.get_id().as_str()) {
        (_, "table") | ("show" | "drop" | "alter", "name") => tables(live),
        ("create", "columns") => typed_column(current),
        ("alter", "changes") => changes(table, current, live),
        (_, "index") => live.indexes(table).into_iter().map(|index| Candidate::new(index, "")).collect(),
        (_, "values") => assigned(place, table, current, live),
        (_, "filters") => filtered(table, current, live),
        (_, "columns" | "order") => listed(table, current, live),
        ("serve", "id") | (_, "node") => {
            live.nodes().into_iter().map(|(id, address)| Candidate::new(id.to_string(), address)).collect()
        }
        (_, "endpoints") => endpoints(current, live),
        ("wait", "conditions") => conditions(current, live),
        (_, "level") => ["linearizable", "stale"].map(|level| Candidate::new(level, "")).into(),
        ("help", "topic") => help_topics(place),
        _ => match arg.get_value_names() {
            Some([name]) if matches!(name.as_str(), "FILE" | "DIR" | "CMD") => files(current),
            _ => Vec::new(),
        },
    }
}

fn tables(live: &dyn Live) -> Vec<Candidate> {
    live.tables().into_iter().map(|table| Candidate::new(table, "")).collect()
}

fn typed_column(current: &str) -> Vec<Candidate> {
    let Some((typed, _)) = current.rsplit_once(':') else { return Vec::new() };
    let kinds = ["any", "text", "int", "float", "bool", "json", "timestamp"].iter().filter(|_| !typed.contains(':'));
    let mut found: Vec<Candidate> = kinds.map(|kind| Candidate::new(format!("{typed}:{kind}"), "")).collect();
    found.extend(["not-null", "unique"].map(|word| Candidate::new(format!("{typed}:{word}"), "")));
    found.push(Candidate::new(format!("{typed}:default="), "").open());
    found
}

/// What `ddb table alter` changes, a column that is there, or one that is new.
fn changes(table: &str, current: &str, live: &dyn Live) -> Vec<Candidate> {
    if current.contains(':') {
        return typed_column(current);
    }
    let words = [("add", "a new column"), ("rename", "OLD to NEW"), ("drop", "a column with its values")];
    let mut found: Vec<Candidate> = words.map(|(word, help)| Candidate::new(word, help)).into();
    found.extend(live.columns(table).into_iter().map(|(name, kind)| Candidate::new(name, kind.as_str())));
    found
}

/// `name=` for each column that has no value yet; behind it what a value may be.
fn assigned(place: &Place<'_>, table: &str, current: &str, live: &dyn Live) -> Vec<Candidate> {
    if let Some((name, value)) = current.split_once('=') {
        let found = match value.strip_prefix('@') {
            Some(path) => files(path).into_iter().map(|file| file.behind("@")).collect(),
            None => words_of(table, name.trim_end_matches(':'), live),
        };
        return found.into_iter().map(|candidate| candidate.behind(&format!("{name}="))).collect();
    }
    let given = |name: &str| {
        let named = |word: &str| word.split('=').next().is_some_and(|own| own.trim_end_matches(':') == name);
        place.given.iter().any(|(id, word)| *id == "values" && named(word))
    };
    // The row id is a word of its own.
    let free = live.columns(table).into_iter().filter(|(name, _)| name != "id" && !given(name));
    free.map(|(name, kind)| Candidate::new(format!("{name}="), kind.as_str()).open()).collect()
}

/// `name=` for each column, which may stand in several filters.
fn filtered(table: &str, current: &str, live: &dyn Live) -> Vec<Candidate> {
    if let Some((name, _)) = current.split_once('=') {
        let words = words_of(table, name.trim_end_matches('!'), live);
        return words.into_iter().map(|word| word.behind(&format!("{name}="))).collect();
    }
    with_row_id(live.columns(table))
        .into_iter()
        .map(|(name, kind)| Candidate::new(format!("{name}="), kind).open())
        .collect()
}

/// The values of a column that has only a few.
fn words_of(table: &str, column: &str, live: &dyn Live) -> Vec<Candidate> {
    let is_bool = |(name, kind): (String, ColumnType)| name == column && kind == ColumnType::Bool;
    if !live.columns(table).into_iter().any(is_bool) {
        return Vec::new();
    }
    ["true", "false"].map(|word| Candidate::new(word, "")).into()
}

/// A column at the end of a list with commas; a dash turns its order.
fn listed(table: &str, current: &str, live: &dyn Live) -> Vec<Candidate> {
    let before = current.rfind(',').map_or(0, |comma| comma + 1);
    let dash = usize::from(current[before..].starts_with('-'));
    let (typed, taken) = (&current[..before + dash], &current[..before]);
    let given: Vec<&str> = taken.split(',').map(|name| name.trim_start_matches('-')).collect();
    with_row_id(live.columns(table))
        .into_iter()
        .filter(|(name, _)| !given.contains(&name.as_str()))
        .map(|(name, kind)| Candidate::new(name, kind).behind(typed).open())
        .collect()
}

/// The columns, and `row_id` where none of them is the row id.
fn with_row_id(columns: Vec<(String, ColumnType)>) -> Vec<(String, &'static str)> {
    let row_id = (!columns.is_empty() && !columns.iter().any(|(name, _)| name == "id")).then_some("row_id");
    let columns = columns.into_iter().map(|(name, kind)| (name, kind.as_str()));
    columns.chain(row_id.map(|name| (name.to_string(), "the row id"))).collect()
}

fn endpoints(current: &str, live: &dyn Live) -> Vec<Candidate> {
    let typed = &current[..current.rfind(',').map_or(0, |comma| comma + 1)];
    let node = |(id, address): (u64, String)| Candidate::new(address, format!("node {id}")).behind(typed);
    live.nodes().into_iter().map(node).collect()
}

fn conditions(current: &str, live: &dyn Live) -> Vec<Candidate> {
    if let Some((what, _)) = current.split_once('=') {
        let found = match what {
            "table" => tables(live),
            "nodes" => (1..=live.nodes().len()).map(|count| Candidate::new(count.to_string(), "")).collect(),
            _ => Vec::new(),
        };
        return found.into_iter().map(|candidate| candidate.behind(&format!("{what}="))).collect();
    }
    vec![
        Candidate::new("leader", "a leader with a quorum"),
        Candidate::new("nodes=", "so many nodes are up").open(),
        Candidate::new("table=", "the table is there").open(),
    ]
}

/// The topics of help; behind a command its subcommands.
fn help_topics(place: &Place<'_>) -> Vec<Candidate> {
    let mut command = place.root;
    for (_, word) in place.given.iter().filter(|(id, _)| *id == "topic") {
        let Some(found) = command.find_subcommand(word) else { return Vec::new() };
        command = found;
    }
    let mut found = subcommands(command);
    if std::ptr::eq(command, place.root) {
        found.extend(TOPICS.iter().map(|topic| Candidate::new(topic.name, topic.about)));
    }
    found
}

/// The files and directories that `typed` may become.
fn files(typed: &str) -> Vec<Candidate> {
    let (dir, name) = typed.split_at(typed.rfind('/').map_or(0, |slash| slash + 1));
    let place = match (dir.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ if dir.is_empty() => Path::new(".").into(),
        _ => dir.into(),
    };
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Ok(own) = entry.file_name().into_string() else { continue };
        // Hidden files are for those who ask for them.
        if !own.starts_with(name) || (own.starts_with('.') && !name.starts_with('.')) {
            continue;
        }
        let file = Candidate::new(format!("{dir}{own}"), "");
        let is_dir = entry.path().is_dir();
        found.push(if is_dir { file.open().closed_by("/") } else { file });
    }
    found.sort_by(|a, b| a.value.cmp(&b.value));
    found
}

impl Candidate {
    fn closed_by(self, end: &str) -> Candidate {
        Candidate { value: format!("{}{end}", self.value), ..self }
    }
}
