//! Judging a response head: is it an answer that a client may get?

use http::header::{TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use crate::failure::{Cause, ClientFault};
use crate::routing::policy::Retry;

use super::answer::PROXY_STATUS;
use super::head::Upgrade;

/// What is done with a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the answer.
    Accept,
    /// Both sides leave HTTP.
    Switch,
    /// It is valid, but the policy would rather have another endpoint's answer.
    Retry,
    /// It is not a valid answer to this request.
    Invalid(Cause),
}

/// Judges a response head; `upgrade` is what the request asked to switch to.
pub(super) fn judge<B>(
    response: &Response<B>,
    method: &Method,
    upgrade: Option<&Upgrade>,
    retry: &Retry,
) -> Verdict {
    let (status, headers) = (response.status(), response.headers());
    if !is_chunked_or_plain(headers) {
        return Verdict::Invalid(Cause::BadTransferCoding);
    }
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return if upgrade.is_some_and(|upgrade| is_offered(headers, upgrade)) {
            Verdict::Switch
        } else {
            Verdict::Invalid(Cause::UpgradeFailed)
        };
    }
    // A server may ignore the wish to switch (RFC 9110 section 7.8), but a 2xx to an extended CONNECT would
    // open a tunnel (RFC 8441 section 5): its client asked for what is not there.
    if status.is_success() && upgrade.is_some_and(|upgrade| upgrade.extended_connect) {
        return Verdict::Invalid(Cause::BadRequest(ClientFault::Upgrade));
    }
    let listed = retry.statuses.contains(&status.as_u16());
    if listed && is_safe(method) && !forbids_retry(headers) {
        return Verdict::Retry;
    }
    Verdict::Accept
}

/// `Retry-After` says when to ask again, and a loop grows with each request that is repeated in it.
fn forbids_retry(headers: &HeaderMap) -> bool {
    let found_loop = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default();
        text.contains(Cause::LoopDetected.proxy_error())
    };
    headers.contains_key(header::RETRY_AFTER)
        || headers.get_all(PROXY_STATUS).iter().any(found_loop)
}

/// A server may switch only to a protocol that it was offered (RFC 9110 section 7.8).
fn is_offered(headers: &HeaderMap, upgrade: &Upgrade) -> bool {
    let list = |value: &[u8]| -> Vec<Vec<u8>> {
        let items = value.split(|byte| *byte == b',');
        items
            .map(|item| item.trim_ascii().to_ascii_lowercase())
            .collect()
    };
    let offered = list(upgrade.protocol.as_bytes());
    let mut agreed = headers.get_all(UPGRADE).iter();
    let all_offered = |value: &HeaderValue| {
        list(value.as_bytes())
            .iter()
            .all(|item| offered.contains(item))
    };
    agreed.next().is_some_and(all_offered) && agreed.all(all_offered)
}

/// `chunked`, once, or nothing (RFC 9112 section 6.1): we offered no other coding.
fn is_chunked_or_plain(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(only), None) => only
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

/// RFC 9110 section 9.2.1, without TRACE.
pub(super) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// RFC 9110 section 9.2.2.
pub(super) fn is_idempotent(method: &Method) -> bool {
    is_safe(method) || matches!(*method, Method::PUT | Method::DELETE | Method::TRACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, method: Method, fields: &[(&'static str, &'static str)]) -> Verdict {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in fields {
            response
                .headers_mut()
                .append(*name, HeaderValue::from_static(value));
        }
        judge(&response, &method, None, &Retry::default())
    }

    #[test]
    fn a_listed_status_is_retried_for_safe_methods_only() {
        assert_eq!(verdict(503, Method::GET, &[]), Verdict::Retry);
        assert_eq!(verdict(503, Method::POST, &[]), Verdict::Accept);
        assert_eq!(verdict(503, Method::PUT, &[]), Verdict::Accept);
        assert_eq!(verdict(500, Method::GET, &[]), Verdict::Accept);
    }

    #[test]
    fn an_answer_that_says_when_to_come_back_is_not_retried() {
        let answer = verdict(503, Method::GET, &[("retry-after", "5")]);
        assert_eq!(answer, Verdict::Accept);
    }

    #[test]
    fn a_loop_that_was_found_is_not_asked_again() {
        let fields = [("proxy-status", "bywash; error=proxy_loop_detected")];
        assert_eq!(verdict(502, Method::GET, &fields), Verdict::Accept);
        let other = [("proxy-status", "bywash; error=connection_refused")];
        assert_eq!(verdict(502, Method::GET, &other), Verdict::Retry);
    }

    #[test]
    fn a_transfer_coding_that_was_not_offered_is_invalid() {
        for coding in ["gzip", "gzip, chunked", "identity"] {
            assert_eq!(
                verdict(200, Method::GET, &[("transfer-encoding", coding)]),
                Verdict::Invalid(Cause::BadTransferCoding),
                "{coding}"
            );
        }
        let chunked = verdict(200, Method::GET, &[("transfer-encoding", "Chunked")]);
        assert_eq!(chunked, Verdict::Accept);
    }
}
