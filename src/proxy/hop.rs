//! Fields that are meant for one hop, and are not forwarded.
//!
//! RFC 9110 section 7.6.1 has the fields that `Connection` names removed, which a client can use
//! to make a gateway drop what the origin relies on: its address, its authorization, its framing.
//! Naming such a field is refused on requests; on responses, where the upstream would only hurt
//! itself, the name is ignored. A fixed list goes in any case, for senders that forget `Connection`.
//!
//! `te: trailers` is asked for anew, since gRPC servers insist on it, and named in `Connection` as RFC
//! 9110 section 10.1.4 has it; every other `TE` is between two hops.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use rand::RngExt;

use super::head::Upgrade;
use crate::failure::ClientFault;
use crate::upstream::random::with_rng;

const SEC_WEBSOCKET_KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// Makes the fields of a request fit for the upstream.
///
/// `Expect` goes too: we ask the upstream for nothing before we send. Several `Cookie` fields, which
/// HTTP/2 has and HTTP/1.1 does not, become one (RFC 9113 section 8.2.3).
///
/// # Errors
/// When `Connection` is malformed or names a field that must reach the origin.
pub(crate) fn request(headers: &mut HeaderMap) -> Result<(), ClientFault> {
    for name in named_by_connection(headers) {
        let name = name.map_err(|_| ClientFault::Connection)?;
        if is_end_to_end(&name) {
            return Err(ClientFault::Connection);
        }
        if name != TE {
            headers.remove(name);
        }
    }
    let trailers = headers.get_all(TE).iter().any(accepts_trailers);
    remove(headers, ends_with_request);
    if trailers {
        headers.insert(TE, TRAILERS);
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    join_cookies(headers);
    Ok(())
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
/// that it overrode (RFC 9112 section 6.3). A response that has no content keeps none either
/// (RFC 9110 section 8.6).
pub(crate) fn response(status: StatusCode, headers: &mut HeaderMap) {
    for name in named_by_connection(headers).into_iter().flatten() {
        if !is_end_to_end(&name) {
            headers.remove(name);
        }
    }
    let chunked = headers.contains_key(TRANSFER_ENCODING);
    remove(headers, ends_with_response);
    if chunked || status.is_informational() || status == StatusCode::NO_CONTENT {
        headers.remove(CONTENT_LENGTH);
    }
}

/// Drops from a trailer section what must not stand there (RFC 9110 section 6.5.1): framing,
/// routing, request modifiers, authentication, and how to read the content.
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

/// Removes the fields whose names are such. A message has few fields, and of these hardly any: a look at
/// each name that is there costs less than a search for each that might be.
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
/// do by the last two.
fn ends_with_request(name: &str) -> bool {
    is_hop_by_hop(name)
        || matches!(
            name,
            "expect"
                | "http2-settings"
                | "proxy-authorization"
                | "content_length"
                | "transfer_encoding"
        )
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
    let forbidden = name.starts_with("content-")
        || name.starts_with("x-forwarded-")
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
                | "forwarded"
                | "host"
                | "keep-alive"
                | "location"
                | "max-forwards"
                | "pragma"
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
                | "x-real-ip"
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
mod tests {
    use super::*;

    fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn forwarded(pairs: &[(&'static str, &'static str)]) -> Result<HeaderMap, ClientFault> {
        let mut headers = fields(pairs);
        request(&mut headers).map(|()| headers)
    }

    // RFC 9110 section 7.6.1

    #[test]
    fn what_connection_names_is_not_forwarded() {
        let headers = forwarded(&[
            ("connection", "close, X-Hop"),
            ("connection", "x-other"),
            ("x-hop", "1"),
            ("x-other", "2"),
            ("accept", "*/*"),
        ]);
        assert_eq!(headers.unwrap(), fields(&[("accept", "*/*")]));
    }

    #[test]
    fn fields_of_one_hop_go_even_if_connection_does_not_name_them() {
        let headers = forwarded(&[
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABk"),
            ("proxy-authorization", "Basic eA=="),
            ("expect", "100-continue"),
            ("content_length", "5"),
            ("transfer_encoding", "chunked"),
            ("te", "gzip"),
        ]);
        assert!(headers.unwrap().is_empty());
    }

    #[test]
    fn connection_must_not_name_what_the_origin_relies_on() {
        for name in [
            "Host",
            "authorization",
            "X-Forwarded-For",
            "x-real-ip",
            "Content-Length",
            "cookie",
            "x-request-id",
            "close, host",
            "a b",
        ] {
            let headers = forwarded(&[("connection", name)]);
            assert_eq!(headers, Err(ClientFault::Connection), "{name}");
        }
    }

    #[test]
    fn te_trailers_is_kept_for_grpc() {
        let headers = forwarded(&[("connection", "te"), ("te", "gzip;q=1, Trailers")]);
        let expected = fields(&[("te", "trailers"), ("connection", "te")]);
        assert_eq!(headers.unwrap(), expected);
    }

    #[test]
    fn an_upgrade_is_offered_anew() {
        let mut headers = HeaderMap::new();
        let upgrade = Upgrade {
            protocol: HeaderValue::from_static("websocket"),
            extended_connect: false,
        };
        offer_upgrade(&mut headers, &upgrade);
        let expected = fields(&[("connection", "upgrade"), ("upgrade", "websocket")]);
        assert_eq!(headers, expected);
    }

    // RFC 9113 section 8.2.3

    #[test]
    fn several_cookies_become_one() {
        let headers = forwarded(&[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]);
        assert_eq!(headers.unwrap(), fields(&[("cookie", "a=1; b=2; c=3")]));
    }

    #[test]
    fn a_response_loses_its_hop_fields_but_not_its_framing() {
        let mut headers = fields(&[
            ("connection", "content-length, x-hop, keep-alive"),
            ("content-length", "5"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("trailer", "x-sum"),
        ]);
        response(StatusCode::OK, &mut headers);
        let expected = fields(&[("content-length", "5"), ("trailer", "x-sum")]);
        assert_eq!(headers, expected);
    }

    // RFC 9112 section 6.3

    #[test]
    fn a_length_that_a_transfer_coding_overrode_goes_with_it() {
        let mut headers = fields(&[("content-length", "5"), ("transfer-encoding", "chunked")]);
        response(StatusCode::OK, &mut headers);
        assert!(headers.is_empty());
    }

    // RFC 9110 section 8.6

    #[test]
    fn a_204_has_no_content_length() {
        let mut headers = fields(&[("content-length", "0")]);
        response(StatusCode::NO_CONTENT, &mut headers);
        assert!(headers.is_empty());
    }

    // RFC 9110 section 6.5.1

    #[test]
    fn trailers_carry_neither_framing_nor_routing_nor_authentication() {
        let mut section = fields(&[
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("host", "evil.example"),
            ("authorization", "Basic eA=="),
            ("set-cookie", "a=1"),
            ("x-forwarded-for", "192.0.2.1"),
            ("grpc-status", "0"),
            ("server-timing", "db;dur=5"),
        ]);
        trailers(&mut section);
        let expected = fields(&[("grpc-status", "0"), ("server-timing", "db;dur=5")]);
        assert_eq!(section, expected);
    }
}
