//! A scripted upstream and its counters.
//!
//! Counters are behind one `watch`, so that a test waits for a state of the world
//! ([`Peer::wait_for`]) instead of for time to pass.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::connection;
use super::script::{Listen, Plan, Script};

/// Of each connection, how many of the bytes received are kept.
const KEPT: usize = 256 * 1024;

/// Of how many connections, the first ones, the bytes are kept.
const KEPT_CONNECTIONS: usize = 1024;

/// What reached a peer so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub connections: usize,
    /// Of those, the ones that are over.
    pub ended: usize,
    /// Request heads read.
    pub requests: usize,
    /// Connections that wait at a gate.
    pub waiting: usize,
    /// Bytes received.
    pub received: u64,
    /// Bytes handed to the kernel.
    pub sent: u64,
}

/// What reached a peer on one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Where from.
    pub from: Option<SocketAddr>,
    /// At which of the peer's addresses.
    pub at: Option<SocketAddr>,
    /// The bytes as received: the first 256 KiB.
    pub bytes: Vec<u8>,
    /// All that were received.
    pub total: u64,
    /// Request heads read.
    pub requests: usize,
}

/// A scripted upstream; dropping it closes its ports and connections.
#[derive(Debug)]
pub struct Peer {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    /// What keeps a port taken, or its accept queue full.
    _held: Vec<Held>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held for their descriptors alone")]
enum Held {
    Socket(TcpSocket),
    Full(TcpListener, TcpStream),
}

/// What the tasks of a peer share.
#[derive(Debug)]
pub(super) struct Shared {
    name: String,
    scripts: Mutex<Scripts>,
    counts: watch::Sender<Counts>,
    received: Mutex<Vec<Received>>,
    gate: Semaphore,
}

#[derive(Debug)]
struct Scripts {
    /// Each for one connection or one request.
    once: VecDeque<Arc<Script>>,
    /// After these, in turn.
    always: Vec<Arc<Script>>,
    /// Which of `always` is next.
    turn: usize,
}

impl Peer {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(plan: impl Into<Plan>) -> io::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::start_at(&[any], "peer", plan).await
    }

    /// Starts on these addresses, which share scripts and counters, under a name.
    ///
    /// # Errors
    /// When an address cannot be had.
    pub async fn start_at(
        addresses: &[SocketAddr],
        name: &str,
        plan: impl Into<Plan>,
    ) -> io::Result<Self> {
        let scripts = Scripts::new(plan.into());
        let listen = scripts.next().map_or(Listen::Accept, |next| next.listen);
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            scripts: Mutex::new(scripts),
            counts: watch::Sender::new(Counts::default()),
            received: Mutex::new(Vec::new()),
            gate: Semaphore::new(0),
        });
        let mut peer = Self {
            addresses: Vec::new(),
            shared,
            tasks: JoinSet::new(),
            _held: Vec::new(),
        };
        for address in addresses {
            let bound = peer.open_port(*address, listen).await?;
            peer.addresses.push(bound);
        }
        Ok(peer)
    }

    async fn open_port(&mut self, address: SocketAddr, listen: Listen) -> io::Result<SocketAddr> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(listen == Listen::Accept)?;
        socket.bind(address)?;
        let bound = socket.local_addr()?;
        match listen {
            Listen::Refuse => self._held.push(Held::Socket(socket)),
            Listen::Ignore => {
                // A backlog of 0 holds one connection; the next SYN is dropped.
                let listener = socket.listen(0)?;
                let filler = TcpStream::connect(bound).await?;
                self._held.push(Held::Full(listener, filler));
            }
            Listen::Accept => {
                let listener = socket.listen(1024)?;
                self.tasks.spawn(accept(listener, self.shared.clone()));
            }
        }
        Ok(bound)
    }

    /// Where it listens: the first of its addresses.
    pub fn address(&self) -> SocketAddr {
        let none = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        self.addresses.first().copied().unwrap_or(none)
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The next connection or request meets this script; several are queued.
    pub fn once(&self, script: impl Into<Script>) {
        self.shared
            .scripts()
            .once
            .push_back(Arc::new(script.into()));
    }

    /// Connections and requests meet these scripts from now on.
    pub fn from_now_on(&self, plan: impl Into<Plan>) {
        *self.shared.scripts() = Scripts::new(plan.into());
    }

    /// Lets so many connections through their gates.
    pub fn open(&self, gates: usize) {
        self.shared.gate.add_permits(gates);
    }

    /// What reached it so far.
    pub fn counts(&self) -> Counts {
        *self.shared.counts.borrow()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.counts().connections
    }

    /// Request heads read so far.
    pub fn requests(&self) -> usize {
        self.counts().requests
    }

    /// What was received, connection by connection: the first 1,024 of them.
    pub fn received(&self) -> Vec<Received> {
        self.shared.records().clone()
    }

    /// Waits until the counters satisfy a condition, and returns them.
    pub async fn wait_for(&self, condition: impl FnMut(&Counts) -> bool) -> Counts {
        let mut counts = self.shared.counts.subscribe();
        match counts.wait_for(condition).await {
            Ok(counts) => *counts,
            // The sender lives as long as `self`.
            Err(_) => std::future::pending().await,
        }
    }

    /// Closes its ports and connections, and waits until they are closed.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }

    /// Serves until the future is dropped.
    pub async fn serve(&mut self) {
        while self.tasks.join_next().await.is_some() {}
        std::future::pending().await
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, from)) = accepted {
                let shared = shared.clone();
                let index = shared.connected(from, stream.local_addr().ok());
                connections.spawn(async move {
                    // How the other side ends a connection is seen in what reached us.
                    let _ = connection::serve(stream, &shared, index).await;
                    shared.count(|counts| counts.ended += 1);
                });
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Scripts {
    fn new(Plan(scripts): Plan) -> Self {
        Self {
            once: VecDeque::new(),
            always: scripts.into_iter().map(Arc::new).collect(),
            turn: 0,
        }
    }

    fn next(&self) -> Option<&Arc<Script>> {
        self.once.front().or_else(|| self.always.get(self.turn))
    }

    fn take(&mut self) -> Option<Arc<Script>> {
        if let Some(once) = self.once.pop_front() {
            return Some(once);
        }
        let script = self.always.get(self.turn).cloned();
        self.turn = (self.turn + 1) % self.always.len().max(1);
        script
    }
}

impl Shared {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn scripts(&self) -> MutexGuard<'_, Scripts> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn records(&self) -> MutexGuard<'_, Vec<Received>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }

    /// The script of a new connection, if that begins before the first request.
    pub(super) fn script_on_connection(&self) -> Option<Arc<Script>> {
        let mut scripts = self.scripts();
        let waits = scripts.next()?.on_connection.is_empty();
        if waits { None } else { scripts.take() }
    }

    /// The script of a request whose head has been read.
    pub(super) fn script_on_request(&self) -> Option<Arc<Script>> {
        self.scripts().take()
    }

    fn connected(&self, from: SocketAddr, at: Option<SocketAddr>) -> usize {
        let mut records = self.records();
        if records.len() < KEPT_CONNECTIONS {
            records.push(Received {
                from: Some(from),
                at,
                ..Received::default()
            });
        }
        drop(records);
        let mut index = 0;
        self.count(|counts| {
            index = counts.connections;
            counts.connections += 1;
        });
        index
    }

    pub(super) fn requested(&self, index: usize) {
        if let Some(record) = self.records().get_mut(index) {
            record.requests += 1;
        }
        self.count(|counts| counts.requests += 1);
    }

    pub(super) fn received(&self, index: usize, bytes: &[u8]) {
        if let Some(record) = self.records().get_mut(index) {
            let room = KEPT - record.bytes.len();
            let kept = bytes.get(..room).unwrap_or(bytes);
            record.bytes.extend_from_slice(kept);
            record.total += bytes.len() as u64;
        }
        self.count(|counts| counts.received += bytes.len() as u64);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.count(|counts| counts.sent += bytes as u64);
    }

    pub(super) async fn gate(&self) {
        self.count(|counts| counts.waiting += 1);
        if let Ok(permit) = self.gate.acquire().await {
            permit.forget();
        }
        self.count(|counts| counts.waiting -= 1);
    }
}
