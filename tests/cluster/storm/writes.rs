//! What the API server says was written to it.

use std::ops::Sub;

use crate::tenant::Tenant;

/// Whoever asks for these writes nothing.
const READS: [&str; 3] = ["GET", "LIST", "WATCH"];

/// Writes, whatever became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Writes {
    /// To the status of Ingresses.
    pub(super) ingresses: u64,
    /// To the status of policies.
    pub(super) policies: u64,
    pub(super) events: u64,
    /// To ConfigMaps: what replicas tell each other.
    pub(super) reports: u64,
}

impl Writes {
    /// So far, by anybody.
    pub(super) async fn so_far(shop: &Tenant) -> Self {
        let metrics = http::Request::get("/metrics").body(Vec::new()).unwrap();
        let metrics = shop.client.request_text(metrics).await.unwrap();
        Self::read(&metrics)
    }

    /// Those that the leader makes of what is seen.
    pub(super) fn told(self) -> u64 {
        self.ingresses + self.policies + self.events
    }

    fn read(metrics: &str) -> Self {
        let mut writes = Self::default();
        for line in metrics.lines() {
            let Some(sample) = line.strip_prefix("apiserver_request_total{") else {
                continue;
            };
            let (labels, count) = sample.rsplit_once("} ").unwrap();
            let label = |name: &str| {
                let labels = labels.split(',').filter_map(|it| it.split_once('='));
                let mut labels = labels.filter(|(known, _)| *known == name);
                labels
                    .next()
                    .map_or("", |(_, value)| value.trim_matches('"'))
            };
            if READS.contains(&label("verb")) {
                continue;
            }
            let counter = match (label("resource"), label("subresource")) {
                ("ingresses", "status") => &mut writes.ingresses,
                ("gatewaypolicies", "status") => &mut writes.policies,
                ("events", _) => &mut writes.events,
                ("configmaps", _) => &mut writes.reports,
                _ => continue,
            };
            *counter += count.parse::<u64>().unwrap();
        }
        writes
    }
}

impl Sub for Writes {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            ingresses: self.ingresses - before.ingresses,
            policies: self.policies - before.policies,
            events: self.events - before.events,
            reports: self.reports - before.reports,
        }
    }
}
