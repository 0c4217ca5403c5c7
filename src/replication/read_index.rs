//! Owns a ReadIndex round (Raft dissertation, section 6.4): the log index from which on a read may be answered.
//!
//! The leader notes how far it has committed, and then a quorum has to say that nobody else could have led by then:
//! that they have not voted beyond its term. A follower asks the leader; where those two are a quorum, as in a
//! cluster of three, the follower's own vote says it all, and nobody else is asked.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, timeout};

use super::core::Core;
use super::types::{LogId, Vote};
use super::wire::{ReadIndex, Request, Response};
use crate::model::{Code, Failure};
use crate::mutants::{Mutant, on};

/// How long one round may take before those who wait are told.
const ROUND_TIME: Duration = Duration::from_millis(500);
/// How long those who answered last time have before all others are asked too.
const HEAD_START: Duration = Duration::from_millis(5);

/// What a leader knows when it is asked.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    /// Its term.
    term: u64,
    /// How far it has committed.
    index: u64,
    /// The sets of voters of which it takes a majority each.
    voters: Vec<BTreeSet<u64>>,
}

fn no_leader(why: impl Into<String>) -> Failure {
    Failure::new(Code::NoLeader, why)
}

fn changed() -> Failure {
    no_leader("the leader has changed")
}

fn no_quorum() -> Failure {
    no_leader("the leader has no quorum behind it")
}

impl Core {
    /// One round: here if this node leads, else asked of the leader.
    pub(crate) async fn read_index(self: Arc<Core>) -> Result<u64, Failure> {
        let leader = self.health.borrow().leader.ok_or_else(|| no_leader("no leader is known"))?;
        if leader == self.id {
            let mark = self.mark().await?;
            return self.confirm(mark).await;
        }
        let answer = self.network.service(leader).call(&Request::ReadIndex, Instant::now() + ROUND_TIME).await;
        match answer {
            Ok(Response::ReadIndex(read)) => {
                let read = read?;
                // Looked at after the answer has come, which may have been long on its way.
                let voted = match read.unless_voted_beyond {
                    Some(_) => timeout(ROUND_TIME, self.voted_term()).await.ok().flatten(),
                    None => None,
                };
                settled(read, voted)
            }
            Ok(other) => Err(no_leader(format!("an answer of another kind: {other:?}"))),
            Err(e) => Err(no_leader(e.to_string())),
        }
    }

    /// The leader's answer to a follower that wants to read.
    pub(crate) async fn read_index_for(&self, follower: u64) -> Result<ReadIndex, Failure> {
        let mark = self.mark().await?;
        if are_quorum(&BTreeSet::from([self.id, follower]), &mark.voters) {
            return Ok(ReadIndex { index: mark.index, unless_voted_beyond: Some(mark.term) });
        }
        let index = self.confirm(mark).await?;
        Ok(ReadIndex { index, unless_voted_beyond: None })
    }

    /// The term of the newest vote given here, as Raft itself has it: its figures lag behind.
    pub(crate) async fn voted_term(&self) -> Option<u64> {
        self.raft.with_raft_state(|state| state.vote_ref().leader_id.term).await.ok()
    }

    async fn mark(&self) -> Result<Mark, Failure> {
        let id = self.id;
        let known = self.raft.with_raft_state(move |state| {
            let voters = state.membership_state.effective().membership().get_joint_config().clone();
            Mark::of(id, state.vote_ref(), state.cluster_committed(), voters)
        });
        let stuck = || no_leader("this node's Raft does not answer");
        timeout(ROUND_TIME, known).await.map_err(|_| stuck())?.map_err(|_| stuck())?
    }

    /// The mark's index, once a quorum has said that nobody else could have led then.
    async fn confirm(&self, mark: Mark) -> Result<u64, Failure> {
        let peers = self.by_answer(&mark.voters);
        let asking = ask_around(&mark, self.id, peers, |peer| self.ask_vote(peer));
        timeout(ROUND_TIME, asking).await.unwrap_or_else(|_| Err(no_quorum()))?;
        Ok(mark.index)
    }

    /// The newest term in which a peer has voted.
    async fn ask_vote(&self, peer: u64) -> Result<u64, String> {
        match self.network.service(peer).call(&Request::Voted, Instant::now() + ROUND_TIME).await {
            Ok(Response::Voted(term)) => {
                self.answered(peer);
                Ok(term)
            }
            Err(_) if on(Mutant::NoQuorum) => Ok(0),
            Ok(other) => Err(format!("an answer of another kind: {other:?}")),
            Err(e) => Err(e.to_string()),
        }
    }

    /// The other voters, those first who answered last.
    fn by_answer(&self, voters: &[BTreeSet<u64>]) -> Vec<u64> {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let mut peers: Vec<u64> = voters.iter().flatten().copied().filter(|peer| *peer != self.id).collect();
        peers.sort_by_key(|peer| (answered.iter().position(|other| other == peer).unwrap_or(usize::MAX), *peer));
        peers.dedup();
        peers
    }

    /// Notes that a peer answered. Not with the answers to other questions: whoever is slow with those comes last.
    fn answered(&self, peer: u64) {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.retain(|other| *other != peer);
        answered.insert(0, peer);
    }
}

/// The index of a leader's answer, for a follower that has voted in term `voted`, as far as it can tell.
fn settled(read: ReadIndex, voted: Option<u64>) -> Result<u64, Failure> {
    match read.unless_voted_beyond {
        Some(term) if voted.is_none_or(|voted| voted > term) => Err(changed()),
        _ => Ok(read.index),
    }
}

impl Mark {
    /// What node `id` knows, if it leads: whom it votes for, how far it has committed, and who votes.
    fn of(id: u64, vote: &Vote, committed: Option<&LogId>, voters: Vec<BTreeSet<u64>>) -> Result<Mark, Failure> {
        if !vote.committed || vote.leader_id.voted_for != id {
            return Err(changed());
        }
        let term = vote.leader_id.term;
        // Only once an entry of its own term is committed does a leader know all that was committed before.
        match committed {
            Some(committed) if committed.committed_leader_id().term == term => {
                Ok(Mark { term, index: committed.index, voters })
            }
            _ => Err(no_leader("the leader has only begun")),
        }
    }
}

/// Asks as many of `peers` as the leader `id` needs, in order, and after a moment all others, what they have voted;
/// done once a quorum has not voted beyond the mark's term.
async fn ask_around<F, A>(mark: &Mark, id: u64, peers: Vec<u64>, ask: F) -> Result<(), Failure>
where
    F: Fn(u64) -> A,
    A: Future<Output = Result<u64, String>>,
{
    let (mut with, mut asked, mut peers) = (BTreeSet::from([id]), FuturesUnordered::new(), peers.into_iter());
    let mut head_start = pin!(sleep(HEAD_START));
    let mut late = false;
    while !are_quorum(&with, &mark.voters) {
        let wanted = if late { usize::MAX } else { missing(&with, &mark.voters) };
        while asked.len() < wanted
            && let Some(peer) = peers.next()
        {
            let answer = ask(peer);
            asked.push(async move { (peer, answer.await) });
        }
        tokio::select! {
            biased;
            Some((peer, answer)) = asked.next() => match answer {
                Ok(voted) if voted > mark.term => return Err(changed()),
                Ok(_) => drop(with.insert(peer)),
                Err(e) => tracing::debug!("node {peer} did not say what it has voted: {e}"),
            },
            () = &mut head_start, if !late => late = true,
            else => return Err(no_quorum()),
        }
    }
    Ok(())
}

/// How many more votes a majority of each set takes.
fn missing(with: &BTreeSet<u64>, voters: &[BTreeSet<u64>]) -> usize {
    let missing = |voters: &BTreeSet<u64>| (voters.len() / 2 + 1).saturating_sub(voters.intersection(with).count());
    voters.iter().map(missing).max().unwrap_or(0)
}

/// Whether these are a majority of each set.
fn are_quorum(nodes: &BTreeSet<u64>, voters: &[BTreeSet<u64>]) -> bool {
    missing(nodes, voters) == 0
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_leader_knows_once_an_entry_of_its_own_term_is_committed() {
        let committed = |term, index| Some(LogId::new_term_index(term, index));
        for (vote, committed, index) in [
            (Vote::new_committed(3, 1), committed(3, 9), Some(9)),
            (Vote::new_committed(3, 1), committed(2, 9), None),
            (Vote::new_committed(3, 1), None, None),
            // A candidate, and a follower.
            (Vote::new(3, 1), committed(2, 9), None),
            (Vote::new_committed(3, 2), committed(3, 9), None),
        ] {
            let mark = Mark::of(1, &vote, committed.as_ref(), Vec::new());
            assert_eq!(mark.as_ref().ok().map(|mark| (mark.term, mark.index)), index.map(|index| (3, index)), "{vote}");
        }
    }

    #[test]
    fn a_follower_that_has_voted_for_another_does_not_take_a_former_leaders_word() {
        for (unless_voted_beyond, voted, taken) in [
            (None, None, true),
            (None, Some(5), true),
            (Some(4), Some(4), true),
            (Some(4), Some(3), true),
            (Some(4), Some(5), false),
            (Some(4), None, false),
        ] {
            let index = settled(ReadIndex { index: 9, unless_voted_beyond }, voted).ok();
            assert_eq!(index, taken.then_some(9), "{unless_voted_beyond:?} {voted:?}");
        }
    }

    #[test]
    fn a_quorum_is_a_majority_of_each_set_of_voters() {
        let three = BTreeSet::from([1, 2, 3]);
        for (voters, nodes, lack) in [
            (vec![BTreeSet::from([1])], vec![1], 0),
            (vec![BTreeSet::from([1, 2])], vec![2], 1),
            (vec![three.clone()], vec![1], 1),
            (vec![three.clone()], vec![1, 3], 0),
            (vec![three.clone()], vec![1, 4], 1),
            (vec![BTreeSet::from([1, 2, 3, 4])], vec![1, 2], 1),
            (vec![BTreeSet::from([1, 2, 3, 4, 5])], vec![1], 2),
            (vec![BTreeSet::from([1, 2, 3, 4, 5])], vec![1, 2, 3], 0),
            (vec![three.clone(), BTreeSet::from([2, 3, 4])], vec![2, 3], 0),
            (vec![three, BTreeSet::from([2, 3, 4])], vec![1, 2], 1),
        ] {
            let nodes = BTreeSet::from_iter(nodes);
            assert_eq!(missing(&nodes, &voters), lack, "{voters:?} {nodes:?}");
        }
    }

    /// Asks around as node 1 of `voters` in term 5; what came of it, and who was asked, and when in milliseconds. A peer
    /// answers what `votes` says of it and when, or never.
    async fn asked(voters: u64, votes: &[(u64, u64, Result<u64, &str>)]) -> (Option<String>, Vec<(u64, u128)>) {
        let mark = Mark { term: 5, index: 9, voters: vec![(1..=voters).collect()] };
        let (began, asked) = (Instant::now(), Mutex::new(Vec::new()));
        let ask = |peer| {
            asked.lock().unwrap().push((peer, began.elapsed().as_millis()));
            let vote = votes.iter().find(|(other, ..)| *other == peer).copied();
            async move {
                let Some((_, after, answer)) = vote else { return std::future::pending().await };
                sleep(Duration::from_millis(after)).await;
                answer.map_err(String::from)
            }
        };
        let round = ask_around(&mark, 1, (2..=voters).collect(), ask);
        let outcome = timeout(ROUND_TIME, round).await.unwrap_or_else(|_| Err(no_leader("nobody answers")));
        (outcome.err().map(|failure| failure.message), asked.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn only_as_many_are_asked_as_are_needed_unless_they_are_late_or_fail() {
        assert_eq!(asked(1, &[]).await, (None, vec![]));
        assert_eq!(asked(3, &[(2, 1, Ok(5))]).await, (None, vec![(2, 0)]));
        assert_eq!(asked(5, &[(2, 1, Ok(5)), (3, 1, Ok(4))]).await, (None, vec![(2, 0), (3, 0)]));
        assert_eq!(asked(3, &[(2, 1, Err("away")), (3, 1, Ok(5))]).await, (None, vec![(2, 0), (3, 1)]));
        assert_eq!(asked(3, &[(3, 1, Ok(5))]).await, (None, vec![(2, 0), (3, 5)]));
        let all = vec![(2, 0), (3, 0), (4, 5), (5, 5)];
        assert_eq!(asked(5, &[(3, 9, Ok(5)), (5, 1, Ok(5))]).await, (None, all));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_read_by_a_leader_without_a_quorum() {
        let both = vec![(2, 0), (3, 5)];
        assert_eq!(asked(3, &[]).await, (Some("nobody answers".into()), both));
        let (why, _) = asked(3, &[(2, 1, Err("away")), (3, 1, Err("away"))]).await;
        assert_eq!(why, Some(no_quorum().message));
        let (why, _) = asked(5, &[(2, 1, Ok(5)), (3, 1, Ok(6))]).await;
        assert_eq!(why, Some(changed().message));
    }
}
