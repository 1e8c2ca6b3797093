//! What the control plane tells: seldom written, never on the path of a request that goes well.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Gauges of the configuration in force.
#[derive(Debug, Default)]
pub struct Control {
    generation: AtomicU64,
    /// Unix time in milliseconds; 0 until something is served.
    last_change: AtomicU64,
    leader: AtomicBool,
    own_log_lines_dropped: AtomicU64,
    failure_records_dropped: AtomicU64,
    /// By severity and code.
    findings: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

impl Control {
    /// The generation that is served from now on.
    pub fn set_generation(&self, generation: u64) {
        if self.generation.swap(generation, Ordering::Relaxed) != generation {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let millis = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
            self.last_change.store(millis, Ordering::Relaxed);
        }
    }

    /// The findings of now, each as its severity and code.
    pub fn set_findings(&self, findings: impl IntoIterator<Item = (&'static str, &'static str)>) {
        let mut counts = BTreeMap::new();
        for finding in findings {
            *counts.entry(finding).or_insert(0) += 1;
        }
        *self.findings.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }

    /// Whether this replica is the one that writes to the API server.
    pub fn set_leader(&self, leader: bool) {
        self.leader.store(leader, Ordering::Relaxed);
    }

    /// How many lines of the process's own log were dropped so far.
    pub fn set_own_log_lines_dropped(&self, lines: u64) {
        self.own_log_lines_dropped.store(lines, Ordering::Relaxed);
    }

    /// Counts failures of which somebody who should have learned did not.
    pub fn failure_records_dropped(&self, records: u64) {
        let dropped = &self.failure_records_dropped;
        dropped.fetch_add(records, Ordering::Relaxed);
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds since 1970 are far below 2^53"
    )]
    pub(super) fn last_change_seconds(&self) -> f64 {
        self.last_change.load(Ordering::Relaxed) as f64 / 1000.0
    }

    pub(super) fn leader(&self) -> bool {
        self.leader.load(Ordering::Relaxed)
    }

    pub(super) fn own_log_lines_dropped(&self) -> u64 {
        self.own_log_lines_dropped.load(Ordering::Relaxed)
    }

    pub(super) fn failure_records_lost(&self) -> u64 {
        self.failure_records_dropped.load(Ordering::Relaxed)
    }

    pub(super) fn findings(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.findings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
