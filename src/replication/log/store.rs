//! Owns the log as openraft sees it: what is readable at once, and what waits for the writer.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::oneshot;

use super::super::types::{Entry, LogId, TypeConfig, Vote, entry_size};
use super::format::{io_error, seal, seal_of};
use super::recover;
use super::state::Shared;
use super::tail::Sizes;
use super::writer::{self, Job};
use crate::disk::{Disk, reach};
use crate::mutants::{Mutant, on};
use crate::world::simulated;

/// How many bytes of entries one read for replication answers at most.
const READ_BYTES: usize = 4 << 20;

/// The log of one group; clones share it.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
}

impl LogStore {
    /// Opens the log in the directory `disk` (made if it is not there) and checks every entry in
    /// it. Nobody else may use that directory.
    ///
    /// # Errors
    /// The files cannot be read or written, or are damaged.
    pub(crate) fn open(disk: Arc<dyn Disk>, group: u64) -> io::Result<LogStore> {
        LogStore::open_sized(disk, group, if simulated() { Sizes::SIMULATED } else { Sizes::default() })
    }

    pub(super) fn open_sized(disk: Arc<dyn Disk>, group: u64, sizes: Sizes) -> io::Result<LogStore> {
        let found = recover::open(disk, group, sizes)?;
        let shared = Arc::new(Shared::new(group, found.state, found.places));
        let jobs = writer::start(shared.clone(), found.tail, found.marks)?;
        Ok(LogStore { shared, jobs })
    }

    /// Whether entries are gone from the front, which only the store has then.
    pub(crate) fn is_purged(&self) -> bool {
        self.shared.state().purged.is_some()
    }

    /// How many bytes of entries the log holds.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.places().bytes
    }

    /// How many bytes of entries wait for the disk.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.shared.unsynced.load(Ordering::Relaxed)
    }

    /// How long a sync takes: 99 of 100 of the last ones stayed within so many microseconds.
    pub(crate) fn sync_p99_us(&self) -> Option<u64> {
        self.shared.pace.p99_us()
    }

    /// Whether the disk has no room for what waits.
    pub(crate) fn is_full(&self) -> bool {
        self.shared.full.load(Ordering::Relaxed)
    }

    /// Closes the last handle and tells when the writer has ended.
    #[cfg(test)]
    pub(in super::super) fn close(self) -> impl Fn() -> bool {
        let shared = Arc::downgrade(&self.shared);
        drop(self);
        move || shared.strong_count() == 0
    }

    /// Whether the writer has nothing to do.
    #[cfg(test)]
    pub(super) fn rests(&self) -> bool {
        self.shared.state().resting
    }

    fn send(&self, job: Job) -> io::Result<()> {
        self.jobs.send(job).map_err(|_| io_error("the log writer has stopped"))
    }

    async fn run(&self, job: impl FnOnce(oneshot::Sender<io::Result<()>>) -> Job) -> io::Result<()> {
        let (done, waits) = oneshot::channel();
        self.send(job(done))?;
        waits.await.map_err(io_error)?
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start + 1,
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(end) => end + 1,
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let (from, to) = bounds(&range);
        self.shared.read(from, to, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.shared.read(start, end, READ_BYTES)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.shared.state().vote)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let state = self.shared.state();
        Ok(LogState { last_purged_log_id: state.purged, last_log_id: state.last })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let sealed = seal(vote)?;
        reach("vote-save")?;
        if !on(Mutant::VoteNotSynced) {
            self.run(|done| Job::Vote { sealed, done }).await?;
        }
        reach("vote-saved")?;
        self.shared.state().vote = Some(*vote);
        Ok(())
    }

    /// Durable with the next batch, or soon after where there is none: it only ever saves a
    /// restarted node from serving older stale reads than before.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let mark = committed.map(|upto| Ok::<_, io::Error>((upto.index, seal(&upto)?))).transpose()?;
        let rested = {
            let mut state = self.shared.state();
            state.committed = committed;
            state.mark = mark;
            std::mem::take(&mut state.resting)
        };
        // A writer that is busy looks by itself: to wake it for each commit costs more than the mark.
        if rested { self.send(Job::Mark) } else { Ok(()) }
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.shared.state().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut sealed = Vec::new();
        {
            let mut state = self.shared.state();
            for entry in entries {
                let (index, bytes) = (entry.index(), seal_of(&entry, entry_size(&entry))?);
                state.last = Some(entry.log_id());
                state.cache(index, entry, bytes.len());
                sealed.push((index, bytes));
            }
        }
        let bytes = sealed.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        self.shared.unsynced.fetch_add(bytes, Ordering::Relaxed);
        self.send(Job::Append { entries: sealed, bytes, callback })
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let from = last.map_or(0, |last| last.index + 1);
        {
            let mut state = self.shared.state();
            state.forget_from(from);
            state.last = state.last.min(last.or(state.purged));
        }
        self.run(|done| Job::Truncate { from, done }).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        {
            let mut state = self.shared.state();
            state.forget_upto(upto.index);
            state.purged = state.purged.max(Some(upto));
            state.last = state.last.max(Some(upto));
        }
        let sealed = seal(&upto)?;
        self.run(|done| Job::Purge { upto: upto.index, sealed, done }).await
    }
}
