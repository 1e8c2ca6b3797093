//! To which endpoint a request belongs, by what it carries: the key that its upstream hashes, and the
//! pins in its client's cookie.
//!
//! The cookie is sent on to the endpoint as it is, as other proxies do, so that an application can
//! pass it on to another. It is not set again while it is right.

use std::fmt::Write;
use std::net::IpAddr;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::routing::policy::upstream::{Algorithm, HashKey, LoadBalancing, StickyCookie};
use crate::upstream::balance::hash::hash;
use crate::upstream::balance::pin::{EndpointPin, Pins};
use crate::upstream::live::Upstream;

use super::forwarded::Client;

/// To which endpoint a request belongs.
#[derive(Debug)]
pub(super) struct Affinity {
    key: Option<u64>,
    pins: Pins,
    /// Whether its client spoke TLS.
    https: bool,
}

impl Affinity {
    /// That of a request; absent where the upstream does not ask for any.
    pub(super) fn of(
        policy: &LoadBalancing,
        headers: &HeaderMap,
        client: Client,
    ) -> Option<Box<Self>> {
        let LoadBalancing {
            algorithm,
            sticky_cookie,
        } = policy;
        let key = match algorithm {
            Algorithm::ConsistentHash(key) => Some(key),
            _ => None,
        };
        if key.is_none() && sticky_cookie.is_none() {
            return None;
        }
        let cookie = sticky_cookie.as_ref();
        let pins = cookie.and_then(|it| cookie_value(headers, &it.name));
        Some(Box::new(Self {
            key: key.and_then(|key| key_of(key, headers, client.address)),
            pins: pins.map(Pins::parse).unwrap_or_default(),
            https: client.https,
        }))
    }

    /// The hash of what the request is assigned by, if it carries that.
    pub(super) fn key(&self) -> Option<u64> {
        self.key
    }

    /// The endpoints that its client is pinned to.
    pub(super) fn pins(&self) -> &[EndpointPin] {
        self.pins.as_slice()
    }

    /// Has the client come back to the endpoint that answered, unless it does already.
    pub(super) fn keep(&self, upstream: &Upstream, pin: EndpointPin, fields: &mut HeaderMap) {
        let Some(cookie) = &upstream.policy().load_balancing.sticky_cookie else {
            return;
        };
        if !self.pins().contains(&pin) {
            let pins = self.pins.with(pin, |other| upstream.has(other));
            if let Ok(value) = HeaderValue::from_str(&written(cookie, &pins, self.https)) {
                fields.append(SET_COOKIE, value);
            }
        }
    }
}

fn key_of(key: &HashKey, headers: &HeaderMap, client: IpAddr) -> Option<u64> {
    let carried = |value: &[u8]| (!value.is_empty()).then(|| hash(value));
    match key {
        HashKey::Header(name) => carried(headers.get(&**name)?.as_bytes()),
        HashKey::Cookie(name) => carried(cookie_value(headers, name)?),
        HashKey::ClientAddress => Some(match client {
            IpAddr::V4(address) => hash(&address.octets()),
            IpAddr::V6(address) => hash(&address.octets()),
        }),
    }
}

/// The value of the first cookie of a name (RFC 6265 section 4.2.1).
fn cookie_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let fields = headers.get_all(COOKIE).iter();
    let mut pairs = fields.flat_map(|field| field.as_bytes().split(|b| *b == b';'));
    pairs.find_map(|pair| {
        let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b"=")
    })
}

fn written(cookie: &StickyCookie, pins: &Pins, https: bool) -> String {
    let StickyCookie { name, max_age } = cookie;
    let mut text = format!("{name}={pins}; Path=/; HttpOnly; SameSite=Lax");
    if let Some(max_age) = max_age {
        // Writing to a text does not fail.
        let _ = write!(text, "; Max-Age={}", max_age.as_secs());
    }
    if https {
        text.push_str("; Secure");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn client(address: &str) -> Client {
        Client {
            address: address.parse().unwrap(),
            https: false,
        }
    }

    fn by(key: HashKey) -> LoadBalancing {
        LoadBalancing {
            algorithm: Algorithm::ConsistentHash(key),
            sticky_cookie: None,
        }
    }

    fn key(policy: &LoadBalancing, fields: &[(&'static str, &'static str)]) -> Option<u64> {
        Affinity::of(policy, &headers(fields), client("192.0.2.1"))?.key()
    }

    #[test]
    fn nothing_is_looked_for_where_the_upstream_does_not_ask() {
        for algorithm in [Algorithm::PeakEwma, Algorithm::RoundRobin] {
            let policy = LoadBalancing {
                algorithm,
                sticky_cookie: None,
            };
            let affinity = Affinity::of(&policy, &headers(&[]), client("192.0.2.1"));
            assert!(affinity.is_none());
        }
    }

    #[test]
    fn the_key_is_a_field_or_a_cookie_and_absent_where_that_is() {
        let field = by(HashKey::Header("x-user".into()));
        assert_eq!(key(&field, &[("x-user", "ann")]), Some(hash(b"ann")));
        assert_eq!(key(&field, &[("x-user", "")]), None);
        assert_eq!(key(&field, &[("user", "ann")]), None);
        let cookie = by(HashKey::Cookie("user".into()));
        for text in [
            "user=ann",
            "a=b; user=ann; c",
            "xuser=bob;user=ann; user=bob",
        ] {
            assert_eq!(
                key(&cookie, &[("cookie", text)]),
                Some(hash(b"ann")),
                "{text}"
            );
        }
        for text in ["", "user", "user=", "User=ann", "xuser=ann"] {
            assert_eq!(key(&cookie, &[("cookie", text)]), None, "{text}");
        }
    }

    #[test]
    fn every_client_has_an_address() {
        let policy = by(HashKey::ClientAddress);
        let key = |address| Affinity::of(&policy, &headers(&[]), client(address))?.key();
        assert_eq!(key("192.0.2.1"), Some(hash(&[192, 0, 2, 1])));
        assert!(key("2001:db8::1").is_some());
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }

    #[test]
    fn the_cookie_is_written_for_the_host_and_kept_from_scripts() {
        let pins = Pins::parse(b"0123456789abcdef");
        let cookie = |max_age| StickyCookie {
            name: Arc::from("pin"),
            max_age,
        };
        assert_eq!(
            written(&cookie(None), &pins, false),
            "pin=0123456789abcdef; Path=/; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            written(&cookie(Some(Duration::from_secs(90))), &pins, true),
            "pin=0123456789abcdef; Path=/; HttpOnly; SameSite=Lax; Max-Age=90; Secure"
        );
    }
}
