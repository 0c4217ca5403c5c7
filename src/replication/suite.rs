//! openraft's own suite over the log and the applier, on the real disk.

use openraft::testing::log::{StoreBuilder, Suite};

use super::applier::{Applier, Digests};
use super::log::LogStore;
use super::types::TypeConfig;
use crate::disk::{Disk as _, RealDisk};
use crate::store::Store;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, Applier, tempfile::TempDir> for Builder {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, Applier), openraft::StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let log = LogStore::open(RealDisk::new(dir.path()).directory("log").unwrap(), 0).unwrap();
        let store = Store::open(&dir.path().join("store.redb")).unwrap();
        let applied = tokio::sync::watch::Sender::new(0);
        Ok((dir, log, Applier::new(1, store, applied, Digests::default())))
    }
}

#[tokio::test]
async fn the_log_and_the_applier_pass_openrafts_own_suite() {
    Suite::test_all(Builder).await.unwrap();
}
