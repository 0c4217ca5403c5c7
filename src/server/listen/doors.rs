//! Owns the places for connections: those for everyone, then a reserve for peers and probes.
//!
//! The reserve never fills with guests who only stand there: a newcomer takes the place of the one
//! who came first and asks for nothing. So a flood of silent connections keeps no health check out.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::super::Limits;
use super::super::socket::Traffic;

/// All places of one server.
pub(super) struct Doors {
    front: Arc<Semaphore>,
    reserve: usize,
    /// Who is in the reserve, in the order they came.
    guests: VecDeque<Guest>,
}

/// Who is in the reserve.
struct Guest {
    traffic: Arc<Traffic>,
    /// Closed once the connection is.
    leave: oneshot::Sender<()>,
}

/// One connection's place, kept while it is open.
pub(super) struct Place {
    _front: Option<OwnedSemaphorePermit>,
    leave: Option<oneshot::Receiver<()>>,
}

impl Doors {
    pub(super) fn new(limits: &Limits) -> Doors {
        let front = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
        Doors { front, reserve: limits.reserve, guests: VecDeque::new() }
    }

    /// A place for the connection with that traffic; `None` where all are in use.
    pub(super) fn enter(&mut self, traffic: &Arc<Traffic>) -> Option<Place> {
        if let Ok(permit) = self.front.clone().try_acquire_owned() {
            return Some(Place { _front: Some(permit), leave: None });
        }
        self.guests.retain(|guest| !guest.leave.is_closed());
        if self.guests.len() >= self.reserve {
            let idle = self.guests.iter().position(|guest| guest.traffic.active.load(Ordering::Relaxed) == 0)?;
            // It may have left by itself just now.
            let _ = self.guests.remove(idle)?.leave.send(());
        }
        let (leave, left) = oneshot::channel();
        self.guests.push_back(Guest { traffic: traffic.clone(), leave });
        Some(Place { _front: None, leave: Some(left) })
    }
}

impl Place {
    /// Whether it is one of the reserve.
    pub(super) fn is_reserve(&self) -> bool {
        self.leave.is_some()
    }

    /// Resolves when another needs the place.
    pub(super) async fn is_needed(&mut self) {
        let needed = match &mut self.leave {
            Some(leave) => leave.await.is_ok(),
            None => false,
        };
        if !needed {
            pending().await
        }
    }
}
