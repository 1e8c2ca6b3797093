//! A scripted upstream and its counters.
//!
//! Counters are behind one `watch`, so that a test waits for a state of the world
//! ([`Peer::wait_for`]) instead of for time to pass.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::connection;
use super::ledger::{Counts, Received, Scripts, Shared};
use super::script::{Listen, Plan, Script};

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

fn socket_for(address: SocketAddr) -> io::Result<TcpSocket> {
    match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }
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
        let socket = socket_for(address)?;
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

    /// Closes its connections and listens no more. Nobody else is given its ports as long as it lives.
    ///
    /// # Errors
    /// When a port was not to be kept.
    pub async fn refuse(&mut self) -> io::Result<()> {
        self.tasks.shutdown().await;
        for address in self.addresses.clone() {
            let socket = socket_for(address)?;
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            self._held.push(Held::Socket(socket));
        }
        Ok(())
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
                    let left = connection::serve(stream, &shared, index).await.unwrap_or(false);
                    shared.count(|counts| {
                        counts.ended += 1;
                        counts.left += usize::from(left);
                    });
                });
            },
            Some(_) = connections.join_next() => {}
        }
    }
}
