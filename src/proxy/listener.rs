//! Listening sockets, one a worker, and the options of accepted ones.
//!
//! The kernel spreads connections over sockets that share a port (`SO_REUSEPORT`), so that workers
//! accept without a lock between them. The same option would let a second process of the same user
//! take half of the connections unnoticed: the port is first bound without it, which fails where
//! somebody listens.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::TcpStream;

const BACKLOG: i32 = 4096;
/// Clients roam and sleep: longer than towards upstreams. The kernel also ends what does not read for
/// as long, which is no shorter than the limit of a write.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 3;

/// Sockets that listen on the same address, which has a port also where 0 was asked for.
///
/// `[::]` takes IPv4 too; where the kernel has no IPv6 it means `0.0.0.0`.
///
/// # Errors
/// When the address cannot be bound, also because another process listens there.
pub(crate) fn listen(
    address: SocketAddr,
    count: NonZeroUsize,
) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    let every_v6 = address.is_ipv6() && address.ip().is_unspecified();
    let address = match bind(address, false) {
        Ok(_) => address,
        Err(error) if every_v6 && is_without_ipv6(&error) => {
            let every_v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            bind(every_v4, false).map(|_| every_v4)?
        }
        Err(error) => return Err(error),
    };
    let first = open(address)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..count.get() {
        sockets.push(open(address)?);
    }
    Ok((address, sockets))
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bind(address, true)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Not where the kernel chooses: it could choose a port that another socket is about to listen on.
    socket.set_reuse_address(address.port() != 0)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn is_without_ipv6(error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    error.raw_os_error() == Some(EAFNOSUPPORT) || error.kind() == io::ErrorKind::AddrNotAvailable
}

/// Sets the options of an accepted connection: no Nagle, and a client that vanished is found out.
///
/// # Errors
/// When the connection is gone already.
pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEPALIVE_IDLE)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_PROBES),
    )
}

/// Makes closing the connection a reset, so that the client cannot take what it has for all.
pub(crate) fn reset_on_close(stream: &TcpStream) {
    // The connection is being given up: there is nothing to do about a failure.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> NonZeroUsize {
        NonZeroUsize::new(2).unwrap()
    }

    #[test]
    fn all_workers_share_a_port_that_the_kernel_chose() {
        let (address, sockets) = listen("127.0.0.1:0".parse().unwrap(), two()).unwrap();
        assert_ne!(address.port(), 0);
        for socket in sockets {
            assert_eq!(socket.local_addr().unwrap(), address);
        }
    }

    #[test]
    fn a_port_where_somebody_listens_is_refused() {
        let (address, _sockets) = listen("127.0.0.1:0".parse().unwrap(), two()).unwrap();
        let error = listen(address, two()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn every_address_includes_ipv4() {
        let (address, _sockets) = listen("[::]:0".parse().unwrap(), two()).unwrap();
        std::net::TcpStream::connect(("127.0.0.1", address.port())).unwrap();
    }
}
