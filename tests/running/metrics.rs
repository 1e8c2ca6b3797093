//! What `/metrics` says of a process that has served.

use crate::http::get;
use crate::manifests::Manifests;
use crate::program::Program;
use crate::upstream::{Answers, Upstream};

/// Those that a ServiceMonitor sets for its own purposes.
const TAKEN: [&str; 8] = [
    "namespace",
    "service",
    "pod",
    "container",
    "endpoint",
    "node",
    "job",
    "instance",
];

/// The names of the labels of a sample.
fn labels(sample: &str) -> Vec<&str> {
    let Some((_, rest)) = sample.split_once('{') else {
        return Vec::new();
    };
    let labels = rest.split_once('}').unwrap().0;
    let names = labels.split("\",").filter(|label| !label.is_empty());
    names
        .map(|label| label.split_once('=').unwrap().0)
        .collect()
}

#[test]
fn every_metric_is_ours_and_no_label_is_taken() {
    let upstream = Upstream::start("cart", Answers::AtOnce);
    let manifests = Manifests::routing("shop.example", upstream.address);
    let program = Program::standalone(manifests.path(), &[]);
    assert_eq!(get(program.http, "shop.example", "/").status, 200);
    assert_eq!(get(program.http, "other.example", "/").status, 404);
    let metrics = program.probe("/metrics");
    assert_eq!(metrics.status, 200);
    assert!(
        metrics.head.contains("application/openmetrics-text"),
        "{}",
        metrics.head
    );
    let samples: Vec<_> = metrics
        .body
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert!(samples.len() > 30, "{}", metrics.body);
    let mut with_labels = 0;
    for sample in samples {
        assert!(sample.starts_with("bywash_"), "{sample}");
        for label in labels(sample) {
            with_labels += 1;
            assert!(!TAKEN.contains(&label), "{sample}");
        }
    }
    assert!(with_labels > 10);
    assert!(metrics.body.ends_with("# EOF\n"));
}

#[test]
fn requests_are_counted_by_their_route() {
    let upstream = Upstream::start("cart", Answers::AtOnce);
    let manifests = Manifests::routing("shop.example", upstream.address);
    let program = Program::standalone(manifests.path(), &[]);
    for _ in 0..3 {
        assert_eq!(get(program.http, "shop.example", "/").status, 200);
    }
    program.counted(concat!(
        r#"bywash_requests_total{status="200",ingress_namespace="shop","#,
        r#"ingress="shop",upstream="shop/shop:80"} 3"#
    ));
    program.counted("bywash_config_generation 1");
}

#[test]
fn it_may_open_as_many_files_as_the_system_allows() {
    let hard = std::process::Command::new("sh")
        .args(["-c", "ulimit -Hn"])
        .output()
        .unwrap();
    let hard = String::from_utf8(hard.stdout).unwrap();
    let hard: u64 = hard.trim().parse().unwrap_or(u64::MAX);
    let manifests = Manifests::empty();
    let program = Program::standalone_under("ulimit -Sn 512", manifests.path());
    program.counted(&format!("bywash_process_max_fds {hard}"));
}
