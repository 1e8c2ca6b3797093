//! Ids of requests that failed, beside what they were counted in: the exemplars of OpenMetrics.
//!
//! One is kept for each cause of a route and for each bucket of its durations, the last one. It is taken
//! where failures are looked at anyway, so that no request waits for it, and none that is well leaves any.
//!
//! They are added to what `prometheus_client` has written: it cannot be given an exemplar for a histogram
//! that it does not count itself.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use crate::report::outcome::Outcome;

use super::catalogue::{self, Metric};
use super::routes::{self, BOUNDS};

/// The label of an exemplar.
const LABEL: &str = "request_id";

/// The most characters of its label and value together, as OpenMetrics has it.
const LONGEST: usize = 128;

/// So many are kept, however many routes come and go while nobody asks for them.
const MOST: usize = 8192;

/// What follows the value of a sample, by what stands before it.
#[derive(Debug, Default)]
pub(super) struct Exemplars(Mutex<HashMap<String, String>>);

impl Exemplars {
    pub(super) fn take(&self, outcome: &Outcome) {
        let Some(cause) = outcome.cause else {
            return;
        };
        let id = &*outcome.request_id;
        let ended = (outcome.time + outcome.duration).duration_since(UNIX_EPOCH);
        let ended = ended.unwrap_or_default().as_secs_f64();
        if LABEL.len() + id.chars().count() > LONGEST {
            return;
        }
        let exemplar = |value: f64| format!(" # {{{LABEL}=\"{id}\"}} {value:?} {ended:.3}");
        let failure = sample(
            &catalogue::REQUEST_FAILURES.name(),
            ("cause", cause.label()),
            outcome,
        );
        let bound = BOUNDS.get(routes::bucket(outcome.duration));
        let bound = bound.map_or("+Inf".to_owned(), |bound| format!("{bound:?}"));
        let duration = sample(&buckets(), ("le", &bound), outcome);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (sample, value) in [(failure, 1.0), (duration, outcome.duration.as_secs_f64())] {
            if kept.len() < MOST || kept.contains_key(&sample) {
                kept.insert(sample, exemplar(value));
            }
        }
    }

    /// The text with exemplars. Those of what is exported no more are forgotten.
    pub(super) fn add_to(&self, text: &str) -> String {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_empty() {
            return text.to_owned();
        }
        let names = [catalogue::REQUEST_FAILURES.name(), buckets()];
        let mut exported = HashSet::new();
        let mut whole = String::with_capacity(text.len() + kept.len() * LONGEST);
        for line in text.lines() {
            whole.push_str(line);
            if names.iter().any(|name| line.starts_with(name))
                && let Some((sample, _)) = line.rsplit_once(' ')
                && let Some(exemplar) = kept.get(sample)
            {
                whole.push_str(exemplar);
                exported.insert(sample);
            }
            whole.push('\n');
        }
        kept.retain(|sample, _| exported.contains(&**sample));
        whole
    }
}

fn buckets() -> String {
    Metric::name(&catalogue::REQUEST_DURATION) + "_bucket"
}

/// What stands before the value. Names of Kubernetes hold nothing that would have to be escaped.
fn sample(name: &str, (label, value): (&str, &str), outcome: &Outcome) -> String {
    let mut sample = format!("{name}{{{label}=\"{value}\"");
    let (namespace, ingress) = match &outcome.ingress {
        Some(ingress) => (&*ingress.namespace, &*ingress.name),
        None => ("", ""),
    };
    let upstream = outcome.upstream.as_ref().map(ToString::to_string);
    let labels = [
        ("ingress_namespace", namespace),
        ("ingress", ingress),
        ("upstream", upstream.as_deref().unwrap_or_default()),
    ];
    for (label, value) in labels {
        let _infallible = write!(sample, ",{label}=\"{value}\"");
    }
    sample + "}"
}

#[cfg(test)]
mod tests;
