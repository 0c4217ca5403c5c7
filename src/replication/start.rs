//! Owns the start of a group: open the files, start Raft and the tasks around it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use openraft::SnapshotPolicy;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::applier::{Applier, Digests, read_marks};
use super::barrier::Barrier;
use super::batcher::{Batcher, Expected};
use super::core::{Core, Health, MOST_FORWARDED};
use super::dial::Dialer;
use super::directory::{Directory, DirectoryError};
use super::group::Group;
use super::log::LogStore;
use super::network::{Factory, Network};
use super::types::Raft;
use crate::config::Config;
use crate::disk::Disk;
use crate::store::{Store, StoreError};
use crate::world::{World, work};

/// The directory of the log.
const LOG: &str = "log";
/// The file of the store.
const STORE: &str = "store.redb";
/// The log entries that are kept after a snapshot, for followers that are a little behind.
const KEPT_ENTRIES: u64 = 1_000;

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The store cannot be opened.
    #[error("the store cannot be opened: {0}")]
    Store(#[from] StoreError),
    /// The log cannot be opened.
    #[error("the log cannot be opened: {0}")]
    Log(#[from] io::Error),
    /// Raft cannot be started.
    #[error("Raft cannot be started: {0}")]
    Raft(String),
}

impl Group {
    /// Starts node `id` of `config`.
    ///
    /// # Errors
    /// The data directory is in use, foreign or damaged, or Raft refuses to start.
    pub async fn start(config: Config, id: u64) -> Result<Group, StartError> {
        Group::start_in(World::default(), config, id).await
    }

    /// Starts node `id` of `config` in a world of the caller's.
    ///
    /// # Errors
    /// As `start`.
    pub async fn start_in(world: World, config: Config, id: u64) -> Result<Group, StartError> {
        let directory = Arc::new(Directory::open(&world, &config.data_dir, &config.cluster, id)?);
        let files = directory.clone();
        let opening = files.clone();
        let (store, log) = work(move || open_files(&opening)).await.map_err(|e| StartError::Raft(e.to_string()))??;

        let lease = Duration::from_millis(config.election_timeout_ms);
        let addresses: BTreeMap<u64, String> = config.nodes.iter().map(|n| (n.id, n.address.clone())).collect();
        let dialer = Arc::new(Dialer::new(world.network.clone(), &config.cluster, id, directory, addresses, lease));
        let network = Arc::new(Network::new(dialer.clone(), lease * 2));
        let digests = Digests::default();
        let at = read_marks(&store.marks())?.0.map_or(0, |applied| applied.index);
        let (applied_sender, applied) = watch::channel(at);
        let applier = Applier::new(id, store.clone(), applied_sender, digests.clone());
        let factory = Factory(network.clone());
        let raft = Raft::new(id, Arc::new(raft_config(&config)?), factory, log.clone(), applier)
            .await
            .map_err(|e| StartError::Raft(e.to_string()))?;
        let disk = files.disk().clone();
        let core = Arc::new(Core {
            config,
            disk,
            world,
            id,
            raft,
            store,
            log,
            network,
            applied,
            health: watch::Sender::new(Health::default()),
            gone: watch::Sender::new(None),
            digests,
            damage: watch::Sender::new(None),
            met: std::sync::Mutex::default(),
            answered: std::sync::Mutex::default(),
            disk_full: AtomicBool::new(false),
            no_room: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            forwarded: Semaphore::new(MOST_FORWARDED as usize),
            started: Instant::now(),
        });
        tokio::spawn(super::driver::run(core.clone()));
        tokio::spawn(super::upkeep::run(core.clone()));
        let (here, there, round) = (core.clone(), core.clone(), core.clone());
        let local = Batcher::start(Expected::nodes(), move |batch, _, place| here.clone().propose_here(batch, place));
        let remote =
            Batcher::start(Expected::writers(), move |batch, count, place| there.clone().forward(batch, count, place));
        let barrier = Barrier::start(move || round.clone().read_index());
        let group = Group { core, dialer, local, remote, barrier };
        tokio::spawn(super::builder::run(group.clone()));
        Ok(group)
    }
}

/// What to do about a file that a node has lost.
const GONE: &str = "put it back, or give the node a new id";

/// Opens a node's files, made if the node is new.
fn open_files(directory: &Directory) -> Result<(Store, LogStore), StartError> {
    let disk = directory.disk();
    let there = disk.list()?.iter().any(|name| name == STORE);
    let segments = disk.directory(LOG)?;
    // Made anew, it would have forgotten votes and acknowledged entries.
    if segments.list()?.is_empty() && (there || directory.has_met()) {
        return Err(StartError::Log(io::Error::new(io::ErrorKind::NotFound, no_log(directory.path()))));
    }
    let log = LogStore::open(segments, 0)?;
    if log.is_purged() && !there {
        let store = directory.path().join(STORE);
        let why = format!("{} is gone, and the log holds only what came later; {GONE}", store.display());
        return Err(StartError::Log(io::Error::new(io::ErrorKind::NotFound, why)));
    }
    let store = if directory.is_real() { Store::open(&directory.path().join(STORE))? } else { open_store(disk)? };
    Ok((store, log))
}

/// Opens the store on a disk that the world brings. A new one gets its name when it is whole.
fn open_store(disk: &Arc<dyn Disk>) -> Result<Store, StartError> {
    match disk.open(STORE) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let temporary = format!("{STORE}.new");
            let _ = disk.remove(&temporary);
            let store = Store::in_file(disk.create(&temporary)?)?;
            disk.rename(&temporary, STORE)?;
            disk.sync_dir()?;
            Ok(store)
        }
        Err(e) => Err(e.into()),
        Ok(file) => Ok(Store::in_file(file)?),
    }
}

/// What to say where a node that has run before has no log.
fn no_log(path: &Path) -> String {
    let log = path.join("log");
    if path.join("log.redb").exists() {
        let old = path.join("log.redb");
        return format!("{} is of an older version, which this one does not read; start that version", old.display());
    }
    format!("{} holds nothing, though the node has run before; {GONE}", log.display())
}

fn raft_config(config: &Config) -> Result<openraft::Config, StartError> {
    let raft = openraft::Config {
        cluster_name: config.cluster.clone(),
        heartbeat_interval: config.heartbeat_ms,
        // The greater one is also the leader's lease, which is the time until a lost leader may be
        // replaced; the driver asks for an election then, before the library's own timer does.
        election_timeout_min: config.election_timeout_ms * 4 / 5,
        election_timeout_max: config.election_timeout_ms,
        enable_pre_vote: Some(true),
        enable_leader_restore: Some(false),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(config.snapshot_entries),
        max_in_snapshot_log_to_keep: KEPT_ENTRIES.min(config.snapshot_entries / 2),
        replication_lag_threshold: config.snapshot_entries * 2,
        install_snapshot_timeout: 600_000,
        backoff: "20ms 50ms 100ms ...250ms".into(),
        ..openraft::Config::default()
    };
    raft.validate().map_err(|e| StartError::Raft(e.to_string()))
}
