//! Holds the shape of the house: the arrows between rooms, who may name which library, the size of
//! files, and the first line of each.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

use std::fs;
use std::path::{Path, PathBuf};

const ROOMS: [&str; 13] = [
    "bench",
    "model",
    "mutants",
    "disk",
    "world",
    "config",
    "store",
    "sql",
    "replication",
    "protocol",
    "server",
    "client",
    "cli",
];

/// Which rooms a room may use.
fn below(room: &str) -> &'static [&'static str] {
    match room {
        "model" | "disk" | "mutants" => &[],
        "bench" | "config" | "protocol" => &["model"],
        "store" => &["world", "disk", "mutants", "model"],
        "world" => &["disk"],
        "sql" => &["store", "model"],
        "replication" => &["store", "world", "disk", "mutants", "config", "model"],
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

/// What would make two runs of one seed of the simulation differ, and those few who may name it.
const CHANCE: [(&str, &[&str]); 8] = [
    ("HashMap", &[]),
    ("HashSet", &[]),
    ("SystemTime", &[]),
    ("rand::", &[]),
    ("uuid", &[]),
    // A query of SQL is no part of a simulation, and waits for its reader.
    ("spawn_blocking", &["src/server/handlers/sql.rs"]),
    // The log's writer, which is a task in a simulation.
    ("thread::Builder", &["src/replication/log/writer.rs"]),
    ("thread::spawn", &[]),
];

#[test]
fn a_seed_of_the_simulation_repeats() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for (path, text) in sources("src/server").into_iter().chain(sources("src/replication")) {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_string();
        if name.ends_with("/tests.rs") {
            continue;
        }
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines: Vec<&str> = code(text).collect();
        for (at, line) in lines.iter().enumerate() {
            if line.contains("select! {") && lines.get(at + 1).is_none_or(|next| next.trim() != "biased;") {
                wrong.push(format!("{name}: a select! that is not biased: {}", line.trim()));
            }
            if line.contains("std::time::") && line.contains("Instant") {
                wrong.push(format!("{name}: time that is not tokio's: {}", line.trim()));
            }
            let chance = CHANCE.iter().filter(|(word, may)| line.contains(word) && !may.contains(&name.as_str()));
            wrong.extend(chance.map(|(word, _)| format!("{name}: {word} belongs into `world`: {}", line.trim())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Promises are broken on purpose by the simulation's builds alone.
#[test]
fn no_release_breaks_promises_on_purpose() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let features = manifest.split("\n[features]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let named: Vec<&str> = code(features).filter(|line| line.contains("mutants") && !line.starts_with('#')).collect();
    assert_eq!(named, ["mutants = []"], "nothing else turns it on");
    let own = fs::read_to_string(root.join("src/mutants.rs")).unwrap();
    assert!(own.contains("#[cfg(all(feature = \"mutants\", not(debug_assertions)))]\ncompile_error!"));
    if cfg!(not(feature = "mutants")) {
        assert!(ddb::mutants::Mutant::ALL.iter().all(|(_, mutant)| !ddb::mutants::on(*mutant)));
    }
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
