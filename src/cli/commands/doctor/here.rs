//! Owns the looks at this machine: the configuration, the data directories, the disk, the ports.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::finding::Finding;
use crate::cli::print::bytes;
use crate::config::{Config, ConfigError, NodeConfig};
use crate::server::{LEAST_FREE, inspect};

/// Below so much free space a disk is soon full.
const LITTLE_FREE: u64 = 1 << 30;

/// How often the disk is timed.
const SYNCS: usize = 16;

/// From here on a disk slows every write down, and from here on it holds up elections.
const SLOW: Duration = Duration::from_millis(20);
const TOO_SLOW: Duration = Duration::from_millis(200);

/// What the configuration comes to; none where this machine has none.
pub(super) fn config(explicit: Option<&Path>) -> (Option<Config>, Finding) {
    let name = "config";
    match Config::endpoints(explicit).and_then(|found| found.map(|_| Config::load(explicit, &[])).transpose()) {
        Ok(Some(config)) => {
            let (size, cluster) = (config.nodes.len(), &config.cluster);
            let nodes = if size == 1 { "1 node".into() } else { format!("{size} nodes") };
            let found = match size {
                1 => Finding::warn(
                    name,
                    format!("cluster {cluster}, {nodes}"),
                    "one node is no safety: if its disk is lost, so is the data",
                ),
                _ if size.is_multiple_of(2) => {
                    let hint = format!("{size} nodes may lose no more than {} may: use an odd number", size - 1);
                    Finding::warn(name, format!("cluster {cluster}, {nodes}"), hint)
                }
                _ => Finding::pass(name, format!("cluster {cluster}, {nodes}")),
            };
            (Some(config), found)
        }
        Ok(None) => {
            (None, Finding::skip(name, "there is no ./config.json, and no other is named: this machine is a client"))
        }
        Err(error @ ConfigError::Unreadable { .. }) => {
            (None, Finding::fail(name, error.to_string(), "name the file with --config or DDB_CONFIG"))
        }
        Err(error) => (None, Finding::fail(name, error.to_string(), "see: ddb help config")),
    }
}

/// The looks at the disk; `here` says whether a node of the configuration runs, or may run, on this machine.
pub(super) fn disk(config: Option<&Config>, here: bool) -> Vec<Finding> {
    let skipped = |why: &str| ["data", "free space", "fsync"].map(|check| Finding::skip(check, why)).into();
    let Some(config) = config else { return skipped("there is no configuration") };
    let own: Vec<&NodeConfig> = config.nodes.iter().filter(|node| directory(config, node).is_dir()).collect();
    if own.is_empty() && !here {
        return skipped("no node of the configuration runs on this machine");
    }
    let mut found: Vec<Finding> = own.iter().map(|node| data(config, node)).collect();
    let Some(place) = config.data_dir.ancestors().find(|path| path.is_dir()) else {
        return skipped("the data directory stands on no disk");
    };
    if own.is_empty() {
        found.push(Finding::pass("data", format!("{} will be made at the first start", config.data_dir.display())));
    }
    // A node's own directory may be a disk of its own.
    let places: Vec<PathBuf> =
        if own.is_empty() { vec![place.into()] } else { own.iter().map(|node| directory(config, node)).collect() };
    found.extend(places.iter().map(|place| free_space(place)));
    found.extend(places.iter().map(|place| fsync(place)));
    found.dedup();
    found
}

fn directory(config: &Config, node: &NodeConfig) -> PathBuf {
    config.data_dir.join(format!("node-{}", node.id))
}

fn data(config: &Config, node: &NodeConfig) -> Finding {
    let name = "data";
    let path = directory(config, node);
    let shown = path.display();
    match inspect(&path) {
        Ok(None) => Finding::pass(name, format!("{shown} is empty as yet")),
        Ok(Some(stamp)) if stamp.id != node.id || stamp.cluster != config.cluster => Finding::fail(
            name,
            format!(
                "{shown} belongs to node {} of cluster {}, and not to node {} of {}",
                stamp.id, stamp.cluster, node.id, config.cluster
            ),
            "check cluster and data_dir in the configuration: a node takes no data of another",
        ),
        Ok(Some(stamp)) => {
            let used = if stamp.in_use { "in use by a running node" } else { "not in use" };
            Finding::pass(name, format!("{shown} belongs to node {}, {used}", node.id))
        }
        Err(error) => Finding::fail(
            name,
            error.to_string(),
            "run it as the user that runs the node, and check the owner of the directory",
        ),
    }
}

fn free_space(place: &Path) -> Finding {
    let name = "free space";
    let shown = place.display();
    let Ok(space) = rustix::fs::statvfs(place) else {
        return Finding::fail(
            name,
            format!("cannot ask how much is free in {shown}"),
            "check that the directory can be read",
        );
    };
    let (free, all) = (space.f_bavail.saturating_mul(space.f_frsize), space.f_blocks.saturating_mul(space.f_frsize));
    let facts = format!("{} of {} free in {shown}", bytes(free), bytes(all));
    if free < LEAST_FREE {
        let hint = format!("free some space: below {} writes are refused", bytes(LEAST_FREE));
        Finding::fail(name, facts, hint)
    } else if free < LITTLE_FREE {
        Finding::warn(
            name,
            facts,
            format!("free some space before it is less than {}: writes are refused then", bytes(LEAST_FREE)),
        )
    } else {
        Finding::pass(name, facts)
    }
}

fn fsync(place: &Path) -> Finding {
    let name = "fsync";
    let shown = place.display();
    let times = match timed_syncs(place) {
        Ok(times) => times,
        Err(error) => {
            return Finding::fail(
                name,
                format!("cannot write in {shown}: {error}"),
                "run it as the user that runs the node, and check the owner of the directory",
            );
        }
    };
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let facts = format!("median {:.2} ms, worst {:.2} ms of {SYNCS} in {shown}", ms(median), ms(worst));
    if is_memory(place) {
        let hint = "this is memory and no disk: nothing there survives a loss of power; set data_dir";
        return Finding::warn(name, facts, hint);
    }
    match median {
        _ if median >= TOO_SLOW => {
            Finding::fail(name, facts, "every write waits for it: use another disk, or find what else writes to it")
        }
        _ if median >= SLOW => {
            Finding::warn(name, facts, "every write waits for it: a faster disk makes writes faster")
        }
        _ => Finding::pass(name, facts),
    }
}

/// How long synced writes of 4 KiB take, in ascending order.
fn timed_syncs(place: &Path) -> io::Result<Vec<Duration>> {
    let path = place.join(format!(".ddb-doctor-{}", std::process::id()));
    let mut file = File::options().write(true).create_new(true).open(&path)?;
    let timed = (0..SYNCS).map(|_| {
        let began = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        Ok(began.elapsed())
    });
    let times: io::Result<Vec<Duration>> = timed.collect();
    fs::remove_file(&path)?;
    let mut times = times?;
    times.sort_unstable();
    Ok(times)
}

/// Whether a directory is kept in memory alone.
fn is_memory(place: &Path) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    #[cfg(target_os = "linux")]
    let found = rustix::fs::statfs(place).is_ok_and(|about| about.f_type as u64 == TMPFS);
    #[cfg(not(target_os = "linux"))]
    let found = (place, TMPFS).1 == 0;
    found
}

/// What this machine knows of a node's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// It is of this machine, and nobody listens.
    Free,
    /// It is of this machine, and somebody listens.
    Taken,
    /// It is of this machine, and may not be used.
    Forbidden,
    /// It is of another machine, or of none that is known.
    Elsewhere,
}

/// Looks whether a node could listen at an address.
pub(super) fn port(address: &str) -> Port {
    match TcpListener::bind(address.trim_start_matches("http://")) {
        Ok(_) => Port::Free,
        Err(error) if error.kind() == ErrorKind::AddrInUse => Port::Taken,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Port::Forbidden,
        Err(_) => Port::Elsewhere,
    }
}

/// What a node's port comes to, once it is known whether a node of the cluster `answers` there.
pub(super) fn port_finding(node: &NodeConfig, port: Port, answers: bool) -> Finding {
    let name = "ports";
    let NodeConfig { id, address, .. } = node;
    match (port, answers) {
        (_, true) => Finding::pass(name, format!("node {id} answers at {address}")),
        (Port::Free, _) => Finding::pass(name, format!("{address} is free for node {id}, which does not run")),
        (Port::Taken, _) => Finding::fail(
            name,
            format!("something that is no ddb node listens at {address}"),
            format!("end it, or give node {id} another address"),
        ),
        (Port::Forbidden, _) => {
            Finding::fail(name, format!("this user may not listen at {address}"), "use a port from 1024 on")
        }
        (Port::Elsewhere, _) => Finding::warn(
            name,
            format!("node {id} does not answer at {address}"),
            "if it should run: check the machine, its firewall and the network between",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn a_port_is_free_taken_or_elsewhere() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        assert_eq!(port(&address), Port::Taken);
        drop(listener);
        assert_eq!(port(&address), Port::Free);
        assert_eq!(port("http://192.0.2.1:80"), Port::Elsewhere);
    }

    #[test]
    fn the_disk_is_timed_and_nothing_stays_behind() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(timed_syncs(dir.path()).unwrap().len(), SYNCS);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(fsync(&dir.path().join("nowhere")).verdict, Verdict::Fail);
    }
}
