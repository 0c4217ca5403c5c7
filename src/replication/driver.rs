//! Owns who leads: forming the cluster, standing for election lowest id first, handing back.
//!
//! Raft alone decides who may lead; this task only chooses when to ask. All nodes have the same
//! election timeout (it is also the leader's lease). Once the lease has run out, or the leader's
//! process is known to have ended (`detector`), the voter with the lowest id asks first, the next
//! one `STEP` later, and so on; pre-votes keep a node that cannot win from disturbing one that
//! leads. The library's own timer is the fallback.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::{BasicNode, Instant as _};
use tokio::time::Instant;

use super::core::{Core, Health};
use super::types::RaftMetrics;
use super::wire::{Request, Response};

/// How often the task looks.
const TICK: Duration = Duration::from_millis(20);
/// How often it looks while an election is near or under way: writes wait for what it finds.
const QUICK_TICK: Duration = Duration::from_millis(2);
/// How much later than this node's the other followers' leases may end, or they find out that the leader is gone.
const SLACK: Duration = Duration::from_millis(5);
/// How much later the voter of the next rank stands for election.
const STEP: Duration = Duration::from_millis(80);
/// How long a node waits between two attempts of its own: twice as long each time, up to the second.
const RETRY: [Duration; 2] = [Duration::from_millis(40), Duration::from_millis(160)];
/// How much longer those of the next rank wait, so that two do not ask at the same time.
const APART: Duration = Duration::from_millis(7);
/// How long the preferred leader must have been well before it gets leadership back.
const SETTLED: Duration = Duration::from_secs(2);
/// After how long a time of leading the preferred leader's earlier failures are forgotten.
const FORGIVEN: Duration = Duration::from_secs(30);
/// How far its log may be behind then, in entries.
const SETTLED_LAG: u64 = 64;

/// Runs until the node stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut driver =
        Driver { core, spell: Spell::default(), hand_back: HandBack::default(), led: None, silent: BTreeSet::new() };
    driver.form().await;
    // Also while the node retires: those who wait must hear who leads next.
    let mut gone = driver.core.gone.subscribe();
    while let Some(pause) = driver.step().await {
        // Until the pause is over, or a leader is found gone.
        let _ = tokio::time::timeout(pause, gone.changed()).await;
    }
}

struct Driver {
    core: Arc<Core>,
    spell: Spell,
    hand_back: HandBack,
    /// The term in which this node was last seen to lead, and since when.
    led: Option<(u64, Instant)>,
    /// The followers that this leader last found silent.
    silent: BTreeSet<u64>,
}

/// A time without a leader, as this node counts it.
#[derive(Default)]
struct Spell {
    announced: bool,
    attempts: u32,
    last_attempt: Option<Instant>,
}

struct HandBack {
    well_since: Option<Instant>,
    /// Since when this node follows the preferred leader.
    back_since: Option<Instant>,
    not_before: Option<Instant>,
    pause: Duration,
}

impl Default for HandBack {
    fn default() -> HandBack {
        HandBack { well_since: None, back_since: None, not_before: None, pause: Duration::from_secs(3) }
    }
}

impl HandBack {
    /// Notes that this node follows; once the preferred leader has led for long, all is forgiven.
    fn follow(&mut self, preferred_leads: bool) {
        self.well_since = None;
        let since = preferred_leads.then(|| self.back_since.unwrap_or_else(Instant::now));
        self.back_since = since;
        if since.is_some_and(|since| since.elapsed() > FORGIVEN) {
            *self = HandBack { back_since: since, ..HandBack::default() };
        }
    }
}

impl Driver {
    /// One look at the state of things; answers when to look again, `None` once Raft has stopped.
    async fn step(&mut self) -> Option<Duration> {
        let metrics = self.core.metrics();
        if let Err(e) = &metrics.running_state {
            if !self.core.stopping.load(Ordering::Relaxed) {
                tracing::error!("this node has stopped taking part: {e}");
            }
            return None;
        }
        let leads = metrics.state.is_leader();
        let heard = self.core.raft.with_raft_state(|state| state.vote_last_modified());
        let Ok(heard) = tokio::time::timeout(self.core.lease(), heard).await else {
            // Raft waits for the disk: whatever was known of the leadership is no longer.
            self.report(&metrics, Duration::MAX);
            return Some(TICK);
        };
        let heard = heard.ok()?;
        let gone = self.core.gone.borrow().and_then(|gone| gone.age(metrics.vote, heard));
        let silence = heard.map_or(Duration::MAX, |at| at.elapsed());
        // One that is gone counts as silent for ever.
        let fresh = self.report(&metrics, gone.map_or(silence, |_| Duration::MAX));
        let near = !fresh || (!leads && silence > self.core.lease().saturating_sub(TICK));
        let pause = if near && silence < self.core.lease() * 3 { QUICK_TICK } else { TICK };
        if self.core.stopping.load(Ordering::Relaxed) {
            return Some(pause);
        }
        if leads {
            self.spell = Spell::default();
            self.tell_silent(&metrics);
            self.maybe_hand_back(&metrics).await;
        } else {
            self.silent.clear();
            self.hand_back.follow(metrics.current_leader == self.core.preferred());
            self.maybe_stand(&metrics, silence, gone).await;
        }
        Some(pause)
    }

    /// Tells the rest of the node, the log and the figures who leads; answers whether that is sure.
    fn report(&mut self, metrics: &RaftMetrics, silence: Duration) -> bool {
        let core = &self.core;
        let leads = metrics.state.is_leader();
        let voters = metrics.membership_config.membership().voter_ids().count();
        let fresh = if leads {
            let acked = metrics.last_quorum_acked.map(|at| at.elapsed());
            voters == 1 || acked.is_some_and(|age| age < core.lease() * 2)
        } else {
            metrics.current_leader.is_some() && silence < core.lease() * 2
        };
        let health = Health { leader: metrics.current_leader, fresh };
        core.health.send_if_modified(|old| std::mem::replace(old, health) != health);
        metrics::gauge!("ddb_term").set(metrics.current_term as f64);
        let behind = metrics.last_log_index.unwrap_or(0).saturating_sub(*core.applied.borrow());
        metrics::gauge!("ddb_replication_lag_entries").set(behind as f64);
        let purged = metrics.purged.map_or(0, |id| id.index);
        metrics::gauge!("ddb_log_entries").set(metrics.last_log_index.unwrap_or(0).saturating_sub(purged) as f64);
        if leads && self.led.is_none_or(|(term, _)| term != metrics.current_term) {
            self.led = Some((metrics.current_term, Instant::now()));
            metrics::counter!("ddb_leader_changes_total").increment(1);
            if core.preferred() == Some(core.id) {
                tracing::info!("This node is MASTER");
            } else {
                tracing::warn!("[WARNING] I am the new TEMP MASTER");
            }
        }
        fresh
    }

    /// Logs, once each time, which followers fall silent and which come back.
    fn tell_silent(&mut self, metrics: &RaftMetrics) {
        if self.led.is_none_or(|(_, since)| since.elapsed() < self.core.lease() * 2) {
            return;
        }
        for (id, _) in metrics.membership_config.nodes().filter(|(id, _)| **id != self.core.id) {
            let age = Core::heartbeat_age(metrics, *id);
            if age.is_none_or(|age| age > self.core.lease() * 2) && self.silent.insert(*id) {
                tracing::warn!("node {id} does not answer");
            } else if age.is_some_and(|age| age < self.core.lease()) && self.silent.remove(id) {
                tracing::info!("node {id} answers again");
            }
        }
    }

    /// Stands for election once the lease of the lost leader, unless it is known to be gone, and this node's rank
    /// have passed.
    async fn maybe_stand(&mut self, metrics: &RaftMetrics, silence: Duration, gone: Option<Duration>) {
        let membership = metrics.membership_config.membership();
        // After a restart of all, the node that led before is not lost but one of the candidates.
        let heard_of = metrics.vote.committed && (gone.is_some() || silence < self.core.started.elapsed());
        let lost = heard_of.then_some(metrics.vote.leader_id.voted_for);
        let Some(rank) = membership.voter_ids().filter(|id| Some(*id) != lost).position(|id| id == self.core.id) else {
            return;
        };
        let turn = SLACK + STEP * rank as u32;
        let (passed, wait) = match gone {
            Some(since) => (since, turn),
            None => (silence.min(self.core.started.elapsed()), self.core.lease() + turn),
        };
        if passed < wait {
            if gone.is_none() && silence < self.core.lease() {
                self.spell = Spell::default();
            }
            return;
        }
        // Where others have not found out yet that the leader is gone, they will.
        let attempts = if gone.is_some_and(|since| since < self.core.lease()) { 1 } else { self.spell.attempts };
        let retry = (RETRY[0] * 2_u32.pow(attempts.saturating_sub(1).min(8))).min(RETRY[1]) + APART * rank as u32;
        if self.spell.last_attempt.is_some_and(|at| at.elapsed() < retry) {
            return;
        }
        self.spell.attempts += 1;
        self.spell.last_attempt = Some(Instant::now());
        if !std::mem::replace(&mut self.spell.announced, true) {
            tracing::warn!("Master is down! Trying to become master...");
        }
        // Fails only once Raft has stopped, which the next look finds.
        let _ = self.core.raft.trigger().elect(true).await;
    }

    /// Gives leadership to the preferred leader once it has been up and caught up for a while.
    async fn maybe_hand_back(&mut self, metrics: &RaftMetrics) {
        let preferred = self.core.preferred().filter(|preferred| *preferred != self.core.id);
        let Some(target) = preferred.filter(|target| is_well(&self.core, metrics, *target)) else {
            self.hand_back.well_since = None;
            return;
        };
        let since = *self.hand_back.well_since.get_or_insert_with(Instant::now);
        let now = Instant::now();
        if now - since < SETTLED || self.hand_back.not_before.is_some_and(|then| now < then) {
            return;
        }
        // A transfer cannot be called off; one that fails is not tried again at once.
        self.hand_back.not_before = Some(now + self.hand_back.pause);
        self.hand_back.pause = (self.hand_back.pause * 2).min(Duration::from_secs(60));
        tracing::info!("handing leadership back to node {target}");
        let _ = self.core.raft.trigger().transfer_leader(target).await;
    }

    /// Forms the cluster on the first start: the lowest id that sees a majority, none of which
    /// has a log, writes the first membership. Nodes that start later are found by the leader.
    async fn form(&self) {
        let core = &self.core;
        let ids: Vec<u64> = core.config.nodes.iter().map(|node| node.id).collect();
        let rank = ids.iter().filter(|id| **id < core.id).count() as u32;
        let mut seen_since: Option<Instant> = None;
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        while !core.stopping.load(Ordering::Relaxed) && core.metrics().last_log_index.is_none() {
            tick.tick().await;
            let peers =
                futures::future::join_all(ids.iter().filter(|id| **id != core.id).map(|id| ask(core, *id))).await;
            let up = 1 + peers.iter().flatten().count();
            let formed = peers.iter().flatten().any(|last| last.is_some());
            if formed || up * 2 <= ids.len() {
                seen_since = None;
                continue;
            }
            let since = *seen_since.get_or_insert_with(Instant::now);
            if since.elapsed() < Duration::from_millis(300) * rank {
                continue;
            }
            let members: BTreeMap<u64, BasicNode> =
                core.config.nodes.iter().map(|node| (node.id, BasicNode::new(&node.address))).collect();
            // Another node may have been quicker; then this one is a member already.
            if let Err(e) = core.raft.initialize(members).await {
                tracing::debug!("not forming the cluster: {e}");
            }
        }
    }
}

/// A peer's last log index (`None`: it has no log), if it answers.
async fn ask(core: &Core, peer: u64) -> Option<Option<u64>> {
    let deadline = Instant::now() + Duration::from_millis(300);
    match core.network.service(peer).call(&Request::Status, deadline).await {
        Ok(Response::Status(status)) => Some(status.last_log_index),
        _ => None,
    }
}

/// Whether this leader finds `target` fit to lead: a voter, heard of just now, with its log caught up.
pub(crate) fn is_well(core: &Core, metrics: &RaftMetrics, target: u64) -> bool {
    let is_voter = metrics.membership_config.membership().voter_ids().any(|id| id == target);
    let heard = Core::heartbeat_age(metrics, target).is_some_and(|age| age < core.lease());
    let matched = metrics.replication.as_ref().and_then(|replication| replication.get(&target).copied().flatten());
    let last = metrics.last_log_index.unwrap_or(0);
    is_voter && heard && matched.is_some_and(|matched| matched.index + SETTLED_LAG >= last)
}
