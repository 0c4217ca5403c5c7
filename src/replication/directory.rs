//! Owns a node's data directory: its lock, its stamp, and the peers it has met.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// What a data directory says of itself.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stamp {
    cluster: String,
    id: u64,
    /// Drawn when the directory was made: tells it from one that was wiped and made anew.
    instance: String,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The file system says no.
    #[error("data directory {0}: {1}")]
    Io(PathBuf, io::Error),
    /// Another process holds it.
    #[error("data directory {0} is in use by another process")]
    Locked(PathBuf),
    /// It belongs to another node or cluster.
    #[error("data directory {path} belongs to node {id} of cluster \"{cluster}\"")]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// The node it belongs to.
        id: u64,
        /// The cluster it belongs to.
        cluster: String,
    },
    /// Its stamp cannot be read.
    #[error("{0} is damaged: {1}")]
    Damaged(PathBuf, serde_json::Error),
}

/// An open, locked data directory.
pub(crate) struct Directory {
    path: PathBuf,
    instance: String,
    peers: Mutex<BTreeMap<u64, String>>,
    _lock: File,
}

impl Directory {
    /// Opens `data_dir/node-ID`, made and stamped if it is not there, and locks it.
    ///
    /// # Errors
    /// It is in use, belongs to another node or cluster, or cannot be read or written.
    pub(crate) fn open(data_dir: &Path, cluster: &str, id: u64) -> Result<Directory, DirectoryError> {
        let path = data_dir.join(format!("node-{id}"));
        let io = |e| DirectoryError::Io(path.clone(), e);
        fs::create_dir_all(&path).map_err(io)?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join("lock")).map_err(io)?;
        if rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(DirectoryError::Locked(path));
        }
        let stamp_path = path.join("node.json");
        let stamp = match read_json::<Stamp>(&stamp_path)? {
            Some(stamp) if stamp.cluster == cluster && stamp.id == id => stamp,
            Some(Stamp { cluster, id, .. }) => return Err(DirectoryError::Foreign { path, id, cluster }),
            None => {
                let instance = uuid::Uuid::new_v4().to_string();
                let stamp = Stamp { cluster: cluster.into(), id, instance };
                write_json(&stamp_path, &stamp).map_err(io)?;
                sync_directory(data_dir).map_err(io)?;
                stamp
            }
        };
        let peers = read_json(&path.join("peers.json"))?.unwrap_or_default();
        Ok(Directory { path, instance: stamp.instance, peers: Mutex::new(peers), _lock: lock })
    }

    /// The directory's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory's own random name.
    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    /// Whether `instance` is the one known for node `id`; the first one seen is remembered on disk.
    pub(crate) fn know_peer(&self, id: u64, instance: &str) -> io::Result<bool> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = peers.get(&id) {
            return Ok(known == instance);
        }
        peers.insert(id, instance.into());
        let written = write_json(&self.path.join("peers.json"), &*peers);
        if written.is_err() {
            peers.remove(&id);
        }
        written.map(|()| true)
    }
}

/// What a data directory says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// The cluster that it belongs to.
    pub cluster: String,
    /// The node that it belongs to.
    pub id: u64,
    /// Whether a process holds it.
    pub in_use: bool,
}

/// Looks at the data directory of a node without changing it; `None` if no node ever used it.
///
/// # Errors
/// It cannot be read.
pub fn inspect(path: &Path) -> Result<Option<Inspected>, DirectoryError> {
    let Some(Stamp { cluster, id, .. }) = read_json(&path.join("node.json"))? else { return Ok(None) };
    let lock = File::open(path.join("lock")).map_err(|e| DirectoryError::Io(path.into(), e))?;
    let in_use = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared).is_err();
    Ok(Some(Inspected { cluster, id, in_use }))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, DirectoryError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| DirectoryError::Damaged(path.into(), e)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(DirectoryError::Io(path.into(), e)),
    }
}

/// Replaces a file in one step that a loss of power cannot tear.
fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(value)?)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Makes renames and new files in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_and_keeps_to_its_node_and_cluster() {
        let dir = tempfile::tempdir().unwrap();
        let first = Directory::open(dir.path(), "demo", 1).unwrap();
        assert!(matches!(Directory::open(dir.path(), "demo", 1), Err(DirectoryError::Locked(_))));
        let inspected = |in_use| Some(Inspected { cluster: "demo".into(), id: 1, in_use });
        assert_eq!(inspect(&dir.path().join("node-1")).unwrap(), inspected(true));
        assert_eq!(inspect(dir.path()).unwrap(), None);
        let instance = first.instance().to_string();
        drop(first);
        assert_eq!(inspect(&dir.path().join("node-1")).unwrap(), inspected(false));
        assert_eq!(Directory::open(dir.path(), "demo", 1).unwrap().instance(), instance);
        assert!(matches!(Directory::open(dir.path(), "other", 1), Err(DirectoryError::Foreign { .. })));
        fs::rename(dir.path().join("node-1"), dir.path().join("node-2")).unwrap();
        assert!(matches!(Directory::open(dir.path(), "demo", 2), Err(DirectoryError::Foreign { id: 1, .. })));
    }

    #[test]
    fn a_peer_is_known_by_its_first_instance_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = Directory::open(dir.path(), "demo", 1).unwrap();
        assert!(first.know_peer(2, "a").unwrap());
        drop(first);
        let again = Directory::open(dir.path(), "demo", 1).unwrap();
        assert!(again.know_peer(2, "a").unwrap());
        assert!(!again.know_peer(2, "b").unwrap());
    }
}
