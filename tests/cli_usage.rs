//! What the command line does without a cluster: help, usage errors, configuration, exit codes.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command as Process, Stdio};

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::{contains, ends_with, is_empty, starts_with};

/// `ddb` with these words, in an empty directory and without settings from outside.
fn ddb(words: &[&str]) -> (Command, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddb"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DDB_")) {
        command.env_remove(name);
    }
    command.args(words).current_dir(dir.path());
    (command, dir)
}

/// An endpoint where nobody listens.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port").to_string()
}

#[test]
fn help_starts_with_a_sentence_and_ends_with_examples() {
    let commands = [
        "", "serve", "demo", "status", "wait", "verify", "table", "insert", "get", "search", "update", "delete", "txn",
    ];
    for command in commands {
        let mut words = vec![command, "--help"];
        words.retain(|word| !word.is_empty());
        let (mut ddb, _dir) = ddb(&words);
        let output = ddb.assert().success().stderr(is_empty()).get_output().stdout.clone();
        let help = String::from_utf8(output).unwrap();
        assert!(help.lines().next().unwrap().split(' ').count() > 2, "{help}");
        let examples = help.split("Examples:\n").nth(1).unwrap_or_else(|| panic!("no examples: {help}"));
        assert!(examples.lines().all(|line| line.is_empty() || line.starts_with("  ddb ")), "{help}");
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = format!("ddb {}", env!("CARGO_PKG_VERSION"));
    ddb(&["-V"]).0.assert().success().stdout(format!("{version}\n"));
    ddb(&["--version"]).0.assert().success().stdout(starts_with(format!("{version} (")).and(ends_with(" build)\n")));
}

#[test]
fn what_cannot_be_understood_is_a_usage_error() {
    for words in [
        &[][..],
        &["nosuch"],
        &["get"],
        &["get", "t", "1", "--nosuch"],
        &["get", "t", "1", "-o", "xml"],
        &["get", "t", "1", "--level", "strong"],
        &["get", "t", "1", "--timeout", "soon"],
        &["get", "t", "1", "-q", "-v"],
        &["insert", "t", "1", "a=1", "--upsert", "--if-not-exists"],
        &["update", "t", "1"],
        &["search", "t", "--order"],
        &["search", "t", "--explain", "--count"],
        &["search", "t", "--count", "--keys-only"],
        &["table", "create", "t"],
        &["wait", "--for", "quorum"],
        &["demo", "--nodes", "0"],
        &["serve"],
    ] {
        ddb(words).0.assert().code(2).stdout(is_empty()).stderr(is_empty().not());
    }
}

#[test]
fn a_bad_word_is_refused_before_anything_is_sent() {
    let nobody = nobody();
    for (words, said) in [
        (&["insert", "t", "1", "name"][..], "\"name\" gives no value"),
        (&["insert", "t", "1", "a=1", "a=2"], "column \"a\" is given twice"),
        (&["insert", "t", "1", "a:=Ahmed"], "\"Ahmed\" cannot be kept"),
        (&["update", "t", "1", "a=@nowhere"], "cannot read \"nowhere\""),
        (&["search", "t", "grade"], "it has no ="),
        (&["search", "t", "grade.near=1"], "uses the operator \".near\""),
        (&["table", "create", "t", "a:word"], "unknown type \"word\""),
        (&["table", "drop", "t"], "confirmation is needed"),
        (&["delete", "t", "-"], "confirmation is needed"),
        (&["delete", "t", "--all"], "confirmation is needed"),
        (&["delete", "t", "1", "--all"], "exclude each other"),
        (&["delete", "t", "1", "2", "--if", "a=1"], "about one row"),
        (&["delete", "t", "1", "--dry-run"], "--where or --all"),
        (&["update", "t", "--where", "a=1", "b=2"], "confirmation is needed"),
        (&["update", "t", "1", "b=2", "--all"], "exclude each other"),
        (&["update", "t", "1"], "nothing to change"),
    ] {
        let (mut ddb, _dir) = ddb(words);
        ddb.env("DDB_ENDPOINTS", &nobody).assert().code(2).stdout(is_empty()).stderr(contains(said));
    }
}

#[test]
fn an_error_of_usage_is_an_object_for_programs() {
    let (mut ddb, _dir) = ddb(&["insert", "t", "1", "name", "-o", "json"]);
    let output = ddb.assert().code(2).get_output().stderr.clone();
    let document: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(document["error"]["code"], "usage");
    assert_eq!(document["error"]["retryable"], false);
}

#[test]
fn where_nobody_listens_nothing_is_sent_and_every_endpoint_is_named() {
    let (one, two) = (nobody(), nobody());
    let (mut command, _dir) = ddb(&["get", "t", "1", "-e", &format!("{one},http://{two}/")]);
    let told = starts_with("error: no endpoint could be reached; nothing was sent\n")
        .and(contains(format!("  http://{one}: connection refused\n")))
        .and(contains(format!("  http://{two}: connection refused\n")));
    command.assert().code(3).stdout(is_empty()).stderr(told);
    let (mut command, _dir) = ddb(&["insert", "t", "1", "-o", "jsonl"]);
    let output = command.env("DDB_ENDPOINTS", &one).assert().code(3).get_output().stderr.clone();
    let document: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(
        (&document["error"]["code"], &document["error"]["outcome"]),
        (&"unreachable".into(), &"not_applied".into())
    );
}

#[test]
fn endpoints_come_from_the_option_else_the_variable_else_the_file() {
    let (option, variable, file) = (nobody(), nobody(), nobody());
    let tried = |words: &[&str], variable: Option<&str>| {
        let (mut command, dir) = ddb(words);
        let config = format!(r#"{{"nodes":[{{"id":1,"address":"http://{file}"}}]}}"#);
        std::fs::write(dir.path().join("config.json"), config).unwrap();
        if let Some(variable) = variable {
            command.env("DDB_ENDPOINTS", variable);
        }
        String::from_utf8(command.assert().code(3).get_output().stderr.clone()).unwrap()
    };
    let get = ["get", "t", "1"];
    assert!(tried(&["get", "t", "1", "-e", &option], Some(&variable)).contains(&option));
    assert!(tried(&get, Some(&variable)).contains(&variable));
    assert!(tried(&get, None).contains(&file));
    assert!(tried(&get, Some("")).contains(&file));
}

#[test]
fn without_endpoints_or_with_bad_ones_the_error_says_what_to_write() {
    ddb(&["status"]).0.assert().code(2).stderr(contains("no endpoints are given").and(contains("hint: ")));
    ddb(&["status", "-e", "https://a:1"]).0.assert().code(2).stderr(contains("TLS is not supported yet"));
    ddb(&["status", "-e", "nowhere"]).0.assert().code(2).stderr(contains("it has no port"));
}

#[test]
fn a_bad_configuration_is_told_with_file_and_line() {
    let (mut command, _dir) = ddb(&["serve", "--id", "1"]);
    command.assert().code(2).stdout(is_empty()).stderr(contains("cannot read config.json"));
    for words in [&["serve", "--id", "1", "--config", "c.json"][..], &["status", "--config", "c.json"]] {
        let (mut command, dir) = ddb(words);
        std::fs::write(dir.path().join("c.json"), "{\n \"node\": []\n}").unwrap();
        command.assert().code(2).stdout(is_empty()).stderr(contains("c.json: line 2, column 2: unknown key \"node\""));
    }
    let (mut command, dir) = ddb(&["serve", "--id", "7"]);
    std::fs::write(dir.path().join("config.json"), r#"{"nodes":[{"id":1,"address":"http://127.0.0.1:1"}]}"#).unwrap();
    command.assert().code(2).stdout(is_empty()).stderr(contains("node 7 is not in the configuration"));
}

#[test]
fn what_is_waited_for_in_vain_is_named() {
    let (mut command, _dir) = ddb(&["wait", "--for", "leader", "--timeout", "300ms", "-e", &nobody()]);
    command.assert().code(7).stderr(starts_with("error: timed out after 0.3 s: no endpoint could be reached"));
}

#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Process::new(env!("CARGO_BIN_EXE_ddb"));
    let output =
        command.arg("--help").stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn a_signal_ends_a_command_with_its_exit_code() {
    use rustix::process::{Pid, Signal, kill_process};
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut command = Process::new(env!("CARGO_BIN_EXE_ddb"));
        command.args(["get", "t", "1", "--timeout", "60s", "-e", &silent.local_addr().unwrap().to_string()]);
        let mut child = command.spawn().unwrap();
        let _connection = silent.accept().unwrap();
        kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal).unwrap();
        let ended = child.wait().unwrap();
        // As a shell sees it, also where the signal was quicker than the one who listens for it.
        assert_eq!(ended.code().or(ended.signal().map(|signal| 128 + signal)), Some(code));
    }
}

#[test]
fn every_global_option_has_its_variable() {
    for (name, value) in [("DDB_OUTPUT", "xml"), ("DDB_TIMEOUT", "soon"), ("DDB_LEVEL", "strong"), ("DDB_COLOR", "red")]
    {
        let (mut command, _dir) = ddb(&["status", "-e", "127.0.0.1:1"]);
        command.env(name, value).assert().code(2).stderr(contains(value));
    }
    let (mut command, _dir) = ddb(&["status", "-e", "127.0.0.1:1"]);
    command.env("DDB_OUTPUT", "json").assert().code(3).stderr(starts_with("{\"error\":").and(ends_with("}\n")));
}

#[test]
fn a_usage_error_is_json_where_json_was_asked_for() {
    for args in [&["-o", "json", "get", "students"][..], &["serch", "t", "--output=jsonl"], &["get", "-ojson"]] {
        let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_ddb")).args(args).output().expect("ddb runs");
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(2), &b""[..]), "{args:?}");
        let error: serde_json::Value = serde_json::from_slice(&output.stderr).expect("JSON on stderr");
        assert!(error["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
    }
}
