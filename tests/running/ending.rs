//! SIGTERM: not ready, then what is in flight is finished. A second signal ends it at once.

use std::os::unix::process::ExitStatusExt;

use crate::http::send;
use crate::manifests::Manifests;
use crate::program::Program;
use crate::upstream::{Answers, Upstream};

#[test]
fn a_request_in_flight_is_finished_before_the_end() {
    let upstream = Upstream::start("cart", Answers::WhenReleased);
    let manifests = Manifests::routing("shop.example", upstream.address);
    let mut program = Program::standalone(manifests.path(), &[]);
    let pending = send(program.http, "shop.example", "/");
    upstream.reached();

    program.signal("TERM");
    program.said("draining");
    assert_eq!(program.probe("/readyz").status, 503);
    assert_eq!(program.probe("/livez").status, 200);
    assert!(program.is_running());

    upstream.release();
    let answer = pending.answer();
    assert_eq!((answer.status, &*answer.body), (200, "cart"));
    assert_eq!(program.ended().code(), Some(0));
}

#[test]
fn while_load_balancers_have_not_noticed_new_requests_are_served() {
    let upstream = Upstream::start("cart", Answers::AtOnce);
    let manifests = Manifests::routing("shop.example", upstream.address);
    let program = Program::standalone(manifests.path(), &["--drain-delay=5m"]);
    program.signal("TERM");
    program.said("draining");
    assert_eq!(program.probe("/readyz").status, 503);
    let answer = send(program.http, "shop.example", "/").answer();
    assert_eq!((answer.status, &*answer.body), (200, "cart"));
    program.signal("INT");
    assert_eq!(program.ended().code(), Some(130));
}

#[test]
fn what_does_not_end_in_time_is_cut_off() {
    let upstream = Upstream::start("cart", Answers::WhenReleased);
    let manifests = Manifests::routing("shop.example", upstream.address);
    let program = Program::standalone(manifests.path(), &["--drain-timeout=100ms"]);
    let _pending = send(program.http, "shop.example", "/");
    upstream.reached();
    program.signal("TERM");
    assert_eq!(program.ended().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let upstream = Upstream::start("cart", Answers::WhenReleased);
    let manifests = Manifests::routing("shop.example", upstream.address);
    let program = Program::standalone(manifests.path(), &["--drain-timeout=1h"]);
    let _pending = send(program.http, "shop.example", "/");
    upstream.reached();
    program.signal("TERM");
    program.said("draining");
    program.signal("TERM");
    let status = program.ended();
    assert_eq!((status.code(), status.signal()), (Some(143), None));
}
