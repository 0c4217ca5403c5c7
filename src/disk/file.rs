//! Owns the two traits: a directory of files, and an open file in it.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// One directory. Names are plain file names.
///
/// A new, renamed or removed name survives a loss of power only after `sync_dir`; the bytes of a
/// file only after its `sync_data`.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Opens a file that is there.
    ///
    /// # Errors
    /// `NotFound`, or what the file system says.
    fn open(&self, name: &str) -> io::Result<Box<dyn File>>;

    /// Makes an empty file.
    ///
    /// # Errors
    /// `AlreadyExists`, or what the file system says.
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;

    /// The names of the files (not of directories), in order.
    ///
    /// # Errors
    /// What the file system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Gives a file another name, in one step; a file that had that name is gone then.
    ///
    /// # Errors
    /// `NotFound`, or what the file system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a name. Those who have the file open keep it.
    ///
    /// # Errors
    /// `NotFound`, or what the file system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all changes of names durable.
    ///
    /// # Errors
    /// What the file system says; what is durable then is unknown.
    fn sync_dir(&self) -> io::Result<()>;

    /// A directory in this one, made (durably) if it is not there.
    ///
    /// # Errors
    /// What the file system says.
    fn directory(&self, name: &str) -> io::Result<Arc<dyn Disk>>;

    /// How many bytes can still be written.
    ///
    /// # Errors
    /// What the file system says.
    fn room(&self) -> io::Result<u64>;

    /// How much longer than usual a sync takes; only a simulated disk, which does not wait, says so.
    fn delay(&self) -> Duration {
        Duration::ZERO
    }
}

/// An open file. It may be used from several threads; each call is one step.
pub trait File: Debug + Send + Sync + 'static {
    /// The length in bytes.
    ///
    /// # Errors
    /// What the file system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// What the file system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `out` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` where the file ends earlier, or what the file system says.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes all of `data` at `offset`; the file grows where it must.
    ///
    /// # Errors
    /// What the file system says; any part of `data` may then be in the file.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Cuts the file, or lengthens it by zeros (which may not take room yet).
    ///
    /// # Errors
    /// What the file system says.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Makes the file's bytes and length durable.
    ///
    /// # Errors
    /// What the file system says; what is durable then is unknown, and asking again does not tell.
    fn sync_data(&self) -> io::Result<()>;
}
