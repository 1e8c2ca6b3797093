//! What the control plane tells.

use std::fmt::Error;
use std::time::SystemTime;

use prometheus_client::encoding::DescriptorEncoder;

use super::super::Metrics;
use super::super::catalogue;
use super::{counters, gauge, gauges, total};

impl Metrics {
    pub(super) fn encode_control(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        let (control, now) = (&self.control, SystemTime::now());
        gauge(
            encoder,
            &catalogue::CONFIG_GENERATION,
            &control.generation(),
        )?;
        let changed = control.last_change_seconds();
        gauge(encoder, &catalogue::CONFIG_CHANGED, &changed)?;
        if let Some(age) = control.age(now) {
            gauge(encoder, &catalogue::CONFIG_AGE, &age.as_secs_f64())?;
        }
        let stale = control.stale().as_secs_f64();
        gauge(encoder, &catalogue::CONFIG_STALE, &stale)?;
        let certificates = control.certificates();
        let samples = certificates.iter().map(|certificate| {
            let labels = vec![
                ("ingress_namespace", &*certificate.namespace),
                ("secret", &*certificate.secret),
            ];
            (labels, certificate.seconds_left(now))
        });
        gauges(encoder, &catalogue::CERTIFICATE_NOT_AFTER, samples)?;
        let findings = control.findings();
        let samples = findings.iter().map(|((severity, code), count)| {
            let labels = vec![("severity", *severity), ("code", *code)];
            (labels, *count)
        });
        gauges(encoder, &catalogue::FINDINGS, samples)?;
        gauge(encoder, &catalogue::LEADER, &u64::from(control.leader()))?;
        let writes = control.writes();
        let samples = writes.iter().map(|((kind, result), count)| {
            let labels = vec![("kind", *kind), ("result", *result)];
            (labels, *count)
        });
        counters(encoder, &catalogue::STATUS_WRITES, samples)?;
        let dropped = self.sum(|worker| &worker.log_lines_dropped);
        total(encoder, &catalogue::ACCESS_LOG_DROPPED, &dropped)?;
        let lost = control.failure_records_lost();
        total(encoder, &catalogue::FAILURE_RECORDS_DROPPED, &lost)?;
        let dropped = control.own_log_lines_dropped();
        total(encoder, &catalogue::LOG_DROPPED, &dropped)?;
        let spans = self.spans.now();
        total(encoder, &catalogue::SPANS_MADE, &spans.made)?;
        let samples = [("exported", spans.exported), ("lost", spans.lost)];
        let samples = samples.map(|(result, count)| (vec![("result", result)], count));
        counters(encoder, &catalogue::SPANS_SENT, samples)
    }
}
