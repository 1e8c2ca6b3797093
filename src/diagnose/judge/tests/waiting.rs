//! Of words that wait for the facts that explain them.

use super::*;
use crate::report::traffic::QUIET;

#[test]
fn words_wait_a_moment_for_the_facts_that_explain_them() {
    let mut shop = Shop::new();
    let facts = std::mem::take(&mut shop.facts);
    shop.second(100, &[]);
    shop.second(100, REFUSED);
    assert_eq!(shop.bad_gateway().0, Some(false));
    assert_eq!(shop.judge.wanted()[0].1, "cart");
    shop.facts = facts;
    shop.second(100, REFUSED);
    assert_eq!(shop.bad_gateway().0, Some(true));
}

/// What was known of the one cause does not explain the next.
#[test]
fn words_about_another_cause_wait_for_facts_that_are_recent() {
    let mut shop = Shop::new();
    shop.second(100, REFUSED);
    shop.seconds(10, 100, REFUSED);
    shop.age = RECENT + 1;
    let reset = [(Cause::ConnectionReset, 60)];
    shop.second(100, &reset);
    assert_eq!(shop.bad_gateway().1, "ConnectionRefused");
    assert_eq!(shop.judge.wanted()[0].1, "cart");
    shop.age = 1;
    shop.second(100, &reset);
    assert_eq!(shop.bad_gateway().1, "ConnectionReset");
}

#[test]
fn words_do_not_wait_for_facts_for_ever() {
    let mut shop = Shop::new();
    shop.facts.clear();
    shop.second(100, &[]);
    shop.seconds(PATIENCE + 1, 100, REFUSED);
    assert_eq!(shop.bad_gateway().0, Some(true));
}

#[test]
fn words_about_new_trouble_wait_though_others_had_waited_for_trouble_that_went() {
    let mut shop = Shop::new();
    shop.facts.clear();
    shop.seconds(QUIET + 1, 100, &[]);
    shop.second(100, REFUSED);
    shop.seconds(PATIENCE + 1, 100, &[]);
    shop.second(100, REFUSED);
    assert_eq!(shop.bad_gateway().0, Some(false));
    shop.seconds(PATIENCE, 100, REFUSED);
    assert_eq!(shop.bad_gateway().0, Some(true));
}

#[test]
fn an_object_that_alternates_says_so_though_its_words_have_to_wait() {
    let mut shop = Shop::new();
    shop.facts.clear();
    let causes = [Cause::ConnectionRefused, Cause::ConnectionReset];
    for turn in 0..20 {
        shop.seconds(10, 100, &[(causes[turn % 2], 50)]);
    }
    let message = &shop.on_policy("BadGateway").message;
    assert!(message.contains("It comes and goes"), "{message}");
}
