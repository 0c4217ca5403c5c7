//! Three nodes of etcd, and its gRPC calls over HTTP/2: one connection for every sixteen sessions.
//!
//! The few messages that are needed are written by hand; field numbers are those of etcd's `rpc.proto`.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use ddb::bench::{Row, Session, Target, Via};
use ddb::model::Level;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// How many sessions share a connection.
pub(crate) const SHARED: usize = 16;
/// How many puts a transaction may have: etcd's default limit.
const BATCH: usize = 128;

type Sender = SendRequest<Full<Bytes>>;

/// A cluster of etcd, ended with this.
pub(crate) struct Etcd {
    _dir: tempfile::TempDir,
    nodes: Vec<Child>,
    hosts: Vec<String>,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

impl Etcd {
    pub(crate) async fn start(program: &str) -> Etcd {
        let dir = tempfile::Builder::new().prefix("ddb-etcd-").tempdir().expect("a temporary directory");
        let ports: Vec<_> = (0..6).map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        let hosts: Vec<String> = ports.iter().map(|port| port.local_addr().expect("an address").to_string()).collect();
        drop(ports);
        let members: Vec<String> = (0..3).map(|n| format!("n{n}=http://{}", hosts[n + 3])).collect();
        let nodes = (0..3)
            .map(|n| {
                Command::new(program)
                    .args(["--name", &format!("n{n}"), "--initial-cluster", &members.join(",")])
                    .args(["--listen-client-urls", &format!("http://{}", hosts[n])])
                    .args(["--advertise-client-urls", &format!("http://{}", hosts[n])])
                    .args(["--listen-peer-urls", &format!("http://{}", hosts[n + 3])])
                    .args(["--initial-advertise-peer-urls", &format!("http://{}", hosts[n + 3])])
                    .args(["--quota-backend-bytes", "8589934592", "--log-level", "error"])
                    .arg("--data-dir")
                    .arg(dir.path().join(format!("n{n}")))
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .expect("etcd starts")
            })
            .collect();
        let etcd = Etcd { _dir: dir, nodes, hosts: hosts[..3].to_vec() };
        etcd.leader().await;
        etcd
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.nodes.iter().map(Child::id).collect()
    }

    /// The host that leads: each tells its own member id and the leader's.
    async fn leader(&self) -> usize {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            for (index, host) in self.hosts.iter().enumerate() {
                let Ok(mut sender) = dial(host).await else { continue };
                let Ok(status) = call(&mut sender, "/etcdserverpb.Maintenance/Status", Bytes::new()).await else {
                    continue;
                };
                let header = field(&status, 1).unwrap_or_default();
                let (own, leader) = (number(&header, 2), number(&status, 4));
                if own.is_some() && own == leader {
                    return index;
                }
            }
            assert!(Instant::now() < deadline, "etcd has no leader");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Puts pairs at the leader, `sessions` transactions at a time.
    pub(crate) async fn load(&self, pairs: &[(String, String)], sessions: usize) {
        let target = self.target(Via::Leader, Level::Linearizable).await;
        let mut loads = Vec::new();
        for (number, part) in pairs.chunks(pairs.len().div_ceil(sessions)).enumerate() {
            let mut session = target.session(number);
            loads.push(async move {
                for batch in part.chunks(BATCH) {
                    session.transaction(batch.iter().map(|(key, value)| pair(key, value))).await?;
                }
                Ok::<(), String>(())
            });
        }
        futures::future::try_join_all(loads).await.expect("etcd takes the rows");
    }

    pub(crate) async fn target(&self, via: Via, level: Level) -> EtcdTarget {
        let leader = self.leader().await;
        let wanted = |index: usize| match via {
            Via::Leader => index == leader,
            Via::Followers => index != leader,
            Via::All => true,
        };
        let mut lines = Vec::new();
        for (index, host) in self.hosts.iter().enumerate().filter(|(index, _)| wanted(*index)) {
            // Enough for 256 sessions; those that nobody uses cost nothing.
            let mut shared = Vec::new();
            for _ in 0..256 / SHARED {
                shared.push(dial(host).await.unwrap_or_else(|why| panic!("node {index}: {why}")));
            }
            lines.push(shared);
        }
        EtcdTarget { lines, stale: level == Level::Stale }
    }
}

async fn dial(host: &str) -> Result<Sender, String> {
    let stream = TcpStream::connect(host).await.map_err(|e| e.to_string())?;
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    let (sender, connection) =
        handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    tokio::spawn(connection);
    Ok(sender)
}

/// One unary call: the message behind five bytes, and the status in the trailers.
async fn call(sender: &mut Sender, path: &str, message: Bytes) -> Result<Bytes, String> {
    let mut body = BytesMut::with_capacity(message.len() + 5);
    body.put_u8(0);
    body.put_u32(message.len() as u32);
    body.extend_from_slice(&message);
    let request = http::Request::post(format!("http://etcd{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(body.freeze()))
        .map_err(|e| e.to_string())?;
    let answer = sender.send_request(request).await.map_err(|e| e.to_string())?;
    let early = answer.headers().get("grpc-status").cloned();
    let body = answer.into_body().collect().await.map_err(|e| e.to_string())?;
    let status = early.or_else(|| body.trailers()?.get("grpc-status").cloned());
    if status.as_ref().is_none_or(|status| status != "0") {
        return Err(format!("gRPC status {status:?}"));
    }
    let body = body.to_bytes();
    body.get(5..).map(|_| body.slice(5..)).ok_or_else(|| "an answer without a message".into())
}

pub(crate) struct EtcdTarget {
    /// By node, the connections to it.
    lines: Vec<Vec<Sender>>,
    stale: bool,
}

impl Target for EtcdTarget {
    type Session = EtcdSession;

    fn session(&self, worker: usize) -> EtcdSession {
        let node = &self.lines[worker % self.lines.len()];
        EtcdSession { sender: node[worker / SHARED % node.len()].clone(), stale: self.stale }
    }
}

pub(crate) struct EtcdSession {
    sender: Sender,
    stale: bool,
}

fn key(key: u64) -> String {
    format!("bench/{key}")
}

/// `PutRequest { key = 1, value = 2 }`.
fn put(row: Row) -> BytesMut {
    pair(&key(row.key), &row.json())
}

fn pair(key: &str, value: &str) -> BytesMut {
    let mut out = BytesMut::new();
    push(&mut out, 1, key.as_bytes());
    push(&mut out, 2, value.as_bytes());
    out
}

impl EtcdSession {
    /// `TxnRequest { success = 2 }; RequestOp { request_put = 2 }`.
    async fn transaction(&mut self, puts: impl Iterator<Item = BytesMut>) -> Result<(), String> {
        let mut message = BytesMut::new();
        for put in puts {
            let mut operation = BytesMut::new();
            push(&mut operation, 2, &put);
            push(&mut message, 2, &operation);
        }
        call(&mut self.sender, "/etcdserverpb.KV/Txn", message.freeze()).await.map(drop)
    }
}

impl Session for EtcdSession {
    async fn put(&mut self, row: Row) -> Result<(), String> {
        call(&mut self.sender, "/etcdserverpb.KV/Put", put(row).freeze()).await.map(|_| ())
    }

    async fn get(&mut self, own: u64) -> Result<Option<Vec<u8>>, String> {
        // RangeRequest { key = 1, serializable = 7 }; RangeResponse { kvs = 2 }; KeyValue { value = 5 }.
        let mut message = BytesMut::new();
        push(&mut message, 1, key(own).as_bytes());
        if self.stale {
            message.put_u8(7 << 3);
            message.put_u8(1);
        }
        let answer = call(&mut self.sender, "/etcdserverpb.KV/Range", message.freeze()).await?;
        Ok(field(&answer, 2).and_then(|pair| field(&pair, 5)))
    }

    async fn search(&mut self, _: u64) -> Result<u64, String> {
        Err("etcd has no columns to search".into())
    }

    async fn load(&mut self, rows: &[Row]) -> Result<(), String> {
        for batch in rows.chunks(BATCH) {
            self.transaction(batch.iter().copied().map(put)).await?;
        }
        Ok(())
    }
}

/// Writes a field of bytes.
fn push(out: &mut BytesMut, number: u8, bytes: &[u8]) {
    out.put_u8(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.put_u8(length as u8 | 0x80);
        length >>= 7;
    }
    out.put_u8(length as u8);
    out.extend_from_slice(bytes);
}

/// The fields of a message: number, and a number or bytes.
fn fields(mut message: &[u8]) -> Vec<(u64, Result<u64, Vec<u8>>)> {
    let mut found = Vec::new();
    while let Some(tag) = varint(&mut message) {
        match tag & 7 {
            0 => match varint(&mut message) {
                Some(value) => found.push((tag >> 3, Ok(value))),
                None => break,
            },
            2 => {
                let Some(length) = varint(&mut message) else { break };
                let Some((bytes, rest)) = message.split_at_checked(length as usize) else { break };
                found.push((tag >> 3, Err(bytes.to_vec())));
                message = rest;
            }
            _ => break,
        }
    }
    found
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn field(message: &[u8], number: u64) -> Option<Vec<u8>> {
    fields(message).into_iter().find(|(own, _)| *own == number)?.1.err()
}

fn number(message: &[u8], number: u64) -> Option<u64> {
    fields(message).into_iter().find(|(own, _)| *own == number)?.1.ok()
}
