//! Values that cannot be meant are refused, with what to write instead.

use serde_json::{Value, json};

use crate::helm::{chart, refused, rendered};

/// `a.b.c` with this value at its end.
fn at(path: &str, value: Value) -> Value {
    path.rsplit('.')
        .fold(value, |value, key| json!({key: value}))
}

/// The values of ingress-nginx without a counterpart, with what the chart says instead.
pub(crate) fn replacements() -> Vec<(String, String)> {
    let template = std::fs::read_to_string(chart("bywash").join("templates/_refuse.tpl")).unwrap();
    let (_, list) = template
        .split_once("\"bywash.replacements\" -}}\n")
        .unwrap();
    let (list, _) = list.split_once("{{- end").unwrap();
    let row = |line: &str| {
        let (path, instead) = line.split_once(": ").unwrap();
        (path.to_owned(), instead.to_owned())
    };
    list.lines().map(row).collect()
}

#[test]
fn each_value_without_a_counterpart_reaches_a_sentence_that_says_what_to_write() {
    let replacements = replacements();
    assert!(replacements.len() > 50, "only {}", replacements.len());
    for (path, instead) in replacements {
        let value = match path.rsplit('.').next() {
            Some("httpGet" | "exec") => json!({"path": "/healthz"}),
            _ => json!("said"),
        };
        let said = refused(&at(&path, value));
        assert!(
            said.contains(&format!("{path}: {instead}")),
            "{path}: {said}"
        );
    }
}

#[test]
fn what_is_switched_off_or_empty_says_nothing() {
    rendered(&json!({
        "tcp": {}, "udp": {}, "dhParam": "", "defaultBackend": {"enabled": false, "port": 8080},
        "controller": {
            "config": {}, "admissionWebhooks": {"enabled": false, "port": 8443},
            "tcp": {"configMapNamespace": "", "annotations": {}},
            "opentelemetry": {"enabled": false}, "keda": {"enabled": false, "minReplicas": 1},
        },
    }));
}

/// "No" is a setting too, and the usual way to write a flag without a value is an empty one.
#[test]
fn a_map_of_settings_or_a_flag_says_something_whatever_its_value_is() {
    for (path, value) in [
        ("controller.config", json!({"ssl-redirect": false})),
        ("controller.config", json!({"proxy-body-size": 0})),
        ("controller.configAnnotations", json!({"a": ""})),
        ("controller.addHeaders", json!({"a": ""})),
        ("controller.proxySetHeaders", json!({"a": ""})),
        ("tcp", json!({"22": ""})),
        ("udp", json!({"53": ""})),
        ("controller.extraArgs.enable-ssl-passthrough", json!("")),
        (
            "controller.extraArgs.watch-ingress-without-class",
            json!(""),
        ),
        ("controller.extraArgs.enable-ssl-passthrough", json!(false)),
        ("controller.extraArgs.publish-node-addresses", Value::Null),
    ] {
        let said = refused(&at(path, value));
        assert!(said.contains(&format!("  {path}: ")), "{path}: {said}");
    }
}

/// Helm takes out of the values what is null.
#[test]
fn a_section_without_anything_in_it_is_named() {
    for (path, sentence) in [
        ("controller", "missing property 'controller'"),
        ("rbac", "missing property 'rbac'"),
        (
            "controller.metrics",
            "'/controller': missing property 'metrics'",
        ),
        ("controller.kind", "'/controller': missing property 'kind'"),
        (
            "controller.service.internal",
            "'/controller/service': missing property 'internal'",
        ),
    ] {
        let said = refused(&at(path, Value::Null));
        assert!(said.contains(sentence), "{path}: {said}");
    }
}

#[test]
fn unknown_and_wrong_values_are_refused_by_name() {
    for (path, value, sentence) in [
        (
            "controller.replicas",
            json!(2),
            "'/controller': additional properties 'replicas' not allowed",
        ),
        (
            "service",
            json!({}),
            "additional properties 'service' not allowed",
        ),
        (
            "controller.kind",
            json!("Both"),
            "'/controller/kind': value must be one of 'Deployment', 'DaemonSet'",
        ),
        (
            "controller.replicaCount",
            json!("2"),
            "'/controller/replicaCount': got string, want",
        ),
        (
            "controller.image.digest",
            json!("sha256:1"),
            "'/controller/image/digest': 'sha256:1' does not match",
        ),
        (
            "controller.service.type",
            json!("Loadbalancer"),
            "'/controller/service/type': value must be one of",
        ),
        (
            "controller.service.ports.http",
            json!(70000),
            "'/controller/service/ports/http': maximum",
        ),
        (
            "controller.podLabels.a",
            json!(1),
            "'/controller/podLabels/a': got number, want",
        ),
        (
            "rbac.secretAccess",
            json!("none"),
            "'/rbac/secretAccess': value must be one of 'cluster', 'namespaces'",
        ),
        (
            "controller.extraArgs.log-level",
            json!(["a"]),
            "'/controller/extraArgs/log-level': got array, want",
        ),
        (
            "controller.extraArgs.v",
            json!(2),
            "'/controller/extraArgs': additional properties 'v' not allowed",
        ),
        (
            "controller.extraArgs.allow-external-name",
            json!("yes"),
            "'/controller/extraArgs/allow-external-name': value must be one of true",
        ),
        (
            "controller.extraArgs.trusted-proxies",
            json!(""),
            "'/controller/extraArgs/trusted-proxies': minLength",
        ),
    ] {
        let said = refused(&at(path, value));
        assert!(said.contains(sentence), "{path}: {said}");
    }
}

#[test]
fn values_that_exclude_each_other_are_told() {
    let scope = json!({"enabled": true});
    for (values, sentence) in [
        (
            json!({"controller": {"containerPort": {"http": 80}}}),
            "controller.containerPort.http: choose 1024 or more",
        ),
        (
            json!({"controller": {"hostNetwork": true, "hostPort": {"enabled": true, "ports": {"https": 8443}}}}),
            "controller.hostPort.ports.http: write 8080, as controller.containerPort.http, or leave controller.hostNetwork out",
        ),
        (
            json!({"controller": {"readinessProbe": null}}),
            "controller.readinessProbe: keep it",
        ),
        (
            json!({"controller": {"terminationGracePeriodSeconds": 10}}),
            "choose more than 10,",
        ),
        (
            json!({"controller": {"kind": "DaemonSet", "autoscaling": {"enabled": true}}}),
            "controller.autoscaling.enabled: only a Deployment can be scaled",
        ),
        (
            json!({"rbac": {"scope": true}}),
            "rbac.scope: write controller.scope.enabled",
        ),
        (
            json!({"controller": {"scope": scope}, "rbac": {"secretAccess": "namespaces", "secretNamespaces": ["a"]}}),
            "rbac.secretAccess: leave it out",
        ),
        (
            json!({"rbac": {"secretAccess": "namespaces"}}),
            "rbac.secretNamespaces: name the namespaces",
        ),
        (
            json!({"rbac": {"secretNamespaces": ["a"]}}),
            "rbac.secretAccess: write namespaces",
        ),
        (
            json!({"controller": {"metrics": {"serviceMonitor": {"enabled": true}}}}),
            "controller.metrics.serviceMonitor.enabled: write controller.metrics.enabled too",
        ),
        (
            json!({"controller": {"ingressClassResource": {"parameters": {"namespace": "a"}}}}),
            "controller.ingressClassResource.parameters.name: name the GatewayPolicy",
        ),
        (
            json!({"controller": {"scope": scope, "ingressClassResource": {"parameters": {"name": "a", "namespace": "b"}}}}),
            "parameters.namespace: leave it out; with controller.scope.enabled it is edge",
        ),
        (
            json!({"controller": {"publishService": {"pathOverride": "a"}}}),
            "controller.publishService.pathOverride: write NAMESPACE/NAME",
        ),
    ] {
        let said = refused(&values);
        assert!(said.contains(sentence), "{values}: {said}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let said = refused(&json!({"tcp": {"22": "a/b:22"}, "controller": {"config": {"a": "b"}}}));
    assert!(
        said.contains("  tcp: ") && said.contains("  controller.config: "),
        "{said}"
    );
}
