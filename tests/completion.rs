//! Completion in real shells, each behind a pseudo-terminal, of a real cluster.

mod harness;
#[path = "harness/terminal.rs"]
mod terminal;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::Cluster;
use serde_json::json;
use terminal::Terminal;

const BREAKS: &str = " \t\n\"'@><=;|&(:";

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn is_there(shell: &str) -> bool {
    let found = Command::new(shell).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        // Written past what captures a test's output.
        writeln!(std::io::stderr(), "{shell} is not there: completion with it is not tested").expect("stderr");
    }
    found
}

/// The environment of a person who works in the cluster's directory and has ddb in the path.
fn at_home(command: &mut Command, cluster: &Cluster) {
    let bin = Path::new(env!("CARGO_BIN_EXE_ddb")).parent().expect("a directory");
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let paths: Vec<PathBuf> = std::iter::once(bin.into()).chain(std::env::split_paths(&paths)).collect();
    command.env_clear().env("PATH", std::env::join_paths(paths).expect("a path"));
    command.envs([("HOME", cluster.path().as_os_str()), ("TERM", "dumb".as_ref()), ("LC_ALL", "C.UTF-8".as_ref())]);
    command.env("PS1", "ready> ").current_dir(cluster.path());
}

async fn students(size: u64) -> Cluster {
    let cluster = Cluster::start(size).await;
    let table = json!({ "table_name": "students", "columns": ["id", "name", "grade", "active:bool"] });
    cluster.post(1, "/create_table", table).await.expect(201);
    cluster
}

/// What bash is offered for a line.
fn offered(cluster: &Cluster, line: &str) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddb"));
    at_home(&mut command, cluster);
    let output = command.env("DDB_COMPLETE", "bash").args([BREAKS, line]).output().expect("ddb runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(String::from).collect()
}

/// Types with TABs what must become a whole insert, and looks what was inserted.
async fn type_an_insert(shell: &str, args: &[&str], setup: &str) {
    if !is_there(shell) || !is_there("setsid") {
        return;
    }
    let cluster = students(1).await;
    let mut terminal = Terminal::start(shell, args, |command| at_home(command, &cluster));
    terminal.wait_for("ready> ");
    terminal.type_keys(&format!("{setup}\r"));
    terminal.wait_for("set-up");
    terminal.wait_for("ready> ");
    terminal.type_keys("ddb ins\tstu\t7 na\tAhmed gr\t'A b' act\tt\t--outp\tjsonl\r");
    terminal.wait_for("\"revision\":");
    terminal.type_keys("exit\r");
    let row = cluster.get(1, "/v1/tables/students/rows/7").await.expect(200).json;
    assert_eq!(row["data"], json!({ "id": "7", "name": "Ahmed", "grade": "A b", "active": true }));
}

#[tokio::test]
async fn bash_completes_commands_tables_columns_and_options() {
    let script = project().join("completions/ddb.bash").display().to_string();
    // The pieces stand apart, so that the line itself is not what is waited for.
    let setup = format!("source '{script}'; echo set'-'up");
    type_an_insert("bash", &["--norc", "--noprofile", "-i"], &setup).await;
}

#[tokio::test]
async fn zsh_completes_commands_tables_columns_and_options() {
    let scripts = project().join("completions").display().to_string();
    let setup = format!("fpath=('{scripts}' $fpath); autoload -Uz compinit; compinit -u -D; echo set'-'up");
    type_an_insert("zsh", &["-f", "-i"], &setup).await;
}

#[tokio::test]
async fn zsh_completes_after_the_script_was_sourced() {
    let setup = "autoload -Uz compinit; compinit -u -D; source <(ddb completions zsh); echo set'-'up";
    type_an_insert("zsh", &["-f", "-i"], setup).await;
}

#[tokio::test]
async fn fish_completes_commands_tables_columns_and_options() {
    let script = project().join("completions/ddb.fish").display().to_string();
    let prompt = "function fish_prompt; echo -n 'ready> '; end; set -g fish_autosuggestion_enabled 0";
    let setup = format!("source '{script}'; echo set'-'up");
    type_an_insert("fish", &["--no-config", "-i", "-C", prompt], &setup).await;
}

#[tokio::test]
async fn names_come_from_the_cluster_that_the_command_would_ask() {
    let cluster = students(3).await;
    for (line, wanted) in [
        ("ddb get stu", &["students "][..]),
        ("ddb table drop s", &["students "]),
        ("ddb insert students 7 ", &["name=", "grade=", "active="]),
        ("ddb insert students 7 name=Ahmed ", &["grade=", "active="]),
        ("ddb insert students 7 na", &["name="]),
        ("ddb insert students 7 active=t", &["true "]),
        ("ddb insert students 7 name=", &[]),
        ("ddb insert nowhere 7 ", &[]),
        ("ddb search students i", &["id="]),
        ("ddb search students grade=A gr", &["grade="]),
        ("ddb search students --columns name,g", &["name,grade"]),
        ("ddb search students --columns=name,g", &["name,grade"]),
        ("ddb search -o json students n", &["name="]),
        ("ddb wait --for table=s", &["students "]),
        ("ddb serve --id ", &["1 ", "2 ", "3 "]),
        ("ddb 'table' show \"stu", &["students"]),
    ] {
        assert_eq!(offered(&cluster, line), wanted, "{line}");
    }
    let other = students(1).await;
    other.post(1, "/create_table", json!({ "table_name": "other", "columns": ["a"] })).await.expect(201);
    let url = &other.node(1).address;
    assert_eq!(offered(&cluster, &format!("ddb -e {url} get o")), ["other "]);
    assert_eq!(offered(&cluster, &format!("ddb get --endpoints={url} o")), ["other "]);
}

#[tokio::test]
async fn where_no_node_answers_there_is_silence_and_it_comes_soon() {
    let cluster = Cluster::prepare(3, json!({}));
    // It takes connections and never says a word.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = mute.local_addr().expect("an address");
    for line in ["ddb get ", "ddb insert t 1 ", &format!("ddb get -e {address} ")] {
        let started = Instant::now();
        assert!(offered(&cluster, line).is_empty(), "{line}");
        // The cap is 250 ms; the rest is for a machine that is busy with other tests.
        assert!(started.elapsed() < Duration::from_secs(3), "{line} took {:?}", started.elapsed());
    }
    assert_eq!(offered(&cluster, "ddb get t 1 -o js"), ["json ", "jsonl "]);
    assert_eq!(offered(&cluster, "ddb sea"), ["search "]);
    assert!(offered(&cluster, "ddb serve --li").contains(&"--listen ".into()));
}

#[test]
fn the_scripts_are_those_that_the_command_prints() {
    for (shell, file) in [("bash", "ddb.bash"), ("zsh", "_ddb"), ("fish", "ddb.fish")] {
        let output = Command::new(env!("CARGO_BIN_EXE_ddb")).args(["completions", shell]).output().expect("ddb runs");
        let committed = std::fs::read(project().join("completions").join(file)).expect("a script");
        assert!(output.status.success() && output.stdout == committed, "{file}");
    }
}
