//! Owns how a peer is reached and recognised: dialling, the upgrade, and who is who.
//!
//! Each node's data directory has an instance id. A peer remembers the instance it first saw
//! under a node id and refuses another one: a node whose disk was wiped has forgotten its votes
//! and acknowledged writes, and must not take part under its old id.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;

use super::directory::Directory;
use crate::model::{Code, Failure};
use crate::world::Network;

/// The header of a peer request and of its answer.
pub const PEER_HEADER: &str = "ddb-peer";

/// The version of the peer protocol; nodes of different versions do not talk.
const PROTOCOL: u32 = 3;

/// A connection to a peer after the upgrade.
pub(crate) type PeerIo = TokioIo<hyper::upgrade::Upgraded>;

/// Dials peers by id.
pub(crate) struct Dialer {
    network: Arc<dyn Network>,
    cluster: String,
    id: u64,
    directory: Arc<Directory>,
    addresses: BTreeMap<u64, String>,
    /// What was last said about each peer that is not let in, or does not let this node in; said once.
    complaints: Mutex<BTreeMap<u64, String>>,
    patience: Duration,
}

impl Dialer {
    /// A dialer for node `id` of `cluster`; `patience` bounds one attempt to connect.
    pub(crate) fn new(
        network: Arc<dyn Network>,
        cluster: &str,
        id: u64,
        directory: Arc<Directory>,
        addresses: BTreeMap<u64, String>,
        patience: Duration,
    ) -> Dialer {
        Dialer { network, cluster: cluster.into(), id, directory, addresses, complaints: Mutex::default(), patience }
    }

    /// How long one attempt to connect may take.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// The address of a node, as the configuration has it.
    pub(crate) fn address(&self, peer: u64) -> String {
        self.addresses.get(&peer).cloned().unwrap_or_else(|| format!("node {peer}"))
    }

    /// The host and port of a node.
    pub(crate) fn host(&self, peer: u64) -> String {
        let address = self.address(peer);
        address.strip_prefix("http://").unwrap_or(&address).into()
    }

    /// Connects to `peer` and upgrades the connection; the error is a sentence.
    pub(crate) async fn dial(&self, peer: u64) -> Result<PeerIo, String> {
        let (address, host) = (self.address(peer), self.host(peer));
        let said = |what: &str| format!("node {peer} ({address}) {what}");
        let refused = |error: std::io::Error| {
            let why = error.to_string();
            said(&format!("cannot be reached: {}", why.split(" (os error").next().unwrap_or(&why)))
        };
        let stream = self.network.connect(&host).await.map_err(refused)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| said(&e.to_string()))?;
        tokio::spawn(connection.with_upgrades());
        let request = http::Request::get("/peer")
            .header(http::header::HOST, host)
            .header(http::header::CONNECTION, "Upgrade")
            .header(http::header::UPGRADE, "ddb-peer")
            .header(PEER_HEADER, self.hello())
            .body(Empty::<bytes::Bytes>::new())
            .map_err(|e| said(&e.to_string()))?;
        let response = sender.send_request(request).await.map_err(|e| said(&format!("hung up: {e}")))?;
        if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status();
            let why = refusal(response).await.unwrap_or_else(|| status.to_string());
            if status == http::StatusCode::FORBIDDEN {
                self.complain(peer, &format!("node {peer} refuses this node: {why}"));
            }
            return Err(said(&format!("refuses this node: {why}")));
        }
        let hello = response.headers().get(PEER_HEADER).and_then(|v| v.to_str().ok()).unwrap_or_default();
        match self.check(hello) {
            Ok(id) if id == peer => {}
            Ok(id) => return Err(said(&format!("answers as node {id}"))),
            Err(failure) => return Err(said(&format!("is not our peer: {failure}"))),
        }
        hyper::upgrade::on(response).await.map(TokioIo::new).map_err(|e| said(&format!("did not upgrade: {e}")))
    }

    /// Logs a complaint about a peer, unless it is the one that was logged last.
    fn complain(&self, peer: u64, why: &str) {
        let mut complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        if complaints.insert(peer, why.into()).as_deref() != Some(why) {
            tracing::error!("{why}");
        }
    }

    /// Who this node is, as peers check it.
    pub(crate) fn hello(&self) -> String {
        format!("{PROTOCOL} {} {} {}", self.id, self.directory.instance(), self.cluster)
    }

    /// Checks another node's hello and answers its id.
    pub(crate) fn check(&self, hello: &str) -> Result<u64, Failure> {
        let refuse = |why: String| Err(Failure::new(Code::Forbidden, why));
        let mut words = hello.splitn(4, ' ');
        let protocol = words.next().and_then(|w| w.parse::<u32>().ok());
        let id = words.next().and_then(|w| w.parse::<u64>().ok());
        let (Some(protocol), Some(id), Some(instance), Some(cluster)) = (protocol, id, words.next(), words.next())
        else {
            return refuse("this route is for the nodes of the cluster".into());
        };
        if protocol != PROTOCOL {
            return refuse(format!("peer protocol {protocol} is not the {PROTOCOL} of this node"));
        }
        if cluster != self.cluster {
            return refuse(format!("cluster \"{}\" is not \"{}\"", cluster.escape_debug(), self.cluster));
        }
        if !self.addresses.contains_key(&id) || id == self.id {
            return refuse(format!("node {id} is not a peer of node {}", self.id));
        }
        match self.directory.know_peer(id, instance) {
            Ok(true) => {
                self.complaints.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                Ok(id)
            }
            Ok(false) => {
                let why = format!(
                    "node {id} comes with another data directory than before; one that lost its data may not take \
                     part under its old id"
                );
                self.complain(id, &why);
                refuse(why)
            }
            Err(e) => Err(Failure::internal(format!("cannot remember peer {id}: {e}"))),
        }
    }
}

/// The message of an error answer, if it is one of ours.
async fn refusal(response: http::Response<hyper::body::Incoming>) -> Option<String> {
    let body = Limited::new(response.into_body(), 64 << 10).collect().await.ok()?.to_bytes();
    let error: serde_json::Value = serde_json::from_slice(&body).ok()?;
    error["error"]["message"].as_str().map(ToString::to_string)
}
