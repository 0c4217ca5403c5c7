//! Owns the way from committed entries into the store: openraft's state machine.
//!
//! Apply is deterministic: what it refuses is an answer, the same on every replica. An error here
//! is local damage; it stops this node's Raft rather than let the replica differ.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, StreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use tokio::sync::watch;

use super::log::io_error;
use super::types::{Answers, Item, LogId, Membership, SnapshotMeta, TypeConfig};
use crate::disk::reach;
use crate::model::{Answer, Applied, Effect, NodeDigest, Proposal};
use crate::store::{Marks, Received, Store, StoreError, View};

/// How many digests are kept for those who ask late.
const KEPT_DIGESTS: usize = 16;
/// How many items one store batch takes at most.
const MAX_ITEMS: usize = 4096;

/// What travels as openraft's snapshot: a view to send, or one that was received.
pub(crate) enum SnapshotData {
    /// A consistent view of this node's store.
    View(View),
    /// A complete snapshot from the leader, not yet installed.
    Received(Received),
}

type Snapshot = openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotData>;

/// Hashes of this replica at places that the log named, by token, oldest first; `None` while it is computed.
pub(crate) type Digests = Arc<Mutex<VecDeque<(u64, Option<NodeDigest>)>>>;

/// Applies committed entries to the store.
pub(crate) struct Applier {
    node: u64,
    store: Store,
    /// The last applied log index, for those who wait for it.
    applied: watch::Sender<u64>,
    digests: Digests,
}

/// A batch on its way into the store.
#[derive(Default)]
struct Pending {
    proposals: Vec<Proposal>,
    marks: Marks,
    entries: Vec<PendingEntry>,
    last: Option<LogId>,
}

struct PendingEntry {
    /// How many of the proposals are its.
    writes: usize,
    /// The digests asked for: their place among the entry's items, and their token.
    digests: Vec<(usize, u64)>,
    responder: Option<ApplyResponder<TypeConfig>>,
}

impl Applier {
    /// An applier into `store`; `applied` tells how far it is.
    pub(crate) fn new(node: u64, store: Store, applied: watch::Sender<u64>, digests: Digests) -> Applier {
        Applier { node, store, applied, digests }
    }

    /// Puts an entry into the pending batch; true if the batch must be applied now.
    fn take(&mut self, entry: EntryResponder<TypeConfig>, pending: &mut Pending) -> io::Result<bool> {
        let (entry, responder) = entry;
        let before = pending.proposals.len();
        let mut digests = Vec::new();
        match entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Membership(membership) => {
                let stored = Membership::new(Some(entry.log_id), membership);
                pending.marks.membership = Some(serde_json::to_vec(&stored).map_err(io_error)?);
            }
            EntryPayload::Normal(batch) => {
                for (place, item) in batch.items().enumerate() {
                    match item.map_err(io_error)? {
                        Item::Write(proposal) => pending.proposals.push(proposal),
                        Item::Digest(token) => digests.push((place, token)),
                    }
                }
            }
        }
        pending.last = Some(entry.log_id);
        let now = !digests.is_empty() || pending.proposals.len() >= MAX_ITEMS;
        pending.entries.push(PendingEntry { writes: pending.proposals.len() - before, digests, responder });
        Ok(now)
    }

    fn apply_pending(&mut self, mut pending: Pending) -> io::Result<()> {
        let Some(last) = pending.last else { return Ok(()) };
        pending.marks.applied = Some(postcard::to_allocvec(&last).map_err(io_error)?);
        reach("apply")?;
        let answers = self.store.apply(&pending.proposals, pending.marks).map_err(io_error)?;
        reach("applied")?;
        metrics::counter!("ddb_proposals_applied_total").increment(answers.len() as u64);
        self.applied.send_replace(last.index);
        let mut answers = answers.into_iter();
        for PendingEntry { writes, digests, responder } in pending.entries {
            let mut own: Vec<Answer> = answers.by_ref().take(writes).collect();
            for (place, token) in digests {
                let view = self.store.view();
                // Nothing changed: the revision is all there is to tell.
                own.insert(place, Ok(Applied { revision: view.revision(), effect: Effect::Built }));
                self.start_digest(token, view);
            }
            if let Some(responder) = responder {
                responder.send(Answers(own));
            }
        }
        Ok(())
    }

    /// Hashes a view aside; the applier goes on.
    fn start_digest(&self, token: u64, view: View) {
        let (node, digests) = (self.node, self.digests.clone());
        let keep = move |digests: &Digests, digest| {
            let mut kept = digests.lock().unwrap_or_else(PoisonError::into_inner);
            match kept.iter_mut().find(|(other, _)| *other == token) {
                Some((_, known)) => *known = digest,
                None => kept.push_back((token, digest)),
            }
            while kept.len() > KEPT_DIGESTS {
                kept.pop_front();
            }
        };
        keep(&digests, None);
        crate::world::work(move || {
            let none = NodeDigest { id: node, hash: None, tables: None, rows: None, error: None };
            let digest = match view.digest() {
                Ok(digest) => NodeDigest {
                    hash: Some(format!("{:032x}", digest.hash)),
                    tables: Some(digest.tables),
                    rows: Some(digest.rows),
                    ..none
                },
                Err(e) => NodeDigest { error: Some(e.to_string()), ..none },
            };
            keep(&digests, Some(digest));
        });
    }
}

/// The log id and membership that a store's marks hold.
pub(crate) fn read_marks(marks: &Marks) -> io::Result<(Option<LogId>, Membership)> {
    let applied = marks.applied.as_deref().map(postcard::from_bytes).transpose().map_err(io_error)?;
    let membership = marks.membership.as_deref().map(serde_json::from_slice).transpose().map_err(io_error)?;
    Ok((applied, membership.unwrap_or_default()))
}

fn snapshot_meta(marks: &Marks) -> io::Result<SnapshotMeta> {
    let (last_log_id, last_membership) = read_marks(marks)?;
    Ok(SnapshotMeta { last_log_id, last_membership })
}

fn snapshot_of(view: View) -> io::Result<Snapshot> {
    Ok(Snapshot { meta: snapshot_meta(&view.marks())?, snapshot: SnapshotData::View(view) })
}

/// A received snapshot as openraft installs it.
pub(crate) fn received_snapshot(received: Received) -> io::Result<Snapshot> {
    Ok(Snapshot { meta: snapshot_meta(received.marks())?, snapshot: SnapshotData::Received(received) })
}

fn install(store: &Store, snapshot: SnapshotData) -> Result<(), StoreError> {
    let received = match snapshot {
        SnapshotData::Received(received) => received,
        SnapshotData::View(view) => {
            let mut receiver = store.receive()?;
            for chunk in view.export() {
                receiver.write(&chunk?)?;
            }
            receiver.finish()?
        }
    };
    store.install(received)
}

impl RaftStateMachine<TypeConfig> for Applier {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Checkpointer;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, Membership)> {
        read_marks(&self.store.marks())
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut pending = Pending::default();
        while let Some(entry) = entries.next().await {
            if self.take(entry?, &mut pending)? {
                self.apply_pending(std::mem::take(&mut pending))?;
            }
        }
        self.apply_pending(pending)
    }

    async fn get_snapshot_builder(&mut self) -> Checkpointer {
        Checkpointer(self.store.clone())
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotData) -> io::Result<()> {
        let store = self.store.clone();
        crate::world::work(move || install(&store, snapshot)).await.map_err(io_error)?.map_err(io_error)?;
        metrics::counter!("ddb_snapshots_installed_total").increment(1);
        tracing::info!("installed a snapshot up to log index {}", meta.last_log_id.map_or(0, |id| id.index));
        self.applied.send_replace(meta.last_log_id.map_or(0, |id| id.index));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let view = self.store.view();
        if view.marks().applied.is_none() { Ok(None) } else { snapshot_of(view).map(Some) }
    }
}

/// Makes the store durable, so that the log up to there can be purged: openraft's snapshot builder.
pub(crate) struct Checkpointer(Store);

impl RaftSnapshotBuilder<TypeConfig> for Checkpointer {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let store = self.0.clone();
        let marks = match crate::world::background(move || store.checkpoint()).await.map_err(io_error)? {
            Ok(marks) => marks,
            // A full disk is no end: nothing more can be purged until there is room, and that is all.
            Err(full @ StoreError::NoSpace { .. }) => {
                tracing::error!("cannot checkpoint the store: {full}");
                self.0.durable_marks()
            }
            Err(e) => return Err(io_error(e)),
        };
        let meta = snapshot_meta(&marks)?;
        tracing::debug!("the store is on disk up to log index {}", meta.last_log_id.map_or(0, |id| id.index));
        // The view may be newer than the meta, which only says how far the log may be purged;
        // what is sent to a peer is made by `get_current_snapshot`.
        Ok(Snapshot { meta, snapshot: SnapshotData::View(self.0.view()) })
    }
}
