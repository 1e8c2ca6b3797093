//! A worker: it accepts, decides who may stay, and serves.
//!
//! Workers share nothing but counts. A connection stays where the kernel put it, unless that worker
//! has far more than its part; then it is handed over before its TLS handshake, the costly piece.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::admission::{Admission, Pass};
use super::client::{ClientContext, ConnectionState, Shutdown, TlsSession};
use super::client_io::{ClientIo, Limits, Transport};
use super::connection::{Handler, serve};
use super::forwarded::{Peer, TrustedProxies};
use super::listener;
use super::refusal::Refusals;

/// What all workers know.
pub(crate) struct Shared<H> {
    pub(crate) handler: H,
    pub(crate) limits: Limits,
    pub(crate) proxies: TrustedProxies,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) refusals: Arc<Refusals>,
    /// Where each worker takes over connections of others.
    pub(crate) handovers: Vec<mpsc::Sender<Accepted>>,
    pub(crate) draining: watch::Receiver<bool>,
    pub(crate) shutdown: Arc<Shutdown>,
}

/// A connection that may stay.
pub(crate) struct Accepted {
    stream: std::net::TcpStream,
    address: SocketAddr,
    tls: bool,
    pass: Pass,
}

/// What one worker owns.
pub(crate) struct Worker {
    pub(crate) index: usize,
    /// Listeners, and whether clients speak TLS there.
    pub(crate) listeners: Vec<(std::net::TcpListener, bool)>,
    pub(crate) handed_over: mpsc::Receiver<Accepted>,
}

const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Worker {
    /// Accepts and serves until dropped.
    ///
    /// # Errors
    /// When a listener cannot be registered with the runtime.
    pub(crate) async fn run<H: Handler>(mut self, shared: Arc<Shared<H>>) -> io::Result<()> {
        let mut accepting = JoinSet::new();
        for (listener, tls) in self.listeners.drain(..) {
            let listener = TcpListener::from_std(listener)?;
            let shared = Arc::clone(&shared);
            accepting.spawn(accept(listener, tls, self.index, shared));
        }
        while let Some(accepted) = self.handed_over.recv().await {
            take(accepted, &shared);
        }
        accepting.join_all().await;
        Ok(())
    }
}

/// Accepts for ever. Without a file descriptor for a connection, pauses: each try would fail, and
/// the kernel keeps the queue.
async fn accept<H: Handler>(
    listener: TcpListener,
    tls: bool,
    worker: usize,
    shared: Arc<Shared<H>>,
) {
    let mut pause = SHORTEST_PAUSE;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                pause = SHORTEST_PAUSE;
                admit(stream, address, (tls, worker), &shared);
            }
            Err(error) if concerns_the_connection(&error) => {}
            Err(error) => {
                if pause == SHORTEST_PAUSE {
                    tracing::warn!(%error, "cannot accept connections, pausing");
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// accept(2): errors of the new connection itself are to be treated like `EAGAIN`.
fn concerns_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted,
        NetworkDown, NetworkUnreachable, PermissionDenied, TimedOut, WouldBlock,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | PermissionDenied
            | TimedOut
            | WouldBlock
    )
}

fn admit<H: Handler>(
    stream: TcpStream,
    address: SocketAddr,
    (tls, worker): (bool, usize),
    shared: &Arc<Shared<H>>,
) {
    let limited = !shared.proxies.trusts(address.ip());
    let Some(pass) = shared.admission.admit(address.ip(), limited, worker) else {
        listener::reset_on_close(&stream);
        return;
    };
    let other = pass.worker();
    if other == worker {
        spawn(stream, address, tls, (pass, Arc::clone(shared)));
        return;
    }
    let Ok(stream) = stream.into_std() else {
        return;
    };
    let accepted = Accepted {
        stream,
        address,
        tls,
        pass,
    };
    let refused = match shared.handovers.get(other) {
        Some(handover) => handover.try_send(accepted).err(),
        None => return,
    };
    if let Some(refused) = refused {
        take(refused.into_inner(), shared);
    }
}

fn take<H: Handler>(accepted: Accepted, shared: &Arc<Shared<H>>) {
    // Failing here means that the runtime is ending.
    if let Ok(stream) = TcpStream::from_std(accepted.stream) {
        let Accepted {
            address, tls, pass, ..
        } = accepted;
        spawn(stream, address, tls, (pass, Arc::clone(shared)));
    }
}

fn spawn<H: Handler>(
    stream: TcpStream,
    address: SocketAddr,
    tls: bool,
    (pass, shared): (Pass, Arc<Shared<H>>),
) {
    tokio::spawn(async move {
        let Ok(()) = listener::tune(&stream) else {
            return;
        };
        let worker = pass.worker();
        let metrics = &shared.refusals.metrics;
        let open = metrics.client_connection(worker);
        let acceptor = shared.tls.as_ref().filter(|_| tls);
        let Some((transport, tls)) = handshake(stream, acceptor, shared.limits.header).await else {
            metrics.tls_handshake_failed(worker);
            return;
        };
        let context = Arc::new(ClientContext {
            peer: Peer::new(address, &shared.proxies),
            tls,
            worker,
            state: Arc::new(ConnectionState::new(Arc::clone(&shared.shutdown))),
        });
        let state = Arc::clone(&context.state);
        let io = ClientIo::new(transport, state, shared.limits, (pass, open));
        let (handler, draining) = (shared.handler.clone(), shared.draining.clone());
        let (client, refusals) = (Arc::clone(&context), Arc::clone(&shared.refusals));
        drop(shared);
        if let Some(fault) = serve(io, context, handler, draining).await {
            refusals.tell(&client, fault);
        }
    });
}

/// `None` when the client did not get through the handshake in time.
async fn handshake(
    stream: TcpStream,
    acceptor: Option<&TlsAcceptor>,
    limit: Duration,
) -> Option<(Transport, Option<TlsSession>)> {
    let Some(acceptor) = acceptor else {
        return Some((Transport::Plain(stream), None));
    };
    match timeout(limit, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let (_, connection) = stream.get_ref();
            let session = TlsSession {
                version: match connection.protocol_version() {
                    Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
                    _ => "TLSv1.3",
                },
                server_name: connection.server_name().map(Into::into),
                h2: connection.alpn_protocol() == Some(b"h2"),
            };
            Some((Transport::Tls(Box::new(stream)), Some(session)))
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!("TLS handshake not finished in time");
            None
        }
    }
}
