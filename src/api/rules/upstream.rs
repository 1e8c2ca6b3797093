//! The rules about how an upstream is treated.

use std::time::Duration;

use crate::api::policy::upstream::{
    Algorithm, ConnectionPool, ConsistentHash, Ejection, FailurePercent, HashSource, HealthCheck,
    HttpProbe, LoadBalancing, PortReference, StickyCookie, UpstreamTls,
};
use crate::api::values::DurationText;

use super::{Rule, is_positive};

/// About the share of failures.
pub const FAILURE_PERCENT: &[Rule<FailurePercent>] = &[Rule {
    cel: "!has(self.window) || (duration(self.window) >= duration('1s') && duration(self.window) <= \
          duration('10s') && duration(self.window).getMilliseconds() % 1000 == 0)",
    message: "failurePercent.window must be whole seconds from 1s to 10s",
    holds: |percent| {
        let window = percent.window.as_ref().map(DurationText::read);
        window.is_none_or(|window| {
            window.is_ok_and(|it| (1..=10).contains(&it.as_secs()) && it.subsec_nanos() == 0)
        })
    },
}];

/// About ejections.
pub const EJECTION: &[Rule<Ejection>] = &[
    Rule {
        cel: "(!has(self.base) || duration(self.base) > duration('0s')) && (!has(self.max) || \
              duration(self.max) > duration('0s'))",
        message: "ejection.base and ejection.max must be longer than 0s: for no ejections set \
                  maxPercent: 0",
        holds: |ejection| is_positive(&ejection.base) && is_positive(&ejection.max),
    },
    Rule {
        cel: "duration(has(self.base) ? self.base : '5s') <= duration(has(self.max) ? self.max : \
              '300s')",
        message: "ejection.base is longer than ejection.max (5s and 300s where they are not set): \
                  raise max or lower base",
        holds: |ejection| ordered((&ejection.base, 5), (&ejection.max, 300)),
    },
];

/// About probes.
pub const HEALTH_CHECK: &[Rule<HealthCheck>] = &[
    Rule {
        cel: "[has(self.http), has(self.tcp), has(self.grpc)].filter(kind, kind).size() <= 1",
        message: "a health check is one of http, tcp and grpc: keep one of them",
        holds: |check| kinds(check) <= 1,
    },
    Rule {
        cel: "has(self.http) || has(self.tcp) || has(self.grpc) || !(has(self.interval) || \
              has(self.timeout) || has(self.healthyThreshold) || has(self.unhealthyThreshold))",
        message: "a health check needs one of http, tcp and grpc: add one, or leave out its settings \
                  for no health check",
        holds: |check| {
            let settings = check.interval.is_some()
                || check.timeout.is_some()
                || check.healthy_threshold.is_some()
                || check.unhealthy_threshold.is_some();
            kinds(check) > 0 || !settings
        },
    },
    Rule {
        cel: "!has(self.interval) || duration(self.interval) >= duration('1s')",
        message: "healthCheck.interval must be at least 1s",
        holds: |check| {
            let interval = check.interval.as_ref().map(DurationText::read);
            interval.is_none_or(|it| it.is_ok_and(|it| it >= Duration::from_secs(1)))
        },
    },
    Rule {
        cel: "(!has(self.timeout) || duration(self.timeout) > duration('0s')) && \
              duration(has(self.timeout) ? self.timeout : '1s') <= duration(has(self.interval) ? \
              self.interval : '5s')",
        message: "healthCheck.timeout must be longer than 0s and at most the interval (1s and 5s \
                  where they are not set)",
        holds: |check| {
            is_positive(&check.timeout) && ordered((&check.timeout, 1), (&check.interval, 5))
        },
    },
];

/// About a probe that asks for a status.
pub const HTTP_PROBE: &[Rule<HttpProbe>] = &[
    Rule {
        cel: "!has(self.path) || self.path.matches('^/[!-~]*$')",
        message: "the path of a probe begins with '/' and holds neither spaces nor characters beyond \
                  ASCII",
        holds: |probe| {
            let path = probe.path.as_ref();
            path.is_none_or(|it| it.starts_with('/') && it.bytes().all(|b| b.is_ascii_graphic()))
        },
    },
    Rule {
        cel: "!has(self.host) || self.host.matches('^[A-Za-z0-9._:\\\\[\\\\]-]+$')",
        message: "the host of a probe is a name or an address, with a port if need be",
        holds: |probe| {
            let host = probe.host.as_ref();
            let fits = |b: u8| b.is_ascii_alphanumeric() || b"._:[]-".contains(&b);
            host.is_none_or(|it| !it.is_empty() && it.bytes().all(fits))
        },
    },
    Rule {
        cel: "!has(self.expectedStatuses) || self.expectedStatuses.size() > 0",
        message: "expectedStatuses is empty, so that no answer would be good: list some, or leave it out \
                  for 200-399",
        holds: |probe| {
            let ranges = probe.expected_statuses.as_ref();
            ranges.is_none_or(|ranges| !ranges.is_empty())
        },
    },
    Rule {
        cel: "!has(self.expectedStatuses) || self.expectedStatuses.all(range, range.size() == 3 || \
              range.substring(0, 3) <= range.substring(4))",
        message: "a range of statuses goes from the lower to the higher, such as 200-399",
        holds: |probe| {
            let ranges = probe.expected_statuses.iter().flatten();
            ranges.into_iter().all(|range| {
                let ends = range.split_once('-');
                ends.is_none_or(|(first, last)| first <= last)
            })
        },
    },
];

/// About kept connections.
pub const CONNECTION_POOL: &[Rule<ConnectionPool>] = &[Rule {
    cel: "!has(self.idleTimeout) || duration(self.idleTimeout) > duration('0s')",
    message: "connectionPool.idleTimeout must be longer than 0s: to keep no connection set \
              maxIdlePerEndpoint: 0",
    holds: |pool| is_positive(&pool.idle_timeout),
}];

/// About the choice of endpoints.
pub const LOAD_BALANCING: &[Rule<LoadBalancing>] = &[Rule {
    cel: "has(self.consistentHash) == (has(self.algorithm) && self.algorithm == 'ConsistentHash')",
    message: "consistentHash belongs to algorithm: ConsistentHash: set both or neither",
    holds: |balancing| {
        let hashing = balancing.algorithm == Some(Algorithm::ConsistentHash);
        balancing.consistent_hash.is_some() == hashing
    },
}];

/// About what is hashed.
pub const CONSISTENT_HASH: &[Rule<ConsistentHash>] = &[
    Rule {
        cel: "has(self.name) == (self.source != 'ClientAddress')",
        message: "a Header or a Cookie is hashed by its name, a ClientAddress has none: add name or \
                  leave it out",
        holds: |hash| hash.name.is_some() == (hash.source != HashSource::ClientAddress),
    },
    Rule {
        cel: "!has(self.name) || self.name.matches('^[A-Za-z0-9_.-]+$')",
        message: "the name of a header or a cookie is of letters, digits, '-', '_' and '.'",
        holds: |hash| hash.name.as_deref().is_none_or(is_name),
    },
];

/// About the cookie of a client's endpoint.
pub const STICKY_COOKIE: &[Rule<StickyCookie>] = &[
    Rule {
        cel: "!has(self.name) || self.name.matches('^[A-Za-z0-9_.-]+$')",
        message: "the name of a cookie is of letters, digits, '-', '_' and '.'",
        holds: |cookie| cookie.name.as_deref().is_none_or(is_name),
    },
    Rule {
        cel: "!has(self.maxAge) || duration(self.maxAge) >= duration('1s')",
        message: "stickyCookie.maxAge must be at least 1s: leave it out to keep the cookie until the \
                  browser ends",
        holds: |cookie| {
            let age = cookie.max_age.as_ref().map(DurationText::read);
            age.is_none_or(|it| it.is_ok_and(|it| it >= Duration::from_secs(1)))
        },
    },
];

/// About the port of a Service.
pub const PORT: &[Rule<PortReference>] = &[Rule {
    cel: "has(self.name) != has(self.number)",
    message: "a port is named by its name or by its number: set one of them",
    holds: |port| port.name.is_some() != port.number.is_some(),
}];

/// About TLS to endpoints.
pub const UPSTREAM_TLS: &[Rule<UpstreamTls>] = &[Rule {
    cel: "!has(self.serverName) || self.serverName.matches('^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\
          ([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$')",
    message: "upstreamTls.serverName is a DNS name in lower case",
    holds: |tls| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let is_label = |label: &str| {
            let label = label.as_bytes();
            let ends = label.first().zip(label.last());
            label.len() <= 63
                && label.iter().all(|b| inner(*b) || *b == b'-')
                && ends.is_some_and(|(first, last)| inner(*first) && inner(*last))
        };
        let name = tls.server_name.as_deref();
        name.is_none_or(|name| name.split('.').all(is_label))
    },
}];

fn kinds(check: &HealthCheck) -> usize {
    let HealthCheck {
        http, tcp, grpc, ..
    } = check;
    [http.is_some(), tcp.is_some(), grpc.is_some()]
        .into_iter()
        .filter(|there| *there)
        .count()
}

/// A name that headers and cookies may have.
fn is_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    !name.is_empty() && name.bytes().all(fits)
}

/// Whether the first is at most the second; each with its default in seconds. True where one is no
/// duration, which another check says better.
fn ordered(
    (first, first_default): (&Option<DurationText>, u64),
    (second, second_default): (&Option<DurationText>, u64),
) -> bool {
    let read = |text: &Option<DurationText>, default| match text {
        Some(text) => text.read().ok(),
        None => Some(Duration::from_secs(default)),
    };
    match (read(first, first_default), read(second, second_default)) {
        (Some(first), Some(second)) => first <= second,
        _ => true,
    }
}
