//! Real data: the flights out of New York in 2013 with their airlines, airports, planes and weather.
//! They go into three nodes and come out byte for byte; searches, with indexes and without, find what SQLite
//! finds in the same files, and queries in SQL have its answers.
//!
//! A small part of them is in `tests/data/flights`; all of them are fetched and tried by `make flights`.

#![expect(clippy::print_stdout, reason = "the whole run tells its figures")]

mod harness;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use harness::Cluster;
use serde_json::{Value, json};

/// Each file, the option that names its row ids, and its columns.
const TABLES: [(&str, &str, &str); 5] = [
    ("airlines", "--id=carrier", "carrier:text name:text"),
    ("airports", "--id=faa", "faa:text name:text lat:float lon:float alt:int tz:int dst:text tzone:text"),
    (
        "planes",
        "--id=tailnum",
        "tailnum:text year:int type:text manufacturer:text model:text engines:int seats:int speed:int engine:text",
    ),
    (
        "weather",
        "--generate-ids",
        "origin:text year:int month:int day:int hour:int temp:float dewp:float humid:float wind_dir:int \
         wind_speed:float wind_gust:float precip:float pressure:float visib:float time_hour:timestamp",
    ),
    (
        "flights",
        "--generate-ids",
        "year:int month:int day:int dep_time:int sched_dep_time:int dep_delay:int arr_time:int sched_arr_time:int \
         arr_delay:int carrier:text flight:int tailnum:text origin:text dest:text air_time:int distance:int hour:int \
         minute:int time_hour:timestamp",
    ),
];

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/flights")
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The file as it is imported, and as an export gives it back: `NA` is null; the export begins with the row
/// id, writes floats in their shortest form, and is sorted by row id. Nothing in these files needs quotes.
fn normalised(original: &str, columns: &str, generated: bool) -> (String, String) {
    assert!(!original.contains('"'));
    let floats: Vec<bool> = columns.split_whitespace().map(|column| column.ends_with(":float")).collect();
    let mut lines = original.lines();
    let head = lines.next().expect("a header");
    let mut input = format!("{head}\n");
    let mut rows: Vec<(String, String)> = Vec::new();
    for (line, number) in lines.zip(2..) {
        let fields: Vec<&str> = line.split(',').map(|field| if field == "NA" { "" } else { field }).collect();
        writeln!(input, "{}", fields.join(",")).expect("memory");
        let shown = fields.iter().zip(&floats).map(|(field, float)| match field.parse::<f64>() {
            Ok(number) if *float => serde_json::json!(number).to_string(),
            _ => field.to_string(),
        });
        let shown = shown.collect::<Vec<_>>().join(",");
        rows.push((if generated { format!("{number:010}") } else { fields[0].into() }, shown));
    }
    rows.sort();
    let mut output = format!("row_id,{head}\n");
    for (id, row) in rows {
        writeln!(output, "{id},{row}").expect("memory");
    }
    (input, output)
}

/// CPU seconds that the nodes have used.
fn cpu(cluster: &Cluster) -> f64 {
    let ticks = |pid: i32| {
        let stat = read(format!("/proc/{pid}/stat").into());
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        fields[11..13].iter().map(|ticks| ticks.parse::<f64>().expect("ticks")).sum::<f64>()
    };
    cluster.ids().into_iter().map(|id| ticks(cluster.pid(id))).sum::<f64>() / 100.0
}

/// Imports every file, exports it, and compares.
fn round_trip(cluster: &Cluster, from: &Path) {
    for (table, id, columns) in TABLES {
        let generated = id == "--generate-ids";
        let (input, wanted) = normalised(&read(from.join(format!("{table}.csv"))), columns, generated);
        let file = cluster.path().join(format!("{table}.csv"));
        std::fs::write(&file, &input).expect("a file");
        let create: Vec<&str> = ["table", "create", table].into_iter().chain(columns.split_whitespace()).collect();
        cluster.ddb(&create).assert().success();
        let (began, before) = (Instant::now(), cpu(cluster));
        let done = cluster.ddb(&["import", table, file.to_str().expect("a path"), id, "-o", "json"]).assert().success();
        let done: Value = serde_json::from_slice(&done.get_output().stdout).expect("an object");
        let rows = input.lines().count() as u64 - 1;
        assert_eq!(done["inserted"], rows, "{done}");
        let seconds = began.elapsed().as_secs_f64();
        let spent = (cpu(cluster) - before) * 1e4 / rows as f64;
        println!(
            "{table}: {rows} rows in {seconds:.1} s, {:.0} rows/s, {spent:.2} CPU s of the nodes a 10,000 rows",
            rows as f64 / seconds
        );
        let began = Instant::now();
        let out = cluster.ddb(&["export", table, "-o", "csv"]).assert().success();
        println!("{table}: exported in {:.1} s", began.elapsed().as_secs_f64());
        let out = String::from_utf8_lossy(&out.get_output().stdout);
        let differs = out.lines().zip(wanted.lines()).find(|(out, wanted)| out != wanted);
        assert!(out == wanted, "{table}: {differs:?}");
    }
}

/// Each index, by table.
const INDEXES: [(&str, &str); 14] = [
    ("flights", "carrier"),
    ("flights", "origin,dest"),
    ("flights", "dep_delay"),
    ("flights", "arr_delay"),
    ("flights", "tailnum"),
    ("flights", "dest,month"),
    ("flights", "distance"),
    ("flights", "month,day"),
    ("flights", "time_hour"),
    ("weather", "temp"),
    ("weather", "origin,precip"),
    ("planes", "manufacturer,year"),
    ("airports", "lat"),
    ("airlines", "carrier"),
];

/// Adds the indexes, and waits until they are built.
fn add_indexes(cluster: &Cluster) {
    let (began, before) = (Instant::now(), cpu(cluster));
    for (table, columns) in INDEXES {
        cluster.ddb(&["table", "index", table, "add", columns, "--timeout", "5m"]).assert().success();
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{} indexes in {seconds:.1} s, {:.1} CPU s of the nodes", INDEXES.len(), cpu(cluster) - before);
}

/// The lines of a file in `tests/data/flights` that are no remarks.
fn lines(name: &str) -> Vec<String> {
    read(data().join(name)).lines().filter(|line| !line.starts_with('#')).map(String::from).collect()
}

/// Compares each search's row ids with `answers`: how many they are, and their CRC-32. Each has to say that
/// it went the way it can, by the index that fits it or, as long as there are none, by all rows.
async fn searches(cluster: &Cluster, answers: &str, indexed: bool) {
    let searches = lines("searches.tsv");
    assert_eq!((searches.len(), answers.lines().count()), (20, 20));
    let began = Instant::now();
    for (search, wanted) in searches.iter().zip(answers.lines()) {
        let [table, filters, _, index] = search.split('\t').collect::<Vec<_>>()[..] else { panic!("{search}") };
        let args: Vec<&str> =
            ["search", table, "--keys-only", "--timeout", "60s"].into_iter().chain(filters.split(' ')).collect();
        let found = cluster.ddb(&args).assert().success();
        let ids = String::from_utf8_lossy(&found.get_output().stdout);
        let got = format!("{} {}", ids.lines().count(), crc32fast::hash(ids.as_bytes()));
        assert_eq!(got, wanted, "{search}\n{}", ids.lines().take(5).collect::<Vec<_>>().join("\n"));
        let query = filters.replace(' ', "&filter=");
        let path = format!("/v1/tables/{table}/rows?count=1&explain=1&timeout=60s&filter={query}");
        let counted = cluster.get(1, &path).await.expect(200).json;
        let way = if indexed && index != "-" { format!("index {index}") } else { "scan".into() };
        assert_eq!(counted["explain"]["access"], way, "{search}");
        assert_eq!(counted["count"], ids.lines().count(), "{search}");
    }
    let how = if indexed { "with" } else { "without" };
    println!("20 searches and their counts {how} indexes in {:.1} s", began.elapsed().as_secs_f64());
}

/// Compares each query's rows with `answers`.
async fn queries(cluster: &Cluster, answers: &str) {
    let queries = lines("queries.sql");
    assert_eq!((queries.len(), answers.lines().count()), (10, 10));
    for (query, wanted) in queries.iter().zip(answers.lines()) {
        let began = Instant::now();
        let got = cluster.post(2, "/v1/sql?timeout=60s", json!({"query": query})).await.expect(200).json;
        let wanted: Value = serde_json::from_str(wanted).expect("JSON");
        assert_eq!(as_numbers(&got["rows"]), as_numbers(&wanted), "{query}");
        println!("{:.2} s: {query}", began.elapsed().as_secs_f64());
    }
}

/// The same with all numbers as floats: `1` and `1.0` are one number.
fn as_numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(values) => values.iter().map(as_numbers).collect(),
        other => other.clone(),
    }
}

/// What SQLite says of the files in `from`.
fn oracle(what: &str, from: &Path, asked: &str) -> String {
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/flights/oracle.py");
    let answers = Command::new(oracle).arg(what).arg(from).arg(data().join(asked)).output().expect("python3 runs");
    assert!(answers.status.success(), "{}", String::from_utf8_lossy(&answers.stderr));
    String::from_utf8(answers.stdout).expect("text")
}

/// All that is tried, with what SQLite answers.
async fn try_all(from: &Path, found: &str, answers: &str) {
    let cluster = Cluster::start(3).await;
    round_trip(&cluster, from);
    searches(&cluster, found, false).await;
    add_indexes(&cluster);
    searches(&cluster, found, true).await;
    queries(&cluster, answers).await;
    cluster.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_the_flights_comes_out_as_it_went_in_and_is_found() {
    try_all(&data(), &read(data().join("searches.expected")), &read(data().join("queries.expected"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes and files of 30 MB; make flights fetches them and runs it"]
async fn all_flights_come_out_as_they_went_in_and_are_found() {
    let from = PathBuf::from(std::env::var_os("DDB_FLIGHTS").expect("DDB_FLIGHTS names the directory of the files"));
    try_all(&from, &oracle("searches", &from, "searches.tsv"), &oracle("queries", &from, "queries.sql")).await;
}
