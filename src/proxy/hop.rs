//! Fields that are meant for one hop, and are not forwarded.
//!
//! RFC 9110 section 7.6.1 has the fields that `Connection` names removed, which a client can use
//! to make a gateway drop what the origin relies on: its address, its authorization, its framing.
//! Naming such a field is refused on requests; on responses, where the upstream would only hurt
//! itself, the name is ignored. A fixed list goes in any case, for senders that forget `Connection`.
//!
//! `te: trailers` is asked for anew, since gRPC servers insist on it, and named in `Connection` as RFC
//! 9110 section 10.1.4 has it; every other `TE` is between two hops.

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TE, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use rand::RngExt;

use super::forwarded::{folds_to, speaks_for_a_proxy};
use super::head::Upgrade;
use crate::failure::ClientFault;
use crate::upstream::random::with_rng;

const SEC_WEBSOCKET_KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// Makes the fields of a request fit for the upstream.
///
/// What HTTP/2 lets through and HTTP/1.1 has no such thing as is put right: blanks around values, and
/// lengths that are written twice.
///
/// `Expect` goes too: we ask the upstream for nothing before we send. Several `Cookie` fields, which
/// HTTP/2 has and HTTP/1.1 does not, become one (RFC 9113 section 8.2.3).
///
/// # Errors
/// When `Connection` is malformed or names a field that must reach the origin, or the length is none.
pub(crate) fn request(headers: &mut HeaderMap) -> Result<(), ClientFault> {
    trim(headers);
    let there = There::are(headers, ends_with_request);
    if there.length {
        one_length(headers).map_err(|NoLength| ClientFault::Body)?;
    }
    if there.connection {
        for name in named_by_connection(headers) {
            let name = name.map_err(|_| ClientFault::Connection)?;
            if is_end_to_end(&name) {
                return Err(ClientFault::Connection);
            }
            if name != TE {
                headers.remove(name);
            }
        }
    }
    let trailers = there.te && headers.get_all(TE).iter().any(accepts_trailers);
    if there.ending {
        remove(headers, ends_with_request);
    }
    if trailers {
        headers.insert(TE, TRAILERS);
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    if there.cookie {
        join_cookies(headers);
    }
    Ok(())
}

/// Which fields a message has. A message has few, and of these hardly any: one look at the names that are
/// there costs less than a search for each that might be.
#[derive(Default)]
struct There {
    connection: bool,
    te: bool,
    length: bool,
    coding: bool,
    cookie: bool,
    /// Those that end here.
    ending: bool,
}

impl There {
    fn are(headers: &HeaderMap, ending: fn(&str) -> bool) -> Self {
        let mut there = Self::default();
        for name in headers.keys().map(HeaderName::as_str) {
            match name {
                "connection" => there.connection = true,
                "te" => there.te = true,
                "content-length" => there.length = true,
                "transfer-encoding" => there.coding = true,
                "cookie" => there.cookie = true,
                _ => {}
            }
            there.ending |= ending(name);
        }
        there
    }
}

/// Asks the upstream for the protocols that the client asked for, in the form of HTTP/1.1.
pub(crate) fn offer_upgrade(headers: &mut HeaderMap, upgrade: &Upgrade) {
    headers.append(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, upgrade.protocol.clone());
    if upgrade.extended_connect {
        headers.insert(SEC_WEBSOCKET_KEY, websocket_key());
    }
}

/// 16 random bytes in base64 (RFC 6455 section 4.1), for a client that spoke HTTP/2 and sent none.
fn websocket_key() -> HeaderValue {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut key = *b"AAAAAAAAAAAAAAAAAAAAAA==";
    with_rng(|rng| {
        for digit in &mut key[..21] {
            *digit = DIGITS[usize::from(rng.random::<u8>() % 64)];
        }
    });
    HeaderValue::from_bytes(&key).unwrap_or(HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA=="))
}

/// Makes the fields of a response fit for the client.
///
/// `Transfer-Encoding` goes, because hyper frames the message anew, and with it a `Content-Length`
/// that it overrode (RFC 9112 section 6.3). A response that has no content keeps none either, nor one that
/// is no number (RFC 9110 section 8.6): hyper takes no content that has such a length.
pub(crate) fn response(status: StatusCode, headers: &mut HeaderMap) {
    let there = There::are(headers, ends_with_response);
    if there.connection {
        for name in named_by_connection(headers).into_iter().flatten() {
            if !is_end_to_end(&name) {
                headers.remove(name);
            }
        }
    }
    if there.ending {
        remove(headers, ends_with_response);
    }
    let without = status.is_informational() || status == StatusCode::NO_CONTENT;
    if there.length && (there.coding || without || one_length(headers).is_err()) {
        headers.remove(CONTENT_LENGTH);
    }
}

/// A `Content-Length` that is none.
struct NoLength;

/// Has a length that is written several times, always the same, written once: recipients would differ
/// about the others (RFC 9110 section 8.6).
fn one_length(headers: &mut HeaderMap) -> Result<(), NoLength> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = values.next() else {
        return Ok(());
    };
    if values.next().is_none() && is_length(first.as_bytes()) {
        return Ok(());
    }
    let mut lengths = headers
        .get_all(CONTENT_LENGTH)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .map(length);
    let first = lengths.next().flatten().ok_or(NoLength)?;
    if lengths.any(|other| other != Some(first)) {
        return Err(NoLength);
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(first));
    Ok(())
}

/// Whether it is one as nearly all are written: of so few digits, each is.
fn is_length(text: &[u8]) -> bool {
    (1..=19).contains(&text.len()) && text.iter().all(u8::is_ascii_digit)
}

fn length(text: &[u8]) -> Option<u64> {
    let digits = str::from_utf8(text.trim_ascii()).ok()?;
    let number = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| number)
}

/// Blanks around a value are no part of it (RFC 9110 section 5.5), and malformed in HTTP/2 (RFC 9113
/// section 8.2.1).
fn trim(headers: &mut HeaderMap) {
    for value in headers.values_mut() {
        let trimmed = value.as_bytes().trim_ascii();
        if trimmed.len() < value.len()
            && let Ok(trimmed) = HeaderValue::from_bytes(trimmed)
        {
            *value = trimmed;
        }
    }
}

/// Drops from a trailer section what must not stand there (RFC 9110 section 6.5.1): framing,
/// routing, request modifiers, authentication, how to read the content, and what only a proxy knows; in
/// any spelling.
pub(crate) fn trailers(trailers: &mut HeaderMap) {
    let forbidden: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| !may_trail(name.as_str()))
        .cloned()
        .collect();
    for name in forbidden {
        trailers.remove(name);
    }
}

/// Removes the fields whose names are such.
pub(crate) fn remove(headers: &mut HeaderMap, such: fn(&str) -> bool) {
    while let Some(name) = headers.keys().find(|name| such(name.as_str())) {
        let name = name.clone();
        headers.remove(name);
    }
}

/// Whether a field is between two hops, whatever message it is in.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection" | "keep-alive" | "proxy-connection" | "te" | "transfer-encoding" | "upgrade"
    )
}

/// Those of requests. A recipient that folds `_` and `-` together would read another message than we
/// do by some, and `Proxy` as where to send requests of its own (CVE-2016-5385).
fn ends_with_request(name: &str) -> bool {
    is_hop_by_hop(name)
        || matches!(
            name,
            "expect"
                | "http2-settings"
                | "proxy"
                | "proxy-authorization"
                | "content_length"
                | "transfer_encoding"
        )
        || name.contains('_') && folds_to(name, "x-request-id")
}

/// Those of responses.
fn ends_with_response(name: &str) -> bool {
    is_hop_by_hop(name) || name == "proxy-authenticate"
}

/// The fields that `Connection` names, without the options that are none.
fn named_by_connection(
    headers: &HeaderMap,
) -> Vec<Result<HeaderName, http::header::InvalidHeaderName>> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|option| {
            !option.is_empty()
                && !option.eq_ignore_ascii_case(b"close")
                && !option.eq_ignore_ascii_case(b"keep-alive")
                && !option.eq_ignore_ascii_case(b"upgrade")
        })
        .map(HeaderName::from_bytes)
        .collect()
}

/// Fields whose removal changes who is asked, by whom, for what, or where the message ends.
fn is_end_to_end(name: &HeaderName) -> bool {
    if [HOST, AUTHORIZATION, COOKIE].contains(name) {
        return true;
    }
    let name = name.as_str();
    name.starts_with("content-")
        || name.starts_with("x-forwarded-")
        || matches!(
            name,
            "cache-control"
                | "cdn-loop"
                | "forwarded"
                | "origin"
                | "set-cookie"
                | "traceparent"
                | "tracestate"
                | "via"
                | "x-real-ip"
                | "x-request-id"
        )
}

fn may_trail(name: &str) -> bool {
    if name.contains('_') {
        return may_trail(&name.replace('_', "-"));
    }
    let forbidden = name.starts_with("content-")
        || speaks_for_a_proxy(name)
        || name.starts_with("proxy-")
        || name.starts_with("if-")
        || matches!(
            name,
            "age"
                | "authorization"
                | "cache-control"
                | "cdn-loop"
                | "connection"
                | "cookie"
                | "date"
                | "expect"
                | "expires"
                | "host"
                | "keep-alive"
                | "location"
                | "max-forwards"
                | "pragma"
                | "proxy"
                | "range"
                | "retry-after"
                | "set-cookie"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
                | "vary"
                | "via"
                | "www-authenticate"
                | "x-request-id"
        );
    !forbidden
}

fn accepts_trailers(value: &HeaderValue) -> bool {
    value
        .as_bytes()
        .split(|b| *b == b',')
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else {
        return;
    };
    let mut whole = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(whole)) {
        headers.insert(COOKIE, value);
    }
}

#[cfg(test)]
mod tests;
