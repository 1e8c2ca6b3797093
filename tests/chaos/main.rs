//! Chaos: endpoints that go wrong in every way at once, and what must hold all the same.
//!
//! The real program, in `standalone` mode and with two workers, serves a directory of manifests. Its
//! three to ten endpoints are served by this process, on loopback addresses in a network of its own.
//! Clients send GETs, PUTs and POSTs with unique ids, over HTTP/1.1 and HTTP/2, while a schedule that
//! one seed decides has endpoints refuse, vanish behind a firewall rule, reset, close, truncate,
//! stall, answer 502, restart, leave and be rolled. Each round ends with all of them dead at once, and
//! with their recovery. Afterwards (`checks`), where `perTryTimeout` is 500 ms and `attempts` is one
//! more than the endpoints that are bad at the same time:
//!
//! - no idempotent request failed before its head was forwarded, but for those that met the time in
//!   which every endpoint was dead;
//! - every body that broke later was visibly broken, and what was taken for whole is what was sent;
//! - no POST was executed twice;
//! - every request stands once in the access log, and the log, the metrics, the clients and the
//!   endpoints agree on what became of it and where;
//! - an endpoint that fails gets no more attempts than the ejection rule allows, those in flight, and
//!   the tries of its way back;
//! - retries stay within the budget, which is seen to run out when every endpoint is dead, and never
//!   before;
//! - memory is flat, and no connection or descriptor is left over.
//!
//! What is not asked, because the contract says so:
//! - More than one endpoint at a time never *breaks off* (resets, closes, cuts its head, restarts or
//!   leaves). A request that two endpoints broke off on may be what broke them, so that no third one
//!   gets it: with two such endpoints a request may rightly end after two attempts, however many are
//!   allowed.
//! - Faults that cost retries are few at a time, so that the budget (20 % and 10 a second) holds, and
//!   so is the load.
//! - Requests that time out because the machine stood still (`pulse`) are not held against the gateway:
//!   an endpoint that could not answer was bad, whatever the schedule says. The run tells how often.
//! - One endpoint of a round is never bad before all are: it is in use, not merely healthy but still
//!   ejected for what it did before.
//!
//! ```text
//! cargo test --test chaos                       about half a minute; part of `cargo test`
//! BYWASH_CHAOS_SEED=7 cargo test --test chaos   the schedule of an earlier run, whose seed it printed
//! BYWASH_CHAOS_SECONDS=600 cargo test --test chaos -- --nocapture
//!                                               rounds for ten minutes, told as they happen
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and tells its progress"
)]

mod accounts;
mod budget;
mod checks;
mod clients;
mod conductor;
mod ejection;
mod fleet;
mod gateway;
mod ledger;
mod log;
mod manifests;
mod namespace;
mod order;
mod peer;
mod pulse;
mod schedule;
mod wire;

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;

/// New rounds begin for so long, unless asked otherwise; there are at least two.
const SECONDS: u64 = 12;

/// Beyond that, a run that is not over hangs.
const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn requests_get_past_whatever_endpoints_do() {
    if !namespace::is_inside() {
        return namespace::enter("requests_get_past_whatever_endpoints_do");
    }
    namespace::prepare();
    let seed = variable("BYWASH_CHAOS_SEED").unwrap_or_else(rand::random);
    let lasts = Duration::from_secs(variable("BYWASH_CHAOS_SECONDS").unwrap_or(SECONDS));
    println!("BYWASH_CHAOS_SEED={seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let run = conductor::run(SmallRng::seed_from_u64(seed), lasts);
    let violations = runtime
        .block_on(async { tokio::time::timeout(lasts + PATIENCE, run).await })
        .expect("the run hangs");
    assert!(
        violations.is_empty(),
        "BYWASH_CHAOS_SEED={seed}: {} violations\n{}",
        violations.len(),
        violations.join("\n")
    );
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is not a number: {text:?}")))
}
