//! Owns the checksums of the file's pages: redb trusts what it reads, so what it reads is checked first.
//!
//! A changed key or pointer in one of redb's pages would hide a row, or lead to a page of the past whose
//! records are in order. So each page has a checksum, over its bytes and its place. Before each 512 pages
//! stands one with their checksums:
//!
//! ```text
//! file     checksums, page 0 … page 511, checksums, page 512 … page 1023, …
//! ```
//!
//! redb never changes a page that its last commit needs, and a sector holds its new bytes or its old ones. So
//! a loss of power can part a page from its checksum only where both are still free. The exception is page
//! 0, redb's header, which has checksums of its own. A page that was never written is zeros with checksum zero.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::disk::reach;

const PAGE: u64 = 4096;
/// The bytes of pages that one page of checksums is for.
const GROUP: u64 = PAGE / 8 * PAGE;

/// A file as redb sees it, without the checksums.
#[derive(Debug)]
pub(super) struct Checked<B> {
    inner: B,
    /// The pages of checksums that were needed so far, by group. No file is synced under this lock.
    sums: Mutex<BTreeMap<u64, Sums>>,
}

#[derive(Clone, Debug)]
struct Sums {
    bytes: Vec<u8>,
    dirty: bool,
}

/// Where in the file redb's byte stands.
fn place(offset: u64) -> u64 {
    offset + (offset / GROUP + 1) * PAGE
}

/// The parts of redb's `length` bytes at `offset` that lie in one page each: offset, and length.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize)> {
    let end = offset + length as u64;
    let mut at = offset;
    std::iter::from_fn(move || {
        let until = ((at / PAGE + 1) * PAGE).min(end);
        let part = (at < end).then(|| (at, (until - at) as usize));
        at = until;
        part
    })
}

fn sum(number: u64, page: &[u8]) -> [u8; 8] {
    xxh3_64_with_seed(page, number).max(1).to_le_bytes()
}

impl<B: StorageBackend> Checked<B> {
    pub(super) fn new(inner: B) -> Checked<B> {
        Checked { inner, sums: Mutex::default() }
    }

    fn sums(&self) -> MutexGuard<'_, BTreeMap<u64, Sums>> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what is there of `out.len()` bytes of the file; zeros are behind its end.
    fn read_some(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let there = self.inner.len()?.saturating_sub(at).min(out.len() as u64) as usize;
        out[there..].fill(0);
        if there == 0 { Ok(()) } else { self.inner.read(at, &mut out[..there]) }
    }

    /// Lets `with` see, or change, the checksum of a page.
    fn with_sum<T>(&self, number: u64, with: impl FnOnce(&mut [u8], &mut bool) -> T) -> io::Result<T> {
        let group = number * PAGE / GROUP;
        let mut sums = self.sums();
        let Sums { bytes, dirty } = match sums.entry(group) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let mut bytes = vec![0; PAGE as usize];
                self.read_some(group * (GROUP + PAGE), &mut bytes)?;
                place.insert(Sums { bytes, dirty: false })
            }
        };
        let at = (number % (GROUP / PAGE) * 8) as usize;
        Ok(with(&mut bytes[at..at + 8], dirty))
    }

    fn check(&self, number: u64, page: &[u8]) -> io::Result<()> {
        if number == 0 {
            return Ok(());
        }
        let fits = self.with_sum(number, |known, _| {
            *known == sum(number, page) || (known.iter().chain(page).all(|byte| *byte == 0))
        })?;
        let why = || format!("the checksum of its page {number} does not match");
        if fits { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidData, why())) }
    }

    fn page(&self, number: u64) -> io::Result<Vec<u8>> {
        let mut page = vec![0; PAGE as usize];
        self.read_some(place(number * PAGE), &mut page)?;
        Ok(page)
    }
}

impl<B: StorageBackend> StorageBackend for Checked<B> {
    fn len(&self) -> io::Result<u64> {
        let length = self.inner.len()?;
        if (1..=PAGE).contains(&length) {
            // As an empty file it would be filled anew.
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is cut short"));
        }
        Ok(length / (GROUP + PAGE) * GROUP + (length % (GROUP + PAGE)).saturating_sub(PAGE))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let length = (out.len() - done).min((GROUP - at % GROUP) as usize);
            self.inner.read(place(at), &mut out[done..done + length])?;
            done += length;
        }
        for (at, length) in parts(offset, out.len()) {
            let (number, from) = (at / PAGE, (at - offset) as usize);
            if length as u64 == PAGE {
                self.check(number, &out[from..from + length])?;
            } else {
                self.check(number, &self.page(number)?)?;
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.inner.set_len(length.checked_sub(1).map_or(0, |last| place(last) + 1))?;
        self.sums().retain(|group, _| group * GROUP < length);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let dirty: Vec<(u64, Sums)> =
            self.sums().iter().filter(|(_, sums)| sums.dirty).map(|(group, sums)| (*group, sums.clone())).collect();
        for (group, sums) in &dirty {
            self.inner.write(group * (GROUP + PAGE), &sums.bytes)?;
        }
        // Whatever the reason, also a lack of room: what is on disk is unknown then.
        reach("store-sync")
            .and_then(|()| self.inner.sync_data())
            .map_err(|e| io::Error::other(format!("a sync failed: {e}")))?;
        let mut sums = self.sums();
        for (group, written) in dirty {
            if let Some(sums) = sums.get_mut(&group) {
                sums.dirty = sums.bytes != written.bytes;
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        reach("store-write")?;
        for (at, length) in parts(offset, data.len()) {
            let (number, from) = (at / PAGE, (at - offset) as usize);
            if number == 0 {
                continue;
            }
            let part = &data[from..from + length];
            let new = if length as u64 == PAGE {
                sum(number, part)
            } else {
                let mut page = self.page(number)?;
                let within = (at % PAGE) as usize;
                page[within..within + length].copy_from_slice(part);
                sum(number, &page)
            };
            self.with_sum(number, |known, dirty| {
                *dirty |= *known != new;
                known.copy_from_slice(&new);
            })?;
        }
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let length = (data.len() - done).min((GROUP - at % GROUP) as usize);
            self.inner.write(place(at), &data[done..done + length])?;
            done += length;
        }
        Ok(())
    }
}
