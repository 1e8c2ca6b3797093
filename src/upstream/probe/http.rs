//! Asking for a status with GET.
//!
//! The head decides. A small body is read before the connection closes, because an application that
//! is cut off in its answer may log an error for each probe.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout_at};

use crate::failure::Cause;
use crate::routing::policy::upstream::StatusRange;

use super::bad::{BadProbe, in_time};
use crate::upstream::classify::exchange_failure;
use crate::upstream::connect::Stream;
use crate::upstream::connection::{MAX_FIELDS, MAX_HEAD};
use crate::upstream::counting::CountingReads;

/// How probes name themselves, so that applications can tell them from visitors.
pub(super) const USER_AGENT: &str = concat!("bywash-probe/", env!("CARGO_PKG_VERSION"));

/// How much of a body is read, in bytes.
const MOST: usize = 16 * 1024;

/// The request of a probe.
///
/// # Errors
/// Never for what a policy may say: such a host is a field value, and such a path is made a target.
pub(super) fn request(
    path: &str,
    host: Option<&str>,
    address: SocketAddr,
) -> Result<Request<Empty<Bytes>>, Cause> {
    let target = PathAndQuery::try_from(target(path)).map_err(|_| Cause::Internal)?;
    let host = host.map_or_else(|| address.to_string(), str::to_owned);
    Request::get(Uri::from(target))
        .header(header::HOST, host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|_| Cause::Internal)
}

/// Asks on an open connection.
///
/// # Errors
/// With why the probe is bad.
pub(super) async fn ask(
    stream: Stream,
    request: Request<Empty<Bytes>>,
    expected: &[StatusRange],
    deadline: Instant,
) -> Result<(), BadProbe> {
    let traffic = Arc::clone(&stream.traffic);
    let mark = traffic.mark();
    let counted = CountingReads::new(stream.into_transport(), Arc::clone(&traffic), ());
    let io = TokioIo::new(counted);
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(MAX_FIELDS as usize)
        .max_buf_size(MAX_HEAD)
        .handshake(io)
        .await
        .map_err(|_| Cause::ClosedBeforeSend)?;
    let exchange = async {
        let sent = sender.send_request(request);
        let head = async {
            let response = sent.await;
            response.map_err(|error| exchange_failure(&error, traffic.since(mark)))
        };
        let response = in_time(deadline, head).await?;
        let status = response.status().as_u16();
        // Whatever comes of it.
        let _ = timeout_at(deadline, read_little(response.into_body())).await;
        if expected.iter().any(|range| range.contains(status)) {
            Ok(())
        } else {
            Err(BadProbe::Status(status))
        }
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        biased;
        result = &mut exchange => result,
        // The exchange is told how the connection ended.
        _ = connection => exchange.await,
    }
}

async fn read_little(mut body: Incoming) {
    let mut left = MOST;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// The path as a request target (RFC 9112 section 3.2): what may not stand there is escaped.
fn target(path: &str) -> String {
    let mut target = String::with_capacity(path.len());
    for letter in path.chars() {
        match letter {
            '"' | '#' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => {
                target.push_str(&format!("%{:02X}", u32::from(letter)));
            }
            _ => target.push(letter),
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v6() -> SocketAddr {
        "[fd00::7]:8080".parse().unwrap()
    }

    #[test]
    fn a_request_names_the_endpoint_unless_another_host_is_set_and_asks_for_the_end() {
        let request = request("/healthz?full", None, v6()).unwrap();
        let field = |name| request.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(request.uri(), "/healthz?full");
        assert_eq!(field("host"), "[fd00::7]:8080");
        assert_eq!(field("connection"), "close");
        assert_eq!(
            field("user-agent"),
            format!("bywash-probe/{}", env!("CARGO_PKG_VERSION"))
        );
        let other = super::request("/", Some("shop.test"), v6()).unwrap();
        assert_eq!(other.headers()["host"], "shop.test");
    }

    proptest! {
        #[test]
        fn every_path_that_a_policy_may_have_can_be_asked_for(path in "/[!-~]{0,60}") {
            let request = request(&path, None, v6()).unwrap();
            let plain = !path.contains(['"', '#', '<', '>', '\\', '^', '`', '{', '|', '}']);
            prop_assert!(!plain || *request.uri() == *path);
            prop_assert!(!request.uri().to_string().contains('#'));
        }
    }
}
