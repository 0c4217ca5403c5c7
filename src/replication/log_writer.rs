//! Owns the one thread that writes the log: group commit.
//!
//! It takes all jobs that wait, in order, writes them in one synced redb transaction, and only
//! then reports them done. A failed write or sync is fatal: every job of it fails, Raft stops.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use openraft::storage::IOFlushed;
use redb::{Durability, WriteTransaction};
use tokio::sync::oneshot;

use super::log::{ENTRIES, MARKS, Mark, Shared, io_error};
use super::types::TypeConfig;

/// How many jobs one transaction takes at most.
const MAX_JOBS: usize = 1024;
/// How many bytes of entries one transaction takes, and at least one job.
const MAX_BYTES: u64 = 16 << 20;
/// How long a committed mark may wait for another reason to sync.
const MARK_DELAY: Duration = Duration::from_millis(200);

type Done = oneshot::Sender<io::Result<()>>;

/// What the writer is asked to do.
pub(super) enum Job {
    /// Append sealed entries.
    Append { entries: Vec<(u64, Vec<u8>)>, bytes: u64, callback: IOFlushed<TypeConfig> },
    /// Store a mark now.
    Mark { mark: Mark, value: io::Result<Vec<u8>>, done: Done },
    /// Store the committed mark with the next transaction.
    Committed(Vec<u8>),
    /// Remove the entries from `from` on.
    Truncate { from: u64, done: Done },
    /// Remove the entries up to `upto` and store the purge mark.
    Purge { upto: u64, value: io::Result<Vec<u8>>, done: Done },
}

/// Starts the thread; it ends when the last sender is gone.
pub(super) fn start(shared: Arc<Shared>) -> io::Result<Sender<Job>> {
    let (jobs, queue) = mpsc::channel();
    std::thread::Builder::new().name("ddb-log".into()).spawn(move || run(&shared, &queue))?;
    Ok(jobs)
}

fn run(shared: &Shared, queue: &Receiver<Job>) {
    let mut committed: Option<Vec<u8>> = None;
    loop {
        let first = match &committed {
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(_) => queue.recv_timeout(MARK_DELAY),
        };
        let ended = matches!(first, Err(RecvTimeoutError::Disconnected));
        let idle = first.is_err();
        let mut jobs = Vec::new();
        let mut gathered = 0;
        for job in first.into_iter().chain(queue.try_iter().take(MAX_JOBS)) {
            match job {
                Job::Committed(value) => committed = Some(value),
                job => {
                    gathered += if let Job::Append { bytes, .. } = &job { *bytes } else { 0 };
                    jobs.push(job);
                }
            }
            if gathered > MAX_BYTES {
                break;
            }
        }
        if !jobs.is_empty() || (idle && committed.is_some()) {
            settle(shared, jobs, committed.take());
        }
        if ended {
            return;
        }
    }
}

/// Writes the jobs in one transaction and tells each what became of it.
fn settle(shared: &Shared, mut jobs: Vec<Job>, committed: Option<Vec<u8>>) {
    let started = Instant::now();
    let result = commit(shared, &mut jobs, committed);
    metrics::histogram!("ddb_fsync_seconds").record(started.elapsed().as_secs_f64());
    if let Err(e) = &result {
        tracing::error!("the log cannot be written, this node stops taking part: {e}");
    }
    let outcome = || result.as_ref().map(|_| ()).map_err(|e| io::Error::new(e.kind(), e.to_string()));
    for job in jobs {
        match job {
            Job::Append { callback, bytes, .. } => {
                shared.unsynced.fetch_sub(bytes, Ordering::Relaxed);
                callback.io_completed(outcome());
            }
            // Whoever asked may have gone.
            Job::Mark { done, .. } | Job::Truncate { done, .. } | Job::Purge { done, .. } => drop(done.send(outcome())),
            Job::Committed(_) => {}
        }
    }
}

fn commit(shared: &Shared, jobs: &mut [Job], committed: Option<Vec<u8>>) -> io::Result<()> {
    let mut write = shared.db.begin_write().map_err(io_error)?;
    write.set_durability(Durability::Immediate).map_err(io_error)?;
    let (mut last, mut added, mut removed) = (None, 0, 0);
    for job in jobs {
        match job {
            Job::Append { entries, .. } => {
                let mut table = write.open_table(ENTRIES).map_err(io_error)?;
                for (index, bytes) in std::mem::take(entries) {
                    added += bytes.len() as u64;
                    last = Some(index);
                    table.insert((shared.group, index), bytes.as_slice()).map_err(io_error)?;
                }
            }
            Job::Mark { mark, value, .. } => put_mark(&write, shared.group, *mark, take(value)?)?,
            Job::Truncate { from, .. } => {
                removed += remove(&write, shared.group, *from, u64::MAX)?;
                last = None;
            }
            Job::Purge { upto, value, .. } => {
                removed += remove(&write, shared.group, 0, *upto)?;
                put_mark(&write, shared.group, Mark::Purged, take(value)?)?;
            }
            Job::Committed(_) => {}
        }
    }
    if let Some(value) = committed {
        put_mark(&write, shared.group, Mark::Committed, value)?;
    }
    write.commit().map_err(io_error)?;
    shared.subtract_bytes(removed);
    if let Some(last) = last {
        shared.set_durable(last, added);
    }
    Ok(())
}

fn take(value: &mut io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
    std::mem::replace(value, Ok(Vec::new()))
}

fn put_mark(write: &WriteTransaction, group: u64, mark: Mark, value: Vec<u8>) -> io::Result<()> {
    let mut marks = write.open_table(MARKS).map_err(io_error)?;
    marks.insert((group, mark as u8), value.as_slice()).map_err(io_error)?;
    Ok(())
}

/// Removes the entries `from..=upto` and answers how many bytes they had.
fn remove(write: &WriteTransaction, group: u64, from: u64, upto: u64) -> io::Result<u64> {
    let mut table = write.open_table(ENTRIES).map_err(io_error)?;
    let mut bytes = 0;
    let count = |_: (u64, u64), value: &[u8]| {
        bytes += value.len() as u64;
        false
    };
    table.retain_in((group, from)..=(group, upto), count).map_err(io_error)?;
    Ok(bytes)
}
