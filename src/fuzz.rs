//! Owns the making of hostile bytes for the parsers' tests: seeds, altered at random, the same each time.
//!
//! `DDB_FUZZ_ROUNDS` asks for more rounds than a test run has time for.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// Calls `target` with the seeds, and with what some thousand alterations make of them.
pub(crate) fn altered(seeds: &[Vec<u8>], target: impl FnMut(&[u8])) {
    altered_some(seeds, 1, target);
}

/// The same for a target that takes long: so many times fewer rounds.
pub(crate) fn altered_some(seeds: &[Vec<u8>], fewer: u64, mut target: impl FnMut(&[u8])) {
    let rounds = std::env::var("DDB_FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5_000) / fewer;
    seeds.iter().for_each(|seed| target(seed));
    let mut dice = StdRng::seed_from_u64(7);
    for _ in 0..rounds {
        let mut bytes = seeds.choose(&mut dice).cloned().unwrap_or_default();
        for _ in 0..dice.random_range(1..5) {
            alter(&mut bytes, seeds, &mut dice);
        }
        target(&bytes);
    }
}

/// One alteration: a bit, a byte, a number's edge, a cut, a repetition, or a piece of another seed.
fn alter(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], dice: &mut StdRng) {
    let at = dice.random_range(0..=bytes.len());
    let end = dice.random_range(at..=bytes.len());
    match dice.random_range(0..7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << dice.random_range(0..8),
        1 if at < bytes.len() => bytes[at] = dice.random(),
        2 if at < bytes.len() => {
            bytes[at] = *[0, 1, 0x7f, 0x80, 0xff, b'"', b'{', b'-', b','].choose(dice).unwrap_or(&0)
        }
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(at..end)),
        5 if end - at < 4096 => {
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
        _ => {
            let other = seeds.choose(dice).map_or(&[][..], Vec::as_slice);
            let from = dice.random_range(0..=other.len());
            let until = dice.random_range(from..=other.len());
            bytes.splice(at..at, other[from..until].iter().copied());
        }
    }
}
