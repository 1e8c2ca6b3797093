//! The sections that concern an upstream as a whole.

use std::sync::Arc;

use crate::api::policy::{GatewayPolicy, upstream as written};
use crate::api::rules::upstream as rules;
use crate::routing::policy::upstream::{
    Algorithm, CircuitBreaker, ConnectionPool, Ejection, FailurePercent, HashKey, HealthCheck,
    LoadBalancing, OutlierDetection, Probe, SlowStart, StatusRange, StickyCookie,
};

use super::{Section, duration, named, number, obey, status_range};

/// The name of the cookie of a client's endpoint, where the policy does not say another.
const STICKY_COOKIE: &str = "bywash-endpoint";

pub(super) fn outlier_detection(policy: &GatewayPolicy) -> Section<OutlierDetection> {
    let Some(section) = &policy.spec.outlier_detection else {
        return Ok(None);
    };
    let written::OutlierDetection {
        consecutive_failures,
        failure_percent,
        statuses,
        ejection,
    } = section;
    let builtin = OutlierDetection::default();
    let consecutive: u8 = number(
        "consecutiveFailures",
        *consecutive_failures,
        1..=100,
        builtin.consecutive_failures,
    )?;
    let mut codes = Vec::new();
    for status in statuses.iter().flatten() {
        codes.push(number("a status", Some(*status), 400..=599, 0)?);
    }
    codes.sort_unstable();
    codes.dedup();
    Ok(Some(OutlierDetection {
        consecutive_failures: consecutive,
        consecutive_connect_failures: consecutive.min(builtin.consecutive_connect_failures),
        failure_percent: read_failure_percent(failure_percent.clone().unwrap_or_default())?,
        statuses: codes,
        ejection: read_ejection(ejection.clone().unwrap_or_default())?,
    }))
}

fn read_failure_percent(section: written::FailurePercent) -> Result<FailurePercent, String> {
    obey(rules::FAILURE_PERCENT, &section)?;
    let written::FailurePercent {
        threshold,
        min_requests,
        window,
    } = section;
    let builtin = FailurePercent::default();
    let least = builtin.min_requests;
    Ok(FailurePercent {
        threshold: number(
            "failurePercent.threshold",
            threshold,
            1..=100,
            builtin.threshold,
        )?,
        min_requests: number(
            "failurePercent.minRequests",
            min_requests,
            1..=1_000_000,
            least,
        )?,
        window: duration("failurePercent.window", &window, builtin.window)?,
    })
}

fn read_ejection(section: written::Ejection) -> Result<Ejection, String> {
    obey(rules::EJECTION, &section)?;
    let written::Ejection {
        base,
        max,
        max_percent,
    } = section;
    let builtin = Ejection::default();
    Ok(Ejection {
        base: duration("ejection.base", &base, builtin.base)?,
        max: duration("ejection.max", &max, builtin.max)?,
        max_percent: number(
            "ejection.maxPercent",
            max_percent,
            0..=100,
            builtin.max_percent,
        )?,
    })
}

pub(super) fn panic_threshold(policy: &GatewayPolicy) -> Section<Option<u8>> {
    let Some(percent) = policy.spec.panic_threshold else {
        return Ok(None);
    };
    let percent: u8 = number("panicThreshold", Some(percent), 0..=100, 0)?;
    Ok(Some((percent > 0).then_some(percent)))
}

pub(super) fn slow_start(policy: &GatewayPolicy) -> Section<SlowStart> {
    let Some(written::SlowStart { window }) = &policy.spec.slow_start else {
        return Ok(None);
    };
    let window = duration("window", window, SlowStart::default().window)?;
    Ok(Some(SlowStart { window }))
}

pub(super) fn health_check(policy: &GatewayPolicy) -> Section<Option<HealthCheck>> {
    let Some(section) = &policy.spec.health_check else {
        return Ok(None);
    };
    obey(rules::HEALTH_CHECK, section)?;
    let written::HealthCheck {
        http,
        tcp,
        grpc,
        interval,
        timeout,
        healthy_threshold,
        unhealthy_threshold,
    } = section;
    let probe = match (http, tcp, grpc) {
        (Some(http), _, _) => read_http_probe(http)?,
        (_, Some(written::TcpProbe {}), _) => Probe::Tcp,
        (_, _, Some(written::GrpcProbe { service })) => Probe::Grpc {
            service: service.as_deref().unwrap_or_default().into(),
        },
        (None, None, None) => return Ok(Some(None)),
    };
    let seconds = std::time::Duration::from_secs;
    Ok(Some(Some(HealthCheck {
        probe,
        interval: duration("interval", interval, seconds(5))?,
        timeout: duration("timeout", timeout, seconds(1))?,
        healthy_threshold: number("healthyThreshold", *healthy_threshold, 1..=10, 2)?,
        unhealthy_threshold: number("unhealthyThreshold", *unhealthy_threshold, 1..=10, 3)?,
    })))
}

fn read_http_probe(section: &written::HttpProbe) -> Result<Probe, String> {
    obey(rules::HTTP_PROBE, section)?;
    let written::HttpProbe {
        path,
        host,
        expected_statuses,
    } = section;
    let expected = match expected_statuses {
        Some(ranges) => ranges.iter().map(|range| read_range(range)).collect(),
        None => Ok(vec![StatusRange {
            first: 200,
            last: 399,
        }]),
    };
    Ok(Probe::Http {
        path: path.as_deref().unwrap_or("/").into(),
        host: host.as_deref().map(Into::into),
        expected: expected?,
    })
}

fn read_range(text: &str) -> Result<StatusRange, String> {
    status_range(text).ok_or_else(|| {
        format!("expectedStatuses: '{text}' is neither a status nor a range such as 200-399")
    })
}

pub(super) fn circuit_breaker(policy: &GatewayPolicy) -> Section<Option<CircuitBreaker>> {
    let Some(section) = &policy.spec.circuit_breaker else {
        return Ok(None);
    };
    let written::CircuitBreaker {
        max_connections,
        max_pending_requests,
        max_requests,
    } = section;
    let builtin = CircuitBreaker::default();
    let read = |field, value, least, builtin| number(field, value, least..=1_000_000, builtin);
    Ok(Some(Some(CircuitBreaker {
        max_connections: read(
            "maxConnections",
            *max_connections,
            1,
            builtin.max_connections,
        )?,
        max_pending_requests: read(
            "maxPendingRequests",
            *max_pending_requests,
            0,
            builtin.max_pending_requests,
        )?,
        max_requests: read("maxRequests", *max_requests, 1, builtin.max_requests)?,
    })))
}

pub(super) fn connection_pool(policy: &GatewayPolicy) -> Section<ConnectionPool> {
    let Some(section) = &policy.spec.connection_pool else {
        return Ok(None);
    };
    obey(rules::CONNECTION_POOL, section)?;
    let written::ConnectionPool {
        max_idle_per_endpoint,
        idle_timeout,
        max_requests_per_connection,
    } = section;
    let builtin = ConnectionPool::default();
    Ok(Some(ConnectionPool {
        max_idle_per_endpoint: number(
            "maxIdlePerEndpoint",
            *max_idle_per_endpoint,
            0..=10_000,
            builtin.max_idle_per_endpoint,
        )?,
        idle_timeout: duration("idleTimeout", idle_timeout, builtin.idle_timeout)?,
        max_requests_per_connection: number(
            "maxRequestsPerConnection",
            *max_requests_per_connection,
            0..=1_000_000_000,
            builtin.max_requests_per_connection,
        )?,
    }))
}

pub(super) fn load_balancing(policy: &GatewayPolicy) -> Section<LoadBalancing> {
    let Some(section) = &policy.spec.load_balancing else {
        return Ok(None);
    };
    obey(rules::LOAD_BALANCING, section)?;
    let written::LoadBalancing {
        algorithm,
        consistent_hash,
        sticky_cookie,
    } = section;
    let algorithm = match (algorithm, consistent_hash) {
        (_, Some(hash)) => Algorithm::ConsistentHash(read_hash_key(hash)?),
        (None | Some(written::Algorithm::PeakEwma | written::Algorithm::ConsistentHash), None) => {
            Algorithm::PeakEwma
        }
        (Some(written::Algorithm::LeastRequest), None) => Algorithm::LeastRequest,
        (Some(written::Algorithm::RoundRobin), None) => Algorithm::RoundRobin,
        (Some(written::Algorithm::Random), None) => Algorithm::Random,
    };
    let sticky_cookie = sticky_cookie.as_ref().map(read_sticky_cookie).transpose()?;
    Ok(Some(LoadBalancing {
        algorithm,
        sticky_cookie,
    }))
}

fn read_hash_key(section: &written::ConsistentHash) -> Result<HashKey, String> {
    obey(rules::CONSISTENT_HASH, section)?;
    let written::ConsistentHash { source, name } = section;
    let name = name.as_deref().unwrap_or_default();
    Ok(match source {
        written::HashSource::Header => HashKey::Header(name.to_ascii_lowercase().into()),
        written::HashSource::Cookie => HashKey::Cookie(Arc::from(name)),
        written::HashSource::ClientAddress => HashKey::ClientAddress,
    })
}

fn read_sticky_cookie(section: &written::StickyCookie) -> Result<StickyCookie, String> {
    obey(rules::STICKY_COOKIE, section)?;
    let written::StickyCookie { name, max_age } = section;
    let max_age = max_age.as_ref().map(|text| text.read());
    Ok(StickyCookie {
        name: name.as_deref().unwrap_or(STICKY_COOKIE).into(),
        max_age: named("stickyCookie.maxAge", max_age.transpose())?,
    })
}
