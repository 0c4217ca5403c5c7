//! Tests of the log and the applier: openraft's own suite, restarts, and damage.

use openraft::RaftLogReader;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;

use super::applier::{Applier, Digests};
use super::log::LogStore;
use super::types::{Batch, Entry, LogId, TypeConfig, Vote};
use crate::store::Store;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, Applier, tempfile::TempDir> for Builder {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, Applier), openraft::StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let log = LogStore::open(&dir.path().join("log.redb"), 0).unwrap();
        let store = Store::open(&dir.path().join("store.redb")).unwrap();
        let applied = tokio::sync::watch::Sender::new(0);
        Ok((dir, log, Applier::new(1, store, applied, Digests::default())))
    }
}

#[tokio::test]
async fn the_log_and_the_applier_pass_openrafts_own_suite() {
    Suite::test_all(Builder).await.unwrap();
}

fn log_id(index: u64) -> LogId {
    LogId::new_term_index(1, index)
}

fn entry(index: u64) -> Entry {
    Entry::new(log_id(index), openraft::EntryPayload::Normal(Batch(vec![index as u8; 100].into())))
}

async fn append(log: &mut LogStore, indexes: std::ops::Range<u64>) {
    let (done, flushed) = TypeConfig::oneshot();
    log.append(indexes.map(entry), IOFlushed::signal(done)).await.unwrap();
    flushed.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_reopened_log_has_all_that_was_flushed_and_nothing_that_was_purged_or_truncated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.redb");
    let vote = Vote::new(3, 2);
    {
        let mut log = LogStore::open(&path, 0).unwrap();
        log.save_vote(&vote).await.unwrap();
        append(&mut log, 0..100).await;
        log.truncate_after(Some(log_id(79))).await.unwrap();
        log.purge(log_id(9)).await.unwrap();
        log.save_committed(Some(log_id(50))).await.unwrap();
        append(&mut log, 80..90).await;
    }
    let mut log = reopen(&path).await;
    assert_eq!(log.read_vote().await.unwrap(), Some(vote));
    assert_eq!(log.read_committed().await.unwrap(), Some(log_id(50)));
    let state = log.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(log_id(9)), Some(log_id(89))));
    let entries = log.try_get_log_entries(0..1000).await.unwrap();
    assert_eq!(entries, (10..90).map(entry).collect::<Vec<_>>());
}

/// Opens the file once the writer thread of its last user has let go of it.
async fn reopen(path: &std::path::Path) -> LogStore {
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(5));
    for _ in 0..2_000 {
        tick.tick().await;
        if let Ok(log) = LogStore::open(path, 0) {
            return log;
        }
    }
    panic!("{} stays locked", path.display());
}

#[tokio::test]
async fn a_log_whose_entry_was_changed_on_disk_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.redb");
    {
        let mut log = LogStore::open(&path, 0).unwrap();
        append(&mut log, 0..20).await;
    }
    drop(reopen(&path).await);
    let mut bytes = Vec::new();
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(5));
    while bytes.is_empty() {
        tick.tick().await;
        // Wait for the writer thread to close the file.
        bytes = redb::Database::open(&path).map(drop).and_then(|()| Ok(std::fs::read(&path)?)).unwrap_or_default();
    }
    let pattern = [7_u8; 100];
    let places: Vec<usize> = (0..bytes.len() - 100).filter(|at| bytes[*at..at + 100] == pattern).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|at| bytes[*at] ^= 1);
    std::fs::write(&path, &bytes).unwrap();
    let error = LogStore::open(&path, 0).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("entry 7 fails its checksum"), "{error}");
}
