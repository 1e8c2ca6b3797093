//! What becomes of the spans of traces.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The spans of one process.
#[derive(Debug, Default)]
pub struct SpanCounters {
    made: AtomicU64,
    exported: AtomicU64,
    lost: AtomicU64,
}

/// How many there are.
pub(super) struct SpanCounts {
    pub(super) made: u64,
    pub(super) exported: u64,
    pub(super) lost: u64,
}

impl SpanCounters {
    /// Counts a span that was left for export.
    pub fn made(&self) {
        self.made.fetch_add(1, Relaxed);
    }

    /// Counts spans that a collector took, or did not.
    pub fn sent(&self, spans: u64, taken: bool) {
        let counter = if taken { &self.exported } else { &self.lost };
        counter.fetch_add(spans, Relaxed);
    }

    pub(super) fn now(&self) -> SpanCounts {
        SpanCounts {
            made: self.made.load(Relaxed),
            exported: self.exported.load(Relaxed),
            lost: self.lost.load(Relaxed),
        }
    }
}
