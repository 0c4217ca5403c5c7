//! Owns the way of a write into the log: here or through the leader, until it is answered.
//!
//! The rule that no path may break: an error says *not applied* only of a write that is in no
//! log. A refusal by a node that does not lead came before it appended anything; whatever comes
//! after a proposal was sent is *unknown*.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::group::{Group, LEADER_WAIT, LOOK_AGAIN};
use super::types::Item;
use super::wire::Refusal;
use crate::disk::reach;
use crate::model::{Answer, Code, Failure, IdempotencyKey, Proposal, Write};

/// How much longer a write that was proposed waits for a quorum that seems lost: a change of
/// leader looks the same for a moment.
const QUORUM_WAIT: Duration = Duration::from_millis(400);

impl Group {
    /// Replicates a write and answers once a majority has it on disk and this answer is known.
    ///
    /// # Errors
    /// What the store refused, or why the write was not taken or its fate is unknown.
    pub async fn propose(&self, write: Write, key: Option<IdempotencyKey>, deadline: Instant) -> Answer {
        let repeatable = key.is_some();
        let proposal = Proposal { write, key, at_ms: self.core.world.clock.now_ms() };
        self.propose_item(Item::Write(proposal), repeatable, deadline).await
    }

    /// Proposes one item again and again while it certainly was not proposed (or may be repeated),
    /// until it is answered or time is up.
    pub(super) async fn propose_item(&self, item: Item, repeatable: bool, deadline: Instant) -> Answer {
        self.core.door()?;
        reach("propose").map_err(|e| Failure::internal(format!("{e}; nothing was written")))?;
        let bytes = match item.encode() {
            Ok(bytes) => bytes,
            Err(e) => return Err(Failure::new(Code::Internal, format!("cannot encode the write: {e}"))),
        };
        let leader_until = deadline.min(Instant::now() + LEADER_WAIT);
        // What is to be said should no further attempt settle it.
        let mut open: Option<Failure> = None;
        loop {
            let Some(leader) = self.leader(leader_until).await else {
                return Err(match open {
                    Some(failure) => failure,
                    None => self.no_leader("nothing was written").await,
                });
            };
            match self.attempt(leader, bytes.clone(), deadline).await {
                Ok(answer) => return answer,
                Err(Refusal::NotLeader(_)) => {}
                Err(Refusal::Refused(failure)) => return Err(open.unwrap_or(failure)),
                Err(Refusal::Unknown(why)) => {
                    let late = Instant::now() >= deadline;
                    let message = format!("the write was proposed, but its outcome is unknown: {why}");
                    let code = if late { Code::Timeout } else { Code::NoLeader };
                    let failure = Failure::new(code, message).unknown();
                    if late || !repeatable {
                        return Err(failure);
                    }
                    open = Some(failure);
                }
            }
            if Instant::now() >= deadline {
                let message = "no leader took the write in time; nothing was written";
                return Err(open.unwrap_or_else(|| Failure::new(Code::Timeout, message)));
            }
            self.leadership_moved(deadline.min(Instant::now() + LOOK_AGAIN)).await;
        }
    }

    /// One attempt through the node that leads.
    async fn attempt(&self, leader: u64, item: Bytes, deadline: Instant) -> Result<Answer, Refusal> {
        let way = if leader == self.core.id { &self.local } else { &self.remote };
        let unknown = |why: &str| Err(Refusal::Unknown(why.into()));
        tokio::select! {
            biased;
            answers = timeout_at(deadline, way.submit(item, 1, None)) => match answers {
                Ok(Ok(mut answers)) => answers.0.pop().map_or_else(|| unknown("the answer is missing"), Ok),
                Ok(Err(refusal)) => Err(refusal),
                Err(_) => unknown("no answer came in time"),
            },
            () = self.quorum_lost() => unknown("the quorum was lost meanwhile"),
        }
    }

    /// The leader, once there is one with a quorum behind it.
    async fn leader(&self, until: Instant) -> Option<u64> {
        let mut health = self.core.health.subscribe();
        let found = timeout_at(until, health.wait_for(|health| health.fresh && health.leader.is_some())).await;
        found.ok()?.ok()?.leader
    }

    /// Resolves once there has been no leader with a quorum for a while.
    async fn quorum_lost(&self) {
        let mut health = self.core.health.subscribe();
        // The sender lives as long as this group.
        while health.wait_for(|health| !health.fresh).await.is_ok() {
            let back = timeout_at(Instant::now() + QUORUM_WAIT, health.wait_for(|health| health.fresh));
            if back.await.is_err() {
                return;
            }
        }
    }
}
