//! The values of the sections about what clients are answered.

use crate::routing::policy::upstream::StatusRange;
use crate::routing::policy::{PageSource, ResponseValidation};
use crate::translate::policy::sections::PagesReference;

use super::Describe;

impl Describe for Vec<PagesReference> {
    fn describe(&self) -> String {
        if self.is_empty() {
            return "the built-in pages".to_owned();
        }
        let entries: Vec<String> = self.iter().map(describe_entry).collect();
        entries.join("; ")
    }
}

fn describe_entry(entry: &PagesReference) -> String {
    let PagesReference {
        statuses,
        source,
        config_map,
    } = entry;
    let pages = match config_map {
        Some((namespace, name)) => format!("{namespace}/{name}"),
        None => "the built-in pages".to_owned(),
    };
    describe_pages(statuses, *source, &pages)
}

/// An entry of the error pages, which are these.
pub(in crate::translate::policy) fn describe_pages(
    statuses: &[StatusRange],
    source: PageSource,
    pages: &str,
) -> String {
    let statuses: Vec<String> = statuses.iter().map(range).collect();
    let source = match source {
        PageSource::Gateway => "Gateway",
        PageSource::Upstream => "Upstream",
        PageSource::All => "All",
    };
    let statuses = statuses.join(",");
    format!("statuses={statuses} source={source} configMap={pages}")
}

impl Describe for ResponseValidation {
    fn describe(&self) -> String {
        match self.json {
            Some(bytes) => format!("json.maxBytes={bytes}"),
            None => "off".to_owned(),
        }
    }
}

/// Statuses as they are written.
pub(super) fn range(range: &StatusRange) -> String {
    match range {
        StatusRange { first, last } if first == last => first.to_string(),
        StatusRange { first, last } => format!("{first}-{last}"),
    }
}
