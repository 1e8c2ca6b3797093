//! Limits of different policies that cannot both be meant; within one policy a rule refuses them.

use std::time::Duration;

use crate::report::ObjectRef;
use crate::routing::policy::Policy;

use super::attached::Attached;
use super::section_values::spell;

/// What of these policies, most specific first, contradicts the others: the one whose limit has no effect, and
/// a sentence.
pub(super) fn contradiction(
    policies: &[&Attached],
    joined: &Policy,
) -> Option<(ObjectRef, String)> {
    let per_try = joined.retry.per_try?;
    let request = joined.timeouts.request;
    if per_try <= request {
        return None;
    }
    let mut with_retry = policies.iter();
    let retry = with_retry.find(|it| it.sections.retry.is_some())?;
    let mut with_timeouts = policies.iter();
    let timeouts = with_timeouts.find(|it| it.sections.timeouts.is_some());
    let from = match timeouts {
        Some(timeouts) => format!("in the {}", timeouts.object),
        None => "built in".to_owned(),
    };
    Some((retry.object.clone(), sentence(per_try, request, &from)))
}

fn sentence(per_try: Duration, request: Duration, from: &str) -> String {
    format!(
        "retry.perTryTimeout is {}, but timeouts.request is {} ({from}), and one attempt cannot outlast the \
         whole request: make the first shorter or the second longer",
        spell(per_try),
        spell(request)
    )
}
