//! Owns the handle that the rest of the node holds, and the store's files: which, where, when renamed.

use std::fs::{self, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use crate::disk::{File, RealFile, reach};
use crate::model::{Answer, Proposal, Write};

use super::StoreError;
use super::apply::apply;
use super::backend::Backend;
use super::batch::Batch;
use super::catalog::Catalog;
use super::checked::Checked;
use super::disk::Disk;
use super::dropped;
use super::engine::{Engine, lock};
use super::keys;
use super::known::Known;
use super::receive::{Received, Receiver, Temporary};
use super::records::Marks;
use super::view::View;

/// What a file is called, after the store's own name, while it is being created.
const NEW: &str = ".new";
/// What a file is called, after the store's own name and before a number, while a copy comes in.
const RECEIVED: &str = ".received-";

/// The tables of one group on this node. Clones are cheap and are the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    /// The writer's knowledge; `None` until the first batch, and after an error. Its lock makes
    /// writers wait for each other. It is taken before the engine's.
    writer: Mutex<Option<(Catalog, Known)>>,
    receivers: AtomicU64,
}

impl Store {
    /// Opens the store in the file `path`, or creates it there. The directory must exist.
    ///
    /// # Errors
    /// The file is damaged, in use, or cannot be read or written.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        let file = path.display().to_string();
        let io = |error| StoreError::io(&file, error);
        let there = path.try_exists().map_err(io)?;
        // The file's lock comes first: another process may be at work with what looks left over.
        let opened = if there { Some(open_file(path)?) } else { None };
        remove_leftovers(path).map_err(io)?;
        let disk = match opened {
            Some(disk) => disk,
            None => create_file(path)?,
        };
        Store::start(disk, Some(path.to_path_buf()))
    }

    /// A store without a file, empty.
    ///
    /// # Errors
    /// None are known.
    pub fn in_memory() -> Result<Store, StoreError> {
        Store::with_backend(InMemoryBackend::new())
    }

    /// A store in a file of the caller's, which nobody else may use; an empty one becomes an empty store.
    ///
    /// # Errors
    /// What is in the file is no store, or the disk fails.
    pub fn in_file(file: Box<dyn File>) -> Result<Store, StoreError> {
        Store::with_backend(pages(file))
    }

    fn with_backend(backend: impl StorageBackend) -> Result<Store, StoreError> {
        Store::start(Disk::open("the store in memory", Arc::new(backend))?, None)
    }

    fn start(disk: Disk, path: Option<PathBuf>) -> Result<Store, StoreError> {
        let engine = Engine::new(disk, path, dropped::sweep)?;
        let inner = Inner { engine, writer: Mutex::new(None), receivers: AtomicU64::new(0) };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// Applies writes in order, as one batch that becomes visible at once, with `marks` in it; a
    /// mark that is `None` stays as it was. One answer a proposal, the same on every replica.
    ///
    /// # Errors
    /// This node cannot read its own data. Nothing of the batch was applied; the node must stop,
    /// as others did apply it.
    pub fn apply(&self, proposals: &[Proposal], marks: Marks) -> Result<Vec<Answer>, StoreError> {
        let mut writer = lock(&self.inner.writer);
        let snapshot = self.inner.engine.snapshot();
        let (mut catalog, mut known) = match writer.take() {
            Some(knowledge) => knowledge,
            None => (Catalog::load(&snapshot)?, Known::default()),
        };
        let rows = |proposal: &Proposal| if let Write::PutRows { rows, .. } = &proposal.write { rows.len() } else { 1 };
        let mut batch = Batch::new(&snapshot, &mut known, proposals.iter().map(rows).sum());
        let answers: Result<Vec<Answer>, StoreError> =
            proposals.iter().map(|proposal| apply(&mut catalog, &mut batch, proposal)).collect();
        let answers = answers?;
        let (tip, schemas) = catalog.finish(&mut batch, marks)?;
        let changes = batch.into_changes();
        // If nobody else has it, the present need not be copied to be changed.
        drop(snapshot);
        self.inner.engine.commit(changes, tip, schemas);
        *writer = Some((catalog, known));
        Ok(answers)
    }

    /// The tables as they are now, for good.
    pub fn view(&self) -> View {
        View::new(self.inner.engine.snapshot())
    }

    /// The marks of the newest batch.
    pub fn marks(&self) -> Marks {
        self.inner.engine.snapshot().tip.marks.clone()
    }

    /// The marks of the newest batch that is on disk.
    pub fn durable_marks(&self) -> Marks {
        self.inner.engine.snapshot().base.tip().marks.clone()
    }

    /// About how many bytes wait in memory for a checkpoint.
    pub fn pending_bytes(&self) -> usize {
        self.inner.engine.snapshot().pending_bytes()
    }

    /// About how many bytes stay in memory though they are on disk, overlay by overlay.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> Vec<usize> {
        self.inner.engine.snapshot().written.iter().map(|written| written.bytes()).collect()
    }

    /// A checkpoint after which so many bytes at most stay in memory.
    #[cfg(test)]
    pub(super) fn checkpoint_and_keep(&self, bytes: usize) -> Result<(), StoreError> {
        self.inner.engine.checkpoint_and_keep(|_| bytes)
    }

    /// Puts all that was applied before the call on disk; answers the marks on disk. Batches and
    /// views go on meanwhile.
    ///
    /// # Errors
    /// A full or failing disk. Nothing is lost: all stays readable, and the next call tries again.
    pub fn checkpoint(&self) -> Result<Marks, StoreError> {
        self.inner.engine.checkpoint()?;
        Ok(self.durable_marks())
    }

    /// Begins to take a copy of another store.
    ///
    /// # Errors
    /// A full or failing disk.
    pub fn receive(&self) -> Result<Receiver, StoreError> {
        let Some(path) = self.inner.engine.path() else {
            let disk = Disk::open("the snapshot in memory", Arc::new(InMemoryBackend::new()))?;
            return Receiver::new(disk, Temporary(None));
        };
        let number = self.inner.receivers.fetch_add(1, Ordering::Relaxed);
        let temporary = beside(path, &format!("{RECEIVED}{number}"));
        let disk = new_file(&temporary)?;
        Receiver::new(disk, Temporary(Some(temporary)))
    }

    /// Replaces everything by a copy, on disk at return. Views from before keep what they saw.
    ///
    /// # Errors
    /// A failing disk. What is on disk is the old store or the new one, whole; in memory it is the
    /// old one, which can be read but takes no checkpoint any more: the node must stop.
    pub fn install(&self, received: Received) -> Result<(), StoreError> {
        let mut writer = lock(&self.inner.writer);
        self.inner.engine.install(|disk| match self.inner.engine.path() {
            Some(path) => rename_over(disk, received, path),
            None => copy_over(disk, &received.disk),
        })?;
        *writer = None;
        Ok(())
    }

    /// The keyspace, for tests that look below the tables.
    #[cfg(test)]
    pub(super) fn snapshot(&self) -> Arc<super::snapshot::Snapshot> {
        self.inner.engine.snapshot()
    }

    /// The length of the store's file.
    pub fn disk_bytes(&self) -> u64 {
        self.inner.engine.snapshot().base.bytes()
    }
}

/// The file of that name with `suffix` after it, in the same directory.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes what a crash left of a creation or an install.
fn remove_leftovers(path: &Path) -> std::io::Result<()> {
    let own = path.file_name().unwrap_or_default().to_string_lossy();
    for entry in std::fs::read_dir(directory(path))? {
        let entry = entry?;
        let name = entry.file_name();
        let suffix = name.to_str().and_then(|name| name.strip_prefix(&*own));
        if suffix.is_some_and(|suffix| suffix == NEW || suffix.starts_with(RECEIVED)) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn sync_directory(path: &Path) -> std::io::Result<()> {
    fs::File::open(directory(path))?.sync_all()
}

fn open_file(path: &Path) -> Result<Disk, StoreError> {
    let file = path.display().to_string();
    let open = OpenOptions::new().read(true).write(true).open(path).map_err(|error| StoreError::io(&file, error))?;
    if open.metadata().map_err(|error| StoreError::io(&file, error))?.len() == 0 {
        // A new store gets its name only when it is whole, so this one has lost its contents.
        return Err(StoreError::damaged(&file, "it is empty"));
    }
    open_disk(&file, open)
}

fn new_file(path: &Path) -> Result<Disk, StoreError> {
    let file = path.display().to_string();
    let created = OpenOptions::new().read(true).write(true).create_new(true).open(path);
    open_disk(&file, created.map_err(|error| StoreError::io(&file, error))?)
}

/// What redb sees of a file, whichever disk it is on.
fn pages(file: Box<dyn File>) -> Checked<Backend> {
    Checked::new(Backend::new(file))
}

fn open_disk(file: &str, open: fs::File) -> Result<Disk, StoreError> {
    match open.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { file: file.into() }),
        Err(TryLockError::Error(error)) => return Err(StoreError::io(file, error)),
    }
    Disk::open(file, Arc::new(pages(Box::new(RealFile(open)))))
}

/// A file that a crash cut while redb created it does not open, so it gets its name when it is whole.
fn create_file(path: &Path) -> Result<Disk, StoreError> {
    let file = path.display().to_string();
    let temporary = beside(path, NEW);
    let mut disk = new_file(&temporary)?;
    let rename = || {
        reach("store-create")?;
        std::fs::rename(&temporary, path)?;
        reach("store-created")?;
        sync_directory(path)
    };
    let renamed = rename();
    renamed.map_err(|error| StoreError::io(&file, error))?;
    disk.set_file(&file);
    Ok(disk)
}

fn rename_over(disk: &mut Disk, received: Received, path: &Path) -> Result<(), StoreError> {
    let Received { disk: mut new, mut temporary, .. } = received;
    let file = path.display().to_string();
    let io = |error| StoreError::io(&file, error);
    if let Some(from) = &temporary.0 {
        reach("snapshot-rename").and_then(|()| std::fs::rename(from, path)).map_err(io)?;
    }
    temporary.0 = None;
    reach("snapshot-renamed").and_then(|()| sync_directory(path)).map_err(io)?;
    reach("snapshot-installed").map_err(io)?;
    new.set_file(&file);
    *disk = new;
    Ok(())
}

/// Where there is no file to rename, one transaction replaces all pairs.
fn copy_over(disk: &Disk, received: &Disk) -> Result<(), StoreError> {
    let base = received.base()?;
    let (first, last) = ([keys::META], vec![keys::END]);
    disk.write(|pairs| {
        for key in pairs.first_keys(&first, &last, usize::MAX)? {
            pairs.delete(&key)?;
        }
        for pair in base.scan(&first, &last)? {
            let (key, value) = pair?;
            pairs.put(&key, &value)?;
        }
        Ok(())
    })
}
