//! Owns the nouns of the cluster: what a status and a comparison of replicas tell.
//!
//! Their JSON is these structs, field by field.

use serde::{Deserialize, Serialize};

/// What a node does in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes the writes of all and replicates them.
    Leader,
    /// Follows a leader and votes.
    Follower,
    /// Stands for election.
    Candidate,
    /// Follows without a vote.
    Learner,
}

/// What the configuration calls a node; the `master` is the preferred leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Configured {
    /// The preferred leader.
    Master,
    /// Any other node.
    Slave,
}

/// The leader, as the answering node knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// Its node id.
    pub id: u64,
    /// Its address: `http://host:port`.
    pub address: String,
}

/// One node, as the answering node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The node's id.
    pub id: u64,
    /// Its address: `http://host:port`.
    pub address: String,
    /// What the configuration calls it.
    pub configured: Configured,
    /// Whether it answered just now.
    pub up: bool,
    /// Its role; `None` while it is silent.
    pub role: Option<Role>,
    /// Its term.
    pub term: Option<u64>,
    /// The revision it has applied.
    pub revision: Option<u64>,
    /// The log index it has applied.
    pub applied_index: Option<u64>,
    /// The last index in its log.
    pub last_log_index: Option<u64>,
    /// How many log entries it is behind the leader; `None` where the leader is not known.
    pub lag: Option<u64>,
    /// The version of ddb it runs.
    pub version: Option<String>,
    /// Milliseconds since it was last heard of, while it is silent; `None` if it never was.
    pub silent_ms: Option<u64>,
    /// How long a sync of its log takes, in microseconds: 99 of the last 100 stayed within.
    #[serde(default)]
    pub fsync_p99_us: Option<u64>,
    /// How many bytes its data directory holds.
    #[serde(default)]
    pub disk_used: Option<u64>,
    /// How many bytes are free on the disk of its data directory.
    #[serde(default)]
    pub disk_free: Option<u64>,
}

impl NodeStatus {
    /// A node that does not answer: only what the configuration says of it is known.
    pub fn silent(id: u64, address: String, configured: Configured, silent_ms: Option<u64>) -> NodeStatus {
        NodeStatus {
            id,
            address,
            configured,
            up: false,
            role: None,
            term: None,
            revision: None,
            applied_index: None,
            last_log_index: None,
            lag: None,
            version: None,
            silent_ms,
            fsync_p99_us: None,
            disk_used: None,
            disk_free: None,
        }
    }
}

/// The cluster, as the answering node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The cluster's name.
    pub cluster: String,
    /// The id of the node that answers.
    pub node: u64,
    /// The leader, if there is one.
    pub leader: Option<Leader>,
    /// The answering node's term.
    pub term: u64,
    /// The revision the answering node has applied.
    pub revision: u64,
    /// Whether a leader with a quorum behind it is known.
    pub quorum: bool,
    /// The id of the configured master.
    pub preferred_leader: Option<u64>,
    /// All is well: quorum, every node up, the preferred leader leads.
    pub healthy: bool,
    /// What is not well, a sentence each.
    pub problems: Vec<String>,
    /// The nodes, by id.
    pub nodes: Vec<NodeStatus>,
}

impl ClusterStatus {
    /// How many nodes are up, and how many of them may fail before there is no quorum.
    pub fn up_and_spare(&self) -> (usize, usize) {
        let up = self.nodes.iter().filter(|node| node.up).count();
        (up, up.saturating_sub(self.nodes.len() / 2 + 1))
    }
}

/// What a node says of itself: `{"version","name","time_ms"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeVersion {
    /// The version of ddb it runs.
    pub version: String,
    /// What it is: `ddb`.
    pub name: String,
    /// Its clock, in milliseconds since 1970, UTC.
    pub time_ms: Option<u64>,
}

/// One replica's tables at the revision of a `VerifyReport`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDigest {
    /// The node's id.
    pub id: u64,
    /// A 128-bit hash of its tables, as 32 hexadecimal digits; `None` if it gave none.
    pub hash: Option<String>,
    /// How many tables it hashed.
    pub tables: Option<u64>,
    /// How many rows it hashed.
    pub rows: Option<u64>,
    /// Why it gave no hash.
    pub error: Option<String>,
}

/// A comparison of all replicas at one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// The revision at which every replica was hashed.
    pub revision: u64,
    /// Whether all hashes that were given are equal.
    pub equal: bool,
    /// Whether every node gave one.
    pub complete: bool,
    /// The nodes, by id.
    pub nodes: Vec<NodeDigest>,
}
