//! The correlation id: one text that finds a request everywhere.
//!
//! It is what a person copies from an error page and searches for, so that it must be the same in
//! the page, the log, the upstream's log and the Event. An id (or a trace's id) that a trusted proxy
//! sent is kept; a stranger's is replaced, or it could be made to collide with somebody else's.
//! A new one is a ULID: sortable by time, 26 characters, from a generator per thread that asks the
//! kernel for randomness once.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};
use rand::Rng;
use rand::rngs::SmallRng;
use ulid::{ULID_LEN, Ulid};

use crate::telemetry::traces::context::Position;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request: 1 to 128 of letters, digits and `._:-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// One that no other request has.
    pub(crate) fn new() -> Self {
        Self(generate())
    }

    /// The id of a request with these fields; it is written into them for the upstream.
    ///
    /// From a trusted peer `X-Request-ID` counts first, then the trace id of `traceparent`
    /// (<https://www.w3.org/TR/trace-context/#trace-id>).
    pub(crate) fn assign(headers: &mut HeaderMap, trusted: bool, trace: Option<Position>) -> Self {
        let id = trusted.then(|| received(headers, trace)).flatten();
        let id = id.unwrap_or_else(generate);
        headers.insert(X_REQUEST_ID, id.clone());
        Self(id)
    }

    /// The id as text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id as the value of a field.
    pub(crate) fn field(&self) -> HeaderValue {
        self.0.clone()
    }
}

fn received(headers: &HeaderMap, trace: Option<Position>) -> Option<HeaderValue> {
    let mut ids = headers.get_all(X_REQUEST_ID).iter();
    match (ids.next(), ids.next()) {
        (Some(id), None) if is_valid(id.as_bytes()) => Some(id.clone()),
        _ => HeaderValue::try_from(format!("{:032x}", trace?.trace)).ok(),
    }
}

fn is_valid(id: &[u8]) -> bool {
    (1..=128).contains(&id.len())
        && id
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(b))
}

thread_local! {
    static RANDOM: RefCell<SmallRng> = RefCell::new(rand::make_rng());
}

fn generate() -> HeaderValue {
    let millis = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    let random =
        RANDOM.with_borrow_mut(|rng| u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64()));
    let id = Ulid::from_parts(u64::try_from(millis).unwrap_or_default(), random);
    let mut text = [0; ULID_LEN];
    let text = id.array_to_str(&mut text);
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn fields(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn assign(headers: &mut HeaderMap, trusted: bool) -> RequestId {
        let parent = Position::take(headers);
        RequestId::assign(headers, trusted, parent)
    }

    fn is_new(id: &RequestId) -> bool {
        Ulid::from_string(id.as_str()).is_ok()
    }

    #[test]
    fn an_id_of_a_trusted_proxy_is_kept() {
        let mut headers = fields(&[("x-request-id", "a.B_1:2-3"), ("traceparent", TRACE)]);
        let id = assign(&mut headers, true);
        assert_eq!(id.as_str(), "a.B_1:2-3");
        assert_eq!(headers["x-request-id"], "a.B_1:2-3");
    }

    #[test]
    fn the_id_of_a_trusted_trace_is_the_next_best() {
        let mut headers = fields(&[("x-request-id", "not an id"), ("traceparent", TRACE)]);
        let id = assign(&mut headers, true);
        assert_eq!(id.as_str(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(headers["x-request-id"], id.as_str());
    }

    #[test]
    fn a_stranger_gets_a_new_id() {
        let mut headers = fields(&[("x-request-id", "mine"), ("traceparent", TRACE)]);
        let id = assign(&mut headers, false);
        assert!(is_new(&id), "{id:?}");
        assert_eq!(headers["x-request-id"], id.as_str());
        assert_eq!(headers["traceparent"], TRACE);
    }

    #[test]
    fn ids_that_could_break_a_log_or_a_page_are_replaced() {
        for bad in ["", "a b", "<script>", "\"", "a,b", &"x".repeat(129)] {
            let mut headers = fields(&[("x-request-id", bad)]);
            assert!(is_new(&assign(&mut headers, true)), "{bad}");
        }
        let mut twice = fields(&[("x-request-id", "a"), ("x-request-id", "b")]);
        assert!(is_new(&assign(&mut twice, true)));
        assert_eq!(twice.get_all("x-request-id").iter().count(), 1);
    }

    #[test]
    fn new_ids_differ() {
        let ids: std::collections::HashSet<String> = (0..1000)
            .map(|_| assign(&mut HeaderMap::new(), false).as_str().to_owned())
            .collect();
        assert_eq!(ids.len(), 1000);
    }
}
