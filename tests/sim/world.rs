//! Owns the simulated nodes: their disks, clocks, network, and whether they run.

use std::cell::RefCell;
use std::io;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ddb::config::{Config, NodeConfig};
use ddb::disk::SimDisk;
use ddb::model::Configured;
use ddb::replication::Group;
use ddb::server::{Limits, run};
use ddb::world::{Clock, Dialled, Listener, Network, Stream, World};
use tokio::time::Instant;

/// Where nodes listen.
pub(crate) const PORT: u16 = 8080;
/// What time it is when a simulation begins.
const EPOCH_MS: u64 = 1_800_000_000_000;

/// One node, whether it runs or not.
#[derive(Default)]
pub(crate) struct Node {
    pub(crate) disk: SimDisk,
    /// How far its clock is off, in milliseconds.
    pub(crate) clock: Arc<AtomicI64>,
    /// Its disk was made to fail, so it may stop by itself.
    pub(crate) may_stop: bool,
    /// It has stopped by itself since it was last started.
    pub(crate) stopped: bool,
}

/// What the parts of one simulation share.
pub(crate) struct Shared {
    pub(crate) nodes: RefCell<Vec<Node>>,
    pub(crate) problems: RefCell<Vec<String>>,
    /// How many nodes have stopped by themselves as their disk failed.
    pub(crate) failed: RefCell<u64>,
    lying: bool,
}

impl Shared {
    pub(crate) fn new(nodes: u64, lying: bool) -> Rc<Shared> {
        let nodes = (0..nodes).map(|_| Node::default()).collect();
        Rc::new(Shared { nodes: RefCell::new(nodes), problems: RefCell::default(), failed: RefCell::default(), lying })
    }

    pub(crate) fn ids(&self) -> std::ops::RangeInclusive<u64> {
        1..=self.nodes.borrow().len() as u64
    }

    pub(crate) fn problem(&self, what: impl Into<String>) {
        self.problems.borrow_mut().push(what.into());
    }

    pub(crate) fn with<T>(&self, id: u64, f: impl FnOnce(&mut Node) -> T) -> T {
        f(&mut self.nodes.borrow_mut()[id as usize - 1])
    }

    fn config(&self) -> Config {
        let node = |id| NodeConfig {
            id,
            address: format!("http://{}:{PORT}", name(id)),
            role: if id == 1 { Configured::Master } else { Configured::Slave },
        };
        Config {
            cluster: "sim".into(),
            data_dir: "/nowhere".into(),
            nodes: self.ids().map(node).collect(),
            heartbeat_ms: 100,
            election_timeout_ms: 500,
            snapshot_entries: 16,
            max_connections: 1_000,
            threads: 1,
        }
    }
}

/// A node's name on the network.
pub(crate) fn name(id: u64) -> String {
    format!("n{id}")
}

/// Runs a node until it is crashed or stops by itself.
pub(crate) async fn node(shared: Rc<Shared>, id: u64) -> turmoil::Result {
    let (disk, offset) = shared.with(id, |node| (node.disk.clone(), node.clock.clone()));
    disk.set_lying(shared.lying);
    let world = World { network: Arc::new(SimNetwork), clock: Arc::new(SimClock(offset)), disk: Some(Arc::new(disk)) };
    let listener = SimListener(turmoil::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?);
    let why = match Group::start_in(world, shared.config(), id).await {
        Err(e) => format!("did not start: {e}"),
        Ok(group) => {
            tokio::select! {
                biased;
                why = group.failed() => why,
                () = run(listener, group.clone(), Limits::default(), std::future::pending()) => "its server ended".into(),
            }
        }
    };
    // Here a snapshot is installed by a transaction, which needs room, and not by a rename.
    let install = why.contains("Write Snapshot") && why.contains("no space left");
    let may = shared.with(id, |node| {
        node.stopped = true;
        node.may_stop || install
    });
    if may {
        *shared.failed.borrow_mut() += 1;
    } else {
        shared.problem(format!("node {id} stopped though its disk was well: {why}"));
    }
    Ok(())
}

struct SimNetwork;

impl Network for SimNetwork {
    fn connect<'a>(&'a self, address: &'a str) -> Dialled<'a> {
        Box::pin(async move {
            let began = Instant::now();
            match turmoil::net::TcpStream::connect(address).await {
                Ok(stream) => Ok(Box::new(stream) as Box<dyn Stream>),
                // A refusal travels; this is what turmoil makes of a link that is cut, where nobody answers.
                Err(_) if began.elapsed().is_zero() => std::future::pending().await,
                Err(error) => Err(error),
            }
        })
    }
}

struct SimListener(turmoil::net::TcpListener);

impl Listener for SimListener {
    type Stream = turmoil::net::TcpStream;

    async fn accept(&self) -> io::Result<turmoil::net::TcpStream> {
        self.0.accept().await.map(|(stream, _)| stream)
    }
}

/// Simulated time, a little off.
struct SimClock(Arc<AtomicI64>);

impl Clock for SimClock {
    fn now_ms(&self) -> u64 {
        let elapsed = turmoil::sim_elapsed().unwrap_or_default().as_millis() as u64;
        (EPOCH_MS + elapsed).saturating_add_signed(self.0.load(Ordering::Relaxed))
    }
}
