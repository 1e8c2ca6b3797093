//! What Bywash itself turns away, lacks, or does wrong.

use crate::failure::Cause;
use crate::report::facts::Latency;

use super::situation::Situation;
use super::words::{list, millis};
use super::{Advice, Code};

pub(super) fn explain(it: &Situation<'_>) -> Advice {
    match it.problem.cause {
        Cause::LimitReached => limit(it),
        Cause::LocalResources => Advice::of(
            Code::GatewayResources,
            "Bywash has no file descriptors, memory or local ports left for connections. Raise its limit \
             of open files and its memory, add replicas, or limit connections with \
             circuitBreaker.maxConnections."
                .to_owned(),
        ),
        Cause::CutOff => Advice::of(
            Code::GatewayEnded,
            "Bywash ended before these answers were complete. Raise --drain-timeout, and \
             terminationGracePeriodSeconds of its Pods above it, if answers are meant to take so long."
                .to_owned(),
        ),
        _ => Advice::of(
            Code::GatewayBug,
            "This is a defect of Bywash. Report it with its version and the lines of its log that have \
             the request id."
                .to_owned(),
        ),
    }
}

fn limit(it: &Situation<'_>) -> Advice {
    let limits: Vec<String> = it.problem.limits.iter().map(ToString::to_string).collect();
    let limits = list(&limits).unwrap_or_else(|| "a limit".to_owned());
    let slower = match it.problem.latency.filter(Latency::has_risen) {
        Some(Latency { usual, now }) => format!(
            " Answers take {} instead of {}: the longer they take, the more are under way at once.",
            millis(now),
            millis(usual)
        ),
        None => String::new(),
    };
    let sentence = format!(
        "{} is at {limits} of circuitBreaker, and what comes above it is turned away.{slower} Add \
         replicas of the app, or raise the limit if the Pods have room.",
        super::situation::capital(&it.service())
    );
    Advice::of(Code::LimitReached, sentence)
}
