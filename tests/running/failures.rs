//! From what a client got to the reason, by the id that both have.

use std::io::{BufRead, BufReader};
use std::time::Instant;

use serde_json::Value;

use crate::http::get;
use crate::manifests::Manifests;
use crate::program::{PATIENCE, Program};
use crate::upstream::Nobody;

/// What is recorded for a query, as soon as something is.
fn recorded(program: &Program, query: &str) -> Value {
    let since = Instant::now();
    loop {
        let answer = get(
            program.admin,
            "localhost",
            &format!("/debug/failures?{query}"),
        );
        assert_eq!(answer.status, 200);
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        if !answer["routes"].as_array().unwrap().is_empty() {
            return answer;
        }
        assert!(since.elapsed() < PATIENCE, "nothing for {query}");
        std::thread::yield_now();
    }
}

#[test]
fn the_id_that_a_client_got_leads_to_the_log_line_and_the_recorder() {
    let nobody = Nobody::listens();
    let manifests = Manifests::routing("shop.example", nobody.address);
    let sampled = ["--access-log-sample=0"];
    let (program, stdout) = Program::standalone_logging(manifests.path(), &sampled);
    let answer = get(program.http, "shop.example", "/cart?token=secret");
    assert_eq!(answer.status, 502);
    let id = answer
        .head
        .lines()
        .find_map(|line| line.strip_prefix("x-request-id: "));
    let id = id.unwrap().to_uppercase();
    assert!(answer.body.contains(&id), "{}", answer.body);
    assert!(!answer.body.contains("127.0.0.1"), "{}", answer.body);

    let found = recorded(&program, &format!("namespace=shop&ingress=shop&id={id}"));
    let failed = &found["routes"][0]["failed"][0];
    assert_eq!(failed["id"], id.as_str());
    assert_eq!(failed["cause"], "connection_refused");
    assert_eq!(failed["path"], "/cart");
    let attempts = failed["attempts"].as_array().unwrap();
    assert_eq!(attempts.last().unwrap()["reason"], "attempts");
    let known = get(program.admin, "localhost", "/debug/failures?name=shop");
    assert_eq!(known.status, 400);

    program.signal("TERM");
    let mut lines = BufReader::new(stdout).lines().map(Result::unwrap);
    let line: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
    assert_eq!(line["id"], id.as_str());
    assert_eq!(line["attempts"], failed["attempts"]);
    assert_eq!(
        (&line["service_namespace"], &line["service"]),
        (&"shop".into(), &"shop".into())
    );
}
