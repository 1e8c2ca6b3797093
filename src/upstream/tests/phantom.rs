use std::time::{Duration, Instant};

use super::super::phantom::PhantomLoad;

#[test]
fn failures_at_a_steady_rate_weigh_as_much_as_successes_in_flight_would() {
    let start = Instant::now();
    let load = PhantomLoad::new(start);
    // 1,000 a second for a second, where a success takes 10 ms: 10 in flight.
    for i in 0..1_000 {
        load.add(10_000.0, start + Duration::from_millis(i));
    }
    let settled = load.load(10_000.0, start + Duration::from_secs(1));
    assert!((9.0..11.5).contains(&settled), "{settled}");
}

#[test]
fn the_load_is_gone_when_a_success_would_long_have_ended() {
    let start = Instant::now();
    let load = PhantomLoad::new(start);
    load.add(10_000.0, start);
    assert!(load.load(10_000.0, start) > 0.9);
    assert!(load.load(10_000.0, start + Duration::from_millis(100)) < 0.001);
}
