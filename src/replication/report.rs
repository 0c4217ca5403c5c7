//! Owns what is told of the whole cluster: its status, and the comparison of its replicas.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep_until};

use super::group::Group;
use super::types::Item;
use super::wire::{Request, Response};
use crate::model::{ClusterStatus, Failure, Leader, NodeDigest, NodeStatus, Role, VerifyReport};

/// How long a peer has to tell how it is.
const STATUS_TIME: Duration = Duration::from_millis(300);
/// The pause between two questions for a digest that is being made.
const DIGEST_PAUSE: Duration = Duration::from_millis(20);
/// With less time than this there is no other attempt to hash every replica.
const LAST_DIGEST: Duration = Duration::from_secs(1);

impl Group {
    /// The cluster as this node sees it; asks the peers, for 300 ms at most.
    pub async fn status(&self) -> ClusterStatus {
        let core = &self.core;
        let (mut nodes, silent) = self.ask_nodes().await;
        let health = *core.health.borrow();
        let leader = health.leader.filter(|_| health.fresh);
        let leader_log = nodes.iter().find(|node| Some(node.id) == leader).and_then(|node| node.last_log_index);
        for node in &mut nodes {
            node.lag = leader_log.zip(node.applied_index).map(|(last, applied)| last.saturating_sub(applied));
        }
        let metrics = core.metrics();
        let problems = problems(&nodes, silent, leader, core.preferred());
        ClusterStatus {
            cluster: core.config.cluster.clone(),
            node: core.id,
            leader: leader.and_then(|id| core.config.node(id)).map(|n| Leader { id: n.id, address: n.address.clone() }),
            term: metrics.current_term,
            revision: core.store.view().revision(),
            quorum: leader.is_some(),
            preferred_leader: core.preferred(),
            healthy: problems.is_empty(),
            problems,
            nodes,
        }
    }

    /// How many nodes answer, this one among them.
    pub(super) async fn count_up(&self) -> usize {
        self.ask_nodes().await.0.iter().filter(|node| node.up).count()
    }

    /// All nodes by id, and why those that are silent are.
    async fn ask_nodes(&self) -> (Vec<NodeStatus>, Vec<String>) {
        let asked = join_all(self.core.config.nodes.iter().map(|node| self.node_status(node.id))).await;
        let (nodes, silent): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
        (nodes, silent.into_iter().flatten().collect())
    }

    async fn node_status(&self, id: u64) -> (NodeStatus, Option<String>) {
        let core = &self.core;
        if id == core.id {
            return (core.own_status(), None);
        }
        let why = match core.network.service(id).call(&Request::Status, Instant::now() + STATUS_TIME).await {
            Ok(Response::Status(status)) => {
                core.met(id);
                return (status, None);
            }
            Ok(other) => format!("node {id} gave an answer of another kind: {other:?}"),
            Err(e) => e.to_string(),
        };
        let (address, configured) = core.configured(id);
        let silent_ms = core.silent_for(id).map(|silence| silence.as_millis() as u64);
        (NodeStatus::silent(id, address, configured, silent_ms), Some(why))
    }

    /// Hashes every replica at one revision.
    ///
    /// # Errors
    /// `no_leader` or `timeout` where no such revision could be agreed on.
    pub async fn verify(&self, deadline: Instant) -> Result<VerifyReport, Failure> {
        loop {
            // A node that gets a snapshot meanwhile never passes the place in the log where it should have hashed.
            // So half of the time is for it, and then there is another place.
            let now = Instant::now();
            let until = now + deadline.saturating_duration_since(now) / 2;
            let report = self.verify_once(until).await?;
            if report.complete || Instant::now() < until || deadline - now < LAST_DIGEST {
                return Ok(report);
            }
        }
    }

    async fn verify_once(&self, deadline: Instant) -> Result<VerifyReport, Failure> {
        let token = crate::world::number();
        let marked = self.propose_item(Item::Digest(token), true, deadline).await?;
        let ids = self.core.config.nodes.iter().map(|node| node.id);
        let nodes = join_all(ids.map(|id| self.node_digest(id, token, deadline))).await;
        let hashes: Vec<&String> = nodes.iter().filter_map(|node| node.hash.as_ref()).collect();
        let equal = hashes.windows(2).all(|pair| pair[0] == pair[1]);
        Ok(VerifyReport { revision: marked.revision, equal, complete: hashes.len() == nodes.len(), nodes })
    }

    /// Asks one node for its digest until it has made it, is found to be away, or time is up.
    async fn node_digest(&self, id: u64, token: u64, deadline: Instant) -> NodeDigest {
        loop {
            let answer = if id == self.core.id {
                Ok(self.core.clone().answer(self.core.id, Request::Digest(token), &self.local).await)
            } else {
                self.core.network.service(id).call(&Request::Digest(token), deadline).await
            };
            let why = match answer {
                Ok(Response::Digest(Some(digest))) => return digest,
                Ok(Response::Digest(None)) if Instant::now() < deadline => {
                    sleep_until(deadline.min(Instant::now() + DIGEST_PAUSE)).await;
                    continue;
                }
                Ok(Response::Digest(None)) => format!("node {id} had no hash in time"),
                Ok(other) => format!("an answer of another kind: {other:?}"),
                Err(e) => e.to_string(),
            };
            return NodeDigest { id, hash: None, tables: None, rows: None, error: Some(why) };
        }
    }
}

fn problems(nodes: &[NodeStatus], silent: Vec<String>, leader: Option<u64>, preferred: Option<u64>) -> Vec<String> {
    let mut problems = Vec::new();
    let up = nodes.iter().filter(|node| node.up).count();
    if leader.is_none() {
        problems.push(no_leader(up, nodes.len()));
    }
    problems.extend(silent);
    for node in nodes.iter().filter(|node| node.up && node.role == Some(Role::Learner)) {
        problems.push(format!("node {} has no vote yet", node.id));
    }
    if let (Some(leader), Some(preferred)) = (leader, preferred)
        && leader != preferred
    {
        problems.push(format!("node {leader} leads for node {preferred}, the configured master"));
    }
    problems
}

/// That there is no leader, with the facts: who is up, and how many are needed.
pub(super) fn no_leader(up: usize, nodes: usize) -> String {
    let needed = nodes / 2 + 1;
    let noun = if nodes == 1 { "node" } else { "nodes" };
    let verb = if up == 1 { "is" } else { "are" };
    let of = if nodes == 1 { String::new() } else { format!(" of {nodes}") };
    let then = if up < needed { format!("{needed} are needed") } else { "and none leads yet".into() };
    format!("no leader: {up}{of} {noun} {verb} up, {then}")
}
