//! Tests of the log: restarts, power cuts at every point, every changed byte, a full disk, a failing one.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use openraft::RaftLogReader;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::type_config::TypeConfigExt;

use super::super::types::{Batch, Entry, LogId, TypeConfig, Vote};
use super::state::Shared;
use super::tail::Sizes;
use super::{LogStore, recover};
use crate::disk::{Disk, RealDisk, SimDisk};

/// Small enough for several segments, and for batches that are longer than one.
const SMALL: Sizes = Sizes { segment: 4096, chunk: 1024 };

fn log_id(term: u64, index: u64) -> LogId {
    LogId::new_term_index(term, index)
}

/// Entries of several lengths; some are full of zeros, so that they look like what was never written.
fn entry(term: u64, index: u64) -> Entry {
    let payload = match index % 4 {
        0 => vec![0; 1500],
        1 => vec![index as u8; 100],
        2 => vec![term as u8; 700],
        _ => Vec::new(),
    };
    Entry::new(log_id(term, index), openraft::EntryPayload::Normal(Batch(payload.into())))
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Vote(u64),
    Append(u64, u64, u64),
    Truncate(u64, u64),
    Purge(u64, u64),
}

/// What must be there.
#[derive(Clone, Debug, Default, PartialEq)]
struct Contents {
    vote: Option<Vote>,
    purged: Option<LogId>,
    entries: Vec<Entry>,
}

impl Contents {
    fn after(&self, step: Step) -> Contents {
        let mut next = self.clone();
        match step {
            Step::Vote(term) => next.vote = Some(Vote::new(term, 1)),
            Step::Append(term, from, to) => next.entries.extend((from..to).map(|index| entry(term, index))),
            Step::Truncate(_, last) => next.entries.retain(|entry| entry.index() <= last),
            Step::Purge(term, upto) => {
                next.entries.retain(|entry| entry.index() > upto);
                next.purged = Some(log_id(term, upto));
            }
        }
        next
    }
}

/// Votes, truncations with other entries in their place, purges of segments, a purge beyond the end.
const SCRIPT: [Step; 14] = [
    Step::Vote(1),
    Step::Append(1, 0, 4),
    Step::Append(1, 4, 5),
    Step::Append(1, 5, 9),
    Step::Truncate(1, 5),
    Step::Vote(2),
    Step::Append(2, 6, 12),
    Step::Append(2, 12, 13),
    Step::Purge(2, 7),
    Step::Append(2, 13, 16),
    Step::Truncate(2, 9),
    Step::Append(3, 10, 14),
    Step::Purge(3, 20),
    Step::Append(3, 21, 24),
];

fn states() -> Vec<Contents> {
    let mut states = vec![Contents::default()];
    for step in SCRIPT {
        let next = states.last().unwrap().after(step);
        states.push(next);
    }
    states
}

async fn take(log: &mut LogStore, step: Step) -> io::Result<()> {
    match step {
        Step::Vote(term) => log.save_vote(&Vote::new(term, 1)).await,
        Step::Append(term, from, to) => {
            let (done, flushed) = TypeConfig::oneshot();
            log.append((from..to).map(|index| entry(term, index)), IOFlushed::signal(done)).await?;
            flushed.await.map_err(io::Error::other)?
        }
        Step::Truncate(term, last) => log.truncate_after(Some(log_id(term, last))).await,
        Step::Purge(term, upto) => log.purge(log_id(term, upto)).await,
    }
}

fn open(disk: &SimDisk) -> io::Result<LogStore> {
    LogStore::open_sized(disk.directory("log").unwrap(), 0, SMALL)
}

/// What a log that is opened holds, without a writer.
fn recovered(disk: &SimDisk) -> io::Result<Contents> {
    let found = recover::open(disk.directory("log")?, 0, SMALL)?;
    let (vote, purged, last) = (found.state.vote, found.state.purged, found.state.last);
    let entries = Shared::new(0, found.state, found.places).read(0, u64::MAX, usize::MAX)?;
    assert_eq!(last, entries.last().map(RaftEntry::log_id).or(purged));
    Ok(Contents { vote, purged, entries })
}

async fn contents(log: &mut LogStore) -> Contents {
    let (state, vote) = (log.get_log_state().await.unwrap(), log.read_vote().await.unwrap());
    let entries = log.try_get_log_entries(0..u64::MAX).await.unwrap();
    assert_eq!(state.last_log_id, entries.last().map(RaftEntry::log_id).or(state.last_purged_log_id));
    Contents { vote, purged: state.last_purged_log_id, entries }
}

/// Waits until the writer of a log has ended.
async fn close(log: LogStore) {
    until(log.close()).await;
}

async fn until(is: impl Fn() -> bool) {
    let poll = async {
        while !is() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), poll).await.unwrap();
}

/// How many steps of the script leave more than one segment.
const SEVERAL: usize = 12;

/// A log of several segments, on disk.
async fn written() -> SimDisk {
    let disk = SimDisk::new();
    let mut log = open(&disk).unwrap();
    for step in &SCRIPT[..SEVERAL] {
        take(&mut log, *step).await.unwrap();
    }
    close(log).await;
    disk.after_power_loss(0)
}

/// The committed mark that would outlive a loss of power now.
fn durable_mark(disk: &SimDisk) -> Option<LogId> {
    recover::open(disk.after_power_loss(0).directory("log").unwrap(), 0, SMALL).unwrap().state.committed
}

#[tokio::test]
async fn a_committed_mark_is_stored_soon_though_nothing_follows_but_not_before_its_entries() {
    let disk = SimDisk::new();
    let mut log = open(&disk).unwrap();
    take(&mut log, Step::Append(1, 0, 6)).await.unwrap();
    for index in [2, 3] {
        // The second time the writer has nothing to do, and must be told.
        until(|| index == 2 || log.rests()).await;
        log.save_committed(Some(log_id(1, index))).await.unwrap();
        until(|| durable_mark(&disk) == Some(log_id(1, index))).await;
    }
    log.save_committed(Some(log_id(1, 7))).await.unwrap();
    take(&mut log, Step::Vote(1)).await.unwrap();
    assert_eq!(durable_mark(&disk), Some(log_id(1, 3)), "a node that starts anew looks for all that is committed");
    take(&mut log, Step::Append(1, 6, 8)).await.unwrap();
    assert_eq!(durable_mark(&disk), Some(log_id(1, 7)));
    close(log).await;
}

#[tokio::test]
async fn a_reopened_log_is_what_it_was_and_reads_from_memory_what_it_reads_from_disk() {
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(directory.path()));
    let mut expected = Contents::default();
    for (step, reopens) in SCRIPT.into_iter().zip([false, false, true].into_iter().cycle()) {
        let mut log = LogStore::open_sized(disk.clone(), 0, SMALL).unwrap();
        assert_eq!(contents(&mut log).await, expected);
        take(&mut log, step).await.unwrap();
        expected = expected.after(step);
        assert_eq!(contents(&mut log).await, expected);
        if reopens {
            log.save_committed(expected.purged).await.unwrap();
        }
        close(log).await;
    }
    let mut log = LogStore::open_sized(disk.clone(), 0, SMALL).unwrap();
    assert_eq!(log.read_committed().await.unwrap(), Some(log_id(2, 7)), "it outlives its segment");
    assert!(disk.list().unwrap().len() < 4, "purged segments are removed: {:?}", disk.list());
    let limited = log.limited_get_log_entries(22, 24).await.unwrap();
    assert_eq!(limited, [entry(3, 22), entry(3, 23)]);
    assert!(log.try_get_log_entries(30..).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_loss_of_power_at_any_point_leaves_all_that_was_acknowledged_and_a_log_that_goes_on() {
    let states = states();
    let mut in_flight_kept = 0;
    for operations in 0.. {
        let disk = SimDisk::new();
        disk.fail_after(operations, ErrorKind::Other);
        let mut acknowledged = 0;
        if let Ok(mut log) = open(&disk) {
            while acknowledged < SCRIPT.len() && take(&mut log, SCRIPT[acknowledged]).await.is_ok() {
                acknowledged += 1;
            }
            close(log).await;
        }
        for seed in 0..6 {
            let found = disk.after_power_loss(seed);
            let mut log = open(&found).unwrap_or_else(|e| panic!("after {operations}, seed {seed}: {e}"));
            let there = contents(&mut log).await;
            let whole = [acknowledged, acknowledged + 1].into_iter().find(|n| states.get(*n) == Some(&there));
            let whole = whole.unwrap_or_else(|| panic!("after {operations}, seed {seed}: {there:?}"));
            in_flight_kept += usize::from(whole > acknowledged);
            // The next step may be cut off in the same way.
            if let Some(step) = SCRIPT.get(whole) {
                take(&mut log, *step).await.unwrap();
            }
            close(log).await;
            let next = &states[(whole + 1).min(SCRIPT.len())];
            assert_eq!(&recovered(&found.after_power_loss(seed)).unwrap(), next, "after {operations}, seed {seed}");
        }
        if acknowledged == SCRIPT.len() {
            assert!(operations > 60 && in_flight_kept > 10, "{operations} {in_flight_kept}");
            return;
        }
    }
}

#[tokio::test]
async fn two_losses_of_power_one_after_the_other_lose_nothing_either() {
    let states = states();
    for first in (0..90).step_by(7) {
        let disk = SimDisk::new();
        disk.fail_after(first, ErrorKind::Other);
        let mut acknowledged = 0;
        if let Ok(mut log) = open(&disk) {
            while acknowledged < SCRIPT.len() && take(&mut log, SCRIPT[acknowledged]).await.is_ok() {
                acknowledged += 1;
            }
            close(log).await;
        }
        for (second, seed) in (0..8).flat_map(|second| (0..6).map(move |seed| (second, seed))) {
            let found = disk.after_power_loss(seed);
            found.fail_after(second, ErrorKind::Other);
            // Opening makes the end fit to go on: that may be cut off as well.
            let least = match recovered(&found) {
                Ok(there) => states.iter().rposition(|state| *state == there).unwrap(),
                Err(_) => acknowledged,
            };
            let there = recovered(&found.after_power_loss(seed + 1)).unwrap();
            let which = states.iter().rposition(|state| *state == there);
            assert!(which >= Some(least.max(acknowledged)), "after {first}, {second}, seed {seed}: {which:?}");
        }
    }
}

#[tokio::test]
async fn a_changed_bit_is_refused_or_changes_nothing() {
    let disk = written().await;
    let expected = recovered(&disk).unwrap();
    assert_eq!(expected, states()[SEVERAL]);
    let (mut refused, mut harmless) = (0, 0);
    for file in disk.directory("log").unwrap().list().unwrap() {
        let name = format!("log/{file}");
        let length = disk.open(&name).unwrap().len().unwrap() as usize;
        for bit in (0..length).flat_map(|byte| [byte * 8 + byte % 8, byte * 8 + (byte + 3) % 8]) {
            let changed = disk.after_power_loss(0);
            changed.tamper(&name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8)).unwrap();
            match recovered(&changed) {
                Ok(there) => {
                    assert_eq!(there, expected, "bit {bit} of {name}");
                    harmless += 1;
                }
                Err(e) => {
                    assert!(e.to_string().starts_with("the log is damaged: "), "{e}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 5_000 && harmless > 10, "{refused} {harmless}");
}

#[tokio::test]
async fn a_file_that_was_cut_or_is_gone_is_refused_or_had_nothing_there() {
    let disk = written().await;
    let expected = recovered(&disk).unwrap();
    let files = disk.directory("log").unwrap().list().unwrap();
    assert!(files.len() > 1);
    for file in &files {
        let name = format!("log/{file}");
        let length = disk.open(&name).unwrap().len().unwrap() as usize;
        for kept in 0..length {
            let cut = disk.after_power_loss(0);
            cut.tamper(&name, |bytes| bytes.truncate(kept)).unwrap();
            match recovered(&cut) {
                Ok(there) => assert_eq!(there, expected, "{name} cut to {kept}"),
                Err(e) => assert!(e.to_string().starts_with("the log is damaged: "), "{e}"),
            }
        }
    }
    let gone = disk.after_power_loss(0);
    gone.remove(&format!("log/{}", files[0])).unwrap();
    assert!(recovered(&gone).is_err(), "the oldest segment that is needed is gone");
}

#[tokio::test]
async fn a_full_disk_holds_writes_until_there_is_room_and_loses_none() {
    for blocks in 1..8 {
        let disk = SimDisk::new();
        let mut log = open(&disk).unwrap();
        disk.set_capacity(Some(blocks * 4096));
        let mut waiting = Vec::new();
        for index in 0..100 {
            let (done, flushed) = TypeConfig::oneshot();
            log.append([entry(1, index)], IOFlushed::signal(done)).await.unwrap();
            waiting.push(flushed);
        }
        until(|| log.is_full()).await;
        let acknowledged = recovered(&disk.after_power_loss(0)).unwrap().entries.len();
        assert!(acknowledged < 100);
        assert_eq!(log.try_get_log_entries(0..100).await.unwrap().len(), 100, "all can be read meanwhile");
        disk.set_capacity(None);
        for flushed in waiting {
            flushed.await.unwrap().unwrap();
        }
        assert!(!log.is_full());
        close(log).await;
        let there = recovered(&disk.after_power_loss(0)).unwrap().entries;
        assert_eq!(there, (0..100).map(|index| entry(1, index)).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_any_more() {
    let disk = SimDisk::new();
    let mut log = open(&disk).unwrap();
    take(&mut log, Step::Vote(1)).await.unwrap();
    // The write goes through, its sync does not, and then the disk seems to be well again.
    disk.fail_some(1, 1, ErrorKind::Other);
    assert!(take(&mut log, Step::Append(1, 3, 4)).await.is_err());
    assert!(take(&mut log, Step::Append(1, 4, 5)).await.is_err());
    assert!(take(&mut log, Step::Vote(2)).await.is_err());
    close(log).await;
    let there = recovered(&disk.after_power_loss(0)).unwrap();
    assert_eq!(there, Contents::default().after(Step::Vote(1)));
    // Where the process alone has died, what was not synced is found, and it is on disk once it was read.
    let found = recovered(&disk).unwrap();
    assert_eq!(found.entries.len(), 1);
    assert_eq!(recovered(&disk.after_power_loss(0)).unwrap(), found);
}

#[test]
fn what_does_not_belong_to_the_log_is_refused() {
    let disk = SimDisk::new();
    drop(recovered(&disk).unwrap());
    let log = disk.directory("log").unwrap();
    log.create("notes.txt").unwrap();
    assert!(recovered(&disk).unwrap_err().to_string().contains("notes.txt does not belong to it"));
    let other = recover::open(SimDisk::new().directory("log").unwrap(), 7, SMALL);
    assert!(other.is_ok());
}
