//! Files of a node that were cut, altered or lost: it refuses to start and names the file, or has all that was
//! acknowledged. It never answers anything else.

mod harness;

use std::fs;
use std::path::{Path, PathBuf};

use harness::{Cluster, eventually};
use serde_json::{Value, json};

const ROWS: u64 = 50;

/// What became of a node with damaged files.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Refused,
    Whole,
}

/// A lone node's directory with rows in the store and in the log, to be damaged again and again.
struct Patient {
    cluster: Cluster,
    copy: PathBuf,
    expected: Value,
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory").flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &to) } else { assert!(fs::copy(entry.path(), to).is_ok()) }
    }
}

async fn rows(cluster: &Cluster) -> Option<Value> {
    let answer = cluster.try_request(1, "GET", "/v1/tables/t/rows?limit=1000", None).await.ok()?;
    (answer.status == 200).then(|| answer.json["rows"].clone())
}

impl Patient {
    async fn new() -> Patient {
        let mut cluster = Cluster::start_with(1, json!({"snapshot_entries": 20})).await;
        cluster.post(1, "/v1/tables", json!({"name": "t", "columns": ["id", "n:int", "fill"]})).await.expect(201);
        for n in 0..ROWS {
            let data = json!({"n": n, "fill": "fill".repeat(n as usize * 5)});
            let body = json!({"table_name": "t", "row_id": format!("row {n:03}"), "data": data});
            cluster.post(1, "/insert", body).await.expect(201);
        }
        let expected = rows(&cluster).await.expect("rows");
        assert_eq!(expected.as_array().map(Vec::len), Some(ROWS as usize));
        cluster.kill(1);
        let own = cluster.path().join("copy");
        copy(&cluster.data(1), &own);
        Patient { cluster, copy: own, expected }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.cluster.data(1).join(name)
    }

    /// Starts the node on a copy that `damage` was done to. What it answers must be right; if it refuses to start,
    /// it must name `name`.
    async fn fate(&mut self, name: &str, case: &str, damage: impl FnOnce(&Path)) -> Fate {
        let data = self.cluster.data(1);
        fs::remove_dir_all(&data).expect("removed");
        copy(&self.copy, &data);
        damage(&self.file(name));
        let said = self.cluster.log(1).len();
        self.cluster.launch(1, "DDB_LOG", "info");
        let found = eventually(&format!("{name}, {case}: it answers or ends"), async || {
            if let Some(status) = self.cluster.ended(1) {
                return Some(Err(status));
            }
            rows(&self.cluster).await.map(Ok)
        })
        .await;
        match found {
            Ok(rows) => {
                assert_eq!(rows, self.expected, "{name}, {case}");
                self.cluster.kill(1);
                Fate::Whole
            }
            Err(status) => {
                let said = self.cluster.log(1)[said..].to_string();
                assert!(status.code().is_some_and(|code| code != 0), "{name}, {case}: {status}\n{said}");
                let short = name.rsplit('/').next().unwrap_or(name);
                assert!(said.contains(short), "{name}, {case}: it does not name the file:\n{said}");
                Fate::Refused
            }
        }
    }
}

/// Flips one bit.
fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("read");
    bytes[at] ^= 1 << (at % 8);
    fs::write(path, bytes).expect("written");
}

fn cut(path: &Path, length: u64) {
    fs::File::options().write(true).open(path).and_then(|file| file.set_len(length)).expect("cut");
}

/// Places in a file that hold something, spread over all of them.
fn places(path: &Path, count: usize) -> Vec<usize> {
    let bytes = fs::read(path).expect("read");
    let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    (0..count).map(|n| used[(n * used.len() / count + n * 7) % used.len()]).collect()
}

#[tokio::test]
async fn an_altered_or_cut_store_is_never_read_as_if_it_were_whole() {
    let mut patient = Patient::new().await;
    let name = "store.redb";
    let mut refused = 0;
    for at in places(&patient.copy.join(name), 24) {
        let fate = patient.fate(name, &format!("bit of byte {at}"), |path| flip(path, at)).await;
        refused += u32::from(fate == Fate::Refused);
    }
    assert!(refused > 5, "{refused}");
    let length = fs::metadata(patient.copy.join(name)).expect("its length").len();
    for kept in [0, 100, 4096, 5000, length / 2] {
        let fate = patient.fate(name, &format!("cut to {kept}"), |path| cut(path, kept)).await;
        assert_eq!(fate, Fate::Refused, "cut to {kept}");
    }
}

#[tokio::test]
async fn an_altered_or_cut_log_is_never_read_as_if_it_were_whole() {
    let mut patient = Patient::new().await;
    let name = "log/00000001.seg";
    let path = patient.copy.join(name);
    for at in places(&path, 16) {
        let fate = patient.fate(name, &format!("bit of byte {at}"), |path| flip(path, at)).await;
        assert_eq!(fate, Fate::Refused, "bit of byte {at}");
    }
    let used = fs::read(&path).expect("read").iter().rposition(|byte| *byte != 0).expect("a byte") as u64;
    for kept in [0, 10, used / 2, used] {
        let fate = patient.fate(name, &format!("cut to {kept}"), |path| cut(path, kept)).await;
        assert_eq!(fate, Fate::Refused, "cut to {kept}");
    }
}

#[tokio::test]
async fn a_lost_file_is_missed() {
    let mut patient = Patient::new().await;
    for name in ["node.json", "log", "log/00000001.seg", "store.redb"] {
        let remove = |path: &Path| if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        let shown = if name.starts_with("log") { "log" } else { name };
        let gone = patient.file(name);
        let fate = patient.fate(shown, &format!("{name} is gone"), |_| remove(&gone).expect("removed")).await;
        assert_eq!(fate, Fate::Refused, "{name}");
    }
}

#[tokio::test]
async fn an_altered_or_cut_stamp_is_refused() {
    let mut patient = Patient::new().await;
    let text = fs::read_to_string(patient.copy.join("node.json")).expect("read");
    for at in (0..text.len()).filter(|at| !text.as_bytes()[*at].is_ascii_whitespace()).step_by(5) {
        let fate = patient.fate("node.json", &format!("bit of byte {at}"), |path| flip(path, at)).await;
        assert_eq!(fate, Fate::Refused, "bit of byte {at}");
    }
    for kept in [0, 5, text.len() as u64 - 3] {
        let fate = patient.fate("node.json", &format!("cut to {kept}"), |path| cut(path, kept)).await;
        assert_eq!(fate, Fate::Refused, "cut to {kept}");
    }
}

#[tokio::test]
async fn what_a_node_knows_of_its_peers_is_checked_too() {
    let mut cluster = Cluster::start(3).await;
    let path = cluster.data(1).join("peers.json");
    eventually("node 1 has met its peers", async || {
        fs::read_to_string(&path).ok().filter(|text| text.contains("\"3\""))
    })
    .await;
    cluster.kill(1);
    let whole = fs::read(&path).expect("read");
    for at in [whole.len() / 3, whole.len() / 2, whole.len() - 9] {
        fs::write(&path, &whole).expect("written");
        flip(&path, at);
        cluster.launch(1, "DDB_LOG", "info");
        let status = eventually(&format!("byte {at}: node 1 refuses"), async || cluster.ended(1)).await;
        assert!(status.code().is_some_and(|code| code != 0) && cluster.log(1).contains("peers.json"), "byte {at}");
    }
    fs::write(&path, &whole).expect("written");
    cluster.spawn(1);
    cluster.verify().await;
}

#[tokio::test]
async fn what_a_crash_left_half_written_is_removed() {
    let mut patient = Patient::new().await;
    let left = ["store.redb.received-0", "store.redb.new", "log/00000002.new", "node.tmp"];
    let files: Vec<PathBuf> = left.iter().map(|name| patient.file(name)).collect();
    let fate = patient.fate("store.redb", "with leftovers", |_| {
        files.iter().for_each(|file| fs::write(file, "half a file").expect("written"));
    });
    assert_eq!(fate.await, Fate::Whole);
    for file in &files[..3] {
        assert!(!file.exists(), "{}", file.display());
    }
}
