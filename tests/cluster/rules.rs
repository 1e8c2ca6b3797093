//! Rules about policies: the API server and the functions decide alike.

use bywash::api::policy::{GatewayPolicy, GatewayPolicySpec};
use bywash::api::rules::{self, Rule, answers, upstream};
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::policy::policy;
use crate::tenant::Tenant;

trials![
    what_cannot_be_right_is_refused_with_our_sentence,
    what_is_right_is_taken_by_the_server_and_by_the_rules,
];

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
    for page in spec.error_pages.iter().flatten() {
        broken.extend(rules::broken(answers::ERROR_PAGE, page));
    }
    let validation = spec.response_validation.as_ref();
    if let Some(json) = validation.and_then(|it| it.json.as_ref()) {
        broken.extend(rules::broken(answers::JSON_VALIDATION, json));
    }
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
        json!({"healthCheck": {"http": {"expectedStatuses": []}}}),
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
        json!({"errorPages": [{"statuses": ["504-502"]}]}),
        json!({"responseValidation": {"json": {"maxBytes": 0}}}),
        json!({"responseValidation": {"json": {"maxBytes": "0"}}}),
        json!({"responseValidation": {"json": {"maxBytes": "17Mi"}}}),
        json!({"responseValidation": {"json": {"maxBytes": 16_777_217}}}),
        json!({"bypass": [{"path": "health"}]}),
        json!({"bypass": [{"path": "/health?deep"}]}),
        json!({"maintenance": {"retryAfter": "999ms"}}),
        json!({"maintenance": {"allow": ["192.0.2.7"]}}),
        json!({"maintenance": {"allow": ["192.0.2.0/24", "2001:db8::/129"]}}),
    ]
}

fn right() -> Vec<Value> {
    vec![
        json!({"errorPages": [{}, {"statuses": ["404", "502-504", "599-599"], "source": "All"}]}),
        json!({"responseValidation": {}}),
        json!({"responseValidation": {"json": {}}}),
        json!({"responseValidation": {"json": {"maxBytes": 1}}}),
        json!({"responseValidation": {"json": {"maxBytes": "16Mi"}}}),
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
