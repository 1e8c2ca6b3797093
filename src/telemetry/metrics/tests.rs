use super::*;
use crate::failure::Cause;
use crate::report::traffic::Answers;

fn shop() -> RouteLabels {
    RouteLabels {
        ingress_namespace: "shop".into(),
        ingress: "cart".into(),
        upstream: "shop/cart:80".into(),
        host: "shop.example".into(),
    }
}

#[track_caller]
fn assert_has(text: &str, line: &str) {
    assert!(
        text.lines().any(|l| l == line),
        "no line {line:?} in\n{text}"
    );
}

#[test]
fn the_counts_of_all_workers_are_summed() {
    let metrics = Metrics::new(2);
    let route = metrics.route(&shop());
    route.record(0, 200, None, Duration::from_millis(3));
    route.record(1, 200, None, Duration::from_millis(30));
    route.record(
        1,
        502,
        Some(Cause::ConnectionRefused),
        Duration::from_secs(100),
    );
    let text = metrics.encode().unwrap();
    let labels = r#"ingress_namespace="shop",ingress="cart",upstream="shop/cart:80""#;
    assert_has(
        &text,
        &format!("bywash_requests_total{{status=\"200\",{labels}}} 2"),
    );
    assert_has(
        &text,
        &format!("bywash_requests_total{{status=\"502\",{labels}}} 1"),
    );
    assert_has(
        &text,
        &format!("bywash_request_failures_total{{cause=\"connection_refused\",{labels}}} 1"),
    );
    let duration = "bywash_request_duration_seconds";
    assert_has(&text, &format!("{duration}_count{{{labels}}} 3"));
    assert_has(
        &text,
        &format!("{duration}_bucket{{le=\"0.005\",{labels}}} 1"),
    );
    assert_has(
        &text,
        &format!("{duration}_bucket{{le=\"0.05\",{labels}}} 2"),
    );
    assert_has(
        &text,
        &format!("{duration}_bucket{{le=\"60.0\",{labels}}} 2"),
    );
    assert_has(
        &text,
        &format!("{duration}_bucket{{le=\"+Inf\",{labels}}} 3"),
    );
    assert_has(&text, &format!("{duration}_sum{{{labels}}} 100.033"));
}

#[test]
fn a_status_outside_the_list_counts_in_its_class() {
    let metrics = Metrics::new(1);
    let route = metrics.route(&shop());
    route.record(0, 599, None, Duration::ZERO);
    route.record(0, 7, None, Duration::ZERO);
    let text = metrics.encode().unwrap();
    assert!(
        text.contains("status=\"5xx\"") && text.contains("status=\"other\""),
        "{text}"
    );
}

#[test]
fn a_connection_is_open_until_its_guard_is_dropped() {
    let metrics = Metrics::new(1);
    let first = metrics.client_connection(0);
    let _second = metrics.client_connection(5);
    let upstream = metrics.upstream("shop/cart:80");
    let _open = upstream.connection(0);
    drop(upstream.connection(3));
    upstream.connection_reused(0);
    drop(first);
    let text = metrics.encode().unwrap();
    assert_has(&text, "bywash_client_connections 1");
    assert_has(&text, "bywash_client_connections_accepted_total 2");
    assert_has(&text, "bywash_client_connections_closed_total 1");
    let labels = r#"{upstream="shop/cart:80"}"#;
    for line in [
        "bywash_upstream_connections{} 1",
        "bywash_upstream_connections_opened_total{} 2",
        "bywash_upstream_connections_reused_total{} 1",
    ] {
        assert_has(&text, &line.replace("{}", labels));
    }
}

#[test]
fn counters_survive_a_new_snapshot_and_go_with_their_route() {
    let metrics = Metrics::new(1);
    let old = metrics.route(&shop());
    old.record(0, 200, None, Duration::ZERO);
    let new = metrics.route(&shop());
    drop(old);
    new.record(0, 200, None, Duration::ZERO);
    assert!(
        metrics
            .encode()
            .unwrap()
            .contains("upstream=\"shop/cart:80\"} 2\n")
    );
    drop(new);
    assert!(!metrics.encode().unwrap().contains("shop/cart"));
}

#[test]
fn a_counter_does_not_go_backwards_when_one_host_of_an_ingress_goes() {
    let metrics = Metrics::new(2);
    let samples = || -> Vec<String> {
        let text = metrics.encode().unwrap();
        let lines = text.lines().filter(|line| line.contains("shop/cart"));
        lines.map(str::to_owned).collect()
    };
    let old = || {
        metrics.route(&RouteLabels {
            host: "old.example".into(),
            ..shop()
        })
    };
    let stays = metrics.route(&shop());
    stays.record(0, 200, None, Duration::from_micros(100_000));
    let goes = old();
    let refused = Some(Cause::ConnectionRefused);
    goes.record(1, 502, refused, Duration::from_micros(700_001));
    goes.fell_back(0);
    let before = samples();
    assert!(before.len() > 10, "{before:?}");
    drop(goes);
    assert_eq!(samples(), before);
    let again = old();
    assert_eq!(samples(), before, "what it had counted counts once");
    drop((stays, again));
    assert_eq!(samples(), [""; 0], "the series is gone");
    let _anew = old();
    assert_eq!(samples(), [""; 0]);
}

#[test]
fn attempts_are_counted_by_cause() {
    let metrics = Metrics::new(1);
    let upstream = metrics.upstream("shop/cart:80");
    upstream.attempt(0, None);
    upstream.attempt(1, Some(Cause::ConnectionReset));
    upstream.attempt(0, Some(Cause::RetriedStatus(502)));
    upstream.retry(0);
    let text = metrics.encode().unwrap();
    let labels = r#"upstream="shop/cart:80""#;
    assert_has(
        &text,
        &format!("bywash_upstream_attempts_total{{{labels}}} 3"),
    );
    let label = Cause::ConnectionReset.label();
    assert_has(
        &text,
        &format!("bywash_upstream_attempt_failures_total{{{labels},cause=\"{label}\"}} 1"),
    );
    assert_has(&text, &format!("bywash_retries_total{{{labels}}} 1"));
}

#[test]
fn answers_are_attempts_and_the_time_that_they_took_is_added_up_over_all_workers() {
    let metrics = Metrics::new(2);
    let upstream = metrics.upstream("shop/cart:80");
    upstream.answered(0, Duration::from_millis(40));
    upstream.answered(1, Duration::from_micros(500));
    upstream.attempt(1, None);
    let answers = Answers {
        count: 2,
        micros: 40_500,
    };
    assert_eq!(metrics.answers(), [("shop/cart:80".into(), answers)]);
    let text = metrics.encode().unwrap();
    assert_has(
        &text,
        r#"bywash_upstream_attempts_total{upstream="shop/cart:80"} 3"#,
    );
}

#[test]
fn what_happens_in_an_upstream_is_counted_until_it_is_gone() {
    let metrics = Metrics::new(1);
    let upstream = metrics.upstream("shop/cart:80");
    assert!(!metrics.encode().unwrap().contains("shop/cart"));
    for _ in 0..3 {
        upstream.ejected();
    }
    upstream.readmitted();
    upstream.retry_over_budget();
    upstream.idle_connection_cut();
    let text = metrics.encode().unwrap();
    let labels = r#"{upstream="shop/cart:80"}"#;
    for line in [
        "bywash_upstream_ejections_total{} 3",
        "bywash_upstream_readmissions_total{} 1",
        "bywash_retries_over_budget_total{} 1",
        "bywash_upstream_idle_connections_cut_total{} 1",
    ] {
        assert_has(&text, &line.replace("{}", labels));
    }
    drop(upstream);
    assert!(!metrics.encode().unwrap().contains("shop/cart"));
}

#[test]
fn every_name_begins_with_bywash_and_no_label_is_one_that_a_service_monitor_overwrites() {
    let metrics = Metrics::new(1);
    let route = metrics.route(&shop());
    let upstream = metrics.upstream("shop/cart:80");
    for cause in Cause::all() {
        route.record(
            0,
            cause.status().as_u16(),
            Some(cause),
            Duration::from_millis(1),
        );
        upstream.attempt(0, Some(cause));
    }
    metrics.control().set_findings([("error", "InvalidHost")]);
    let text = metrics.encode().unwrap();
    let samples: Vec<_> = text.lines().filter(|l| !l.starts_with('#')).collect();
    assert!(samples.len() > 100);
    for sample in samples {
        assert!(sample.starts_with("bywash_"), "{sample}");
        for label in [
            "namespace",
            "service",
            "pod",
            "container",
            "endpoint",
            "node",
            "job",
            "instance",
        ] {
            assert!(!sample.contains(&format!("{{{label}=")), "{sample}");
            assert!(!sample.contains(&format!(",{label}=")), "{sample}");
        }
    }
    assert!(text.ends_with("# EOF\n"));
}
