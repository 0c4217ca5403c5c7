//! Owns a node's data directory: its lock, its stamp, and the peers it has met.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::disk::{Disk, RealDisk, reach};
use crate::mutants::{Mutant, on};
use crate::world::{World, name};

/// The file that says whose directory it is.
const STAMP: &str = "node.json";
/// The file that keeps the peers' instances.
const PEERS: &str = "peers.json";
/// What a file is called while it is being written.
const NEW: &str = ".tmp";

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
    /// Its stamp, or what it knows of its peers, is not what was written.
    #[error("{0} is damaged: {1}; put back a copy of it, or remove the node's directory and give the node a new id")]
    Damaged(PathBuf, String),
    /// A node has run in it, and its stamp is gone.
    #[error("{0} is gone, though the node has run before; put it back, or give the node a new id")]
    Lost(PathBuf),
}

/// An open, locked data directory.
pub(crate) struct Directory {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    instance: String,
    peers: Mutex<BTreeMap<u64, String>>,
    /// None where the world brings a disk that nobody else can reach.
    lock: Option<fs::File>,
}

impl Directory {
    /// Opens `data_dir/node-ID`, made and stamped if it is not there, and locks it.
    ///
    /// # Errors
    /// It is in use, belongs to another node or cluster, or cannot be read or written.
    pub(crate) fn open(world: &World, data_dir: &Path, cluster: &str, id: u64) -> Result<Directory, DirectoryError> {
        let path = data_dir.join(format!("node-{id}"));
        let io = |e| DirectoryError::Io(path.clone(), e);
        let (disk, lock) = match &world.disk {
            Some(disk) => (disk.clone(), None),
            None => (Arc::new(RealDisk::new(&path)) as Arc<dyn Disk>, Some(make(data_dir, &path)?)),
        };
        let stamp = match read_json::<Stamp>(&disk, &path, STAMP)? {
            Some(stamp) if stamp.cluster == cluster && stamp.id == id => stamp,
            Some(Stamp { cluster, id, .. }) => return Err(DirectoryError::Foreign { path, id, cluster }),
            // It is written before anything else.
            None if ["log", "peers.json", "store.redb"].iter().any(|name| path.join(name).exists()) => {
                return Err(DirectoryError::Lost(path.join(STAMP)));
            }
            None => {
                let stamp = Stamp { cluster: cluster.into(), id, instance: name() };
                write_json(&disk, STAMP, &stamp).map_err(io)?;
                stamp
            }
        };
        let peers = read_json(&disk, &path, PEERS)?.unwrap_or_default();
        Ok(Directory { path, disk, instance: stamp.instance, peers: Mutex::new(peers), lock })
    }

    /// The directory's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is one of the file system.
    pub(crate) fn is_real(&self) -> bool {
        self.lock.is_some()
    }

    /// The files in it.
    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Whether the node has met a peer, so that others may count on what it has promised.
    pub(crate) fn has_met(&self) -> bool {
        !self.peers.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The directory's own random name.
    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    /// Whether `instance` is the one known for node `id`; the first one seen is remembered on disk.
    pub(crate) fn know_peer(&self, id: u64, instance: &str) -> io::Result<bool> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = peers.get(&id) {
            return Ok(known == instance || on(Mutant::IdTwice));
        }
        peers.insert(id, instance.into());
        let written = write_json(&self.disk, PEERS, &*peers);
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
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(path));
    let Some(Stamp { cluster, id, .. }) = read_json(&disk, path, STAMP)? else { return Ok(None) };
    let lock = fs::File::open(path.join("lock")).map_err(|e| DirectoryError::Io(path.into(), e))?;
    let in_use = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared).is_err();
    Ok(Some(Inspected { cluster, id, in_use }))
}

/// Makes the directory if it is not there, durably, and locks it.
fn make(data_dir: &Path, path: &Path) -> Result<fs::File, DirectoryError> {
    let io = |e| DirectoryError::Io(path.to_path_buf(), e);
    fs::create_dir_all(path).map_err(io)?;
    sync_directory(data_dir).map_err(io)?;
    let lock = fs::File::options().create(true).truncate(false).write(true).open(path.join("lock")).map_err(io)?;
    if rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(DirectoryError::Locked(path.to_path_buf()));
    }
    Ok(lock)
}

fn read_json<T: Serialize + serde::de::DeserializeOwned>(
    disk: &Arc<dyn Disk>,
    path: &Path,
    name: &str,
) -> Result<Option<T>, DirectoryError> {
    let read = || {
        let file = disk.open(name)?;
        let mut bytes = vec![0; file.len()? as usize];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => unsealed(&bytes).map(Some).map_err(|why| DirectoryError::Damaged(path.join(name), why)),
        Err(e) if io::Error::kind(&e) == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(DirectoryError::Io(path.join(name), e)),
    }
}

/// What the small files hold: a value, and the CRC-32 of its JSON without spaces.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<T> {
    crc32: u32,
    value: T,
}

fn checksum<T: Serialize>(value: &T) -> serde_json::Result<u32> {
    serde_json::to_vec(value).map(|bytes| crc32fast::hash(&bytes))
}

fn unsealed<T: Serialize + serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let Sealed { crc32, value } = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    match checksum(&value) {
        Ok(sum) if sum == crc32 => Ok(value),
        Ok(_) => Err("its checksum does not match".into()),
        Err(e) => Err(e.to_string()),
    }
}

/// Replaces a file in one step that a loss of power cannot tear.
fn write_json<T: Serialize>(disk: &Arc<dyn Disk>, name: &str, value: &T) -> io::Result<()> {
    reach("stamp-write")?;
    let temporary = format!("{name}{NEW}");
    match disk.remove(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let file = disk.create(&temporary)?;
    file.write_at(0, &serde_json::to_vec_pretty(&Sealed { crc32: checksum(value)?, value })?)?;
    file.sync_data()?;
    reach("stamp-rename")?;
    disk.rename(&temporary, name)?;
    reach("stamp-renamed")?;
    disk.sync_dir()
}

/// Makes renames and new files in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(data_dir: &Path, cluster: &str, id: u64) -> Result<Directory, DirectoryError> {
        Directory::open(&World::default(), data_dir, cluster, id)
    }

    #[test]
    fn a_directory_is_locked_and_keeps_to_its_node_and_cluster() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path(), "demo", 1).unwrap();
        assert!(matches!(open(dir.path(), "demo", 1), Err(DirectoryError::Locked(_))));
        let inspected = |in_use| Some(Inspected { cluster: "demo".into(), id: 1, in_use });
        assert_eq!(inspect(&dir.path().join("node-1")).unwrap(), inspected(true));
        assert_eq!(inspect(dir.path()).unwrap(), None);
        let instance = first.instance().to_string();
        drop(first);
        assert_eq!(inspect(&dir.path().join("node-1")).unwrap(), inspected(false));
        assert_eq!(open(dir.path(), "demo", 1).unwrap().instance(), instance);
        assert!(matches!(open(dir.path(), "other", 1), Err(DirectoryError::Foreign { .. })));
        fs::rename(dir.path().join("node-1"), dir.path().join("node-2")).unwrap();
        assert!(matches!(open(dir.path(), "demo", 2), Err(DirectoryError::Foreign { id: 1, .. })));
    }

    #[test]
    fn a_peer_is_known_by_its_first_instance_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path(), "demo", 1).unwrap();
        assert!(first.know_peer(2, "a").unwrap());
        drop(first);
        let again = open(dir.path(), "demo", 1).unwrap();
        assert!(again.know_peer(2, "a").unwrap());
        assert!(!again.know_peer(2, "b").unwrap());
    }
}
