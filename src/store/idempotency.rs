//! Owns the memory of what was answered under an idempotency key, and how it is forgotten.
//!
//! Time is what the writes were stamped with, so every replica forgets the same keys at the same
//! write: those that are older than ten minutes and not among the newest hundred thousand.

use crate::model::{Answer, IdempotencyKey};

use super::StoreError;
use super::batch::Batch;
use super::keys;
use super::records::{Arrival, Counters, Remembered, decode, encode};
use super::refusals;

/// A key younger than this is never forgotten.
pub(super) const KEEP_MS: u64 = 10 * 60 * 1000;

/// So many of the newest keys are never forgotten.
pub(super) const KEEP_KEYS: u64 = 100_000;

/// The most keys that are forgotten when one is remembered: more than one, so that a backlog shrinks.
const FORGET_AT_ONCE: usize = 4;

/// What is to be answered to a key that came before; `None` for a new one.
pub(super) fn recall(batch: &Batch<'_>, key: &IdempotencyKey) -> Result<Option<Answer>, StoreError> {
    let known: Option<Remembered> = batch.look(&keys::answer(&key.key), |record| decode(batch.file(), record))?;
    Ok(known.map(|known| if known.digest == key.digest { known.answer } else { Err(refusals::key_reused(&key.key)) }))
}

/// Remembers an answer, and forgets some old ones.
pub(super) fn remember(
    counters: &mut Counters,
    batch: &mut Batch<'_>,
    key: &IdempotencyKey,
    answer: &Answer,
) -> Result<(), StoreError> {
    let record = Remembered { digest: key.digest, answer: answer.clone() };
    let arrival = Arrival { at_ms: counters.now_ms, key: key.key.clone() };
    batch.put(keys::answer(&key.key), encode(batch.file(), &record)?);
    batch.put(keys::order(counters.next_answer), encode(batch.file(), &arrival)?);
    counters.next_answer += 1;
    for _ in 0..FORGET_AT_ONCE {
        if counters.next_answer - counters.first_answer <= KEEP_KEYS {
            break;
        }
        let place = keys::order(counters.first_answer);
        let Some(oldest) = batch.look(&place, |record| decode::<Arrival>(batch.file(), record))? else {
            return Err(StoreError::damaged(batch.file(), "an idempotency key is missing"));
        };
        if counters.now_ms - oldest.at_ms <= KEEP_MS {
            break;
        }
        batch.delete(keys::answer(&oldest.key));
        batch.delete(place);
        counters.first_answer += 1;
    }
    Ok(())
}
