//! Responses that are made here.
//!
//! Their body says what happened in a sentence of the taxonomy, and by which id to ask about it;
//! never an address, a name or a byte of the upstream's. `Proxy-Status` (RFC 9209) says the same to
//! machines.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER, SERVER,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use crate::failure::{Blame, Cause};
use crate::routing::policy::ProxyStatus;

use super::account::Account;
use super::head::Head;
use super::response_body::ResponseBody;

/// The value of `Server` where no upstream gave one.
pub(super) const SERVER_NAME: HeaderValue = HeaderValue::from_static("bywash");

/// The field that carries the correlation id.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// RFC 9110 section 15.5.6 asks for it with 405; other methods are the application's business.
const OFFERED: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE");

/// The field that carries the cause (RFC 9209).
pub(super) const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// What an error answer depends on besides its cause.
pub(super) struct Asked {
    pub(super) method: Method,
    /// HTTP/1: a message whose framing is in doubt ends its connection.
    pub(super) http1: bool,
    pub(super) proxy_status: ProxyStatus,
    /// The endpoint of the last attempt.
    pub(super) next_hop: Option<SocketAddr>,
    /// When to come back, if that is known (RFC 9110 section 10.2.3).
    pub(super) retry_after: Option<Duration>,
    /// Whether the answer is a status and nothing to read.
    pub(super) bare: bool,
}

/// The answer to a request that failed.
pub(super) fn failure(
    cause: Cause,
    asked: &Asked,
    mut account: Box<Account>,
) -> Response<ResponseBody> {
    let status = cause.status();
    account.responding(status.as_u16(), Some(cause));
    // Should the client still read, it gets a status that exists.
    let status = if status.as_u16() == 499 {
        StatusCode::BAD_REQUEST
    } else {
        status
    };
    let text = if asked.bare {
        String::new()
    } else {
        format!(
            "{} {}\n{}\nRequest ID: {}\n",
            status.as_u16(),
            status.canonical_reason().unwrap_or("Error"),
            cause.sentence(),
            account.id.as_str(),
        )
    };
    let id = account.id.field();
    let mut response = with_text(status, text, &asked.method, account);
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, id);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(value) = proxy_status(cause, asked) {
        headers.insert(PROXY_STATUS, value);
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, OFFERED);
    }
    if let Some(after) = asked.retry_after.or_else(|| comes_back(cause)) {
        headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
    }
    if asked.http1 && cause.blame() == Blame::Client && cause != Cause::NoRoute {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// When it is worth to ask again: overload passes quickly, endpoints take a moment to appear.
fn comes_back(cause: Cause) -> Option<Duration> {
    match cause {
        Cause::LimitReached | Cause::LocalResources => Some(Duration::from_secs(1)),
        Cause::NoEndpoints => Some(Duration::from_secs(5)),
        _ => None,
    }
}

/// The way to the same resource over HTTPS (RFC 9110 section 15.4.9).
pub(super) fn redirect_to_https(
    head: &Head,
    method: &Method,
    mut account: Box<Account>,
) -> Response<ResponseBody> {
    let status = StatusCode::PERMANENT_REDIRECT;
    account.responding(status.as_u16(), None);
    let id = account.id.field();
    let mut response = with_text(
        status,
        "This host uses HTTPS.\n".to_owned(),
        method,
        account,
    );
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, id);
    if let Ok(location) = HeaderValue::try_from(format!("https://{}{}", head.host, head.target)) {
        headers.insert(LOCATION, location);
    }
    response
}

fn with_text(
    status: StatusCode,
    text: String,
    method: &Method,
    account: Box<Account>,
) -> Response<ResponseBody> {
    let length = HeaderValue::from(text.len());
    let content = (*method != Method::HEAD).then(|| Bytes::from(text));
    let mut response = Response::new(ResponseBody::own(content, Some(account)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(SERVER, SERVER_NAME);
    response
}

/// Rounded up: who comes back too early is turned away again.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// Says that an answer is that of the upstream which stands in, and why.
///
/// Not by `error`: most error types mean that the intermediary itself made the response (RFC 9209
/// section 2.1.1), which it did not. `details` is there for what no other parameter says (section
/// 2.1.5), and the entry stands after those of intermediaries nearer to the origin (section 2).
pub(super) fn mark_fallback(
    headers: &mut HeaderMap,
    cause: Cause,
    (shown, endpoint): (ProxyStatus, Option<SocketAddr>),
) {
    let text = match shown {
        ProxyStatus::Off => return,
        ProxyStatus::Cause => format!("bywash; details=\"fallback: {}\"", cause.label()),
        ProxyStatus::Full => {
            let hop = endpoint.map_or_else(String::new, |hop| format!("; next-hop=\"{hop}\""));
            format!("bywash{hop}; details=\"fallback: {}\"", cause.sentence())
        }
    };
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.append(PROXY_STATUS, value);
    }
}

fn proxy_status(cause: Cause, asked: &Asked) -> Option<HeaderValue> {
    let mut text = format!("bywash; error={}", cause.proxy_error());
    match asked.proxy_status {
        ProxyStatus::Off => return None,
        ProxyStatus::Cause => {}
        ProxyStatus::Full => {
            // RFC 9209 section 2.3.15
            if let Cause::TlsAlert(alert) = cause {
                text.push_str(&format!("; alert-id={}", alert.0));
                if let Some(name) = alert.name() {
                    text.push_str(&format!("; alert-message=\"{name}\""));
                }
            }
            if let Some(hop) = asked.next_hop {
                text.push_str(&format!("; next-hop=\"{hop}\""));
            }
            text.push_str(&format!("; details=\"{}\"", cause.sentence()));
        }
    }
    HeaderValue::try_from(text).ok()
}
