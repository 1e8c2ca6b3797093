//! Prometheus' own text format (0.0.4), made of OpenMetrics: what describes a metric names its samples there,
//! and units and the end go unsaid.

use std::collections::HashMap;

use super::catalogue::{ALL, Kind, Metric};

/// The text in the other format.
pub(super) fn of(text: &str) -> String {
    let metrics: HashMap<String, &Metric> = ALL.iter().map(|it| (it.family(), *it)).collect();
    let mut plain = String::with_capacity(text.len());
    for line in text.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            plain.push_str(line);
            plain.push('\n');
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        let (Some(what), Some(family), Some(rest)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let Some(metric) = metrics.get(family).filter(|_| what != "UNIT") else {
            continue;
        };
        let rest = match (what, metric.kind) {
            ("TYPE", Kind::Info) => Kind::Gauge.as_str(),
            _ => rest,
        };
        plain.push_str(&format!("# {what} {metric} {rest}\n"));
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::telemetry::metrics::{Metrics, RouteLabels};

    #[test]
    fn what_describes_a_metric_names_its_samples() {
        let metrics = Metrics::new(1);
        let route = metrics.route(&RouteLabels::default());
        route.record(0, 200, None, Duration::from_millis(3));
        let plain = metrics.encode_plain().unwrap();
        for line in [
            "# TYPE bywash_requests_total counter",
            "# TYPE bywash_request_duration_seconds histogram",
            "# TYPE bywash_build_info gauge",
            "# TYPE bywash_leader gauge",
            "bywash_leader 0",
        ] {
            assert!(plain.lines().any(|it| it == line), "no {line} in\n{plain}");
        }
        assert!(!plain.contains("# UNIT") && !plain.contains("# EOF"));
        let open = metrics.encode().unwrap();
        let samples = |text: &str| text.lines().filter(|it| !it.starts_with('#')).count();
        assert_eq!(samples(&plain), samples(&open));
    }
}
