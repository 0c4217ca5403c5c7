//! Every command against a real cluster: what it prints, and every exit code that scripts rely on.

mod harness;

use std::process::{Command, Stdio};

use harness::{Cluster, eventually};
use predicates::prelude::*;
use predicates::str::{contains, is_empty};
use serde_json::{Value, json};

/// Runs `ddb` and requires an exit code; answers stdout and stderr.
#[track_caller]
fn run(cluster: &Cluster, args: &[&str], code: i32) -> (String, String) {
    let output = cluster.ddb(args).output().expect("ddb runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "ddb {}\n{out}\n{err}", args.join(" "));
    (out, err)
}

#[track_caller]
fn ok(cluster: &Cluster, args: &[&str]) -> String {
    run(cluster, args, 0).0
}

#[track_caller]
fn json_of(cluster: &Cluster, args: &[&str]) -> Value {
    let args = [args, &["-o", "json"]].concat();
    serde_json::from_str(&ok(cluster, &args)).expect("JSON")
}

#[track_caller]
fn failure(cluster: &Cluster, args: &[&str], code: i32, message: &str) {
    let (out, err) = run(cluster, args, code);
    assert!(err.starts_with("error: ") && err.contains(message), "ddb {}\n{out}\n{err}", args.join(" "));
    assert_eq!(out, "", "an error prints nothing to stdout");
}

fn with_students(cluster: &Cluster) {
    ok(cluster, &["table", "create", "students", "id", "name", "grade"]);
    ok(cluster, &["insert", "students", "1", "name=Ahmed", "grade=A"]);
    ok(cluster, &["insert", "students", "2", "name=Sara", "grade=B"]);
}

#[tokio::test]
async fn tables_are_created_listed_shown_and_dropped() {
    let cluster = Cluster::start(1).await;
    let created = json_of(&cluster, &["table", "create", "people", "id:int", "name:text", "born:timestamp"]);
    assert_eq!(created["table"], "people");
    assert_eq!(created["columns"][0], json!({"name": "id", "type": "int"}));
    failure(&cluster, &["table", "create", "people", "id"], 5, "table \"people\" already exists");
    ok(&cluster, &["table", "create", "people", "id", "--if-not-exists"]);
    failure(&cluster, &["table", "create", "9lives", "id"], 2, "9lives");
    ok(&cluster, &["table", "create", "cats", "name"]);
    assert!(contains("people").and(contains("cats")).eval(&ok(&cluster, &["table", "list"])));
    assert!(contains("born").and(contains("timestamp")).eval(&ok(&cluster, &["table", "show", "people"])));
    failure(&cluster, &["table", "show", "poeple"], 4, "table \"poeple\" does not exist");
    assert!(run(&cluster, &["table", "show", "poeple"], 4).1.contains("hint: did you mean \"people\"?"));
    // No terminal to ask on: nothing is dropped without --yes.
    failure(&cluster, &["table", "drop", "cats"], 2, "--yes");
    ok(&cluster, &["table", "drop", "cats", "--yes"]);
    failure(&cluster, &["table", "drop", "cats", "--yes"], 4, "table \"cats\" does not exist");
    ok(&cluster, &["table", "drop", "cats", "--yes", "--if-exists"]);
}

#[tokio::test]
async fn rows_are_inserted_read_updated_and_deleted() {
    let cluster = Cluster::start(3).await;
    with_students(&cluster);
    let found = json_of(&cluster, &["search", "students", "name=Ahmed"]);
    assert_eq!(found, json!([{"id": "1", "name": "Ahmed", "grade": "A"}]));
    failure(&cluster, &["insert", "students", "1", "name=Omar"], 5, "row \"1\" already exists");
    ok(&cluster, &["insert", "students", "1", "name=Omar", "--if-not-exists"]);
    assert_eq!(json_of(&cluster, &["get", "students", "1"])["name"], "Ahmed");
    let written = json_of(&cluster, &["insert", "students", "1", "name=Omar", "--upsert"]);
    assert_eq!((&written["table"], &written["row_id"]), (&json!("students"), &json!("1")));
    let row = json_of(&cluster, &["get", "students", "1"]);
    assert_eq!(row, json!({"id": "1", "name": "Omar", "grade": null}));
    let revision = written["revision"].as_u64().expect("a revision").to_string();
    ok(&cluster, &["update", "students", "1", "grade=B", "--if-revision", &revision]);
    failure(&cluster, &["update", "students", "1", "grade=C", "--if-revision", &revision], 5, "revision");
    failure(&cluster, &["update", "students", "77", "grade=C"], 4, "row \"77\"");
    failure(&cluster, &["get", "students", "77"], 4, "row \"77\"");
    ok(&cluster, &["delete", "students", "1"]);
    failure(&cluster, &["delete", "students", "1"], 4, "row \"1\"");
    ok(&cluster, &["delete", "students", "1", "--if-exists"]);
    ok(&cluster, &["insert", "students", "-5", "name=Minus"]);
    assert_eq!(json_of(&cluster, &["get", "students", "-5"])["name"], "Minus");
    assert_eq!(ok(&cluster, &["search", "students", "--count", "-q"]).trim(), "2");
    assert_eq!(ok(&cluster, &["search", "students", "--keys-only"]), "-5\n2\n");
    cluster.ddb(&["delete", "students", "-", "--yes"]).write_stdin("-5\n2\n").assert().success();
    assert_eq!(ok(&cluster, &["search", "students", "--count"]).trim(), "0");
    // Whoever forgot the row id is told what it is now.
    assert!(run(&cluster, &["insert", "students", "name=x"], 0).1.contains("the row id is the word behind the table"));
    ok(&cluster, &["delete", "students", "name=x"]);
    run(&cluster, &["search", "students", "--fail-empty"], 4);
    run(&cluster, &["search", "students"], 0);
}

#[tokio::test]
async fn many_rows_are_changed_after_a_yes_and_a_file_is_one_transaction() {
    let cluster = Cluster::start(1).await;
    with_students(&cluster);
    ok(&cluster, &["update", "students", "1", "grade=C", "--if", "grade=A", "--if", "name.prefix=Ah"]);
    failure(&cluster, &["update", "students", "1", "grade=D", "--if", "grade=A"], 5, "its grade is \"C\"");
    failure(&cluster, &["delete", "students", "1", "--if", "grade=A"], 5, "fails grade=A");
    failure(&cluster, &["delete", "students", "1", "--if-revision", "1"], 5, "revision");
    let dry = json_of(&cluster, &["update", "students", "--where", "grade.in=B,C", "grade=E", "--dry-run"]);
    assert_eq!((&dry["rows"], json_of(&cluster, &["search", "students", "grade=E"])), (&json!(2), json!([])));
    let done = json_of(&cluster, &["update", "students", "--where", "grade.in=B,C", "grade=E", "--yes"]);
    assert_eq!((&done["rows"], &done["transactions"]), (&json!(2), &json!(1)));
    let transaction = |text: &str, more: &[&str], code: i32| {
        let args = [&["txn", "-f", "-", "-o", "json"], more].concat();
        let output = cluster.ddb(&args).write_stdin(text).output().expect("ddb runs");
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        let said = if code == 0 { output.stdout } else { output.stderr };
        serde_json::from_slice::<Value>(&said).expect("JSON")
    };
    let text = r#"{"insert":{"table":"students","row_id":"3","data":{"name":"Omar"}}}

{"if":{"table":"students","row_id":"2","filter":["grade=E"]}}
{"get":{"table":"students","row_id":"3"}}"#;
    let rehearsed = transaction(text, &["--dry-run"], 0);
    assert_eq!(rehearsed["results"][1]["row"]["data"]["name"], "Omar");
    assert_eq!(transaction(text, &[], 0)["results"][0]["effect"], "inserted");
    let refused = transaction(text, &[], 5);
    assert!(
        refused["error"]["message"].as_str().is_some_and(|said| said.starts_with("line 1: row \"3\"")),
        "{refused}"
    );
    let refused = transaction(&text.replace("grade=E", "grade=F"), &[], 5);
    assert!(
        refused["error"]["message"].as_str().is_some_and(|said| said.starts_with("line 3: row \"2\"")),
        "{refused}"
    );
    let refused = transaction("{\"get\":{}}", &[], 8);
    assert!(refused["error"]["message"].as_str().is_some_and(|said| said.starts_with("line 1: ")), "{refused}");
    let args = ["delete", "students", "-", "--yes"];
    let named = cluster.ddb(&args).write_stdin("1\n9\n3\n").assert().code(4);
    named.stdout(contains("deleted 2 rows from students; 1 were not there"));
    let done = json_of(&cluster, &["delete", "students", "--all", "--yes"]);
    assert_eq!(done["rows"], 1);
}

#[tokio::test]
async fn values_are_text_json_or_files_and_integers_keep_every_digit() {
    let cluster = Cluster::start(1).await;
    ok(&cluster, &["table", "create", "t", "id:int", "n:int", "x:float", "ok:bool", "doc:json", "any", "at:timestamp"]);
    std::fs::write(cluster.path().join("bio.txt"), "two\nlines").expect("a file");
    let max = i64::MAX.to_string();
    let set = [
        "insert",
        "t",
        "-3",
        &format!("n={max}"),
        "x=0.1",
        "ok=true",
        "doc:={\"b\":[1,2],\"a\":null}",
        "any=@bio.txt",
        "at=2024-02-29T12:00:00Z",
    ];
    ok(&cluster, &set);
    let out = ok(&cluster, &["get", "t", "-3", "-o", "json"]);
    assert!(out.contains(&max), "{out}");
    let row: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(row["id"], -3);
    assert_eq!(row["doc"], json!({"b": [1, 2], "a": null}));
    assert_eq!(row["any"], "two\nlines");
    cluster.ddb(&["insert", "t", "4", "any=@-"]).write_stdin("from stdin").assert().success();
    assert_eq!(json_of(&cluster, &["get", "t", "4"])["any"], "from stdin");
    failure(&cluster, &["insert", "t", "5", "n=twelve"], 8, "does not fit column \"n\"");
    failure(&cluster, &["insert", "t", "5", "n:=9223372036854775808"], 2, "64");
    failure(&cluster, &["insert", "t", "5", "m=1"], 8, "has no column \"m\"");
    failure(&cluster, &["insert", "t", "x5", "n=1"], 8, "not an integer");
    failure(&cluster, &["search", "t", "n.near=1"], 2, ".near");
    failure(&cluster, &["search", "t", "n=twelve"], 8, "cannot be compared with column \"n\"");
}

#[tokio::test]
async fn formats_are_stable_and_controls_are_escaped_for_people() {
    let cluster = Cluster::start(1).await;
    with_students(&cluster);
    assert_eq!(ok(&cluster, &["search", "students", "-o", "csv"]), "id,name,grade\n1,Ahmed,A\n2,Sara,B\n");
    assert_eq!(
        ok(&cluster, &["search", "students", "-o", "jsonl", "--columns", "name,grade", "--limit", "1"]),
        "{\"name\":\"Ahmed\",\"grade\":\"A\"}\n"
    );
    ok(&cluster, &["insert", "students", "3", "name=\u{1b}[31mred"]);
    let table = ok(&cluster, &["search", "students"]);
    assert!(!table.contains('\u{1b}') && table.contains("red"), "{table}");
    let colour = cluster.ddb(&["search", "students", "--color", "always"]).env("NO_COLOR", "").output().expect("runs");
    assert!(colour.status.success());
    cluster.ddb(&["search", "students"]).env("NO_COLOR", "1").assert().success().stdout(contains("\u{1b}").not());
    // An error is JSON where JSON was asked for.
    let (_, err) = run(&cluster, &["get", "students", "77", "-o", "json"], 4);
    let err: Value = serde_json::from_str(&err).expect("JSON");
    assert_eq!(err["error"]["code"], "row_not_found");
    cluster.ddb(&["insert", "students", "4", "name=Quiet", "-q"]).assert().success().stdout(is_empty());
}

#[tokio::test]
async fn status_wait_and_verify_tell_how_the_cluster_is() {
    let mut cluster = Cluster::start(3).await;
    cluster.led_by(1).await;
    with_students(&cluster);
    assert!(contains("leader").and(contains("follower")).eval(&ok(&cluster, &["status"])));
    assert_eq!(json_of(&cluster, &["status"])["leader"]["id"], 1);
    ok(&cluster, &["status", "--check"]);
    ok(&cluster, &["wait", "--for", "leader", "--for", "nodes=3", "--for", "table=students"]);
    let (_, err) = run(&cluster, &["wait", "--for", "table=nowhere", "--timeout", "300ms"], 7);
    assert!(err.contains("nowhere"), "{err}");
    ok(&cluster, &["verify"]);
    cluster.kill(3);
    eventually("status sees the loss", async || {
        cluster.ddb(&["status", "--check"]).output().is_ok_and(|o| o.status.code() == Some(6)).then_some(())
    })
    .await;
    // With one replica away the comparison is not complete: that is not a success.
    run(&cluster, &["verify", "--timeout", "3s"], 1);
    cluster.kill(2);
    eventually("node 1 knows that it is alone", async || {
        (cluster.get(1, "/v1/status").await.json["quorum"] == false).then_some(())
    })
    .await;
    failure(&cluster, &["insert", "students", "9", "name=Nobody", "--timeout", "3s"], 6, "no leader");
    failure(&cluster, &["get", "students", "1", "--timeout", "3s"], 6, "no leader");
    ok(&cluster, &["get", "students", "1", "--level", "stale"]);
    cluster.kill(1);
    failure(&cluster, &["get", "students", "1"], 3, &cluster.node(1).address);
    run(&cluster, &["status"], 3);
}

#[tokio::test]
async fn a_command_goes_to_the_next_endpoint_and_writes_once() {
    let mut cluster = Cluster::start(3).await;
    cluster.led_by(1).await;
    with_students(&cluster);
    cluster.kill(1);
    // At once, while there is no leader yet: the command waits for the next one.
    ok(&cluster, &["insert", "students", "7", "name=Noor", "--timeout", "20s"]);
    assert_eq!(ok(&cluster, &["search", "students", "name=Noor", "--count"]).trim(), "1");
    let only_dead = ["-e", &cluster.node(1).address];
    run(&cluster, &[&only_dead[..], &["get", "students", "1"]].concat(), 3);
}

#[tokio::test]
async fn a_closed_pipe_ends_the_program_quietly() {
    let cluster = Cluster::start(1).await;
    ok(&cluster, &["table", "create", "t", "id", "v"]);
    for n in 0..300 {
        let body = json!({"data": {"v": "x".repeat(2_000)}});
        cluster.request(1, "PUT", &format!("/v1/tables/t/rows/{n}"), Some(body)).await.expect(201);
    }
    let mut search = Command::new(env!("CARGO_BIN_EXE_ddb"))
        .args(["search", "t", "-o", "jsonl"])
        .env("DDB_ENDPOINTS", cluster.endpoints())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ddb runs");
    drop(search.stdout.take());
    let output = search.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn demo_runs_a_command_against_a_throwaway_cluster_and_exits_with_its_code() {
    let script = "ddb=$0; $ddb table create t id v && $ddb insert t 1 v=x && $ddb search t v=x -o csv && exit 42";
    let ddb = env!("CARGO_BIN_EXE_ddb");
    assert_cmd::Command::new(ddb)
        .args(["demo", "--", "sh", "-c", script, ddb])
        .assert()
        .code(42)
        .stdout(predicates::str::ends_with("id,v\n1,x\n"));
    let nodes = "test $(echo $DDB_ENDPOINTS | tr , '\\n' | wc -l) = 1";
    assert_cmd::Command::new(ddb).args(["demo", "--nodes", "1", "--", "sh", "-c", nodes]).assert().success();
}

#[tokio::test]
async fn serve_refuses_what_it_cannot_use() {
    let mut cluster = Cluster::start(1).await;
    let serve = |id: &str| {
        let mut command = cluster.ddb(&["serve", "--id", id, "--listen", "127.0.0.1:0", "--config"]);
        command.arg(cluster.config());
        command
    };
    serve("1").assert().code(1).stderr(contains("in use"));
    serve("9").assert().code(2).stderr(contains("node 9"));
    cluster.kill(1);
    let config = std::fs::read_to_string(cluster.config()).expect("the configuration");
    let other = cluster.path().join("other.json");
    std::fs::write(&other, config.replace("\"test\"", "\"another\"")).expect("a configuration");
    let mut foreign = cluster.ddb(&["serve", "--id", "1", "--config"]);
    foreign.arg(&other).assert().code(2).stderr(contains("cluster \"test\""));
}
