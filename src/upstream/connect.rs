//! Opening a connection to an endpoint.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, Socket, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::failure::Cause;
use crate::report::hint::Hint;
use crate::routing::policy::AddressRules;

use super::classify::{connect_failure, handshake_failure, handshake_hint};
use super::counting::{CountingWrites, Traffic};
use super::tls::ClientTls;
use super::transport::{Secured, Transport};

/// How long a peer may leave data or probes unacknowledged before it counts as gone.
///
/// It says nothing about how long an application may think: its kernel acknowledges meanwhile. It
/// does about how long one may not read, so that requests with a body go without; see
/// [`vanished`](super::vanished).
pub const VANISHED_AFTER: Duration = Duration::from_secs(5);

/// The same for upgraded connections, whose endpoint may leave messages unread for a while.
pub const TUNNEL_VANISHED_AFTER: Duration = Duration::from_secs(60);

/// A failure to connect, with what the operating system said.
#[derive(Debug)]
pub struct ConnectError {
    /// The cause.
    pub cause: Cause,
    /// What a failed handshake suggests beyond the cause.
    pub hint: Option<Box<Hint>>,
    /// For logs.
    pub detail: Option<io::Error>,
}

/// An open connection, before HTTP is spoken on it.
#[derive(Debug)]
pub struct Stream {
    pub(super) transport: Transport,
    pub(super) traffic: Arc<Traffic>,
    /// A second descriptor of the socket.
    pub(super) socket: Socket,
}

impl Stream {
    /// Whether it has TLS.
    pub(super) fn is_secured(&self) -> bool {
        matches!(self.transport, Transport::Tls(_))
    }

    /// Its bytes alone, for whoever speaks something else than requests on it.
    pub fn into_transport(self) -> Transport {
        self.transport
    }
}

/// Opens a connection within the time, TLS included where it is spoken, if the address may be
/// connected to.
///
/// # Errors
/// With the cause, when it cannot be opened.
pub async fn open(
    address: SocketAddr,
    within: Duration,
    rules: &AddressRules,
    tls: Option<&ClientTls>,
) -> Result<Stream, ConnectError> {
    if !rules.permits(address.ip()) {
        return Err(ConnectError {
            cause: Cause::AddressProhibited,
            hint: None,
            detail: None,
        });
    }
    let deadline = Instant::now() + within;
    let late = |hint: Option<Hint>| ConnectError {
        cause: Cause::ConnectTimeout,
        hint: hint.map(Box::new),
        detail: None,
    };
    let tcp = timeout_at(deadline, TcpStream::connect(address)).await;
    let tcp = tcp.map_err(|_| late(None))?.map_err(not_connected)?;
    let started = timeout_at(deadline, start(tcp, tls)).await;
    started.unwrap_or_else(|_| Err(late(Some(Hint::LateHandshake))))
}

async fn start(tcp: TcpStream, tls: Option<&ClientTls>) -> Result<Stream, ConnectError> {
    configure(&tcp).map_err(not_connected)?;
    let socket = SockRef::from(&tcp).try_clone().map_err(not_connected)?;
    let traffic = Arc::<Traffic>::default();
    let counted = CountingWrites::new(tcp, Arc::clone(&traffic));
    let transport = match tls {
        None => Transport::Plain(counted),
        // In a box, so that connections without TLS do not carry the state of a handshake about.
        Some(tls) => {
            let secured = Box::pin(tls.handshake(counted)).await;
            let secured = secured.map_err(|error| ConnectError {
                cause: handshake_failure(&error),
                hint: handshake_hint(&error),
                detail: Some(error),
            })?;
            Transport::Tls(Box::new(Secured::new(secured, Arc::clone(&traffic))))
        }
    };
    Ok(Stream {
        transport,
        traffic,
        socket,
    })
}

fn not_connected(error: io::Error) -> ConnectError {
    ConnectError {
        cause: connect_failure(&error),
        hint: None,
        detail: Some(error),
    }
}

/// A vanished peer is found by probes after 2 s of silence, one a second, within about 5 s.
fn configure(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new()
        .with_time(Duration::from_secs(2))
        .with_interval(Duration::from_secs(1))
        .with_retries(3);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(VANISHED_AFTER))
}
