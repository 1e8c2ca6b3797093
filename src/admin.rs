//! HTTP for those who run the process: probes and metrics on one port, debugging on another.
//!
//! The kubelet and Prometheus reach the first one over the Pod network; the second is on loopback
//! only, because it shows the topology, and is reached through `kubectl port-forward`. Both live in
//! the control runtime: a probe is answered however busy the workers are.
//!
//! What they show comes in through [`watch`](tokio::sync::watch) channels, so that nothing here can
//! change what is served.

mod dashboard;
pub mod debug;
mod failures;
pub mod history;
pub mod probes;
pub mod processed;
pub mod server;
pub mod state;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

type Answer = Response<Full<Bytes>>;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// An answer that no cache keeps.
fn answer(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn not_found(paths: &str) -> Answer {
    let body = format!("There is nothing here. Try {paths}.\n");
    answer(StatusCode::NOT_FOUND, TEXT, body)
}
