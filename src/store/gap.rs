//! Owns what is known of the file's gaps while rows come that are mostly new: where no key lies, none is looked up.

use super::StoreError;
use super::disk::Base;

/// How many keys a gap must have held to be worth what it took to find it.
const WORTH: u32 = 8;
/// How many keys are looked up at most before another gap is tried.
const LONGEST_PAUSE: u32 = 1024;

/// The last gap that was found in the file, and how often it is worth to look for one.
#[derive(Default)]
pub(super) struct Gap {
    /// No key lies from the first (included) to the second (excluded), or after the first where there is no second.
    ends: Option<(Vec<u8>, Option<Vec<u8>>)>,
    /// How many keys it held.
    held: u32,
    /// How many more keys are looked up before the next try, and how many are between two tries.
    rest: u32,
    pause: u32,
}

impl Gap {
    /// Whether the file has no `key`, as far as is known.
    pub(super) fn holds(&mut self, key: &[u8]) -> bool {
        let Some((from, to)) = &self.ends else { return false };
        let holds = from.as_slice() <= key && to.as_ref().is_none_or(|to| key < to.as_slice());
        self.held += u32::from(holds);
        holds
    }

    /// Notes that the file, this one all the time, has no `key`: the next ones may lie beside it.
    pub(super) fn missed(&mut self, base: &Base, key: &[u8]) -> Result<(), StoreError> {
        if self.rest > 0 {
            self.rest -= 1;
            return Ok(());
        }
        if self.ends.is_some() {
            self.pause = if self.held < WORTH { (self.pause * 2).clamp(1, LONGEST_PAUSE) } else { 0 };
        }
        (self.held, self.rest) = (0, self.pause);
        self.ends = Some((key.to_vec(), base.key_after(key)?));
        Ok(())
    }
}
