//! The sections about what clients are answered.

use std::sync::Arc;

use crate::api::policy::{GatewayPolicy, answers as written};
use crate::api::rules::answers as rules;
use crate::routing::policy::upstream::StatusRange;
use crate::routing::policy::{PageSource, ResponseValidation};
use crate::translate::names;

use super::{Section, Sections, obey, status_range};

/// All that error pages can be for.
const ERRORS: StatusRange = StatusRange {
    first: 400,
    last: 599,
};

/// How much JSON is held back, where the policy does not say.
const HELD_BYTES: usize = 1024 * 1024;

/// Error pages, by the ConfigMap that holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::translate) struct PagesReference {
    pub(in crate::translate) statuses: Vec<StatusRange>,
    pub(in crate::translate) source: PageSource,
    /// Namespace and name of the ConfigMap; absent: the built-in pages.
    pub(in crate::translate) config_map: Option<(Arc<str>, Arc<str>)>,
}

impl Sections {
    /// The error pages that the policy names.
    pub(in crate::translate) fn pages(&self) -> impl Iterator<Item = &PagesReference> {
        self.error_pages.iter().flatten()
    }
}

pub(super) fn error_pages(policy: &GatewayPolicy) -> Section<Vec<PagesReference>> {
    let Some(section) = &policy.spec.error_pages else {
        return Ok(None);
    };
    let namespace = names::namespace(&policy.metadata);
    let pages: Result<_, String> = section.iter().map(|it| read_page(it, namespace)).collect();
    pages.map(Some)
}

fn read_page(page: &written::ErrorPage, namespace: &str) -> Result<PagesReference, String> {
    let written::ErrorPage {
        statuses,
        source,
        config_map,
    } = page;
    let statuses = match statuses {
        Some(statuses) => statuses.iter().map(|it| read_range(it)).collect(),
        None => Ok(vec![ERRORS]),
    };
    obey(rules::ERROR_PAGE, page)?;
    let config_map = config_map.as_ref();
    Ok(PagesReference {
        statuses: statuses?,
        source: match source {
            Some(written::PageSource::Gateway) | None => PageSource::Gateway,
            Some(written::PageSource::Upstream) => PageSource::Upstream,
            Some(written::PageSource::All) => PageSource::All,
        },
        config_map: config_map.map(|it| (namespace.into(), it.name.as_str().into())),
    })
}

fn read_range(text: &str) -> Result<StatusRange, String> {
    let range = status_range(text);
    let range = range.filter(|it| ERRORS.contains(it.first) && ERRORS.contains(it.last));
    range.ok_or_else(|| {
        format!(
            "statuses: '{text}' is neither a status from 400 to 599 nor a range such as 502-504"
        )
    })
}

pub(super) fn response_validation(policy: &GatewayPolicy) -> Section<ResponseValidation> {
    let Some(written::ResponseValidation { json }) = &policy.spec.response_validation else {
        return Ok(None);
    };
    let Some(json) = json else {
        return Ok(Some(ResponseValidation::default()));
    };
    obey(rules::JSON_VALIDATION, json)?;
    let written::JsonValidation { max_bytes } = json;
    let bytes = max_bytes.as_ref().and_then(|it| it.bytes());
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    Ok(Some(ResponseValidation {
        json: Some(bytes.unwrap_or(HELD_BYTES)),
    }))
}
