//! An app that has more to do than it can: what is told of it, from the counters to the status.

use std::time::Duration;

use crate::http::{get, send};
use crate::manifests::Manifests;
use crate::policy::{policy, processed, status_says};
use crate::program::Program;
use crate::upstream::{Answers, Upstream};

const HOST: &str = "shop.example";

/// How long its answers take at first, and how many there are: what is usual is known from slices of five
/// seconds, of which these fill two.
const USUAL: (Duration, usize) = (Duration::from_millis(50), 200);

/// The same of when it has too much to do; these fill two more.
const SLOW: (Duration, usize) = (Duration::from_millis(500), 20);

/// Requests that are not answered in time, enough of all of them to be told.
const LOST: usize = 8;

fn answered(program: &Program, upstream: &Upstream, (time, requests): (Duration, usize)) {
    upstream.answer(Answers::After(time));
    for _ in 0..requests {
        assert_eq!(get(program.http, HOST, "/").status, 200);
    }
}

#[test]
fn timeouts_of_an_app_whose_answers_became_much_slower_are_told_as_likely_overload() {
    let upstream = Upstream::start("cart", Answers::AtOnce);
    let manifests = Manifests::routing(HOST, upstream.address);
    manifests.write("policy.yaml", &policy("timeouts: {request: 6s}"));
    let program = Program::standalone(manifests.path(), &[]);
    processed(&program);
    answered(&program, &upstream, USUAL);
    answered(&program, &upstream, SLOW);

    upstream.answer(Answers::WhenReleased);
    let lost: Vec<_> = (0..LOST).map(|_| send(program.http, HOST, "/")).collect();
    for lost in lost {
        assert_eq!(lost.answer().status, 504);
    }
    let sentences = [
        "type: GatewayTimeout",
        "were answered 504",
        "Answers take ",
        ": likely the app at ",
        " has more to do than it can",
        "circuitBreaker.maxRequests",
    ];
    status_says(&manifests, &sentences);
}
