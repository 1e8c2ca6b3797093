use std::time::{Duration, Instant};

use super::super::idling::Idling;

#[test]
fn an_idle_time_ends_once_and_its_length_is_told() {
    let start = Instant::now();
    let idling = Idling::new(start);
    let after = |millis| start + Duration::from_millis(millis);
    assert_eq!(idling.end(after(1)), None);
    assert!(idling.begin(after(10)));
    assert_eq!(idling.end(after(25)), Some(Duration::from_millis(15)));
    assert_eq!(idling.over(after(30)), None);
    assert!(!idling.begin(after(40)));
}

#[test]
fn a_connection_that_ends_while_it_idles_tells_it_to_its_task_alone() {
    let start = Instant::now();
    let idling = Idling::new(start);
    assert!(idling.begin(start));
    let over = idling.over(start + Duration::from_secs(3));
    assert_eq!(over, Some(Duration::from_secs(3)));
    assert_eq!(idling.end(start + Duration::from_secs(4)), None);
}
