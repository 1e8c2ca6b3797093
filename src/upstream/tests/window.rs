use std::time::{Duration, Instant};

use super::super::window::{Totals, Window};

const TEN: Duration = Duration::from_secs(10);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn what_is_older_than_the_window_no_longer_counts() {
    let start = Instant::now();
    let window = Window::new(start);
    for second in 0..25 {
        window.succeeded(start + seconds(second));
        window.failed(start + seconds(second));
        let expected = (second + 1).min(10);
        let totals = window.totals(start + seconds(second), TEN);
        assert_eq!((totals.good, totals.bad), (expected, expected));
        let last_three = window.totals(start + seconds(second), seconds(3));
        assert_eq!(last_three.good, (second + 1).min(3));
    }
    assert_eq!(window.totals(start + seconds(33), TEN).bad, 1);
    assert_eq!(window.totals(start + seconds(34), TEN), Totals::default());
}

#[test]
fn half_of_twenty_requests_is_too_much() {
    let totals = |good, bad| Totals { good, bad };
    assert!(totals(10, 10).reaches(50, 20));
    assert!(!totals(9, 10).reaches(50, 20));
    assert!(!totals(11, 10).reaches(50, 20));
    assert!(totals(0, 20).reaches(50, 20));
}
