//! Judging a request head: what hyper accepts and a gateway must not.
//!
//! A parser for servers is lenient where one recipient decides alone; a gateway is one of two
//! recipients, and every head that two of them can read differently is a way around the routing
//! rules. So each head is either given one reading here (host, port, canonical path, upgrade) or
//! refused as the client's fault, before an upstream is thought of: a malformed request must never
//! look like a failure of an endpoint.
//!
//! Framing of bodies is hyper's: it refuses contradicting lengths, and of `Transfer-Encoding` with
//! `Content-Length` it keeps the former and closes. What it lets through is refused here.

use std::borrow::Cow;
use std::net::Ipv6Addr;
use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};

use crate::failure::ClientFault;
use crate::routing::canonical::canonical_path;

/// The one reading of a request head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The host to route on: lower case, no port, no trailing dot; an IPv6 literal keeps its
    /// brackets. Empty only for HTTP/1.0 without `Host`.
    pub(crate) host: Arc<str>,
    /// The port, if the client wrote one.
    pub(crate) port: Option<u16>,
    /// The `Host` field for the upstream: as the client wrote it, or the authority of its target.
    pub(crate) authority: HeaderValue,
    /// The target for routing and forwarding: canonical path, query untouched.
    pub(crate) target: PathAndQuery,
    /// The protocol that the client asks to switch to.
    pub(crate) upgrade: Option<Upgrade>,
}

impl Head {
    /// The canonical path, without the query.
    pub(crate) fn path(&self) -> &str {
        self.target.path()
    }
}

/// A wish to leave HTTP on this connection or stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upgrade {
    /// The value of `Upgrade` for the upstream: protocols that may be forwarded, in the client's
    /// order.
    pub(crate) protocol: HeaderValue,
    /// Whether it came as an HTTP/2 extended CONNECT (RFC 8441).
    pub(crate) extended_connect: bool,
}

/// Reads a request head, or says what is wrong with it.
///
/// # Errors
/// When the head has no single safe reading.
pub(crate) fn check(parts: &Parts) -> Result<Head, ClientFault> {
    let upgrade = match parts.version {
        Version::HTTP_2 => extended_connect(parts)?,
        _ if parts.method == Method::CONNECT => return Err(ClientFault::Connect),
        Version::HTTP_11 => upgrade(&parts.headers)?,
        // RFC 9110 section 7.8: an Upgrade in an HTTP/1.0 request is ignored.
        _ => None,
    };
    transfer_coding(&parts.headers)?;
    expectation(parts)?;
    let (authority, name) = authority(parts)?;
    let target = target(&parts.uri)?;
    Ok(Head {
        host: name.host,
        port: name.port,
        authority,
        target,
        upgrade,
    })
}

/// A host and port, normalized for comparison.
#[derive(PartialEq, Eq)]
struct Name {
    host: Arc<str>,
    port: Option<u16>,
}

/// RFC 9112 section 3.2 and RFC 9113 section 8.3.1: whose authority counts, and that there is one.
fn authority(parts: &Parts) -> Result<(HeaderValue, Name), ClientFault> {
    let mut fields = parts.headers.get_all(HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(ClientFault::Host);
    }
    let from_field = field
        .map(|value| {
            let text = value.to_str().map_err(|_| ClientFault::Host)?;
            name(text).ok_or(ClientFault::Host)
        })
        .transpose()?;
    if let Some(authority) = parts.uri.authority() {
        if authority.as_str().contains('@') {
            return Err(ClientFault::Target);
        }
        let from_target = name(authority.as_str()).ok_or(ClientFault::Host)?;
        match (parts.version, &from_field) {
            (Version::HTTP_2, Some(other)) if *other != from_target => {
                return Err(ClientFault::Host);
            }
            (Version::HTTP_11, None) => return Err(ClientFault::Host),
            _ => {}
        }
        let value = HeaderValue::from_str(authority.as_str()).map_err(|_| ClientFault::Host)?;
        return Ok((value, from_target));
    }
    match (field, from_field) {
        (Some(value), Some(name)) => Ok((value.clone(), name)),
        // RFC 9112 section 3.2 asks for Host from HTTP/1.1 on.
        _ if parts.version == Version::HTTP_10 => Ok((
            HeaderValue::from_static(""),
            Name {
                host: Arc::default(),
                port: None,
            },
        )),
        _ => Err(ClientFault::Host),
    }
}

/// `uri-host [ ":" port ]` (RFC 9110 section 7.2), with names restricted to DNS labels.
///
/// An empty host is refused: RFC 9110 section 4.2.1 has no `http` URI without one.
fn name(text: &str) -> Option<Name> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (literal, port) = rest.split_once(']')?;
            literal.parse::<Ipv6Addr>().ok()?;
            (
                &text[..literal.len() + 2],
                port.strip_prefix(':').or(port.is_empty().then_some(""))?,
            )
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let port = match port {
        "" => None,
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    if !host.starts_with('[') && !is_dns_name(host) {
        return None;
    }
    let mut host: Arc<str> = host.into();
    if let Some(host) = Arc::get_mut(&mut host) {
        host.make_ascii_lowercase();
    }
    Some(Name { host, port })
}

fn is_dns_name(host: &str) -> bool {
    host.len() <= 253
        && host.as_bytes().split(|b| *b == b'.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_')
        })
}

/// Origin-form and absolute-form (RFC 9112 section 3.2), with a canonical path.
fn target(uri: &Uri) -> Result<PathAndQuery, ClientFault> {
    let known_scheme = uri
        .scheme_str()
        .is_none_or(|s| s.eq_ignore_ascii_case("http") || s.eq_ignore_ascii_case("https"));
    let original = uri.path_and_query().ok_or(ClientFault::Target)?;
    // `GET a:80` and `GET foo` have an authority and nothing else; `OPTIONS *` has only the star.
    if !known_scheme || !original.path().starts_with('/') || is_authority_form(uri) {
        return Err(ClientFault::Target);
    }
    match canonical_path(original.path()).map_err(|_| ClientFault::Path)? {
        Cow::Borrowed(_) => Ok(original.clone()),
        Cow::Owned(mut path) => {
            if let Some(query) = original.query() {
                path.push('?');
                path.push_str(query);
            }
            PathAndQuery::try_from(path).map_err(|_| ClientFault::Path)
        }
    }
}

fn is_authority_form(uri: &Uri) -> bool {
    uri.authority().is_some() && uri.scheme().is_none()
}

/// Exactly one `chunked` (RFC 9112 section 6.1); none at all in HTTP/1.0 and HTTP/2.
fn transfer_coding(headers: &HeaderMap) -> Result<(), ClientFault> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(one), None) if one.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(ClientFault::TransferCoding),
    }
}

/// RFC 9110 section 10.1.1: one expectation is defined, and HTTP/1.0 has none.
fn expectation(parts: &Parts) -> Result<(), ClientFault> {
    let mut expected = parts.headers.get_all(EXPECT).iter();
    let known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if parts.version == Version::HTTP_10 || expected.all(known) {
        Ok(())
    } else {
        Err(ClientFault::Expect)
    }
}

/// RFC 9110 section 7.8: a switch is asked for by `Upgrade` together with `Connection: upgrade`.
///
/// Ignoring one is always allowed, and done where the request has a body: two recipients could
/// disagree on which protocol its bytes belong to.
fn upgrade(headers: &HeaderMap) -> Result<Option<Upgrade>, ClientFault> {
    if !headers.contains_key(UPGRADE) || !connection_has(headers, "upgrade") || has_body(headers) {
        return Ok(None);
    }
    let mut kept = String::new();
    for value in headers.get_all(UPGRADE) {
        let text = value.to_str().map_err(|_| ClientFault::Upgrade)?;
        for protocol in text.split(',').map(str::trim) {
            let (name, version) = protocol.split_once('/').unwrap_or((protocol, "1"));
            if !is_token(name) || !is_token(version) {
                return Err(ClientFault::Upgrade);
            }
            if is_another_http(name) {
                continue;
            }
            if !kept.is_empty() {
                kept.push_str(", ");
            }
            kept.push_str(protocol);
        }
    }
    if kept.is_empty() {
        return Ok(None);
    }
    let protocol = HeaderValue::try_from(kept).map_err(|_| ClientFault::Upgrade)?;
    Ok(Some(Upgrade {
        protocol,
        extended_connect: false,
    }))
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH);
    headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
}

/// A tunnel of HTTP through which requests would pass unseen (`h2c`, RFC 9113 section 3.1), or of
/// TLS below it (RFC 2817): not asked of an upstream.
fn is_another_http(protocol: &str) -> bool {
    ["h2c", "h2", "http", "tls"]
        .iter()
        .any(|name| protocol.eq_ignore_ascii_case(name))
}

/// RFC 8441: CONNECT with `:protocol` on HTTP/2; only WebSocket has a form for HTTP/1.1 upstreams.
fn extended_connect(parts: &Parts) -> Result<Option<Upgrade>, ClientFault> {
    if parts.method != Method::CONNECT {
        return Ok(None);
    }
    let protocol = parts
        .extensions
        .get::<hyper::ext::Protocol>()
        .ok_or(ClientFault::Connect)?;
    if !protocol.as_str().eq_ignore_ascii_case("websocket") {
        return Err(ClientFault::Upgrade);
    }
    Ok(Some(Upgrade {
        protocol: HeaderValue::from_static("websocket"),
        extended_connect: true,
    }))
}

fn connection_has(headers: &HeaderMap, option: &str) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| {
        value
            .as_bytes()
            .split(|b| *b == b',')
            .any(|o| o.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
    })
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests;
