//! Owns the choice of rows: a worker's own ones, by the distribution of the plan.

use std::ops::Range;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use super::plan::{Plan, Spread};

/// The choice of one worker. Worker `w` of `n` owns the keys `w`, `w + n`, `w + 2n` …, so that each has one writer.
pub(super) struct Keys {
    spread: Spread,
    rng: SmallRng,
    worker: u64,
    workers: u64,
    /// How many keys the worker owns.
    own: u64,
    next: u64,
    /// What tells the fresh keys of runs with other seeds apart.
    region: u64,
}

impl Keys {
    pub(super) fn new(plan: &Plan, worker: usize) -> Keys {
        let (worker, workers) = (worker as u64, plan.connections as u64);
        let own = (plan.keys.saturating_sub(worker)).div_ceil(workers).max(1);
        let rng = SmallRng::seed_from_u64(plan.seed.wrapping_mul(1_000_003).wrapping_add(worker));
        Keys { spread: plan.spread, rng, worker, workers, own, next: 0, region: (plan.seed % 1024) << 32 }
    }

    /// One of the worker's own keys.
    pub(super) fn own(&mut self) -> u64 {
        let rank = match self.spread {
            Spread::Uniform => self.rng.random_range(0..self.own),
            Spread::Zipf => self.zipf(),
            Spread::Sequential => {
                self.next += 1;
                (self.next - 1) % self.own
            }
        };
        rank * self.workers + self.worker
    }

    /// So many keys side by side that the worker has not had before, nor in a run with another seed: a piece of a sorted
    /// file. The number is the same each time.
    pub(super) fn fresh(&mut self, count: u64) -> Range<u64> {
        let first = self.region + (self.next * self.workers + self.worker) * count;
        self.next += 1;
        first..first + count
    }

    /// A rank by Zipf's law with exponent 1: the inverse of its continuous form, `own^u - 1`.
    fn zipf(&mut self) -> u64 {
        let u: f64 = self.rng.random();
        let rank = (self.own as f64 + 1.0).powf(u) - 1.0;
        (rank as u64).min(self.own - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::*;
    use crate::bench::{Stop, Workload};
    use crate::model::Level;

    fn plan(spread: Spread, keys: u64, connections: usize) -> Plan {
        Plan {
            workload: Workload::Insert,
            connections,
            stop: Stop::After(Duration::ZERO),
            rate: None,
            keys,
            spread,
            value_bytes: 8,
            level: Level::Linearizable,
            seed: 7,
        }
    }

    #[test]
    fn every_key_has_one_worker_and_none_is_left_out() {
        for (keys, workers) in [(10, 3), (9, 3), (64, 64), (1000, 7)] {
            let plan = plan(Spread::Sequential, keys, workers);
            let mut all = HashSet::new();
            for worker in 0..workers {
                let mut choice = Keys::new(&plan, worker);
                for _ in 0..choice.own {
                    assert!(all.insert(choice.own()), "a key has two writers");
                }
            }
            assert_eq!(all, (0..keys).collect());
        }
    }

    #[test]
    fn a_seed_repeats_its_choice_and_zipf_prefers_few() {
        for spread in [Spread::Uniform, Spread::Zipf] {
            let plan = plan(spread, 10_000, 1);
            let draw = |seed| {
                let mut keys = Keys::new(&Plan { seed, ..plan.clone() }, 0);
                (0..10_000).map(|_| keys.own()).collect::<Vec<_>>()
            };
            let drawn = draw(1);
            assert_eq!(drawn, draw(1));
            assert_ne!(drawn, draw(2));
            assert!(drawn.iter().all(|key| *key < 10_000));
            let of_the_first_hundred = drawn.iter().filter(|key| **key < 100).count();
            match spread {
                // ln(101) / ln(10,001) is one half.
                Spread::Zipf => assert!((4_500..5_500).contains(&of_the_first_hundred), "{of_the_first_hundred}"),
                _ => assert!((50..150).contains(&of_the_first_hundred), "{of_the_first_hundred}"),
            }
        }
    }

    #[test]
    fn fresh_keys_are_of_one_worker_of_one_seed() {
        let mut all = HashSet::new();
        for seed in 1..=3 {
            let plan = Plan { seed, ..plan(Spread::Uniform, 10, 4) };
            for worker in 0..4 {
                let mut choice = Keys::new(&plan, worker);
                for key in (0..3).flat_map(|_| choice.fresh(5)) {
                    assert!(all.insert(key), "{key} came twice");
                }
            }
        }
        assert_eq!(all.len(), 3 * 4 * 3 * 5);
    }
}
