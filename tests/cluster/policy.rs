//! Policies: what the API server refuses, and what a policy that it takes does.

use std::sync::Arc;

use bywash::api::policy::{GatewayPolicy, GatewayPolicySpec};
use bywash::api::rules::{self, Rule, upstream};
use http::StatusCode;
use k8s_openapi::api::networking::v1::IngressClass;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::objects::{ingress, object};
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![
    what_cannot_be_right_is_refused_with_our_sentence,
    what_is_right_is_taken_by_the_server_and_by_the_rules,
    a_policy_takes_effect_changes_and_goes,
    a_policy_that_nobody_has_looked_at_is_not_finished,
    a_policy_says_what_became_of_it_in_each_generation,
    a_policy_that_loses_to_an_older_one_says_so_until_that_is_gone,
    the_defaults_of_a_class_apply_and_say_for_whom,
    of_two_installations_the_one_that_leads_to_a_service_speaks_of_its_policy,
    a_definition_that_is_installed_later_is_noticed,
];

pub(crate) const HOST: &str = "shop.example";

pub(crate) fn policy(name: &str, spec: Value) -> GatewayPolicy {
    object(json!({"metadata": {"name": name}, "spec": spec}))
}

pub(crate) fn for_ingress(name: &str, mut sections: Value) -> Value {
    sections["targetRefs"] = json!([
        {"group": "networking.k8s.io", "kind": "Ingress", "name": name},
    ]);
    sections
}

pub(crate) fn for_service(name: &str, mut sections: Value) -> Value {
    sections["targetRefs"] = json!([{"group": "", "kind": "Service", "name": name}]);
    sections
}

/// The sentences of all rules that a spec breaks.
fn broken(spec: &GatewayPolicySpec) -> Vec<&'static str> {
    let mut broken: Vec<&str> = rules::broken(rules::SPEC, spec).collect();
    for target in spec.target_refs.iter().flatten() {
        broken.extend(rules::broken(rules::TARGET, target));
    }
    if let Some(timeouts) = &spec.timeouts {
        broken.extend(rules::broken(rules::TIMEOUTS, timeouts));
    }
    if let Some(retry) = &spec.retry {
        broken.extend(rules::broken(rules::RETRY, retry));
        broken.extend(
            retry
                .backoff
                .iter()
                .flat_map(|it| rules::broken(rules::BACKOFF, it)),
        );
    }
    broken.extend(broken_of_upstream(spec));
    for bypass in spec.bypass.iter().flatten() {
        broken.extend(rules::broken(rules::BYPASS, bypass));
    }
    if let Some(maintenance) = &spec.maintenance {
        broken.extend(rules::broken(rules::MAINTENANCE, maintenance));
    }
    broken
}

fn broken_of_upstream(spec: &GatewayPolicySpec) -> Vec<&'static str> {
    fn of<T>(rules: &'static [Rule<T>], part: Option<&T>) -> Vec<&'static str> {
        let broken = part.into_iter().flat_map(|it| rules::broken(rules, it));
        broken.collect()
    }
    let outliers = spec.outlier_detection.as_ref();
    let check = spec.health_check.as_ref();
    let balancing = spec.load_balancing.as_ref();
    let fallback = spec.fallback.as_ref().and_then(|it| it.service.as_ref());
    [
        of(
            upstream::FAILURE_PERCENT,
            outliers.and_then(|it| it.failure_percent.as_ref()),
        ),
        of(
            upstream::EJECTION,
            outliers.and_then(|it| it.ejection.as_ref()),
        ),
        of(upstream::HEALTH_CHECK, check),
        of(upstream::HTTP_PROBE, check.and_then(|it| it.http.as_ref())),
        of(upstream::CONNECTION_POOL, spec.connection_pool.as_ref()),
        of(upstream::LOAD_BALANCING, balancing),
        of(
            upstream::CONSISTENT_HASH,
            balancing.and_then(|it| it.consistent_hash.as_ref()),
        ),
        of(
            upstream::STICKY_COOKIE,
            balancing.and_then(|it| it.sticky_cookie.as_ref()),
        ),
        of(upstream::PORT, fallback.map(|it| &it.port)),
        of(upstream::UPSTREAM_TLS, spec.upstream_tls.as_ref()),
    ]
    .concat()
}

/// Each breaks exactly one rule.
fn wrong() -> Vec<Value> {
    vec![
        json!({"timeouts": {"request": "5s"}, "retry": {"perTryTimeout": "6s"}}),
        json!({"timeouts": {"connect": "1s"}, "retry": {"perTryTimeout": "61s"}}),
        json!({"targetRefs": [{"group": "", "kind": "Ingress", "name": "web"}]}),
        json!({"targetRefs": [{"group": "apps", "kind": "Deployment", "name": "web"}]}),
        json!({"targetRefs": [
            {"group": "", "kind": "Service", "name": "web", "sectionName": "shop.example"},
        ]}),
        json!({"timeouts": {"connect": "0s"}}),
        json!({"timeouts": {"send": "0ms"}}),
        json!({"timeouts": {"read": "0s"}}),
        json!({"timeouts": {"request": "0h0m"}}),
        json!({"timeouts": {"tunnel": "0s"}}),
        json!({"retry": {"perTryTimeout": "0s"}}),
        json!({"retry": {"within": "0s"}}),
        json!({"retry": {"bufferBytes": "2Mi"}}),
        json!({"retry": {"bufferBytes": 1_048_577}}),
        json!({"retry": {"bufferBytes": -1}}),
        json!({"retry": {"backoff": {"base": "1s"}}}),
        json!({"retry": {"backoff": {"base": "20ms", "max": "10ms"}}}),
        json!({"outlierDetection": {"failurePercent": {"window": "500ms"}}}),
        json!({"outlierDetection": {"failurePercent": {"window": "11s"}}}),
        json!({"outlierDetection": {"failurePercent": {"window": "1500ms"}}}),
        json!({"outlierDetection": {"ejection": {"base": "0s"}}}),
        json!({"outlierDetection": {"ejection": {"base": "301s"}}}),
        json!({"outlierDetection": {"ejection": {"max": "4s"}}}),
        json!({"healthCheck": {"tcp": {}, "grpc": {}}}),
        json!({"healthCheck": {"interval": "5s"}}),
        json!({"healthCheck": {"tcp": {}, "interval": "500ms", "timeout": "500ms"}}),
        json!({"healthCheck": {"tcp": {}, "timeout": "6s"}}),
        json!({"healthCheck": {"tcp": {}, "timeout": "0s"}}),
        json!({"healthCheck": {"http": {"path": "healthz"}}}),
        json!({"healthCheck": {"http": {"path": "/a b"}}}),
        json!({"healthCheck": {"http": {"host": "a/b"}}}),
        json!({"healthCheck": {"http": {"expectedStatuses": ["399-200"]}}}),
        json!({"connectionPool": {"idleTimeout": "0s"}}),
        json!({"loadBalancing": {"algorithm": "ConsistentHash"}}),
        json!({"loadBalancing": {"consistentHash": {"source": "ClientAddress"}}}),
        json!({"loadBalancing": {"algorithm": "RoundRobin",
            "consistentHash": {"source": "ClientAddress"}}}),
        json!({"loadBalancing": {"algorithm": "ConsistentHash",
            "consistentHash": {"source": "Header"}}}),
        json!({"loadBalancing": {"algorithm": "ConsistentHash",
            "consistentHash": {"source": "ClientAddress", "name": "x"}}}),
        json!({"loadBalancing": {"algorithm": "ConsistentHash",
            "consistentHash": {"source": "Cookie", "name": "a;b"}}}),
        json!({"loadBalancing": {"stickyCookie": {"name": "a b"}}}),
        json!({"loadBalancing": {"stickyCookie": {"maxAge": "999ms"}}}),
        json!({"fallback": {"service": {"name": "web", "port": {}}}}),
        json!({"fallback": {"service": {"name": "web", "port": {"name": "http", "number": 80}}}}),
        json!({"upstreamTls": {"serverName": "Cart.internal"}}),
        json!({"upstreamTls": {"serverName": "cart.internal."}}),
        json!({"upstreamTls": {"serverName": "cart..internal"}}),
        json!({"upstreamTls": {"serverName": "cart-.internal"}}),
        json!({"upstreamTls": {"serverName": format!("{}.internal", "a".repeat(64))}}),
        json!({"bypass": [{"path": "health"}]}),
        json!({"bypass": [{"path": "/health?deep"}]}),
        json!({"maintenance": {"retryAfter": "999ms"}}),
        json!({"maintenance": {"allow": ["192.0.2.7"]}}),
        json!({"maintenance": {"allow": ["192.0.2.0/24", "2001:db8::/129"]}}),
    ]
}

fn right() -> Vec<Value> {
    vec![
        json!({}),
        json!({"targetRefs": [
            {"group": "networking.k8s.io", "kind": "Ingress", "name": "web", "sectionName": "*"},
            {"group": "", "kind": "Service", "name": "web"},
        ]}),
        json!({"timeouts": {"connect": "500ms", "send": "1h30m", "read": "60s", "request": "10s",
            "tunnel": "1h"}}),
        json!({"retry": {"on": ["connect-failure", "reset", "refused-stream", "timeout",
            "invalid-response", "http-429", "http-599"], "attempts": 10, "perTryTimeout": "1h",
            "within": "1ms", "backoff": {"base": "250ms"}, "nonIdempotent": true,
            "bufferBytes": "1Mi"}}),
        json!({"retry": {"bufferBytes": 0, "perTryTimeout": "60s"}, "timeouts": {}}),
        json!({"retry": {"bufferBytes": "65536", "backoff": {"base": "0s", "max": "0s"}}}),
        json!({"retry": {"budget": {"percent": 0, "minPerSecond": 10_000}}}),
        json!({"outlierDetection": {"consecutiveFailures": 100,
            "failurePercent": {"threshold": 100, "minRequests": 1, "window": "10s"},
            "statuses": [429, 502], "ejection": {"base": "300s", "maxPercent": 0}}}),
        json!({"panicThreshold": 0, "slowStart": {"window": "0s"}, "healthCheck": {}}),
        json!({"healthCheck": {"http": {"path": "/live?deep=1", "host": "[fd00::7]:8080",
            "expectedStatuses": ["204", "200-399"]}, "interval": "1s", "timeout": "1s",
            "healthyThreshold": 1, "unhealthyThreshold": 10}}),
        json!({"healthCheck": {"grpc": {"service": "shop.Cart"}}}),
        json!({"circuitBreaker": {}}),
        json!({"circuitBreaker": {"maxConnections": 1, "maxPendingRequests": 0,
            "maxRequests": 1}}),
        json!({"connectionPool": {"maxIdlePerEndpoint": 0, "idleTimeout": "500ms",
            "maxRequestsPerConnection": 1_000}}),
        json!({"loadBalancing": {"algorithm": "ConsistentHash",
            "consistentHash": {"source": "Header", "name": "X-User"},
            "stickyCookie": {"name": "pin", "maxAge": "1h"}}}),
        json!({"loadBalancing": {"stickyCookie": {}}}),
        json!({"fallback": {}}),
        json!({"fallback": {"service": {"name": "web", "port": {"number": 80}}}}),
        json!({"upstreamTls": {}}),
        json!({"upstreamTls": {"serverName": format!("a.{}.1-b.c", "a".repeat(63))}}),
        json!({"upstreamTls": {"caConfigMap": {"name": "ca"}, "serverName": "cart.internal"}}),
        json!({"bypass": [{"path": "/"}, {"path": "/health"}]}),
        json!({"maintenance": {"enabled": true, "retryAfter": "1s",
            "allow": ["192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0"]}}),
        json!({"proxyStatus": "Full", "tlsRedirect": false}),
    ]
}

async fn what_cannot_be_right_is_refused_with_our_sentence() {
    let shop = Tenant::new().await;
    for spec in wrong() {
        let policy = policy("wrong", spec.clone());
        let api = shop.api::<GatewayPolicy>();
        let refused = api.create(&PostParams::default(), &policy).await;
        let refused = match refused {
            Ok(_) => panic!("the API server takes {spec}"),
            Err(error) => error.to_string(),
        };
        let broken = broken(&policy.spec);
        let [message] = broken[..] else {
            panic!("{spec} breaks {broken:?}");
        };
        assert!(refused.contains(message), "{spec}: {refused}");
    }
}

async fn what_is_right_is_taken_by_the_server_and_by_the_rules() {
    let shop = Tenant::new().await;
    for (number, spec) in right().into_iter().enumerate() {
        let policy = policy(&format!("right-{number}"), spec.clone());
        assert_eq!(broken(&policy.spec), Vec::<&str>::new(), "{spec}");
        let stored = shop.create(policy).await;
        let stored = serde_json::to_value(&stored.spec).unwrap();
        assert_eq!(stored, spec, "nothing is filled in");
    }
}

async fn a_policy_takes_effect_changes_and_goes() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    bywash.processed(&ingress).await;
    assert_eq!(bywash.status(HOST, "/").await, StatusCode::OK);

    let closed = json!({"maintenance": {"enabled": true, "retryAfter": "90s"}});
    let closed = shop.create(policy("p", for_ingress("shop", closed))).await;
    bywash.processed(&closed).await;
    let answer = bywash.get(HOST, "/").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers["retry-after"], "90");

    let open = json!({"spec": {"maintenance": {"enabled": false}}});
    let open = shop.patch(&closed, open).await;
    bywash.processed(&open).await;
    assert_eq!(bywash.status(HOST, "/").await, StatusCode::OK);

    let closed = json!({"spec": {"maintenance": {"enabled": true}}});
    let closed = shop.patch(&open, closed).await;
    bywash.processed(&closed).await;
    assert_eq!(
        bywash.status(HOST, "/").await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    shop.delete(&closed).await;
    bywash.processed_deletion(&closed).await;
    assert_eq!(bywash.status(HOST, "/").await, StatusCode::OK);
}

/// Waits until the policy has exactly these conditions, in the generation that is given.
pub(crate) async fn has_conditions(
    shop: &Tenant,
    given: &GatewayPolicy,
    wanted: &[&str],
) -> GatewayPolicy {
    let name = given.name_any();
    let what = format!("conditions {wanted:?} on the policy {name}");
    eventually(&what, SOON, async || {
        let now: GatewayPolicy = shop.api().get(&name).await.unwrap();
        let status = now.status.clone().unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let said: Vec<String> = conditions
            .iter()
            .map(|it| format!("{}={}/{}", it.type_, it.status, it.reason))
            .filter(|it| !it.starts_with("Stalled=False"))
            .collect();
        let current = status.observed_generation == given.metadata.generation;
        if current && said.iter().map(String::as_str).eq(wanted.iter().copied()) {
            Ok(now)
        } else {
            Err(format!("{:?}: {conditions:?}", status.observed_generation))
        }
    })
    .await
}

pub(crate) const IN_FORCE: [&str; 4] = [
    "Accepted=True/Accepted",
    "ResolvedRefs=True/ResolvedRefs",
    "Programmed=True/Programmed",
    "Ready=True/Ready",
];

async fn a_policy_that_nobody_has_looked_at_is_not_finished() {
    let shop = Tenant::new().await;
    let unseen = json!({"tlsRedirect": false});
    let unseen = shop.create(policy("p", for_ingress("shop", unseen))).await;
    let status = unseen.status.unwrap();
    assert_eq!(status.observed_generation, Some(-1));
    assert_eq!(status.conditions, None);
}

async fn a_policy_says_what_became_of_it_in_each_generation() {
    let shop = Tenant::new().await;
    shop.workload("web", 1).await;
    let bywash = shop.controller().await;
    let early = json!({"retry": {"attempts": 4}});
    let early = shop.create(policy("p", for_ingress("shop", early))).await;
    let missing = [
        "Accepted=False/TargetNotFound",
        "ResolvedRefs=False/TargetNotFound",
        "Programmed=False/TargetNotFound",
        "Ready=False/TargetNotFound",
    ];
    has_conditions(&shop, &early, &missing).await;

    let ingress = shop.ingress("shop", HOST, "web").await;
    bywash.processed(&ingress).await;
    let seen = has_conditions(&shop, &early, &IN_FORCE).await;
    let ancestors = seen.status.unwrap().ancestors.unwrap();
    let [ours] = &ancestors[..] else {
        panic!("{ancestors:?}");
    };
    assert_eq!(ours.controller_name, shop.controller_name());
    assert_eq!(ours.ancestor_ref.name, "shop");
    let sections = ours.sections.as_ref().unwrap();
    let retry = sections.iter().find(|it| it.name == "retry").unwrap();
    assert_eq!(retry.origin, format!("GatewayPolicy {}/p", shop.name));
    assert!(retry.values.contains("attempts=4"), "{retry:?}");
    let timeouts = sections.iter().find(|it| it.name == "timeouts").unwrap();
    assert_eq!(timeouts.origin, "built-in");

    let edited = json!({"spec": {"retry": {"attempts": 5}}});
    let edited = shop.patch(&early, edited).await;
    assert_ne!(edited.metadata.generation, early.metadata.generation);
    let seen = has_conditions(&shop, &edited, &IN_FORCE).await;
    // The status that comes back is no reason to write it again.
    let again = json!({"spec": {"retry": {"attempts": 6}}});
    let again = shop.patch(&seen, again).await;
    has_conditions(&shop, &again, &IN_FORCE).await;
}

async fn a_policy_that_loses_to_an_older_one_says_so_until_that_is_gone() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    bywash.processed(&ingress).await;
    // Of one age, which has whole seconds, the first by name wins.
    let open = json!({"maintenance": {"enabled": false}});
    let winner = shop.create(policy("a", for_ingress("shop", open))).await;
    let closed = json!({"maintenance": {"enabled": true}});
    let loser = shop.create(policy("b", for_ingress("shop", closed))).await;
    let lost = [
        "Accepted=False/Conflicted",
        "ResolvedRefs=True/ResolvedRefs",
        "Programmed=False/Conflicted",
        "Ready=False/Conflicted",
        "Stalled=True/Conflicted",
    ];
    let told = has_conditions(&shop, &loser, &lost).await;
    let message = &told.status.unwrap().conditions.unwrap()[0].message;
    let name = format!("GatewayPolicy {}/a", shop.name);
    assert!(message.contains(&name), "{message}");
    has_conditions(&shop, &winner, &IN_FORCE).await;
    shop.event(&loser, "has the same target").await;
    assert_eq!(bywash.status(HOST, "/").await, StatusCode::OK);

    shop.delete(&winner).await;
    has_conditions(&shop, &loser, &IN_FORCE).await;
    assert_eq!(
        bywash.status(HOST, "/").await,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

async fn the_defaults_of_a_class_apply_and_say_for_whom() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    let defaults = json!({"maintenance": {"enabled": true}});
    let defaults = shop.create(policy("defaults", defaults)).await;
    let bywash = shop.controller().await;
    bywash.processed(&defaults).await;
    assert_eq!(bywash.status(HOST, "/").await, StatusCode::OK);
    let nobody = [
        "Accepted=False/NoTarget",
        "ResolvedRefs=True/ResolvedRefs",
        "Programmed=False/NoTarget",
        "Ready=False/NoTarget",
        "Stalled=True/NoTarget",
    ];
    has_conditions(&shop, &defaults, &nobody).await;

    let parameters = json!({"spec": {"parameters": {"apiGroup": "bywash.dev",
        "kind": "GatewayPolicy", "scope": "Namespace", "namespace": shop.name,
        "name": "defaults"}}});
    let classes = Api::<IngressClass>::all(shop.client.clone());
    let class = classes
        .patch(
            &shop.name,
            &PatchParams::default(),
            &Patch::Merge(&parameters),
        )
        .await
        .unwrap();
    bywash.processed(&class).await;
    assert_eq!(
        bywash.status(HOST, "/").await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let told = has_conditions(&shop, &defaults, &IN_FORCE).await;
    let ancestors = told.status.unwrap().ancestors.unwrap();
    assert_eq!(ancestors[0].ancestor_ref.kind, "IngressClass");
    assert_eq!(ancestors[0].ancestor_ref.name, shop.name);
}

async fn of_two_installations_the_one_that_leads_to_a_service_speaks_of_its_policy() {
    let (shop, other) = (Tenant::new().await, Tenant::new().await);
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let (_ours, theirs) = (shop.controller().await, other.controller().await);
    let for_service = json!({"maintenance": {"enabled": true}, "targetRefs": [
        {"group": "", "kind": "Service", "name": "web"},
    ]});
    let for_service = shop.create(policy("p", for_service)).await;
    let nobody = [
        "Accepted=False/TargetNotFound",
        "ResolvedRefs=False/TargetNotFound",
        "Programmed=False/TargetNotFound",
        "Ready=False/TargetNotFound",
    ];
    has_conditions(&shop, &for_service, &nobody).await;

    let led = shop.create(ingress(&other.name, "web", HOST, "web")).await;
    theirs.processed(&led).await;
    assert_eq!(
        theirs.status(HOST, "/").await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let told = has_conditions(&shop, &for_service, &IN_FORCE).await;
    let ancestors = told.status.unwrap().ancestors.unwrap();
    let speakers: Vec<&str> = ancestors.iter().map(|it| &*it.controller_name).collect();
    assert_eq!(speakers, [other.controller_name()]);
}

/// A definition concerns every controller of the cluster, hence a control plane of its own.
async fn a_definition_that_is_installed_later_is_noticed() {
    let own = ControlPlane::own_without_definition("late-definition").await;
    let shop = Tenant::of(Arc::clone(&own.plane)).await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    bywash.processed(&ingress).await;
    assert_eq!(bywash.status(HOST, "/").await, StatusCode::OK);
    let log = bywash.log();
    assert!(log.contains("has no gatewaypolicies.bywash.dev"), "{log}");

    own.plane.install_definition().await;
    let closed = json!({"maintenance": {"enabled": true}});
    let closed = shop.create(policy("p", for_ingress("shop", closed))).await;
    bywash.processed(&closed).await;
    assert_eq!(
        bywash.status(HOST, "/").await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    has_conditions(&shop, &closed, &IN_FORCE).await;
}
