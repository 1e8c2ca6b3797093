//! Policies from files: what they say happens.

use std::io::{BufRead, BufReader};
use std::time::Instant;
use std::{fs, thread};

use serde_json::Value;

use crate::http::get;
use crate::manifests::{Manifests, route};
use crate::program::{PATIENCE, Program};
use crate::upstream::{Answers, Upstream};

const HOST: &str = "shop.example";

/// A policy for the Ingress `shop` with these sections.
pub(crate) fn policy(sections: &str) -> String {
    format!(
        "\
apiVersion: bywash.dev/v1alpha1
kind: GatewayPolicy
metadata: {{name: shop, namespace: shop}}
spec:
  targetRefs: [{{group: networking.k8s.io, kind: Ingress, name: shop}}]
  {sections}
"
    )
}

pub(crate) fn processed(program: &Program) {
    let query = "/debug/processed?kind=GatewayPolicy&namespace=shop&name=shop";
    assert_eq!(get(program.admin, "localhost", query).status, 200);
}

/// Waits until the file is read and in force.
fn changed(program: &Program, manifests: &Manifests, text: &str) {
    manifests.write("policy.yaml", text);
    program.said("serving");
}

#[test]
fn a_request_takes_no_longer_than_its_policy_allows() {
    let upstream = Upstream::start("never", Answers::WhenReleased);
    let manifests = Manifests::routing(HOST, upstream.address);
    manifests.write("policy.yaml", &policy("timeouts: {request: 200ms}"));
    let program = Program::standalone(manifests.path(), &[]);
    processed(&program);
    let answer = get(program.http, HOST, "/");
    assert_eq!(answer.status, 504, "{answer:?}");
    assert!(
        answer.head.contains("error=http_response_timeout"),
        "{answer:?}"
    );
}

#[test]
fn a_slow_endpoint_is_a_failed_one_where_the_policy_says_so() {
    let slow = Upstream::start("slow", Answers::WhenReleased);
    let quick = Upstream::start("quick", Answers::AtOnce);
    let manifests = Manifests::empty();
    let port = |name: &str, at: &Upstream| {
        route(name, HOST, at.address)
            .split("---\n")
            .last()
            .unwrap()
            .replace("service-name: slow", "service-name: shop")
            .replace("service-name: quick", "service-name: shop")
    };
    let shop = route("shop", HOST, quick.address);
    let shop = shop.rsplit_once("---\n").unwrap().0;
    let all = [shop, &port("slow", &slow), &port("quick", &quick)].join("---\n");
    manifests.write("shop.yaml", &all);
    let each = "retry: {perTryTimeout: 200ms}\n  loadBalancing: {algorithm: RoundRobin}";
    manifests.write("policy.yaml", &policy(each));
    let program = Program::standalone(manifests.path(), &[]);
    for _ in 0..5 {
        assert_eq!(get(program.http, HOST, "/").body, "quick");
    }
    slow.reached();
}

#[test]
fn maintenance_turns_clients_away_until_it_is_over_but_not_the_allowed_ones() {
    let upstream = Upstream::start("cart", Answers::AtOnce);
    let manifests = Manifests::routing(HOST, upstream.address);
    let on = "maintenance: {enabled: true, retryAfter: 1500ms}";
    manifests.write("policy.yaml", &policy(on));
    let program = Program::standalone(manifests.path(), &[]);
    let answer = get(program.http, HOST, "/");
    assert_eq!(answer.status, 503);
    assert!(answer.head.contains("\r\nretry-after: 2\r\n"), "{answer:?}");
    assert!(answer.body.contains("under maintenance"), "{answer:?}");

    let allowed = on.replace("1500ms", "1500ms, allow: [127.0.0.0/8]");
    changed(&program, &manifests, &policy(&allowed));
    assert_eq!(get(program.http, HOST, "/").status, 200);
    changed(&program, &manifests, &policy(on));
    assert_eq!(get(program.http, HOST, "/").status, 503);
    manifests.remove("policy.yaml");
    program.said("serving");
    assert_eq!(get(program.http, HOST, "/").status, 200);
}

#[test]
fn what_bypasses_is_not_logged_and_gets_no_page() {
    let upstream = Upstream::start("cart", Answers::AtOnce);
    let manifests = Manifests::routing(HOST, upstream.address);
    let off = policy("bypass: [{path: /health}]\n  maintenance: {enabled: true}");
    manifests.write("policy.yaml", &policy("bypass: [{path: /health}]"));
    let (program, stdout) = Program::standalone_logging(manifests.path(), &[]);
    assert_eq!(get(program.http, HOST, "/health/live").status, 200);
    assert_eq!(get(program.http, HOST, "/healthy").status, 200);
    changed(&program, &manifests, &off);
    let answer = get(program.http, HOST, "/health");
    assert_eq!((answer.status, answer.body.as_str()), (503, ""));
    assert_ne!(get(program.http, HOST, "/healthy").body, "");
    program.signal("TERM");
    assert_eq!(program.ended().code(), Some(0));
    let lines = BufReader::new(stdout).lines().map(Result::unwrap);
    let paths: Vec<Value> = lines
        .map(|line| serde_json::from_str::<Value>(&line).unwrap()["path"].take())
        .collect();
    assert_eq!(paths, ["/healthy", "/healthy"]);
}

#[test]
fn a_section_that_is_wrong_is_told_with_its_file_and_keeps_its_last_good_form() {
    let upstream = Upstream::start("cart", Answers::AtOnce);
    let manifests = Manifests::routing(HOST, upstream.address);
    manifests.write("policy.yaml", &policy("maintenance: {enabled: true}"));
    let program = Program::standalone(manifests.path(), &[]);
    assert_eq!(get(program.http, HOST, "/").status, 503);
    let wrong = "maintenance: {enabled: false, allow: [192.0.2.7]}";
    manifests.write("policy.yaml", &policy(wrong));
    let told = program.said("finding");
    let told = told["finding"].as_str().unwrap();
    for part in [
        "policy.yaml:1: error[InvalidPolicy]",
        "write 192.0.2.7/32",
        "last good form",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(get(program.http, HOST, "/").status, 503);
    status_says(&manifests, &["reason: Invalid", "InvalidPolicy"]);
}

#[test]
fn what_is_not_of_its_form_is_told_with_its_file_and_never_weakens_what_is_asked_for() {
    let upstream = Upstream::start("cart", Answers::AtOnce);
    let manifests = Manifests::routing(HOST, upstream.address);
    let sections = "upstreamTls: {caConfigMap: shop-ca}\n  timeout: {request: 5s}";
    manifests.write("policy.yaml", &policy(sections));
    let program = Program::standalone(manifests.path(), &[]);
    let answer = get(program.http, HOST, "/");
    assert_eq!(answer.status, 503, "{answer:?}");
    let sentences = [
        "policy.yaml:1: error[InvalidPolicy]",
        "caConfigMap is the text 'shop-ca'",
        "without TLS nothing is sent",
        "policy.yaml:1: warning[UnknownField]",
        "spec.timeout is not known and has no effect: write timeouts",
    ];
    said_all(&program, &sentences);
    changed(
        &program,
        &manifests,
        &policy("maintenance: {enabled: 'true'}"),
    );
    let answer = get(program.http, HOST, "/");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.contains("under maintenance"), "{answer:?}");
}

#[test]
fn a_limit_that_turns_requests_away_is_told_in_the_status() {
    let upstream = Upstream::start("cart", Answers::WhenReleased);
    let manifests = Manifests::routing(HOST, upstream.address);
    manifests.write("policy.yaml", &policy("circuitBreaker: {maxRequests: 1}"));
    let program = Program::standalone(manifests.path(), &[]);
    status_says(&manifests, &["type: CircuitBreakerOpen", "reason: Closed"]);
    let http = program.http;
    let first = thread::spawn(move || get(http, HOST, "/"));
    upstream.reached();
    let answer = get(program.http, HOST, "/");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.head.contains("\r\nretry-after: 1\r\n"), "{answer:?}");
    status_says(
        &manifests,
        &["reason: LimitReached", "maxRequests of shop/"],
    );
    upstream.release();
    assert_eq!(first.join().unwrap().status, 200);
}

#[test]
fn an_endpoint_that_its_probes_find_down_gets_no_requests_until_they_find_it_up() {
    let upstream = Upstream::start("cart", Answers::AtOnce);
    let manifests = Manifests::routing(HOST, upstream.address);
    let expecting = |status: u16| {
        let http = format!("http: {{path: /healthz, expectedStatuses: ['{status}']}}");
        let when = "interval: 1s, healthyThreshold: 1, unhealthyThreshold: 1";
        policy(&format!("healthCheck: {{{http}, {when}}}"))
    };
    manifests.write("policy.yaml", &expecting(204));
    let program = Program::standalone(manifests.path(), &[]);
    let told = program.said("endpoint is down by its probe");
    assert_eq!(told["why"], "it answered with status 200");
    assert_eq!(told["endpoint"], upstream.address.to_string());
    // It is said before it is so.
    let down = "bywash_upstream_endpoints{upstream=\"shop/shop:80\",state=\"down\"}";
    program.counted(&format!("{down} 1"));
    let answer = get(program.http, HOST, "/");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.head.contains("error=destination_unavailable"));

    manifests.write("policy.yaml", &expecting(200));
    program.said("endpoint is up again by its probe");
    program.counted(&format!("{down} 0"));
    assert_eq!(get(program.http, HOST, "/").body, "cart");
}

/// Waits until the findings together hold all of these.
fn said_all(program: &Program, parts: &[&str]) {
    let mut said = String::new();
    while !parts.iter().all(|part| said.contains(part)) {
        let finding = program.said("finding");
        said.push_str(finding["finding"].as_str().unwrap());
    }
}

/// Waits until the status of the policy holds all of these.
pub(crate) fn status_says(manifests: &Manifests, parts: &[&str]) {
    let status = manifests
        .path()
        .join(".status/gatewaypolicy.shop.shop.yaml");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = fs::read_to_string(&status).unwrap_or_default();
        if parts.iter().all(|part| said.contains(part)) {
            return;
        }
        assert!(Instant::now() < deadline, "{parts:?} are not all in {said}");
        thread::yield_now();
    }
}
