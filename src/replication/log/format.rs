//! Owns the bytes of the log: batches of records, and how a torn batch differs from a damaged one.
//!
//! A segment `log/00000001.seg` is a row of batches, each at a multiple of 32 bytes, and then zeros.
//! The file grows by whole chunks of zeros that are synced before a batch is written into them, so that a
//! sync of a batch changes no metadata, and so that no batch ever reaches beyond the durable length.
//!
//! ```text
//! batch    header (32 bytes), records, one byte 0xE5
//! header   "ddbL", length of what follows, segment, mask, position / 32, checksum of the batch before,
//!          checksum of what follows, checksum of this header          (eight little-endian u32)
//! record   length u32, kind u8, group u64, body
//! ```
//!
//! **One batch is one write and one sync, and the next batch is written only after that sync.** So of
//! all batches at most the last one was not synced, and nothing in it was acknowledged. After a loss of power
//! each sector (512 bytes, which a disk writes whole or not at all) of it holds its new bytes, or the zeros
//! from before. From this follows what a batch that does not check out means (`judge`):
//!
//! - A header of another batch stands behind it, or another segment follows: it was synced. **Damage.**
//! - Its header is all zeros: the end of the log. Its sector was lost, or nothing was written.
//! - Its header is something else that fails its checksum: it lies within one sector, so it is not torn. **Damage.**
//! - The header is whole, and some sector of the batch is still all zeros: torn, **the end of the log**.
//! - The header is whole, and no sector is all zeros: every sector was written. **Damage.** For this, no
//!   sector of a batch may be all zeros by itself: the header and the last byte see to the outer ones, and
//!   for the others all bytes of the records are XORed with a mask where that is needed.
//! - It reaches beyond the end of the file: the file was cut. **Damage.**
//!
//! Each segment begins with a record that names the end and the checksum of the segment before, and with
//! all marks, so that older segments can be removed. A segment gets its name when that is on disk.

use std::io;

use serde::{Deserialize, Serialize};

/// The length of a header, and what a batch's place is a multiple of.
pub(super) const HEADER: usize = 32;
const MAGIC: u32 = u32::from_le_bytes(*b"ddbL");
/// What a batch ends with, so that its last sector is never all zeros.
const END: u8 = 0xE5;
const SECTOR: usize = 512;
const RECORD: usize = 13;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Index (u64) and sealed entry.
    Entry = 1,
    /// A sealed vote.
    Vote = 2,
    /// The sealed log id up to which entries are known to be committed.
    Committed = 3,
    /// The sealed log id of the last entry that is gone from the front.
    Purged = 4,
    /// The index (u64) from which on entries are gone from the end.
    Truncate = 5,
    /// The beginning of a segment: a sealed `Head`.
    Head = 6,
}

/// What a segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// By how many bytes the file grows.
    pub(super) chunk: u32,
    /// Where the segment before ended, and the checksum of its last batch.
    pub(super) before: (u64, u32),
}

/// A record as it is read.
pub(super) struct Record<'a> {
    pub(super) kind: u8,
    pub(super) group: u64,
    pub(super) body: &'a [u8],
    /// Where `body` lies, counted from the beginning of the batch.
    pub(super) at: usize,
}

/// The first multiple of the header's length from `at` on.
pub(super) fn align(at: u64) -> u64 {
    at.next_multiple_of(HEADER as u64)
}

/// A batch that is being gathered.
pub(super) struct Batch {
    bytes: Vec<u8>,
    mask: u8,
    crc: u32,
    sealed: bool,
}

impl Batch {
    pub(super) fn new() -> Batch {
        Batch { bytes: vec![0; HEADER], mask: 0, crc: 0, sealed: false }
    }

    /// Makes room for about so many bytes.
    pub(super) fn reserve(&mut self, bytes: u64) {
        self.bytes.reserve(bytes as usize);
    }

    /// Adds a record and answers where its body lies in the batch.
    pub(super) fn push(&mut self, group: u64, kind: Kind, body: &[&[u8]]) -> usize {
        let length = body.iter().map(|part| part.len()).sum::<usize>() as u32;
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.push(kind as u8);
        self.bytes.extend_from_slice(&group.to_le_bytes());
        let at = self.bytes.len();
        body.iter().for_each(|part| self.bytes.extend_from_slice(part));
        at
    }

    /// The length on disk.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64 + u64::from(!self.sealed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER
    }

    /// Makes the batch ready for its place; once only.
    pub(super) fn seal(&mut self, segment: u32, at: u64, before: u32) {
        if self.sealed {
            return;
        }
        self.sealed = true;
        self.bytes.push(END);
        self.mask = mask(&self.bytes, at);
        let last = self.bytes.len() - 1;
        self.bytes[HEADER..last].iter_mut().for_each(|byte| *byte ^= self.mask);
        let (header, body) = self.bytes.split_at_mut(HEADER);
        self.crc = crc32fast::hash(body);
        let words =
            [MAGIC, body.len() as u32, segment, u32::from(self.mask), (at / HEADER as u64) as u32, before, self.crc];
        for (place, word) in header.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let crc = crc32fast::hash(&header[..28]);
        header[28..].copy_from_slice(&crc.to_le_bytes());
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn mask(&self) -> u8 {
        self.mask
    }

    pub(super) fn crc(&self) -> u32 {
        self.crc
    }
}

/// The pieces of a batch at `at`, cut where sectors end.
fn pieces(batch: &[u8], at: u64) -> impl Iterator<Item = &[u8]> {
    let first = (SECTOR - at as usize % SECTOR).min(batch.len());
    let (first, rest) = batch.split_at(first);
    std::iter::once(first).chain(rest.chunks(SECTOR))
}

/// A mask that leaves no whole sector all zeros, nor one changed bit away from it.
fn mask(batch: &[u8], at: u64) -> u8 {
    let differs = |sector: &[u8], mask: u8| sector.iter().filter(|byte| **byte != mask).take(2).count() == 2;
    let sectors = || pieces(batch, at).skip(1).filter(|piece| piece.len() == SECTOR);
    (0..=u8::MAX).find(|mask| sectors().all(|sector| differs(sector, *mask))).unwrap_or(0)
}

/// A batch that checks out.
pub(super) struct Found {
    /// Its length on disk.
    pub(super) len: usize,
    pub(super) mask: u8,
    pub(super) before: u32,
    pub(super) crc: u32,
    /// The batch with the mask taken off.
    bytes: Vec<u8>,
}

impl Found {
    /// The records, or `None` where one makes no sense.
    pub(super) fn records(&self) -> impl Iterator<Item = Option<Record<'_>>> {
        let mut at = HEADER;
        let end = self.bytes.len() - 1;
        std::iter::from_fn(move || {
            let head = self.bytes.get(at..(at + RECORD).min(end)).filter(|head| !head.is_empty())?;
            let record = (head.len() == RECORD).then(|| {
                let length = word(head, 0) as usize;
                let group = u64::from_le_bytes(head[5..13].try_into().unwrap_or_default());
                let body = self.bytes[..end].get(at + RECORD..at + RECORD + length)?;
                Some(Record { kind: head[4], group, body, at: at + RECORD })
            });
            let record = record.flatten();
            at = record.as_ref().map_or(end, |record| record.at + record.body.len());
            Some(record)
        })
    }
}

/// What stands at a place of a segment.
pub(super) enum Judgement {
    Whole(Found),
    /// Nothing, or what a loss of power left of a batch that was not synced.
    End,
    Damaged(&'static str),
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn header(file: &[u8], at: usize, segment: u32) -> Option<&[u8]> {
    let header = file.get(at..at + HEADER)?;
    let fits = word(header, 0) == MAGIC && word(header, 8) == segment && word(header, 16) as usize == at / HEADER;
    (fits && word(header, 28) == crc32fast::hash(&header[..28])).then_some(header)
}

/// Says what stands at `at` of a segment's bytes; the rules are at the top.
pub(super) fn judge(file: &[u8], at: usize, segment: u32) -> Judgement {
    let Some(first) = file.get(at..at + HEADER) else { return Judgement::End };
    let mut behind = at + HEADER;
    let judgement = match header(file, at, segment) {
        None if first.iter().all(|byte| *byte == 0) => Judgement::End,
        None => Judgement::Damaged("the header of a batch fails its checksum"),
        Some(header) => {
            let len = HEADER + word(header, 4) as usize;
            let Some(batch) = file.get(at..at + len) else {
                return Judgement::Damaged("the file ends within a batch");
            };
            behind = align((at + len) as u64) as usize;
            let (mask, crc) = (word(header, 12) as u8, word(header, 24));
            if crc32fast::hash(&batch[HEADER..]) == crc {
                let mut bytes = batch.to_vec();
                bytes[HEADER..len - 1].iter_mut().for_each(|byte| *byte ^= mask);
                return Judgement::Whole(Found { len, mask, before: word(header, 20), crc, bytes });
            }
            if pieces(batch, at as u64).any(|piece| piece.iter().all(|byte| *byte == 0)) {
                Judgement::End
            } else {
                Judgement::Damaged("a batch that was written in full fails its checksum")
            }
        }
    };
    let later = (behind..file.len()).step_by(HEADER).any(|at| header(file, at, segment).is_some());
    match judgement {
        Judgement::End if later => Judgement::Damaged("a batch was synced and is not there in full"),
        other => other,
    }
}

pub(in super::super) fn io_error(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}

/// An error that says that the log is damaged.
pub(super) fn damaged(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the log is damaged: {what}"))
}

/// Encodes a value behind a CRC-32 of its bytes.
pub(super) fn seal<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    seal_of(value, 0)
}

/// The same for a value of about so many bytes.
pub(super) fn seal_of<T: Serialize>(value: &T, size: usize) -> io::Result<Vec<u8>> {
    let mut room = Vec::with_capacity(4 + size);
    room.extend_from_slice(&[0; 4]);
    let mut bytes = postcard::to_extend(value, room).map_err(io_error)?;
    let crc = crc32fast::hash(&bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

/// Decodes what `seal` made.
pub(super) fn unseal<T: for<'a> Deserialize<'a>>(bytes: &[u8], what: &str) -> io::Result<T> {
    let (crc, body) = bytes.split_at_checked(4).ok_or_else(|| damaged(format!("{what} is cut short")))?;
    if crc != crc32fast::hash(body).to_le_bytes() {
        return Err(damaged(format!("{what} fails its checksum")));
    }
    postcard::from_bytes(body).map_err(|e| damaged(format!("{what} {e}")))
}
