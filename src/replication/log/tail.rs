//! Owns the end of the log: where the next batch goes, and the making of segments.

use std::io;
use std::sync::Arc;

use super::format::{Batch, Head, Kind, align, seal};
use crate::disk::{Disk, File, reach};
use crate::mutants::{Mutant, on};

/// How large segments are, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// A segment that would get longer is followed by another, unless it has no batch yet.
    pub(super) segment: u64,
    /// By how much a file grows.
    pub(super) chunk: u32,
}

impl Sizes {
    /// Those of a simulation: many segments, each soon full.
    pub(super) const SIMULATED: Sizes = Sizes { segment: 32 << 10, chunk: 4 << 10 };
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes { segment: 16 << 20, chunk: 1 << 20 }
    }
}

/// Why a batch could not be written.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There is no room; the same batch can be tried again.
    Full(io::Error),
    /// What is on disk is unknown: nothing may be written any more.
    Fatal(io::Error),
}

impl Trouble {
    /// The trouble with a write; a failed sync is always fatal.
    fn of(error: io::Error) -> Trouble {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::Full(error),
            _ => Trouble::Fatal(error),
        }
    }
}

/// The newest marks, sealed; every segment begins with them.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks(Vec<(Kind, Vec<u8>)>);

impl Marks {
    pub(super) fn set(&mut self, kind: Kind, sealed: Vec<u8>) {
        self.0.retain(|(other, _)| *other != kind);
        self.0.push((kind, sealed));
    }
}

/// The segment that is written, and where.
pub(super) struct Tail {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) sizes: Sizes,
    pub(super) file: Arc<dyn File>,
    pub(super) segment: u32,
    /// Where the next batch goes.
    pub(super) end: u64,
    /// The file's length that is surely on disk.
    pub(super) length: u64,
    /// The checksum of the last batch.
    pub(super) crc: u32,
    /// Whether the segment has its first batch only.
    pub(super) fresh: bool,
}

/// The name of a segment's file.
pub(super) fn name(segment: u32) -> String {
    format!("{segment:08}.seg")
}

impl Tail {
    /// Makes a segment with `marks` in it, on disk at return.
    pub(super) fn create(
        disk: Arc<dyn Disk>,
        sizes: Sizes,
        group: u64,
        segment: u32,
        before: (u64, u32),
        marks: &Marks,
    ) -> Result<Tail, Trouble> {
        let mut batch = Batch::new();
        let head = seal(&Head { chunk: sizes.chunk, before }).map_err(Trouble::Fatal)?;
        batch.push(group, Kind::Head, &[&head]);
        for (kind, sealed) in &marks.0 {
            batch.push(group, *kind, &[sealed]);
        }
        batch.seal(segment, 0, 0);
        let temporary = format!("{segment:08}.new");
        // What an attempt without room has left.
        match disk.remove(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Trouble::Fatal(e)),
            _ => {}
        }
        reach("segment-create").map_err(Trouble::of)?;
        let file = disk.create(&temporary).map_err(Trouble::of)?;
        let length = batch.len().next_multiple_of(u64::from(sizes.chunk));
        write_zeros(&*file, 0, length).map_err(Trouble::of)?;
        file.write_at(0, batch.bytes()).map_err(Trouble::of)?;
        reach("segment-sync").and_then(|()| file.sync_data()).map_err(Trouble::Fatal)?;
        reach("segment-rename").map_err(Trouble::of)?;
        disk.rename(&temporary, &name(segment)).map_err(Trouble::of)?;
        reach("segment-renamed").map_err(Trouble::Fatal)?;
        if !on(Mutant::DirectoryNotSynced) {
            disk.sync_dir().map_err(Trouble::Fatal)?;
        }
        reach("segment-created").map_err(Trouble::Fatal)?;
        let (end, crc) = (align(batch.len()), batch.crc());
        Ok(Tail { disk, sizes, file: file.into(), segment, end, length, crc, fresh: true })
    }

    /// Writes a batch and syncs it; answers where it begins. After `Full` the same batch may be tried again.
    pub(super) fn append(&mut self, batch: &mut Batch, group: u64, marks: &Marks) -> Result<u64, Trouble> {
        if self.end + batch.len() > self.sizes.segment && !self.fresh {
            let before = (self.end, self.crc);
            *self = Tail::create(self.disk.clone(), self.sizes, group, self.segment + 1, before, marks)?;
        }
        let needed = (self.end + batch.len()).next_multiple_of(u64::from(self.sizes.chunk));
        if needed > self.length {
            write_zeros(&*self.file, self.length, needed).map_err(Trouble::of)?;
            self.file.sync_data().map_err(Trouble::Fatal)?;
            self.length = needed;
        }
        batch.seal(self.segment, self.end, self.crc);
        reach("log-write").and_then(|()| self.file.write_at(self.end, batch.bytes())).map_err(Trouble::of)?;
        reach("log-sync").map_err(Trouble::Fatal)?;
        if !on(Mutant::LogNotSynced) {
            self.file.sync_data().map_err(Trouble::Fatal)?;
        }
        reach("log-synced").map_err(Trouble::Fatal)?;
        let at = self.end;
        self.end = align(at + batch.len());
        self.crc = batch.crc();
        self.fresh = false;
        Ok(at)
    }
}

/// Writes zeros, so that the file has room there. Page by page: after one large write the system keeps
/// the file in large pages, and counts (or writes) a whole one for each small batch.
pub(super) fn write_zeros(file: &dyn File, from: u64, to: u64) -> io::Result<()> {
    let zeros = [0; 4096];
    let mut at = from;
    while at < to {
        let length = zeros.len().min((to - at) as usize);
        file.write_at(at, &zeros[..length])?;
        at += length as u64;
    }
    Ok(())
}
