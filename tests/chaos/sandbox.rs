//! Owns what the run takes from the machine: a namespace for each node with a bridge between them, cuts
//! in it, a disk image for each node, a clock of its own. It knows nothing of clients or histories.
//!
//! The whole run happens in namespaces of its own (network, mounts, processes), so that nothing is left
//! of it, however it ends: the kernel takes everything down with its last process.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::harness::Cluster;

/// Set in the process that runs within the namespaces.
const INSIDE: &str = "DDB_CHAOS_INSIDE";
/// The size of a node's disk; a node refuses writes with less than 64 MiB left.
const DISK_MIB: u64 = 256;

/// What the machine has for the run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sandbox {
    /// Namespaces with a bridge between the nodes.
    pub(crate) network: bool,
    /// Cuts between the nodes, in one direction or both, and losses.
    pub(crate) cuts: bool,
    /// Links that take in little at a time.
    pub(crate) narrow: bool,
    /// An ext4 image for each node.
    pub(crate) disks: bool,
    /// libfaketime, where it is installed.
    pub(crate) clock: Option<PathBuf>,
    /// How often each node's disk was found again after a loss of power.
    generations: BTreeMap<u64, u64>,
}

/// Runs a program; its output if it succeeds, what it said if not.
pub(crate) fn run(words: &str) -> Result<String, String> {
    let mut parts = words.split_whitespace();
    let program = parts.next().ok_or("no program")?;
    let output = Command::new(program).args(parts).output().map_err(|e| format!("{program}: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{words}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Runs this very program again within namespaces of its own, where that is possible; `Some` is how it
/// ended. `None`: this process is to do the work, inside or without namespaces.
pub(crate) fn enter() -> Option<bool> {
    if std::env::var_os(INSIDE).is_some() {
        return None;
    }
    let apart = "unshare --net --mount --pid --fork --kill-child --mount-proc";
    if let Err(why) = run(&format!("{apart} true")) {
        println!("no namespaces: only kills and freezes of processes on loopback are tried ({why})");
        return None;
    }
    let own = std::env::current_exe().expect("this program has a path");
    let mut words = apart.split_whitespace();
    let status = Command::new(words.next().expect("a word"))
        .args(words)
        .arg(own)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .status();
    Some(status.expect("runs again in namespaces").success())
}

impl Sandbox {
    /// Builds what can be built, and says what cannot.
    pub(crate) fn build(size: u64) -> Sandbox {
        let mut sandbox = Sandbox::default();
        if std::env::var_os(INSIDE).is_none() {
            return sandbox;
        }
        let has = |what: &str, result: Result<(), String>| {
            if let Err(why) = &result {
                println!("{what} cannot be tried here: {why}");
            }
            result.is_ok()
        };
        sandbox.network = has("the network", network(size));
        sandbox.cuts = sandbox.network && has("cuts of the network", cuts());
        sandbox.narrow = sandbox.network && has("slow links", widen_all(size));
        sandbox.disks = has("power loss and full disks", probe_disk());
        let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
        let found = Path::new(library).exists().then(|| library.into()).ok_or("libfaketime is not installed".into());
        sandbox.clock = found.clone().ok();
        has("steps of the clock", found.map(|_| ()));
        sandbox
    }

    /// Where the nodes are, by id; `None` for loopback.
    pub(crate) fn addresses(&self, size: u64) -> Option<Vec<String>> {
        self.network.then(|| (1..=size).map(|id| format!("10.77.0.{id}:8080")).collect())
    }

    /// Makes the nodes of a cluster live here.
    pub(crate) fn furnish(&self, cluster: &mut Cluster) {
        if self.network {
            cluster.before = ["nsenter", "--net=/run/netns/n{id}"].map(String::from).to_vec();
        }
        if let Some(library) = &self.clock {
            let clock = |id| cluster.path().join(format!("clock-{id}"));
            cluster.ids().into_iter().for_each(|id| fs::write(clock(id), "+0").expect("a clock"));
            cluster.before.extend(["env".into(), format!("LD_PRELOAD={}", library.display())]);
            cluster.before.push(format!("FAKETIME_TIMESTAMP_FILE={}/clock-{{id}}", cluster.path().display()));
            cluster.before.extend(["FAKETIME_CACHE_DURATION=1", "DONT_FAKE_MONOTONIC=1"].map(String::from));
        }
        for id in cluster.ids().into_iter().filter(|_| self.disks) {
            let image = self.image(cluster, id);
            format(&image).expect("a disk image");
            mount(&image, &cluster.data(id)).expect("a mounted image");
        }
    }

    fn image(&self, cluster: &Cluster, id: u64) -> PathBuf {
        let generation = self.generations.get(&id).copied().unwrap_or(0);
        cluster.path().join(format!("disk-{id}-{generation}.img"))
    }

    /// Cuts the power of these nodes at once: their processes end and each disk keeps what it had been
    /// told to keep, no more. The nodes are left stopped. An error says that nothing unsynced was lost.
    pub(crate) fn cut_power(&mut self, cluster: &mut Cluster, ids: &[u64]) -> Result<(), String> {
        for id in ids {
            fs::write(cluster.data(*id).join("never-synced"), [7; 65_536]).map_err(|e| e.to_string())?;
        }
        for id in ids.iter().filter(|id| cluster.is_running(**id)).copied().collect::<Vec<_>>() {
            cluster.kill(id);
        }
        let old: Vec<PathBuf> = ids.iter().map(|id| self.image(cluster, *id)).collect();
        ids.iter().for_each(|id| *self.generations.entry(*id).or_default() += 1);
        for (id, old) in ids.iter().zip(&old) {
            let copy = self.image(cluster, *id);
            run(&format!("cp --sparse=always {} {}", old.display(), copy.display()))?;
        }
        for (id, old) in ids.iter().zip(&old) {
            let data = cluster.data(*id);
            run(&format!("umount {}", data.display()))?;
            fs::remove_file(old).map_err(|e| e.to_string())?;
            mount(&self.image(cluster, *id), &data)?;
            let kept = fs::read(data.join("never-synced")).unwrap_or_default();
            if kept.len() == 65_536 && kept.iter().all(|byte| *byte == 7) {
                return Err(format!("the disk of node {id} kept what was never synced"));
            }
        }
        Ok(())
    }

    /// Fills a node's disk but for `left` bytes; `empty` undoes it.
    pub(crate) fn fill(cluster: &Cluster, id: u64, left: u64) -> Result<(), String> {
        let data = cluster.data(id);
        let space = rustix::fs::statvfs(&data).map_err(|e| e.to_string())?;
        let size = (space.f_bavail * space.f_frsize).saturating_sub(left);
        run(&format!("fallocate -l {size} {}/filler", data.display())).map(|_| ())
    }

    /// Makes room again; the space is free once the disk knows it.
    pub(crate) fn empty(cluster: &Cluster, id: u64) -> Result<(), String> {
        let data = cluster.data(id);
        fs::remove_file(data.join("filler")).map_err(|e| e.to_string())?;
        run(&format!("sync -f {}", data.display())).map(|_| ())
    }

    /// How many small writes a second this machine makes durable, one after the other, just now.
    pub(crate) fn syncs_per_second(cluster: &Cluster) -> u64 {
        const ROUNDS: u32 = 40;
        let mut file = fs::File::create(cluster.data(1).join("syncs")).expect("a file");
        let began = Instant::now();
        for _ in 0..ROUNDS {
            file.write_all(&[7; 4_096]).and_then(|()| file.sync_all()).expect("a synced write");
        }
        (f64::from(ROUNDS) / began.elapsed().as_secs_f64()) as u64
    }

    /// How long it takes to make a small write in `data` durable, just now.
    pub(crate) fn sync_time(data: &Path) -> Result<Duration, String> {
        let began = Instant::now();
        let file = fs::File::create(data.join("syncs"));
        let synced = file.and_then(|mut file| file.write_all(&[7; 4_096]).and_then(|()| file.sync_all()));
        synced.map(|()| began.elapsed()).map_err(|e| e.to_string())
    }

    /// Sets a node's clock off by so many seconds.
    pub(crate) fn set_clock(cluster: &Cluster, id: u64, seconds: i64) {
        fs::write(cluster.path().join(format!("clock-{id}")), format!("{seconds:+}")).expect("a clock");
    }

    /// Drops what node `from` sends to node `to`.
    pub(crate) fn cut(from: u64, to: u64) -> Result<(), String> {
        run(&format!("nft add rule bridge ddb cuts iifname v{from} oifname v{to} counter drop")).map(|_| ())
    }

    /// Drops so many of a hundred packets that node `from` sends to node `to`.
    pub(crate) fn lose(from: u64, to: u64, percent: u64) -> Result<(), String> {
        let some = format!("numgen random mod 100 < {percent}");
        run(&format!("nft add rule bridge ddb cuts iifname v{from} oifname v{to} {some} counter drop")).map(|_| ())
    }

    /// Lets a node's link take in no more than so many kilobits a second in each direction: packets wait for up to
    /// 300 ms, and those that would wait longer are lost.
    pub(crate) fn narrow(id: u64, rate: u64) -> Result<(), String> {
        for (tc, device) in ends(id) {
            run(&format!("{tc} qdisc replace dev {device} root tbf rate {rate}kbit burst 3kb latency 300ms"))?;
        }
        Ok(())
    }

    /// Undoes `narrow`; how many packets had to wait.
    pub(crate) fn widen(id: u64) -> Result<u64, String> {
        let mut waited = 0;
        for (tc, device) in ends(id) {
            let told = run(&format!("{tc} -s qdisc show dev {device}"))?;
            let words: Vec<&str> = told.split_whitespace().collect();
            let counts =
                words.windows(2).filter(|pair| pair[0] == "overlimits").filter_map(|pair| pair[1].parse::<u64>().ok());
            waited += counts.sum::<u64>();
            run(&format!("{tc} qdisc del dev {device} root"))?;
        }
        Ok(waited)
    }

    /// Lets nothing reach a node's disk, until `thaw`: who writes or syncs waits.
    pub(crate) fn freeze(cluster: &Cluster, id: u64) -> Result<(), String> {
        run(&format!("fsfreeze -f {}", cluster.data(id).display())).map(|_| ())
    }

    pub(crate) fn thaw(cluster: &Cluster, id: u64) -> Result<(), String> {
        run(&format!("fsfreeze -u {}", cluster.data(id).display())).map(|_| ())
    }

    /// Removes all cuts; how many packets they stopped.
    pub(crate) fn join() -> Result<u64, String> {
        let rules = run("nft list chain bridge ddb cuts")?;
        run("nft flush chain bridge ddb cuts")?;
        let words: Vec<&str> = rules.split_whitespace().collect();
        let packets =
            words.windows(2).filter(|pair| pair[0] == "packets").filter_map(|pair| pair[1].parse::<u64>().ok());
        Ok(packets.sum())
    }
}

/// A bridge here, and for each node a namespace with one end of a cable.
fn network(size: u64) -> Result<(), String> {
    for command in [
        "mount -t tmpfs tmpfs /run",
        "ip link set lo up",
        "ip link add ddb0 type bridge",
        "ip address add 10.77.0.254/24 dev ddb0",
        "ip link set ddb0 up",
    ] {
        run(command)?;
    }
    for id in 1..=size {
        for command in [
            format!("ip netns add n{id}"),
            format!("ip link add v{id} type veth peer name eth0 netns n{id}"),
            format!("ip link set v{id} master ddb0"),
            format!("ip link set v{id} up"),
            format!("ip -n n{id} link set lo up"),
            format!("ip -n n{id} address add 10.77.0.{id}/24 dev eth0"),
            format!("ip -n n{id} link set eth0 up"),
        ] {
            run(&command)?;
        }
    }
    Ok(())
}

/// Both ends of a node's cable: how `tc` is called there, and the device.
fn ends(id: u64) -> [(String, String); 2] {
    [("tc".into(), format!("v{id}")), (format!("tc -n n{id}"), "eth0".into())]
}

/// Tries whether links can be narrowed.
fn widen_all(size: u64) -> Result<(), String> {
    (1..=size).try_for_each(|id| Sandbox::narrow(id, 1_000).and_then(|()| Sandbox::widen(id).map(|_| ())))
}

fn cuts() -> Result<(), String> {
    run("nft add table bridge ddb")?;
    run("nft add chain bridge ddb cuts { type filter hook forward priority 0 ; }").map(|_| ())
}

fn probe_disk() -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let (image, at) = (dir.path().join("probe.img"), dir.path().join("probe"));
    format(&image)?;
    mount(&image, &at)?;
    run(&format!("umount {}", at.display())).map(|_| ())
}

fn format(image: &Path) -> Result<(), String> {
    run(&format!("truncate -s {DISK_MIB}M {}", image.display()))?;
    run(&format!("mkfs.ext4 -q -F -m 0 {}", image.display())).map(|_| ())
}

/// Mounts an image so that nothing reaches it unasked: only a sync does.
fn mount(image: &Path, at: &Path) -> Result<(), String> {
    fs::create_dir_all(at).map_err(|e| e.to_string())?;
    run(&format!("mount -t ext4 -o loop,commit=600 {} {}", image.display(), at.display())).map(|_| ())
}
