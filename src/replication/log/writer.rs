//! Owns the one thread that writes the log: group commit.
//!
//! It takes all jobs that wait, in order, writes them as one batch with one sync, and only then
//! reports them done. Without room on the disk it holds the batch and tries again: nothing of it
//! is acknowledged meanwhile, and the door is closed (`Shared::full`). Any other failure of a write, and
//! every failure of a sync, is fatal: the jobs fail, Raft stops.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::Duration;

use openraft::storage::IOFlushed;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::types::TypeConfig;
use super::format::{Batch, Kind, io_error};
use super::state::{Place, Shared, State};
use super::tail::{Marks, Tail, Trouble, name};
use crate::disk::reach;
use crate::world::{number, simulated};

/// How many jobs one batch takes at most.
const MAX_JOBS: usize = 1024;
/// How many bytes of entries one batch takes, and at least one job.
const MAX_BYTES: u64 = 16 << 20;
/// How long a committed mark may wait for another reason to sync.
const MARK_DELAY: Duration = Duration::from_millis(200);
/// After how many rounds of a simulation a committed mark is written.
const MARK_ROUNDS: u32 = 130;
/// The pause before a full disk is tried again.
const RETRY: Duration = Duration::from_millis(100);

type Done = oneshot::Sender<io::Result<()>>;

/// What the writer is asked to do.
pub(super) enum Job {
    /// Append sealed entries.
    Append { entries: Vec<(u64, Vec<u8>)>, bytes: u64, callback: IOFlushed<TypeConfig> },
    /// Store the vote.
    Vote { sealed: Vec<u8>, done: Done },
    /// There is a committed mark to store, and the writer rests.
    Mark,
    /// Remove the entries from `from` on.
    Truncate { from: u64, done: Done },
    /// Remove the entries up to `upto` and store the purge mark.
    Purge { upto: u64, sealed: Vec<u8>, done: Done },
}

/// What is true once the batch is on disk.
enum Effect {
    Entry(u64, usize, usize),
    Mark(Kind, Vec<u8>),
    Truncate(u64),
    Purge(u64),
}

/// A batch, and whom to tell.
struct Work {
    jobs: Vec<Job>,
    batch: Batch,
    effects: Vec<Effect>,
    started: Instant,
}

/// What came of trying to write a batch.
enum Attempt {
    Done(io::Result<()>),
    /// It can be tried again.
    NoRoom(io::Error),
}

struct Writer {
    shared: Arc<Shared>,
    tail: Tail,
    marks: Marks,
    queue: Receiver<Job>,
    /// Jobs that came while the disk was full.
    waiting: VecDeque<Job>,
    /// Why nothing may be written any more.
    failed: Option<String>,
}

/// Starts the thread; it ends when the last sender is gone.
pub(super) fn start(shared: Arc<Shared>, tail: Tail, marks: Marks) -> io::Result<Sender<Job>> {
    let (jobs, queue) = mpsc::channel();
    let mut writer = Writer { shared, tail, marks, queue, waiting: VecDeque::new(), failed: None };
    writer.remove_segments();
    if simulated() {
        tokio::spawn(writer.run_simulated());
    } else {
        std::thread::Builder::new().name("ddb-log".into()).spawn(move || writer.run())?;
    }
    Ok(jobs)
}

impl Writer {
    fn run(&mut self) {
        loop {
            let first = self.waiting.pop_front().map_or_else(|| self.next(), Ok);
            let ended = matches!(first, Err(RecvTimeoutError::Disconnected));
            let mark_due = first.is_err() && self.mark_waits(&self.shared.state(), 0);
            let jobs = self.gather(first.ok());
            if !jobs.is_empty() || mark_due {
                self.settle(jobs);
            }
            if ended {
                return;
            }
        }
    }

    /// The next job; without one for a while, none where a mark waits, and else the thread rests until there is one.
    fn next(&self) -> Result<Job, RecvTimeoutError> {
        match self.queue.recv_timeout(MARK_DELAY) {
            Err(RecvTimeoutError::Timeout) if self.rest() => {
                self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
            }
            next => next,
        }
    }

    /// Whether no mark waits; from then on who has one says so.
    fn rest(&self) -> bool {
        let mut state = self.shared.state();
        state.resting = !self.mark_waits(&state, 0);
        state.resting
    }

    /// The same as a task of a simulation: a batch takes a while, and no thread waits.
    async fn run_simulated(mut self) {
        let mut rounds = 0;
        loop {
            tokio::time::sleep(self.tail.disk.delay() + Duration::from_micros(500 + number() % 2_000)).await;
            let first = match self.queue.try_recv() {
                Err(TryRecvError::Disconnected) => return,
                first => first.ok(),
            };
            rounds = if self.mark_waits(&self.shared.state(), 0) { rounds + 1 } else { 0 };
            let jobs = self.gather(first);
            if !jobs.is_empty() || rounds > MARK_ROUNDS {
                self.settle_simulated(jobs).await;
            }
        }
    }

    /// `first` and all jobs that wait, as far as one batch takes them.
    fn gather(&mut self, first: Option<Job>) -> Vec<Job> {
        let mut jobs = Vec::new();
        let mut gathered = 0;
        let more = std::iter::from_fn(|| self.waiting.pop_front().or_else(|| self.queue.try_recv().ok()));
        for job in first.into_iter().chain(more.take(MAX_JOBS)) {
            match job {
                Job::Mark => {}
                job => {
                    gathered += if let Job::Append { bytes, .. } = &job { *bytes } else { 0 };
                    jobs.push(job);
                }
            }
            if gathered > MAX_BYTES {
                break;
            }
        }
        jobs
    }

    /// Whether a committed mark is to be stored, all entries up to which are, or those before `next` as well.
    fn mark_waits(&self, state: &State, next: u64) -> bool {
        let purged = state.purged.map_or(0, |id| id.index + 1);
        let stored = self.shared.places().next().unwrap_or(0).max(purged).max(next);
        state.mark.as_ref().is_some_and(|(upto, _)| *upto < stored)
    }

    /// Writes the jobs as one batch, as soon as there is room, and tells each what became of it.
    fn settle(&mut self, jobs: Vec<Job>) {
        let mut work = self.prepare(jobs);
        loop {
            match self.attempt(&mut work) {
                Attempt::Done(result) => return self.report(work, &result),
                Attempt::NoRoom(e) if !self.pause() => {
                    // What comes later must not stand where this should.
                    self.failed = Some(e.to_string());
                    return self.report(work, &Err(e));
                }
                Attempt::NoRoom(_) => {}
            }
        }
    }

    /// The same as a task of a simulation; jobs that come meanwhile stay in the queue.
    async fn settle_simulated(&mut self, jobs: Vec<Job>) {
        let mut work = self.prepare(jobs);
        loop {
            match self.attempt(&mut work) {
                Attempt::Done(result) => return self.report(work, &result),
                Attempt::NoRoom(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// Makes one batch of the jobs and the mark that waits.
    fn prepare(&mut self, mut jobs: Vec<Job>) -> Work {
        let started = Instant::now();
        let (mut batch, mut effects) = (Batch::new(), Vec::new());
        let group = self.shared.group;
        for job in &mut jobs {
            match job {
                Job::Append { entries, bytes, .. } => {
                    batch.reserve(*bytes);
                    for (index, sealed) in std::mem::take(entries) {
                        let at = batch.push(group, Kind::Entry, &[&index.to_le_bytes(), &sealed]) + 8;
                        effects.push(Effect::Entry(index, at, sealed.len()));
                    }
                }
                Job::Vote { sealed, .. } => effects.push(mark(&mut batch, group, Kind::Vote, sealed)),
                Job::Truncate { from, .. } => {
                    batch.push(group, Kind::Truncate, &[&from.to_le_bytes()]);
                    effects.push(Effect::Truncate(*from));
                }
                Job::Purge { upto, sealed, .. } => {
                    effects.push(mark(&mut batch, group, Kind::Purged, sealed));
                    effects.push(Effect::Purge(*upto));
                }
                Job::Mark => {}
            }
        }
        let next = effects.iter().map(|effect| if let Effect::Entry(index, ..) = effect { index + 1 } else { 0 }).max();
        let mut state = self.shared.state();
        if self.mark_waits(&state, next.unwrap_or(0))
            && let Some((_, mut sealed)) = state.mark.take()
        {
            effects.push(mark(&mut batch, group, Kind::Committed, &mut sealed));
        }
        drop(state);
        Work { jobs, batch, effects, started }
    }

    /// Tries to put the batch on disk.
    fn attempt(&mut self, work: &mut Work) -> Attempt {
        if work.batch.is_empty() {
            return Attempt::Done(Ok(()));
        }
        if let Some(why) = &self.failed {
            return Attempt::Done(Err(io_error(format!("the log has failed before: {why}"))));
        }
        match self.tail.append(&mut work.batch, self.shared.group, &self.marks) {
            Ok(at) => {
                if self.shared.full.swap(false, Ordering::Relaxed) {
                    tracing::info!("the log has room again: writes resume");
                }
                self.note(std::mem::take(&mut work.effects), at, work.batch.mask());
                Attempt::Done(Ok(()))
            }
            Err(Trouble::Fatal(e)) => {
                self.failed = Some(e.to_string());
                Attempt::Done(Err(e))
            }
            Err(Trouble::Full(e)) => {
                if !self.shared.full.swap(true, Ordering::Relaxed) {
                    tracing::error!("the disk has no room for the log, writes wait: {e}");
                }
                Attempt::NoRoom(e)
            }
        }
    }

    /// Tells each job what became of it.
    fn report(&mut self, work: Work, result: &io::Result<()>) {
        metrics::histogram!("ddb_fsync_seconds").record(work.started.elapsed().as_secs_f64());
        self.shared.pace.note(work.started.elapsed());
        if let Err(e) = result {
            tracing::error!("the log cannot be written, this node stops taking part: {e}");
        }
        let outcome = || result.as_ref().map(|_| ()).map_err(|e| io::Error::new(e.kind(), e.to_string()));
        let mut purged = false;
        for job in work.jobs {
            match job {
                Job::Append { callback, bytes, .. } => {
                    self.shared.unsynced.fetch_sub(bytes, Ordering::Relaxed);
                    callback.io_completed(outcome());
                }
                // Whoever asked may have gone.
                Job::Vote { done, .. } | Job::Truncate { done, .. } => drop(done.send(outcome())),
                Job::Purge { done, .. } => {
                    purged = result.is_ok();
                    drop(done.send(outcome()));
                }
                Job::Mark => {}
            }
        }
        if result.is_ok() {
            self.shared.trim();
        }
        if purged {
            self.remove_segments();
        }
    }

    /// Waits a moment; false once nobody is there any more.
    fn pause(&mut self) -> bool {
        let until = Instant::now() + RETRY;
        loop {
            match self.queue.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(job) => self.waiting.push_back(job),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Notes what is on disk now.
    fn note(&mut self, effects: Vec<Effect>, at: u64, mask: u8) {
        let segment = self.tail.segment;
        let mut places = self.shared.places();
        places.files.entry(segment).or_insert_with(|| self.tail.file.clone());
        for effect in effects {
            match effect {
                Effect::Entry(index, within, len) => {
                    places.push(index, Place { segment, at: at + within as u64, len: len as u32, mask });
                }
                Effect::Mark(kind, sealed) => self.marks.set(kind, sealed),
                Effect::Truncate(from) => places.truncate(from),
                Effect::Purge(upto) => places.purge(upto),
            }
        }
    }

    /// Removes the segments that hold nothing any more, oldest first, each durably before the next.
    fn remove_segments(&mut self) {
        let dead: Vec<u32> = {
            let places = self.shared.places();
            let first = places.first().map_or(self.tail.segment, |(_, segment)| segment);
            places.files.range(..first.min(self.tail.segment)).map(|(segment, _)| *segment).collect()
        };
        for segment in dead {
            let remove = || {
                reach("segment-remove")?;
                self.tail.disk.remove(&name(segment))?;
                reach("segment-removed")?;
                self.tail.disk.sync_dir()
            };
            if let Err(e) = remove() {
                // It is tried again with the next purge or start.
                tracing::warn!("cannot remove {}, which the log no longer needs: {e}", name(segment));
                return;
            }
            self.shared.places().files.remove(&segment);
        }
    }
}

fn mark(batch: &mut Batch, group: u64, kind: Kind, sealed: &mut Vec<u8>) -> Effect {
    let sealed = std::mem::take(sealed);
    batch.push(group, kind, &[&sealed]);
    Effect::Mark(kind, sealed)
}
