//! What conditions and Events say of traffic, in words.
//!
//! A message says how much fails, how, where, since when, why and what to do, and names a request to
//! look for; an Event has room for all of it. Nothing names a client.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::failure::{self, Cause};
use crate::report::facts::{Facts, Sample};

use super::advise;
use super::judge::{Scene, UpstreamVerdict, Verdict, problem};
use super::merge::{CauseSum, Sum};

/// The condition about the endpoints of upstreams.
pub(super) const UPSTREAMS_HEALTHY: &str = "UpstreamsHealthy";

/// The condition about the limits of a policy.
pub(super) const CIRCUIT_BREAKER_OPEN: &str = "CircuitBreakerOpen";

/// What it says while none is reached.
pub(super) const NOT_TURNING_AWAY: &str = "no request was turned away in the last 30 s";

pub(super) const LIMIT_REACHED: &str = "LimitReached";
pub(super) const CLOSED: &str = "Closed";

/// Of trouble that another replica told of.
pub(super) const NOT_KNOWN: &str = "NotKnown";

/// What stands before the id of a request that shows a failure.
pub const SAMPLE: &str = "Request id of a sample: ";

const NO_FAILURES: &str = "NoFailures";
const NO_TRAFFIC: &str = "NoTraffic";
const USABLE: &str = "EndpointsUsable";
const UNUSABLE: &str = "NoUsableEndpoint";

/// Upstreams that are named in a message.
const NAMED: usize = 3;

/// The longest name of a Pod that is told as it is.
const LONGEST_NAME: usize = 63;

/// One of the reasons that stand on objects.
pub(super) fn reason(text: &str) -> &'static str {
    let fixed = [
        NO_FAILURES,
        NO_TRAFFIC,
        USABLE,
        UNUSABLE,
        LIMIT_REACHED,
        CLOSED,
    ];
    let fixed = fixed.into_iter().find(|it| *it == text);
    let cause = || Cause::reasoned(text).map(Cause::reason);
    fixed.or_else(cause).unwrap_or(NOT_KNOWN)
}

/// The message of what has changed too often.
pub(super) fn alternating(mut message: String, alternates: bool) -> String {
    if alternates {
        message.push_str(ALTERNATES);
    }
    message
}

/// Without that it comes and goes.
pub(super) fn settled(message: &str) -> &str {
    message.strip_suffix(ALTERNATES).unwrap_or(message)
}

const ALTERNATES: &str = " It comes and goes: this stays here until it has settled.";

/// That limits were reached; at most so many upstreams are named.
pub(super) fn turning_away(
    upstreams: &BTreeMap<String, BTreeSet<&'static str>>,
    most: usize,
) -> String {
    let named = upstreams.iter().take(most).map(|(upstream, limits)| {
        let limits: Vec<&str> = limits.iter().copied().collect();
        format!("{} of {upstream}", limits.join(" and "))
    });
    let named: Vec<String> = named.collect();
    let more = match upstreams.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "requests were answered 503 at once in the last 30 s because of {}{more}: raise the limit, \
         or give the Service more endpoints.",
        named.join(", ")
    )
}

/// One trouble, as it is told.
pub(super) struct Trouble {
    pub(super) trouble: failure::Trouble,
    pub(super) cause: Option<Cause>,
    pub(super) since: u64,
    pub(super) last_request: u64,
    pub(super) ended: Option<(Cause, u64, u64)>,
    pub(super) alternates: bool,
}

impl Trouble {
    /// It is there; `known` is what was said of it before.
    pub(super) fn there(&self, scene: &Scene<'_>, sum: &Sum, known: Option<&Verdict>) -> Verdict {
        let cause = self.cause;
        let failures = cause.and_then(|cause| Some((cause, sum.cause(cause)?)));
        let mut message = match failures {
            Some((cause, failures)) => self.counted(scene, sum, (cause, failures)),
            None => self.still(known),
        };
        message = alternating(message, self.alternates);
        self.verdict(Some(true), cause.map_or(NOT_KNOWN, Cause::reason), message)
    }

    fn counted(&self, scene: &Scene<'_>, sum: &Sum, (cause, it): (Cause, &CauseSum)) -> String {
        let alike = sum
            .causes(self.trouble)
            .filter(|(other, _)| other.ends_a_body() == cause.ends_a_body());
        let failed = alike.map(|(_, it)| it.count).sum();
        let were = if failed == 1 { "was" } else { "were" };
        let how = match cause.ends_a_body() {
            true => "failed after the head of their answer".to_owned(),
            false => format!("{were} answered {}", self.trouble.status()),
        };
        let mut message = format!(
            "{failed} of {} requests in the last minute {how}: {cause}",
            sum.requests.max(failed),
        );
        message.push_str(&places(&it.samples, it.more_endpoints));
        let _ = write!(message, ", since {}.", clock(self.since, scene.now));
        let others = sum
            .causes(self.trouble)
            .filter(|(other, _)| *other != cause);
        let others: Vec<&str> = others.map(|(it, _)| it.reason()).take(NAMED).collect();
        if !others.is_empty() {
            let _ = write!(message, " Some failed otherwise: {}.", others.join(", "));
        }
        let problem = problem(cause, sum, scene);
        let nothing = Facts::default();
        let service = problem.upstream.as_ref();
        let service = service.map(|it| (it.namespace.to_string(), it.name.to_string()));
        let facts = match &service {
            Some(service) => scene.facts.get(service).map(|(_, facts)| facts),
            None => Some(&nothing),
        };
        if let Some(facts) = facts {
            let _ = write!(message, " {}", advise(&problem, facts).sentence);
        }
        if sum.fallbacks > 0 {
            let times = if sum.fallbacks == 1 {
                "once".to_owned()
            } else {
                format!("{} times", sum.fallbacks)
            };
            let _ = write!(message, " The fallback was asked {times}.");
        }
        if let Some(id) = &it.request_id {
            let _ = write!(message, " {SAMPLE}{id}");
        }
        message
    }

    /// There were no requests since to say more.
    fn still(&self, known: Option<&Verdict>) -> String {
        let known = known.filter(|it| it.status == Some(true) && !it.message.is_empty());
        let before = known.map_or("", |it| {
            let (before, _) = it.message.split_once(STILL).unwrap_or((&it.message, ""));
            before
        });
        match before {
            "" => format!(
                "requests were answered {}; there were none of late",
                self.trouble.status()
            ),
            before => format!("{before}{STILL}{}.", stamp(self.last_request)),
        }
    }

    /// It is not there.
    pub(super) fn gone(&self) -> Verdict {
        let message = match self.ended {
            Some((cause, began, at)) => recovered(self.trouble, cause, (began, at)),
            None => format!(
                "no request is answered {} by Bywash itself",
                self.trouble.status()
            ),
        };
        self.verdict(Some(false), NO_FAILURES, message)
    }

    /// Nobody knows.
    pub(super) fn unknown(&self) -> Verdict {
        let message = "no request in the last 15 minutes".to_owned();
        self.verdict(None, NO_TRAFFIC, message)
    }

    fn verdict(&self, status: Option<bool>, reason: &'static str, message: String) -> Verdict {
        Verdict {
            condition: self.trouble.condition(),
            status,
            reason,
            message,
        }
    }
}

/// What follows what was said before.
const STILL: &str = " No request has come since ";

/// That trouble is over.
pub(super) fn recovered(
    trouble: failure::Trouble,
    cause: Cause,
    (began, at): (u64, u64),
) -> String {
    let over = match cause.ends_a_body() {
        true => "do not fail after the head of their answer".to_owned(),
        false => format!("are not answered {}", trouble.status()),
    };
    let lasted = if began == 0 {
        String::new()
    } else {
        format!("; it lasted {}", lasting(at.saturating_sub(began)))
    };
    let at = stamp(at);
    format!("requests {over} any more since {at}{lasted} ({cause})")
}

/// Whether every upstream has an endpoint that a request may use.
pub(super) fn upstreams(healthy: bool, upstreams: &[UpstreamVerdict], sum: &Sum) -> Verdict {
    let unusable: Vec<&UpstreamVerdict> = upstreams
        .iter()
        .filter(|it| it.endpoints.is_unusable())
        .collect();
    let mut message = "every upstream has an endpoint that takes requests".to_owned();
    if !healthy {
        let named = unusable.iter().take(NAMED).map(|it| {
            let endpoints = &it.endpoints;
            match endpoints.probed_down {
                0 => endpoints.upstream.clone(),
                down => format!("{} ({down} fail their health check)", endpoints.upstream),
            }
        });
        message = format!(
            "no usable endpoint: {}",
            named.collect::<Vec<_>>().join(", ")
        );
        if unusable.len() > NAMED {
            let _ = write!(message, " and {} more", unusable.len() - NAMED);
        }
        if sum.fallbacks > 0 {
            let _ = write!(
                message,
                "; the fallback was asked for {} of {} requests in the last minute",
                sum.fallbacks, sum.requests
            );
        }
    }
    Verdict {
        condition: UPSTREAMS_HEALTHY,
        status: Some(healthy),
        reason: if healthy { USABLE } else { UNUSABLE },
        message,
    }
}

/// `, at cart-6d4f (10.244.1.7:8080) and 1 more`.
fn places(samples: &[Sample], more: u64) -> String {
    let Some((sample, address)) = samples.iter().find_map(|it| Some((it, it.endpoint?))) else {
        return String::new();
    };
    let place = match &sample.pod {
        Some(pod) => {
            let pod = &pod[..pod.floor_char_boundary(LONGEST_NAME)];
            format!(", at {pod} ({address})")
        }
        None => format!(", at {address}"),
    };
    let listed = samples.iter().filter(|it| it.endpoint.is_some()).count() as u64;
    match listed + more {
        0 | 1 => place,
        all => format!("{place} and {} more", all - 1),
    }
}

/// The time of a moment of today; else the day as well.
fn clock(second: u64, now: u64) -> String {
    if now.saturating_sub(second) < 12 * 60 * 60 {
        return time(second, "%H:%M:%S");
    }
    stamp(second)
}

/// A moment, by day and time.
fn stamp(second: u64) -> String {
    time(second, "%Y-%m-%dT%H:%M:%SZ")
}

fn time(second: u64, format: &str) -> String {
    let second = i64::try_from(second).unwrap_or(0);
    let time = Timestamp::from_second(second).unwrap_or_default();
    time.strftime(format).to_string()
}

/// A time in the two units that say most of it.
fn lasting(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {} s", seconds % 60),
        _ => format!("{hours} h {} min", minutes % 60),
    }
}

#[cfg(test)]
mod tests;
