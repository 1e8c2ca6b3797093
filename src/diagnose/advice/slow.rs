//! Endpoints that take too long.

use crate::failure::Cause;
use crate::report::facts::Latency;

use super::situation::{Situation, lower};
use super::words::millis;
use super::{Advice, Code, pods, reach};

pub(super) fn explain(it: &Situation<'_>) -> Advice {
    let samples = &it.problem.samples;
    // The time was spent on connections that did not come about.
    if !samples.is_empty() && samples.iter().all(|sample| sample.sent == 0) {
        return reach::timed_out(it);
    }
    let state = pods::ended(it).or_else(|| pods::leaving(it));
    state
        .or_else(|| overload(it))
        .or_else(|| pods::new_version(it))
        .unwrap_or_else(|| too_slow(it))
}

/// Answers take much longer than they did.
fn overload(it: &Situation<'_>) -> Option<Advice> {
    let latency = it.problem.latency.filter(Latency::has_risen)?;
    let budget = if it.over_budget() {
        ", and retry.budget is spent"
    } else {
        ""
    };
    let sentence = format!(
        "Answers take {} instead of {}{budget}: likely {} has more to do than it can. Add \
         replicas or CPU, look at what it waits for (database, locks), and limit what is let through \
         with circuitBreaker.maxRequests.",
        millis(latency.now),
        millis(latency.usual),
        lower(&it.app())
    );
    Some(Advice::likely(Code::Overload, sentence))
}

fn too_slow(it: &Situation<'_>) -> Advice {
    let (who, log) = (it.app(), it.log());
    match it.problem.cause {
        Cause::SendTimeout => {
            let sentence = format!(
                "{who} stopped taking the request's body: it does not read what it is sent. Have the app \
                 read uploads to their end or answer early, or raise timeouts.send. See {log}."
            );
            Advice::of(Code::StopsReading, sentence)
        }
        Cause::BodyTimeout => {
            let sentence = format!(
                "{who} began to answer and fell silent inside the body. Have it send something from time \
                 to time, as event streams do with comments, or raise timeouts.read. See {log}."
            );
            Advice::of(Code::BodyStandsStill, sentence)
        }
        cause => {
            let limit = match cause {
                Cause::ResponseTimeout => "retry.perTryTimeout",
                _ => "timeouts.request",
            };
            let sentence = format!(
                "{who} took the request and did not answer in the time that {limit} allows. Find out \
                 what the app waits for ({log}); raise {limit} in a GatewayPolicy if it is meant to take \
                 so long."
            );
            Advice::of(Code::SlowAnswer, sentence)
        }
    }
}
