//! What the pages tell people to type works as it stands: the recipes, and the examples of every command.

mod harness;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use harness::Cluster;

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("a page")
}

/// The recipes of the page: (heading, script).
fn recipes() -> Vec<(String, String)> {
    let text = page("docs/recipes.md");
    let parts = text.split("\n## ").skip(1).map(|part| part.split_once('\n').expect("a body"));
    let script = |body: &str| -> String {
        body.lines().filter_map(|line| line.strip_prefix("    ")).map(|line| format!("{line}\n")).collect()
    };
    parts.map(|(heading, body)| (heading.to_string(), script(body))).collect()
}

/// A shell in the cluster's directory with `ddb` in its path, that ends at the first failure.
fn sh(cluster: &Cluster, script: &str) -> Output {
    let bin = Path::new(env!("CARGO_BIN_EXE_ddb")).parent().expect("a directory");
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let paths: Vec<PathBuf> = std::iter::once(bin.into()).chain(std::env::split_paths(&paths)).collect();
    let mut command = Command::new("sh");
    command
        .args(["-euc", script])
        .current_dir(cluster.path())
        .env("PATH", std::env::join_paths(paths).expect("a path"));
    command.env("DDB_ENDPOINTS", cluster.endpoints()).env("HOME", cluster.path()).env("DDB_OUTPUT", "");
    command.output().expect("a shell")
}

#[tokio::test]
async fn every_recipe_works_as_it_stands_on_the_page() {
    let cluster = Cluster::start(3).await;
    let recipes = recipes();
    assert_eq!(recipes.len(), 10);
    let has_jq = Command::new("jq").arg("--version").output().is_ok();
    for (heading, script) in recipes {
        assert!(!script.is_empty(), "{heading} has no script");
        if script.contains("jq ") && !has_jq {
            harness::remark("jq is not there: the recipe with it is not tested");
            continue;
        }
        let output = sh(&cluster, &script);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("error:"), "{heading}\n{script}\n{output:?}");
    }
    let rows = cluster.get(1, "/v1/tables/jobs/rows?order=id").await.expect(200).json;
    let states: Vec<&str> =
        rows["rows"].as_array().expect("rows").iter().filter_map(|row| row["data"]["state"].as_str()).collect();
    assert_eq!(states, ["queued", "running", "done"]);
}

/// The examples of a help text, without what is said about them at the end of the line.
fn examples(help: &str) -> Vec<String> {
    let block = help.split("Examples:\n").nth(1).unwrap_or_default();
    let lines = block.lines().take_while(|line| line.starts_with("  "));
    lines.map(|line| line.trim().split("   ").next().unwrap_or_default().to_string()).collect()
}

fn help(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ddb")).args(words).arg("--help").output().expect("ddb runs");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// All commands below `above`, by the list in its help.
fn commands(above: &[String]) -> Vec<Vec<String>> {
    let text = help(&above.iter().map(String::as_str).collect::<Vec<_>>());
    let listed = text.split("\nCommands:\n").nth(1).unwrap_or_default();
    let names = listed.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
        let name = line.strip_prefix("  ")?;
        (!name.starts_with(' ')).then(|| name.split(' ').next().unwrap_or_default().to_string())
    });
    let mut found = vec![above.to_vec()];
    for name in names {
        found.extend(commands(&[above, &[name]].concat()));
    }
    found
}

/// Whether an example ends by itself and leaves the machine as it was: not those that run a node,
/// watch for ever, want a person or a file that is not there, or write where people keep things.
fn is_runnable(example: &str) -> bool {
    let kept_out = [
        "ddb serve",
        "ddb demo",
        "--watch",
        "~/",
        "/etc/",
        "my-test",
        "ddb txn -f - ",
        "ddb generate",
        "127.0.0.1:8080",
        "ddb bench",
        "ddb doctor",
        "ddb watch",
        "ddb node",
        "ddb backup",
        "ddb restore",
    ];
    !matches!(example, "ddb shell" | "ddb table drop students") && !kept_out.iter().any(|part| example.contains(part))
}

#[tokio::test]
async fn the_examples_of_every_command_work_against_a_cluster() {
    let all = commands(&[]);
    assert!(all.len() > 20, "{all:?}");
    let cluster = Cluster::start(3).await;
    let prepare = "
        printf 'I am a bio' > bio.txt
        printf 'id,name,grade\\n11,Omar,F\\n12,Huda,A\\n' > new.csv
        printf 'flight,from,to\\nQR1,DOH,LHR\\n' > flights.csv
        printf '{\"id\":\"13\",\"name\":\"Zaid\"}\\n' > students.jsonl
        printf 'status\\ntable list\\n' | tee setup.ddb > statements.ddb
        printf '{\"update\":{\"table\":\"students\",\"row_id\":\"1\",\"data\":{\"grade\":\"B\"}}}\\n' > transfer.jsonl
        printf 'SELECT count(*) FROM students\\n' > report.sql
    ";
    assert!(sh(&cluster, prepare).status.success());
    let mut run = 0;
    for words in &all {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        for example in examples(&help(&words)).iter().filter(|example| is_runnable(example)) {
            make_tables(&cluster, example);
            let output = sh(&cluster, &allowing_for_the_page(example));
            assert!(output.status.success(), "{example}\n{}", String::from_utf8_lossy(&output.stderr));
            run += 1;
        }
    }
    assert!(run > 40, "only {run} examples were run");
}

/// The tables and rows that the pages speak of; what an example makes is not there before it.
fn make_tables(cluster: &Cluster, example: &str) {
    let mut statements: Vec<String> = ["students", "teachers", "people", "pupils", "users", "accounts", "flights"]
        .map(|table| format!("table drop {table} --yes --if-exists"))
        .into();
    if !example.starts_with("ddb table create") {
        statements.extend(
            [
                "table create students id name grade age:int email notes teacher checked:bool",
                "table create teachers id name",
                "table create accounts id:int balance:int",
                "table create people id:int name age:int tags:json bio born:timestamp",
                "table create pupils id name grade age email notes teacher checked",
                "table create flights flight from to",
            ]
            .map(String::from),
        );
    }
    if !example.starts_with("ddb table create") && !example.starts_with("ddb insert") {
        let row = |(id, grade)| format!("insert students {id} name=Ahmed grade={grade} age:=20");
        statements.extend([(1, 'A'), (2, 'F'), (3, 'B')].map(row));
        statements.push("insert accounts 7 balance=100".into());
    }
    if example.contains(" drop by_grade") {
        statements.push("table index students add grade --name by_grade".into());
    }
    cluster.ddb(&["shell", "-q"]).write_stdin(statements.join("\n")).assert().success();
}

/// A condition on a revision, or on a grade, is one of the page's own; the row here is at another.
fn allowing_for_the_page(example: &str) -> String {
    match example.contains("--if-revision") || example.contains("--if grade=") {
        true => format!("{example} || test $? -eq 5"),
        false => example.to_string(),
    }
}
