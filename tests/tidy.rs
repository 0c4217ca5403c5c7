//! Holds the shape of the house: the arrows between rooms, who may name which library, the size of
//! files, and the first line of each.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

use std::fs;
use std::path::{Path, PathBuf};

const ROOMS: [&str; 12] =
    ["bench", "model", "disk", "world", "config", "store", "sql", "replication", "protocol", "server", "client", "cli"];

/// Which rooms a room may use.
fn below(room: &str) -> &'static [&'static str] {
    match room {
        "model" | "disk" => &[],
        "bench" | "config" | "protocol" => &["model"],
        "store" => &["disk", "model"],
        "world" => &["disk"],
        "sql" => &["store", "model"],
        "replication" => &["store", "world", "disk", "config", "model"],
        "client" => &["protocol", "model"],
        "server" => &["replication", "sql", "store", "world", "protocol", "config", "model"],
        "cli" => &["bench", "client", "server", "protocol", "config", "model"],
        other => panic!("the room {other} is not on the map"),
    }
}

/// Libraries that only some rooms may name.
const LIBRARIES: [(&str, &[&str]); 13] = [
    ("fail", &["disk"]),
    ("warp", &["server"]),
    ("openraft", &["replication"]),
    ("redb", &["store"]),
    ("rusqlite", &["sql"]),
    ("clap", &["cli"]),
    ("comfy_table", &["cli"]),
    ("rustyline", &["cli"]),
    ("indicatif", &["cli"]),
    ("anyhow", &["cli"]),
    ("reqwest", &["client"]),
    ("tokio", &["bench", "world", "replication", "server", "client", "cli"]),
    ("metrics_exporter_prometheus", &["server"]),
];

fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut todo = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty());
    found
}

/// The room that a file of `src` belongs to; `None` for `main.rs` and `lib.rs`.
fn room(path: &Path) -> Option<&'static str> {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
    ROOMS.into_iter().find(|room| *room == first)
}

/// The lines of code: no comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn arrows_between_rooms_go_down_only() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let Some(own) = room(&path) else { continue };
        for other in ROOMS.into_iter().filter(|other| *other != own && !below(own).contains(other)) {
            let names_it =
                |line: &&str| line.contains(&format!("crate::{other}::")) || line.contains(&format!("crate::{other};"));
            wrong.extend(code(&text).filter(names_it).map(|line| format!("{}: {}", path.display(), line.trim())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn libraries_are_named_only_in_their_rooms() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let Some(own) = room(&path) else { continue };
        for (library, _) in LIBRARIES.iter().filter(|(_, rooms)| !rooms.contains(&own)) {
            let names_it = |line: &&str| {
                let uses = [
                    format!("use {library}::"),
                    format!(" {library}::"),
                    format!("({library}::"),
                    format!("<{library}::"),
                ];
                uses.iter().any(|u| line.contains(u))
            };
            wrong.extend(code(&text).filter(names_it).map(|line| format!("{}: {}", path.display(), line.trim())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// SQLite asks for virtual tables by way of an unsafe trait; nothing else here is unsafe.
#[test]
fn only_the_virtual_tables_are_unsafe() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sql/vtab.rs");
    let unsafe_word = |line: &&str| line.contains("unsafe ") || line.contains("unsafe_code");
    let mut wrong = Vec::new();
    for (path, text) in sources("src").into_iter().filter(|(path, _)| *path != own) {
        wrong.extend(code(&text).filter(unsafe_word).map(|line| format!("{}: {}", path.display(), line.trim())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_are_short_and_say_what_they_own() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        let lines = text.lines().count();
        if lines > 500 {
            wrong.push(format!("{} has {lines} lines", path.display()));
        }
        if !text.starts_with("//! ") {
            wrong.push(format!("{} does not begin with what it owns", path.display()));
        }
        if path.file_name().is_some_and(|name| name == "mod.rs")
            && path.starts_with(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
            && !path.components().any(|part| part.as_os_str() == "tests")
            && code(&text)
                .any(|line| line.starts_with("fn ") || line.starts_with("pub fn ") || line.starts_with("impl "))
        {
            wrong.push(format!("{} holds logic", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
