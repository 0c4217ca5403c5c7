//! Owns the way from redb to a file of a `Disk`.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use redb::StorageBackend;

use crate::disk::File;
use crate::world::{breathe, has_time};

/// How much is written before it is synced, by whoever has time, though nothing asks for it yet. The log's syncs on the
/// same disk wait for all that the disk was given before them, and so wait for this much and not for a whole checkpoint.
const UNSYNCED: usize = 2 << 20;

/// A file as redb uses it. Whoever opens it sees to it that nobody else does.
#[derive(Debug)]
pub(super) struct Backend {
    file: Box<dyn File>,
    unsynced: AtomicUsize,
}

impl Backend {
    pub(super) fn new(file: Box<dyn File>) -> Backend {
        Backend { file, unsynced: AtomicUsize::new(0) }
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.unsynced.store(0, Ordering::Relaxed);
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        breathe();
        self.file.write_at(offset, data)?;
        let unsynced = self.unsynced.fetch_add(data.len(), Ordering::Relaxed) + data.len();
        if unsynced >= UNSYNCED && has_time() { self.sync_data() } else { Ok(()) }
    }
}
