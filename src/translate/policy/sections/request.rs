//! The sections that concern a single request.

use std::time::Duration;

use serde_json::Value;

use crate::api::policy::{self as written, GatewayPolicy};
use crate::api::rules;
use crate::routing::canonical::canonical_path;
use crate::routing::path::{PathKind, PathRule};
use crate::routing::policy::{
    Maintenance, ProxyStatus, Retry, RetryBudget, RetryOn, Timeouts, TlsRedirect,
};

use super::{Section, duration, named, number, obey};

/// What [`maintenance`] reads.
pub(super) const MAINTENANCE: &str = "maintenance";

/// What [`tls_redirect`] reads.
pub(super) const TLS_REDIRECT: &str = "tlsRedirect";

/// What clients are told in Retry-After, where the policy does not say.
const RETRY_AFTER: Duration = Duration::from_secs(120);

/// Maintenance of which nobody knows more than that it may be on.
pub(super) const IN_DOUBT: Maintenance = Maintenance {
    retry_after: RETRY_AFTER,
    allow: Vec::new(),
};

pub(super) fn timeouts(policy: &GatewayPolicy) -> Section<Timeouts> {
    let Some(section) = &policy.spec.timeouts else {
        return Ok(None);
    };
    let written::Timeouts {
        connect,
        send,
        read,
        request,
        tunnel,
    } = section;
    let builtin = Timeouts::default();
    let timeouts = Timeouts {
        connect: duration("connect", connect, builtin.connect)?,
        send: duration("send", send, builtin.send)?,
        read: duration("read", read, builtin.read)?,
        request: duration("request", request, builtin.request)?,
        tunnel: duration("tunnel", tunnel, builtin.tunnel)?,
    };
    obey(rules::TIMEOUTS, section)?;
    Ok(Some(timeouts))
}

pub(super) fn retry(policy: &GatewayPolicy) -> Section<Retry> {
    let Some(section) = &policy.spec.retry else {
        return Ok(None);
    };
    let written::Retry {
        on,
        attempts,
        per_try_timeout,
        within,
        backoff,
        budget,
        non_idempotent,
        buffer_bytes,
    } = section;
    let builtin = Retry::default();
    let (on, statuses) = match on {
        Some(on) => read_conditions(on)?,
        None => (builtin.on, builtin.statuses.clone()),
    };
    let unset = written::Backoff::default();
    let wait = backoff.as_ref().unwrap_or(&unset);
    let per_try = per_try_timeout.as_ref();
    let bytes = buffer_bytes.as_ref().and_then(|it| it.bytes());
    let retry = Retry {
        on,
        statuses,
        attempts: number("attempts", *attempts, 1..=10, builtin.attempts)?,
        per_try: per_try
            .map(|text| named("perTryTimeout", text.read()))
            .transpose()?,
        within: duration("within", within, builtin.within)?,
        backoff_base: duration("backoff.base", &wait.base, builtin.backoff_base)?,
        backoff_max: duration("backoff.max", &wait.max, builtin.backoff_max)?,
        non_idempotent: non_idempotent.unwrap_or(builtin.non_idempotent),
        buffer_bytes: bytes
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(builtin.buffer_bytes),
        budget: read_budget(budget.as_ref().unwrap_or(&written::RetryBudget::default()))?,
    };
    obey(rules::RETRY, section)?;
    obey(rules::BACKOFF, wait)?;
    obey(rules::SPEC, &policy.spec)?;
    Ok(Some(retry))
}

fn read_budget(written: &written::RetryBudget) -> Result<RetryBudget, String> {
    let written::RetryBudget {
        percent,
        min_per_second,
    } = written;
    let builtin = RetryBudget::default();
    let least = builtin.min_per_second;
    Ok(RetryBudget {
        percent: number("budget.percent", *percent, 0..=100, builtin.percent)?,
        min_per_second: number("budget.minPerSecond", *min_per_second, 0..=10_000, least)?,
    })
}

fn read_conditions(on: &[String]) -> Result<(RetryOn, Vec<u16>), String> {
    let mut conditions = RetryOn {
        connect_failure: false,
        reset: false,
        refused_stream: false,
        timeout: false,
        invalid_response: false,
    };
    let mut statuses = Vec::new();
    for condition in on {
        match condition.as_str() {
            "connect-failure" => conditions.connect_failure = true,
            "reset" => conditions.reset = true,
            "refused-stream" => conditions.refused_stream = true,
            "timeout" => conditions.timeout = true,
            "invalid-response" => conditions.invalid_response = true,
            other => statuses.push(read_status(other)?),
        }
    }
    statuses.sort_unstable();
    statuses.dedup();
    Ok((conditions, statuses))
}

fn read_status(condition: &str) -> Result<u16, String> {
    let code = condition.strip_prefix("http-");
    let code = code.and_then(|code| code.parse::<u16>().ok());
    let code = code.filter(|code| *code == 429 || (500..600).contains(code));
    code.ok_or_else(|| {
        format!(
            "on: '{condition}' is none of connect-failure, reset, refused-stream, timeout, \
             invalid-response, http-429 and http-5xx codes"
        )
    })
}

pub(super) fn bypass(policy: &GatewayPolicy) -> Section<Vec<PathRule>> {
    let Some(section) = &policy.spec.bypass else {
        return Ok(None);
    };
    let read = |bypass: &written::Bypass| {
        obey(rules::BYPASS, bypass)?;
        let path = canonical_path(&bypass.path);
        let path = path.map_err(|error| format!("the path '{}': {error}", bypass.path))?;
        Ok(PathRule::new(PathKind::Prefix, &path))
    };
    let paths: Result<Vec<PathRule>, String> = section.iter().map(read).collect();
    paths.map(Some)
}

pub(super) fn maintenance(policy: &GatewayPolicy) -> Section<Option<Maintenance>> {
    let Some(section) = &policy.spec.maintenance else {
        return Ok(None);
    };
    let written::Maintenance {
        enabled,
        retry_after,
        allow,
    } = section;
    let retry_after = duration("retryAfter", retry_after, RETRY_AFTER)?;
    obey(rules::MAINTENANCE, section)?;
    let allow = allow.iter().flatten();
    let maintenance = Maintenance {
        retry_after,
        allow: allow.filter_map(|network| network.parse().ok()).collect(),
    };
    Ok(Some(enabled.unwrap_or(false).then_some(maintenance)))
}

/// Whether maintenance that cannot be right may be meant to be on, which it is unless it says that it is
/// off: an application that is being worked on must not get requests because of a slip elsewhere.
pub(super) fn may_be_in_maintenance(policy: &GatewayPolicy) -> bool {
    if let Some(section) = &policy.spec.maintenance {
        return section.enabled == Some(true);
    }
    let misread = policy.spec.reading.misread(MAINTENANCE);
    let written = misread.map(|it| &it.written);
    let enabled = written.and_then(|written| match written {
        Value::Object(fields) => fields.get("enabled"),
        whole => Some(whole),
    });
    enabled.is_some_and(|enabled| !says_off(enabled))
}

/// Whether a redirect that is not of its form may be meant to be on, which it is unless it says that it is
/// off: what somebody wants to be sent over TLS alone must not travel in the clear because of a slip.
pub(super) fn may_be_redirected(policy: &GatewayPolicy) -> bool {
    let misread = policy.spec.reading.misread(TLS_REDIRECT);
    misread.is_some_and(|misread| !says_off(&misread.written))
}

fn says_off(enabled: &Value) -> bool {
    match enabled {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => ["false", "off", "no", ""]
            .iter()
            .any(|off| text.eq_ignore_ascii_case(off)),
        Value::Bool(true) | Value::Array(_) | Value::Object(_) => false,
    }
}

pub(super) fn proxy_status(policy: &GatewayPolicy) -> Section<ProxyStatus> {
    Ok(policy.spec.proxy_status.map(|value| match value {
        written::ProxyStatus::Off => ProxyStatus::Off,
        written::ProxyStatus::Cause => ProxyStatus::Cause,
        written::ProxyStatus::Full => ProxyStatus::Full,
    }))
}

pub(super) fn tls_redirect(policy: &GatewayPolicy) -> Section<TlsRedirect> {
    Ok(policy.spec.tls_redirect.map(|on| match on {
        true => TlsRedirect::On,
        false => TlsRedirect::Off,
    }))
}
