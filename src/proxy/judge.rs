//! Judging a response head: is it an answer that a client may get?

use http::header::{TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method, Response, StatusCode, header};

use crate::failure::Cause;
use crate::routing::policy::Retry;

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
    // A 2xx to an extended CONNECT would open a tunnel (RFC 8441 section 5).
    if status.is_success() && upgrade.is_some_and(|upgrade| upgrade.extended_connect) {
        return Verdict::Invalid(Cause::UpgradeFailed);
    }
    let listed = retry.statuses.contains(&status.as_u16());
    if listed && is_safe(method) && !headers.contains_key(header::RETRY_AFTER) {
        return Verdict::Retry;
    }
    Verdict::Accept
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
    let all_offered = |value: &http::HeaderValue| {
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
