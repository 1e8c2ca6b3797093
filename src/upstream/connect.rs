//! Opening a connection to an endpoint.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::failure::Cause;
use crate::routing::policy::AddressRules;

use super::classify::connect_failure;

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
    /// For logs.
    pub detail: Option<io::Error>,
}

/// Opens a TCP connection within the time, if the address may be connected to.
///
/// # Errors
/// With the cause, when it cannot be opened.
pub async fn connect(
    address: SocketAddr,
    within: Duration,
    rules: &AddressRules,
) -> Result<TcpStream, ConnectError> {
    if !rules.permits(address.ip()) {
        return Err(ConnectError {
            cause: Cause::AddressProhibited,
            detail: None,
        });
    }
    let opened = match tokio::time::timeout(within, TcpStream::connect(address)).await {
        Ok(result) => result.and_then(|stream| configure(&stream).map(|()| stream)),
        Err(_) => {
            return Err(ConnectError {
                cause: Cause::ConnectTimeout,
                detail: None,
            });
        }
    };
    opened.map_err(|error| ConnectError {
        cause: connect_failure(&error),
        detail: Some(error),
    })
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
