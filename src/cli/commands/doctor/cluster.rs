//! Owns the looks at the cluster: who answers, which versions run, how the clocks differ, who leads.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::finding::Finding;
use crate::client::{Client, ClientError, Endpoint, Tried};
use crate::model::{ClusterStatus, Level, NodeVersion};

/// From here on clocks differ so much that times in the data mislead; from here on that keys are forgotten early.
const APART: Duration = Duration::from_secs(1);
const FAR_APART: Duration = Duration::from_secs(60);

/// What one node said when it was asked.
pub(super) struct Asked {
    endpoint: Endpoint,
    version: Result<NodeVersion, ClientError>,
    status: Option<ClusterStatus>,
    /// When it was asked, since all were begun to be, and how long the answer took.
    at: Duration,
    took: Duration,
}

/// Asks every endpoint by itself.
pub(super) async fn ask(endpoints: Vec<Endpoint>, timeout: Duration) -> Vec<Asked> {
    let began = Instant::now();
    let one = async |endpoint: Endpoint| {
        let client = Client::new(std::slice::from_ref(&endpoint), timeout, Level::Stale);
        let client = match client {
            Ok(client) => client,
            Err(error) => return Asked::silent(endpoint, error),
        };
        // The first answer brings up the connection, the second tells the time.
        if let Err(error) = client.version().await {
            return Asked::silent(endpoint, error);
        }
        let at = began.elapsed();
        let version = client.version().await;
        let took = began.elapsed().saturating_sub(at);
        let status = client.status().await.ok();
        Asked { endpoint, version, status, at, took }
    };
    join_all(endpoints.into_iter().map(one)).await
}

impl Asked {
    fn silent(endpoint: Endpoint, error: ClientError) -> Asked {
        Asked { endpoint, version: Err(error), status: None, at: Duration::ZERO, took: Duration::ZERO }
    }

    /// Whether a node of ddb answered there.
    pub(super) fn answers_at(&self, address: &str) -> bool {
        self.endpoint.as_str() == address && self.version.as_ref().is_ok_and(|version| version.name == "ddb")
    }

    /// How far the node's clock is ahead of the moment when all were begun to be asked, in ms.
    fn clock(&self) -> Option<f64> {
        let time = self.version.as_ref().ok()?.time_ms?;
        Some(time as f64 - (self.at + self.took / 2).as_secs_f64() * 1e3)
    }
}

/// What the answers come to.
pub(super) fn findings(asked: &[Asked]) -> Vec<Finding> {
    if asked.is_empty() {
        let why = "no node is named: use -e, DDB_ENDPOINTS or a configuration";
        return ["nodes", "versions", "clocks", "quorum"].map(|check| Finding::skip(check, why)).into();
    }
    let answered: Vec<&Asked> = asked.iter().filter(|asked| asked.version.is_ok()).collect();
    if answered.is_empty() {
        let why = "no node answers";
        return vec![
            nodes(asked, &answered),
            Finding::skip("versions", why),
            Finding::skip("clocks", why),
            Finding::fail(
                "quorum",
                "no node answers, so nothing can be read or written",
                "start the nodes: ddb serve --id 1, and so on",
            ),
        ];
    }
    vec![nodes(asked, &answered), versions(&answered), clocks(&answered), quorum(&answered)]
}

fn nodes(asked: &[Asked], answered: &[&Asked]) -> Finding {
    let (size, up) = (asked.len(), answered.len());
    if size == up {
        return Finding::pass("nodes", format!("{up} of {size} answer"));
    }
    let silent =
        asked.iter().filter_map(|asked| Some(format!("{}: {}", asked.endpoint, why(asked.version.as_ref().err()?))));
    let facts = format!("{up} of {size} answer; {}", silent.collect::<Vec<_>>().join("; "));
    let hint = "look at what the silent nodes log, and whether they run";
    if up == 0 { Finding::fail("nodes", facts, hint) } else { Finding::warn("nodes", facts, hint) }
}

fn why(error: &ClientError) -> String {
    error.tried().first().map_or_else(|| error.to_string(), |Tried { reason, .. }| reason.clone())
}

fn versions(answered: &[&Asked]) -> Finding {
    let own = env!("CARGO_PKG_VERSION");
    let told = answered.iter().filter_map(|asked| asked.version.as_ref().ok());
    let mut all: Vec<&str> = told.map(|told| told.version.as_str()).collect();
    all.sort_unstable();
    all.dedup();
    match all.as_slice() {
        [one] if *one == own => Finding::pass("versions", format!("the nodes and this program are {own}")),
        [one] => Finding::warn(
            "versions",
            format!("the nodes are {one}, this program is {own}"),
            "use the same version on both sides",
        ),
        many => Finding::warn(
            "versions",
            format!("the nodes differ: {}", many.join(", ")),
            "bring all nodes to one version, one after the other",
        ),
    }
}

fn clocks(answered: &[&Asked]) -> Finding {
    let name = "clocks";
    let told: Vec<f64> = answered.iter().filter_map(|asked| asked.clock()).collect();
    if told.len() < 2 {
        return Finding::skip(name, "there are no two nodes that tell their time");
    }
    let least = told.iter().copied().fold(f64::INFINITY, f64::min);
    let most = told.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let apart = Duration::from_secs_f64((most - least).max(0.0) / 1e3);
    let facts = format!("the nodes' clocks are {:.0} ms apart", (most - least).max(0.0));
    let hint = "keep the clocks together with NTP: chronyd, or systemd-timesyncd";
    match apart {
        _ if apart >= FAR_APART => Finding::fail(name, facts, hint),
        _ if apart >= APART => Finding::warn(name, facts, hint),
        _ => Finding::pass(name, facts),
    }
}

fn quorum(answered: &[&Asked]) -> Finding {
    let name = "quorum";
    // Of those that answer, the one that knows a leader knows more.
    let told = answered.iter().filter_map(|asked| asked.status.as_ref());
    let Some(status) = told.max_by_key(|status| (status.quorum, status.term)) else {
        return Finding::fail(name, "no node tells how the cluster is", "look at what the nodes log");
    };
    let size = status.nodes.len();
    let (up, spare) = status.up_and_spare();
    match &status.leader {
        Some(leader) => {
            let facts = format!("node {} leads, {up} of {size} nodes are up, {spare} more may fail", leader.id);
            match status.problems.as_slice() {
                [] => Finding::pass(name, facts),
                problems => Finding::warn(name, format!("{facts}; {}", problems.join("; ")), "see: ddb status"),
            }
        }
        None => Finding::fail(
            name,
            status.problems.join("; "),
            format!("{} of {size} nodes have to run: start those that do not", size / 2 + 1),
        ),
    }
}
