//! Owns the Raft log on disk: entries, vote, committed and purge marks of a group in a redb file.
//!
//! Appended entries are readable at once from a cache; one writer thread (`log_writer`) makes them
//! durable, all that waits in one synced transaction. Every entry carries a checksum, and all are
//! read and checked when the log is opened.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use redb::{Database, ReadableDatabase, TableDefinition};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::log_writer::{self, Job};
use super::types::{Entry, LogId, TypeConfig, Vote};

/// `(group, index)` → checksum and postcard entry.
pub(super) const ENTRIES: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("entries");
/// `(group, mark)` → postcard vote or log id.
pub(super) const MARKS: TableDefinition<(u64, u8), &[u8]> = TableDefinition::new("marks");

/// How many bytes of entries one read for replication answers at most.
const READ_BYTES: usize = 4 << 20;
/// How many bytes of durable entries are kept in the cache.
const CACHE_BYTES: usize = 8 << 20;

/// The marks beside the entries.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    Vote = 1,
    Committed = 2,
    Purged = 3,
}

/// The log of one group; clones share it.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
}

pub(super) struct Shared {
    pub(super) db: Database,
    pub(super) group: u64,
    /// Never held across a disk write.
    state: Mutex<State>,
    bytes: AtomicU64,
    /// Bytes of entries that were appended and wait for the disk.
    pub(super) unsynced: AtomicU64,
}

#[derive(Default)]
struct State {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    last: Option<LogId>,
    /// The newest entries, without holes: all that is not yet durable, and some that is.
    cache: BTreeMap<u64, (Entry, usize)>,
    cached_bytes: usize,
}

pub(super) fn io_error(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}

/// Encodes a value behind a CRC-32 of its bytes.
pub(super) fn seal<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut bytes = postcard::to_extend(value, vec![0; 4]).map_err(io_error)?;
    let crc = crc32fast::hash(&bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

/// Decodes what `seal` made.
pub(super) fn unseal<T: for<'a> Deserialize<'a>>(bytes: &[u8], what: &str) -> io::Result<T> {
    let damaged = |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("the log is damaged: {what} {why}"));
    let (crc, body) = bytes.split_at_checked(4).ok_or_else(|| damaged("is cut short"))?;
    if crc != crc32fast::hash(body).to_le_bytes() {
        return Err(damaged("fails its checksum"));
    }
    postcard::from_bytes(body).map_err(|e| damaged(&e.to_string()))
}

impl LogStore {
    /// Opens the log at `path` (made if it is not there) and checks every entry in it.
    ///
    /// # Errors
    /// The file cannot be read or written, or is damaged.
    pub(crate) fn open(path: &Path, group: u64) -> io::Result<LogStore> {
        if !path.exists() {
            // A cut of power while redb makes a file leaves one that does not open: make it aside.
            let temporary = path.with_extension("tmp");
            match std::fs::remove_file(&temporary) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => drop(create(&temporary)?),
            }
            std::fs::rename(&temporary, path)?;
            path.parent().map_or(Ok(()), super::directory::sync_directory)?;
        }
        let db = Database::builder().set_cache_size(8 << 20).open(path).map_err(io_error)?;
        let shared =
            Shared { db, group, state: Mutex::default(), bytes: AtomicU64::new(0), unsynced: AtomicU64::new(0) };
        shared.load()?;
        let shared = Arc::new(shared);
        let jobs = log_writer::start(shared.clone())?;
        Ok(LogStore { shared, jobs })
    }

    /// How many bytes of entries the log holds.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// How many bytes of entries wait for the disk.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.shared.unsynced.load(Ordering::Relaxed)
    }

    async fn run(&self, job: impl FnOnce(oneshot::Sender<io::Result<()>>) -> Job) -> io::Result<()> {
        let (done, waits) = oneshot::channel();
        self.jobs.send(job(done)).map_err(|_| io_error("the log writer has stopped"))?;
        waits.await.map_err(io_error)?
    }
}

fn create(path: &Path) -> io::Result<Database> {
    let db = Database::create(path).map_err(io_error)?;
    let write = db.begin_write().map_err(io_error)?;
    write.open_table(ENTRIES).map_err(io_error)?;
    write.open_table(MARKS).map_err(io_error)?;
    write.commit().map_err(io_error)?;
    Ok(db)
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self) -> io::Result<()> {
        let read = self.db.begin_read().map_err(io_error)?;
        let marks = read.open_table(MARKS).map_err(io_error)?;
        let mut state = self.state();
        let mark = |mark: Mark| marks.get((self.group, mark as u8)).map_err(io_error);
        state.vote = mark(Mark::Vote)?.map(|v| unseal(v.value(), "the vote")).transpose()?;
        state.committed = mark(Mark::Committed)?.map(|v| unseal(v.value(), "the committed mark")).transpose()?;
        state.purged = mark(Mark::Purged)?.map(|v| unseal(v.value(), "the purge mark")).transpose()?;
        state.last = state.purged;
        let entries = read.open_table(ENTRIES).map_err(io_error)?;
        let mut bytes = 0;
        for pair in entries.range((self.group, 0)..=(self.group, u64::MAX)).map_err(io_error)? {
            let (key, value) = pair.map_err(io_error)?;
            let (_, index) = key.value();
            let entry: Entry = unseal(value.value(), &format!("entry {index}"))?;
            let expected = state.last.map_or(index, |last| last.index + 1);
            if index != expected || entry.index() != index {
                let why = format!("the log is damaged: entry {index} stands where {expected} should");
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            state.last = Some(entry.log_id());
            bytes += value.value().len() as u64;
        }
        self.bytes.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Everything up to `index` is on disk: the cache may forget its oldest entries.
    pub(super) fn set_durable(&self, index: u64, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut state = self.state();
        while state.cached_bytes > CACHE_BYTES
            && let Some(oldest) = state.cache.first_entry()
            && *oldest.key() <= index
        {
            let (_, size) = oldest.remove();
            state.cached_bytes -= size;
        }
    }

    pub(super) fn subtract_bytes(&self, bytes: u64) {
        // Saturating: the count is for deciding when to compact, not for accounting.
        let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |b| Some(b.saturating_sub(bytes)));
    }

    /// Entries `from..to` from cache or disk, up to about `limit` bytes and at least one.
    fn read(&self, from: u64, to: u64, limit: usize) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        let mut bytes = 0;
        let cached_from = {
            let state = self.state();
            let first = state.cache.first_key_value().map_or(u64::MAX, |(first, _)| *first);
            if first <= from {
                for (entry, size) in state.cache.range(from..to).map(|(_, cached)| cached) {
                    if bytes > limit {
                        break;
                    }
                    bytes += size;
                    found.push(entry.clone());
                }
                return Ok(found);
            }
            first
        };
        let read = self.db.begin_read().map_err(io_error)?;
        let entries = read.open_table(ENTRIES).map_err(io_error)?;
        let upto = to.min(cached_from);
        for pair in entries.range((self.group, from)..(self.group, upto)).map_err(io_error)? {
            let (key, value) = pair.map_err(io_error)?;
            if bytes > limit {
                return Ok(found);
            }
            bytes += value.value().len();
            found.push(unseal(value.value(), &format!("entry {}", key.value().1))?);
        }
        if to > upto && bytes <= limit {
            found.extend(self.read(upto, to, limit - bytes)?);
        }
        Ok(found)
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
        let vote = *vote;
        self.run(|done| Job::Mark { mark: Mark::Vote, value: seal(&vote), done }).await?;
        self.shared.state().vote = Some(vote);
        Ok(())
    }

    /// Durable with the next synced write, or soon after where there is none: it only ever saves
    /// a restarted node from serving older stale reads than before.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.shared.state().committed = committed;
        if let Some(committed) = committed {
            self.jobs.send(Job::Committed(seal(&committed)?)).map_err(|_| io_error("the log writer has stopped"))?;
        }
        Ok(())
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
                let bytes = seal(&entry)?;
                state.last = Some(entry.log_id());
                state.cached_bytes += bytes.len();
                sealed.push((entry.index(), bytes));
                let size = sealed.last().map_or(0, |(_, b)| b.len());
                if let Some((_, replaced)) = state.cache.insert(entry.index(), (entry, size)) {
                    state.cached_bytes -= replaced;
                }
            }
        }
        let bytes = sealed.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        self.shared.unsynced.fetch_add(bytes, Ordering::Relaxed);
        let job = Job::Append { entries: sealed, bytes, callback };
        self.jobs.send(job).map_err(|_| io_error("the log writer has stopped"))
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let from = last.map_or(0, |last| last.index + 1);
        {
            let mut state = self.shared.state();
            let gone = state.cache.split_off(&from);
            state.cached_bytes -= gone.values().map(|(_, size)| size).sum::<usize>();
            state.last = state.last.min(last.or(state.purged));
        }
        self.run(|done| Job::Truncate { from, done }).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        {
            let mut state = self.shared.state();
            let kept = state.cache.split_off(&(upto.index + 1));
            let gone = std::mem::replace(&mut state.cache, kept);
            state.cached_bytes -= gone.values().map(|(_, size)| size).sum::<usize>();
            state.purged = state.purged.max(Some(upto));
            state.last = state.last.max(Some(upto));
        }
        self.run(|done| Job::Purge { upto: upto.index, value: seal(&upto), done }).await
    }
}
