//! Owns the seeds' way to the fuzzer: files in the corpus, made anew by each run, so that they are never of old formats.

use std::fs;
use std::path::Path;

/// Puts the seeds of a target where libFuzzer is told to look for them.
///
/// # Panics
/// The directory cannot be written.
pub fn seed(target: &str, seeds: &[Vec<u8>]) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&corpus).expect("no directory for the corpus");
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(corpus.join(format!("seed-{number}")), seed).expect("no room for a seed");
    }
}
