use super::*;

#[test]
fn times_are_told_as_people_tell_them() {
    assert_eq!(clock(1_763_998_923, 1_763_998_990), "15:42:03");
    assert_eq!(clock(1_763_998_923, 1_764_998_990), "2025-11-24T15:42:03Z");
    assert_eq!(lasting(12), "12 s");
    assert_eq!(lasting(192), "3 min 12 s");
    assert_eq!(lasting(7380), "2 h 3 min");
}

#[test]
fn a_place_is_a_pod_with_its_address_and_how_many_more_there_are() {
    let sample = |endpoint: &str, pod: Option<&str>| Sample {
        endpoint: Some(endpoint.parse().unwrap()),
        pod: pod.map(str::to_owned),
        ..Sample::default()
    };
    let cart = sample("10.244.1.7:8080", Some("cart-6d4f"));
    assert_eq!(places(&[], 0), "");
    assert_eq!(
        places(std::slice::from_ref(&cart), 0),
        ", at cart-6d4f (10.244.1.7:8080)"
    );
    let two = [cart, sample("[::1]:80", None)];
    assert_eq!(
        places(&two, 0),
        ", at cart-6d4f (10.244.1.7:8080) and 1 more"
    );
    assert_eq!(places(&two[1..], 2), ", at [::1]:80 and 2 more");
}

#[test]
fn every_reason_that_may_stand_on_an_object_is_known_again() {
    for text in [
        "ConnectionRefused",
        NO_TRAFFIC,
        NO_FAILURES,
        USABLE,
        UNUSABLE,
    ] {
        assert_eq!(reason(text), text);
    }
    assert_eq!(reason("FromAnotherVersion"), NOT_KNOWN);
}

#[test]
fn that_trouble_is_over_is_told_with_the_time_it_lasted() {
    let trouble = failure::Trouble::BadGateway;
    let told = recovered(
        trouble,
        Cause::ConnectionRefused,
        (1_763_998_923, 1_763_999_115),
    );
    assert_eq!(
        told,
        "requests are not answered 502 any more since 2025-11-24T15:45:15Z; it lasted 3 min 12 s \
         (the connection was refused)"
    );
}
