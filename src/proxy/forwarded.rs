//! Who the client is, and what the upstream is told about it.
//!
//! Applications decide by `X-Forwarded-*` who may do what, so that these fields are ours: of a peer
//! that is not a trusted proxy nothing of the kind survives, and `X-Forwarded-For` is overwritten,
//! not appended to. A trusted proxy's fields are kept and its chain is continued. The client is the
//! first address from the right that no trusted proxy has; what stands left of it is hearsay.
//!
//! Of a stranger we also drop the private relatives of these fields that applications were taught to
//! believe (`X-Original-*`, `Ssl-Client-*`, …) in every spelling that CGI folds together
//! (`X_Forwarded_For`). `Forwarded` (RFC 7239) is dropped from everybody: most proxies pass a
//! stranger's on, and we would have to continue it to make it true.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The networks of proxies whose word about the client counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies(Box<[IpNet]>);

impl TrustedProxies {
    /// Trusts these networks.
    pub(crate) fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    /// Whether the address is a trusted proxy's.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// The other end of a connection, judged once when it is accepted.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Its address; an IPv4 address is one also on a dual-stack socket.
    pub(crate) address: SocketAddr,
    /// Whether it is a trusted proxy.
    pub(crate) trusted: bool,
    /// The IP address as the value of a field.
    field: HeaderValue,
}

impl Peer {
    /// Judges the other end of a connection.
    pub(crate) fn new(address: SocketAddr, proxies: &TrustedProxies) -> Self {
        let ip = address.ip().to_canonical();
        Self {
            address: SocketAddr::new(ip, address.port()),
            trusted: proxies.trusts(ip),
            field: address_field(ip),
        }
    }
}

/// How a request reached us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'a> {
    /// From whom.
    pub(crate) peer: &'a Peer,
    /// Whether over TLS.
    pub(crate) tls: bool,
    /// The `Host` that it is for.
    pub(crate) authority: &'a HeaderValue,
    /// The port in it, if any.
    pub(crate) port: Option<u16>,
}

/// Who sent a request, as far as anyone trusted knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address, for logs and limits.
    pub(crate) address: IpAddr,
    /// Whether it spoke TLS, to us or to a trusted proxy.
    pub(crate) https: bool,
}

/// Rewrites the fields that tell the upstream about the client.
pub(crate) fn rewrite(
    headers: &mut HeaderMap,
    received: Received<'_>,
    proxies: &TrustedProxies,
) -> Client {
    if received.peer.trusted {
        continue_chain(headers, received, proxies)
    } else {
        start_chain(headers, received)
    }
}

fn start_chain(headers: &mut HeaderMap, received: Received<'_>) -> Client {
    let spoofed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| speaks_for_a_proxy(name.as_str()))
        .cloned()
        .collect();
    for name in spoofed {
        headers.remove(name);
    }
    headers.insert(FOR, received.peer.field.clone());
    headers.insert(REAL_IP, received.peer.field.clone());
    headers.insert(HOST, received.authority.clone());
    headers.insert(PROTO, scheme(received.tls));
    headers.insert(PORT, port_field(received.port, received.tls));
    Client {
        address: received.peer.address.ip(),
        https: received.tls,
    }
}

fn continue_chain(
    headers: &mut HeaderMap,
    received: Received<'_>,
    proxies: &TrustedProxies,
) -> Client {
    headers.remove(FORWARDED);
    let peer = received.peer;
    let address = client_address(headers, peer, proxies);
    let mut chain = Vec::new();
    for value in headers.get_all(FOR) {
        chain.extend_from_slice(value.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(peer.field.as_bytes());
    let chain = HeaderValue::from_maybe_shared(bytes::Bytes::from(chain));
    headers.insert(FOR, chain.unwrap_or_else(|_| peer.field.clone()));
    headers.insert(REAL_IP, address_field(address));
    if headers.get_all(HOST).iter().count() != 1 {
        headers.insert(HOST, received.authority.clone());
    }
    let stated = single(headers, &PROTO).and_then(stated_https);
    let https = stated.unwrap_or(received.tls);
    headers.insert(PROTO, scheme(https));
    let port_is_stated = single(headers, &PORT)
        .and_then(|value| value.to_str().ok()?.parse::<u16>().ok())
        .is_some();
    if !port_is_stated {
        headers.insert(PORT, port_field(received.port, https));
    }
    Client { address, https }
}

/// The first address from the right that is not a trusted proxy's; where all are, the leftmost.
///
/// An entry that is no address ends the search: nothing left of it can be attributed.
fn client_address(headers: &HeaderMap, peer: &Peer, proxies: &TrustedProxies) -> IpAddr {
    let mut best = peer.address.ip();
    for value in headers.get_all(FOR).iter().rev() {
        for entry in value.as_bytes().rsplit(|b| *b == b',') {
            let Some(address) = parse_address(entry) else {
                return best;
            };
            best = address;
            if !proxies.trusts(address) {
                return best;
            }
        }
    }
    best
}

/// An address as proxies write it: some add the port, some brackets.
fn parse_address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let address: Option<IpAddr> = bare.parse().ok();
    address
        .or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()))
        .map(|address| address.to_canonical())
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn stated_https(value: &HeaderValue) -> Option<bool> {
    match value.as_bytes() {
        scheme if scheme.eq_ignore_ascii_case(b"https") => Some(true),
        scheme if scheme.eq_ignore_ascii_case(b"http") => Some(false),
        _ => None,
    }
}

fn scheme(https: bool) -> HeaderValue {
    HeaderValue::from_static(if https { "https" } else { "http" })
}

fn port_field(written: Option<u16>, https: bool) -> HeaderValue {
    match written {
        Some(port) => HeaderValue::from(port),
        None => HeaderValue::from_static(if https { "443" } else { "80" }),
    }
}

fn address_field(address: IpAddr) -> HeaderValue {
    let mut text = [0; 48];
    let mut free = &mut text[..];
    let written = write!(free, "{address}").map(|()| 48 - free.len());
    let text = written.ok().and_then(|length| text.get(..length));
    text.and_then(|text| HeaderValue::from_bytes(text).ok())
        .unwrap_or(HeaderValue::from_static("unknown"))
}

/// Whether a field claims something that only a proxy knows; `_` counts as `-`.
pub(super) fn speaks_for_a_proxy(name: &str) -> bool {
    const PREFIXES: [&str; 4] = [
        "x-forwarded-",
        "x-original-",
        "ssl-client-",
        "x-ssl-client-",
    ];
    const NAMES: [&str; 11] = [
        "cf-connecting-ip",
        "fastly-client-ip",
        "forwarded",
        "true-client-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-envoy-external-address",
        "x-forwarded",
        "x-real-ip",
        "x-rewrite-url",
        "x-scheme",
    ];
    // Most fields are told apart by their first letter.
    if !matches!(
        name.as_bytes().first(),
        Some(b'c' | b'f' | b's' | b't' | b'x')
    ) {
        return false;
    }
    PREFIXES.iter().any(|prefix| {
        name.get(..prefix.len())
            .is_some_and(|start| folds_to(start, prefix))
    }) || NAMES.iter().any(|other| folds_to(name, other))
}

/// Whether a name is this one to a recipient that takes `_` for `-`.
pub(super) fn folds_to(name: &str, other: &str) -> bool {
    name.len() == other.len()
        && name
            .bytes()
            .zip(other.bytes())
            .all(|(a, b)| a == b || a == b'_' && b == b'-')
}

#[cfg(test)]
mod tests;
