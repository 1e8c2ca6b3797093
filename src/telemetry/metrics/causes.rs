//! Counters by cause, made when the first failure is counted.
//!
//! Most routes never fail on most workers, and a counter for each cause of each route and worker
//! would be most of the memory of the metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};

use crate::failure::Cause;

/// The labels of all causes, sorted, each once.
pub(super) static LABELS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut labels: Vec<_> = Cause::all().into_iter().map(Cause::label).collect();
    labels.sort_unstable();
    labels.dedup();
    labels
});

/// A counter for each label of [`LABELS`].
#[derive(Debug, Default)]
pub(super) struct CauseCounters(OnceLock<Box<[AtomicU64]>>);

impl CauseCounters {
    pub(super) fn add(&self, cause: Cause) {
        let counters = self
            .0
            .get_or_init(|| LABELS.iter().map(|_| AtomicU64::new(0)).collect());
        if let Ok(index) = LABELS.binary_search(&cause.label()) {
            counters[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether a failure was ever counted.
    pub(super) fn any(&self) -> bool {
        self.0.get().is_some()
    }

    /// Adds these counts to sums in the order of [`LABELS`].
    pub(super) fn add_to(&self, sums: &mut [u64]) {
        for (sum, counter) in sums.iter_mut().zip(self.0.get().into_iter().flatten()) {
            *sum += counter.load(Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_counter() {
        for cause in Cause::all() {
            assert!(LABELS.binary_search(&cause.label()).is_ok(), "{cause:?}");
        }
    }
}
