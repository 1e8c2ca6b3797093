//! The sections of a policy: from the written form to resolved values.
//!
//! One line of the table below makes a section: read from the spec, kept in its last good form when it
//! cannot be right, resolved by precedence, and shown in the status. Sections replace and never
//! merge, so that a field left out of one has its built-in value.

use std::time::Duration;

use crate::api::policy::{self as written, GatewayPolicySpec};
use crate::api::rules;
use crate::api::values::DurationText;
use crate::report::ObjectRef;
use crate::report::policy::{Defect, SectionReport};
use crate::routing::canonical::canonical_path;
use crate::routing::path::{PathKind, PathRule};
use crate::routing::policy::{
    Maintenance, Policy, ProxyStatus, Retry, RetryOn, Timeouts, TlsRedirect,
};

use super::section_values::Describe as _;

macro_rules! sections {
    ($($field:ident: $type:ty, $name:literal, $read:path;)+) => {
        /// What one policy says; absent where it says nothing.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(in crate::translate) struct Sections {
            $(pub(super) $field: Option<$type>,)+
        }

        impl Sections {
            /// The sections of a policy, and those that cannot be right, of which the last good form
            /// is kept.
            pub(super) fn read(spec: &GatewayPolicySpec, last: Option<&Self>) -> (Self, Vec<Defect>) {
                let mut sections = Self::default();
                let mut defects = Vec::new();
                $(match $read(spec) {
                    Ok(section) => sections.$field = section,
                    Err(why) => {
                        sections.$field = last.and_then(|last| last.$field.clone());
                        let kept = sections.$field.is_some();
                        defects.push(Defect { section: $name, why, kept });
                    }
                })+
                (sections, defects)
            }

            /// Each section from the first candidate that has it.
            pub(super) fn resolve(candidates: &[&Self], builtin: &Policy) -> Policy {
                let mut policy = builtin.clone();
                $(if let Some(section) = candidates.iter().find_map(|it| it.$field.as_ref()) {
                    policy.$field = section.clone();
                })+
                policy
            }

            /// The same for people, with where each section is from.
            pub(super) fn in_force(
                candidates: &[(&ObjectRef, &Self)],
                builtin: &Policy,
            ) -> Vec<SectionReport> {
                vec![$({
                    let mut found = candidates.iter();
                    let found = found.find_map(|(origin, it)| Some((*origin, it.$field.as_ref()?)));
                    SectionReport {
                        name: $name,
                        origin: found.map(|(origin, _)| origin.clone()),
                        values: found.map_or(&builtin.$field, |(_, section)| section).describe(),
                    }
                },)+]
            }
        }
    };
}

sections! {
    timeouts: Timeouts, "timeouts", read_timeouts;
    retry: Retry, "retry", read_retry;
    bypass: Vec<PathRule>, "bypass", read_bypass;
    maintenance: Option<Maintenance>, "maintenance", read_maintenance;
    proxy_status: ProxyStatus, "proxyStatus", read_proxy_status;
    tls_redirect: TlsRedirect, "tlsRedirect", read_tls_redirect;
}

/// A section; absent where the policy does not have it.
type Section<T> = Result<Option<T>, String>;

fn read_timeouts(spec: &GatewayPolicySpec) -> Section<Timeouts> {
    let Some(section) = &spec.timeouts else {
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

fn read_retry(spec: &GatewayPolicySpec) -> Section<Retry> {
    let Some(section) = &spec.retry else {
        return Ok(None);
    };
    let written::Retry {
        on,
        attempts,
        per_try_timeout,
        within,
        backoff,
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
        attempts: read_attempts(*attempts)?.unwrap_or(builtin.attempts),
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
        budget: builtin.budget,
    };
    obey(rules::RETRY, section)?;
    obey(rules::BACKOFF, wait)?;
    obey(rules::SPEC, spec)?;
    Ok(Some(retry))
}

fn read_attempts(attempts: Option<i32>) -> Result<Option<u8>, String> {
    let read = |attempts| match u8::try_from(attempts) {
        Ok(attempts @ 1..=10) => Ok(attempts),
        _ => Err("attempts is a number from 1 to 10".to_owned()),
    };
    attempts.map(read).transpose()
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

fn read_bypass(spec: &GatewayPolicySpec) -> Section<Vec<PathRule>> {
    let Some(section) = &spec.bypass else {
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

fn read_maintenance(spec: &GatewayPolicySpec) -> Section<Option<Maintenance>> {
    let Some(section) = &spec.maintenance else {
        return Ok(None);
    };
    let written::Maintenance {
        enabled,
        retry_after,
        allow,
    } = section;
    let retry_after = duration("retryAfter", retry_after, Duration::from_secs(120))?;
    obey(rules::MAINTENANCE, section)?;
    let allow = allow.iter().flatten();
    let maintenance = Maintenance {
        retry_after,
        allow: allow.filter_map(|network| network.parse().ok()).collect(),
    };
    Ok(Some(enabled.unwrap_or(false).then_some(maintenance)))
}

fn read_proxy_status(spec: &GatewayPolicySpec) -> Section<ProxyStatus> {
    Ok(spec.proxy_status.map(|value| match value {
        written::ProxyStatus::Off => ProxyStatus::Off,
        written::ProxyStatus::Cause => ProxyStatus::Cause,
        written::ProxyStatus::Full => ProxyStatus::Full,
    }))
}

fn read_tls_redirect(spec: &GatewayPolicySpec) -> Section<TlsRedirect> {
    Ok(spec.tls_redirect.map(|on| match on {
        true => TlsRedirect::On,
        false => TlsRedirect::Off,
    }))
}

fn duration(
    field: &str,
    text: &Option<DurationText>,
    builtin: Duration,
) -> Result<Duration, String> {
    text.as_ref()
        .map_or(Ok(builtin), |text| named(field, text.read()))
}

fn named<T>(field: &str, read: Result<T, String>) -> Result<T, String> {
    read.map_err(|why| format!("{field}: {why}"))
}

/// The first rule that is broken.
fn obey<T>(rules: &'static [rules::Rule<T>], part: &T) -> Result<(), String> {
    match rules::broken(rules, part).next() {
        Some(message) => Err(message.to_owned()),
        None => Ok(()),
    }
}
