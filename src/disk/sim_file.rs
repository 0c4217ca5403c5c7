//! Owns the bytes of a simulated file: live, durable, and what lies between; and the dice of a loss of power.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a disk writes in one piece.
const SECTOR: usize = 512;
/// What takes room.
pub(super) const BLOCK: u64 = 4096;

/// Decides what survives: one seed, one sequence, on any machine (SplitMix64, Steele et al. 2014).
#[derive(Debug)]
pub(super) struct Dice {
    state: u64,
    /// Of 100 unsynced pieces, how many are kept.
    percent: u64,
}

impl Dice {
    /// A third of the seeds lose all that was not synced, a third keep almost all of it.
    pub(super) fn new(seed: u64) -> Dice {
        Dice { state: seed, percent: [0, 50, 95][(seed % 3) as usize] }
    }

    pub(super) fn keeps(&mut self) -> bool {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % 100 < self.percent
    }
}

#[derive(Debug)]
enum Unsynced {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// The contents of a file, whatever it is called.
#[derive(Debug, Default)]
pub(super) struct SimBytes(Mutex<Contents>);

#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) live: Vec<u8>,
    durable: Vec<u8>,
    /// What happened to `live` since it was equal to `durable`.
    unsynced: Vec<Unsynced>,
    /// The blocks that take room.
    blocks: BTreeSet<u64>,
}

impl SimBytes {
    /// A file with these bytes, all on disk.
    pub(super) fn durable(bytes: Vec<u8>) -> SimBytes {
        let blocks = (0..(bytes.len() as u64).div_ceil(BLOCK)).collect();
        SimBytes(Mutex::new(Contents { live: bytes.clone(), durable: bytes, unsynced: Vec::new(), blocks }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    /// How many blocks take room.
    pub(super) fn blocks(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// How much of a write finds room, given that `free` blocks are left.
    pub(super) fn fits(&self, offset: u64, length: usize, free: u64) -> usize {
        let mut left = free;
        for block in offset / BLOCK..(offset + length as u64).div_ceil(BLOCK) {
            if self.blocks.contains(&block) {
                continue;
            }
            if left == 0 {
                return (block * BLOCK).saturating_sub(offset) as usize;
            }
            left -= 1;
        }
        length
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let at = offset as usize;
        if self.live.len() < at + data.len() {
            self.resize(at + data.len());
        }
        self.live[at..at + data.len()].copy_from_slice(data);
        self.blocks.extend(offset / BLOCK..(offset + data.len() as u64).div_ceil(BLOCK));
        self.unsynced.push(Unsynced::Write(at, data.to_vec()));
    }

    pub(super) fn resize(&mut self, length: usize) {
        self.live.resize(length, 0);
        drop(self.blocks.split_off(&(length as u64).div_ceil(BLOCK)));
        self.unsynced.push(Unsynced::Length(length));
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Unsynced::Length(length) => self.durable.resize(length, 0),
                Unsynced::Write(at, data) => self.durable[at..at + data.len()].copy_from_slice(&data),
            }
        }
    }

    /// Changes the bytes behind everyone's back.
    pub(super) fn tamper(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.live);
        self.durable = self.live.clone();
        self.unsynced.clear();
    }

    /// The bytes found after a loss of power: those that were synced, and of the rest what the dice
    /// say, in sectors and in any order.
    pub(super) fn after_power_loss(&self, dice: &mut Dice) -> Vec<u8> {
        let mut found = self.durable.clone();
        for change in &self.unsynced {
            match change {
                Unsynced::Length(length) if dice.keeps() => found.resize(*length, 0),
                Unsynced::Length(_) => {}
                Unsynced::Write(offset, data) => keep_sectors(&mut found, *offset, data, dice),
            }
        }
        found
    }
}

fn keep_sectors(found: &mut [u8], offset: usize, data: &[u8], dice: &mut Dice) {
    let mut at = offset;
    let end = offset + data.len();
    while at < end {
        let next = ((at / SECTOR + 1) * SECTOR).min(end);
        if dice.keeps() && at < found.len() {
            let upto = next.min(found.len());
            found[at..upto].copy_from_slice(&data[at - offset..upto - offset]);
        }
        at = next;
    }
}
