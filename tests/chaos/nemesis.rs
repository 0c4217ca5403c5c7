//! Owns the faults: each is done to the running cluster, held for a while, shown to have taken effect,
//! and undone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rustix::process::Signal;

use super::clients::Load;
use super::harness::{Cluster, eventually};
use super::sandbox::Sandbox;

macro_rules! nemeses {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// One kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Nemesis { $($(#[$doc])* $name,)* }

        impl Nemesis {
            pub(crate) const ALL: &[Nemesis] = &[$(Nemesis::$name,)*];

            pub(crate) fn name(self) -> &'static str {
                match self { $(Nemesis::$name => $text,)* }
            }
        }
    };
}

nemeses! {
    /// `kill -9` of the leader.
    KillLeader = "kill_leader",
    KillOne = "kill_one",
    KillMajority = "kill_majority",
    KillAll = "kill_all",
    /// SIGSTOP, later SIGCONT: the node wakes in a world that has moved on.
    Freeze = "freeze",
    /// No node hears the leader, nor it any.
    IsolateLeader = "isolate_leader",
    /// The same for any node.
    IsolateOne = "isolate_one",
    /// What one node sends to the others is lost; it hears them.
    OneWay = "one_way",
    /// Two nodes do not hear each other; a third hears both.
    Bridge = "bridge",
    /// The disk of one node has no room left.
    FullDisk = "full_disk",
    FullDisks = "full_disks",
    /// The clock of one node jumps by up to an hour.
    ClockStep = "clock_step",
    /// Some of the packets to and from one node are lost, or from and to any.
    Loss = "loss",
    /// The link of the leader takes in little at a time: what is sent waits.
    SlowLink = "slow_link",
    /// The disk of one node does nothing for a while, again and again.
    SlowDisk = "slow_disk",
    /// All nodes lose power at once.
    PowerLoss = "power_loss",
    /// One node loses power while the others go on.
    PowerLossOne = "power_loss_one",
    /// A follower stays away until it needs a snapshot, and is killed while it gets it.
    Snapshot = "snapshot",
}

impl Nemesis {
    pub(crate) fn is_possible(self, sandbox: &Sandbox) -> bool {
        match self {
            Nemesis::IsolateLeader | Nemesis::IsolateOne | Nemesis::OneWay | Nemesis::Bridge | Nemesis::Loss => {
                sandbox.cuts
            }
            Nemesis::SlowLink => sandbox.narrow,
            Nemesis::FullDisk | Nemesis::FullDisks | Nemesis::SlowDisk => sandbox.disks,
            Nemesis::PowerLoss | Nemesis::PowerLossOne => sandbox.disks,
            Nemesis::ClockStep => sandbox.clock.is_some(),
            _ => true,
        }
    }
}

/// The cluster under test, and what is done to it.
pub(crate) struct Victim {
    pub(crate) cluster: Cluster,
    pub(crate) sandbox: Sandbox,
    pub(crate) load: Arc<Load>,
    pub(crate) random: StdRng,
}

impl Victim {
    /// Does it, holds it, undoes it. An error says that it did not take effect.
    pub(crate) async fn suffer(&mut self, nemesis: Nemesis) -> Result<(), String> {
        match nemesis {
            Nemesis::KillLeader => {
                let leader = self.leader().await;
                self.kill(&[leader]).await
            }
            Nemesis::KillOne => self.kill_some(1).await,
            Nemesis::KillMajority => self.kill_some(self.cluster.nodes.len() / 2 + 1).await,
            Nemesis::KillAll => self.kill_some(self.cluster.nodes.len()).await,
            Nemesis::Freeze => self.freeze().await,
            Nemesis::IsolateLeader | Nemesis::IsolateOne | Nemesis::OneWay | Nemesis::Bridge => self.cut(nemesis).await,
            Nemesis::FullDisk => {
                let one = self.any();
                self.fill(&[one]).await
            }
            Nemesis::FullDisks => self.fill(&self.cluster.ids()).await,
            Nemesis::ClockStep => self.step_clock().await,
            Nemesis::Loss => self.lose().await,
            Nemesis::SlowLink => self.narrow().await,
            Nemesis::SlowDisk => self.slow_disk().await,
            Nemesis::PowerLoss => self.cut_power(&self.cluster.ids()).await,
            Nemesis::PowerLossOne => {
                let one = if self.random.random() { self.leader().await } else { self.any() };
                self.cut_power(&[one]).await
            }
            Nemesis::Snapshot => self.snapshot().await,
        }
    }

    fn any(&mut self) -> u64 {
        *self.cluster.ids().choose(&mut self.random).expect("a node")
    }

    async fn leader(&self) -> u64 {
        self.cluster.leader().await
    }

    /// How long a fault lasts.
    async fn hold(&mut self) {
        let time = self.random.random_range(500..3_000);
        tokio::time::sleep(Duration::from_millis(time)).await;
    }

    /// Starts every node that is down, in any order.
    pub(crate) fn restart(&mut self) -> Result<(), String> {
        let mut ids = self.cluster.ids();
        ids.shuffle(&mut self.random);
        ids.into_iter().for_each(|id| {
            if !self.cluster.is_running(id) {
                self.cluster.spawn(id);
            }
        });
        Ok(())
    }

    async fn kill_some(&mut self, count: usize) -> Result<(), String> {
        let mut ids = self.cluster.ids();
        ids.shuffle(&mut self.random);
        self.kill(&ids[..count]).await
    }

    async fn kill(&mut self, ids: &[u64]) -> Result<(), String> {
        ids.iter().for_each(|id| self.cluster.kill(*id));
        self.hold().await;
        self.restart()
    }

    async fn freeze(&mut self) -> Result<(), String> {
        let id = if self.random.random() { self.leader().await } else { self.any() };
        self.cluster.signal(id, Signal::STOP);
        self.hold().await;
        let state = std::fs::read_to_string(format!("/proc/{}/stat", self.cluster.pid(id))).unwrap_or_default();
        self.cluster.signal(id, Signal::CONT);
        if state.contains(") T ") { Ok(()) } else { Err(format!("node {id} was not frozen: {state}")) }
    }

    async fn cut(&mut self, nemesis: Nemesis) -> Result<(), String> {
        let one = if nemesis == Nemesis::IsolateLeader { self.leader().await } else { self.any() };
        let mut others = self.cluster.ids();
        others.retain(|id| *id != one);
        if nemesis == Nemesis::Bridge {
            others.truncate(1);
        }
        for other in others {
            Sandbox::cut(one, other)?;
            if nemesis != Nemesis::OneWay {
                Sandbox::cut(other, one)?;
            }
        }
        self.hold().await;
        let stopped = Sandbox::join()?;
        if stopped > 0 { Ok(()) } else { Err("the cut stopped no packet".into()) }
    }

    async fn fill(&mut self, ids: &[u64]) -> Result<(), String> {
        const SAYS: &str = "writes are refused";
        let said = |victim: &Victim, id: u64| victim.cluster.log(id).matches(SAYS).count();
        let before: Vec<usize> = ids.iter().map(|id| said(self, *id)).collect();
        let left = if self.random.random() { 1 << 20 } else { 8 << 20 };
        ids.iter().try_for_each(|id| Sandbox::fill(&self.cluster, *id, left))?;
        for (id, before) in ids.iter().zip(before) {
            let noticed = async || (said(self, *id) > before).then_some(());
            eventually(&format!("node {id} notices that its disk is full"), noticed).await;
        }
        self.hold().await;
        ids.iter().try_for_each(|id| Sandbox::empty(&self.cluster, *id))
    }

    async fn step_clock(&mut self) -> Result<(), String> {
        let id = self.any();
        let seconds = self.random.random_range(-3_600..=3_600);
        Sandbox::set_clock(&self.cluster, id, seconds);
        self.hold().await;
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.cluster.pid(id))).unwrap_or_default();
        if maps.contains("libfaketime") { Ok(()) } else { Err(format!("node {id} has the machine's own clock")) }
    }

    async fn cut_power(&mut self, ids: &[u64]) -> Result<(), String> {
        self.sandbox.cut_power(&mut self.cluster, ids)?;
        if ids.len() < self.cluster.nodes.len() {
            self.hold().await;
        }
        self.restart()
    }

    async fn lose(&mut self) -> Result<(), String> {
        let (ids, percent) = (self.cluster.ids(), self.random.random_range(5..40));
        let one = self.random.random_bool(0.5).then(|| self.any());
        for (from, to) in ids.iter().flat_map(|from| ids.iter().map(move |to| (*from, *to))) {
            if from != to && one.is_none_or(|one| from == one || to == one) {
                Sandbox::lose(from, to, percent)?;
            }
        }
        self.hold().await;
        let stopped = Sandbox::join()?;
        if stopped > 0 { Ok(()) } else { Err("no packet was lost".into()) }
    }

    async fn narrow(&mut self) -> Result<(), String> {
        let (one, rate) = (self.leader().await, self.random.random_range(24..200));
        Sandbox::narrow(one, rate)?;
        self.hold().await;
        let waited = Sandbox::widen(one)?;
        if waited > 0 { Ok(()) } else { Err("no packet had to wait".into()) }
    }

    async fn slow_disk(&mut self) -> Result<(), String> {
        const SLOW: Duration = Duration::from_millis(50);
        let one = self.any();
        let mut slowest = Duration::ZERO;
        for _ in 0..self.random.random_range(4..12) {
            Sandbox::freeze(&self.cluster, one)?;
            let data = self.cluster.data(one);
            // A thread waits, as the node's own do.
            let synced = tokio::task::spawn_blocking(move || Sandbox::sync_time(&data));
            tokio::time::sleep(Duration::from_millis(self.random.random_range(60..400))).await;
            Sandbox::thaw(&self.cluster, one)?;
            slowest = slowest.max(synced.await.map_err(|e| e.to_string())??);
        }
        if slowest >= SLOW { Ok(()) } else { Err(format!("syncs took no longer than {slowest:?}")) }
    }

    async fn snapshot(&mut self) -> Result<(), String> {
        const WRITES: u64 = 200;
        let leader = self.leader().await;
        let mut followers = self.cluster.ids();
        followers.retain(|id| *id != leader);
        let away = *followers.choose(&mut self.random).expect("a follower");
        self.cluster.kill(away);
        let target = self.load.acknowledged.load(Ordering::Relaxed) + WRITES;
        let written = async || (self.load.acknowledged.load(Ordering::Relaxed) >= target).then_some(());
        eventually("the others write on", written).await;
        let sent = |victim: &Victim| {
            let line = format!("sending {} a snapshot", victim.cluster.node(away).address);
            victim.cluster.ids().into_iter().map(|id| victim.cluster.log(id).matches(&line).count()).sum::<usize>()
        };
        let (before, installed) = (sent(self), installs(&self.cluster, away));
        self.cluster.spawn(away);
        eventually("a snapshot is sent", async || (sent(self) > before).then_some(())).await;
        self.cluster.kill(away);
        self.cluster.spawn(away);
        let whole = async || (installs(&self.cluster, away) > installed).then_some(());
        eventually("the snapshot is installed", whole).await;
        Ok(())
    }
}

/// How many snapshots a node has installed.
pub(crate) fn installs(cluster: &Cluster, id: u64) -> usize {
    cluster.log(id).matches("installed a snapshot").count()
}
