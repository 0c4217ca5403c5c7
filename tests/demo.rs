//! The throwaway cluster: the tour, a command in it, and that nothing is left behind.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use predicates::prelude::*;
use predicates::str::contains;

/// `ddb` with these words, whose temporary files go to `dir`.
fn ddb(dir: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddb"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DDB_")) {
        command.env_remove(name);
    }
    command.args(words).env("TMPDIR", dir).current_dir(dir);
    command
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).expect("a directory").next().is_none()
}

#[test]
fn the_tour_shows_the_main_job_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let told = contains("created table students")
        .and(contains("inserted row 3 into students"))
        .and(contains("Node 1 leads again after"))
        .and(contains("all 3 nodes hold the same data"));
    assert_cmd::Command::from_std(ddb(dir.path(), &["demo", "--once"])).assert().success().stdout(told);
    assert!(is_empty(dir.path()));
}

#[test]
fn a_command_finds_the_cluster_and_its_exit_code_is_returned() {
    let dir = tempfile::tempdir().unwrap();
    let exe = env!("CARGO_BIN_EXE_ddb");
    let script = format!("{exe} table create t id && {exe} insert t 1 && {exe} search t --count && exit 42");
    let command = ddb(dir.path(), &["demo", "--", "sh", "-c", &script]);
    let told = "created table t (revision 1)\ninserted row 1 into t (revision 2)\n1\n";
    assert_cmd::Command::from_std(command).assert().code(42).stdout(told);
    let missing = ddb(dir.path(), &["demo", "--nodes", "1", "--", "no-such-command"]);
    assert_cmd::Command::from_std(missing).assert().code(127).stderr(contains("cannot run no-such-command"));
    assert!(is_empty(dir.path()));
}

#[test]
fn nodes_do_not_outlive_a_demo_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let words = ["demo", "--", "sh", "-c", "echo $DDB_ENDPOINTS; read forever"];
    let mut demo = ddb(dir.path(), &words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(demo.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let addresses: Vec<&str> = line.trim().split(',').filter_map(|url| url.strip_prefix("http://")).collect();
    assert_eq!(addresses.len(), 3, "{line}");
    assert!(addresses.iter().all(|address| TcpStream::connect(address).is_ok()), "{line}");
    demo.kill().unwrap();
    demo.wait().unwrap();
    let started = Instant::now();
    while addresses.iter().any(|address| TcpStream::connect(address).is_ok()) {
        assert!(started.elapsed() < Duration::from_secs(60), "a node is still there");
        std::thread::yield_now();
    }
}
