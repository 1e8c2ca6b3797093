//! Forms of addresses, as strict as Kubernetes is since 1.36: no leading zeros, no IPv4 inside IPv6.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Advice, Faults};

/// Whether a text was ever taken for an address: Kubernetes passed over leading zeros in IPv4.
pub(super) fn looks_like_one(text: &str) -> bool {
    let octet = |text: &str| {
        let digits = text.trim_start_matches('0');
        let is_number = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        is_number && (digits.is_empty() || digits.parse::<u8>().is_ok())
    };
    let is_v4 = text.split('.').count() == 4 && text.split('.').all(octet);
    is_v4 || text.parse::<IpAddr>().is_ok()
}

/// Reads an address.
pub(super) fn parse(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    let is_mapped = matches!(address, IpAddr::V6(it) if it.to_ipv4_mapped().is_some());
    (!is_mapped).then_some(address)
}

/// An address.
pub(super) fn address(text: &str) -> Result<(), Advice> {
    match parse(text) {
        Some(_) => Ok(()),
        None => Err("an IP address such as 192.0.2.7 or 2001:db8::7, without leading zeros"),
    }
}

/// A range of addresses, spaces around it apart.
pub(super) fn network(text: &str) -> Result<(), Advice> {
    let read = |text: &str| {
        let (address, length) = text.split_once('/')?;
        let plain = length == "0" || !length.starts_with(['0', '+']);
        let length = length.parse().ok().filter(|_| plain)?;
        IpNet::new(parse(address)?, length).ok()
    };
    match read(text.trim()) {
        Some(network) if network.addr() == network.network() => Ok(()),
        _ => Err("a range of addresses such as 192.0.2.0/24, without bits beyond its length"),
    }
}

/// What is looked at can be an address of an endpoint.
pub(super) fn of_endpoint(faults: &mut Faults, address: IpAddr) {
    let (is_link_local, is_local_multicast) = match address {
        IpAddr::V4(it) => (it.is_link_local(), matches!(it.octets(), [224, 0, 0, _])),
        IpAddr::V6(it) => (
            it.is_unicast_link_local(),
            it.segments()[0] & 0xff0f == 0xff02,
        ),
    };
    let special = [
        (address.is_unspecified(), "the address of no host"),
        (address.is_loopback(), "a loopback address"),
        (is_link_local, "a link-local address"),
        (is_local_multicast, "an address of local multicast"),
    ];
    if let Some((_, what)) = special.into_iter().find(|(is, _)| *is) {
        faults.refuse(format!(
            "{address} is {what}: write an address that nodes can reach"
        ));
    }
}
