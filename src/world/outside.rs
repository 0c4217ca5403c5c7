//! Owns what one node holds of the world: its network, its clock, and its disk where it brings one.

use std::sync::Arc;

use super::{Clock, Network, Tcp, WallClock};
use crate::disk::Disk;

/// What one node has of the world; clones are cheap.
#[derive(Clone)]
pub struct World {
    /// How peers are reached.
    pub network: Arc<dyn Network>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// The node's directory, if it is not one of the file system.
    pub disk: Option<Arc<dyn Disk>>,
}

impl Default for World {
    /// The operating system's.
    fn default() -> World {
        World { network: Arc::new(Tcp), clock: Arc::new(WallClock), disk: None }
    }
}
