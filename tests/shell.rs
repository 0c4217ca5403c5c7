//! The shell: scripts, and a session at a real terminal that outlives a lost node; the pager there.

mod harness;
#[path = "harness/terminal.rs"]
mod terminal;

use std::path::Path;
use std::process::Stdio;

use harness::Cluster;
use predicates::prelude::*;
use predicates::str::{contains, is_empty};
use serde_json::{Value, json};
use terminal::Terminal;

async fn students(size: u64) -> Cluster {
    let cluster = Cluster::start(size).await;
    let table = json!({ "table_name": "students", "columns": ["id", "name", "grade"] });
    cluster.post(1, "/create_table", table).await.expect(201);
    cluster
}

async fn row(cluster: &Cluster, node: u64, id: &str) -> Value {
    cluster.get(node, &format!("/v1/tables/students/rows/{id}")).await.json["data"].clone()
}

#[tokio::test]
async fn statements_come_from_the_command_line_a_file_or_a_pipe() {
    let cluster = students(1).await;
    let told = "inserted row 1 into students (revision 2)\ninserted row 2 into students (revision 3)\n2\n";
    let words = [
        "shell",
        "-c",
        "insert students 1 name='Ahmed; and more'; insert students 2",
        "-c",
        "ddb search students --count",
    ];
    cluster.ddb(&words).assert().success().stdout(told).stderr(is_empty());
    assert_eq!(row(&cluster, 1, "1").await["name"], "Ahmed; and more");
    let script = "# a comment\ninsert students 3 \\\n  name=\"a\nb\"\n\nget students 3 -o jsonl\n\\q\nget students 9\n";
    std::fs::write(cluster.path().join("a.ddb"), script).unwrap();
    let told = contains("{\"id\":\"3\",\"name\":\"a\\nb\",\"grade\":null}\n");
    cluster.ddb(&["shell", "-f", "a.ddb"]).assert().success().stdout(told).stderr(is_empty());
    // An option of the shell holds for its statements, unless one says otherwise or sets another.
    let script = "get students 1\nget students 1 -o csv\n\\set output tsv\nget students 2\n";
    let told = "{\"id\":\"1\",\"name\":\"Ahmed; and more\",\"grade\":null}\nid,name,grade\n1,Ahmed; and more,\nid\tname\tgrade\n2\t\t\n";
    cluster.ddb(&["shell", "-o", "json"]).write_stdin(script).assert().success().stdout(told).stderr(is_empty());
}

#[tokio::test]
async fn a_script_ends_at_its_first_failure_unless_it_keeps_going() {
    let cluster = students(1).await;
    let script = "insert students 1\n\nget students 9\ninsert students 2\ninsert students 1\n";
    let told = contains("error: table \"students\" has no row \"9\"\n")
        .and(contains("error: stdin: line 3 failed with exit code 4; what follows it was not run\n"));
    cluster.ddb(&["shell"]).write_stdin(script).assert().code(4).stderr(told);
    assert_eq!(row(&cluster, 1, "2").await, Value::Null);
    std::fs::write(cluster.path().join("a.ddb"), script).unwrap();
    let told =
        contains("error: a.ddb: line 1 failed with exit code 5; 3 of 4 statements failed, the first one there\n");
    cluster.ddb(&["shell", "--keep-going", "-f", "a.ddb"]).assert().code(5).stderr(told);
    assert_eq!(row(&cluster, 1, "2").await["id"], "2");
    cluster.ddb(&["shell", "-c", "get students 9"]).assert().code(4);
    cluster.ddb(&["shell", "-c", "nosuch"]).assert().code(2);
    cluster.ddb(&["shell"]).write_stdin("get students '1\n").assert().code(2).stderr(contains("a quote is still open"));
    cluster.ddb(&["shell", "-c", "serve --id 1"]).assert().code(2).stderr(contains("in another terminal"));
}

#[tokio::test]
async fn tables_are_listed_and_results_turned_as_in_other_shells() {
    let cluster = students(1).await;
    let words = [
        "shell",
        "-c",
        "insert students 1 name=Ahmed",
        "-c",
        "\\d",
        "-c",
        "\\d students",
        "-c",
        "\\x",
        "-c",
        "get students 1",
    ];
    let told = contains("id name grade").and(contains("table students: 1 rows")).and(contains(" name = Ahmed\n"));
    cluster.ddb(&words).assert().success().stdout(told).stderr("output is line\n");
}

#[tokio::test]
async fn whoever_waits_at_a_terminal_is_told_for_what_and_errors_stand_out() {
    let cluster = students(1).await;
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = mute.local_addr().expect("an address").to_string();
    let words = ["get", "students", "1", "--timeout", "3s", "-e", &address];
    let Some(mut terminal) = at_terminal(&cluster, &words, &[]) else { return };
    terminal.wait_for("waiting up to 3 s: no answer yet");
    terminal.wait_for("\u{1b}[1;31merror:\u{1b}[0m no answer within 3 s");
    assert_eq!(terminal.wait_for_end(), Some(7));
    let words = ["serch", "students"];
    let Some(mut terminal) = at_terminal(&cluster, &words, &[]) else { return };
    terminal.wait_for("\u{1b}[1;36mhint:\u{1b}[0m did you mean: ddb search");
    let Some(mut terminal) = at_terminal(&cluster, &words, &[("NO_COLOR", "1")]) else { return };
    terminal.wait_for("\nhint: did you mean: ddb search");
    let Some(mut terminal) = at_terminal(&cluster, &["search", "students"], &[]) else { return };
    terminal.wait_for("(0 rows)");
}

#[tokio::test]
async fn rows_may_follow_the_statement_that_reads_them() {
    let cluster = students(1).await;
    let script = "import students - --format csv\nid,name\n1,Ahmed\n2,Sara\n";
    cluster.ddb(&["shell"]).write_stdin(script).assert().success();
    assert_eq!(row(&cluster, 1, "2").await["name"], "Sara");
}

/// A shell at a terminal of its own.
fn session(cluster: &Cluster) -> Option<Terminal> {
    at_terminal(cluster, &["shell", "--timeout", "10s"], &[])
}

/// `ddb` at a terminal of its own, in the cluster's directory.
fn at_terminal(cluster: &Cluster, words: &[&str], more: &[(&str, &str)]) -> Option<Terminal> {
    let there = std::process::Command::new("setsid").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !there {
        harness::remark("setsid is not there: the shell at a terminal is not tested");
        return None;
    }
    let (endpoints, home) = (cluster.endpoints(), cluster.path().to_path_buf());
    Some(Terminal::start(env!("CARGO_BIN_EXE_ddb"), words, |command| {
        command.env_clear().env("HOME", &home).env("TERM", "xterm").env("DDB_ENDPOINTS", endpoints).current_dir(home);
        command.env("PATH", "/usr/bin:/bin").envs(more.iter().copied());
    }))
}

/// The bytes of Ctrl-C and Ctrl-D.
const CANCEL: &str = "\u{3}";
const END: &str = "\u{4}";

#[tokio::test]
async fn a_session_completes_remembers_and_outlives_a_lost_leader() {
    let mut cluster = students(3).await;
    cluster.led_by(1).await;
    let Some(mut shell) = session(&cluster) else { return };
    shell.wait_for("help lists the commands");
    shell.wait_for("test (leader 1)> ");
    shell.type_keys("ins\tstu\t7 na\tAhmed gr\t'A b'\r");
    shell.wait_for("inserted row 7 into students");
    assert_eq!(row(&cluster, 1, "7").await, json!({ "id": "7", "name": "Ahmed", "grade": "A b" }));
    shell.wait_for("> ");
    // A line that is thrown away, an error, a statement of two lines.
    shell.type_keys(&format!("delete students 7{CANCEL}"));
    shell.wait_for("> ");
    shell.type_keys("get studnets 7\r");
    shell.wait_for("did you mean \"students\"?");
    shell.wait_for("> ");
    shell.type_keys("insert students 8 name='two\r");
    shell.type_keys("lines'\r");
    shell.wait_for("inserted row 8 into students");
    cluster.kill(1);
    shell.wait_for("> ");
    shell.type_keys("insert students 9 name=Sara\r");
    shell.wait_for("inserted row 9 into students");
    let leader = cluster.leader().await;
    shell.type_keys("\\timing\r");
    shell.wait_for("timing is on");
    shell.type_keys("get students 9 -o jsonl\r");
    shell.wait_for("\"name\":\"Sara\"");
    shell.wait_for("Time: ");
    shell.wait_for(&format!("test (leader {leader})> "));
    assert_eq!(row(&cluster, leader, "7").await["name"], "Ahmed");
    assert_eq!(row(&cluster, leader, "8").await["name"], "two\nlines");
    shell.type_keys(END);
    assert_eq!(shell.wait_for_end(), Some(0));
    remembered(cluster.path());
}

/// What was typed is kept in a file that nobody else may read.
fn remembered(home: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let file = home.join(".local/state/ddb/history");
    let history = std::fs::read_to_string(&file).expect("a history");
    assert!(history.contains("insert students 9 name=Sara") && history.contains("timing"), "{history}");
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o077, 0);
}

#[tokio::test]
async fn what_waits_for_an_answer_is_cancelled_and_the_session_goes_on() {
    let cluster = students(1).await;
    let Some(mut shell) = session(&cluster) else { return };
    shell.wait_for("(leader 1)> ");
    // It takes connections and never says a word.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = mute.local_addr().expect("an address");
    shell.type_keys(&format!("get students 1 --timeout 10m -e {address}\r"));
    let connection = mute.accept().expect("a connection");
    shell.type_keys(CANCEL);
    shell.wait_for("interrupted; what was sent");
    drop(connection);
    shell.wait_for("> ");
    shell.type_keys("search students --count\r");
    shell.wait_for("\n0\r\n");
    shell.type_keys("exit\r");
    assert_eq!(shell.wait_for_end(), Some(0));
}

#[tokio::test]
async fn what_is_longer_than_the_screen_is_paged_on_a_terminal_and_nowhere_else() {
    let cluster = students(1).await;
    let rows: String = (100..130).map(|id| format!("insert students {id} name=n{id}\n")).collect();
    cluster.ddb(&["shell", "-q"]).write_stdin(rows).assert().success();
    let pager = "sed 's/^/paged: /'";
    let words = ["search", "students"];
    cluster.ddb(&words).env("DDB_PAGER", pager).env("LINES", "10").assert().success().stdout(contains("paged").not());
    for (words, lines, shown) in [
        (&words[..], "10", "paged: │ 129 ┆ n129 ┆"),
        (&["search", "students", "-o", "jsonl"], "10", "paged: {\"id\":\"129\""),
        (&["search", "students", "--no-pager"], "10", "\n│ 129 ┆ n129 ┆"),
        (&words, "40", "\n│ 129 ┆ n129 ┆"),
    ] {
        let Some(mut terminal) = at_terminal(&cluster, words, &[("DDB_PAGER", pager), ("LINES", lines)]) else {
            return;
        };
        terminal.wait_for(shown);
        assert_eq!(terminal.wait_for_end(), Some(0));
    }
}
