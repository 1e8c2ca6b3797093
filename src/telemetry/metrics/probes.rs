//! The counters of an upstream's probes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What was found by the probes of an upstream's endpoints.
#[derive(Debug, Default)]
pub struct ProbeCounters {
    good: AtomicU64,
    bad: AtomicU64,
}

impl ProbeCounters {
    /// Counts a probe.
    pub fn count(&self, good: bool) {
        let counter = if good { &self.good } else { &self.bad };
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn by_result(&self) -> [(&'static str, u64); 2] {
        [
            ("good", self.good.load(Relaxed)),
            ("bad", self.bad.load(Relaxed)),
        ]
    }

    /// Whether anything was counted.
    pub(super) fn are_there(&self) -> bool {
        let results = self.by_result().into_iter();
        results.map(|(_, count)| count).sum::<u64>() > 0
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn probes_are_counted_by_result_where_there_are_any() {
        let metrics = Metrics::new(1);
        let upstream = metrics.upstream("shop/cart:80");
        assert!(!metrics.encode().unwrap().contains("shop/cart"));
        upstream.probes().count(true);
        upstream.probes().count(true);
        let text = metrics.encode().unwrap();
        for line in [
            r#"bywash_upstream_probes_total{upstream="shop/cart:80",result="good"} 2"#,
            r#"bywash_upstream_probes_total{upstream="shop/cart:80",result="bad"} 0"#,
        ] {
            assert!(text.lines().any(|it| it == line), "no {line} in\n{text}");
        }
    }
}
