//! Help, man pages and the installation: they are as the grammar of the commands is.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `ddb` with these words in an empty directory, without settings from outside.
fn ddb(words: &[&str], dir: &Path) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddb"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DDB_")) {
        command.env_remove(name);
    }
    let output = command.args(words).current_dir(dir).output().expect("ddb runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.map(|path| (path.file_name().expect("a name").into(), std::fs::read(&path).expect("a file"))).collect()
}

#[test]
fn the_man_pages_are_those_of_the_commands() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // What is no longer generated must go.
    std::fs::write(dir.path().join("ddb-old.1"), "old").expect("a file");
    assert_eq!(ddb(&["generate", "."], dir.path()).0, 0);
    let (committed, generated) = (files(&project().join("man")), files(dir.path()));
    let names = |pages: &BTreeMap<PathBuf, Vec<u8>>| pages.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&committed), names(&generated), "run: make generate");
    for (name, page) in &generated {
        assert!(committed[name] == *page, "{} is not up to date; run: make generate", name.display());
    }
    for name in ["ddb.1", "ddb-table-create.1", "ddb-config.5"] {
        assert!(generated.contains_key(Path::new(name)), "{name}");
    }
}

#[test]
fn every_page_has_the_sections_that_people_look_for() {
    for (name, page) in files(&project().join("man")) {
        let page = String::from_utf8(page).expect("UTF-8");
        let mut wanted = vec!["NAME", "SYNOPSIS", "DESCRIPTION", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"];
        if name.extension().is_some_and(|end| end == "1") {
            wanted.extend(["EXIT STATUS", "OPTIONS"]);
        }
        for heading in wanted {
            assert!(page.lines().any(|line| line == format!(".SH {heading}")), "{}: {heading}", name.display());
        }
    }
}

#[test]
fn the_pages_are_without_fault_for_mandoc() {
    let pages: Vec<PathBuf> =
        files(&project().join("man")).into_keys().map(|name| Path::new("man").join(name)).collect();
    match Command::new("mandoc").args(["-T", "lint"]).args(&pages).current_dir(project()).output() {
        Ok(output) => assert!(output.status.success() && output.stdout.is_empty(), "{output:?}"),
        // Written past what captures a test's output.
        Err(_) => writeln!(std::io::stderr(), "mandoc is not there: the man pages are not linted").expect("stderr"),
    }
}

#[test]
fn help_tells_about_topics_and_commands() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (words, said) in [
        (&["help"][..], "ddb help exit-codes|environment|filters|values|output|config|consistency"),
        (&["help", "exit-codes"], "  7    timed out; the outcome is unknown\n"),
        (&["help", "environment"], "DDB_ENDPOINTS"),
        (&["help", "filters"], "  column=value"),
        (&["help", "values"], "  age:=29"),
        (&["help", "config"], "election_timeout_ms"),
        (&["help", "output"], "{\"table\",\"row_id\",\"revision\"}"),
        (&["help", "consistency"], "linearizable"),
        (&["help", "table", "create"], "Usage: ddb table create [OPTIONS] <NAME> <COLUMN>..."),
    ] {
        let (code, out, err) = ddb(words, dir.path());
        assert!(code == 0 && out.contains(said) && err.is_empty(), "{words:?}: {out}{err}");
    }
    for (words, said) in [
        (&["help", "filter"][..], "did you mean: ddb help filters"),
        (&["help", "isnert"], "did you mean: ddb help insert"),
        (&["help", "table", "dorp"], "did you mean: ddb help table drop"),
        (&["help", "nothing-like-it"], "the topics are exit-codes"),
    ] {
        let (code, out, err) = ddb(words, dir.path());
        assert!(code == 2 && out.is_empty() && err.contains(said), "{words:?}: {out}{err}");
    }
}

#[test]
fn help_knows_every_variable_and_every_setting() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let help = ddb(&["--help"], dir.path()).1;
    let told = ddb(&["help", "environment"], dir.path()).1;
    let of_options = help.split("[env: ").skip(1).filter_map(|rest| rest.split(']').next());
    let of_options: Vec<&str> = of_options.collect();
    assert!(of_options.len() >= 8, "{of_options:?}");
    std::fs::write(dir.path().join("config.json"), r#"{"nodes": [{"id": 1, "address": "http://a:1"}]}"#)
        .expect("a file");
    let (code, shown, _) = ddb(&["config", "show", "-o", "json"], dir.path());
    assert_eq!(code, 0);
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    let settings = shown.as_array().expect("rows").iter().map(|row| row["key"].as_str().expect("a key"));
    let settings: Vec<&str> =
        settings.skip_while(|key| *key != "cluster").filter(|key| !key.starts_with("node ")).collect();
    assert!(settings.len() >= 6, "{settings:?}");
    let about = ddb(&["help", "config"], dir.path()).1;
    for name in
        of_options.iter().map(ToString::to_string).chain(settings.iter().map(|s| format!("DDB_{}", s.to_uppercase())))
    {
        assert!(told.contains(&format!("  {name} ")), "{name} is missing in: ddb help environment");
    }
    for setting in settings {
        assert!(about.contains(&format!("  {setting} ")), "{setting} is missing in: ddb help config");
    }
}

#[test]
fn config_show_tells_where_each_value_comes_from() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (code, out, err) = ddb(&["config", "show", "-o", "csv", "--timeout", "3s"], dir.path());
    assert!(code == 0 && out.contains("timeout,3s,--timeout\n") && out.contains("output,csv,--output\n"), "{out}");
    assert!(err.contains("there is no ./config.json"), "{err}");
    let text = "{\n \"heartbeat_ms\": 50,\n \"nodes\": [{\"id\": 1, \"address\": \"http://a:1\"}]}";
    std::fs::write(dir.path().join("config.json"), text).expect("a file");
    let (code, out, err) = ddb(&["config", "show", "-o", "csv"], dir.path());
    assert!(code == 0 && err.is_empty(), "{err}");
    for line in ["cluster,ddb,default", "heartbeat_ms,50,config.json:2", "node 1,http://a:1 master,config.json:3"] {
        assert!(out.lines().any(|own| own == line), "{line} is not in:\n{out}");
    }
    std::fs::write(dir.path().join("config.json"), "{\n \"node\": 1}").expect("a file");
    let (code, out, err) = ddb(&["config", "show"], dir.path());
    assert!(code == 2 && out.is_empty() && err.contains("config.json: line 2, column 2"), "{err}");
}

#[test]
fn make_install_puts_everything_in_its_place() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let installed = Command::new("make")
        .args(["install", "PREFIX=/opt/ddb", &format!("BINARY={}", env!("CARGO_BIN_EXE_ddb"))])
        .arg(format!("DESTDIR={}", root.path().display()))
        .current_dir(project())
        .stdout(Stdio::null())
        .status();
    assert!(installed.expect("make runs").success());
    let prefix = root.path().join("opt/ddb");
    for (file, from) in [
        ("share/bash-completion/completions/ddb", "completions/ddb.bash"),
        ("share/zsh/site-functions/_ddb", "completions/_ddb"),
        ("share/fish/vendor_completions.d/ddb.fish", "completions/ddb.fish"),
        ("share/man/man1/ddb.1", "man/ddb.1"),
        ("share/man/man1/ddb-insert.1", "man/ddb-insert.1"),
        ("share/man/man5/ddb-config.5", "man/ddb-config.5"),
    ] {
        let installed = std::fs::read(prefix.join(file)).expect(file);
        assert!(installed == std::fs::read(project().join(from)).expect(from), "{file}");
    }
    let unit = std::fs::read_to_string(prefix.join("lib/systemd/system/ddb@.service")).expect("a unit");
    assert!(unit.contains("\nExecStart=/opt/ddb/bin/ddb serve --id %i "), "{unit}");
    let version = Command::new(prefix.join("bin/ddb")).arg("-V").output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&version.stdout), format!("ddb {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn where_nothing_was_built_nothing_is_installed() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let output = Command::new("make")
        .args(["install", "BINARY=/nowhere/ddb", &format!("DESTDIR={}", root.path().display())])
        .current_dir(project())
        .output()
        .expect("make runs");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no /nowhere/ddb; build it: "), "{output:?}");
    assert!(files(root.path()).is_empty());
}
