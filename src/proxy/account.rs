//! The account of one request: what is told about it when it has ended.
//!
//! It is opened when the head has been read and closed when the last byte of the response is out,
//! the response broke off, or the client left; closing happens on drop, so that no way out of a
//! request goes uncounted. A client that leaves drops whatever holds the account, which is then
//! closed as 499, unless it was this process that did not wait for its end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::{HeaderValue, Method, Version};

use crate::failure::Cause;
use crate::report::outcome::Attempt;
use crate::telemetry::access_log::{AccessLog, Record, Try};
use crate::telemetry::metrics::RouteMetrics;
use crate::upstream::live::Upstream;

use super::client::ClientContext;
use super::request_id::RequestId;
use super::serving::{LiveRoute, LiveTarget};

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
    /// Counts where no route matched.
    unrouted: Arc<RouteMetrics>,
    ending: Ending,
    log: Option<Box<Described>>,
}

/// What only the log wants to know.
pub(super) struct Described {
    pub(super) log: AccessLog,
    pub(super) time: SystemTime,
    pub(super) client: IpAddr,
    pub(super) method: Method,
    pub(super) host: Box<str>,
    pub(super) path: Box<str>,
    pub(super) query: Option<Box<str>>,
    pub(super) version: Version,
    pub(super) tls: Option<&'static str>,
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
        unrouted: Arc<RouteMetrics>,
        log: Option<Box<Described>>,
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
            unrouted,
            ending: Ending {
                status: 0,
                cause: None,
                complete: false,
            },
            log,
        })
    }

    /// The upstream that answered, where one did.
    pub(super) fn served_by(&self) -> Option<&Upstream> {
        let route = self.route.as_ref()?;
        match (&route.target, &route.fallback) {
            (_, Some(fallback)) if self.by_fallback => Some(&fallback.upstream),
            (LiveTarget::Upstream(upstream), _) => Some(upstream),
            (LiveTarget::Unavailable(_), _) => None,
        }
    }

    /// Behind trusted proxies the client is not the peer.
    pub(super) fn sent_by(&mut self, address: IpAddr) {
        if let Some(described) = &mut self.log {
            described.client = address;
        }
    }

    /// The request is not to be written to the access log.
    pub(super) fn unlogged(&mut self) {
        self.log = None;
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

    fn write(&self, ending: Ending, described: &Described) {
        let tries: Vec<Try> = self
            .attempts
            .iter()
            .map(|attempt| Try {
                endpoint: attempt.endpoint,
                status: attempt.status,
                cause: attempt.cause,
                duration: attempt.duration,
                fallback: attempt.fallback,
            })
            .collect();
        let upstream = self.route.as_ref().and_then(|route| match &route.target {
            LiveTarget::Upstream(upstream) => Some(upstream.id().to_string()),
            LiveTarget::Unavailable(_) => None,
        });
        described.log.record(
            self.client.worker,
            &Record {
                time: described.time,
                id: self.id.as_str(),
                client: described.client,
                method: described.method.as_str(),
                host: Some(&*described.host).filter(|host| !host.is_empty()),
                path: &described.path,
                query: described.query.as_deref(),
                protocol: protocol(described.version),
                tls: described.tls,
                status: ending.status,
                cause: ending.cause,
                bytes_received: self.bytes_received,
                bytes_sent: self.bytes_sent,
                duration: self.started.elapsed(),
                ingress_namespace: self.route.as_ref().map(|route| &*route.ingress.namespace),
                ingress: self.route.as_ref().map(|route| &*route.ingress.name),
                upstream: upstream.as_deref(),
                fallback: self.by_fallback,
                user_agent: described
                    .user_agent
                    .as_ref()
                    .and_then(|value| value.to_str().ok()),
                attempts: &tries,
            },
        );
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
        let metrics = self
            .route
            .as_ref()
            .map_or(&self.unrouted, |route| &route.metrics);
        metrics.record(
            self.client.worker,
            ending.status,
            ending.cause,
            self.started.elapsed(),
        );
        if let Some(described) = &self.log {
            self.write(ending, described);
        }
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        _ => "HTTP/2",
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use http::HeaderMap;

    use super::*;
    use crate::proxy::client::{ConnectionState, Shutdown};
    use crate::proxy::forwarded::{Peer, TrustedProxies};
    use crate::telemetry::metrics::Metrics;

    /// What the metrics say of a request that ends with this.
    fn counted(end: impl FnOnce(Box<Account>, &Shutdown)) -> String {
        let (metrics, shutdown) = (Metrics::new(1), Arc::<Shutdown>::default());
        let client = ClientContext {
            peer: Peer::new(([192, 0, 2, 1], 1).into(), &TrustedProxies::new(&[])),
            tls: None,
            worker: 0,
            state: Arc::new(ConnectionState::new(Arc::clone(&shutdown))),
        };
        let id = RequestId::assign(&mut HeaderMap::new(), false);
        let begun = (Instant::now(), Arc::new(client));
        // Counted for as long as somebody holds it.
        let unrouted = metrics.unrouted();
        let account = Account::open(begun, id, Arc::clone(&unrouted), None);
        end(account, &shutdown);
        let text = metrics.encode().unwrap();
        let lines = text.lines().filter(|line| line.ends_with(" 1"));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_request_that_is_dropped_is_one_that_its_client_left() {
        let text = counted(|account, _| drop(account));
        assert!(text.contains("status=\"499\""), "{text}");
        assert!(text.contains("cause=\"client_aborted\""), "{text}");
    }

    #[test]
    fn a_request_that_meets_a_fault_of_ours_is_an_internal_error() {
        let text = counted(|account, _| {
            let panics = AssertUnwindSafe(move || {
                let _account = account;
                panic!("a fault of ours");
            });
            assert!(catch_unwind(panics).is_err());
        });
        assert!(text.contains("status=\"500\""), "{text}");
        assert!(text.contains("cause=\"internal\""), "{text}");
    }

    #[test]
    fn a_request_that_is_cut_off_is_neither() {
        let text = counted(|_account, shutdown| shutdown.cut_off());
        assert!(text.contains("status=\"503\""), "{text}");
        assert!(text.contains("cause=\"cut_off\""), "{text}");
    }
}
