//! The policy of a route, resolved: every value present, nothing optional that has a default.
//!
//! Defaults are those of an Ingress that no policy targets. What concerns a single request stands
//! here, what concerns the upstream as a whole in [`upstream`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::pages::PageSet;
use super::path::PathRule;
use upstream::{StatusRange, UpstreamPolicy};

pub mod upstream;

/// How a route's requests are sent on, and what happens when that fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Time limits.
    pub timeouts: Timeouts,
    /// When another attempt follows.
    pub retry: Retry,
    /// What the client learns from `Proxy-Status`.
    pub proxy_status: ProxyStatus,
    /// Whether plain HTTP is redirected (308) where the host has a certificate.
    pub tls_redirect: TlsRedirect,
    /// Where requests are answered 503 instead of being sent on.
    pub maintenance: Option<Maintenance>,
    /// What clients get with an error; the first that fits counts.
    pub error_pages: Vec<ErrorPages>,
    /// Which answers are no valid ones, beyond what HTTP says.
    pub response_validation: ResponseValidation,
    /// Paths whose requests are passed on without help: no retry, no error page, no access log.
    pub bypass: Vec<PathRule>,
    /// The policies that it is made of, `namespace/name`, the most specific first: for logs.
    pub origin: Arc<[Box<str>]>,
    /// How the upstream is treated: by all requests alike, so that it is a part of its identity.
    pub upstream: Arc<UpstreamPolicy>,
}

impl Policy {
    /// The policy of the upstream, to be changed.
    pub fn upstream_mut(&mut self) -> &mut UpstreamPolicy {
        Arc::make_mut(&mut self.upstream)
    }
}

/// The time limits of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// Between two writes of the request to the endpoint.
    pub send: Duration,
    /// Between two reads of the response body from the endpoint.
    pub read: Duration,
    /// Until a response head is there, all attempts and waits included, counted while we wait for
    /// the upstream.
    pub request: Duration,
    /// Of silence on an upgraded connection.
    pub tunnel: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            send: Duration::from_secs(60),
            read: Duration::from_secs(60),
            request: Duration::from_secs(60),
            tunnel: Duration::from_secs(3600),
        }
    }
}

/// When another attempt follows a failed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The failures that are retried.
    pub on: RetryOn,
    /// The statuses of the application that are retried, for safe methods only.
    pub statuses: Vec<u16>,
    /// Attempts in all, the first included; at least 1.
    pub attempts: u8,
    /// Of one attempt, until its response head; `None` leaves only the whole request's limit.
    pub per_try: Option<Duration>,
    /// No new attempt starts later than this.
    pub within: Duration,
    /// The base of the exponential backoff before an endpoint that was tried before.
    pub backoff_base: Duration,
    /// The longest backoff.
    pub backoff_max: Duration,
    /// Whether requests of other methods than the idempotent ones are repeated too
    /// (RFC 9110 section 9.2.2 leaves that to whoever knows the application).
    pub non_idempotent: bool,
    /// The most bytes of a request body that are kept for another attempt.
    pub buffer_bytes: usize,
    /// How many retries the upstream may cost.
    pub budget: RetryBudget,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            on: RetryOn::default(),
            statuses: vec![502, 503, 504],
            attempts: 3,
            per_try: None,
            within: Duration::from_secs(30),
            backoff_base: Duration::from_millis(25),
            backoff_max: Duration::from_millis(250),
            non_idempotent: false,
            buffer_bytes: 64 * 1024,
            budget: RetryBudget::default(),
        }
    }
}

/// How many retries of requests that were sent an upstream may cost, over all workers; those of
/// requests that were never sent are free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// So many retries for a hundred requests.
    pub percent: u8,
    /// And so many a second in any case.
    pub min_per_second: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            percent: 20,
            min_per_second: 10,
        }
    }
}

/// Which failures are retried, of those that may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOn {
    /// No connection: refused, no way, no time, no name, no TLS.
    pub connect_failure: bool,
    /// The connection ended before a response head.
    pub reset: bool,
    /// The endpoint refused the stream before it processed anything.
    pub refused_stream: bool,
    /// An attempt took longer than its own limit.
    pub timeout: bool,
    /// What came was not a response.
    pub invalid_response: bool,
}

impl Default for RetryOn {
    fn default() -> Self {
        Self {
            connect_failure: true,
            reset: true,
            refused_stream: true,
            timeout: true,
            invalid_response: true,
        }
    }
}

/// Answering 503 on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// What clients are told, in whole seconds; at least one.
    pub retry_after: Duration,
    /// Whose requests are served all the same.
    pub allow: Vec<IpNet>,
}

impl Maintenance {
    /// Whether a client is turned away.
    pub fn concerns(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        !self.allow.iter().any(|network| network.contains(&client))
    }
}

/// What clients get with some errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPages {
    /// With these statuses.
    pub statuses: Vec<StatusRange>,
    /// Whose errors.
    pub source: PageSource,
    /// The pages, beside those that are built in.
    pub pages: Option<Arc<PageSet>>,
}

impl ErrorPages {
    /// Whether these are the pages for an error.
    pub fn fit(&self, status: u16, made_here: bool) -> bool {
        let source = match self.source {
            PageSource::Gateway => made_here,
            PageSource::Upstream => !made_here,
            PageSource::All => true,
        };
        source && self.statuses.iter().any(|range| range.contains(status))
    }
}

/// Who made an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PageSource {
    /// This process.
    #[default]
    Gateway,
    /// The application.
    Upstream,
    /// Either.
    All,
}

/// Which answers are no valid ones, beyond what HTTP says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseValidation {
    /// An answer that says it is JSON has to be, if it has at most so many bytes.
    pub json: Option<usize>,
}

/// How much of a failure the client reads in `Proxy-Status` (RFC 9209).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyStatus {
    /// No field.
    Off,
    /// The error type.
    #[default]
    Cause,
    /// The error type, the next hop's address and details.
    Full,
}

/// Whether plain HTTP is redirected to HTTPS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsRedirect {
    /// 308, but for ACME challenges.
    #[default]
    On,
    /// Plain HTTP is served.
    Off,
}

/// Which addresses may be connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRules {
    /// Whether loopback is allowed: without a cluster it is where upstreams live.
    pub allow_loopback: bool,
    /// Addresses never connected to: the API server's and our own.
    pub prohibited: Vec<IpAddr>,
}

impl AddressRules {
    /// Whether a connection to the address may be opened.
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let special = match address {
            IpAddr::V4(v4) => {
                v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast()
            }
            IpAddr::V6(v6) => {
                v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast()
            }
        };
        !special
            && (self.allow_loopback || !address.is_loopback())
            && !self.prohibited.contains(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(rules: &AddressRules, address: &str) -> bool {
        rules.permits(address.parse().unwrap())
    }

    #[test]
    fn metadata_loopback_and_nowhere_are_never_connected_to_in_a_cluster() {
        let rules = AddressRules {
            allow_loopback: false,
            prohibited: vec!["10.96.0.1".parse().unwrap()],
        };
        for address in [
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "fe80::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "10.96.0.1",
            "::ffff:10.96.0.1",
        ] {
            assert!(!permits(&rules, address), "{address}");
        }
        assert!(permits(&rules, "10.244.1.7"));
        assert!(permits(&rules, "fd00::7"));
    }

    #[test]
    fn maintenance_concerns_everybody_but_the_allowed_networks() {
        let maintenance = Maintenance {
            retry_after: Duration::from_secs(120),
            allow: vec!["192.0.2.0/24".parse().unwrap()],
        };
        let concerns = |client: &str| maintenance.concerns(client.parse().unwrap());
        assert!(concerns("198.51.100.7") && concerns("::1"));
        assert!(!concerns("192.0.2.7") && !concerns("::ffff:192.0.2.7"));
    }

    #[test]
    fn loopback_is_allowed_where_there_is_no_cluster() {
        let rules = AddressRules {
            allow_loopback: true,
            prohibited: Vec::new(),
        };
        assert!(permits(&rules, "127.0.0.1") && permits(&rules, "::1"));
        assert!(!permits(&rules, "169.254.169.254"));
    }
}
