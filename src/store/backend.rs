//! Owns the way from redb to a file of a `Disk`.

use std::io;

use redb::StorageBackend;

use crate::disk::File;

/// A file as redb uses it. Whoever opens it sees to it that nobody else does.
#[derive(Debug)]
pub(super) struct Backend(pub(super) Box<dyn File>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, data)
    }
}
