//! Owns what must hold of hostile bytes in the log: what is read as whole is what was written, and a log is
//! opened to the same state each time, or refused.
//!
//! The tests here try each rule on alterations of its seeds, `fuzz/` on whatever its search comes upon.

#![expect(clippy::unwrap_used, reason = "what does not hold is to panic")]

use openraft::entry::RaftEntry;

use super::super::types::{self, Entry, LogId, Vote};
use super::format::{Batch, Head, Judgement, Kind, judge, seal};
use super::recover::{self, Recovered};
use super::tail::Sizes;
use crate::disk::{Disk as _, SimDisk};

const KINDS: [Kind; 6] = [Kind::Entry, Kind::Vote, Kind::Committed, Kind::Purged, Kind::Truncate, Kind::Head];
const CHUNK: u32 = 1024;

/// Segments with one batch each, and zeros behind it.
pub fn segments() -> Vec<Vec<u8>> {
    let segment = |size| {
        let mut batch = Batch::new();
        batch.push(0, Kind::Vote, &[&vec![0xAB; size]]);
        batch.push(0, Kind::Entry, &[&7u64.to_le_bytes(), &vec![0; size]]);
        batch.seal(1, 0, 0);
        let mut segment = batch.bytes().to_vec();
        segment.resize(4096 * 2, 0);
        segment
    };
    [3, 500, 3000].map(segment).to_vec()
}

/// No bytes in a segment are read as a batch that was never written.
pub fn segment(bytes: &[u8]) {
    let whole = segments();
    for at in [0, 32, 512] {
        let Judgement::Whole(found) = judge(bytes, at, 1) else { continue };
        let written = |seed: &Vec<u8>| seed.get(at..at + found.len) == bytes.get(at..at + found.len);
        assert!(whole.iter().any(written), "a batch of {} bytes at {at}", found.len);
        assert!(found.records().all(|record| record.is_some()));
    }
}

/// Batches as `records` reads them: for each record its kind, a length of 16 bits, and what is sealed in it.
pub fn records() -> Vec<Vec<u8>> {
    let record = |kind: Kind, body: &[u8]| {
        let place = KINDS.iter().position(|other| *other == kind).unwrap() as u8;
        [&[place][..], &(body.len() as u16).to_le_bytes(), body].concat()
    };
    let sealed = |value: Result<Vec<u8>, _>| value.unwrap()[4..].to_vec();
    let id = |index| LogId::new_term_index(1, index);
    let entry = |index: u64| {
        let payload = openraft::EntryPayload::Normal(types::Batch(vec![7; 20].into()));
        let entry = sealed(seal(&Entry::new(id(index), payload)));
        record(Kind::Entry, &[&index.to_le_bytes()[..], &entry].concat())
    };
    let vote = record(Kind::Vote, &sealed(seal(&Vote::new(1, 1))));
    let mark = |kind, index| record(kind, &sealed(seal(&id(index))));
    let end = [LAST];
    vec![
        [&vote[..], &end, &entry(0), &entry(1), &end, &mark(Kind::Committed, 1), &entry(2)].concat(),
        [&entry(5)[..], &entry(6), &end, &record(Kind::Truncate, &6u64.to_le_bytes()), &entry(6)].concat(),
        [&entry(0)[..], &entry(1), &end, &mark(Kind::Purged, 0), &end, &vote].concat(),
    ]
}

/// Ends a batch in what `log` reads.
const LAST: u8 = 0xff;

/// A segment of batches that check out, whatever records are in them.
fn written(mut bytes: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    let head = seal(&Head { chunk: CHUNK, before: (0, 0) }).unwrap();
    let mut batch = Batch::new();
    batch.push(0, Kind::Head, &[&head]);
    let mut before = 0;
    let mut close = |batch: &mut Batch| {
        batch.seal(1, segment.len() as u64, before);
        before = batch.crc();
        segment.extend_from_slice(batch.bytes());
        segment.resize(segment.len().next_multiple_of(32), 0);
        *batch = Batch::new();
    };
    while let Some((kind, rest)) = bytes.split_first() {
        bytes = rest;
        if *kind == LAST {
            if !batch.is_empty() {
                close(&mut batch);
            }
            continue;
        }
        let kind = KINDS[usize::from(*kind) % KINDS.len()];
        let Some((length, rest)) = bytes.split_first_chunk::<2>() else { break };
        let (body, rest) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes(*length))));
        bytes = rest;
        // The number stands before the seal.
        let (number, body) = match kind {
            Kind::Entry => body.split_at(body.len().min(8)),
            Kind::Truncate => (body, &[][..]),
            _ => (&[][..], body),
        };
        let crc = crc32fast::hash(body).to_le_bytes();
        let parts: [&[u8]; 3] = [number, if kind == Kind::Truncate { &[] } else { &crc }, body];
        batch.push(0, kind, &parts);
    }
    if !batch.is_empty() {
        close(&mut batch);
    }
    segment.resize(segment.len().next_multiple_of(CHUNK as usize), 0);
    segment
}

/// A log of any records at all, in batches that check out, is opened to the same state each time, or refused.
pub fn log(bytes: &[u8]) {
    let disk = SimDisk::new();
    let file = disk.create("00000001.seg").unwrap();
    file.write_at(0, &written(bytes)).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir().unwrap();
    let open = || recover::open(std::sync::Arc::new(disk.clone()), 0, Sizes { segment: 1 << 20, chunk: CHUNK });
    if let Ok(first) = open() {
        let again = open().unwrap();
        assert_eq!(state(&first), state(&again));
    }
}

/// All that a log is asked for.
fn state(found: &Recovered) -> String {
    let state = &found.state;
    let first = found.places.first().map(|(index, _)| index);
    format!(
        "{:?} {:?} {:?} {:?} {first:?} {:?}",
        state.vote,
        state.committed,
        state.purged,
        state.last,
        found.places.next()
    )
}

#[cfg(test)]
mod tests {
    use super::super::format::unseal;
    use super::*;
    use crate::fuzz::altered;

    #[test]
    fn no_bytes_in_a_segment_are_read_as_a_batch_that_was_never_written() {
        altered(&segments(), segment);
    }

    #[test]
    fn a_log_of_any_records_is_opened_to_the_same_state_each_time_or_refused() {
        altered(&records(), log);
        assert!(records().iter().all(|bytes| opens(bytes)), "the seeds are logs");
    }

    fn opens(bytes: &[u8]) -> bool {
        let disk = SimDisk::new();
        disk.open_or_create("00000001.seg").unwrap().write_at(0, &written(bytes)).unwrap();
        recover::open(std::sync::Arc::new(disk), 0, Sizes { segment: 1 << 20, chunk: CHUNK }).is_ok()
    }

    #[test]
    fn a_mark_at_an_index_that_nothing_can_follow_is_refused() {
        for (index, opened) in [(7, true), (u64::MAX, false)] {
            let body = seal(&LogId::new_term_index(1, index)).unwrap()[4..].to_vec();
            for kind in [Kind::Purged, Kind::Committed] {
                let place = KINDS.iter().position(|other| *other == kind).unwrap() as u8;
                let bytes = [&[place][..], &(body.len() as u16).to_le_bytes(), &body].concat();
                assert_eq!(opens(&bytes), opened, "{kind:?} {index}");
            }
        }
    }

    #[test]
    fn no_altered_seal_is_opened() {
        let sealed = seal(&(7u64, "text".to_string())).unwrap();
        altered(std::slice::from_ref(&sealed), |bytes| {
            if let Ok(value) = unseal::<(u64, String)>(bytes, "it") {
                assert_eq!(seal(&value).unwrap()[4..], bytes[4..][..sealed.len().min(bytes.len()) - 4]);
            }
        });
    }
}
