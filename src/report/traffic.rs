//! What one replica has seen of late: counts by route and cause, and the health of upstreams.
//!
//! Every replica tells it, and the one that leads adds all of them up. Nothing here names a client.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use super::facts::Sample;
use super::json::is_zero;

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
    /// Routes and upstreams for which there was no room.
    pub left_out: u32,
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
    /// `namespace/service:port`; empty where the route leads nowhere.
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
    /// Those that were answered by what stands in, in the last minute.
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
