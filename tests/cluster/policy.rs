//! Policies: what the API server refuses, and what a policy that it takes does.

use bywash::api::policy::{GatewayPolicy, GatewayPolicySpec};
use bywash::api::rules;
use http::StatusCode;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::objects::object;
use crate::tenant::Tenant;

trials![
    what_cannot_be_right_is_refused_with_our_sentence,
    what_is_right_is_taken_by_the_server_and_by_the_rules,
    a_policy_takes_effect_changes_and_goes,
];

const HOST: &str = "shop.example";

fn policy(name: &str, spec: Value) -> GatewayPolicy {
    object(json!({"metadata": {"name": name}, "spec": spec}))
}

fn for_ingress(name: &str, mut sections: Value) -> Value {
    sections["targetRefs"] = json!([
        {"group": "networking.k8s.io", "kind": "Ingress", "name": name},
    ]);
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
    for bypass in spec.bypass.iter().flatten() {
        broken.extend(rules::broken(rules::BYPASS, bypass));
    }
    if let Some(maintenance) = &spec.maintenance {
        broken.extend(rules::broken(rules::MAINTENANCE, maintenance));
    }
    broken
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
