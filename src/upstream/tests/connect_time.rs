use std::time::Duration;

use proptest::prelude::*;

use super::super::connect_time::ConnectTime;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn the_first_one_is_what_is_usual() {
    let time = ConnectTime::default();
    assert_eq!(time.usual(), Duration::ZERO);
    time.took(ms(3));
    assert_eq!(time.usual(), ms(3));
}

#[test]
fn a_lost_syn_says_little_of_the_next_connection() {
    let time = ConnectTime::default();
    time.took(ms(1));
    time.took(ms(1001));
    assert!(time.usual() < ms(2), "{:?}", time.usual());
}

#[test]
fn nor_does_one_that_the_first_connection_lost() {
    let time = ConnectTime::default();
    time.took(ms(1001));
    assert!(time.usual() <= ms(20), "{:?}", time.usual());
}

#[test]
fn another_road_is_usual_soon() {
    let time = ConnectTime::default();
    time.took(ms(1));
    let steps = (0..).take_while(|_| {
        time.took(ms(80));
        time.usual() < ms(80)
    });
    assert!(steps.count() < 100);
}

proptest! {
    #[test]
    fn it_comes_to_lie_near_the_middle(
        samples in proptest::collection::vec(100..100_000_u64, 400..500),
    ) {
        let time = ConnectTime::default();
        let usual = samples.iter().map(|sample| {
            time.took(Duration::from_micros(*sample));
            time.usual()
        });
        // It moves with each; on the whole it stays there.
        let usual: Vec<Duration> = usual.collect();
        let last = &usual[usual.len() - 100..];
        let mean = last.iter().sum::<Duration>() / 100;
        let mut sorted = samples;
        sorted.sort_unstable();
        let at = |part: usize| Duration::from_micros(sorted[sorted.len() * part / 100]);
        prop_assert!((at(10)..at(90)).contains(&mean), "{mean:?}");
    }
}
