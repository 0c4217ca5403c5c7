//! Owns the slow work beside the log: checkpoints, compaction, and the watch over free disk space.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::core::Core;

/// How many bytes of applied, not yet checkpointed writes make a checkpoint due.
const CHECKPOINT_BYTES: usize = 12 << 20;
/// How often the task looks, and how often where it found a part of a checkpoint's bytes: an import brings the rest soon.
const TICK: Duration = Duration::from_millis(200);
const QUICK_TICK: Duration = Duration::from_millis(50);
const PART: usize = CHECKPOINT_BYTES / 4;
/// After how long any write is checkpointed.
const CHECKPOINT_TIME: Duration = Duration::from_secs(15);
/// How many bytes of log make a compaction due, whatever the number of entries.
const LOG_BYTES: u64 = 64 << 20;
/// Below so much free space writes are refused, so that what is acknowledged can still be kept.
pub const LEAST_FREE: u64 = 64 << 20;
/// Below so much a follower takes no more entries from the leader either. In between it catches up with
/// what was taken before the disks filled up, so that it can go on serving reads.
const NO_ROOM: u64 = LEAST_FREE / 2;

/// Runs until the node stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut checkpointed = Instant::now();
    // The least the log has held since the last compaction: what it keeps in any case.
    let mut kept = 0;
    // The last checkpoint.
    let mut failed = false;
    while !core.stopping.load(Ordering::Relaxed) {
        watch_disk(&core);
        let pending = core.store.pending_bytes();
        if pending >= CHECKPOINT_BYTES || (pending > 0 && checkpointed.elapsed() >= CHECKPOINT_TIME) {
            let store = core.store.clone();
            failed = match crate::world::background(move || store.checkpoint()).await {
                Ok(Ok(_)) => false,
                Ok(Err(e)) => {
                    core.checkpoint_failed(&e);
                    true
                }
                Err(e) => {
                    tracing::error!("the checkpoint failed: {e}");
                    true
                }
            };
            checkpointed = Instant::now();
        }
        let log = core.log.bytes();
        kept = log.min(kept);
        if log > LOG_BYTES.max(kept * 2) {
            kept = log;
            // Fails only once Raft has stopped.
            let _ = core.raft.trigger().snapshot().await;
        }
        let soon = !failed && core.store.pending_bytes() > PART;
        tokio::time::sleep(if soon { QUICK_TICK } else { TICK }).await;
    }
}

fn watch_disk(core: &Core) {
    let Ok(free) = core.disk.room() else { return };
    let full = free < LEAST_FREE;
    core.no_room.store(free < NO_ROOM, Ordering::Relaxed);
    if core.disk_full.swap(full, Ordering::Relaxed) != full {
        if full {
            tracing::error!("the disk is nearly full: writes are refused");
        } else {
            tracing::info!("the disk has room again: writes resume");
        }
    }
}
