//! Owns the faults: which, where and when, as the seed says; and the healing of all of them.
//!
//! Most strike at random. Two wait for the moment that matters: a voter loses power just after it has
//! granted its vote, and a node comes back with an empty disk while another one is behind.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ddb::disk::{Disk as _, SimDisk};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use turmoil::Sim;

use crate::log::Said;
use crate::world::{Shared, name};

/// More than any disk here holds.
const LARGE: u64 = 1 << 40;

/// What befell the cluster, by kind.
pub(crate) type Faults = BTreeMap<&'static str, u64>;

/// Who brings the faults.
pub(crate) struct Nemesis {
    shared: Rc<Shared>,
    dice: StdRng,
    next: Duration,
    /// Nodes that are down, and when they start again.
    down: BTreeMap<u64, Duration>,
    /// Until when the links are as they are now.
    cut_until: Option<Duration>,
    /// The links that are cut, from whom to whom.
    cuts: Vec<(u64, u64)>,
    full_until: Option<(u64, Duration)>,
    slow_until: Option<(u64, Duration)>,
    /// A node that runs on an empty disk, until when, and its own disk.
    replaced: Option<(u64, Duration, SimDisk)>,
    /// The one whose vote decides, as the two others do not hear each other; until when that is waited for.
    arbiter: Option<(u64, Duration)>,
    /// Who loses power next, when, and who is cut off then.
    doomed: Option<(u64, Duration, u64)>,
    said: Said,
    pub(crate) faults: Faults,
}

impl Nemesis {
    pub(crate) fn new(seed: u64, shared: Rc<Shared>, said: Said) -> Nemesis {
        Nemesis {
            shared,
            dice: StdRng::seed_from_u64(seed ^ 0x6e65_6d65_7369_7321),
            next: Duration::ZERO,
            down: BTreeMap::new(),
            cut_until: None,
            cuts: Vec::new(),
            full_until: None,
            slow_until: None,
            replaced: None,
            arbiter: None,
            doomed: None,
            said,
            faults: Faults::new(),
        }
    }

    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.dice.random_range(range))
    }

    fn count(&mut self, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
    }

    fn someone(&mut self) -> u64 {
        self.dice.random_range(self.shared.ids())
    }

    /// All nodes in some order.
    fn everyone(&mut self) -> Vec<u64> {
        let mut all: Vec<u64> = self.shared.ids().collect();
        all.shuffle(&mut self.dice);
        all
    }

    /// Looks at the time: what is due happens.
    pub(crate) fn step(&mut self, sim: &mut Sim<'_>) {
        let now = sim.elapsed();
        self.pick_up(sim, now);
        if self.cut_until.is_some_and(|until| until <= now) {
            self.mend(sim);
        }
        if let Some((node, until)) = self.full_until
            && until <= now
        {
            self.empty(node);
        }
        if let Some((node, until)) = self.slow_until
            && until <= now
        {
            self.hurry(node);
        }
        if self.replaced.as_ref().is_some_and(|(_, until, _)| *until <= now) {
            self.put_back(sim, now);
        }
        self.await_vote(sim, now);
        let due: Vec<u64> = self.down.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
        due.into_iter().for_each(|id| self.start(sim, id));
        // Nothing else disturbs those who wait for a moment.
        if now >= self.next && self.arbiter.is_none() && self.doomed.is_none() {
            self.strike(sim, now);
            self.next = now + self.millis(150..1_500);
        }
    }

    /// Nodes that stopped by themselves lose power, as their disk is of no use.
    fn pick_up(&mut self, sim: &mut Sim<'_>, now: Duration) {
        for id in self.shared.ids() {
            if self.shared.with(id, |node| std::mem::take(&mut node.stopped)) && !self.down.contains_key(&id) {
                self.lose_power(sim, now, id);
            }
        }
    }

    fn strike(&mut self, sim: &mut Sim<'_>, now: Duration) {
        let node = self.someone();
        match self.dice.random_range(0..100) {
            0..20 => {
                self.count("power lost");
                self.lose_power(sim, now, node);
            }
            20..26 => {
                self.count("power lost by most");
                let most = *self.shared.ids().end() as usize / 2 + 1;
                self.everyone().into_iter().take(most).for_each(|id| self.lose_power(sim, now, id));
            }
            26..30 => {
                self.count("power lost by all");
                self.everyone().into_iter().for_each(|id| self.lose_power(sim, now, id));
            }
            30..38 => {
                self.count("killed");
                self.kill(sim, now, node);
            }
            38..46 => {
                self.count("power lost in mid-write");
                let operations = self.dice.random_range(0..60);
                self.shared.with(node, |node| {
                    node.may_stop = true;
                    node.disk.fail_after(operations, ErrorKind::Other);
                });
            }
            46..53 if self.full_until.is_none() => self.fill(now, node),
            53..60 => {
                self.count("clock moved");
                let offset = self.dice.random_range(-300_000..300_000);
                self.shared.with(node, |node| node.clock.store(offset, Ordering::Relaxed));
            }
            60..64 if self.slow_until.is_none() => {
                self.count("slow disk");
                let (until, delay) = (now + self.millis(500..3_000), self.millis(20..400));
                self.slow_until = Some((node, until));
                self.shared.with(node, |node| node.disk.set_delay(delay));
            }
            64..68 if self.replaced.is_none() => self.replace(sim, now),
            68..74 if self.arbiter.is_none() => self.wait_for_vote(sim, now),
            _ if self.cut_until.is_some() => self.mend(sim),
            _ => self.cut(sim, now, node),
        }
    }

    /// Takes a disk's room: less than writes are taken with is left, and enough for what is under way; or nothing.
    fn fill(&mut self, now: Duration, node: u64) {
        let until = now + self.millis(300..2_500);
        self.full_until = Some((node, until));
        let slack = if self.dice.random_bool(0.4) {
            self.count("disk full");
            self.dice.random_range(40 << 20..60 << 20)
        } else {
            self.count("no room at all");
            self.dice.random_range(0..6 << 10)
        };
        self.shared.with(node, |node| {
            node.disk.set_capacity(Some(LARGE));
            let used = LARGE - node.disk.room().unwrap();
            node.disk.set_capacity(Some(used + slack));
        });
    }

    /// Breaks links.
    fn cut(&mut self, sim: &mut Sim<'_>, now: Duration, node: u64) {
        self.cut_until = Some(now + self.millis(200..4_000));
        let all = self.everyone();
        let others: Vec<u64> = all.iter().copied().filter(|id| *id != node).collect();
        match self.dice.random_range(0..7) {
            0 | 1 => {
                self.count("isolated");
                others.iter().for_each(|other| self.cuts.extend([(node, *other), (*other, node)]));
            }
            2 => {
                self.count("halves");
                let (here, there) = all.split_at(all.len() / 2);
                for (a, b) in here.iter().flat_map(|a| there.iter().map(move |b| (a, b))) {
                    self.cuts.extend([(*a, *b), (*b, *a)]);
                }
            }
            3 => {
                self.count("cut one way");
                let hears = self.dice.random_bool(0.5);
                for other in others {
                    self.cuts.push(if hears { (node, other) } else { (other, node) });
                }
            }
            4 => {
                self.count("one link cut");
                self.cuts.extend([(node, others[0]), (others[0], node)]);
            }
            5 => {
                self.count("slow links");
                let latency = self.millis(20..300);
                others.iter().for_each(|other| sim.set_link_latency(name(node), name(*other), latency));
            }
            _ => {
                self.count("loss");
                for (a, b) in pairs(&all) {
                    sim.set_link_fail_rate(name(a), name(b), 0.003);
                }
            }
        }
        self.apply_cuts(sim);
    }

    /// Lets a node come back with an empty disk, when another one can be behind the rest.
    fn replace(&mut self, sim: &mut Sim<'_>, now: Duration) {
        let node = self.someone();
        self.count("id used twice");
        self.kill(sim, now, node);
        let own = self.shared.with(node, |node| std::mem::take(&mut node.disk));
        self.down.insert(node, now + Duration::from_millis(50));
        let until = now + self.millis(1_000..3_000);
        self.replaced = Some((node, until, own));
        // Of the others, one that has everything is cut off: whoever is left must not decide without it.
        let leader = self.said.leader.load(Ordering::Relaxed);
        if leader != 0 && leader != node {
            self.isolate(sim, leader, until);
        }
    }

    /// The node gets its own disk again.
    fn put_back(&mut self, sim: &mut Sim<'_>, now: Duration) {
        let Some((node, _, own)) = self.replaced.take() else { return };
        self.kill(sim, now, node);
        // Nothing that struck before it was taken out waits in it.
        own.heal();
        own.set_capacity(None);
        own.set_delay(Duration::ZERO);
        self.shared.with(node, |node| node.disk = own);
    }

    fn isolate(&mut self, sim: &Sim<'_>, node: u64, until: Duration) {
        self.cut_until = Some(until);
        for other in self.shared.ids().filter(|other| *other != node) {
            self.cuts.extend([(node, other), (other, node)]);
        }
        self.apply_cuts(sim);
    }

    /// Of three nodes the leader loses power, and those who may follow it do not hear each other.
    fn wait_for_vote(&mut self, sim: &mut Sim<'_>, now: Duration) {
        let leader = self.said.leader.load(Ordering::Relaxed);
        let others: Vec<u64> = self.shared.ids().filter(|id| *id != leader).collect();
        let [a, b] = others[..] else { return };
        self.mend(sim);
        self.cut_until = Some(now + Duration::from_secs(4));
        self.cuts.extend([(a, b), (b, a)]);
        self.apply_cuts(sim);
        self.lose_power(sim, now, leader);
        self.down.insert(leader, now + Duration::from_millis(100));
        self.said.granted.lock().unwrap().take();
        self.arbiter = Some((leader, now + Duration::from_secs(3)));
    }

    /// Once the vote has been granted, the voter loses power and whoever got the vote is alone.
    fn await_vote(&mut self, sim: &mut Sim<'_>, now: Duration) {
        if let Some((voter, at, candidate)) = self.doomed
            && at <= now
        {
            self.doomed = None;
            self.count("power lost after a vote");
            self.lose_power(sim, now, voter);
            self.down.insert(voter, now + Duration::from_millis(30));
            let until = now + self.millis(1_500..3_000);
            self.isolate(sim, candidate, until);
            self.next = until;
        }
        let Some((arbiter, until)) = self.arbiter else { return };
        let granted = self.said.granted.lock().unwrap().take();
        if let Some((voter, candidate)) = granted
            && voter == arbiter
        {
            self.doomed = Some((voter, now + self.millis(4..16), candidate));
        }
        if until <= now || self.doomed.is_some() {
            self.arbiter = None;
        }
    }

    fn hurry(&mut self, node: u64) {
        self.slow_until = None;
        self.shared.with(node, |node| node.disk.set_delay(Duration::ZERO));
    }

    fn apply_cuts(&self, sim: &Sim<'_>) {
        self.cuts.iter().for_each(|(from, to)| sim.partition_oneway(name(*from), name(*to)));
    }

    /// Ends all that runs on a node, without a word to anyone: what its tasks would still send while
    /// they are dropped is lost, as the order in which a runtime drops them is no part of a seed.
    fn crash(&self, sim: &mut Sim<'_>, id: u64) {
        let others = self.shared.ids().filter(|other| *other != id).map(name);
        let others: Vec<String> = others.chain(crate::run::clients()).collect();
        others.iter().for_each(|other| sim.partition(name(id), other.as_str()));
        sim.crash(name(id));
        others.iter().for_each(|other| sim.repair(name(id), other.as_str()));
        self.apply_cuts(sim);
    }

    /// Makes every link whole.
    fn mend(&mut self, sim: &mut Sim<'_>) {
        self.cut_until = None;
        self.cuts.clear();
        let all: Vec<u64> = self.shared.ids().collect();
        for (a, b) in pairs(&all) {
            sim.set_link_fail_rate(name(a), name(b), 0.0);
            sim.set_link_latency(name(a), name(b), crate::run::TICK);
            sim.set_link_max_message_latency(name(a), name(b), crate::run::SLOWEST);
            sim.repair(name(a), name(b));
        }
    }

    fn empty(&mut self, node: u64) {
        self.full_until = None;
        self.shared.with(node, |node| node.disk.set_capacity(None));
    }

    /// Stops a node and its disk at once; it finds what was synced, and some of the rest.
    fn lose_power(&mut self, sim: &mut Sim<'_>, now: Duration, id: u64) {
        if self.down.contains_key(&id) {
            return;
        }
        let dice = self.dice.random();
        self.shared.with(id, |node| node.disk.cut());
        self.crash(sim, id);
        self.shared.with(id, |node| node.disk = node.disk.after_power_loss(dice));
        self.goes_down(now, id);
    }

    /// Ends a node's process; the disk has all that was written.
    fn kill(&mut self, sim: &mut Sim<'_>, now: Duration, id: u64) {
        if self.down.contains_key(&id) {
            return;
        }
        self.shared.with(id, |node| node.disk.cut());
        self.crash(sim, id);
        self.shared.with(id, |node| node.disk.heal());
        self.goes_down(now, id);
    }

    fn goes_down(&mut self, now: Duration, id: u64) {
        let away = if self.dice.random_bool(0.8) { 50..1_500 } else { 1_500..5_000 };
        let at = now + self.millis(away);
        self.down.insert(id, at);
        self.shared.with(id, |node| (node.stopped, node.may_stop) = (false, false));
    }

    fn start(&mut self, sim: &mut Sim<'_>, id: u64) {
        self.down.remove(&id);
        // One that starts on a full disk may say so and end.
        let full = self.full_until.is_some_and(|(node, _)| node == id);
        self.shared.with(id, |node| node.may_stop |= full);
        sim.bounce(name(id));
    }

    /// Ends all faults and starts all nodes.
    pub(crate) fn heal(&mut self, sim: &mut Sim<'_>) {
        let now = sim.elapsed();
        self.mend(sim);
        (self.arbiter, self.doomed) = (None, None);
        self.put_back(sim, now);
        let full = self.full_until.map(|(id, _)| id);
        for id in self.shared.ids() {
            self.empty(id);
            self.hurry(id);
            // A disk that was to fail does so now, by a loss of power; what just found no room may yet stop its node.
            if full == Some(id) || self.shared.with(id, |node| node.may_stop || node.stopped) {
                self.lose_power(sim, now, id);
            }
            self.shared.with(id, |node| {
                // One that is down lost its power before; its disk was to fail once it is up.
                node.disk.heal();
                (node.may_stop, node.stopped) = (false, false);
            });
        }
        let down: Vec<u64> = self.down.keys().copied().collect();
        down.into_iter().for_each(|id| self.start(sim, id));
    }
}

/// Every two of them.
fn pairs(all: &[u64]) -> Vec<(u64, u64)> {
    let pair = |(at, a): (usize, &u64)| all[at + 1..].iter().map(|b| (*a, *b)).collect::<Vec<_>>();
    all.iter().enumerate().flat_map(pair).collect()
}
