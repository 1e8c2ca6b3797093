//! The access log on stdout.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::Value;

use crate::http::get;
use crate::manifests::Manifests;
use crate::program::{PATIENCE, Program};
use crate::upstream::{Answers, Upstream};

#[test]
fn each_request_is_a_line_that_is_written_before_the_end() {
    let upstream = Upstream::start("cart", Answers::AtOnce);
    let manifests = Manifests::routing("shop.example", upstream.address);
    let (program, stdout) = Program::standalone_logging(manifests.path(), &[]);
    assert_eq!(
        get(program.http, "shop.example", "/cart?token=secret").status,
        200
    );
    assert_eq!(get(program.http, "other.example", "/").status, 404);
    program.signal("TERM");
    assert_eq!(program.ended().code(), Some(0));

    let lines = BufReader::new(stdout).lines().map(Result::unwrap);
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    // Lines of different workers may change places.
    let line = |path: &str| lines.iter().find(|line| line["path"] == path).unwrap();
    let served = line("/cart");
    assert_eq!(served["ingress"], "shop");
    assert_eq!(served["upstream"], "shop/shop:80");
    assert_eq!(served["attempts"].as_array().unwrap().len(), 1);
    assert!(!served.to_string().contains("secret"));
    assert_eq!(line("/")["cause"], "no_route");
}

#[test]
fn a_reader_that_does_not_read_costs_lines_and_never_requests() {
    let manifests = Manifests::empty();
    let (program, stdout) = Program::standalone_logging(manifests.path(), &[]);
    let path = format!("/{}", "a".repeat(8000));
    // The pipe, the buffers of two workers and what is being written hold less than 1 MiB.
    for _ in 0..200 {
        assert_eq!(get(program.http, "shop.example", &path).status, 404);
    }
    assert_eq!(program.probe("/readyz").status, 200);
    assert!(dropped(&program) > 0);

    // Once it reads, each request is a line or counted as none.
    let read = Arc::new(AtomicU64::new(0));
    let reading = std::thread::spawn({
        let read = Arc::clone(&read);
        move || {
            let lines = BufReader::new(stdout).lines().map(Result::unwrap);
            let whole = lines.filter(|line| serde_json::from_str::<Value>(line).is_ok());
            for _ in whole {
                read.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let told = || read.load(Ordering::Relaxed) + dropped(&program);
    let deadline = Instant::now() + PATIENCE;
    while told() != 200 {
        assert!(Instant::now() < deadline, "{} of 200", told());
    }
    program.signal("TERM");
    reading.join().unwrap();
}

fn dropped(program: &Program) -> u64 {
    let metrics = program.probe("/metrics").body;
    let name = "bywash_access_log_dropped_lines_total ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(name));
    count.unwrap().parse().unwrap()
}

#[test]
fn there_is_none_where_none_is_asked_for() {
    let manifests = Manifests::empty();
    let (program, mut stdout) =
        Program::standalone_logging(manifests.path(), &["--access-log=off"]);
    assert_eq!(get(program.http, "shop.example", "/").status, 404);
    program.signal("TERM");
    assert_eq!(program.ended().code(), Some(0));
    let mut log = String::new();
    stdout.read_to_string(&mut log).unwrap();
    assert_eq!(log, "");
}
