//! The status of a `GatewayPolicy`: what became of it, for people, Argo CD and Flux.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest message of a condition.
pub const LONGEST_MESSAGE: usize = 32_768;

/// The longest origin of a section.
pub const LONGEST_ORIGIN: usize = 600;

/// The longest text of the values of a section.
pub const LONGEST_VALUES: usize = 8192;

/// The greatest generation: what every JSON reader has exactly.
const MOST_GENERATIONS: i64 = (1 << 53) - 1;

/// More endpoints, or targets, than there are.
const MOST: i64 = 1_000_000_000;

/// The longest time of the form RFC 3339 has.
const LONGEST_TIME: usize = 64;

/// What became of a policy.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GatewayPolicyStatus {
    /// The generation of the policy that this is about; -1 until anybody has looked at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MOST_GENERATIONS))]
    pub observed_generation: Option<i64>,
    /// Accepted: it could be understood and its targets are its own. ResolvedRefs: what it names
    /// exists. Programmed: every replica serves requests by it. Ready: all three. Stalled: only its
    /// author can repair it. BadGateway, GatewayTimeout and Unavailable: Bywash itself answers requests
    /// of its targets with 502, 504 or 503. UpstreamsHealthy: each has a usable endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub conditions: Option<Vec<Condition>>,
    /// What became of it at each target (GEP-713).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub ancestors: Option<Vec<Ancestor>>,
    /// For how many more targets there was no room in the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MOST))]
    pub ancestors_left_out: Option<i64>,
}

/// As in `meta/v1`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is said.
    #[serde(rename = "type")]
    #[schemars(length(max = 316))]
    pub type_: String,
    /// True, False or Unknown.
    #[schemars(length(max = 7))]
    pub status: String,
    /// Why, in one word.
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// Why, and what to do.
    #[schemars(length(max = LONGEST_MESSAGE))]
    pub message: String,
    /// Since when.
    #[schemars(length(max = LONGEST_TIME), extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// The generation of the policy that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MOST_GENERATIONS))]
    pub observed_generation: Option<i64>,
}

/// What became of a policy at one target.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Ancestor {
    /// The target, or the IngressClass that names the policy.
    pub ancestor_ref: AncestorRef,
    /// The installation that says so: its controller name, a slash and its IngressClass.
    #[schemars(length(max = 253))]
    pub controller_name: String,
    /// Accepted, and those of the whole that depend on requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub conditions: Option<Vec<Condition>>,
    /// What is in force for the target, section by section, and where it is from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub sections: Option<Vec<EffectiveSection>>,
    /// Its upstreams, those that are not well first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub upstreams: Option<Vec<UpstreamStatus>>,
}

/// The endpoints of one upstream, as the replica says that sees it worst.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamStatus {
    /// `namespace/service:port`.
    #[schemars(length(max = 512))]
    pub name: String,
    /// Endpoints that requests may use.
    #[schemars(range(min = 0, max = MOST))]
    pub ready: i64,
    /// Of those, the ones left out for now because of what was observed.
    #[schemars(range(min = 0, max = MOST))]
    pub ejected: i64,
    /// Endpoints left out because their health check fails.
    #[schemars(range(min = 0, max = MOST))]
    pub probed_down: i64,
    /// Why the last request failed there, and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
}

/// A failure.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LastFailure {
    /// As in the reason of a condition.
    #[schemars(length(max = 63))]
    pub reason: String,
    /// When.
    #[schemars(length(max = LONGEST_TIME), extend("format" = "date-time"))]
    pub time: String,
}

/// An object.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AncestorRef {
    /// Its group.
    #[schemars(length(max = 253))]
    pub group: String,
    /// Its kind.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// The host of one of its rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub section_name: Option<String>,
}

/// One section as it is in force.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveSection {
    /// As in the spec.
    #[schemars(length(max = 63))]
    pub name: String,
    /// The policy that says so, or "built-in".
    #[schemars(length(max = LONGEST_ORIGIN))]
    pub origin: String,
    /// Every value, the built-in ones included.
    #[schemars(length(max = LONGEST_VALUES))]
    pub values: String,
}
