use super::*;

fn failed(cause: Cause) -> Failed {
    Failed {
        cause,
        unsent: false,
        stale: false,
    }
}

fn first(idempotent: bool) -> Progress {
    Progress {
        attempts: 1,
        idempotent,
        replayable: true,
        ..Progress::default()
    }
}

#[test]
fn a_request_that_was_never_sent_goes_elsewhere_whatever_its_method() {
    for cause in [
        Cause::ConnectionRefused,
        Cause::ConnectTimeout,
        Cause::ClosedBeforeSend,
    ] {
        assert_eq!(
            decide(&Retry::default(), failed(cause), first(false)),
            Next::Another
        );
    }
}

#[test]
fn after_its_bytes_were_out_only_an_idempotent_request_goes_again() {
    for cause in [
        Cause::ConnectionReset,
        Cause::ConnectionClosed,
        Cause::ResponseTimeout,
    ] {
        assert_eq!(
            decide(&Retry::default(), failed(cause), first(true)),
            Next::Another
        );
        assert_eq!(
            decide(&Retry::default(), failed(cause), first(false)),
            Next::Stop(Stop::NotIdempotent)
        );
        let policy = Retry {
            non_idempotent: true,
            ..Retry::default()
        };
        assert_eq!(decide(&policy, failed(cause), first(false)), Next::Another);
    }
}

#[test]
fn a_request_that_broke_two_endpoints_reaches_no_third() {
    let progress = Progress {
        attempts: 2,
        broken_off: 2,
        ..first(true)
    };
    assert_eq!(
        decide(&Retry::default(), failed(Cause::ConnectionReset), progress),
        Next::Stop(Stop::Poison)
    );
    let once = Progress {
        attempts: 2,
        broken_off: 1,
        ..first(true)
    };
    assert_eq!(
        decide(&Retry::default(), failed(Cause::ResponseTimeout), once),
        Next::Another
    );
}

#[test]
fn attempts_and_time_end_it() {
    let last = Progress {
        attempts: 3,
        ..first(true)
    };
    let refused = failed(Cause::ConnectionRefused);
    assert_eq!(
        decide(&Retry::default(), refused, last),
        Next::Stop(Stop::Attempts)
    );
    let late = Progress {
        time: Time {
            elapsed: Duration::from_secs(30),
            left: None,
        },
        ..first(true)
    };
    assert_eq!(
        decide(&Retry::default(), refused, late),
        Next::Stop(Stop::Within)
    );
}

#[test]
fn nothing_begins_that_could_do_no_more_than_connect() {
    let policy = Retry::default();
    let ms = Duration::from_millis;
    let time = |elapsed, left| Time {
        elapsed,
        left: Some(left),
    };
    let within = policy.within;
    let cases = [
        (time(ms(0), ms(9)), ms(0), Some(Stop::Deadline)),
        (time(ms(0), ms(10)), ms(0), None),
        (time(ms(0), ms(14)), ms(5), Some(Stop::Deadline)),
        (time(ms(0), ms(15)), ms(5), None),
        (time(within - ms(9), ms(500)), ms(0), Some(Stop::Within)),
        (time(within - ms(10), ms(500)), ms(0), None),
        (time(within - ms(14), ms(500)), ms(5), Some(Stop::Within)),
        (time(within - ms(15), ms(500)), ms(5), None),
    ];
    for (time, after, stop) in cases {
        assert_eq!(too_late(&policy, time, after), stop, "{time:?} {after:?}");
    }
}

#[test]
fn a_single_attempt_is_sent_once_whatever_the_connection_was() {
    let policy = Retry {
        attempts: 1,
        ..Retry::default()
    };
    let stale = Failed {
        stale: true,
        ..failed(Cause::ConnectionClosed)
    };
    let progress = Progress {
        attempts: 0,
        ..first(true)
    };
    let next = |failed| decide(&policy, failed, progress);
    assert_eq!(next(stale), Next::Stop(Stop::Attempts));
    let unsent = Failed {
        unsent: true,
        ..stale
    };
    assert_eq!(next(unsent), Next::Reconnect);
    assert_eq!(decide(&Retry::default(), stale, progress), Next::Reconnect);
}

#[test]
fn a_new_connection_to_the_same_endpoint_needs_its_usual_time() {
    let stale = Failed {
        stale: true,
        ..failed(Cause::ConnectionClosed)
    };
    let progress = |left| Progress {
        time: Time {
            elapsed: Duration::ZERO,
            left: Some(Duration::from_millis(left)),
        },
        connect: Duration::from_millis(100),
        ..first(true)
    };
    let decided = |failed, left| decide(&Retry::default(), failed, progress(left));
    assert_eq!(decided(stale, 109), Next::Stop(Stop::Deadline));
    assert_eq!(decided(stale, 110), Next::Reconnect);
    let reset = failed(Cause::ConnectionReset);
    assert_eq!(decided(reset, 10), Next::Another);
}

#[test]
fn a_body_that_was_not_kept_is_not_sent_again() {
    let streamed = Progress {
        replayable: false,
        ..first(true)
    };
    assert_eq!(
        decide(&Retry::default(), failed(Cause::ConnectionReset), streamed),
        Next::Stop(Stop::NotReplayable)
    );
}

#[test]
fn a_connection_closed_while_idle_costs_no_attempt() {
    let stale = Failed {
        cause: Cause::ConnectionClosed,
        unsent: false,
        stale: true,
    };
    let last = Progress {
        attempts: 3,
        ..first(true)
    };
    assert_eq!(decide(&Retry::default(), stale, last), Next::Reconnect);
    assert_eq!(
        decide(&Retry::default(), stale, first(false)),
        Next::Stop(Stop::NotIdempotent)
    );
    let unsent = Failed {
        cause: Cause::ClosedBeforeSend,
        unsent: true,
        stale: true,
    };
    assert_eq!(
        decide(&Retry::default(), unsent, first(false)),
        Next::Reconnect
    );
}

#[test]
fn a_cause_that_no_other_attempt_helps_against_is_the_reason_itself() {
    for cause in [Cause::HeadTooLarge, Cause::SendTimeout, Cause::LimitReached] {
        let decided = decide(&Retry::default(), failed(cause), first(true));
        assert_eq!(decided, Next::Stop(Stop::Cause), "{cause:?}");
    }
}

#[test]
fn a_request_whose_time_is_over_says_so() {
    let late = failed(Cause::DeadlineExceeded);
    let decided = decide(&Retry::default(), late, first(true));
    assert_eq!(decided, Next::Stop(Stop::Deadline));
}

#[test]
fn the_backoff_grows_to_its_limit_and_is_jittered_in_full() {
    let policy = Retry::default();
    assert_eq!(backoff(&policy, 1, 1.0), Duration::from_millis(25));
    assert_eq!(backoff(&policy, 2, 1.0), Duration::from_millis(50));
    assert_eq!(backoff(&policy, 60, 1.0), Duration::from_millis(250));
    assert_eq!(backoff(&policy, 60, 0.0), Duration::ZERO);
}

#[test]
fn only_failures_that_the_policy_lists_are_retried() {
    let nothing = RetryOn {
        connect_failure: false,
        reset: false,
        refused_stream: false,
        timeout: false,
        invalid_response: false,
    };
    for (on, cause) in [
        (
            RetryOn {
                connect_failure: true,
                ..nothing
            },
            Cause::ConnectionRefused,
        ),
        (
            RetryOn {
                reset: true,
                ..nothing
            },
            Cause::ConnectionReset,
        ),
        (
            RetryOn {
                refused_stream: true,
                ..nothing
            },
            Cause::StreamRefused,
        ),
        (
            RetryOn {
                timeout: true,
                ..nothing
            },
            Cause::ResponseTimeout,
        ),
        (
            RetryOn {
                invalid_response: true,
                ..nothing
            },
            Cause::BadStatusLine,
        ),
    ] {
        let policy = |on| Retry {
            on,
            ..Retry::default()
        };
        let decided = |on| decide(&policy(on), failed(cause), first(true));
        assert_eq!(decided(on), Next::Another, "{cause:?}");
        assert_eq!(decided(nothing), Next::Stop(Stop::NotListed), "{cause:?}");
    }
}

#[test]
fn what_stands_in_is_asked_for_every_failure_of_the_upstreams_that_leaves_the_request_repeatable() {
    let policy = Retry {
        on: RetryOn {
            connect_failure: false,
            reset: false,
            refused_stream: false,
            timeout: false,
            invalid_response: false,
        },
        within: Duration::ZERO,
        ..Retry::default()
    };
    let falls_back = |cause, idempotent| may_fall_back(&policy, failed(cause), first(idempotent));
    for cause in Cause::all() {
        let asked = matches!(cause.status().as_u16(), 502..=504);
        assert_eq!(falls_back(cause, true), asked, "{cause:?}");
        let unsent = asked && cause.retry_class() == RetryClass::Unsent;
        assert_eq!(falls_back(cause, false), unsent, "{cause:?}");
    }
    assert!(falls_back(Cause::RetriedStatus(500), true));
    let no_endpoint = Failed {
        unsent: true,
        ..failed(Cause::NoEndpoints)
    };
    assert!(may_fall_back(&policy, no_endpoint, first(false)));
    let not_kept = Progress {
        replayable: false,
        ..first(true)
    };
    assert!(!may_fall_back(&policy, no_endpoint, not_kept));
}
