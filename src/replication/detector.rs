//! Owns the quick way to notice that the leader's process has ended.
//!
//! Whoever is killed, or crashes, leaves a machine behind whose system closes its connections at once and refuses
//! new ones. Then nobody has to wait for the leader's lease, which is there for a leader that merely cannot be
//! heard. A follower that finds this out no longer holds the lease against whoever stands for election; Raft
//! decides about that as ever. A leader that lives, and whose machine only refuses this follower, keeps its quorum,
//! as the others' leases hold. A mistake costs an election at most, now or later in that term: the library gives a
//! follower its lease back with the next vote only.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::raft::TransferLeaderRequest;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, sleep, timeout};

use super::core::Core;
use super::types::{RaftInstant, RaftState, Vote};
use crate::world::Network;

/// How long a look may take at most, however long the lease is.
const PATIENCE: Duration = Duration::from_secs(1);
/// How soon a process that is ending is looked at again: twice as late each time, up to the second.
const ENDING: Duration = Duration::from_millis(2);
const LATER: Duration = Duration::from_millis(50);

/// A leader whose process has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone {
    vote: Vote,
    /// When it was last heard of.
    heard: Option<RaftInstant>,
    since: Instant,
}

impl Gone {
    /// For how long the leader of this vote, last heard of then, has been known to be gone.
    pub(crate) fn age(&self, vote: Vote, heard: Option<RaftInstant>) -> Option<Duration> {
        (self.vote == vote && self.heard == heard).then(|| self.since.elapsed())
    }
}

/// Looks what became of a peer after a connection of its own has broken.
pub(crate) async fn look(core: Arc<Core>, peer: u64) {
    let metrics = core.metrics();
    if metrics.current_leader != Some(peer) {
        return;
    }
    let (host, vote) = (core.network.service(peer).host(), metrics.vote);
    let patience = (core.lease() / 4).min(PATIENCE);
    if !timeout(patience, is_refused(&*core.world.network, &host)).await.unwrap_or(false) {
        return;
    }
    // Made for a leader that hands over, this is the library's way to end its lease. That it names the leader
    // itself, which cannot stand for election, leaves that to the driver.
    if core.raft.handle_transfer_leader(TransferLeaderRequest::new(vote, peer, None)).await.is_err() {
        return;
    }
    // Asked behind what had come on this connection; of another one's rest, the look at that one will tell.
    let heard = move |state: &RaftState| (*state.vote_ref() == vote).then(|| state.vote_last_modified());
    let Ok(Some(heard)) = core.raft.with_raft_state(heard).await else { return };
    let news = core.gone.send_if_modified(|gone| {
        let known = gone.is_some_and(|gone| gone.age(vote, heard).is_some());
        if !known {
            *gone = Some(Gone { vote, heard, since: Instant::now() });
        }
        !known
    });
    if news {
        tracing::info!("node {peer} no longer listens");
    }
}

/// Whether nobody listens at `host:port`, though the machine answers; waits while somebody does.
async fn is_refused(network: &dyn Network, host: &str) -> bool {
    let mut pause = ENDING;
    loop {
        let mut stream = match network.connect(host).await {
            Ok(stream) => stream,
            Err(e) => return e.kind() == io::ErrorKind::ConnectionRefused,
        };
        // A node waits here for a request. The system may still take connections for a process that is ending, and
        // breaks them then; a node that has too many closes them too.
        if stream.read_u8().await.is_ok() {
            return false;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LATER);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::net::TcpListener;

    use super::*;
    use crate::world::Tcp;

    async fn listener() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        (listener, host)
    }

    #[tokio::test]
    async fn an_address_where_nobody_listens_refuses() {
        let (listener, host) = listener().await;
        drop(listener);
        assert!(is_refused(&Tcp, &host).await);
    }

    #[tokio::test]
    async fn a_process_that_ends_meanwhile_refuses_once_it_has() {
        let (listener, host) = listener().await;
        let look = tokio::spawn(async move { is_refused(&Tcp, &host).await });
        for _ in 0..2 {
            drop(listener.accept().await.unwrap());
        }
        drop(listener);
        assert!(look.await.unwrap());
    }

    #[tokio::test]
    async fn one_that_takes_a_connection_and_keeps_it_does_not() {
        let (listener, host) = listener().await;
        let mut look = Box::pin(is_refused(&Tcp, &host));
        let held = tokio::select! {
            accepted = listener.accept() => accepted.unwrap(),
            refused = &mut look => panic!("refused: {refused}"),
        };
        assert_eq!((&mut look).now_or_never(), None);
        let (mut held, _) = held;
        tokio::io::AsyncWriteExt::write_all(&mut held, b"x").await.unwrap();
        assert!(!look.await);
    }
}
