//! What one replica has seen of late: counts by route and cause, and the health of upstreams.
//!
//! Every replica tells it, and the one that leads adds all of them up. Nothing here names a client.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::facts::{Latency, Sample};
use super::json::is_zero;
use crate::routing::policy::upstream::CircuitBreaker;
use crate::routing::snapshot::UpstreamId;

/// The most bytes of a report as it is written.
pub const LARGEST: usize = 256 * 1024;

/// What is told of the failures of a route over this many seconds.
pub const MINUTE: u64 = 60;

/// For how many seconds all must be well before trouble counts as over. Together with the way of a
/// report and the write it stands on the resource within half a minute.
pub const QUIET: u64 = 25;

/// What one replica has seen. Times are seconds since 1970, as its own clock says.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicaReport {
    /// Who says so.
    pub replica: String,
    /// When.
    pub time: u64,
    /// The newest `resourceVersion` of a GatewayPolicy that it serves.
    pub policies: String,
    /// Routes with requests in the last minute, the worst first.
    pub routes: Vec<RouteReport>,
    /// Upstreams that are not as they should be: no usable endpoint first.
    pub upstreams: Vec<UpstreamReport>,
    /// Upstreams whose circuit breakers turned requests away of late.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overloads: Vec<OverloadReport>,
    /// How long upstreams of which requests fail take to answer, where that is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub latencies: Vec<LatencyReport>,
    /// Routes and upstreams for which there was no room.
    pub left_out: u32,
}

impl ReplicaReport {
    /// The upstreams to which requests went that failed.
    pub fn failing_upstreams(&self) -> BTreeSet<&str> {
        let failing = self.routes.iter().filter(|it| !it.failures.is_empty());
        failing.map(|it| &*it.route.upstream).collect()
    }
}

/// Which route.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(default)]
pub struct RouteKey {
    /// The namespace of the Ingress.
    #[serde(with = "shared")]
    pub namespace: Arc<str>,
    /// The Ingress.
    #[serde(with = "shared")]
    pub ingress: Arc<str>,
    /// `namespace/service:port`; empty where the route names no Service.
    #[serde(with = "shared")]
    pub upstream: Arc<str>,
    /// The host of the rule; `*` for all.
    #[serde(with = "shared")]
    pub host: Arc<str>,
}

/// The requests of one route.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteReport {
    /// Which.
    #[serde(flatten)]
    pub route: RouteKey,
    /// In the last minute.
    pub requests: u64,
    /// In the time of [`QUIET`].
    pub recent: u64,
    /// Of those, the ones that did not fail.
    pub successes: u64,
    /// Those that were sent to what stands in, in the last minute.
    #[serde(skip_serializing_if = "is_zero")]
    pub fallbacks: u64,
    /// When the last one ended.
    pub last_request: u64,
    /// Failures of the last minute, the most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailureReport>,
}

/// The requests of one route that failed for one cause.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct FailureReport {
    /// The label of the cause.
    pub cause: String,
    /// In the last minute.
    pub count: u64,
    /// In the time of [`QUIET`].
    pub recent: u64,
    /// When the first one of those that followed each other within a minute ended.
    pub since: u64,
    /// When the last one ended.
    pub last: u64,
    /// Some of the attempts, each at another endpoint, the last ones first.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "understood")]
    pub samples: Vec<Sample>,
    /// At how many endpoints more.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_endpoints: u64,
    /// The id of the last request of which more is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// The endpoints of one upstream.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", default)]
pub struct UpstreamReport {
    /// `namespace/service:port`.
    pub upstream: String,
    /// Those that a request may use.
    pub ready: u32,
    /// Of those, the ones left out because of what was observed.
    #[serde(skip_serializing_if = "is_zero")]
    pub ejected: u32,
    /// Those that are left out because their probes fail.
    #[serde(skip_serializing_if = "is_zero")]
    pub probed_down: u32,
}

impl UpstreamReport {
    /// Whether no request can be sent there.
    pub fn is_unusable(&self) -> bool {
        self.ready == 0
    }
}

/// An upstream whose circuit breaker turned requests away of late.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", default)]
pub struct OverloadReport {
    /// `namespace/service:port`.
    pub upstream: String,
    /// Its limits, by which those of several policies for one Service are told apart: of connections, of
    /// requests that wait for one, and of requests.
    pub limits: [u32; 3],
    /// Which of them were reached, by the names of the policy's fields.
    pub reached: Vec<String>,
}

/// How long an upstream of which requests fail takes to answer: from sending a request to a response head
/// that is no error of the server.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct LatencyReport {
    /// `namespace/service:port`.
    pub upstream: String,
    /// In microseconds, before they failed.
    pub usual: u64,
    /// In microseconds, of late.
    pub now: u64,
    /// How many answers that is known from.
    pub answers: u64,
}

/// The answers of an upstream since it is counted, errors of the server left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// How many.
    pub count: u64,
    /// How long all of them together were waited for, in microseconds.
    pub micros: u64,
}

impl Answers {
    /// How long one was waited for, in microseconds; unknown where there was none.
    pub fn mean(&self) -> Option<u64> {
        self.micros.checked_div(self.count)
    }
}

impl LatencyReport {
    /// As durations.
    pub fn latency(&self) -> Latency {
        Latency {
            usual: Duration::from_micros(self.usual),
            now: Duration::from_micros(self.now),
        }
    }
}

/// The limits of a circuit breaker, as a policy names them.
const LIMITS: [&str; 3] = ["maxConnections", "maxPendingRequests", "maxRequests"];

impl OverloadReport {
    /// Whether it is about this upstream.
    pub fn is_about(&self, upstream: &UpstreamId) -> bool {
        let limits = upstream.policy.circuit_breaker.as_ref().map(values);
        limits == Some(self.limits) && self.upstream == upstream.to_string()
    }

    /// Which limits were reached, those of a version to come left out.
    pub fn known(&self) -> impl Iterator<Item = &'static str> {
        let known = LIMITS.into_iter();
        known.filter(|limit| self.reached.iter().any(|reached| reached == limit))
    }

    /// Of an upstream that is limited so.
    pub fn of(
        upstream: &UpstreamId,
        limits: &CircuitBreaker,
        reached: impl Iterator<Item = &'static str>,
    ) -> Self {
        Self {
            upstream: upstream.to_string(),
            limits: values(limits),
            reached: reached.map(str::to_owned).collect(),
        }
    }
}

fn values(limits: &CircuitBreaker) -> [u32; 3] {
    let CircuitBreaker {
        max_connections,
        max_pending_requests,
        max_requests,
    } = limits;
    [*max_connections, *max_pending_requests, *max_requests]
}

/// Those samples that this version understands: replicas of two serve while one follows the other.
fn understood<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Sample>, D::Error> {
    let samples = Vec::<serde_json::Value>::deserialize(from)?.into_iter();
    let samples = samples.filter_map(|sample| serde_json::from_value(sample).ok());
    Ok(samples.collect())
}

/// A text that is shared, as a text.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(from).map(Arc::from)
    }
}
