//! The catalogue of mistakes: what a person is told who made one, word for word, and the exit code.
//!
//! `tests/mistakes/catalogue.golden` holds commands (`$ ddb …`), each with its exit code and what it
//! says on stderr. With `UPDATE_GOLDENFILES=1` the answers are written anew, to be read and committed.

mod harness;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::Cluster;
use serde_json::json;

const CATALOGUE: &str = "tests/mistakes/catalogue.golden";

/// Runs a line of a shell, with `ddb` in its path; stderr and the exit code.
fn mistake(cluster: &Cluster, lonely: &Cluster, line: &str) -> (String, i32) {
    let bin = Path::new(env!("CARGO_BIN_EXE_ddb")).parent().expect("a directory");
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let paths: Vec<PathBuf> = std::iter::once(bin.into()).chain(std::env::split_paths(&paths)).collect();
    let mut command = Command::new("sh");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DDB_")) {
        command.env_remove(name);
    }
    command.args(["-c", line]).env("PATH", std::env::join_paths(paths).expect("a path"));
    // A directory without a configuration, as most people stand in.
    let here = cluster.path().join("here");
    command.current_dir(here).env("DDB_ENDPOINTS", cluster.endpoints()).env("LONELY", &lonely.node(1).address);
    let output = command.output().expect("a shell");
    assert!(output.stdout.is_empty(), "{line} says something on stdout: {output:?}");
    (String::from_utf8(output.stderr).expect("UTF-8"), output.status.code().unwrap_or(-1))
}

#[tokio::test]
async fn every_mistake_is_told_with_the_facts_and_what_to_do() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(CATALOGUE);
    let golden = std::fs::read_to_string(&path).expect("the catalogue");
    let cluster = Cluster::start(1).await;
    let students = json!({ "table_name": "students", "columns": ["id", "name", "grade", "age:int", "active:bool"] });
    cluster.post(1, "/create_table", students).await.expect(201);
    let row = json!({ "table_name": "students", "row_id": "1", "data": { "name": "Ahmed", "age": 20 } });
    cluster.post(1, "/insert", row).await.expect(201);
    let here = cluster.path().join("here");
    std::fs::create_dir(&here).expect("a directory");
    std::fs::write(here.join("bad.csv"), "id,name,age\n5,Omar,19\n6,Huda,old\n").expect("a file");
    std::fs::write(here.join("stops.ddb"), "# two statements\nget students 9\nget students 1\n").expect("a file");
    std::fs::write(here.join("typo.json"), "{\n  \"cluster\": \"demo\",\n  \"node\": []\n}\n").expect("a file");
    let mut lonely = Cluster::prepare(3, json!({}));
    lonely.spawn(1);
    let (mut said, mut mistakes) = (String::new(), 0);
    for line in golden.lines() {
        if line.starts_with('#') {
            let _ = writeln!(said, "{}{line}", if said.is_empty() || said.ends_with("\n\n") { "" } else { "\n" });
        }
        let Some(command) = line.strip_prefix("$ ") else { continue };
        let (told, code) = mistake(&cluster, &lonely, command);
        let lead =
            if said.is_empty() || said.lines().last().is_some_and(|line| line.starts_with('#')) { "" } else { "\n" };
        let _ = write!(said, "{lead}$ {command}\nexit {code}\n{told}");
        assert!(!told.contains("panicked") && code != 101, "{command}: {told}");
        assert!(code == 0 || !told.is_empty(), "{command} says nothing");
        mistakes += 1;
    }
    assert!(mistakes >= 40, "only {mistakes} mistakes");
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(&path, said).expect("written");
    } else {
        assert!(said == golden, "the catalogue differs:\n{said}");
    }
}
