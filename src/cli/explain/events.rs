//! What Events say about an object.
//!
//! An Event stays for an hour after what it tells has ended, and is repeated at least every half hour
//! while it lasts. One that was not repeated is told as what was.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;

use crate::diagnose::SAMPLE;
use crate::failure::Cause;
use crate::report::{Code, Severity};
use crate::stores::writer::EventRecord;

use super::facts::{Facts, name, namespace};
use super::picture::{Level, Remark};

/// An Event that holds is not older: it is repeated in time, give or take a moment.
const HOLDS: Duration = Duration::from_secs(EventRecord::REFRESH.as_secs() + 2 * 60);

/// What the Events about an object say, the newest first. `failing` tells whether its requests do fail,
/// where that is known.
pub(super) fn about(
    (kind, object): (&str, &impl kube::Resource),
    failing: Option<bool>,
    facts: &Facts,
) -> Vec<Remark> {
    let concerns = |event: &&Event| {
        let about = &event.involved_object;
        about.kind.as_deref() == Some(kind)
            && about.name.as_deref() == Some(name(object))
            && about.namespace.as_deref().unwrap_or_default() == namespace(object)
            && (about.uid.is_none() || about.uid == object.meta().uid)
            && is_ours(event)
    };
    let events = facts.events.iter().filter(concerns);
    let mut remarks: Vec<Remark> = events
        .map(|event| remark(event, failing, facts.now))
        .collect();
    remarks.sort_by_key(|remark| std::cmp::Reverse(remark.last));
    remarks
}

/// Other controllers write Events about Ingresses too.
fn is_ours(event: &Event) -> bool {
    let reason = event.reason.as_deref().unwrap_or_default();
    let component = event.source.as_ref().and_then(|it| it.component.as_deref());
    component.is_some_and(|it| it.starts_with("bywash")) || finding(reason).is_some()
}

fn remark(event: &Event, failing: Option<bool>, now: Timestamp) -> Remark {
    let reason = event.reason.clone().unwrap_or_default();
    let message = event.message.clone().unwrap_or_default();
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let ago = last.and_then(|last| Duration::try_from(now.duration_since(last)).ok());
    let holds = ago.is_none_or(|ago| ago < HOLDS);
    let warns = event.type_.as_deref() == Some("Warning");
    let level = match finding(&reason) {
        _ if !holds || !warns => Level::Note,
        Some(code) => match code.severity() {
            Severity::Error => Level::Problem,
            Severity::Warning => Level::Warning,
        },
        None if Cause::reasoned(&reason).is_some() && failing == Some(false) => Level::Note,
        None => Level::Problem,
    };
    Remark {
        level,
        samples: samples(&message),
        reason,
        message,
        since: event.first_timestamp.as_ref().map(|time| time.0),
        last,
        from: match level {
            Level::Note => "an earlier Event".to_owned(),
            _ => "an Event".to_owned(),
        },
    }
}

fn finding(reason: &str) -> Option<Code> {
    Code::ALL
        .iter()
        .copied()
        .find(|code| code.as_str() == reason)
}

/// The ids of requests that a message names.
pub(super) fn samples(message: &str) -> Vec<String> {
    let after = message.split(SAMPLE).skip(1);
    let ids = after.filter_map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "._:-".contains(c)));
        let id = rest[..end.unwrap_or(rest.len())].trim_end_matches(['.', ':']);
        (!id.is_empty()).then(|| id.to_owned())
    });
    ids.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_sample_is_found_in_a_message() {
        let message = "1 of 2 requests failed. Request id of a sample: 01J-a.b.";
        assert_eq!(samples(message), ["01J-a.b"]);
        assert!(samples("nothing to see").is_empty());
    }
}
