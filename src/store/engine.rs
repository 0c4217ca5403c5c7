//! Owns the order of things: a batch becomes visible at once, a checkpoint reaches the disk whole.
//!
//! Locks, in the order in which they may be taken: `disk` (one checkpoint or install at a time),
//! `writing` (one batch, or a moment of sealing), `present` (an instant; nobody reads a file or
//! waits for anything under it).

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use super::disk::{Disk, Pairs};
use super::overlay::{Hashed, Overlay};
use super::records::Tip;
use super::snapshot::{Schemas, Snapshot};
use super::{StoreError, keys};
use crate::disk::reach;
use crate::mutants::{Mutant, on};
use crate::world::{breathe, hurry};

/// What must be free on the disk, beside the bytes in memory, before a checkpoint is tried.
const SPARE_BYTES: u64 = 1 << 20;

/// Removes local remains from the file; answers whether some are left for the next time.
pub(super) type Sweep = fn(&mut Pairs) -> Result<bool, StoreError>;

/// How much of what was written to the file is kept in memory, to be looked up there. It is less than two overlays that
/// became full, so that there are never three of those.
const WRITTEN_BYTES: usize = 16 << 20;

/// The same where little is written: nearly two that became full, as the next one becomes so late, if ever.
const CALM_WRITTEN_BYTES: usize = 24 << 20;

/// What is kept is one overlay up to so many bytes. Beyond that there are several, as to make one of two takes as much memory
/// again for a while; but three at most, since two neighbours have more than this together.
const MERGED_BYTES: usize = CALM_WRITTEN_BYTES / 2;

/// Little is less than so many bytes a second since the checkpoint before.
const CALM: f64 = 1e6;

/// A checkpoint takes its time unless more than so many bytes a second were written since the one before. Rests would only
/// make the next one larger then.
const BRISK: f64 = 6e6;

/// Whether the database can be written.
#[derive(PartialEq, Eq)]
enum Health {
    Good,
    /// The disk was full, and the database could not be opened anew yet.
    Closed,
    /// A checkpoint failed otherwise, or an install half way. Nobody knows what a restart will find (after
    /// a failed sync the system may show what the disk lacks), so to call anything durable would be a guess.
    Unknown,
}

struct Writable {
    disk: Disk,
    health: Health,
    /// The last sweep left something.
    remains: bool,
    /// When the last checkpoint began, or this.
    began: Instant,
}

/// The key-value engine: overlays over a file.
pub(super) struct Engine {
    /// Where the file is; `None` where there is only a backend.
    path: Option<PathBuf>,
    sweep: Sweep,
    disk: Mutex<Writable>,
    writing: Mutex<()>,
    present: RwLock<Arc<Snapshot>>,
}

/// A panic under one of these locks leaves nothing half done (without memory the process ends), so poison says nothing.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    pub(super) fn new(disk: Disk, path: Option<PathBuf>, sweep: Sweep) -> Result<Engine, StoreError> {
        let present = Snapshot::of(disk.base()?, 0)?;
        let disk = Mutex::new(Writable { disk, health: Health::Good, remains: true, began: Instant::now() });
        Ok(Engine { path, sweep, disk, writing: Mutex::new(()), present: RwLock::new(Arc::new(present)) })
    }

    pub(super) fn path(&self) -> Option<&PathBuf> {
        self.path.as_ref()
    }

    /// The present, for good.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.present.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change_present<T>(&self, change: impl FnOnce(&mut Snapshot) -> T) -> T {
        change(Arc::make_mut(&mut self.present.write().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Makes a batch visible, all of it at once.
    pub(super) fn commit(&self, changes: impl IntoIterator<Item = Hashed>, tip: Tip, schemas: Schemas) {
        let _writing = lock(&self.writing);
        let seq = {
            let before = self.snapshot();
            before.active.insert(before.seq + 1, changes);
            before.seq + 1
        };
        self.change_present(|present| {
            present.seq = seq;
            present.tip = Arc::new(tip);
            present.schemas = schemas;
        });
    }

    /// Puts all that was committed before the call on disk.
    pub(super) fn checkpoint(&self) -> Result<(), StoreError> {
        self.checkpoint_and_keep(|rate| if rate < CALM { CALM_WRITTEN_BYTES } else { WRITTEN_BYTES })
    }

    /// The same; `keep` tells by the bytes written a second how many stay in memory.
    pub(super) fn checkpoint_and_keep(&self, keep: impl FnOnce(f64) -> usize) -> Result<(), StoreError> {
        let mut disk = lock(&self.disk);
        match disk.health {
            Health::Good => {}
            Health::Closed => self.reopen(&mut disk)?,
            Health::Unknown => return Err(StoreError::Io { file: disk.disk.file().into(), source: failed_before() }),
        }
        let before = std::mem::replace(&mut disk.began, Instant::now());
        let rate = self.snapshot().active.bytes() as f64 / before.elapsed().as_secs_f64();
        if rate > BRISK {
            hurry();
        }
        let keep = keep(rate);
        if self.snapshot().sealed.is_some() {
            // A checkpoint failed. Its overlay goes first, so that there are never more than two.
            self.flush(&mut disk, keep)?;
        }
        self.seal(keep);
        self.flush(&mut disk, keep)
    }

    /// Gives writers a new overlay; the old one is complete from here on. Of what was written before, the newest
    /// stays in memory, as much as makes no more than `keep` bytes with it.
    fn seal(&self, keep: usize) {
        // Freed when neither readers nor writers wait.
        let _before = {
            let _writing = lock(&self.writing);
            let active = self.snapshot().active.clone();
            if active.is_empty() {
                return;
            }
            let successor = Arc::new(active.successor());
            self.change_present(|present| {
                let bytes = active.bytes();
                present.sealed = Some(std::mem::replace(&mut present.active, successor));
                let stay = how_many_fit(&present.written, keep.saturating_sub(bytes));
                let stay = present.written[..stay].into();
                std::mem::replace(&mut present.written, stay)
            })
        };
    }

    /// Writes the sealed overlay. It stays in memory with the newest that were written before it, as much as makes no more than
    /// `keep` bytes.
    fn flush(&self, own: &mut Writable, keep: usize) -> Result<(), StoreError> {
        let sealed = self.snapshot().sealed.clone();
        if sealed.is_none() && !own.remains {
            return Ok(());
        }
        let bytes = sealed.as_ref().map_or(0, |sealed| sealed.bytes());
        self.check_space(own.disk.file(), bytes)?;
        let apart = sealed.as_ref().filter(|_| on(Mutant::AppliedApart));
        let apart = apart.map_or(Ok(()), |sealed| own.disk.write(|pairs| write_mark(sealed, pairs)));
        let written = apart.and_then(|()| {
            own.disk.write(|pairs| {
                if let Some(sealed) = &sealed {
                    self.write_overlay(sealed, pairs)?;
                }
                let remains = (self.sweep)(pairs)?;
                reach("checkpoint-commit").map_err(|error| StoreError::io(own.disk.file(), error))?;
                Ok(remains)
            })
        });
        let written = written.and_then(|remains| match reach("checkpointed") {
            Ok(()) => Ok(remains),
            Err(error) => Err(StoreError::io(own.disk.file(), error)),
        });
        match written.and_then(|remains| Ok((remains, own.disk.base()?))) {
            Ok((remains, base)) => {
                own.remains = remains;
                // The first checkpoint after a rest may be one of many: then there is no room for more.
                let quick = sealed.as_ref().is_some_and(|sealed| self.outruns(sealed));
                let keep = if quick { keep.min(WRITTEN_BYTES) } else { keep };
                let mut written = self.snapshot().written.to_vec();
                if let Some(sealed) = &sealed {
                    match written.first().filter(|newest| newest.bytes() + bytes <= MERGED_BYTES.min(keep)) {
                        Some(newest) => newest.absorb(sealed),
                        None => written.insert(0, sealed.clone()),
                    }
                }
                // Freed when neither readers nor writers wait.
                let _rest = written.split_off(how_many_fit(&written, keep));
                self.change_present(|present| {
                    present.base = base;
                    present.sealed = None;
                    present.written = written.as_slice().into();
                });
                // Nobody scans them any more but views of before.
                written.iter().for_each(|written| written.forget_order());
                Ok(())
            }
            Err(full @ StoreError::NoSpace { .. }) => {
                own.health = Health::Closed;
                // At once, since reads fail until then; the next checkpoint tries again if this fails.
                let _ = self.reopen(own);
                Err(full)
            }
            Err(error) => {
                own.health = Health::Unknown;
                Err(error)
            }
        }
    }

    /// Whether the overlay that takes writes is as large as the one that is being written already.
    fn outruns(&self, sealed: &Overlay) -> bool {
        self.snapshot().active.bytes() >= sealed.bytes()
    }

    /// Takes its time until the next overlay is as large.
    fn write_overlay(&self, sealed: &Overlay, pairs: &mut Pairs) -> Result<(), StoreError> {
        sealed.for_newest(|changes| {
            if self.outruns(sealed) {
                hurry();
            }
            pairs.change(changes.inspect(|_| breathe()))
        })
    }

    /// Opens the file anew where a write found no room. The sealed overlay stays, to be written again.
    fn reopen(&self, own: &mut Writable) -> Result<(), StoreError> {
        own.disk.reopen()?;
        let base = own.disk.base()?;
        own.health = Health::Good;
        self.change_present(|present| present.base = base);
        Ok(())
    }

    /// Refuses early where the disk is certainly too full: a failed write costs a reopening.
    fn check_space(&self, file: &str, bytes: usize) -> Result<(), StoreError> {
        let Some(directory) = self.path.as_ref().and_then(|path| path.parent()) else { return Ok(()) };
        match rustix::fs::statvfs(directory) {
            Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) < bytes as u64 + SPARE_BYTES => {
                Err(StoreError::NoSpace { file: file.into() })
            }
            _ => Ok(()),
        }
    }

    /// Replaces everything by what `replace` makes of the disk. No batch may be under way.
    pub(super) fn install(&self, replace: impl FnOnce(&mut Disk) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut own = lock(&self.disk);
        let _writing = lock(&self.writing);
        own.health = Health::Unknown;
        replace(&mut own.disk)?;
        let present = Snapshot::of(own.disk.base()?, self.snapshot().seq)?;
        own.health = Health::Good;
        own.remains = true;
        let _old = self.change_present(|old| std::mem::replace(old, present));
        Ok(())
    }
}

/// How many of these overlays, which are the newest first, take no more than `bytes` together.
fn how_many_fit(overlays: &[Arc<Overlay>], bytes: usize) -> usize {
    let sums = overlays.iter().scan(0, |sum, overlay| {
        *sum += overlay.bytes();
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= bytes).count()
}

fn failed_before() -> std::io::Error {
    std::io::Error::other("a write to it failed before; restart the node")
}

/// What `Mutant::AppliedApart` writes by itself.
fn write_mark(overlay: &Overlay, pairs: &mut Pairs) -> Result<(), StoreError> {
    overlay.for_newest(|changes| pairs.change(changes.filter(|(key, _)| *key == keys::applied())))
}
