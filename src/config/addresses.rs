//! Addresses that are written to Ingresses, and networks whose proxies are believed.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::object_name::is_dns_name;

/// An address under which clients reach this controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishedAddress {
    /// An IP address.
    Ip(IpAddr),
    /// A host name.
    Hostname(String),
}

/// Neither an IP address nor a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither an IP address nor a host name")]
pub struct InvalidPublishedAddress;

impl FromStr for PublishedAddress {
    type Err = InvalidPublishedAddress;

    fn from_str(text: &str) -> Result<Self, InvalidPublishedAddress> {
        if let Ok(ip) = text.parse() {
            return Ok(Self::Ip(ip));
        }
        let looks_like_ip = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if is_dns_name(text) && !looks_like_ip {
            Ok(Self::Hostname(text.to_owned()))
        } else {
            Err(InvalidPublishedAddress)
        }
    }
}

/// A network, or a single address as a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

/// Not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a network; write an IP address or a CIDR range, for example 10.0.0.0/8")]
pub struct InvalidNetwork;

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let network = text.parse::<IpNet>();
        let network = network.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Self).map_err(|_| InvalidNetwork)
    }
}

impl From<Network> for IpNet {
    fn from(network: Network) -> Self {
        network.0
    }
}
