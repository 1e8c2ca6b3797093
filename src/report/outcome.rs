//! How requests ended, and what was tried for them: made by the data plane, once for each.
//!
//! Whatever tells of a failure (the access log, traces, the flight recorder, conditions and Events)
//! reads it here; nothing classifies twice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::failure::Cause;
use crate::routing::snapshot::{IngressName, ServicePort};

/// One try on one endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attempt {
    /// Where; absent when no endpoint was chosen.
    pub endpoint: Option<SocketAddr>,
    /// The Pod behind it, in the namespace of its Service, where known.
    pub pod: Option<Arc<str>>,
    /// How it failed; absent when the upstream's answer was taken.
    pub cause: Option<Cause>,
    /// The status received, if a response head was.
    pub status: Option<u16>,
    /// From the end of the request's head to the choice of the endpoint.
    pub started: Duration,
    /// From the choice of the endpoint to the connection, TLS included; absent on one that was open
    /// already, and where none came about.
    pub connected: Option<Duration>,
    /// From the choice of the endpoint to the head or the failure.
    pub duration: Duration,
    /// Bytes that were written to the endpoint, below TLS excluded.
    pub sent: u64,
    /// Bytes that were read from it until the head or the failure.
    pub received: u64,
    /// What the failure looked like from here: for logs, not for clients.
    pub detail: Option<Box<str>>,
    /// What was decided then.
    pub next: Followed,
    /// Whether it was at the upstream that stands in.
    pub fallback: bool,
}

/// What follows an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Followed {
    /// Its answer was given to the client.
    #[default]
    Answered,
    /// The same endpoint again, on a new connection.
    Reconnect,
    /// Another endpoint.
    Retry,
    /// The upstream that stands in.
    Fallback,
    /// Nothing, for this reason.
    Nothing(Stop),
}

/// Why no further attempt follows a failed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stop {
    /// No other attempt helps against this cause, or it is not safe.
    Cause,
    /// The policy does not list the cause in `retry.on`.
    NotListed,
    /// The method is not idempotent, and the endpoint may have processed the request.
    NotIdempotent,
    /// The request's body cannot be sent again: too large to be kept, or no memory was left for it.
    NotReplayable,
    /// All attempts that the policy allows were made.
    Attempts,
    /// `retry.within` was over.
    Within,
    /// The retry budget of the upstream was spent.
    Budget,
    /// Two endpoints broke off on the request: it may be what breaks them.
    Poison,
    /// No endpoint was left.
    NoEndpoint,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The correlation id.
    pub request_id: Box<str>,
    /// When its head had been read.
    pub time: SystemTime,
    /// The method.
    pub method: Box<str>,
    /// The host asked for, without a port.
    pub host: Box<str>,
    /// The path as it was routed on, without the query; cut to a bounded length.
    pub path: Box<str>,
    /// The Ingress, where one matched.
    pub ingress: Option<IngressName>,
    /// The upstream of the route, where it has one.
    pub upstream: Option<ServicePort>,
    /// The status sent to the client; 499 if it left before.
    pub status: u16,
    /// Why it failed, if it did.
    pub cause: Option<Cause>,
    /// The tries, in order.
    pub attempts: Vec<Attempt>,
    /// From the end of the request head to the end of the response.
    pub duration: Duration,
}
