//! Where to listen: an address, only a port, or nowhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::str::FromStr;

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// Nowhere (`none`).
    Off,
    /// On all interfaces (`:8080`), of both IP versions where the machine has both.
    AnyInterface(u16),
    /// Where it says (`127.0.0.1:8080`, `[::1]:8080`).
    At(SocketAddr),
}

/// A [`ListenAddress`] that cannot be reached from another machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopbackAddress(ListenAddress);

/// Not somewhere to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// No address at all.
    #[error("not an address; write ADDRESS:PORT, :PORT for all interfaces, or none")]
    Malformed,
    /// Reachable from elsewhere.
    #[error(
        "not a loopback address; what is shown there tells the topology, so that it is reached through kubectl port-forward"
    )]
    NotLoopback,
}

impl ListenAddress {
    /// Where that is; absent where nothing is to be listened to.
    pub fn socket_address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::AnyInterface(port) => Some(any_interface(port)),
            Self::At(address) => Some(address),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        if text == "none" {
            return Ok(Self::Off);
        }
        if let Some(port) = text.strip_prefix(':') {
            let port = port.parse().map_err(|_| InvalidAddress::Malformed)?;
            return Ok(Self::AnyInterface(port));
        }
        let address = text.parse().map_err(|_| InvalidAddress::Malformed)?;
        Ok(Self::At(address))
    }
}

impl FromStr for LoopbackAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        match text.parse()? {
            ListenAddress::Off => Ok(Self(ListenAddress::Off)),
            ListenAddress::AnyInterface(port) => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                Ok(Self(ListenAddress::At(address)))
            }
            ListenAddress::At(address) if address.ip().is_loopback() => {
                Ok(Self(ListenAddress::At(address)))
            }
            ListenAddress::At(_) => Err(InvalidAddress::NotLoopback),
        }
    }
}

impl LoopbackAddress {
    /// Where that is.
    pub fn address(self) -> ListenAddress {
        self.0
    }
}

/// `[::]`, which takes connections of IPv4 as well, or `0.0.0.0` where there is no IPv6.
fn any_interface(port: u16) -> SocketAddr {
    let has_ipv6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok();
    let ip = if has_ipv6 {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    } else {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    };
    SocketAddr::new(ip, port)
}
