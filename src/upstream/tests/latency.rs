use std::time::{Duration, Instant};

use super::super::latency::Latency;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn a_peak_counts_at_once_and_an_improvement_slowly() {
    let start = Instant::now();
    let latency = Latency::new(start);
    assert_eq!(latency.micros(start), None);
    latency.success(ms(10), start);
    latency.success(ms(100), start + ms(1));
    assert!(latency.micros(start + ms(1)).unwrap() > 99_000.0);
    latency.success(ms(10), start + ms(2));
    assert!(latency.micros(start + ms(2)).unwrap() > 90_000.0);
}

#[test]
fn the_average_decays_by_a_factor_of_e_in_ten_seconds() {
    let start = Instant::now();
    let latency = Latency::new(start);
    latency.success(ms(100), start);
    let later = latency.micros(start + ms(10_000)).unwrap();
    assert!((36_000.0..38_000.0).contains(&later), "{later}");
}

#[test]
fn a_failure_never_improves_the_average() {
    let start = Instant::now();
    let latency = Latency::new(start);
    latency.success(ms(5_000), start);
    latency.failure(ms(1), start);
    latency.unimproved(ms(1), 10.0, start);
    assert!(latency.micros(start).unwrap() >= 4_999_000.0);
}

#[test]
fn an_application_error_is_no_faster_than_what_is_typical() {
    let start = Instant::now();
    let latency = Latency::new(start);
    latency.unimproved(ms(1), 80_000.0, start);
    assert!(latency.micros(start).unwrap() >= 79_000.0);
}
