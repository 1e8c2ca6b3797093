use proptest::prelude::*;

use super::*;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn cut(age: Duration, at: Duration) -> Cut {
    Cut {
        age,
        at,
        outlived: Duration::ZERO,
    }
}

/// What is known after idle connections were cut at this age, two seconds apart.
fn after(age: Duration, moments: u64) -> Cuts {
    let mut cuts = Cuts::default();
    for n in 1..=moments {
        assert_eq!(cuts.add(cut(age, secs(2 * n))), n == u64::from(MOMENTS));
    }
    cuts
}

fn limit(cuts: &Cuts, now: Duration) -> Option<Duration> {
    cuts.known(now)?.limit(now)
}

#[test]
fn the_third_moment_at_which_connections_are_cut_at_the_same_age_teaches_it() {
    assert_eq!(limit(&after(secs(3), 2), secs(4)), None);
    assert_eq!(limit(&after(secs(3), 3), secs(6)), Some(secs(2)));
}

#[test]
fn the_limit_is_a_second_or_a_fifth_below_and_never_less_than_half() {
    for (life, stays_below) in [(60_000, 48_000), (4_000, 3_000), (300, 150)] {
        assert_eq!(below(ms(life)), ms(stays_below));
    }
    for (announced, stays_below) in [(5_000, 4_000), (60_000, 59_000), (1_000, 500), (0, 0)] {
        assert_eq!(before(ms(announced)), ms(stays_below));
    }
}

#[test]
fn without_a_confirmation_it_doubles_every_ten_minutes_until_nothing_is_left() {
    let cuts = after(ms(300), 3);
    let later = |minutes: u64| limit(&cuts, secs(6 + 60 * minutes));
    assert_eq!(later(9), Some(ms(150)));
    assert_eq!(later(10), Some(ms(300)));
    assert_eq!(later(25), Some(ms(600)));
    assert!(later(159).is_some());
    assert_eq!(later(160), None);
}

#[test]
fn one_cut_at_about_that_age_confirms_it() {
    let mut cuts = after(secs(3), 3);
    let at = secs(1_500);
    assert_eq!(limit(&cuts, at), Some(secs(8)));
    assert!(!cuts.add(cut(ms(3_200), at)));
    assert_eq!(limit(&cuts, at), Some(ms(2_100)));
}

#[test]
fn a_cut_at_another_age_changes_nothing_until_there_are_three_moments_of_them() {
    let mut cuts = after(secs(3), 3);
    for n in 1..=3 {
        assert_eq!(limit(&cuts, secs(10)), Some(secs(2)));
        assert_eq!(cuts.add(cut(ms(400), secs(10 + 2 * n))), n == 3);
    }
    assert_eq!(limit(&cuts, secs(16)), Some(ms(200)));
}

#[test]
fn a_connection_that_idled_longer_meanwhile_says_that_it_is_not_the_age() {
    let mut cuts = Cuts::default();
    for n in 1..20 {
        assert!(!cuts.add(Cut {
            outlived: secs(4),
            ..cut(secs(2), secs(2 * n))
        }));
    }
}

#[test]
fn what_was_learned_fits_a_word() {
    let learned = after(ms(2_345), 3).known(secs(6)).unwrap();
    assert_eq!(Learned::unpack(learned.pack()), Some(learned));
    assert_eq!(Learned::unpack(0), None);
}

proptest! {
    /// A restart closes all that an endpoint has, whatever its age.
    #[test]
    fn what_happens_at_one_moment_teaches_nothing(
        closes in proptest::collection::vec((50_u64..10_000, 0_u64..1_000), 1..200),
    ) {
        let mut cuts = Cuts::default();
        let mut closes = closes;
        closes.sort_by_key(|(_, at)| *at);
        for (age, at) in closes {
            prop_assert!(!cuts.add(cut(ms(age), secs(100) + ms(at))));
        }
    }

    /// Whatever the timeout, and though the endpoint looks after it only now and then.
    #[test]
    fn an_endpoint_that_closes_what_idles_too_long_is_learned_and_stayed_below(
        life in 50_u64..3_600_000,
        late in proptest::collection::vec(0.0..0.45_f64, 3..50),
        apart in 1_000_u64..100_000,
    ) {
        let mut cuts = Cuts::default();
        let mut at = Duration::ZERO;
        for (n, late) in late.iter().enumerate() {
            at += ms(apart);
            let learned = cuts.add(cut(ms(life).mul_f64(1.0 + late), at));
            prop_assert_eq!(learned, n == 2);
        }
        let limit = limit(&cuts, at).unwrap();
        prop_assert!(limit < ms(life).mul_f64(1.45 * 0.8 + 0.001));
        prop_assert!(limit >= ms(life) / 2);
    }

    /// Crashes cut connections at any age; nothing is learned as long as those differ.
    #[test]
    fn ages_that_differ_teach_nothing(
        first in 50_u64..1_000, steps in proptest::collection::vec(1.51..4.0_f64, 2..100),
    ) {
        let mut cuts = Cuts::default();
        let (mut age, mut at) = (ms(first), Duration::ZERO);
        for (n, step) in steps.into_iter().enumerate() {
            at += secs(10);
            prop_assert!(!cuts.add(cut(age, at)));
            age = if n % 2 == 0 { age.mul_f64(step) } else { ms(first) };
        }
    }

    /// Whatever is seen: the limit is below the age at which a connection was just cut, if that is
    /// where it comes from, and what is known fits its word.
    #[test]
    fn the_limit_stays_below_what_was_seen_last(
        seen in proptest::collection::vec((50_u64..8_000, 0_u64..900_000, 0_u64..8_000), 1..200),
    ) {
        let mut cuts = Cuts::default();
        let mut at = Duration::ZERO;
        for (age, later, outlived) in seen {
            at += ms(later);
            let known = cuts.known(at).map(Learned::life);
            let (age, outlived) = (ms(age), ms(outlived));
            let learned = cuts.add(Cut { age, at, outlived });
            let confirmed = known.is_some_and(|life| alike(life, age));
            if learned || confirmed {
                prop_assert!(limit(&cuts, at).unwrap() <= age * 4 / 5);
            } else {
                prop_assert_eq!(cuts.known(at).map(Learned::life), known);
            }
            if let Some(known) = cuts.known(at) {
                let unpacked = Learned::unpack(known.pack()).unwrap();
                prop_assert!(known.life - unpacked.life < ms(1));
            }
        }
    }
}
