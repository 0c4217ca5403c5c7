//! Hostile bytes for the log: what is read as whole is what was written.

use super::format::{Batch, Judgement, Kind, judge, seal, unseal};
use crate::fuzz::altered;

#[test]
fn no_bytes_in_a_segment_are_read_as_a_batch_that_was_never_written() {
    let mut seeds = Vec::new();
    for size in [3, 500, 3000] {
        let mut batch = Batch::new();
        batch.push(0, Kind::Vote, &[&vec![0xAB; size]]);
        batch.push(0, Kind::Entry, &[&7u64.to_le_bytes(), &vec![0; size]]);
        batch.seal(1, 0, 0);
        let mut segment = batch.bytes().to_vec();
        segment.resize(4096 * 2, 0);
        seeds.push(segment);
    }
    let whole = seeds.clone();
    altered(&seeds, |bytes| {
        for at in [0, 32, 512] {
            let Judgement::Whole(found) = judge(bytes, at, 1) else { continue };
            let written = |seed: &Vec<u8>| seed.get(at..at + found.len) == bytes.get(at..at + found.len);
            assert!(whole.iter().any(written), "a batch of {} bytes at {at}", found.len);
            assert!(found.records().all(|record| record.is_some()));
        }
    });
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
