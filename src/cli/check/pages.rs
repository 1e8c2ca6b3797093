//! Error pages that differ though the same statuses get some: the ConfigMap holds another text.

use std::collections::BTreeSet;

use crate::routing::pages::PageName;
use crate::routing::policy::Policy;

use super::compare::digest;

type Pages<'a> = BTreeSet<(PageName, &'a str)>;

/// The pages that only one side has, with which text; nothing where all are the same.
pub(super) fn differing(before: &Policy, after: &Policy) -> (String, String) {
    let (before, after) = (pages(before), pages(after));
    (words(&before, &after), words(&after, &before))
}

fn pages(policy: &Policy) -> Pages<'_> {
    let sets = policy.error_pages.iter().filter_map(|it| it.pages.as_ref());
    let pages = sets.flat_map(|set| set.iter());
    pages
        .map(|(name, template)| (name, template.source()))
        .collect()
}

fn words(these: &Pages<'_>, others: &Pages<'_>) -> String {
    let only = these.difference(others);
    let only = only.map(|(name, text)| format!("{name} ({})", digest(text.as_bytes())));
    let only: Vec<String> = only.collect();
    match only.is_empty() && these != others {
        true => "none of them".to_owned(),
        false => only.join(", "),
    }
}
