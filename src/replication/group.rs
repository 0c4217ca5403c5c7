//! Owns the handle that the rest of the node holds: propose, read, status, verify, shut down.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::barrier::{Barrier, Missed};
use super::batcher::Batcher;
use super::core::Core;
use super::dial::Dialer;
use crate::model::{Code, Failure, Level};
use crate::mutants::{Mutant, on};
use crate::store::{StoreError, View};

/// How long a request waits for a leader with a quorum before it is refused. With the time that
/// it takes to find out, a minority says so within two seconds.
pub(super) const LEADER_WAIT: Duration = Duration::from_millis(1_200);
/// The pause before a request that found no leader looks again, unless one appears earlier.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How often a node looks whether its Raft still runs.
const LIFE_SIGN: Duration = Duration::from_millis(50);

/// How long retiring waits for the answers to writes of other nodes.
const RETIRE_TIME: Duration = Duration::from_millis(400);

/// How long stopping waits for what is being written.
const STOP_TIME: Duration = Duration::from_secs(10);

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadWant {
    /// The level asked for.
    pub level: Level,
    /// The least revision that the answer must reflect.
    pub min_revision: Option<u64>,
}

/// One line of `/readyz`.
#[derive(Clone, Debug)]
pub struct Check {
    /// What is checked.
    pub name: &'static str,
    /// Why it is not well.
    pub result: Result<(), String>,
}

/// A handle on one replicated group of this node; clones are cheap.
#[derive(Clone)]
pub struct Group {
    pub(super) core: Arc<Core>,
    pub(super) dialer: Arc<Dialer>,
    /// Batches that this node proposes as the leader.
    pub(super) local: Batcher,
    /// Batches that this node sends to the leader.
    pub(super) remote: Batcher,
    pub(super) barrier: Barrier,
}

impl Group {
    /// This node's id.
    pub fn id(&self) -> u64 {
        self.core.id
    }

    /// The time of day as the node sees it: milliseconds since 1970, UTC.
    pub fn now_ms(&self) -> u64 {
        self.core.world.clock.now_ms()
    }

    /// Why there is no leader, with the facts: who is up, and how many are needed. `not_done` ends
    /// the sentence.
    pub(super) async fn no_leader(&self, not_done: &str) -> Failure {
        let facts = super::report::no_leader(self.count_up().await, self.core.config.nodes.len());
        Failure::new(Code::NoLeader, format!("{facts}; {not_done}")).hint("ddb wait --for leader --timeout 30s")
    }

    /// Waits until something is new about the leadership, or until `until`.
    pub(super) async fn leadership_moved(&self, until: Instant) {
        let mut health = self.core.health.subscribe();
        let _ = timeout_at(until, health.changed()).await;
    }

    /// A consistent view of the tables that is as fresh as `want` asks.
    ///
    /// # Errors
    /// `no_leader` or `timeout` where that freshness cannot be proved in time.
    pub async fn read(&self, want: ReadWant, deadline: Instant) -> Result<View, Failure> {
        if want.level == Level::Linearizable && !on(Mutant::LocalRead) {
            let until = deadline.min(Instant::now() + LEADER_WAIT);
            match self.read_barrier(until).await {
                Ok(()) => {}
                Err(Missed::Failed(failure)) => return Err(failure),
                // In boxes, here and below, is what few reads need: it would make the futures of all of them larger.
                Err(Missed::Late) => return Err(Box::pin(self.not_in_time(until == deadline)).await),
            }
        }
        let view = self.core.store.view();
        match want.min_revision {
            Some(least) if view.revision() < least => Box::pin(self.await_revision(least, deadline)).await,
            _ => Ok(view),
        }
    }

    /// Why nothing was read; `own` says that no time was left but what the request had.
    async fn not_in_time(&self, own: bool) -> Failure {
        if own && self.core.health.borrow().fresh {
            let message = format!("node {} could not prove in time that it is up to date", self.core.id);
            return Failure::new(Code::Timeout, message);
        }
        if self.core.has_no_room() {
            let message = format!("the disk of node {} is full and it is behind; nothing was read", self.core.id);
            let hint = "ask another node, or read with level=stale; free some space on its disk";
            return Failure::new(Code::DiskFull, message).hint(hint);
        }
        self.no_leader("nothing was read").await
    }

    /// Waits, at most until `until`, for all that was committed when this began.
    async fn read_barrier(&self, until: Instant) -> Result<(), Missed> {
        let index = loop {
            match self.barrier.index(until).await {
                Err(Missed::Failed(failure)) if failure.code == Code::NoLeader => {
                    if Instant::now() >= until {
                        return Err(Missed::Late);
                    }
                    Box::pin(self.leadership_moved(until.min(Instant::now() + LOOK_AGAIN))).await;
                }
                outcome => break outcome?,
            }
        };
        if *self.core.applied.borrow() >= index {
            return Ok(());
        }
        Box::pin(self.await_applied(index, until)).await
    }

    async fn await_applied(&self, index: u64, until: Instant) -> Result<(), Missed> {
        let mut applied = self.core.applied.clone();
        match timeout_at(until, applied.wait_for(|applied| *applied >= index)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Missed::shutting_down()),
            Err(_) => Err(Missed::Late),
        }
    }

    async fn await_revision(&self, least: u64, deadline: Instant) -> Result<View, Failure> {
        let mut applied = self.core.applied.clone();
        loop {
            applied.mark_unchanged();
            let view = self.core.store.view();
            if view.revision() >= least {
                return Ok(view);
            }
            if !matches!(timeout_at(deadline, applied.changed()).await, Ok(Ok(()))) {
                let message = format!("node {} has not reached revision {least} in time", self.core.id);
                return Err(Failure::new(Code::Timeout, message));
            }
        }
    }

    /// The checks behind `/readyz`, in order.
    pub fn checks(&self) -> Vec<Check> {
        let health = *self.core.health.borrow();
        let lag = {
            let metrics = self.core.metrics();
            let committed = metrics.local_committed.map_or(0, |id| id.index);
            committed.saturating_sub(*self.core.applied.borrow())
        };
        let check = |name, result| Check { name, result };
        vec![
            check("raft", self.alive()),
            check(
                "leader",
                if health.leader.is_some() && health.fresh { Ok(()) } else { Err("no leader is known".into()) },
            ),
            check(
                "applied",
                if lag < 1_000 { Ok(()) } else { Err(format!("{lag} committed entries are not applied yet")) },
            ),
            check("disk", self.core.door().map_err(|failure| failure.message)),
        ]
    }

    /// Whether the node's own tasks and disks work: `/livez`.
    ///
    /// # Errors
    /// Why they do not.
    pub fn alive(&self) -> Result<(), String> {
        self.core.metrics().running_state.map_err(|e| e.to_string())
    }

    /// Serves one peer's connection until it closes or `ending` turns true; the request headers have been checked.
    pub async fn serve_peer(
        &self,
        peer: u64,
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        ending: watch::Receiver<bool>,
    ) {
        super::peers::serve(self.core.clone(), self.local.clone(), peer, io, ending).await;
    }

    /// Checks who knocks at the peer route, by the value of the `ddb-peer` header.
    ///
    /// # Errors
    /// `forbidden`, saying what does not match. On success: the peer's node id.
    pub fn check_peer(&self, header: &str) -> Result<u64, Failure> {
        self.dialer.check(header)
    }

    /// What this node answers in its own `ddb-peer` header.
    pub fn hello(&self) -> String {
        self.dialer.hello()
    }

    /// Closes the door for new writes, answers those that the other nodes sent, and hands leadership over, if this
    /// node leads. Its own clients' writes under way are answered; the node goes on following.
    pub async fn retire(&self) {
        self.core.stopping.store(true, Ordering::Relaxed);
        if timeout(RETIRE_TIME, self.core.no_more_forwarded()).await.is_err() {
            tracing::warn!("writes of other nodes were still under way when the time to answer them was over");
        }
        self.hand_over().await;
    }

    /// Stops taking part, with all that was applied on disk.
    pub async fn stop(&self) {
        self.core.stopping.store(true, Ordering::Relaxed);
        match timeout(STOP_TIME, self.core.raft.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => tracing::warn!("Raft did not stop cleanly: {e}"),
            Err(_) => return tracing::error!("the disk does not answer: not waiting for it any longer"),
        }
        let store = self.core.store.clone();
        match crate::world::work(move || store.checkpoint()).await {
            Ok(Ok(_)) => {}
            Ok(Err(e)) => tracing::warn!("the last checkpoint failed, the log has what it lacks: {e}"),
            Err(e) => tracing::warn!("the last checkpoint failed: {e}"),
        }
    }

    /// Notes an error of a view's: a node that finds its own data damaged stops.
    pub fn note(&self, error: &StoreError) {
        self.core.note(error);
    }

    /// Resolves when this node cannot go on: its data is damaged, or its disk fails.
    pub async fn failed(&self) -> String {
        let mut damage = self.core.damage.subscribe();
        tokio::select! {
            biased;
            why = self.raft_stopped() => why,
            Ok(why) = damage.wait_for(Option::is_some) => why.clone().unwrap_or_default(),
        }
    }

    /// Looks now and then: Raft tells of every step it takes, and to hear of each would wake the task
    /// for nothing.
    async fn raft_stopped(&self) -> String {
        let mut look = tokio::time::interval(LIFE_SIGN);
        loop {
            look.tick().await;
            if let Err(why) = self.alive() {
                return why;
            }
        }
    }

    async fn hand_over(&self) {
        let metrics = self.core.metrics();
        if !metrics.state.is_leader() {
            return;
        }
        let voters = metrics.membership_config.membership().voter_ids();
        let fit = |id: &u64| *id != self.core.id && super::driver::is_well(&self.core, &metrics, *id);
        let Some(target) = voters.filter(fit).min() else { return };
        tracing::info!("handing leadership to node {target}");
        if self.core.raft.trigger().transfer_leader(target).await.is_ok() {
            let moved = |m: &super::types::RaftMetrics| m.current_leader.is_some_and(|leader| leader != m.id);
            let wait = self.core.raft.wait(Some(self.core.lease() * 2));
            if let Err(e) = wait.metrics(moved, "leadership handed over").await {
                tracing::warn!("nobody took leadership over: {e}");
            }
        }
    }
}
