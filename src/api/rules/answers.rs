//! The rules about what clients are answered.

use crate::api::policy::answers::{ErrorPage, JsonValidation};

use super::Rule;

/// The most bytes of a response that may be held back.
pub const MOST_HELD_BYTES: i64 = 16 * 1024 * 1024;

/// About an entry of the error pages.
pub const ERROR_PAGE: &[Rule<ErrorPage>] = &[Rule {
    cel: "!has(self.statuses) || self.statuses.all(range, range.size() == 3 || range.substring(0, 3) \
          <= range.substring(4))",
    message: "a range of statuses goes from the lower to the higher, such as 502-504",
    holds: |page| {
        let ranges = page.statuses.iter().flatten();
        ranges.into_iter().all(|range| {
            let ends = range.split_once('-');
            ends.is_none_or(|(first, last)| first <= last)
        })
    },
}];

/// About the validation of JSON.
pub const JSON_VALIDATION: &[Rule<JsonValidation>] = &[Rule {
    cel: "!has(self.maxBytes) || (type(self.maxBytes) == int ? (self.maxBytes >= 1 && self.maxBytes \
          <= 16777216) : (isQuantity(self.maxBytes) && quantity(self.maxBytes).isGreaterThan(quantity('0')) && \
          !quantity(self.maxBytes).isGreaterThan(quantity('16Mi'))))",
    message: "json.maxBytes must be a quantity from 1 to 16Mi, for example 1Mi: leave json out to look \
              at no answer",
    holds: |validation| {
        let bytes = validation.max_bytes.as_ref().map(|it| it.bytes());
        bytes.is_none_or(|bytes| bytes.is_some_and(|it| (1..=MOST_HELD_BYTES).contains(&it)))
    },
}];
