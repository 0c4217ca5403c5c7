//! Owns a disk that loses what was not synced: live bytes, durable bytes, and what lies between.

use std::io;
use std::sync::{Arc, Mutex};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use redb::StorageBackend;

/// Clones are the same disk.
#[derive(Clone, Debug)]
pub(super) struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
enum Unsynced {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Debug, Default)]
struct State {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// What happened to `live` since it was equal to `durable`.
    unsynced: Vec<Unsynced>,
    /// Operations so far that change the disk.
    operations: u64,
    /// The operation that fails, as do all after it.
    fails_at: Option<(u64, io::ErrorKind)>,
}

impl SimDisk {
    pub(super) fn new() -> SimDisk {
        SimDisk { state: Arc::default() }
    }

    /// Nothing gets through from now on.
    pub(super) fn cut(&self) {
        self.fail_after(0, io::ErrorKind::Other);
    }

    /// The disk works for `operations` more changes.
    pub(super) fn fail_after(&self, operations: u64, kind: io::ErrorKind) {
        let mut state = self.state.lock().unwrap();
        state.fails_at = Some((state.operations + operations, kind));
    }

    /// The disk works again.
    pub(super) fn heal(&self) {
        self.state.lock().unwrap().fails_at = None;
    }

    /// How many changes the disk has seen.
    pub(super) fn operations(&self) -> u64 {
        self.state.lock().unwrap().operations
    }

    /// The disk as it is found after a loss of power: all that was synced, and of the rest what
    /// the seed says, in pieces of 512 bytes and in any order.
    pub(super) fn after_power_loss(&self, seed: u64) -> SimDisk {
        let state = self.state.lock().unwrap();
        let mut random = SmallRng::seed_from_u64(seed);
        let mut found = state.durable.clone();
        // A third of the seeds lose everything, a third keep almost everything.
        let chance = [0.0, 0.5, 0.95][(seed % 3) as usize];
        for change in &state.unsynced {
            match change {
                Unsynced::Length(length) if random.random_bool(chance) => found.resize(*length as usize, 0),
                Unsynced::Length(_) => {}
                Unsynced::Write(offset, data) => {
                    for (index, sector) in data.chunks(512).enumerate() {
                        let at = *offset as usize + index * 512;
                        if at + sector.len() <= found.len() && random.random_bool(chance) {
                            found[at..at + sector.len()].copy_from_slice(sector);
                        }
                    }
                }
            }
        }
        let state = State { live: found.clone(), durable: found, ..State::default() };
        SimDisk { state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn length(&self) -> usize {
        self.state.lock().unwrap().live.len()
    }

    /// Lets the test change bytes behind the store's back.
    pub(super) fn tamper(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock().unwrap();
        change(&mut state.live);
        state.durable = state.live.clone();
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if let Some((at, kind)) = state.fails_at
            && state.operations >= at
        {
            return Err(kind.into());
        }
        state.operations += 1;
        change(&mut state);
        Ok(())
    }
}

impl StorageBackend for SimDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().unwrap().live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock().unwrap();
        let offset = offset as usize;
        let found = state.live.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|state| {
            state.live.resize(len as usize, 0);
            state.unsynced.push(Unsynced::Length(len));
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(|state| {
            for change in std::mem::take(&mut state.unsynced) {
                match change {
                    Unsynced::Length(length) => state.durable.resize(length as usize, 0),
                    Unsynced::Write(at, data) => {
                        state.durable[at as usize..at as usize + data.len()].copy_from_slice(&data);
                    }
                }
            }
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(|state| {
            let at = offset as usize;
            state.live[at..at + data.len()].copy_from_slice(data);
            state.unsynced.push(Unsynced::Write(offset, data.to_vec()));
        })
    }
}
