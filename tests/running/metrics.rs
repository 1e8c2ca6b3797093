//! What `/metrics` says of a process that has served.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::http::{Answer, get, send_text};
use crate::manifests::{Manifests, route};
use crate::program::{PATIENCE, Program};
use crate::upstream::{Answers, Nobody, Upstream};

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

/// What Prometheus 3 says that it takes.
pub(crate) const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
    application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
    text/plain;version=0.0.4;q=0.2,*/*;q=0.1";

pub(crate) fn scrape(program: &Program, accept: &str) -> Answer {
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    );
    send_text(program.metrics, &request).answer()
}

/// What Prometheus' own client for Python makes of the metrics; it refuses what is not to the letter.
fn parse(parser: &str, metrics: &str) -> String {
    let script = format!(
        "import sys\n\
         from prometheus_client.{parser} import text_string_to_metric_families as families\n\
         for family in families(sys.stdin.read()):\n\
         \x20   for it in family.samples:\n\
         \x20       exemplar = it.exemplar and it.exemplar.labels['request_id']\n\
         \x20       print(family.type, it.name, it.labels.get('cause'), it.value, exemplar)"
    );
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("/usr/bin/python3: install the package python3");
    let mut stdin = python.stdin.take().unwrap();
    stdin.write_all(metrics.as_bytes()).unwrap();
    drop(stdin);
    let output = python.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{complaint}(without the module: install the package python3-prometheus-client)\n{metrics}"
    );
    String::from_utf8(output.stdout).unwrap()
}

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
    let metrics = scrape(&program, PROMETHEUS);
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
fn a_strict_reader_understands_the_metrics_in_both_formats_and_finds_the_request_that_failed() {
    let nobody = Nobody::listens();
    let upstream = Upstream::start("cart", Answers::AtOnce);
    let manifests = Manifests::routing("shop.example", upstream.address);
    manifests.write("gone.yaml", &route("gone", "gone.example", nobody.address));
    let program = Program::standalone(manifests.path(), &[]);
    assert_eq!(get(program.http, "shop.example", "/").status, 200);
    let failed = get(program.http, "gone.example", "/");
    assert_eq!(failed.status, 502);
    let id = failed
        .head
        .lines()
        .find_map(|line| line.strip_prefix("x-request-id: "));
    let id = id.unwrap().to_uppercase();

    let since = Instant::now();
    let open = loop {
        let open = scrape(&program, PROMETHEUS).body;
        if open.contains(&id) {
            break open;
        }
        assert!(since.elapsed() < PATIENCE, "no {id} in\n{open}");
        std::thread::yield_now();
    };
    let read = parse("openmetrics.parser", &open);
    let failure = "counter bywash_request_failures_total connection_refused 1";
    assert!(read.contains(&format!("{failure} {id}\n")), "{read}");
    let buckets = read.lines().filter(|line| line.ends_with(&id));
    let mut buckets = buckets.filter(|line| line.contains("duration_seconds_bucket"));
    assert!(
        buckets.next().is_some() && buckets.next().is_none(),
        "{read}"
    );

    let plain = scrape(&program, "*/*");
    assert!(
        plain.head.contains("text/plain; version=0.0.4"),
        "{}",
        plain.head
    );
    let read = parse("parser", &plain.body);
    assert!(read.contains(&format!("{failure}.0 None\n")), "{read}");
}

#[test]
fn it_may_open_as_many_files_as_the_system_allows() {
    let hard = Command::new("sh")
        .args(["-c", "ulimit -Hn"])
        .output()
        .unwrap();
    let hard = String::from_utf8(hard.stdout).unwrap();
    let hard: u64 = hard.trim().parse().unwrap_or(u64::MAX);
    let manifests = Manifests::empty();
    let program = Program::standalone_under("ulimit -Sn 512", manifests.path());
    program.counted(&format!("bywash_process_max_fds {hard}"));
}
