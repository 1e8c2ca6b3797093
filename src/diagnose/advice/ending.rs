//! Connections that the endpoint ended instead of answering.

use crate::failure::Cause;
use crate::report::hint::Protocol;

use super::situation::Situation;
use super::{Advice, Code, http, pods};

pub(super) fn explain(it: &Situation<'_>) -> Advice {
    keep_alive_race(it)
        .or_else(|| pods::state(it))
        .or_else(|| over_budget(it))
        .or_else(|| other_protocol(it))
        .or_else(|| pods::new_version(it))
        .unwrap_or_else(|| ends(it))
}

/// Every failure was on a connection that had idled, and nothing came back.
fn keep_alive_race(it: &Situation<'_>) -> Option<Advice> {
    let samples = &it.problem.samples;
    let all = samples
        .iter()
        .all(|sample| sample.reused && sample.received == 0);
    if samples.is_empty() || !all {
        return None;
    }
    let ours = it.problem.idle_timeout;
    let ours = ours.map_or(String::new(), |time| format!(" ({time:?})"));
    let sentence = format!(
        "{} closes idle connections just when they are used again: likely its keep-alive time is \
         shorter than connectionPool.idleTimeout{ours}. Raise that above it, or set \
         idleTimeout in a GatewayPolicy below it.",
        it.app()
    );
    Some(Advice::likely(Code::KeepAliveRace, sentence))
}

fn over_budget(it: &Situation<'_>) -> Option<Advice> {
    it.over_budget().then(|| {
        let sentence = format!(
            "So much fails that retry.budget is spent, and what could be repeated is not. {} ends \
             connections without an answer: see {}. A larger budget would only add load.",
            it.app(),
            it.log()
        );
        Advice::of(Code::RetryBudgetSpent, sentence)
    })
}

/// Servers of some protocols end what is not theirs without a word.
fn other_protocol(it: &Situation<'_>) -> Option<Advice> {
    let samples = &it.problem.samples;
    if !samples
        .iter()
        .all(|sample| sample.received == 0 && !sample.reused)
    {
        return None;
    }
    if it.sounds_like(&["grpc", "h2c", "http2"], &[50051]) {
        return Some(http::speaks(it, Protocol::Http2, true));
    }
    if it.sounds_like(&["https", "tls", "ssl"], &[443, 8443]) {
        return Some(http::speaks(it, Protocol::Tls, true));
    }
    None
}

fn ends(it: &Situation<'_>) -> Advice {
    let how = match it.problem.cause {
        Cause::ConnectionReset => "resets connections instead of answering",
        Cause::ClosedBeforeSend | Cause::GoneAway => "ends connections before a request is out",
        _ => "closes connections instead of answering",
    };
    let sentence = format!(
        "{} {how}: likely it, or a proxy beside it, gives up on these requests or crashes on them. \
         See {} at that time.{}",
        it.app(),
        it.log(),
        it.unread()
    );
    Advice::likely(Code::EndsWithoutAnswer, sentence)
}
