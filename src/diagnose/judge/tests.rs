use super::*;
use crate::api::status::{Condition, GatewayPolicyStatus};
use crate::report::facts::Sample;
use crate::report::policy::TargetReport;
use crate::report::traffic::{
    FailureReport, LatencyReport, OverloadReport, ReplicaReport, RouteKey, RouteReport,
    UpstreamReport,
};

mod bodies;
mod latency;
mod limits;
mod waiting;

const START: u64 = 1_763_998_923;

/// A replica whose only Ingress is `shop/web`, with a policy.
struct Shop {
    judge: Judge,
    now: u64,
    facts: Known,
    /// How old these are, in seconds.
    age: u64,
    ready: u32,
    /// Whether failures are those of connections that had served before.
    reused: bool,
    /// The bytes that were sent of a request that failed.
    sent: u64,
    /// The upstreams that the policy limits, and what another replica says of such.
    limited: Vec<UpstreamId>,
    overloads: Vec<OverloadReport>,
    latencies: Vec<LatencyReport>,
    /// How often there was something new to say.
    changes: usize,
}

impl Shop {
    fn new() -> Self {
        Self::with(seed::Seeds::default())
    }

    fn with(seeds: seed::Seeds) -> Self {
        let service = ("shop".to_owned(), "cart".to_owned());
        Self {
            judge: Judge::new(seeds),
            now: START,
            facts: Known::from([(service, (START, Facts::default()))]),
            age: 0,
            ready: 2,
            reused: false,
            sent: 0,
            limited: Vec::new(),
            overloads: Vec::new(),
            latencies: Vec::new(),
            changes: 0,
        }
    }

    /// A second passes, with so many requests in each minute, of which some fail.
    fn second(&mut self, requests: u64, failures: &[(Cause, u64)]) {
        self.now += 1;
        let failed: u64 = failures.iter().map(|(_, count)| count).sum();
        let failure = |(cause, count): &(Cause, u64)| FailureReport {
            cause: cause.label().to_owned(),
            count: *count,
            recent: *count,
            since: self.now,
            last: self.now,
            samples: vec![Sample {
                endpoint: Some("10.244.1.7:8080".parse().unwrap()),
                pod: Some("cart-6d4f".to_owned()),
                reused: self.reused,
                sent: self.sent,
                ..Sample::default()
            }],
            request_id: Some("01J".into()),
            ..FailureReport::default()
        };
        let route = RouteReport {
            route: key(),
            requests,
            recent: requests,
            successes: requests - failed,
            last_request: self.now,
            failures: failures.iter().map(failure).collect(),
            ..RouteReport::default()
        };
        let report = ReplicaReport {
            routes: (requests > 0).then_some(route).into_iter().collect(),
            ..ReplicaReport::default()
        };
        let other = ReplicaReport {
            overloads: self.overloads.clone(),
            latencies: self.latencies.clone(),
            ..ReplicaReport::default()
        };
        let policy = PolicyReport {
            limited: self.limited.clone(),
            ..policy()
        };
        let own = [UpstreamReport {
            upstream: "shop/cart:80".into(),
            ready: self.ready,
            ..UpstreamReport::default()
        }];
        for (at, _) in self.facts.values_mut() {
            *at = self.now - self.age;
        }
        let keys = [key()];
        let scene = Scene {
            now: self.now,
            seen: &Merged::of([&report, &other], &own),
            routes: &Routes::of(&keys),
            policies: &[policy],
            idle_timeouts: &BTreeMap::from([("shop/cart:80".to_owned(), Duration::from_secs(4))]),
            facts: &self.facts,
        };
        self.changes += usize::from(self.judge.look(&scene));
    }

    fn seconds(&mut self, count: u64, requests: u64, failures: &[(Cause, u64)]) {
        (0..count).for_each(|_| self.second(requests, failures));
    }

    fn on_policy(&self, condition: &str) -> &Verdict {
        let said = &self.judge.said().policies[&policy().object];
        let mut verdicts = said.verdicts.iter();
        verdicts.find(|it| it.condition == condition).unwrap()
    }

    fn on_ingress(&self) -> Option<&Said> {
        self.judge.said().ingresses.get(&web())
    }

    fn bad_gateway(&self) -> (Option<bool>, &'static str) {
        let verdict = self.on_policy("BadGateway");
        (verdict.status, verdict.reason)
    }
}

fn key() -> RouteKey {
    RouteKey {
        namespace: "shop".into(),
        ingress: "web".into(),
        upstream: "shop/cart:80".into(),
        host: "*".into(),
    }
}

fn web() -> ObjectRef {
    ingress(("shop", "web"))
}

fn policy() -> PolicyReport {
    PolicyReport {
        object: ObjectRef {
            kind: Kind::GatewayPolicy,
            namespace: "shop".into(),
            name: "p".into(),
        },
        generation: 1,
        defects: Vec::new(),
        unresolved: Vec::new(),
        targets: vec![TargetReport {
            target: PolicyTarget {
                object: web(),
                section_name: None,
            },
            rejection: None,
            sections: Vec::new(),
        }],
        foreign: Vec::new(),
        limited: Vec::new(),
    }
}

const REFUSED: &[(Cause, u64)] = &[(Cause::ConnectionRefused, 47)];

#[test]
fn a_policy_says_what_fails_where_since_when_and_which_request_to_look_for() {
    let mut shop = Shop::new();
    shop.second(1203, &[]);
    assert_eq!(shop.bad_gateway(), (Some(false), "NoFailures"));
    shop.second(1203, REFUSED);
    assert_eq!(shop.bad_gateway(), (Some(true), "ConnectionRefused"));
    let message = &shop.on_policy("BadGateway").message;
    let begin = "47 of 1203 requests in the last minute were answered 502: the connection was refused, \
         at cart-6d4f (10.244.1.7:8080), since 15:42:05. ";
    assert!(message.starts_with(begin), "{message}");
    assert!(
        message.ends_with(" Request id of a sample: 01J"),
        "{message}"
    );
    let target = (policy().object, policy().targets[0].target.clone());
    assert_eq!(
        worst(&shop.judge.said().targets[&target]),
        Some(Trouble::BadGateway)
    );
    assert_eq!(worst(shop.on_ingress().unwrap()), Some(Trouble::BadGateway));
    assert_eq!(shop.on_policy("GatewayTimeout").status, Some(false));
}

#[test]
fn a_keep_alive_race_is_told_with_the_time_that_connections_may_idle() {
    let mut shop = Shop::new();
    shop.reused = true;
    shop.second(100, &[]);
    shop.second(100, &[(Cause::ConnectionClosed, 50)]);
    let message = &shop.on_policy("BadGateway").message;
    assert!(
        message.contains("connectionPool.idleTimeout (4s)"),
        "{message}"
    );
}

#[test]
fn an_ingress_that_has_no_trouble_is_not_spoken_of() {
    let mut shop = Shop::new();
    shop.seconds(3, 100, &[]);
    assert_eq!(shop.on_ingress(), None);
}

#[test]
fn while_a_state_lasts_words_are_put_anew_every_five_minutes_on_a_policy_and_never_on_an_ingress() {
    let mut shop = Shop::new();
    shop.second(100, REFUSED);
    let ingress = shop.on_ingress().cloned();
    let begun = shop.changes;
    shop.seconds(REFRESH - 1, 90, REFUSED);
    assert_eq!(shop.changes, begun);
    shop.second(90, REFUSED);
    assert_eq!(shop.changes, begun + 1);
    assert!(shop.on_policy("BadGateway").message.starts_with("47 of 90"));
    assert_eq!(shop.on_ingress().cloned(), ingress);
}

#[test]
fn trouble_that_is_over_is_told_once_with_the_time_it_lasted() {
    let mut shop = Shop::new();
    shop.seconds(40, 100, REFUSED);
    shop.second(100, &[]);
    assert_eq!(shop.bad_gateway(), (Some(false), "NoFailures"));
    let recovered = shop.on_ingress().unwrap().recovered.clone().unwrap();
    assert!(recovered.contains("it lasted 40 s"), "{recovered}");
    assert_eq!(shop.on_policy("BadGateway").message, recovered);
    shop.seconds(600, 100, &[]);
    assert_eq!(shop.on_ingress(), None);
}

#[test]
fn without_requests_what_was_said_stays_with_the_time_of_the_last_one() {
    let mut shop = Shop::new();
    shop.seconds(3, 100, REFUSED);
    shop.seconds(REFRESH, 0, &[]);
    assert_eq!(shop.bad_gateway(), (Some(true), "ConnectionRefused"));
    let message = &shop.on_policy("BadGateway").message;
    let still = "No request has come since 2025-11-24T15:42:06Z.";
    assert!(
        message.starts_with("47 of 100") && message.ends_with(still),
        "{message}"
    );
    shop.seconds(REFRESH, 0, &[]);
    let again = &shop.on_policy("BadGateway").message;
    assert_eq!(again.matches(still).count(), 1, "{again}");
    shop.seconds(300, 0, &[]);
    assert_eq!(shop.bad_gateway(), (None, "NoTraffic"));
}

#[test]
fn an_object_changes_once_in_five_seconds_whatever_happens() {
    let mut shop = Shop::new();
    shop.second(100, &[]);
    shop.second(100, REFUSED);
    shop.second(100, &[(Cause::ConnectionReset, 50)]);
    assert_eq!(shop.bad_gateway().1, "ConnectionRefused");
    shop.seconds(4, 100, &[(Cause::ConnectionReset, 50)]);
    assert_eq!(shop.bad_gateway().1, "ConnectionReset");
}

#[test]
fn an_object_that_alternates_keeps_its_reason_and_says_so() {
    let mut shop = Shop::new();
    let causes = [Cause::ConnectionRefused, Cause::ConnectionReset];
    for turn in 0..20 {
        shop.seconds(10, 100, &[(causes[turn % 2], 50)]);
    }
    let (status, reason) = shop.bad_gateway();
    let message = &shop.on_policy("BadGateway").message;
    assert_eq!(status, Some(true));
    assert!(message.contains("It comes and goes"), "{message}");
    let said = shop.changes;
    shop.seconds(60, 100, &[(Cause::NotHttp, 50)]);
    assert_eq!((shop.changes, shop.bad_gateway().1), (said, reason));
}

#[test]
fn upstreams_are_healthy_while_each_has_an_endpoint_that_takes_requests() {
    let mut shop = Shop::new();
    shop.second(100, &[]);
    assert_eq!(shop.on_policy("UpstreamsHealthy").status, Some(true));
    shop.ready = 0;
    shop.second(100, &[]);
    let verdict = shop.on_policy("UpstreamsHealthy");
    assert_eq!(
        (verdict.status, verdict.reason),
        (Some(false), "NoUsableEndpoint")
    );
    assert_eq!(verdict.message, "no usable endpoint: shop/cart:80");
}

#[test]
fn an_ingress_changes_by_its_requests_alone_and_not_by_what_only_policies_say_of_upstreams() {
    let mut shop = Shop::new();
    shop.second(100, REFUSED);
    let said = shop.on_ingress().cloned();
    for ready in [0, 2, 0, 2] {
        shop.ready = ready;
        shop.seconds(10, 100, REFUSED);
        assert_eq!(shop.on_ingress().cloned(), said);
    }
    assert_eq!(shop.on_policy("UpstreamsHealthy").status, Some(true));
}

#[test]
fn counts_of_endpoints_are_put_anew_when_they_changed_and_not_more_often_than_every_two_minutes() {
    let mut shop = Shop::new();
    let ready = |shop: &Shop| {
        let target = (policy().object, policy().targets[0].target.clone());
        shop.judge.said().targets[&target].upstreams[0]
            .endpoints
            .ready
    };
    shop.seconds(RECOUNT, 100, &[]);
    let before = shop.changes;
    shop.ready = 1;
    shop.second(100, &[]);
    assert_eq!((ready(&shop), shop.changes - before), (1, 1));
    shop.ready = 2;
    shop.seconds(RECOUNT - 1, 100, &[]);
    assert_eq!((ready(&shop), shop.changes - before), (1, 1));
    shop.seconds(RECOUNT, 100, &[]);
    assert_eq!((ready(&shop), shop.changes - before), (2, 2));
}

/// A condition that is True on the policy, from before anybody here looked.
fn what_stands(condition: &str, reason: &str, message: &str) -> seed::Seeds {
    let stands = Condition {
        type_: condition.into(),
        status: "True".into(),
        reason: reason.into(),
        message: message.into(),
        last_transition_time: "2025-11-24T15:40:00Z".into(),
        observed_generation: Some(1),
    };
    let status = GatewayPolicyStatus {
        conditions: Some(vec![stands]),
        ..GatewayPolicyStatus::default()
    };
    let mut seeds = seed::Seeds::default();
    seeds.policy(&policy().object, &status, "ours");
    seeds
}

#[test]
fn a_new_leader_says_what_stands_until_it_has_seen_otherwise() {
    let mut seeds = what_stands("BadGateway", "ConnectionRefused", "47 of 100 …");
    seeds.ingress(&web(), "bywash.dev/BadGateway");
    let mut shop = Shop::with(seeds);
    shop.seconds(3, 100, &[]);
    assert_eq!(shop.bad_gateway(), (Some(true), "ConnectionRefused"));
    assert_eq!(worst(shop.on_ingress().unwrap()), Some(Trouble::BadGateway));
    shop.seconds(30, 100, &[]);
    assert_eq!(shop.bad_gateway().0, Some(false));
    assert_eq!(worst(shop.on_ingress().unwrap()), None);
    let message = &shop.on_policy("BadGateway").message;
    assert!(message.contains("it lasted 2 min 29 s"), "{message}");
}
