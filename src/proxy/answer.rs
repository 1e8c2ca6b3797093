//! Responses that are made here.
//!
//! Their body says what happened in a sentence of the taxonomy, and by which id to ask about it (see
//! `pages`); never an address, a name or a byte of the upstream's. `Proxy-Status` (RFC 9209) says the
//! same to machines. A gRPC call is answered as gRPC wants it; logs and metrics have its failure under
//! the status that it would have had.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    LOCATION, RETRY_AFTER, SERVER, VARY,
};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, request};

use crate::failure::{Blame, Cause};
use crate::routing::pages::Shown;
use crate::routing::policy::ProxyStatus;

use super::account::Account;
use super::grpc;
use super::head::Head;
use super::pages::{self, LivePages, Page};
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

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Under which the built-in page is shown; its style is a part of it.
const NOTHING_FROM_ELSEWHERE: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");

/// What is known of an error of the application's.
const THEIRS: &str = "The application answered with this error.";

/// What an error answer depends on besides its cause.
pub(super) struct Asked {
    pub(super) method: Method,
    /// HTTP/1: a message whose framing is in doubt ends its connection.
    pub(super) http1: bool,
    pub(super) proxy_status: ProxyStatus,
    /// The endpoint of the last attempt.
    pub(super) next_hop: Option<SocketAddr>,
    /// The status that it answered with, if what it answered was no valid answer.
    pub(super) received: Option<u16>,
    /// When to come back, if that is known (RFC 9110 section 10.2.3).
    pub(super) retry_after: Option<Duration>,
    /// Whether the answer is a status and nothing to read.
    pub(super) bare: bool,
}

impl Asked {
    /// What the request alone says.
    pub(super) fn of(request: &request::Parts) -> Self {
        Self {
            method: request.method.clone(),
            http1: request.version != Version::HTTP_2,
            proxy_status: ProxyStatus::default(),
            next_hop: None,
            received: None,
            retry_after: None,
            bare: false,
        }
    }
}

/// The answer to a request that failed, in the form that the request asks for.
pub(super) fn failure(
    cause: Cause,
    asked: &Asked,
    request: &HeaderMap,
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
    let (id, route) = (account.id.field(), account.route.clone());
    let retry_after = asked.retry_after.or_else(|| comes_back(cause));
    let retry_after = retry_after.map(whole_seconds);
    let mut response = if asked.bare {
        with_content(status, (TEXT, Bytes::new()), &asked.method, account)
    } else if grpc::is_call(request) {
        failed_call((status, cause), account)
    } else {
        let request_id = account.id.as_str().to_owned();
        let shown = Shown {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("Error"),
            cause: &sentence(cause.sentence()),
            request_id: &request_id,
            retry_after,
        };
        let page = match &route {
            Some(route) => route.pages.for_ours(&shown, request),
            None => LivePages::default().for_ours(&shown, request),
        };
        with_page(status, page, &asked.method, account)
    };
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, id);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(value) = proxy_status(cause, asked) {
        headers.insert(PROXY_STATUS, value);
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, OFFERED);
    }
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    let in_order = matches!(cause, Cause::NoRoute | Cause::CallerDeadline);
    if asked.http1 && cause.blame() == Blame::Client && !in_order {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The answer of an application that failed, with a body of ours: status and other fields stay.
pub(super) fn instead_of_theirs(
    mut theirs: Parts,
    asked: &Asked,
    (own, request): (&LivePages, &HeaderMap),
    account: Box<Account>,
) -> Response<ResponseBody> {
    let after = theirs.headers.get(RETRY_AFTER);
    let request_id = account.id.as_str().to_owned();
    let shown = Shown {
        status: theirs.status.as_u16(),
        title: theirs.status.canonical_reason().unwrap_or("Error"),
        cause: THEIRS,
        request_id: &request_id,
        retry_after: after.and_then(|it| it.to_str().ok()?.parse().ok()),
    };
    let page = own.for_theirs(&shown, request);
    pages::forget_content(&mut theirs.headers);
    let ours = with_page(theirs.status, page, &asked.method, account);
    let (ours, body) = ours.into_parts();
    for (name, value) in &ours.headers {
        if *name == VARY {
            theirs.headers.append(VARY, value.clone());
        } else if *name != SERVER {
            theirs.headers.insert(name, value.clone());
        }
    }
    Response::from_parts(theirs, body)
}

/// A sentence of the taxonomy as one that stands alone.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

/// A gRPC call has its status in HTTP only if it never came to be one.
fn failed_call(
    (status, cause): (StatusCode, Cause),
    account: Box<Account>,
) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::own(None, Some(account)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(SERVER, SERVER_NAME);
    grpc::fail(headers, status.as_u16(), cause.sentence());
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
    let content = Bytes::from_static(b"This host uses HTTPS.\n");
    let mut response = with_content(status, (TEXT, content), method, account);
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, id);
    if let Ok(location) = HeaderValue::try_from(format!("https://{}{}", head.host, head.target)) {
        headers.insert(LOCATION, location);
    }
    response
}

fn with_page(
    status: StatusCode,
    page: Page,
    method: &Method,
    account: Box<Account>,
) -> Response<ResponseBody> {
    let Page {
        content_type,
        content,
        builtin,
    } = page;
    let html = content_type.as_bytes().starts_with(b"text/html");
    let mut response = with_content(status, (content_type, content), method, account);
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("accept"));
    if html && builtin {
        headers.insert(CONTENT_SECURITY_POLICY, NOTHING_FROM_ELSEWHERE);
    }
    response
}

fn with_content(
    status: StatusCode,
    (content_type, content): (HeaderValue, Bytes),
    method: &Method,
    account: Box<Account>,
) -> Response<ResponseBody> {
    let length = HeaderValue::from(content.len());
    let content = Some(content).filter(|_| *method != Method::HEAD);
    let mut response = Response::new(ResponseBody::own(content, Some(account)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
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
    let mut text = format!("bywash; {}", cause.proxy_status());
    // Section 2.1.4
    if let Some(status) = asked.received {
        text.push_str(&format!("; received-status={status}"));
    }
    match asked.proxy_status {
        ProxyStatus::Off => return None,
        ProxyStatus::Cause => {}
        ProxyStatus::Full => {
            if let Some(hop) = asked.next_hop {
                text.push_str(&format!("; next-hop=\"{hop}\""));
            }
            text.push_str(&format!("; details=\"{}\"", cause.sentence()));
        }
    }
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests;
