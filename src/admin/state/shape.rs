//! The shape of `/debug/state`, for whoever writes it and whoever reads it.
//!
//! Its version changes when a field changes its meaning or goes; further fields may come at any time,
//! so that readers leave out what they do not know.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of the shape.
pub const VERSION: u32 = 1;

/// How many seconds one entry of the lists of [`Traffic`] is.
pub const STEP_SECONDS: u32 = 5;

/// What one replica serves, and how it goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Live {
    /// [`VERSION`].
    pub version: u32,
    /// When this was so.
    pub time: Timestamp,
    /// Counts the snapshots served; 0 before the first.
    pub generation: u64,
    /// [`STEP_SECONDS`].
    pub step_seconds: u32,
    /// In the order of precedence within a host.
    pub routes: Vec<Route>,
    /// Routes that were asked for but left out, because a limit was given.
    pub more_routes: usize,
    /// The upstreams of these routes, by name.
    pub upstreams: Vec<Upstream>,
}

/// Where the requests of one rule go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Route {
    /// The host; `*` for every host.
    pub host: String,
    /// The path; absent for what matches no other rule of the host.
    pub path: Option<String>,
    /// `Exact` or `Prefix`.
    pub path_type: Option<String>,
    /// Whether the host has TLS.
    pub tls: bool,
    /// The Ingress, as `namespace/name`.
    pub ingress: String,
    /// The upstream, as `namespace/service:port`; absent where it leads nowhere.
    pub upstream: Option<String>,
    /// Why it leads nowhere.
    pub unavailable: Option<Failure>,
    /// The upstream that stands in.
    pub fallback: Option<String>,
    /// What of its policies is not built in, as `section=values`.
    pub policy: String,
    /// The last ten minutes; shared by the routes of one Ingress, host and upstream.
    pub traffic: Traffic,
}

/// A cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Failure {
    /// As in metrics and logs.
    pub cause: String,
    /// For people.
    pub sentence: String,
    /// When it was last seen.
    pub at: Option<Timestamp>,
}

/// How requests ended of late.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Traffic {
    /// Requests in each step of [`STEP_SECONDS`], the last the newest; what would begin with zeros begins
    /// later.
    pub requests: Vec<u64>,
    /// Those of them that failed after all attempts; as long.
    pub failed: Vec<u64>,
    /// Those that failed, by cause, most first.
    pub causes: Vec<Count>,
}

/// How often.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Count {
    /// As in metrics and logs.
    pub cause: String,
    /// For people.
    pub sentence: String,
    /// In the last ten minutes.
    pub count: u64,
}

/// The endpoints behind a Service's port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Upstream {
    /// `namespace/service:port`.
    pub name: String,
    /// The name that is resolved for its endpoints, with the port.
    pub resolves: Option<String>,
    /// Why there are no endpoints.
    pub unresolved: Option<Failure>,
    /// The limits that turned requests away in the last 30 s, by the names of the policy's fields.
    pub limits: Vec<String>,
    /// By address.
    pub endpoints: Vec<Endpoint>,
}

/// One address of an upstream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    /// Where it listens.
    pub address: String,
    /// The Pod behind it.
    pub pod: Option<String>,
    /// Its zone.
    pub zone: Option<String>,
    /// Its part of the requests, beside the others' weights.
    pub weight: u16,
    /// What becomes of requests.
    pub state: EndpointState,
    /// When one that is ejected is tried again.
    pub until: Option<Timestamp>,
    /// How often in a row it was ejected.
    pub ejections: u8,
    /// Requests that it works on.
    pub in_flight: u32,
    /// Connections that idle.
    pub idle: usize,
    /// The time to a response head with which it is chosen: an average that failures raise and that fades without
    /// requests; absent where nothing is known.
    pub latency_milliseconds: Option<f64>,
    /// Why an attempt last failed here.
    pub last_failure: Option<Failure>,
}

/// What becomes of requests for an endpoint; the worse ones are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EndpointState {
    /// It takes them.
    #[default]
    Ready,
    /// It terminates: it takes them only where nothing is ready.
    Draining,
    /// It was left out, and is being tried.
    HalfOpen,
    /// It failed too often and is left out for a while.
    Ejected,
    /// Its probe says that it is down.
    Down,
}

impl EndpointState {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Ejected => "ejected",
            Self::HalfOpen => "being tried again",
            Self::Down => "down by its probe",
        }
    }
}
