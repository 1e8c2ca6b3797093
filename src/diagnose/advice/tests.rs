//! What holds of every sentence. Which one is said when is in `tests/diagnose`.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::{collection::vec, option, sample::select};

use super::*;
use crate::report::facts::{
    ContainerFacts, ContainerPort, EndpointFacts, Latency, PodFacts, PortFacts, Sample,
    ServiceFacts, Termination, Unread,
};
use crate::report::hint::{Hint, Names, Protocol};
use crate::report::outcome::Stop;
use crate::routing::snapshot::ServicePort;

/// As short and as long as Kubernetes allows, and some beyond it; none holds a word of a sentence.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-jl-z]{1,12}", "[a-jl-z]{253}", "[äöü✓]{0,300}"]
}

fn time() -> impl Strategy<Value = Option<Timestamp>> {
    option::of(
        (1_795_000_000_i64..1_795_001_000).prop_map(|at| Timestamp::from_second(at).unwrap()),
    )
}

fn hint() -> impl Strategy<Value = Hint> {
    let protocols = [
        Protocol::Tls,
        Protocol::NotTls,
        Protocol::Http2,
        Protocol::Ssh,
        Protocol::Redis,
        Protocol::Mail,
    ];
    prop_oneof![
        select(protocols.to_vec()).prop_map(Hint::Speaks),
        any::<u32>().prop_map(Hint::HeadOverBytes),
        any::<u32>().prop_map(Hint::HeadOverFields),
        any::<u64>().prop_map(Hint::Expired),
        any::<u64>().prop_map(Hint::NotYetValid),
        (name(), vec(name(), 0..5)).prop_map(|(wanted, found)| {
            let found = found.into_iter().map(Into::into).collect();
            Hint::WrongName(Box::new(Names {
                wanted: wanted.into(),
                found,
            }))
        }),
        any::<u8>().prop_map(Hint::Alert),
        Just(Hint::UnknownIssuer),
        Just(Hint::SilentHandshake),
        Just(Hint::LateHandshake),
        (any::<u64>(), any::<Option<u64>>()).prop_map(|(received, announced)| Hint::BodyEnded {
            received,
            announced
        }),
    ]
}

fn sample() -> impl Strategy<Value = Sample> {
    let stops = [Stop::Budget, Stop::Attempts, Stop::NotIdempotent];
    let where_ = (any::<Option<[u8; 4]>>(), any::<u16>(), option::of(name()));
    let how = (
        0..2_u64,
        any::<bool>(),
        option::of(hint()),
        option::of(select(stops.to_vec())),
    );
    (where_, how).prop_map(
        |((address, port, pod), (received, reused, hint, stop))| Sample {
            endpoint: address.map(|address| (address, port).into()),
            pod,
            status: None,
            sent: 100,
            received,
            reused,
            hint,
            stop,
        },
    )
}

fn container() -> impl Strategy<Value = ContainerFacts> {
    let port = (option::of(name()), any::<u16>());
    let port = port.prop_map(|(name, port)| ContainerPort { name, port });
    let reasons = ["OOMKilled", "Error", "Completed"].map(str::to_owned);
    let ended = (
        select(reasons.to_vec()),
        select([0, 1, 137].to_vec()),
        time(),
    );
    let ended = ended.prop_map(|(reason, exit_code, at)| Termination {
        reason,
        exit_code,
        at,
    });
    let state = (option::of(name()), option::of(ended), any::<u32>());
    (
        name(),
        vec(port, 0..4),
        any::<bool>(),
        option::of(name()),
        state,
    )
        .prop_map(
            |(name, ports, probed, memory, (waiting, ended, restarts))| ContainerFacts {
                name,
                ports,
                probed,
                memory,
                restarts,
                waiting,
                ended,
            },
        )
}

fn pod() -> impl Strategy<Value = PodFacts> {
    let phases = ["Running", "Unknown", "Pending"].map(str::to_owned);
    let names = (
        name(),
        option::of(name()),
        option::of(name()),
        option::of(name()),
    );
    let times = (time(), time(), time());
    let rest = (
        select(phases.to_vec()),
        any::<bool>(),
        any::<[u8; 4]>(),
        vec(container(), 0..3),
    );
    (names, times, rest).prop_map(
        |(names, times, (phase, ready, address, containers))| PodFacts {
            name: names.0,
            addresses: vec![address.into()],
            phase,
            ready,
            ready_since: times.0,
            deleted: times.1,
            created: times.2,
            revision: names.1,
            owner: names.2.map(|owner| format!("deployment/{owner}")),
            node: names.3,
            containers,
        },
    )
}

fn service() -> impl Strategy<Value = ServiceFacts> {
    let port = (option::of(name()), 80..83_u16, name(), option::of(name()));
    let port = port.prop_map(|(name, port, target_port, app_protocol)| PortFacts {
        name,
        port,
        target_port,
        app_protocol,
    });
    (option::of(name()), option::of(name()), vec(port, 0..4)).prop_map(
        |(external_name, selector, ports)| ServiceFacts {
            external_name,
            selector,
            ports,
        },
    )
}

fn facts() -> impl Strategy<Value = Facts> {
    let unread = (name(), any::<bool>());
    let unread = unread.prop_map(|(resource, forbidden)| Unread {
        resource,
        forbidden,
    });
    let objects = (
        option::of(service()),
        option::of(vec(pod(), 0..4)),
        vec(name(), 0..5),
    );
    let rest = (
        vec(name(), 0..5),
        option::of(name()),
        any::<bool>(),
        vec(unread, 0..3),
    );
    let counts = (0..3_usize, 0..3_usize);
    (objects, rest, counts).prop_map(|(objects, rest, (ready, unready))| Facts {
        at: Timestamp::from_second(1_795_000_500).unwrap(),
        gateway_namespace: rest.1,
        service: objects.0,
        endpoints: EndpointFacts {
            ready,
            unready,
            ..EndpointFacts::default()
        },
        pods: objects.1,
        more_pods: rest.2,
        near_labels: rest.0,
        network_policies: objects.2,
        unread: rest.3,
    })
}

fn problem() -> impl Strategy<Value = Problem> {
    let upstream = (name(), name(), 80..83_u16);
    let upstream = upstream.prop_map(|(namespace, name, port)| ServicePort {
        namespace: namespace.into(),
        name: name.into(),
        port,
    });
    let limits = ["maxConnections", "maxRequests", "maxPendingRequests"];
    let limits = vec(select(limits.to_vec()), 0..4);
    let latency = (any::<u16>(), any::<u16>()).prop_map(|(usual, now)| Latency {
        usual: Duration::from_millis(usual.into()),
        now: Duration::from_millis(now.into()),
    });
    let known = (
        option::of(upstream),
        vec(sample(), 0..4),
        limits,
        option::of(latency),
    );
    (select(Cause::all()), known).prop_map(|(cause, (upstream, samples, limits, latency))| {
        Problem {
            upstream,
            samples,
            limits,
            latency,
            idle_timeout: Some(Duration::from_secs(4)),
            ..Problem::of(cause)
        }
    })
}

proptest! {
    #[test]
    fn every_problem_has_a_sentence_that_fits_and_owns_up_to_guessing(
        problem in problem(), facts in facts(),
    ) {
        let Advice { sentence, code, likely } = advise(&problem, &facts);
        prop_assert!(sentence.len() <= MOST, "{} bytes: {sentence}", sentence.len());
        prop_assert!(sentence.ends_with(['.', '…']), "{sentence}");
        prop_assert!(sentence.starts_with(char::is_uppercase), "{sentence}");
        prop_assert!(Code::ALL.iter().any(|known| known.as_str() == code));
        prop_assert!(sentence.ends_with('…') || likely == sentence.contains("ikely"), "{sentence}");
    }
}

#[test]
fn a_cause_of_which_nothing_else_is_known_has_a_whole_sentence_too() {
    for cause in Cause::all() {
        let Advice {
            sentence, likely, ..
        } = advise(&Problem::of(cause), &Facts::default());
        assert!(sentence.ends_with('.'), "{cause:?}: {sentence}");
        assert!(!sentence.contains("  "), "{cause:?}: {sentence}");
        assert_eq!(likely, sentence.contains("ikely"), "{cause:?}: {sentence}");
    }
}

#[test]
fn no_two_diagnoses_have_one_code() {
    let codes: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes.len(), Code::ALL.len());
}
