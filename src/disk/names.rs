//! Owns the names of a simulated disk: which file each means now, and which it means after a loss of power.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::sim_file::{Dice, SimBytes};

/// A change of names; one is one step, also over a loss of power.
#[derive(Clone, Debug)]
enum Change {
    Link(String, Arc<SimBytes>),
    Unlink(String),
    Rename(String, String, Arc<SimBytes>),
}

pub(super) type Map = BTreeMap<String, Arc<SimBytes>>;

/// Names with their directory before them (`log/00000001.seg`).
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) live: Map,
    durable: Map,
    /// What has happened since a directory was synced: the directory, and the change.
    unsynced: Vec<(String, Change)>,
}

fn apply(map: &mut Map, change: Change) {
    match change {
        Change::Link(name, file) => drop(map.insert(name, file)),
        Change::Unlink(name) => drop(map.remove(&name)),
        Change::Rename(from, to, file) => {
            map.remove(&from);
            map.insert(to, file);
        }
    }
}

/// The directory of a name, with its slash; empty at the top.
fn directory(name: &str) -> String {
    name.rfind('/').map_or(String::new(), |at| name[..=at].to_string())
}

impl Names {
    /// Names that are on disk already.
    pub(super) fn durable(map: Map) -> Names {
        Names { live: map.clone(), durable: map, unsynced: Vec::new() }
    }

    fn change(&mut self, name: &str, change: Change) {
        apply(&mut self.live, change.clone());
        self.unsynced.push((directory(name), change));
    }

    pub(super) fn link(&mut self, name: &str, file: &Arc<SimBytes>) {
        self.change(name, Change::Link(name.into(), file.clone()));
    }

    pub(super) fn unlink(&mut self, name: &str) -> bool {
        let there = self.live.contains_key(name);
        if there {
            self.change(name, Change::Unlink(name.into()));
        }
        there
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> bool {
        let Some(file) = self.live.get(from).cloned() else { return false };
        self.change(from, Change::Rename(from.into(), to.into(), file));
        true
    }

    /// Makes the changes in one directory durable.
    pub(super) fn sync(&mut self, prefix: &str) {
        for (directory, change) in std::mem::take(&mut self.unsynced) {
            if directory == prefix {
                apply(&mut self.durable, change);
            } else {
                self.unsynced.push((directory, change));
            }
        }
    }

    /// What is found after a loss of power: the durable names, and any of the other changes.
    pub(super) fn after_power_loss(&self, dice: &mut Dice) -> Map {
        let mut found = self.durable.clone();
        for (_, change) in &self.unsynced {
            if dice.keeps() {
                apply(&mut found, change.clone());
            }
        }
        found
    }
}
