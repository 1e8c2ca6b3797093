//! How an upstream is treated, whoever's request it is: the choice of endpoints, their health, their
//! connections.
//!
//! Requests under different policies of this kind cannot share a balancer or a limit, so that the
//! policy is a part of an upstream's identity, and everything here is ordered. What is known of an
//! endpoint does not depend on it, but for TLS: a connection that was opened with other trust is
//! another connection.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

/// How an upstream is treated.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UpstreamPolicy {
    /// When an endpoint is left out for its failures.
    pub outlier_detection: OutlierDetection,
    /// With fewer endpoints in use than so many of a hundred, ejections are ignored.
    pub panic_threshold: Option<u8>,
    /// How an endpoint that joins later begins.
    pub slow_start: SlowStart,
    /// How endpoints are probed, if they are.
    pub health_check: Option<HealthCheck>,
    /// How much the upstream may have at once, if that is limited.
    pub circuit_breaker: Option<CircuitBreaker>,
    /// How connections are kept.
    pub connection_pool: ConnectionPool,
    /// How an endpoint is chosen.
    pub load_balancing: LoadBalancing,
    /// How TLS is spoken to it; absent for plain HTTP.
    pub tls: Option<UpstreamTls>,
    /// Whether another Service stands in when no endpoint is usable: then even the last one may be
    /// left out.
    pub has_fallback: bool,
}

/// When an endpoint is left out for its failures, as this process observed them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutlierDetection {
    /// After so many failures in a row; at least 1.
    pub consecutive_failures: u8,
    /// After so many failures in a row to connect; at least 1.
    pub consecutive_connect_failures: u8,
    /// Or when so many of the last requests failed.
    pub failure_percent: FailurePercent,
    /// Statuses of the application that count as failures: none, unless somebody who knows it says
    /// so, since any client could provoke them.
    pub statuses: Vec<u16>,
    /// For how long.
    pub ejection: Ejection,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            consecutive_connect_failures: 3,
            failure_percent: FailurePercent::default(),
            statuses: Vec::new(),
            ejection: Ejection::default(),
        }
    }
}

/// Which share of failures is too much.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailurePercent {
    /// In percent of the requests in the window.
    pub threshold: u8,
    /// With fewer requests there is no share.
    pub min_requests: u32,
    /// Over this time; whole seconds, at most 10.
    pub window: Duration,
}

impl Default for FailurePercent {
    fn default() -> Self {
        Self {
            threshold: 50,
            min_requests: 20,
            window: Duration::from_secs(10),
        }
    }
}

/// How long an endpoint is left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ejection {
    /// The first time; doubled each further time.
    pub base: Duration,
    /// At most.
    pub max: Duration,
    /// Of an upstream's endpoints, the most that are left out at once, in percent; the last that is
    /// usable never is.
    pub max_percent: u8,
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(5),
            max: Duration::from_secs(300),
            max_percent: 100,
        }
    }
}

/// How an endpoint begins that joins an upstream which already has some.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlowStart {
    /// Its share of requests grows evenly over this time, from a tenth of that of the others; zero:
    /// it has its share at once.
    pub window: Duration,
}

impl Default for SlowStart {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30),
        }
    }
}

/// How endpoints are probed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// From the start of one probe to that of the next.
    pub interval: Duration,
    /// Of one probe, the connection included.
    pub timeout: Duration,
    /// After so many good probes in a row an endpoint is healthy again; at least 1.
    pub healthy_threshold: u8,
    /// After so many bad ones it is down; at least 1.
    pub unhealthy_threshold: u8,
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// For a status.
    Http {
        /// Path and query.
        path: Arc<str>,
        /// The value of `Host`; absent: the endpoint's address, as the kubelet does it.
        host: Option<Arc<str>>,
        /// The statuses of a healthy endpoint.
        expected: Vec<StatusRange>,
    },
    /// For a connection.
    Tcp,
    /// For the answer `SERVING` of `grpc.health.v1`.
    Grpc {
        /// The service that is asked for; empty for the whole server.
        service: Arc<str>,
    },
}

/// Statuses from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatusRange {
    /// The first.
    pub first: u16,
    /// The last, not below the first.
    pub last: u16,
}

impl StatusRange {
    /// Whether a status is one of them.
    pub fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

/// How much an upstream may have at once, in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CircuitBreaker {
    /// Connections, idle and upgraded ones included; at least 1.
    pub max_connections: u32,
    /// Requests that wait for a connection.
    pub max_pending_requests: u32,
    /// Requests on their way, those that wait included; at least 1.
    pub max_requests: u32,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_pending_requests: 1024,
            max_requests: 1024,
        }
    }
}

/// How connections are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionPool {
    /// The most idle connections of one worker to one endpoint.
    pub max_idle_per_endpoint: u16,
    /// How long a connection idles at most.
    pub idle_timeout: Duration,
    /// After so many requests a connection is closed; 0: never for that.
    pub max_requests_per_connection: u32,
}

impl Default for ConnectionPool {
    /// The time is below the 5 s after which Node.js, uvicorn and Apache close.
    fn default() -> Self {
        Self {
            max_idle_per_endpoint: 32,
            idle_timeout: Duration::from_secs(4),
            max_requests_per_connection: 0,
        }
    }
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoadBalancing {
    /// Among those that are usable.
    pub algorithm: Algorithm,
    /// By which a client comes back to its endpoint.
    pub sticky_cookie: Option<StickyCookie>,
}

/// How an endpoint is chosen among those that are usable.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// The better of two drawn at random, by requests in flight times average latency.
    #[default]
    PeakEwma,
    /// The better of two drawn at random, by requests in flight.
    LeastRequest,
    /// One after the other.
    RoundRobin,
    /// Drawn at random.
    Random,
    /// By what the request carries.
    ConsistentHash(HashKey),
}

/// What a request carries by which its endpoint is chosen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashKey {
    /// The value of a field, in lower case.
    Header(Arc<str>),
    /// The value of a cookie.
    Cookie(Arc<str>),
    /// The address of the client.
    ClientAddress,
}

/// A cookie by which a client comes back to its endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StickyCookie {
    /// Its name (RFC 6265 section 4.1.1).
    pub name: Arc<str>,
    /// Its life; absent: until the browser ends.
    pub max_age: Option<Duration>,
}

/// How TLS is spoken to an upstream; its certificate is always verified.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UpstreamTls {
    /// The name that is sent (SNI) and that the certificate must have.
    pub server_name: Arc<str>,
    /// Who may have signed the certificate.
    pub trust: Trust,
}

/// Who may have signed a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The roots of the system.
    System,
    /// These certificates, in DER.
    Certificates(Arc<[Vec<u8>]>),
}

impl Ord for Trust {
    /// Bundles are long, are compared for each route, and nearly always are the same one.
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::System, Self::System) => Ordering::Equal,
            (Self::System, Self::Certificates(_)) => Ordering::Less,
            (Self::Certificates(_), Self::System) => Ordering::Greater,
            (Self::Certificates(a), Self::Certificates(b)) if Arc::ptr_eq(a, b) => Ordering::Equal,
            (Self::Certificates(a), Self::Certificates(b)) => a.cmp(b),
        }
    }
}

impl PartialOrd for Trust {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
