//! Owns the simulated disk: it fails or is full on demand, and forgets what was not synced. Test equipment.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::names::Names;
use super::sim_file::{BLOCK, Dice, SimBytes};
use super::{Disk, File};

/// A disk in memory. Clones are the same disk, also those that are a directory in it.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    /// The directory, with its slash; empty at the top.
    prefix: String,
}

#[derive(Debug, Default)]
struct State {
    names: Names,
    /// Operations so far that change the disk.
    operations: u64,
    /// From which operation on all fail, and until which.
    fails: Option<(u64, u64, io::ErrorKind)>,
    /// How many blocks there are; `None`: without end.
    capacity: Option<u64>,
    /// Whether syncs only say that they were done.
    lies: bool,
    /// How much longer than usual syncs take.
    delay: Duration,
}

impl State {
    /// Counts a change, or says why it does not happen.
    fn admit(&mut self) -> io::Result<()> {
        if let Some((from, until, kind)) = self.fails
            && (from..until).contains(&self.operations)
        {
            // A failure that is to last does not count on, so that it lasts.
            self.operations += u64::from(until != u64::MAX);
            return Err(kind.into());
        }
        self.operations += 1;
        Ok(())
    }

    fn free_blocks(&self) -> u64 {
        let used = || self.names.live.values().map(|file| file.lock().blocks()).sum();
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(used()))
    }
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing gets through from now on, as after a loss of power.
    pub fn cut(&self) {
        self.fail_after(0, io::ErrorKind::Other);
    }

    /// The disk works for `operations` more changes; then all fail until `heal`.
    pub fn fail_after(&self, operations: u64, kind: io::ErrorKind) {
        let mut state = self.state();
        state.fails = Some((state.operations + operations, u64::MAX, kind));
    }

    /// After `operations` more changes `count` of them fail; then the disk works again.
    pub fn fail_some(&self, operations: u64, count: u64, kind: io::ErrorKind) {
        let mut state = self.state();
        let from = state.operations + operations;
        state.fails = Some((from, from + count, kind));
    }

    /// The disk works again.
    pub fn heal(&self) {
        self.state().fails = None;
    }

    /// How much the disk can hold, in bytes; `None`: everything. What is there already stays. A
    /// write without room is done in part.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes.map(|bytes| bytes / BLOCK);
    }

    /// From now on syncs do nothing (or something again).
    pub fn set_lying(&self, lies: bool) {
        self.state().lies = lies;
    }

    /// From now on syncs take so much longer, as far as those who write tell the time by `delay`.
    pub fn set_delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// How many changes the disk has seen.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The disk as it is found after a loss of power: all that was synced, and of the rest what
    /// the seed says, in sectors of 512 bytes, names, and any order. This disk goes on as it was;
    /// `cut` it where its users are still at work.
    #[must_use]
    pub fn after_power_loss(&self, seed: u64) -> SimDisk {
        let state = self.state();
        let mut dice = Dice::new(seed);
        let names = state.names.after_power_loss(&mut dice).into_iter();
        let found = names.map(|(name, file)| {
            let bytes = file.lock().after_power_loss(&mut dice);
            (name, Arc::new(SimBytes::durable(bytes)))
        });
        let state = State { names: Names::durable(found.collect()), capacity: state.capacity, ..State::default() };
        SimDisk { state: Arc::new(Mutex::new(state)), prefix: self.prefix.clone() }
    }

    /// Lets a test change a file's bytes behind everyone's back.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let file = self.find(name)?;
        file.lock().tamper(change);
        Ok(())
    }

    /// Opens a file, or makes it, durably.
    ///
    /// # Errors
    /// The disk fails.
    pub fn open_or_create(&self, name: &str) -> io::Result<Box<dyn File>> {
        if self.find(name).is_ok() {
            return self.open(name);
        }
        let file = self.create(name)?;
        self.sync_dir()?;
        Ok(file)
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn find(&self, name: &str) -> io::Result<Arc<SimBytes>> {
        self.state().names.live.get(&self.path(name)).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn handle(&self, bytes: Arc<SimBytes>) -> Box<dyn File> {
        Box::new(SimFile { disk: self.state.clone(), bytes })
    }
}

impl Disk for SimDisk {
    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(self.handle(self.find(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        if self.find(name).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let bytes = Arc::new(SimBytes::default());
        let mut state = self.state();
        state.admit()?;
        state.names.link(&self.path(name), &bytes);
        drop(state);
        Ok(self.handle(bytes))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.state();
        let own = state.names.live.keys().filter_map(|name| name.strip_prefix(&self.prefix));
        Ok(own.filter(|name| !name.contains('/')).map(ToString::to_string).collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.admit()?;
        let there = state.names.rename(&self.path(from), &self.path(to));
        if there { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.admit()?;
        if state.names.unlink(&self.path(name)) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state();
        state.admit()?;
        if !state.lies {
            state.names.sync(&self.prefix);
        }
        Ok(())
    }

    fn directory(&self, name: &str) -> io::Result<Arc<dyn Disk>> {
        Ok(Arc::new(SimDisk { state: self.state.clone(), prefix: format!("{}{name}/", self.prefix) }))
    }

    fn room(&self) -> io::Result<u64> {
        Ok(self.state().free_blocks().saturating_mul(BLOCK))
    }

    fn delay(&self) -> Duration {
        self.state().delay
    }
}

#[derive(Debug)]
struct SimFile {
    disk: Arc<Mutex<State>>,
    bytes: Arc<SimBytes>,
}

impl SimFile {
    fn state(&self) -> MutexGuard<'_, State> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl File for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().live.len() as u64)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let contents = self.bytes.lock();
        let offset = offset as usize;
        let found = contents.live.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.admit()?;
        let free = state.free_blocks();
        let mut contents = self.bytes.lock();
        let fits = contents.fits(offset, data.len(), free);
        contents.write(offset, &data[..fits]);
        if fits == data.len() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.state().admit()?;
        self.bytes.lock().resize(length as usize);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        state.admit()?;
        if !state.lies {
            self.bytes.lock().sync();
        }
        Ok(())
    }
}
