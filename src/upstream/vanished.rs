//! Telling a vanished peer from an application that does not read.
//!
//! A vanished node acknowledges nothing; an application that does not read has a kernel that does,
//! with a closed window. `TCP_USER_TIMEOUT` ends both (for closed windows since Linux 5.11), so that
//! it is for requests without a body only. Of a connection that carries a body, the kernel is asked
//! about once a second (sock_diag(7), over netlink) whether what it sends is acknowledged: bytes sent
//! again or window probes without an answer for as long as the limit mean that the peer is gone.
//!
//! Refused: `getsockopt(TCP_INFO)`, which takes unsafe code, and /proc/net/tcp, which lists every
//! connection of the machine.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::sync::Weak;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

/// How often it is worth looking.
pub const LOOK: Duration = Duration::from_secs(1);

/// Without an acknowledgement for that long from the first look that found one missing, a peer is
/// gone: with the time before that look, about as long as [`VANISHED_AFTER`](super::connect).
const SILENCE: Duration = Duration::from_secs(4);

/// Watches whether a connection's peer acknowledges.
#[derive(Debug)]
pub struct Watch {
    socket: Weak<Socket>,
    silent_since: Option<Instant>,
}

/// What the kernel waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outstanding {
    /// Times the oldest bytes were sent again.
    retransmits: u8,
    /// Window probes without an answer.
    probes: u8,
}

impl Watch {
    pub(super) fn new(socket: Weak<Socket>) -> Self {
        Self {
            socket,
            silent_since: None,
        }
    }

    /// Looks, and says whether the peer is gone. Where the kernel does not tell, it is not.
    pub fn is_gone(&mut self, now: Instant) -> bool {
        let outstanding = self.socket.upgrade().and_then(|socket| {
            let local = socket.local_addr().ok()?.as_socket()?;
            let peer = socket.peer_addr().ok()?.as_socket()?;
            ask(local, peer).ok()
        });
        self.judge(outstanding, now)
    }

    fn judge(&mut self, outstanding: Option<Outstanding>, now: Instant) -> bool {
        let answers = outstanding.is_none_or(|it| it.retransmits == 0 && it.probes == 0);
        if answers {
            self.silent_since = None;
            return false;
        }
        let since = *self.silent_since.get_or_insert(now);
        now.saturating_duration_since(since) >= SILENCE
    }
}

// From linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h and linux/tcp.h.
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const AF_NETLINK: i32 = 16;
const NETLINK_SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const IPPROTO_TCP: u8 = 6;
const INET_DIAG_INFO: u16 = 2;
const HEADER: usize = 16;
const INET_DIAG_MSG: usize = 72;

fn ask(local: SocketAddr, peer: SocketAddr) -> io::Result<Outstanding> {
    let netlink = Socket::new(
        Domain::from(AF_NETLINK),
        Type::DGRAM,
        Some(Protocol::from(NETLINK_SOCK_DIAG)),
    )?;
    // The kernel answers within the call that asks.
    netlink.set_nonblocking(true)?;
    netlink.send(&question(local, peer))?;
    let mut answer = [0; 1024];
    let length = (&netlink).read(&mut answer)?;
    let answer = answer.get(..length).unwrap_or_default();
    outstanding(answer).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// `struct nlmsghdr`, then `struct inet_diag_req_v2`, for exactly this connection.
fn question(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    let family = match local.ip() {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    };
    let mut question = Vec::with_capacity(72);
    question.extend(72_u32.to_ne_bytes());
    question.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    question.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence number and port: ours alone.
    question.extend([0; 8]);
    question.extend([family, IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0]);
    // In any state.
    question.extend(u32::MAX.to_ne_bytes());
    question.extend(local.port().to_be_bytes());
    question.extend(peer.port().to_be_bytes());
    question.extend(address(local.ip()));
    question.extend(address(peer.ip()));
    // On any interface, without a cookie.
    question.extend(0_u32.to_ne_bytes());
    question.extend([0xff; 8]);
    question
}

fn address(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => {
            let mut padded = [0; 16];
            padded[..4].copy_from_slice(&v4.octets());
            padded
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Finds `struct tcp_info` among the attributes after `struct inet_diag_msg`.
fn outstanding(answer: &[u8]) -> Option<Outstanding> {
    let kind = u16::from_ne_bytes([*answer.get(4)?, *answer.get(5)?]);
    if kind != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    let mut attributes = answer.get(HEADER + INET_DIAG_MSG..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes([
            *attributes.first()?,
            *attributes.get(1)?,
        ]));
        let kind = u16::from_ne_bytes([*attributes.get(2)?, *attributes.get(3)?]);
        let value = attributes.get(4..length)?;
        if kind == INET_DIAG_INFO {
            return Some(Outstanding {
                retransmits: *value.get(2)?,
                probes: *value.get(3)?,
            });
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_kernel_tells_of_a_connection_that_nothing_is_outstanding_on() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(any).unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (local, peer) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
            let nothing = Outstanding {
                retransmits: 0,
                probes: 0,
            };
            assert_eq!(ask(local, peer).unwrap(), nothing);
        }
    }

    #[test]
    fn of_a_connection_that_is_not_there_it_tells_nothing() {
        let nowhere = "127.0.0.1:1".parse().unwrap();
        assert!(ask(nowhere, nowhere).is_err());
    }

    #[test]
    fn only_silence_that_lasts_means_gone() {
        let mut watch = Watch::new(Weak::new());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let sent_again = Some(Outstanding {
            retransmits: 1,
            probes: 0,
        });
        assert!(!watch.judge(sent_again, at(1)));
        assert!(!watch.judge(sent_again, at(3)));
        assert!(!watch.judge(None, at(4)));
        assert!(!watch.judge(sent_again, at(5)));
        assert!(!watch.judge(sent_again, at(8)));
        assert!(watch.judge(sent_again, at(9)));
    }
}
