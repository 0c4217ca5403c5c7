//! Owns the quick way to notice that the leader's process has ended.
//!
//! Whoever is killed, or crashes, leaves a machine behind whose system closes its connections at once and refuses
//! new ones. Then nobody has to wait for the leader's lease, which is there for a leader that merely cannot be
//! heard. A follower that finds this out no longer holds the lease against whoever stands for election; Raft
//! decides about that as ever, so that a mistake here costs an election at most. A leader that was only cut off
//! from this follower keeps its quorum, as the other followers' leases hold.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::raft::TransferLeaderRequest;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, sleep, timeout};

use super::core::Core;
use super::types::{RaftInstant, Vote};
use crate::world::Network;

/// How soon a process that is ending is looked at again.
const ENDING: Duration = Duration::from_millis(2);

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
    let (address, vote) = (core.network.service(peer).address(), metrics.vote);
    let patience = core.lease() / 4;
    if !timeout(patience, is_refused(&*core.world.network, &address)).await.unwrap_or(false) {
        return;
    }
    // Made for a leader that hands over, this is the library's way to end its lease. That it names the leader
    // itself, which cannot stand for election, leaves that to the driver.
    let request = TransferLeaderRequest::new(vote, peer, metrics.last_applied);
    if core.raft.handle_transfer_leader(request).await.is_err() {
        return;
    }
    // Behind whatever of the leader's was on its way to Raft.
    if let Ok(heard) = core.raft.with_raft_state(|state| state.vote_last_modified()).await {
        tracing::info!("the process of node {peer} has ended");
        core.gone.send_replace(Some(Gone { vote, heard, since: Instant::now() }));
    }
}

/// Whether nobody listens at an address, though its machine answers; waits while somebody does.
async fn is_refused(network: &dyn Network, address: &str) -> bool {
    let host = address.strip_prefix("http://").unwrap_or(address);
    loop {
        let mut stream = match network.connect(host).await {
            Ok(stream) => stream,
            Err(e) => return e.kind() == io::ErrorKind::ConnectionRefused,
        };
        // A node waits here for a request. The system may still take connections for a process that is ending, and
        // breaks them then.
        if stream.read_u8().await.is_ok() {
            return false;
        }
        sleep(ENDING).await;
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
        let address = format!("http://{}", listener.local_addr().unwrap());
        (listener, address)
    }

    #[tokio::test]
    async fn an_address_where_nobody_listens_refuses() {
        let (listener, address) = listener().await;
        drop(listener);
        assert!(is_refused(&Tcp, &address).await);
    }

    #[tokio::test]
    async fn a_process_that_ends_meanwhile_refuses_once_it_has() {
        let (listener, address) = listener().await;
        let look = tokio::spawn(async move { is_refused(&Tcp, &address).await });
        for _ in 0..2 {
            drop(listener.accept().await.unwrap());
        }
        drop(listener);
        assert!(look.await.unwrap());
    }

    #[tokio::test]
    async fn one_that_takes_a_connection_and_keeps_it_does_not() {
        let (listener, address) = listener().await;
        let mut look = Box::pin(is_refused(&Tcp, &address));
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
