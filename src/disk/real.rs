//! Owns the real disk: a directory of the file system, and an open file.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, File};

/// A directory of the file system.
#[derive(Clone, Debug)]
pub struct RealDisk {
    directory: PathBuf,
}

impl RealDisk {
    /// The directory at `path`, which must be there.
    pub fn new(path: &Path) -> RealDisk {
        RealDisk { directory: path.to_path_buf() }
    }

    fn file(&self, name: &str, options: &fs::OpenOptions) -> io::Result<Box<dyn File>> {
        Ok(Box::new(RealFile(options.open(self.directory.join(name))?)))
    }
}

impl Disk for RealDisk {
    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.file(name, fs::File::options().read(true).write(true))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.file(name, fs::File::options().read(true).write(true).create_new(true))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.directory.join(from), self.directory.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.directory.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        fs::File::open(&self.directory)?.sync_all()
    }

    fn directory(&self, name: &str) -> io::Result<Arc<dyn Disk>> {
        let inner = RealDisk { directory: self.directory.join(name) };
        match fs::create_dir(&inner.directory) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            // A crash may have come between the making and the sync: sync in any case.
            _ => self.sync_dir()?,
        }
        Ok(Arc::new(inner))
    }

    fn room(&self) -> io::Result<u64> {
        let space = rustix::fs::statvfs(&self.directory)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }
}

/// A file of the file system that is open.
#[derive(Debug)]
pub struct RealFile(pub fs::File);

impl File for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
