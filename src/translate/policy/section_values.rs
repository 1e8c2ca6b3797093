//! The values of a section, for people.

use std::time::Duration;

use crate::routing::path::PathRule;
use crate::routing::policy::{
    Maintenance, ProxyStatus, Retry, RetryBudget, RetryOn, Timeouts, TlsRedirect,
};

mod answers;
mod upstream;

pub(super) use answers::describe_pages;

/// Says every value, in the words of the spec.
pub(super) trait Describe {
    fn describe(&self) -> String;
}

impl Describe for Timeouts {
    fn describe(&self) -> String {
        let Self {
            connect,
            send,
            read,
            request,
            tunnel,
        } = self;
        let values = [
            ("connect", connect),
            ("send", send),
            ("read", read),
            ("request", request),
            ("tunnel", tunnel),
        ];
        let values = values.map(|(name, value)| format!("{name}={}", spell(*value)));
        values.join(" ")
    }
}

impl Describe for Retry {
    fn describe(&self) -> String {
        let Self {
            on,
            statuses,
            attempts,
            per_try,
            within,
            backoff_base,
            backoff_max,
            non_idempotent,
            buffer_bytes,
            budget:
                RetryBudget {
                    percent,
                    min_per_second,
                },
        } = self;
        let RetryOn {
            connect_failure,
            reset,
            refused_stream,
            timeout,
            invalid_response,
        } = on;
        let named = [
            ("connect-failure", connect_failure),
            ("reset", reset),
            ("refused-stream", refused_stream),
            ("timeout", timeout),
            ("invalid-response", invalid_response),
        ];
        let named = named.into_iter().filter(|(_, listed)| **listed);
        let named = named.map(|(name, _)| name.to_owned());
        let statuses = statuses.iter().map(|code| format!("http-{code}"));
        let on: Vec<String> = named.chain(statuses).collect();
        let per_try = per_try.map_or_else(|| "none".to_owned(), spell);
        format!(
            "on={} attempts={attempts} perTryTimeout={per_try} within={} backoff.base={} \
             backoff.max={} budget.percent={percent} budget.minPerSecond={min_per_second} \
             nonIdempotent={non_idempotent} bufferBytes={buffer_bytes}",
            on.join(","),
            spell(*within),
            spell(*backoff_base),
            spell(*backoff_max),
        )
    }
}

impl Describe for Vec<PathRule> {
    fn describe(&self) -> String {
        let paths: Vec<&str> = self.iter().map(PathRule::path).collect();
        if paths.is_empty() {
            "none".to_owned()
        } else {
            paths.join(" ")
        }
    }
}

impl Describe for Option<Maintenance> {
    fn describe(&self) -> String {
        let Some(Maintenance { retry_after, allow }) = self else {
            return "enabled=false".to_owned();
        };
        let allow: Vec<String> = allow.iter().map(ToString::to_string).collect();
        format!(
            "enabled=true retryAfter={} allow={}",
            spell(*retry_after),
            allow.join(",")
        )
    }
}

impl Describe for ProxyStatus {
    fn describe(&self) -> String {
        match self {
            Self::Off => "Off",
            Self::Cause => "Cause",
            Self::Full => "Full",
        }
        .to_owned()
    }
}

impl Describe for TlsRedirect {
    fn describe(&self) -> String {
        (*self == Self::On).to_string()
    }
}

/// As the Gateway API writes durations, in the largest unit that fits.
pub(super) fn spell(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        _ if !millis.is_multiple_of(1000) || millis == 0 => format!("{millis}ms"),
        _ if millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
        _ => format!("{}s", millis / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_values_read_as_in_the_reference() {
        assert_eq!(
            Timeouts::default().describe(),
            "connect=2s send=60s read=60s request=60s tunnel=1h"
        );
        assert_eq!(
            Retry::default().describe(),
            "on=connect-failure,reset,refused-stream,timeout,invalid-response,http-502,http-503,http-504 \
             attempts=3 perTryTimeout=none within=30s backoff.base=25ms backoff.max=250ms \
             budget.percent=20 budget.minPerSecond=10 nonIdempotent=false bufferBytes=65536"
        );
        assert_eq!(None::<Maintenance>.describe(), "enabled=false");
    }
}
