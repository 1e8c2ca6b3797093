//! Precedence against a model that says it in one sentence.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::routing::policy::{ProxyStatus, Retry, Timeouts, TlsRedirect};

fn sections() -> impl Strategy<Value = Sections> {
    let timeouts = proptest::option::of((1..9_u64).prop_map(|seconds| Timeouts {
        request: Duration::from_secs(seconds),
        ..Timeouts::default()
    }));
    let retry = proptest::option::of((1..9_u8).prop_map(|attempts| Retry {
        attempts,
        ..Retry::default()
    }));
    let redirect = proptest::option::of(prop_oneof![Just(TlsRedirect::On), Just(TlsRedirect::Off)]);
    let status = proptest::option::of(prop_oneof![Just(ProxyStatus::Off), Just(ProxyStatus::Full)]);
    (timeouts, retry, redirect, status).prop_map(|(timeouts, retry, tls_redirect, proxy_status)| {
        Sections {
            timeouts,
            retry,
            tls_redirect,
            proxy_status,
            ..Sections::default()
        }
    })
}

proptest! {
    #[test]
    fn each_section_is_that_of_the_most_specific_policy_that_has_it(
        levels in proptest::collection::vec(proptest::option::of(sections()), 4),
    ) {
        let [service, host, ingress, class] = [0, 1, 2, 3].map(|level| levels[level].as_ref());
        let mut chosen: BTreeMap<Level, &Sections> = BTreeMap::new();
        // In an order that is not the one of precedence.
        for (level, sections) in [
            (Level::Class, class),
            (Level::Service, service),
            (Level::Ingress, ingress),
            (Level::Host, host),
        ] {
            chosen.extend(sections.map(|sections| (level, sections)));
        }
        let candidates: Vec<&Sections> = chosen.into_values().collect();
        let builtin = Arc::default();
        let resolved = Sections::resolve(&candidates, &builtin).policy;

        let first = |has: fn(&Sections) -> bool| {
            [service, host, ingress, class].into_iter().flatten().find(|it| has(it))
        };
        let timeouts = first(|it| it.timeouts.is_some()).and_then(|it| it.timeouts.clone());
        let retry = first(|it| it.retry.is_some()).and_then(|it| it.retry.clone());
        let redirect = first(|it| it.tls_redirect.is_some()).and_then(|it| it.tls_redirect);
        let status = first(|it| it.proxy_status.is_some()).and_then(|it| it.proxy_status);
        prop_assert_eq!(&resolved.timeouts, &timeouts.unwrap_or_default());
        prop_assert_eq!(&resolved.retry, &retry.unwrap_or_default());
        prop_assert_eq!(resolved.tls_redirect, redirect.unwrap_or_default());
        prop_assert_eq!(resolved.proxy_status, status.unwrap_or_default());
    }

    #[test]
    fn what_is_shown_is_what_is_resolved(candidates in proptest::collection::vec(sections(), 0..4)) {
        let origin = |index: usize| names::reference(Kind::GatewayPolicy, ("shop", ["a", "b", "c", "d"][index]));
        let origins: Vec<ObjectRef> = (0..candidates.len()).map(origin).collect();
        let named: Vec<(&ObjectRef, &Sections)> = origins.iter().zip(&candidates).collect();
        let plain: Vec<&Sections> = candidates.iter().collect();
        let builtin = Arc::default();
        let resolved = Sections::resolve(&plain, &builtin).policy;
        let all = Sections::resolve(&[], &resolved);
        let shown: Vec<String> = Sections::in_force(&named, &builtin)
            .into_iter()
            .map(|section| section.values)
            .collect();
        let expected: Vec<String> = Sections::in_force(&[], &all.policy)
            .into_iter()
            .map(|section| section.values)
            .collect();
        prop_assert_eq!(shown, expected);
    }
}
