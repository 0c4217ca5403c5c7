//! Owns what the tasks of a group share, and what each peer message does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::Instant as _;
use openraft::error::ClientWriteError;
use openraft::impls::ProgressResponder;
use openraft::type_config::async_runtime::WatchReceiver;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::applier::Digests;
use super::batcher::Place;
use super::detector::Gone;
use super::log::LogStore;
use super::network::Network;
use super::types::{Answers, Batch, Raft, RaftMetrics};
use super::vitals;
use super::wire::{Refusal, Request, Response};
use crate::config::Config;
use crate::disk::{Disk, reach};
use crate::model::{Code, Configured, Failure, NodeStatus, Role};
use crate::store::{Store, StoreError};
use crate::world::World;

/// The most bytes of log that wait for the disk before writes are refused.
const MOST_UNSYNCED: u64 = 64 << 20;
/// The most bytes of applied writes that wait for a checkpoint before writes are refused.
const MOST_PENDING: usize = 256 << 20;
/// The most batches of other nodes that are under way: more than their batchers send.
pub(crate) const MOST_FORWARDED: u32 = 1 << 16;
/// How long an answer that is owed by a node that no longer leads is waited for.
const LATE_ANSWER: Duration = Duration::from_millis(400);

/// What is known of the leadership.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// The leader that was last known.
    pub(crate) leader: Option<u64>,
    /// Whether it has a quorum behind it (asked of the leader itself), or was heard of lately and is not known to be gone
    /// (a follower).
    pub(crate) fresh: bool,
}

/// What the tasks of a group share.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) world: World,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) id: u64,
    pub(crate) raft: Raft,
    pub(crate) store: Store,
    pub(crate) log: LogStore,
    pub(crate) network: Arc<Network>,
    pub(crate) applied: watch::Receiver<u64>,
    pub(crate) health: watch::Sender<Health>,
    /// The leader that was last found gone.
    pub(crate) gone: watch::Sender<Option<Gone>>,
    pub(crate) digests: Digests,
    /// What was found damaged in this node's data, or failed on its disk; the node stops then.
    pub(crate) damage: watch::Sender<Option<String>>,
    /// When each peer last answered a question of this node's.
    pub(crate) met: Mutex<BTreeMap<u64, Instant>>,
    /// The peers that told this leader what they had voted, the last one first.
    pub(crate) answered: Mutex<Vec<u64>>,
    /// The disk has no room for more: writes are refused at the door.
    pub(crate) disk_full: AtomicBool,
    /// Whether not even entries from the leader are taken any more.
    pub(crate) no_room: AtomicBool,
    pub(crate) stopping: AtomicBool,
    /// Whoever takes a batch of another node's has a permit until it is answered.
    pub(crate) forwarded: Semaphore,
    pub(crate) started: Instant,
}

impl Core {
    /// Raft's own figures, as of its last step.
    pub(crate) fn metrics(&self) -> RaftMetrics {
        self.raft.metrics().borrow_watched().clone()
    }

    /// The configured election timeout, which is also the leader's lease.
    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.config.election_timeout_ms)
    }

    /// The preferred leader: the configured master, or the lowest id where none is configured.
    pub(crate) fn preferred(&self) -> Option<u64> {
        let master = self.config.nodes.iter().find(|node| node.role == Configured::Master);
        master.or(self.config.nodes.iter().min_by_key(|node| node.id)).map(|node| node.id)
    }

    /// Proposes a batch here, as the leader, and waits until it is applied; it keeps its place until then.
    pub(crate) async fn propose_here(self: Arc<Core>, batch: Batch, _place: Place) -> Result<Answers, Refusal> {
        let (responder, answer) = ProgressResponder::complete_only();
        if let Err(e) = self.raft.client_write_ff(batch, Some(responder)).await {
            return Err(Refusal::Unknown(format!("this node's Raft has stopped: {e}")));
        }
        match answer.await {
            Ok(Ok(response)) => {
                if let Err(e) = reach("reply") {
                    return Err(Refusal::Unknown(e.to_string()));
                }
                metrics::counter!("ddb_proposals_committed_total").increment(response.data.0.len() as u64);
                Ok(response.data)
            }
            // Refused before it was appended: it is in no log.
            Ok(Err(ClientWriteError::ForwardToLeader(to))) => Err(Refusal::NotLeader(to.leader_id)),
            // Appended, then replaced by another leader's entry here; a third node may still hold it.
            Ok(Err(other)) => Err(Refusal::Unknown(other.to_string())),
            Err(_) => Err(Refusal::Unknown("this node's Raft has stopped".into())),
        }
    }

    /// Sends a batch to the leader, if that is another node.
    pub(crate) async fn forward(self: Arc<Core>, batch: Batch, count: usize, place: Place) -> Result<Answers, Refusal> {
        let leader = self.health.borrow().leader;
        let Some(leader) = leader.filter(|leader| *leader != self.id) else {
            return Err(Refusal::NotLeader(leader));
        };
        let (link, request) = (self.network.service(leader), Request::Forward(count as u32, batch));
        let answer = tokio::select! {
            biased;
            answer = link.call(&request, Instant::now() + Duration::from_secs(60)) => answer,
            () = self.replaced(leader, place) => return Err(Refusal::Unknown("another node leads meanwhile".into())),
        };
        match answer {
            Ok(Response::Forward(answers)) => answers,
            Ok(other) => Err(Refusal::Unknown(format!("an answer of another kind: {other:?}"))),
            Err(super::link::CallError::NotSent(_)) => Err(Refusal::NotLeader(None)),
            Err(super::link::CallError::Lost(why)) => Err(Refusal::Unknown(why)),
        }
    }

    /// Takes no more batches of other nodes, and resolves once all that were taken are answered.
    pub(crate) async fn no_more_forwarded(&self) {
        // It is never closed. Where this is given up, batches may come in again: the door is closed by then.
        if let Ok(all) = self.forwarded.acquire_many(MOST_FORWARDED).await {
            all.forget();
        }
    }

    /// Resolves a while after another node than `leader` is known to lead, whose batches get this place at once.
    async fn replaced(&self, leader: u64, place: Place) {
        let mut health = self.health.subscribe();
        // The sender lives as long as this.
        let _ = health.wait_for(|health| health.leader.is_some_and(|other| other != leader)).await;
        drop(place);
        tokio::time::sleep(LATE_ANSWER).await;
    }

    /// What the configuration says of a node.
    pub(crate) fn configured(&self, id: u64) -> (String, Configured) {
        self.config.node(id).map_or((String::new(), Configured::Slave), |node| (node.address.clone(), node.role))
    }

    /// This node, as it sees itself.
    pub(crate) fn own_status(&self) -> NodeStatus {
        let dir = self.data_dir();
        let metrics = self.metrics();
        let role = match metrics.state {
            openraft::ServerState::Leader => Role::Leader,
            openraft::ServerState::Candidate => Role::Candidate,
            openraft::ServerState::Follower => Role::Follower,
            _ => Role::Learner,
        };
        let (address, configured) = self.configured(self.id);
        NodeStatus {
            id: self.id,
            address,
            configured,
            up: true,
            role: Some(role),
            term: Some(metrics.current_term),
            revision: Some(self.store.view().revision()),
            applied_index: Some(*self.applied.borrow()),
            last_log_index: metrics.last_log_index,
            lag: None,
            version: Some(env!("CARGO_PKG_VERSION").into()),
            silent_ms: None,
            fsync_p99_us: self.log.sync_p99_us(),
            disk_used: Some(vitals::used(&dir)),
            disk_free: self.disk.room().ok(),
        }
    }

    /// The directory of this node's data.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.config.data_dir.join(format!("node-{}", self.id))
    }

    /// Notes an error of the store: damage ends the node, anything else is for the caller.
    pub(crate) fn note(&self, error: &StoreError) {
        if let StoreError::Damaged { .. } = error {
            tracing::error!("this node's data is damaged: {error}");
            self.damage.send_replace(Some(error.to_string()));
        }
    }

    /// Notes that a checkpoint failed. Only a full disk is tried again: after any other failure nobody knows
    /// what is on disk, and the system may say next time that all is well.
    pub(crate) fn checkpoint_failed(&self, error: &StoreError) {
        tracing::error!("cannot checkpoint the store: {error}");
        if !matches!(error, StoreError::NoSpace { .. }) {
            self.damage.send_replace(Some(error.to_string()));
        }
    }

    /// Notes that a peer answered.
    pub(crate) fn met(&self, peer: u64) {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).insert(peer, Instant::now());
    }

    /// How long a peer has been silent, if it was ever heard of.
    pub(crate) fn silent_for(&self, peer: u64) -> Option<Duration> {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner).get(&peer).copied();
        let heard = Core::heartbeat_age(&self.metrics(), peer);
        met.map(|at| at.elapsed()).into_iter().chain(heard).min()
    }

    /// How long ago a peer acknowledged a heartbeat of this leader.
    pub(crate) fn heartbeat_age(metrics: &RaftMetrics, peer: u64) -> Option<Duration> {
        let acked = metrics.heartbeat.as_ref()?.get(&peer).copied().flatten()?;
        Some(acked.elapsed())
    }

    /// Carries out one message of `peer` (snapshots apart, which belong to a connection).
    pub(crate) async fn answer(
        self: Arc<Core>,
        peer: u64,
        request: Request,
        local: &super::batcher::Batcher,
    ) -> Response {
        let fault = |e: String| Response::Fault(e);
        match request {
            // Without room nothing is taken into the log; heartbeats, which are empty, still pass.
            Request::Append(rpc) if self.has_no_room() && !rpc.entries.is_empty() => {
                fault(format!("the disk of node {} is nearly full", self.id))
            }
            Request::Append(rpc) => {
                self.raft.append_entries(rpc).await.map_or_else(|e| fault(e.to_string()), Response::Append)
            }
            Request::Vote(rpc) => self.raft.vote(rpc).await.map_or_else(|e| fault(e.to_string()), Response::Vote),
            Request::PreVote(rpc) => {
                self.raft.pre_vote(rpc).await.map_or_else(|e| fault(e.to_string()), Response::Vote)
            }
            Request::Transfer(rpc) => {
                self.raft.handle_transfer_leader(rpc).await.map_or_else(|e| fault(e.to_string()), Response::Transfer)
            }
            Request::Forward(count, batch) => Response::Forward(match (self.door(), self.forwarded.try_acquire()) {
                (Ok(()), Ok(_under_way)) => local.submit(batch.0, count as usize, Some(peer)).await,
                (Err(failure), _) if failure.code != Code::ShuttingDown => Err(Refusal::Refused(failure)),
                // Whoever asks waits for the next leader.
                _ => Err(Refusal::NotLeader(None)),
            }),
            Request::Voted => {
                self.voted_term().await.map_or_else(|| fault("Raft has stopped here".into()), Response::Voted)
            }
            Request::ReadIndex => Response::ReadIndex(self.read_index_for(peer).await),
            Request::Status => Response::Status(self.own_status()),
            Request::Digest(token) => {
                let digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
                let digest = digests.iter().find(|(other, _)| *other == token);
                Response::Digest(digest.and_then(|(_, digest)| digest.clone()))
            }
            Request::SnapshotBegin(_) | Request::SnapshotChunk(_) | Request::SnapshotEnd => {
                fault("a snapshot message out of place".into())
            }
        }
    }

    /// Whether the disk has no room for more.
    fn is_full(&self) -> bool {
        self.disk_full.load(Ordering::Relaxed) || self.log.is_full()
    }

    /// Whether not even entries from the leader can be taken.
    pub(crate) fn has_no_room(&self) -> bool {
        self.no_room.load(Ordering::Relaxed) || self.log.is_full()
    }

    /// Whether a write may come in at all.
    pub(crate) fn door(&self) -> Result<(), Failure> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(Failure::new(Code::ShuttingDown, "the node is shutting down; nothing was written"));
        }
        if self.is_full() {
            let message = format!("the disk of node {} is nearly full; nothing was written", self.id);
            return Err(
                Failure::new(Code::DiskFull, message).hint("free some space on it; writes resume by themselves")
            );
        }
        // Raft commits on the followers' disks: only this keeps a slow disk here from filling the memory.
        if self.log.unsynced_bytes() > MOST_UNSYNCED || self.store.pending_bytes() > MOST_PENDING {
            let message = format!("the disk of node {} does not keep up; nothing was written", self.id);
            return Err(Failure::new(Code::Overloaded, message).hint("try again in a moment"));
        }
        Ok(())
    }
}
