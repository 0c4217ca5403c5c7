//! Owns bytes that stay where they were put until all of them go at once: one allocation for many keys and values.

/// How many bytes the first chunk has.
const CHUNK_BYTES: usize = 4 << 10;
/// How many times the next one has twice as many.
const DOUBLINGS: usize = 6;

/// Where some bytes are.
#[derive(Clone, Copy)]
pub(super) struct Place {
    chunk: u32,
    at: u32,
    length: u32,
}

/// Bytes that can be added and looked at.
#[derive(Default)]
pub(super) struct Arena {
    /// None grows beyond what it was made for, so that nothing moves.
    chunks: Vec<Vec<u8>>,
}

impl Arena {
    /// Keeps a copy of `bytes`; of more than 4 GiB in one piece nobody makes a key or a value.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Place {
        let fits = self.chunks.last().is_some_and(|last| last.capacity() - last.len() >= bytes.len());
        if !fits {
            let size = CHUNK_BYTES << self.chunks.len().min(DOUBLINGS);
            self.chunks.push(Vec::with_capacity(size.max(bytes.len())));
        }
        let last = self.chunks.len() - 1;
        let chunk = &mut self.chunks[last];
        let place = Place { chunk: last as u32, at: chunk.len() as u32, length: bytes.len() as u32 };
        chunk.extend_from_slice(bytes);
        place
    }

    /// What was put there.
    pub(super) fn get(&self, place: Place) -> &[u8] {
        let Place { chunk, at, length } = place;
        &self.chunks[chunk as usize][at as usize..][..length as usize]
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
        let length: usize = arena.chunks.iter().map(Vec::len).sum();
        let room: usize = arena.chunks.iter().map(Vec::capacity).sum();
        assert!(room < length * 2 && arena.chunks.len() < 200, "{} chunks, {length} of {room}", arena.chunks.len());
    }
}
