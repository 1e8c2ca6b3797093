//! The account of one request: what is told about it when it has ended.
//!
//! It is opened when the head has been read and closed when the last byte of the response is out,
//! the response broke off, or the client left; closing happens on drop, so that no way out of a
//! request goes uncounted. A client that leaves drops whatever holds the account, which is then
//! closed as 499, unless it was this process that did not wait for its end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Version};

use crate::failure::Cause;
use crate::report::outcome::Attempt;
use crate::telemetry::metrics::RouteMetrics;
use crate::telemetry::traces::Traced;
use crate::upstream::live::Upstream;

use super::client::ClientContext;
use super::handler::Observers;
use super::request_id::RequestId;
use super::serving::{LiveRoute, LiveTarget};

mod telling;

/// A request in progress.
pub(super) struct Account {
    pub(super) started: Instant,
    pub(super) client: Arc<ClientContext>,
    pub(super) id: RequestId,
    pub(super) route: Option<Arc<LiveRoute>>,
    pub(super) attempts: Vec<Attempt>,
    /// Whether the answer is that of the upstream which stands in.
    pub(super) by_fallback: bool,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
    /// Where it stands in a trace, if it is recorded.
    pub(super) traced: Option<Traced>,
    /// Counts where no route matched.
    unrouted: Arc<RouteMetrics>,
    ending: Ending,
    asked: Described,
    logged: bool,
    observers: Arc<Observers>,
}

/// What was asked for, as whoever is told of the request wants to know it; nothing of it is copied.
pub(super) struct Described {
    pub(super) client: IpAddr,
    pub(super) method: Method,
    pub(super) host: Arc<str>,
    /// As it was routed on; absent where that could not be read.
    pub(super) target: Option<PathAndQuery>,
    pub(super) version: Version,
    pub(super) user_agent: Option<HeaderValue>,
}

/// How the request ended, as far as it is known.
#[derive(Clone, Copy)]
struct Ending {
    status: u16,
    cause: Option<Cause>,
    complete: bool,
}

impl Account {
    /// Opens an account; until more is known, the client has left.
    pub(super) fn open(
        (started, client): (Instant, Arc<ClientContext>),
        id: RequestId,
        (unrouted, observers): (Arc<RouteMetrics>, Arc<Observers>),
        asked: Described,
    ) -> Box<Self> {
        Box::new(Self {
            started,
            client,
            id,
            route: None,
            attempts: Vec::new(),
            by_fallback: false,
            bytes_received: 0,
            bytes_sent: 0,
            traced: None,
            unrouted,
            ending: Ending {
                status: 0,
                cause: None,
                complete: false,
            },
            asked,
            logged: observers.access_log.is_on(),
            observers,
        })
    }

    /// The upstream that answered, where one did.
    pub(super) fn served_by(&self) -> Option<&Upstream> {
        let route = self.route.as_ref()?;
        match (&route.target, &route.fallback) {
            (_, Some(fallback)) if self.by_fallback => Some(&fallback.upstream),
            (LiveTarget::Upstream(upstream), _) => Some(upstream),
            (LiveTarget::Unavailable(..), _) => None,
        }
    }

    /// Behind trusted proxies the client is not the peer.
    pub(super) fn sent_by(&mut self, address: IpAddr) {
        self.asked.client = address;
    }

    /// The request is not to be written to the access log.
    pub(super) fn unlogged(&mut self) {
        self.logged = false;
    }

    /// A response head is about to be sent; `cause` if it is one of ours, for a failure.
    pub(super) fn responding(&mut self, status: u16, cause: Option<Cause>) {
        self.ending = Ending {
            status,
            cause,
            complete: false,
        };
    }

    /// The response is out.
    pub(super) fn complete(&mut self) {
        self.ending.complete = true;
    }

    /// The response broke off after its head.
    pub(super) fn broken(&mut self, cause: Cause) {
        self.ending.cause = Some(cause);
        self.ending.complete = true;
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let ending = match self.ending {
            left if !left.complete && std::thread::panicking() => Ending {
                status: 500,
                cause: Some(Cause::Internal),
                complete: false,
            },
            Ending {
                status,
                complete: false,
                ..
            } if self.client.state.is_cut_off() => Ending {
                status: if status == 0 {
                    Cause::CutOff.status().as_u16()
                } else {
                    status
                },
                cause: Some(Cause::CutOff),
                complete: false,
            },
            left if !left.complete => Ending {
                status: 499,
                cause: Some(Cause::ClientAborted),
                complete: false,
            },
            ending => ending,
        };
        let took = self.started.elapsed();
        let metrics = self
            .route
            .as_ref()
            .map_or(&self.unrouted, |route| &route.metrics);
        metrics.record(self.client.worker, ending.status, ending.cause, took);
        if ending.cause.is_none() && self.attempts.is_empty() {
            metrics.unasked(self.client.worker);
        }
        self.tell(ending, took);
    }
}

#[cfg(test)]
mod tests;
