//! `GatewayPolicy`: how the requests of its targets are sent on, and what happens when that fails.
//!
//! The documentation of each field is what `kubectl explain gwp.spec` prints.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::GatewayPolicyStatus;
use super::values::{DurationText, Quantity};

pub mod answers;
mod reading;
pub mod upstream;

use answers::{ErrorPage, ResponseValidation};
pub use reading::{Misread, Reading};
use upstream::{
    CircuitBreaker, ConnectionPool, Fallback, HealthCheck, LoadBalancing, OutlierDetection,
    SlowStart, UpstreamTls,
};

/// How requests are sent to upstreams, and what happens when that fails. Each section replaces as a
/// whole what a less specific policy says in it: Service goes before Ingress with sectionName, then
/// Ingress, then the defaults of the IngressClass, then the built-in values named here. A field left
/// out of a section that is present has its built-in value.
#[derive(CustomResource, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "bywash.dev",
    version = "v1alpha1",
    kind = "GatewayPolicy",
    plural = "gatewaypolicies",
    singular = "gatewaypolicy",
    shortname = "gwp",
    category = "bywash",
    namespaced,
    status = "GatewayPolicyStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "How requests are sent to the upstreams of Ingresses and Services, and what happens when that fails.",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status","description":"Whether the policy is in force as written."}"#,
    printcolumn = r#"{"name":"BadGateway","type":"string","jsonPath":".status.conditions[?(@.type==\"BadGateway\")].status","description":"Whether its targets answer with 502."}"#,
    printcolumn = r#"{"name":"Cause","type":"string","jsonPath":".status.conditions[?(@.type==\"BadGateway\")].reason","description":"Why."}"#,
    printcolumn = r#"{"name":"Target","type":"string","priority":1,"jsonPath":".spec.targetRefs[0].name","description":"The first target."}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type==\"Ready\")].message","description":"What to do, if anything."}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct GatewayPolicySpec {
    /// The Ingresses and Services that this is for, in the namespace of the policy. None for a policy
    /// that an IngressClass names in spec.parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub target_refs: Option<Vec<TargetRef>>,
    /// Time limits. Durations are those of the Gateway API: 500ms, 10s, 1h30m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    /// When another attempt follows a failed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// When an endpoint is left out for its failures (nginx: max_fails and fail_timeout). What counts is
    /// what this process observed itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outlier_detection: Option<OutlierDetection>,
    /// With fewer endpoints in use than so many percent, ejections are ignored; probes and readiness
    /// never are. 0: off. Default: off.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub panic_threshold: Option<i32>,
    /// How an endpoint begins that joins an upstream which already has some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<SlowStart>,
    /// Probes of each endpoint by each replica of Bywash, beside its readiness: one of http, tcp and
    /// grpc; none of them: off. An endpoint that is down gets no requests, even if it is the last one,
    /// and begins slowly when it comes back. A new one is probed soon after it joins and, since it is
    /// ready, takes requests until it is found down. Default: off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Limits of the upstream, of each replica of Bywash: what exceeds them is answered 503 with
    /// Retry-After at once. Default: off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<CircuitBreaker>,
    /// How connections to endpoints are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_pool: Option<ConnectionPool>,
    /// How an endpoint is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancing: Option<LoadBalancing>,
    /// A Service that stands in when no endpoint is usable or all attempts failed (nginx: backup), for
    /// requests that may be sent again. Proxy-Status says so of its answers. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// TLS to the endpoints, always verified; also without appProtocol: https of the Service. Default:
    /// off, or with appProtocol: https the values named here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_tls: Option<UpstreamTls>,
    /// What clients get with an error; the first entry for the status and its source counts. Forms are
    /// negotiated: HTML, JSON, problem details (RFC 9457) or plain text; gRPC calls get a gRPC status.
    /// Default: the built-in pages, for errors that the gateway makes itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub error_pages: Option<Vec<ErrorPage>>,
    /// Which answers are no valid ones, beyond what HTTP says. Default: off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_validation: Option<ResponseValidation>,
    /// Requests that are passed on without help: no retry, no error page, no line in the access log.
    /// Meant for health checks. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub bypass: Option<Vec<Bypass>>,
    /// Answers 503 with Retry-After instead of sending requests on. Default: off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// What clients learn of a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_status: Option<ProxyStatus>,
    /// Whether plain HTTP is redirected (308) to HTTPS for hosts with a certificate;
    /// /.well-known/acme-challenge/ never is. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_redirect: Option<bool>,
    /// What of it was not read.
    #[serde(skip)]
    pub reading: Reading,
}

/// What a policy is for.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// networking.k8s.io for an Ingress, empty for a Service.
    #[schemars(length(max = 253))]
    pub group: String,
    /// Ingress or Service.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The host of one rule of the Ingress, written as there, "*" for a rule without a host. Default:
    /// all of its rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}

/// Time limits.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// Until a connection to the endpoint stands, TLS included. Default: 2s, which survives one lost SYN
    /// (RFC 6298 has it sent again after one second).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<DurationText>,
    /// Between two writes of the request to the endpoint. Default: 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send: Option<DurationText>,
    /// Between two reads of the response body from the endpoint: a download or a stream of events may
    /// last for hours. Default: 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<DurationText>,
    /// Until a response head is there, all attempts and waits included; counted once the request body
    /// has been sent. Default: 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<DurationText>,
    /// Of silence on an upgraded connection (WebSocket), where send and read no longer apply. Default:
    /// 1h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<DurationText>,
}

/// Said where the name of [`Retry::on`] is, or may be, read as a boolean (<https://yaml.org/type/bool.html>).
pub const QUOTE_ON: &str = "write \"on\" in quotation marks, since many YAML readers, kubectl's among \
                            them, take the bare word for true";

/// When another attempt follows a failed one.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// What is retried: connect-failure, reset (closed or reset before a response head), refused-stream
    /// (only HTTP/2 knows it), timeout (of one attempt), invalid-response, and statuses of the
    /// application as http-429 or http-5xx codes, these for GET, HEAD and OPTIONS without Retry-After
    /// only. Default: all of the named ones, http-502, http-503 and http-504. Write "on" in quotation
    /// marks: many YAML readers take the bare word for true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        inner(
            length(max = 16),
            regex(
                pattern = r"^(connect-failure|reset|refused-stream|timeout|invalid-response|http-(429|5[0-9][0-9]))$"
            )
        )
    )]
    pub on: Option<Vec<String>>,
    /// Attempts in all, the first included; one on a kept connection that the endpoint was just closing
    /// does not count. 1 means no retry: what was sent is not sent again, whatever ended it. Default: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub attempts: Option<i32>,
    /// Of one attempt, its connection included, until its response head, counted from when the request
    /// body has been sent if there is one; with it a slow endpoint is a failed one. Default: none, since a
    /// slow answer is not a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_try_timeout: Option<DurationText>,
    /// No new attempt starts later than this after the request. Default: 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<DurationText>,
    /// The wait before an endpoint that this request has tried already: random, between nothing and a
    /// step that doubles with each try (full jitter, as Envoy has it). One not yet tried is tried at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// How many retries of requests that were sent the upstream may cost, over all its requests: each
    /// takes a token from a bucket (as in Finagle and Linkerd), and what is not used is forgotten over ten
    /// seconds. Those of requests that were never sent are free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<RetryBudget>,
    /// Whether POST and PATCH are retried after bytes of them were sent, although the application may
    /// have executed them (RFC 9110 section 9.2.2). A request that was never sent is retried whatever
    /// its method. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_idempotent: Option<bool>,
    /// The most of a request body that is kept for another attempt, as a quantity of bytes up to 1Mi;
    /// a longer body is sent once. Default: 64Ki.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer_bytes: Option<Quantity>,
}

/// A random wait between nothing and a step that doubles with each try (full jitter).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// The first step. Default: 25ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<DurationText>,
    /// The longest step. Default: 250ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<DurationText>,
}

/// A token bucket: each retry takes a token, and what is not used is forgotten over ten seconds.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RetryBudget {
    /// So many retries for a hundred requests. Default: 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub percent: Option<i32>,
    /// And so many a second in any case. Default: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10000))]
    pub min_per_second: Option<i32>,
}

/// Requests that are passed on without help.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Bypass {
    /// This path and those below it, element by element, as with an Ingress path of type Prefix.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// Answering 503 instead of sending requests on.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Maintenance {
    /// Whether it is on. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// What clients are told in Retry-After, in whole seconds. Default: 120s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<DurationText>,
    /// Networks in CIDR form whose clients are served all the same; behind trusted proxies the client
    /// that these name. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(max = 64)))]
    pub allow: Option<Vec<String>>,
}

/// What clients learn of a failure from the field Proxy-Status (RFC 9209): nothing (Off), its type
/// (Cause), or also the endpoint's address and a sentence (Full). Write "Off" in quotation marks: many
/// YAML readers take the bare word for false. Default: Cause.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(inline)]
pub enum ProxyStatus {
    /// Nothing.
    Off,
    /// Its type.
    Cause,
    /// Its type, the endpoint's address, and a sentence.
    Full,
}
