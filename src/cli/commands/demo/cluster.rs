//! Owns the throwaway cluster: its directory, its configuration, its node processes.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

/// The nodes of a demo; when it is dropped they are gone, and so is their data.
pub(super) struct Cluster {
    dir: PathBuf,
    nodes: Vec<Node>,
}

struct Node {
    address: String,
    process: Option<Child>,
}

impl Cluster {
    /// Starts `size` nodes on free ports of the loopback address; node 1 is the master.
    pub(super) async fn start(size: usize) -> Result<Cluster> {
        let name = format!("ddb-demo-{}", uuid::Uuid::new_v4().simple());
        let dir = std::env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let mut cluster = Cluster { dir, nodes: Vec::new() };
        // Held together, so that the system gives each node another port.
        let ports = (0..size).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<Vec<_>>>()?;
        for port in &ports {
            cluster.nodes.push(Node { address: format!("http://{}", port.local_addr()?), process: None });
        }
        drop(ports);
        cluster.configure()?;
        for id in cluster.ids() {
            cluster.spawn(id)?;
        }
        for id in cluster.ids() {
            cluster.wait_until_ready(id).await?;
        }
        Ok(cluster)
    }

    fn configure(&self) -> Result<()> {
        let role = |id: usize| if id == 1 { "master" } else { "slave" };
        let node = |(id, node): (usize, &Node)| json!({ "id": id, "address": node.address, "role": role(id) });
        let nodes: Vec<_> = (1..).zip(&self.nodes).map(node).collect();
        let config = json!({ "cluster": "demo", "data_dir": "data", "nodes": nodes });
        fs::write(self.config(), format!("{config:#}\n")).context("cannot write the configuration")
    }

    /// The node ids.
    pub(super) fn ids(&self) -> Vec<usize> {
        (1..=self.nodes.len()).collect()
    }

    /// The directory of configuration, data and logs.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The configuration file.
    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("config.json")
    }

    /// All addresses, as `-e` takes them.
    pub(super) fn endpoints(&self) -> String {
        self.nodes.iter().map(|node| node.address.as_str()).collect::<Vec<_>>().join(",")
    }

    /// The process of a node that runs.
    pub(super) fn pid(&self, id: usize) -> Option<u32> {
        self.nodes[id - 1].process.as_ref().map(Child::id)
    }

    /// Starts a node that does not run, and waits until it serves.
    pub(super) async fn restart(&mut self, id: usize) -> Result<()> {
        self.spawn(id)?;
        self.wait_until_ready(id).await
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, id: usize) -> Result<()> {
        match self.nodes[id - 1].process.take() {
            Some(mut process) => process
                .kill()
                .and_then(|()| process.wait())
                .map(|_| ())
                .with_context(|| format!("cannot kill node {id}")),
            None => Ok(()),
        }
    }

    fn spawn(&mut self, id: usize) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log(id))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--until-stdin-closes", "--id", &id.to_string(), "--config"]).arg(self.config());
        // Settings of the shell that this runs in are not meant for these nodes.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DDB_")) {
            if name != "DDB_LOG" {
                command.env_remove(name);
            }
        }
        // In a group of its own, a node does not hear the Ctrl-C that is meant for the demo. Its
        // stdin is this process: it ends with it, however that ends.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let process = command.spawn().with_context(|| format!("cannot start node {id}"))?;
        self.nodes[id - 1].process = Some(process);
        Ok(())
    }

    /// Waits for the line that a node prints once it serves.
    async fn wait_until_ready(&mut self, id: usize) -> Result<()> {
        let stdout = self.nodes[id - 1].process.as_mut().and_then(|process| process.stdout.take());
        let first_line = move || {
            let mut line = String::new();
            stdout.map(|stdout| BufReader::new(stdout).read_line(&mut line)).transpose().map(|_| line)
        };
        // On a thread of its own, so that a signal is heard meanwhile; it ends with the node.
        if tokio::task::spawn_blocking(first_line).await??.contains("listening on") {
            return Ok(());
        }
        let log = fs::read_to_string(self.log(id))?;
        let last = log.lines().last().unwrap_or("it said nothing");
        bail!("node {id} did not start: {last}")
    }

    fn log(&self, id: usize) -> PathBuf {
        self.dir.join(format!("node-{id}.log"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for id in self.ids() {
            // Gone already is as good.
            let _ = self.kill(id);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}
