//! What cannot be right, and what to do about it.
//!
//! The API server refuses a policy by these expressions (CEL); whoever reads policies without one, or
//! reads one that an older definition let through, asks the functions. Both decide alike, which a test
//! proves on a real API server, and both say the same sentence. A function has nothing against what
//! another check refuses anyway, such as a text that is no duration.

use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::policy::{Backoff, Bypass, GatewayPolicySpec, Maintenance, Retry, TargetRef, Timeouts};
use super::values::DurationText;

pub mod answers;
pub mod upstream;

/// The most bytes of a request body that may be kept.
pub const MOST_BUFFER_BYTES: i64 = 1024 * 1024;

/// One rule about a part of a policy.
#[derive(Debug)]
pub struct Rule<T: 'static> {
    /// For the API server; `self` is the part.
    pub cel: &'static str,
    /// What to do.
    pub message: &'static str,
    /// The same decision.
    pub holds: fn(&T) -> bool,
}

/// The rules as the schema wants them.
pub fn validations<T>(rules: &[Rule<T>]) -> Value {
    let rules = rules.iter();
    rules
        .map(|rule| json!({"rule": rule.cel, "message": rule.message}))
        .collect()
}

/// The sentences of the rules that a part breaks.
pub fn broken<T>(rules: &'static [Rule<T>], part: &T) -> impl Iterator<Item = &'static str> {
    let broken = rules.iter().filter(move |rule| !(rule.holds)(part));
    broken.map(|rule| rule.message)
}

/// Across sections of one policy.
pub const SPEC: &[Rule<GatewayPolicySpec>] = &[Rule {
    cel: "!has(self.retry) || !has(self.retry.perTryTimeout) || !has(self.timeouts) || \
          duration(self.retry.perTryTimeout) <= duration(has(self.timeouts.request) ? \
          self.timeouts.request : '60s')",
    message: "retry.perTryTimeout is longer than timeouts.request (60s where it is not set): make it \
              shorter, since one attempt cannot outlast the whole request",
    holds: |spec| {
        let per_try = spec
            .retry
            .as_ref()
            .and_then(|it| it.per_try_timeout.as_ref());
        let (Some(per_try), Some(timeouts)) = (per_try, &spec.timeouts) else {
            return true;
        };
        let request = timeouts.request.as_ref();
        let request = request.map_or(Ok(Duration::from_secs(60)), DurationText::read);
        match (per_try.read(), request) {
            (Ok(per_try), Ok(request)) => per_try <= request,
            _ => true,
        }
    },
}];

/// About a target.
pub const TARGET: &[Rule<TargetRef>] = &[
    Rule {
        cel: "(self.kind == 'Ingress' && self.group == 'networking.k8s.io') || (self.kind == \
              'Service' && self.group == '')",
        message: "a target is an Ingress of group networking.k8s.io or a Service of group \"\": \
                  correct group or kind",
        holds: |target| {
            matches!(
                (&*target.group, &*target.kind),
                ("networking.k8s.io", "Ingress") | ("", "Service")
            )
        },
    },
    Rule {
        cel: "!has(self.sectionName) || self.kind == 'Ingress'",
        message: "sectionName is the host of an Ingress rule: leave it out for a Service",
        holds: |target| target.section_name.is_none() || target.kind == "Ingress",
    },
];

/// About time limits.
pub const TIMEOUTS: &[Rule<Timeouts>] = &[Rule {
    cel: "(!has(self.connect) || duration(self.connect) > duration('0s')) && \
          (!has(self.send) || duration(self.send) > duration('0s')) && \
          (!has(self.read) || duration(self.read) > duration('0s')) && \
          (!has(self.request) || duration(self.request) > duration('0s')) && \
          (!has(self.tunnel) || duration(self.tunnel) > duration('0s'))",
    message: "a timeout must be longer than 0s: leave it out to get its default",
    holds: |timeouts| {
        let Timeouts {
            connect,
            send,
            read,
            request,
            tunnel,
        } = timeouts;
        [connect, send, read, request, tunnel]
            .into_iter()
            .all(is_positive)
    },
}];

/// About retries.
pub const RETRY: &[Rule<Retry>] = &[
    Rule {
        cel: "!has(self.perTryTimeout) || duration(self.perTryTimeout) > duration('0s')",
        message: "perTryTimeout must be longer than 0s: leave it out for no limit of its own",
        holds: |retry| is_positive(&retry.per_try_timeout),
    },
    Rule {
        cel: "!has(self.within) || duration(self.within) > duration('0s')",
        message: "within must be longer than 0s: for no further attempts set attempts: 1",
        holds: |retry| is_positive(&retry.within),
    },
    Rule {
        cel: "!has(self.bufferBytes) || (type(self.bufferBytes) == int ? (self.bufferBytes >= 0 && \
              self.bufferBytes <= 1048576) : (isQuantity(self.bufferBytes) && \
              !quantity(self.bufferBytes).isGreaterThan(quantity('1Mi'))))",
        message: "bufferBytes must be a quantity from 0 to 1Mi, for example 64Ki",
        holds: |retry| {
            let bytes = retry.buffer_bytes.as_ref().map(|it| it.bytes());
            bytes.is_none_or(|bytes| bytes.is_some_and(|it| (0..=MOST_BUFFER_BYTES).contains(&it)))
        },
    },
];

/// About the wait between attempts.
pub const BACKOFF: &[Rule<Backoff>] = &[Rule {
    cel: "duration(has(self.base) ? self.base : '25ms') <= duration(has(self.max) ? self.max : \
          '250ms')",
    message: "backoff.base is longer than backoff.max (25ms and 250ms where they are not set): raise \
              max or lower base",
    holds: |backoff| {
        let read = |text: &Option<DurationText>, default| match text {
            Some(text) => text.read().ok(),
            None => Some(Duration::from_millis(default)),
        };
        match (read(&backoff.base, 25), read(&backoff.max, 250)) {
            (Some(base), Some(max)) => base <= max,
            _ => true,
        }
    },
}];

/// About requests that are passed on without help.
pub const BYPASS: &[Rule<Bypass>] = &[Rule {
    cel: "self.path.startsWith('/') && !self.path.contains('?') && !self.path.contains('#')",
    message: "a path begins with '/' and holds neither '?' nor '#': write it as in an Ingress",
    holds: |bypass| bypass.path.starts_with('/') && !bypass.path.contains(['?', '#']),
}];

/// About maintenance.
pub const MAINTENANCE: &[Rule<Maintenance>] = &[
    Rule {
        cel: "!has(self.retryAfter) || duration(self.retryAfter) >= duration('1s')",
        message: "retryAfter must be at least 1s: clients are told whole seconds",
        holds: |maintenance| {
            let after = maintenance.retry_after.as_ref().map(DurationText::read);
            after.is_none_or(|after| after.is_ok_and(|it| it >= Duration::from_secs(1)))
        },
    },
    Rule {
        cel: "!has(self.allow) || self.allow.all(network, isCIDR(network))",
        message: "allow lists networks in CIDR form: write 192.0.2.7/32 for a single address",
        holds: |maintenance| {
            let networks = maintenance.allow.iter().flatten();
            networks.into_iter().all(|it| it.parse::<IpNet>().is_ok())
        },
    },
];

pub(super) fn is_positive(text: &Option<DurationText>) -> bool {
    let read = text.as_ref().map(DurationText::read);
    read.is_none_or(|read| read.is_ok_and(|it| !it.is_zero()) || text_is_no_duration(text))
}

/// Which another check says better.
fn text_is_no_duration(text: &Option<DurationText>) -> bool {
    text.as_ref().is_some_and(|text| text.read().is_err())
}
