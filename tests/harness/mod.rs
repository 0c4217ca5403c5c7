//! Starts real nodes for the tests: a cluster in a directory of its own, on a loopback address of
//! its own, killed when the test ends.
//!
//! Each cluster draws a random address in 127.0.0.0/8 and lets the kernel choose the ports there,
//! so that tests run side by side and a port stays its node's own while the node is down.

#![allow(dead_code, unreachable_pub, reason = "every test file uses a part of it")]
#![allow(clippy::print_stderr, reason = "a failed test shows the nodes' logs")]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long a condition may take to come true before the test fails. Generous: a busy machine is
/// no failure, and a condition that holds is seen at once.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The program that runs as a node: the one built with the tests, or the one that `DDB_BINARY` names.
pub fn ddb() -> PathBuf {
    std::env::var_os("DDB_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_ddb").into(), PathBuf::from)
}

pub struct Node {
    pub id: u64,
    pub address: String,
    child: Option<Child>,
}

pub struct Cluster {
    dir: tempfile::TempDir,
    pub nodes: Vec<Node>,
    pub http: reqwest::Client,
    /// What stands before `ddb serve` on a node's command line: a namespace to enter, variables to set.
    pub before: Vec<String>,
    /// What the nodes log.
    pub log_level: &'static str,
    /// Whether some of the nodes have several threads whatever the machine has.
    uneven: bool,
}

impl Cluster {
    /// Starts `size` nodes; node 1 is the master.
    pub async fn start(size: u64) -> Cluster {
        Cluster::start_with(size, json!({})).await
    }

    /// The same with more keys in `config.json`.
    pub async fn start_with(size: u64, more: Value) -> Cluster {
        Cluster::prepare(size, more).started().await
    }

    /// The same with nodes as users run them, for what is measured.
    pub async fn as_shipped(size: u64) -> Cluster {
        let mut cluster = Cluster::prepare(size, json!({}));
        (cluster.log_level, cluster.uneven) = ("info", false);
        cluster.started().await
    }

    async fn started(mut self) -> Cluster {
        self.ids().into_iter().for_each(|id| self.spawn(id));
        self.leader().await;
        self
    }

    /// Writes the configuration and starts nothing.
    pub fn prepare(size: u64, more: Value) -> Cluster {
        let host =
            format!("127.{}.{}.{}", rand::random_range(1..=254), rand::random::<u8>(), rand::random_range(1..=254));
        // Held together, so that the kernel gives each another port.
        let ports: Vec<_> =
            (0..size).map(|_| std::net::TcpListener::bind((host.as_str(), 0)).expect("a port")).collect();
        Cluster::at(ports.iter().map(|port| port.local_addr().expect("an address").to_string()).collect(), more)
    }

    /// The same with a node at each of these addresses.
    pub fn at(addresses: Vec<String>, more: Value) -> Cluster {
        let dir = tempfile::Builder::new().prefix("ddb-test-").tempdir().expect("a temporary directory");
        let nodes: Vec<Node> = addresses
            .iter()
            .zip(1..)
            .map(|(address, id)| Node { id, address: format!("http://{address}"), child: None })
            .collect();
        let mut config = json!({
            "cluster": "test",
            "data_dir": "data",
            "nodes": nodes.iter().map(|node| json!({
                "id": node.id,
                "address": node.address,
                "role": if node.id == 1 { "master" } else { "slave" },
            })).collect::<Vec<_>>(),
        });
        for (key, value) in more.as_object().expect("an object of keys") {
            config[key] = value.clone();
        }
        std::fs::write(dir.path().join("config.json"), config.to_string()).expect("a configuration");
        let http = reqwest::Client::builder().pool_max_idle_per_host(64).build().expect("a client");
        Cluster { dir, nodes, http, before: Vec::new(), log_level: "debug", uneven: true }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("config.json")
    }

    pub fn data(&self, id: u64) -> PathBuf {
        self.dir.path().join(format!("data/node-{id}"))
    }

    pub fn node(&self, id: u64) -> &Node {
        &self.nodes[id as usize - 1]
    }

    pub fn url(&self, id: u64, path: &str) -> String {
        format!("{}{path}", self.node(id).address)
    }

    pub fn endpoints(&self) -> String {
        self.nodes.iter().map(|node| node.address.clone()).collect::<Vec<_>>().join(",")
    }

    pub fn ids(&self) -> Vec<u64> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    /// Starts a node and waits for its ready line.
    pub fn spawn(&mut self, id: u64) {
        let mut child = self.command(id).stdout(Stdio::piped()).spawn().expect("ddb starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a ready line");
        let expected = format!("ddb node {id} listening on {}\n", self.node(id).address);
        assert_eq!(line, expected, "node {id} is not ready; its log:\n{}", self.log(id));
        self.nodes[id as usize - 1].child = Some(child);
    }

    fn command(&self, id: u64) -> Command {
        let log = File::options().create(true).append(true).open(self.log_path(id)).expect("a log file");
        let before = self.before.iter().map(|word| word.replace("{id}", &id.to_string()));
        let mut words = before.chain([ddb().to_string_lossy().into_owned()]);
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).args(["serve", "--id", &id.to_string(), "--config"]).arg(self.config());
        command.env("DDB_LOG", self.log_level).env_remove("DDB_THREADS").stdin(Stdio::null()).stderr(log);
        if self.uneven && id.is_multiple_of(2) {
            command.env("DDB_THREADS", "4");
        }
        command
    }

    /// Starts a node with a variable in its environment and does not wait for it: it may end at once.
    pub fn launch(&mut self, id: u64, name: &str, value: &str) {
        let child = self.command(id).env(name, value).stdout(Stdio::null()).spawn().expect("ddb starts");
        self.nodes[id as usize - 1].child = Some(child);
    }

    /// How a node has ended by itself; `None` while it runs.
    pub fn ended(&mut self, id: u64) -> Option<ExitStatus> {
        let child = &mut self.nodes[id as usize - 1].child;
        let status = child.as_mut().expect("a node that was started").try_wait().expect("waited");
        if status.is_some() {
            *child = None;
        }
        status
    }

    fn log_path(&self, id: u64) -> PathBuf {
        self.dir.path().join(format!("node-{id}.log"))
    }

    /// What a node has logged so far.
    pub fn log(&self, id: u64) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_path(id)).unwrap_or_default()).into_owned()
    }

    /// Waits until a node has logged `line`: what it answers may come before what it logs.
    pub async fn says(&self, id: u64, line: &str) {
        eventually(&format!("node {id} says {line:?}"), async || self.log(id).contains(line).then_some(())).await;
    }

    pub fn is_running(&self, id: u64) -> bool {
        self.node(id).child.is_some()
    }

    /// The process id of a running node.
    pub fn pid(&self, id: u64) -> i32 {
        self.node(id).child.as_ref().expect("a running node").id() as i32
    }

    /// The memory that a node has in use, in MiB.
    pub fn memory(&self, id: u64) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid(id))).expect("a running node");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a figure");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
    }

    /// `kill -9`, and wait until the process is gone.
    pub fn kill(&mut self, id: u64) {
        let mut child = self.nodes[id as usize - 1].child.take().expect("a running node");
        child.kill().expect("killed");
        child.wait().expect("reaped");
    }

    /// SIGTERM, and the exit code once the process has ended by itself.
    pub fn terminate(&mut self, id: u64) -> Option<i32> {
        self.signal(id, rustix::process::Signal::TERM);
        let mut child = self.nodes[id as usize - 1].child.take().expect("a running node");
        child.wait().expect("reaped").code()
    }

    pub fn signal(&self, id: u64, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid(id)).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("signalled");
    }

    /// One request; the status, the headers and the JSON of the answer (null where there is none).
    pub async fn request(&self, id: u64, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.try_request(id, method, path, body).await.expect("an answer")
    }

    pub async fn try_request(&self, id: u64, method: &str, path: &str, body: Option<Value>) -> reqwest::Result<Answer> {
        self.send(id, method, path, &[], body).await
    }

    pub async fn send(
        &self,
        id: u64,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> reqwest::Result<Answer> {
        let mut request = self.http.request(method.parse().expect("a method"), self.url(id, path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.timeout(Duration::from_secs(20)).send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        Ok(Answer { status, headers, json: serde_json::from_str(&text).unwrap_or(Value::Null), text })
    }

    pub async fn get(&self, id: u64, path: &str) -> Answer {
        self.request(id, "GET", path, None).await
    }

    pub async fn post(&self, id: u64, path: &str, body: Value) -> Answer {
        self.request(id, "POST", path, Some(body)).await
    }

    /// The leader on which all running nodes agree, once they do.
    pub async fn leader(&self) -> u64 {
        let running: Vec<u64> = self.ids().into_iter().filter(|id| self.is_running(*id)).collect();
        eventually("all running nodes agree on a leader", async || {
            let mut leaders = Vec::new();
            for id in &running {
                let status = self.try_request(*id, "GET", "/v1/status", None).await.ok()?;
                leaders.push(status.json["leader"]["id"].as_u64()?);
            }
            leaders.windows(2).all(|pair| pair[0] == pair[1]).then(|| leaders[0])
        })
        .await
    }

    /// Waits until `id` leads and all running nodes know it.
    pub async fn led_by(&self, id: u64) {
        eventually(&format!("node {id} leads"), async || (self.leader().await == id).then_some(())).await;
    }

    /// Runs `ddb` against this cluster.
    pub fn ddb(&self, args: &[&str]) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::new(ddb());
        command.args(args).env("DDB_ENDPOINTS", self.endpoints()).current_dir(self.path());
        command
    }

    /// Asks for a comparison of all replicas and requires that it is complete and equal.
    pub async fn verify(&self) -> Value {
        let report = self.request(self.leader().await, "POST", "/v1/verify?timeout=15s", None).await;
        assert_eq!(report.status, 200, "{}", report.text);
        assert_eq!((&report.json["complete"], &report.json["equal"]), (&json!(true), &json!(true)), "{}", report.text);
        report.json
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if let Some(mut child) = node.child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        if std::thread::panicking() {
            for id in self.ids() {
                let log = self.log(id);
                let tail: Vec<&str> = log.lines().rev().filter(|l| !l.contains("Sent to")).take(60).collect();
                eprintln!("--- the end of node {id}'s log");
                tail.iter().rev().for_each(|line| eprintln!("{line}"));
            }
        }
    }
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub json: Value,
    pub text: String,
}

impl Answer {
    /// The answer, if it has this status; else the test fails and shows it.
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn code(&self) -> &str {
        self.json["error"]["code"].as_str().unwrap_or_default()
    }
}

/// Asks again and again until there is an answer; fails the test if there is none in `PATIENCE`.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    loop {
        tick.tick().await;
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "did not come true: {what}");
    }
}

/// Says something that a test's captured output would hide.
pub fn remark(text: &str) {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "{text}").expect("stderr");
}
