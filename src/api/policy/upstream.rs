//! The sections that say how an upstream is treated.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::values::DurationText;

/// When an endpoint is left out for its failures. It comes back by a connection in the background,
/// then by one request at a time.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OutlierDetection {
    /// After so many failures in a row; failures to connect are too many at 3, or at this number where
    /// it is smaller. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub consecutive_failures: Option<i32>,
    /// Or when so many of its last requests failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_percent: Option<FailurePercent>,
    /// Statuses of the application that count as failures. Mind that any client can then have pods
    /// left out by asking for what they answer so. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(range(min = 400, max = 599)))]
    pub statuses: Option<Vec<i32>>,
    /// For how long, and how many at once: each further time in a row twice as long, a fifth more or less,
    /// and one time less for each minute in which it worked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ejection: Option<Ejection>,
}

/// Which share of failures is too much.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FailurePercent {
    /// In percent of the requests in the window. Default: 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub threshold: Option<i32>,
    /// With fewer requests in the window there is no share. Default: 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000))]
    pub min_requests: Option<i32>,
    /// The last seconds that are looked at, whole ones from 1s to 10s. Default: 10s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<DurationText>,
}

/// How long an endpoint is left out: each further time twice as long, with a jitter of a fifth.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Ejection {
    /// The first time; each further time in a row twice as long, a fifth more or less. Default: 5s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<DurationText>,
    /// At most. Default: 300s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<DurationText>,
    /// Of the endpoints, the most that are left out at once, in percent; 0: none ever. The last usable
    /// one never is, unless there is a fallback. Default: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_percent: Option<i32>,
}

/// How an endpoint begins that joins an upstream which already has some.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SlowStart {
    /// Its share of requests grows evenly over this time, from a tenth of that of the others; 0s: it
    /// has its share at once. Default: 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<DurationText>,
}

/// Probes of each endpoint by each replica of Bywash, over connections of their own. An endpoint that
/// is down gets no requests, even if it is the last one. A new one is probed soon after it joins and,
/// since it is ready, takes requests until it is found down.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// Asks for a status with GET, as bywash-probe in User-Agent; redirects are not followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpProbe>,
    /// Opens a connection, with TLS where the upstream has it, and closes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpProbe>,
    /// Asks for SERVING by the gRPC health checking protocol (grpc.health.v1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcProbe>,
    /// From one probe to the next, at least 1s; spread in time over the endpoints, with a jitter of a
    /// tenth. Default: 5s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<DurationText>,
    /// Of one probe, the connection included; at most the interval. Default: 1s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationText>,
    /// So many good probes in a row bring an endpoint back that is down. Default: 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub healthy_threshold: Option<i32>,
    /// So many bad ones in a row take it down. Default: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub unhealthy_threshold: Option<i32>,
}

/// A probe that asks for a status.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HttpProbe {
    /// The path, with a query if need be. Default: /.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub path: Option<String>,
    /// The value of Host. Default: the endpoint's address, as the kubelet has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,
    /// The statuses of a healthy endpoint, single ones or ranges. Default: 200-399.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        inner(
            length(max = 7),
            regex(pattern = r"^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$")
        )
    )]
    pub expected_statuses: Option<Vec<String>>,
}

/// A probe that opens a connection.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TcpProbe {}

/// A probe by the gRPC health checking protocol.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GrpcProbe {
    /// The service that is asked for. Default: the server as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub service: Option<String>,
}

/// Limits of the upstream, of each replica of Bywash.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CircuitBreaker {
    /// Connections, idle and upgraded ones included; each worker may hold one in any case. Default:
    /// 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000))]
    pub max_connections: Option<i32>,
    /// Requests that wait for a connection; those for which one that idles elsewhere is closed wait in any
    /// case. Default: 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000000))]
    pub max_pending_requests: Option<i32>,
    /// Requests under way, those that wait included. Default: 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000))]
    pub max_requests: Option<i32>,
}

/// How connections to endpoints are kept.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionPool {
    /// The most idle connections of one worker to one endpoint; 0: none is kept. Default: 32.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10000))]
    pub max_idle_per_endpoint: Option<i32>,
    /// How long a connection idles at most; less where the endpoint says so (Keep-Alive: timeout) or
    /// keeps closing earlier. Default: 4s, below the 5s of Node.js, uvicorn and Apache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<DurationText>,
    /// After so many requests a connection is closed; 0: never for that. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000000000))]
    pub max_requests_per_connection: Option<i32>,
}

/// How an endpoint is chosen.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancing {
    /// Among those that are usable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Algorithm>,
    /// What is hashed, to the endpoint with the highest hash of both (rendezvous hashing); with
    /// ConsistentHash only. A request that does not carry it goes where PeakEwma sends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consistent_hash: Option<ConsistentHash>,
    /// A cookie by which a client comes back to its endpoint for as long as that is usable. Default:
    /// off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky_cookie: Option<StickyCookie>,
}

/// PeakEwma: the better of two drawn at random, by requests in flight times average latency.
/// LeastRequest: the better of two by requests in flight. RoundRobin: one after the other. Random:
/// any. ConsistentHash: by what the request carries, at most a quarter above the average load.
/// Default: PeakEwma.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(inline)]
pub enum Algorithm {
    /// The better of two drawn at random, by requests in flight times average latency.
    PeakEwma,
    /// One after the other.
    RoundRobin,
    /// The better of two drawn at random, by requests in flight.
    LeastRequest,
    /// Any.
    Random,
    /// By what the request carries.
    ConsistentHash,
}

/// What is hashed. A request that does not carry it goes where PeakEwma sends it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ConsistentHash {
    /// Where the value is found.
    pub source: HashSource,
    /// The name of the header or the cookie. Default: none, as a ClientAddress has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub name: Option<String>,
}

/// Where the value is found: a Header, a Cookie, or the ClientAddress (behind trusted proxies the one
/// that they name).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(inline)]
pub enum HashSource {
    /// A header field.
    Header,
    /// A cookie.
    Cookie,
    /// The client's address; behind trusted proxies the one that they name.
    ClientAddress,
}

/// A cookie by which a client comes back to its endpoint. Its value says nothing about the endpoint.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StickyCookie {
    /// Its name. Default: bywash-endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub name: Option<String>,
    /// How long browsers keep it (Max-Age), in whole seconds. Default: until the browser ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<DurationText>,
}

/// A Service that stands in.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Fallback {
    /// The Service, in the namespace of the policy; a policy that targets it says how requests are sent
    /// there. Left out: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceReference>,
}

/// A port of a Service, as an Ingress names it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceReference {
    /// The name of the Service.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The port, by name or number.
    pub port: PortReference,
}

/// A port, by name or number.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PortReference {
    /// Its name in the Service. Default: none; one of name and number is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub name: Option<String>,
    /// Its number in the Service. Default: none; one of name and number is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub number: Option<i32>,
}

/// Where in such a ConfigMap they are.
pub const CA_KEY: &str = "ca.crt";

/// TLS to the endpoints; their certificate and its name are always verified.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamTls {
    /// A ConfigMap in the namespace of the policy whose key ca.crt holds the certificates (PEM) that
    /// may have signed. It needs the label bywash.dev/ca=true. Left out: the roots of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_config_map: Option<ConfigMapReference>,
    /// The name that is sent (SNI) and that the certificate must have. Default: SERVICE.NAMESPACE.svc,
    /// for an ExternalName that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
}

/// A ConfigMap in the namespace of the policy.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
