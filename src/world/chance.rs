//! Owns chance: random numbers and names, from the system or, in a simulation, from its seed.

use std::cell::RefCell;
use std::convert::Infallible;

use rand::rngs::StdRng;
use rand::{RngCore as _, SeedableRng as _};

thread_local! {
    /// The generator of this thread's simulation, if it runs one.
    static SEEDED: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// Makes this thread a simulation's: from now on `seed` decides all its chances. Test equipment.
pub fn simulate(seed: u64) {
    SEEDED.with_borrow_mut(|seeded| *seeded = Some(StdRng::seed_from_u64(seed)));
}

/// Whether this thread runs a simulation.
pub fn simulated() -> bool {
    SEEDED.with_borrow(Option::is_some)
}

fn fill(bytes: &mut [u8]) {
    SEEDED.with_borrow_mut(|seeded| match seeded {
        Some(seeded) => seeded.fill_bytes(bytes),
        None => rand::rng().fill_bytes(bytes),
    });
}

/// A random number.
pub fn number() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// A random name that nothing else has: a version 4 UUID.
pub fn name() -> String {
    let mut bytes = [0; 16];
    fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// The chances of this thread, as a generator for those who want one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chance;

impl rand_core::TryRng for Chance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(number() as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(number())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        fill(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_repeat_in_a_simulation_only() {
        // Each test has a thread of its own.
        assert!(!simulated());
        assert_ne!((number(), name()), (number(), name()));
        simulate(7);
        let first = (number(), name());
        simulate(7);
        assert_eq!((number(), name()), first);
        simulate(8);
        assert_ne!((number(), name()), first);
    }
}
