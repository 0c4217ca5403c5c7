//! Owns the removal of what dropped tables and indexes left in the file: a bounded piece at each checkpoint.
//!
//! It is local work: ids are never used again, so nobody can see the difference.

use super::StoreError;
use super::disk::Pairs;
use super::keys;

/// The most rows and entries removed in one checkpoint.
pub(super) const ROWS_PER_CHECKPOINT: usize = 50_000;

/// How many keys are looked up at a time.
const STEP: usize = 1_000;

/// Removes what belonged to dropped tables and indexes; answers whether some are left.
pub(super) fn sweep(pairs: &mut Pairs) -> Result<bool, StoreError> {
    let mut left = ROWS_PER_CHECKPOINT;
    let space = [keys::DROPPED];
    for marker in pairs.first_keys(&space, &keys::end(&space), STEP)? {
        for prefix in keys::remains(&marker) {
            if !remove(pairs, &prefix, &mut left)? {
                return Ok(true);
            }
        }
        pairs.delete(&marker)?;
    }
    Ok(!pairs.first_keys(&space, &keys::end(&space), 1)?.is_empty())
}

/// Whether none are left; `left` is how many may still be removed.
fn remove(pairs: &mut Pairs, prefix: &[u8], left: &mut usize) -> Result<bool, StoreError> {
    loop {
        let keys = pairs.first_keys(prefix, &keys::end(prefix), STEP.min(*left))?;
        if keys.is_empty() {
            return Ok(*left > 0);
        }
        for key in &keys {
            pairs.delete(key)?;
        }
        *left -= keys.len();
    }
}
