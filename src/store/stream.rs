//! Owns the format of a copied store: frames of pairs.
//!
//! A frame is its body's length and crc32 (four bytes each, little-endian) and the body: one byte
//! for its kind, then either pairs (key length, value length, key, value) or, in the last frame,
//! the number of all pairs. Keys ascend through the whole stream. So a stream that is cut short,
//! altered, repeated or out of order is refused.

use super::StoreError;

/// Where a frame of pairs is closed.
pub(super) const FRAME_BYTES: usize = 256 << 10;

/// No frame is longer: the last pair of a frame may be a large row, and that is all.
const MAX_FRAME_BYTES: usize = 16 << 20;

const HEAD: usize = 8;
const KIND_PAIRS: u8 = 1;
const KIND_END: u8 = 2;

/// A frame under construction.
pub(super) struct FrameWriter {
    bytes: Vec<u8>,
}

impl FrameWriter {
    pub(super) fn new() -> FrameWriter {
        let mut bytes = vec![0; HEAD];
        bytes.push(KIND_PAIRS);
        FrameWriter { bytes }
    }

    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        for part in [key, value] {
            self.bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
        }
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= FRAME_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() == HEAD + 1
    }

    pub(super) fn finish(self) -> Vec<u8> {
        sealed(self.bytes)
    }
}

/// The last frame of a stream of `count` pairs.
pub(super) fn end_frame(count: u64) -> Vec<u8> {
    let mut bytes = vec![0; HEAD];
    bytes.push(KIND_END);
    bytes.extend_from_slice(&count.to_le_bytes());
    sealed(bytes)
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = (bytes.len() - HEAD) as u32;
    let sum = crc32fast::hash(&bytes[HEAD..]);
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes[4..HEAD].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// A key with its value.
pub(super) type Pair<'a> = (&'a [u8], &'a [u8]);

/// What a frame says.
pub(super) enum Frame<'a> {
    /// Some pairs.
    Pairs(Vec<Pair<'a>>),
    /// That the stream is at its end, with the number of all pairs.
    End(u64),
}

/// The first frame in `bytes` with its length; `None` where it is not complete.
///
/// # Errors
/// `BadSnapshot` for bytes that cannot become a frame.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, StoreError> {
    let Some((length, rest)) = read_u32(bytes) else { return Ok(None) };
    let length = length as usize;
    if length == 0 || length > MAX_FRAME_BYTES {
        return Err(bad("a frame has an impossible length"));
    }
    let Some((sum, rest)) = read_u32(rest) else { return Ok(None) };
    let Some(body) = rest.get(..length) else { return Ok(None) };
    if crc32fast::hash(body) != sum {
        return Err(bad("a checksum does not match"));
    }
    let frame = match body.split_first() {
        Some((&KIND_PAIRS, pairs)) => Frame::Pairs(parse_pairs(pairs)?),
        Some((&KIND_END, count)) => {
            Frame::End(count.try_into().map(u64::from_le_bytes).map_err(|_| bad("its last frame makes no sense"))?)
        }
        _ => return Err(bad("a frame is of an unknown kind")),
    };
    Ok(Some((frame, HEAD + length)))
}

fn parse_pairs(mut bytes: &[u8]) -> Result<Vec<Pair<'_>>, StoreError> {
    let mut pairs = Vec::new();
    while !bytes.is_empty() {
        let (pair, rest) = parse_pair(bytes).ok_or_else(|| bad("a pair is cut short"))?;
        pairs.push(pair);
        bytes = rest;
    }
    Ok(pairs)
}

fn parse_pair(bytes: &[u8]) -> Option<(Pair<'_>, &[u8])> {
    let (key, rest) = read_u32(bytes)?;
    let (value, rest) = read_u32(rest)?;
    let (key, rest) = rest.split_at_checked(key as usize)?;
    let (value, rest) = rest.split_at_checked(value as usize)?;
    Some(((key, value), rest))
}

fn read_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    bytes.split_first_chunk::<4>().map(|(number, rest)| (u32::from_le_bytes(*number), rest))
}

pub(super) fn bad(what: &str) -> StoreError {
    StoreError::BadSnapshot(what.into())
}
