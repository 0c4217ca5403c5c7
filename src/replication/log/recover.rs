//! Owns the opening of the log: every batch is read and checked, and the end made fit to go on.

use std::io;
use std::sync::Arc;

use super::super::types::{Entry, LogId, Vote};
use super::format::{Found, Head, Judgement, Kind, Record, align, damaged, io_error, judge, unseal};
use super::state::{Place, Places, State};
use super::tail::{Marks, Sizes, Tail, Trouble, name, write_zeros};
use crate::disk::{Disk, File};

/// What the log holds.
pub(super) struct Recovered {
    pub(super) state: State,
    pub(super) places: Places,
    pub(super) marks: Marks,
    pub(super) tail: Tail,
}

/// What was read so far.
struct Reader {
    group: u64,
    state: State,
    places: Places,
    marks: Marks,
    /// Where the last batch ended, and its checksum.
    end: (u64, u32),
    chunk: u32,
}

/// Opens the log in `disk`, or makes an empty one there.
///
/// # Errors
/// It is damaged, or the disk fails.
pub(super) fn open(disk: Arc<dyn Disk>, group: u64, sizes: Sizes) -> io::Result<Recovered> {
    let segments = segments(&*disk)?;
    let (state, places, marks) = (State::default(), Places::default(), Marks::default());
    let mut reader = Reader { group, state, places, marks, end: (0, 0), chunk: 0 };
    let Some(&first) = segments.first() else {
        let tail = Tail::create(disk, sizes, group, 1, (0, 0), &reader.marks).map_err(|trouble| match trouble {
            Trouble::Full(e) | Trouble::Fatal(e) => e,
        })?;
        reader.places.files.insert(1, tail.file.clone());
        return reader.finish(tail);
    };
    let mut last = None;
    for (expected, segment) in (first..).zip(segments) {
        if segment != expected {
            return Err(damaged(format!("{} is missing", name(expected))));
        }
        let file: Arc<dyn File> = disk.open(&name(segment))?.into();
        let bytes = read_all(&*file)?;
        let at = reader.segment(&bytes, segment, segment == first)?;
        reader.places.files.insert(segment, file.clone());
        last = Some((file, segment, bytes, at));
    }
    let Some((file, segment, bytes, at)) = last else { return Err(io_error("no segment")) };
    let (end, crc) = reader.end;
    let chunk = u64::from(reader.chunk.max(1));
    // The zeros behind a batch were on disk before it: without them the file was cut.
    if end > bytes.len() as u64 / chunk * chunk {
        return Err(damaged(format!("{} is cut short", name(segment))));
    }
    disk.sync_dir()?;
    let length = (bytes.len() as u64).next_multiple_of(chunk);
    make_fit(&*file, &bytes, at, end, length)?;
    let tail = Tail { disk, sizes, file, segment, end, length, crc, fresh: false };
    reader.finish(tail)
}

/// The numbers of the segments, in order; what a crash left of one that was being made is removed.
fn segments(disk: &dyn Disk) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for file in disk.list()? {
        match file.rsplit_once('.') {
            Some((_, "new")) => disk.remove(&file)?,
            Some((number, "seg")) => {
                let number = number.parse().map_err(|_| damaged(format!("{file} is no segment's name")))?;
                numbers.push(number);
            }
            _ => return Err(damaged(format!("{file} does not belong to it"))),
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn read_all(file: &dyn File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io_error)?];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Clears what a torn batch left behind the end, and writes the last batch, at `at`, once more: if its sync
/// has failed, it is here and not on disk, and the system no longer knows.
fn make_fit(file: &dyn File, bytes: &[u8], at: usize, end: u64, length: u64) -> io::Result<()> {
    if bytes[end as usize..].iter().any(|byte| *byte != 0) || length > bytes.len() as u64 {
        write_zeros(file, end, length)?;
    }
    file.write_at(at as u64, &bytes[at..end as usize])?;
    file.sync_data()
}

impl Reader {
    /// Reads one segment; answers where its last batch begins.
    fn segment(&mut self, bytes: &[u8], segment: u32, is_first: bool) -> io::Result<usize> {
        let wrong = |at: usize, why: &str| damaged(format!("{} at byte {at}: {why}", name(segment)));
        let (mut at, mut last) = (0, 0);
        loop {
            match judge(bytes, at, segment) {
                Judgement::Whole(found) if at > 0 && found.before != self.end.1 => {
                    return Err(wrong(at, "a batch does not follow the one before it"));
                }
                Judgement::Whole(found) => {
                    self.batch(&found, at, segment, is_first).map_err(|e| wrong(at, &e.to_string()))?;
                    last = at;
                    at = align((at + found.len) as u64) as usize;
                    self.end = (at as u64, found.crc);
                }
                Judgement::End if at == 0 => return Err(wrong(0, "the segment has lost its beginning")),
                Judgement::End => return Ok(last),
                Judgement::Damaged(why) => return Err(wrong(at, why)),
            }
        }
    }

    fn batch(&mut self, found: &Found, at: usize, segment: u32, is_first: bool) -> io::Result<()> {
        for (number, record) in found.records().enumerate() {
            let record = record.ok_or_else(|| io_error("a record makes no sense"))?;
            if (record.kind == Kind::Head as u8) != (at == 0 && number == 0) {
                return Err(io_error("the beginning of a segment is out of place"));
            }
            if record.kind == Kind::Head as u8 {
                let head: Head = unseal(record.body, "the head")?;
                if head.before != self.end && !is_first {
                    let (there, here) = (head.before.0, self.end.0);
                    return Err(io_error(format!("the segment before ended at byte {there}, and is whole to {here}")));
                }
                self.chunk = head.chunk;
                continue;
            }
            let place = Place { segment, at: (at + record.at) as u64, len: record.body.len() as u32, mask: found.mask };
            self.record(&record, place)?;
        }
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>, place: Place) -> io::Result<()> {
        if record.group != self.group {
            return Err(io_error(format!("a record of group {}", record.group)));
        }
        let number = || record.body.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
        let kind = [Kind::Entry, Kind::Vote, Kind::Committed, Kind::Purged, Kind::Truncate];
        match kind.into_iter().find(|kind| *kind as u8 == record.kind) {
            Some(Kind::Entry) => {
                let index = followed(number().ok_or_else(|| io_error("an entry without an index"))?)?;
                let entry: Entry = unseal(&record.body[8..], &format!("entry {index}"))?;
                let expected = self.places.next().unwrap_or(index);
                if index != expected || entry.log_id.index != index {
                    return Err(io_error(format!("entry {} stands where {expected} should", entry.log_id.index)));
                }
                self.places.push(index, Place { at: place.at + 8, len: place.len - 8, ..place });
            }
            Some(Kind::Truncate) => {
                let from = number().ok_or_else(|| io_error("a truncation without an index"))?;
                self.places.truncate(from);
            }
            Some(kind @ (Kind::Vote | Kind::Committed | Kind::Purged)) => self.mark(kind, record.body)?,
            Some(Kind::Head) | None => return Err(io_error(format!("a record of the unknown kind {}", record.kind))),
        }
        Ok(())
    }

    fn mark(&mut self, kind: Kind, sealed: &[u8]) -> io::Result<()> {
        match kind {
            Kind::Vote => self.state.vote = Some(unseal::<Vote>(sealed, "the vote")?),
            Kind::Committed => {
                let upto: LogId = unseal(sealed, "the committed mark")?;
                followed(upto.index)?;
                self.state.committed = Some(upto);
            }
            _ => {
                let upto: LogId = unseal(sealed, "the purge mark")?;
                self.places.purge(followed(upto.index)?);
                self.state.purged = Some(upto);
            }
        }
        self.marks.set(kind, sealed.to_vec());
        Ok(())
    }

    fn finish(mut self, tail: Tail) -> io::Result<Recovered> {
        let after_purge = self.state.purged.map(|purged| purged.index + 1);
        if let Some(upto) = after_purge {
            // Entries that a segment holds from before the mark.
            self.places.purge(upto - 1);
        }
        if let (Some(expected), Some((first, _))) = (after_purge, self.places.first())
            && first != expected
        {
            return Err(damaged(format!("its first entry is {first}, and should be {expected}")));
        }
        self.state.last = match self.places.next() {
            None => self.state.purged,
            // Not the one that was read last: a truncation may have come after it.
            Some(_) => self.places.last()?.map(|entry| entry.log_id),
        };
        Ok(Recovered { state: self.state, places: self.places, marks: self.marks, tail })
    }
}

/// An index that another one may follow: no log is so long, and to go on from the last number of all would wrap.
fn followed(index: u64) -> io::Result<u64> {
    if index == u64::MAX { Err(io_error("an index out of all range")) } else { Ok(index) }
}
