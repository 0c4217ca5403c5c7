//! Owns bytes that stay where they were put until all of them go at once: one piece of memory for many keys and values.
//!
//! Pieces come from the system and go back to it at once. An allocator would keep what overlays leave behind, some
//! megabytes each time.

use std::alloc::{Layout, handle_alloc_error};
use std::num::NonZeroU32;

use memmap2::{MmapMut, MmapOptions};

/// How many bytes the first chunk has.
const CHUNK_BYTES: usize = 4 << 10;
/// How many times the next one has twice as many.
const DOUBLINGS: usize = 6;
/// How many low bits of a place say where in its chunk it is. Nothing begins beyond what they can say.
const BITS: u32 = 18;
const _: () = assert!(CHUNK_BYTES << DOUBLINGS == 1 << BITS);

/// Where some bytes are: behind the number of them.
#[derive(Clone, Copy)]
pub(super) struct Place(NonZeroU32);

/// Bytes that can be added and looked at.
#[derive(Default)]
pub(super) struct Arena {
    chunks: Vec<Chunk>,
}

/// Room for some bytes, and how many are there.
struct Chunk {
    room: MmapMut,
    used: usize,
}

impl Chunk {
    fn new(size: usize) -> Chunk {
        // The node ends, as where the allocator finds no memory: a panic would leave half a batch behind.
        let none = |_| handle_alloc_error(Layout::array::<u8>(size).unwrap_or(Layout::new::<u8>()));
        Chunk { room: MmapOptions::new().len(size).map_anon().unwrap_or_else(none), used: 0 }
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.used + bytes.len();
        self.room[self.used..end].copy_from_slice(bytes);
        self.used = end;
    }
}

impl Arena {
    /// Keeps a copy of `bytes`, of which nobody makes 4 GiB.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Place {
        let (number, digits) = digits(bytes.len());
        let length = digits + bytes.len();
        let fits = |last: &Chunk| last.room.len() - last.used >= length && last.used < 1 << BITS;
        if !self.chunks.last().is_some_and(fits) {
            let size = CHUNK_BYTES << self.chunks.len().min(DOUBLINGS);
            self.chunks.push(Chunk::new(size.max(length)));
        }
        let place = u32::try_from(self.chunks.len()).ok().and_then(|chunk| chunk.checked_mul(1 << BITS));
        let chunk = self.chunks.len() - 1;
        let chunk = &mut self.chunks[chunk];
        // The first chunk counts as 1.
        let place = place.and_then(|place| NonZeroU32::new(place + chunk.used as u32));
        chunk.put(&number[..digits]);
        chunk.put(bytes);
        Place(place.expect("an arena of 4 GiB"))
    }

    /// What was put there.
    pub(super) fn get(&self, Place(place): Place) -> &[u8] {
        let (chunk, at) = (place.get() >> BITS, place.get() & ((1 << BITS) - 1));
        let mut rest = &self.chunks[chunk as usize - 1].room[at as usize..];
        let (mut length, mut shift) = (0, 0);
        while let Some((digit, after)) = rest.split_first() {
            rest = after;
            length |= usize::from(digit & 0x7f) << shift;
            shift += 7;
            if *digit < 0x80 {
                break;
            }
        }
        &rest[..length]
    }
}

/// A number, its lowest seven bits first, each byte but the last with a bit for more; and how many bytes that are.
fn digits(mut number: usize) -> ([u8; 5], usize) {
    let mut digits = [0; 5];
    let mut length = 0;
    loop {
        digits[length] = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            return (digits, length + 1);
        }
        digits[length] |= 0x80;
        length += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_was_put_is_there_and_lies_in_few_chunks() {
        let mut arena = Arena::default();
        let bytes = |n: usize| vec![n as u8; if n.is_multiple_of(500) { 300 << 10 } else { n % 400 }];
        let places: Vec<Place> = (0..30_000).map(|n| arena.put(&bytes(n))).collect();
        assert!(places.iter().enumerate().all(|(n, place)| arena.get(*place) == bytes(n)));
        let length: usize = arena.chunks.iter().map(|chunk| chunk.used).sum();
        let room: usize = arena.chunks.iter().map(|chunk| chunk.room.len()).sum();
        assert!(room < length * 2 && arena.chunks.len() < 200, "{} chunks, {length} of {room}", arena.chunks.len());
    }
}
