use super::*;

const CART: &str = "shop/cart:80";

/// An upstream whose answers are counted; it begins with a slice.
#[derive(Default)]
struct Cart {
    times: AnswerTimes,
    now: u64,
    counted: Answers,
}

impl Cart {
    /// Seconds pass with so many answers in each, that take so many milliseconds each.
    fn answers(&mut self, seconds: u64, count: u64, millis: u64) {
        for _ in 0..seconds {
            self.now += 1;
            self.counted.count += count;
            self.counted.micros += count * millis * 1000;
            self.times.count(self.now, [(CART.into(), self.counted)]);
        }
    }

    /// Usual and now in milliseconds, as it is told while its requests fail.
    fn told(&mut self) -> Option<(u64, u64)> {
        let reports = self.times.compare(self.now, &BTreeSet::from([CART]));
        let report = reports.first()?;
        assert_eq!(report.upstream, CART);
        Some((report.usual / 1000, report.now / 1000))
    }

    fn recovers(&mut self) {
        assert_eq!(self.times.compare(self.now, &BTreeSet::new()), []);
    }
}

#[test]
fn what_is_usual_stays_what_it_was_before_the_trouble_however_long_that_lasts() {
    let mut cart = Cart::default();
    cart.answers(MINUTE - 1, 10, 40);
    cart.recovers();
    cart.answers(1, 10, 2600);
    assert_eq!(cart.told(), Some((40, 2600)));
    for _ in 0..2 * KEPT {
        cart.answers(1, 10, 3000);
        assert_eq!(cart.told().unwrap().0, 40);
    }
    assert_eq!(cart.told(), Some((40, 3000)));
}

#[test]
fn a_load_that_builds_up_before_the_first_failure_is_not_what_is_usual() {
    let mut cart = Cart::default();
    cart.answers(5 * 60, 10, 40);
    for millis in 1..=60 {
        cart.answers(1, 10, millis * 100);
    }
    let (usual, now) = cart.told().unwrap();
    assert_eq!(usual, 40);
    assert!(now > 5_000, "{now}");
}

#[test]
fn of_few_answers_nothing_is_called_usual() {
    let mut cart = Cart::default();
    cart.answers(SLICE - 1, (ENOUGH - 1) / (SLICE - 1), 40);
    cart.answers(1, ENOUGH, 40);
    assert_eq!(cart.told(), None);
}

#[test]
fn nothing_is_told_of_what_does_not_fail_or_does_not_answer_any_more() {
    let mut cart = Cart::default();
    cart.answers(60, 10, 40);
    cart.recovers();
    cart.answers(MINUTE, 0, 0);
    assert_eq!(cart.told(), None, "no answer in the last minute");
}

#[test]
fn what_was_seen_while_requests_failed_is_never_usual() {
    let mut cart = Cart::default();
    cart.answers(MINUTE - 1, 10, 40);
    cart.answers(1, 10, 2600);
    assert_eq!(cart.told(), Some((40, 2600)));
    cart.answers(5 * MINUTE, 10, 2600);
    cart.recovers();
    cart.answers(SLICE - 1, 1, 50);
    cart.answers(1, 10, 2600);
    assert_eq!(cart.told(), Some((40, 2600)), "too soon after the last one");
    cart.recovers();
    cart.answers(MINUTE - 1, 10, 60);
    cart.answers(1, 10, 2600);
    assert_eq!(cart.told(), Some((60, 2600)));
}

#[test]
fn counters_that_begin_anew_are_a_new_upstream() {
    let mut cart = Cart::default();
    cart.answers(MINUTE - 1, 10, 40);
    cart.counted = Answers::default();
    cart.answers(1, 10, 500);
    assert_eq!(cart.told(), Some((40, 500)));
}

#[test]
fn upstreams_that_are_gone_are_forgotten_and_slices_are_few() {
    let mut cart = Cart::default();
    cart.answers(2 * KEPT, 10, 40);
    let slices = cart.times.upstreams[CART].slices.len() as u64;
    assert!(slices <= KEPT / SLICE + 1, "{slices}");
    cart.times.count(cart.now, []);
    assert!(cart.times.upstreams.is_empty());
}
