use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::failure::Cause;
use crate::routing::snapshot::{IngressName, ServicePort};
use crate::telemetry::metrics::{Metrics, RouteLabels, RouteMetrics};

struct Shop {
    metrics: Arc<Metrics>,
    route: Arc<RouteMetrics>,
}

impl Shop {
    fn new() -> Self {
        let metrics = Metrics::new(1);
        let route = metrics.route(&RouteLabels {
            ingress_namespace: "shop".into(),
            ingress: "web".into(),
            upstream: "shop/cart:80".into(),
            host: "shop.example".into(),
        });
        Self { metrics, route }
    }

    /// A request ends so, and is told of.
    fn ends(&self, id: &str, cause: Option<Cause>, millis: u64) {
        let duration = Duration::from_millis(millis);
        self.route.record(0, 502, cause, duration);
        self.metrics.exemplify(&outcome(id, cause, duration));
    }

    fn with_exemplars(&self) -> Vec<String> {
        let text = self.metrics.encode().unwrap();
        let lines = text.lines().filter(|line| line.contains(" # "));
        lines.map(ToOwned::to_owned).collect()
    }
}

fn outcome(id: &str, cause: Option<Cause>, duration: Duration) -> Outcome {
    Outcome {
        request_id: id.into(),
        time: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        method: "GET".into(),
        host: "shop.example".into(),
        path: "/".into(),
        ingress: Some(IngressName {
            namespace: "shop".into(),
            name: "web".into(),
        }),
        upstream: Some(ServicePort {
            namespace: "shop".into(),
            name: "cart".into(),
            port: 80,
        }),
        status: 502,
        cause,
        fallback: false,
        bytes_received: 0,
        bytes_sent: 0,
        attempts: Vec::new(),
        duration,
    }
}

const LABELS: &str = r#"ingress_namespace="shop",ingress="web",upstream="shop/cart:80""#;

#[test]
fn a_failure_stands_beside_its_cause_and_its_duration_with_its_id_and_time() {
    let shop = Shop::new();
    shop.ends("first", Some(Cause::ConnectionRefused), 30);
    shop.ends("last", Some(Cause::ConnectionRefused), 40);
    assert_eq!(
        shop.with_exemplars(),
        [
            format!(
                "bywash_request_failures_total{{cause=\"connection_refused\",{LABELS}}} 2 \
                 # {{request_id=\"last\"}} 1.0 1700000000.040"
            ),
            format!(
                "bywash_request_duration_seconds_bucket{{le=\"0.05\",{LABELS}}} 2 \
                 # {{request_id=\"last\"}} 0.04 1700000000.040"
            ),
        ]
    );
}

#[test]
fn every_bucket_may_have_one() {
    let shop = Shop::new();
    let bounds = BOUNDS.iter().map(|bound| (bound * 1000.0) as u64);
    for millis in bounds.chain([100_000]) {
        shop.ends("any", Some(Cause::ConnectionReset), millis);
    }
    assert_eq!(shop.with_exemplars().len(), BOUNDS.len() + 2);
}

#[test]
fn what_ended_well_and_what_is_no_longer_than_allowed_leaves_none() {
    let shop = Shop::new();
    shop.ends("healed", None, 1);
    shop.ends(&"x".repeat(119), Some(Cause::ConnectionReset), 1);
    assert_eq!(shop.with_exemplars(), [""; 0]);
    shop.ends(&"x".repeat(118), Some(Cause::ConnectionReset), 1);
    assert_eq!(shop.with_exemplars().len(), 2);
}

#[test]
fn of_routes_that_come_and_go_unasked_no_more_than_so_many_are_kept() {
    let exemplars = Exemplars::default();
    let refused = Some(Cause::ConnectionRefused);
    let mut outcome = outcome("01J", refused, Duration::from_millis(3));
    for number in 0..MOST {
        outcome.ingress = Some(IngressName {
            namespace: "shop".into(),
            name: format!("web-{number}").into(),
        });
        exemplars.take(&outcome);
    }
    assert_eq!(exemplars.0.lock().unwrap().len(), MOST);
}

#[test]
fn those_of_a_route_that_is_gone_are_forgotten() {
    let shop = Shop::new();
    shop.ends("any", Some(Cause::ConnectionReset), 1);
    drop(shop.route);
    shop.metrics.encode().unwrap();
    assert!(shop.metrics.exemplars.0.lock().unwrap().is_empty());
}
