//! Owns the building of indexes: on the leader, one step of each after the other through the log.
//!
//! How far a building is stands in the store, so that whoever leads goes on where the last leader was. A step
//! that is proposed twice does no harm: it enters the next rows.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::group::Group;
use crate::model::Write;
use crate::store::Build;
use crate::world::simulated;

/// How often the leader looks for something to build.
const LOOK: Duration = Duration::from_millis(100);
/// How many rows one step enters; other writes wait so long.
const STEP_ROWS: u32 = 1_000;
/// The same in a simulation, whose tables are small.
const SIMULATED_ROWS: u32 = 3;
/// How long one step may take.
const STEP_TIME: Duration = Duration::from_secs(10);

/// Runs until the node stops.
pub(super) async fn run(group: Group) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !group.core.stopping.load(Ordering::Relaxed) {
        ticks.tick().await;
        while leads(&group) && step_each(&group).await {}
    }
}

fn leads(group: &Group) -> bool {
    group.core.metrics().state.is_leader() && !group.core.stopping.load(Ordering::Relaxed)
}

/// Does a step of every building; whether there was one, and all went well.
async fn step_each(group: &Group) -> bool {
    let builds = match group.core.store.view().builds() {
        Ok(builds) => builds,
        Err(error) => {
            group.core.note(&error);
            return false;
        }
    };
    let rows = if simulated() { SIMULATED_ROWS } else { STEP_ROWS };
    for Build { table, index, .. } in &builds {
        let write = Write::BuildIndex { table: table.clone(), index: index.clone(), rows };
        if let Err(failure) = group.propose(write, None, Instant::now() + STEP_TIME).await {
            // Dropped meanwhile, or no quorum: the next look tells.
            tracing::debug!("a step of index {index} of table {table} was not done: {failure}");
            return false;
        }
    }
    !builds.is_empty()
}
