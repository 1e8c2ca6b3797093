//! Of answers whose head had been forwarded when their body broke off.

use super::*;

#[test]
fn a_body_that_broke_off_was_not_answered_502() {
    let mut shop = Shop::new();
    shop.second(100, &[]);
    shop.seconds(40, 100, &[(Cause::BodyIncomplete, 50)]);
    let message = &shop.on_policy("BadGateway").message;
    let begin = "50 of 100 requests in the last minute failed after the head of their answer: the \
                 response body ended early, at ";
    assert!(message.starts_with(begin), "{message}");
    shop.second(100, &[]);
    let message = &shop.on_policy("BadGateway").message;
    assert!(message.starts_with("requests do not fail after the head of their answer any more"));
}

#[test]
fn who_failed_after_the_head_and_who_was_answered_502_are_counted_apart() {
    let (broke_off, refused) = (Cause::BodyIncomplete, Cause::ConnectionRefused);
    for (failures, begin) in [
        (
            [(broke_off, 40), (Cause::BodyReset, 5), (refused, 9)],
            "45 of 100 requests in the last minute failed after the head of their answer: the response \
             body ended early, at ",
        ),
        (
            [(refused, 40), (Cause::ConnectionReset, 5), (broke_off, 9)],
            "45 of 100 requests in the last minute were answered 502: ",
        ),
    ] {
        let mut shop = Shop::new();
        shop.second(100, &[]);
        shop.seconds(40, 100, &failures);
        let message = &shop.on_policy("BadGateway").message;
        assert!(message.starts_with(begin), "{message}");
        assert!(message.contains("Some failed otherwise: "), "{message}");
    }
}
