//! The values of the sections about an upstream.

use crate::routing::policy::upstream::{
    Algorithm, CircuitBreaker, ConnectionPool, Ejection, FailurePercent, HashKey, HealthCheck,
    LoadBalancing, OutlierDetection, Probe, SlowStart, StickyCookie,
};
use crate::translate::policy::sections::{FallbackReference, TlsReference};

use super::answers::range;
use super::{Describe, spell};

const OFF: &str = "off";

impl Describe for OutlierDetection {
    fn describe(&self) -> String {
        let Self {
            consecutive_failures,
            consecutive_connect_failures,
            failure_percent:
                FailurePercent {
                    threshold,
                    min_requests,
                    window,
                },
            statuses,
            ejection:
                Ejection {
                    base,
                    max,
                    max_percent,
                },
        } = self;
        let statuses = match statuses.as_slice() {
            [] => "none".to_owned(),
            codes => join(codes.iter()),
        };
        format!(
            "consecutiveFailures={consecutive_failures} (to connect: {consecutive_connect_failures}) \
             failurePercent.threshold={threshold} failurePercent.minRequests={min_requests} \
             failurePercent.window={} statuses={statuses} ejection.base={} ejection.max={} \
             ejection.maxPercent={max_percent}",
            spell(*window),
            spell(*base),
            spell(*max),
        )
    }
}

/// Of the panic threshold.
impl Describe for Option<u8> {
    fn describe(&self) -> String {
        self.map_or_else(|| OFF.to_owned(), |percent| percent.to_string())
    }
}

impl Describe for SlowStart {
    fn describe(&self) -> String {
        format!("window={}", spell(self.window))
    }
}

impl Describe for Option<HealthCheck> {
    fn describe(&self) -> String {
        let Some(check) = self else {
            return OFF.to_owned();
        };
        let HealthCheck {
            probe,
            interval,
            timeout,
            healthy_threshold,
            unhealthy_threshold,
        } = check;
        let probe = match probe {
            Probe::Http {
                path,
                host,
                expected,
            } => {
                let host = host.as_deref().unwrap_or("the endpoint's address");
                let expected = expected.iter().map(range);
                format!(
                    "http.path={path} http.host={host} http.expectedStatuses={}",
                    join(expected)
                )
            }
            Probe::Tcp => "tcp".to_owned(),
            Probe::Grpc { service } if service.is_empty() => "grpc".to_owned(),
            Probe::Grpc { service } => format!("grpc.service={service}"),
        };
        format!(
            "{probe} interval={} timeout={} healthyThreshold={healthy_threshold} \
             unhealthyThreshold={unhealthy_threshold}",
            spell(*interval),
            spell(*timeout),
        )
    }
}

impl Describe for Option<CircuitBreaker> {
    fn describe(&self) -> String {
        let Some(CircuitBreaker {
            max_connections,
            max_pending_requests,
            max_requests,
        }) = self
        else {
            return OFF.to_owned();
        };
        format!(
            "maxConnections={max_connections} maxPendingRequests={max_pending_requests} \
             maxRequests={max_requests}"
        )
    }
}

impl Describe for ConnectionPool {
    fn describe(&self) -> String {
        let Self {
            max_idle_per_endpoint,
            idle_timeout,
            max_requests_per_connection,
        } = self;
        format!(
            "maxIdlePerEndpoint={max_idle_per_endpoint} idleTimeout={} \
             maxRequestsPerConnection={max_requests_per_connection}",
            spell(*idle_timeout)
        )
    }
}

impl Describe for LoadBalancing {
    fn describe(&self) -> String {
        let Self {
            algorithm,
            sticky_cookie,
        } = self;
        let algorithm = match algorithm {
            Algorithm::PeakEwma => "PeakEwma".to_owned(),
            Algorithm::LeastRequest => "LeastRequest".to_owned(),
            Algorithm::RoundRobin => "RoundRobin".to_owned(),
            Algorithm::Random => "Random".to_owned(),
            Algorithm::ConsistentHash(HashKey::Header(name)) => {
                format!("ConsistentHash consistentHash.header={name}")
            }
            Algorithm::ConsistentHash(HashKey::Cookie(name)) => {
                format!("ConsistentHash consistentHash.cookie={name}")
            }
            Algorithm::ConsistentHash(HashKey::ClientAddress) => {
                "ConsistentHash consistentHash.source=ClientAddress".to_owned()
            }
        };
        let cookie = match sticky_cookie {
            None => OFF.to_owned(),
            Some(StickyCookie { name, max_age }) => {
                let age = max_age.map_or_else(|| "session".to_owned(), spell);
                format!("{name} stickyCookie.maxAge={age}")
            }
        };
        format!("algorithm={algorithm} stickyCookie={cookie}")
    }
}

impl Describe for Option<FallbackReference> {
    fn describe(&self) -> String {
        let Some(FallbackReference { namespace, service }) = self else {
            return OFF.to_owned();
        };
        let port = service.port.as_ref();
        let port = port.and_then(|it| it.name.clone().or(it.number.map(|it| it.to_string())));
        format!(
            "service={namespace}/{}:{}",
            service.name,
            port.unwrap_or_default()
        )
    }
}

impl Describe for Option<TlsReference> {
    fn describe(&self) -> String {
        let Some(TlsReference { ca, server_name }) = self else {
            return OFF.to_owned();
        };
        let ca = match ca {
            Some((namespace, name)) => format!("{namespace}/{name}"),
            None => "the roots of the system".to_owned(),
        };
        let name = server_name.as_deref().unwrap_or("the name of the Service");
        format!("ca={ca} serverName={name}")
    }
}

fn join(items: impl Iterator<Item = impl ToString>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    items.join(",")
}
