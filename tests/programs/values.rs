//! Values of the chart that differ in what is rendered: linted and rendered by each Helm, and
//! offered to the API server.

use serde_json::{Value, json};

/// Each with a name.
pub(crate) fn matrix() -> Vec<(&'static str, Value)> {
    vec![
        ("nothing said", json!({})),
        ("a DaemonSet at the ports of its node", node_ports()),
        (
            "one namespace",
            json!({"controller": {"scope": {"enabled": true}}}),
        ),
        ("another namespace", another_namespace()),
        ("secrets of some namespaces", secrets_of_namespaces()),
        ("everything that is optional", everything_optional()),
        (
            "monitored by Pods",
            json!({"controller": {"metrics": {"podMonitor": {"enabled": true}}}}),
        ),
        ("scaled by load", scaled_by_load()),
        ("a service of every kind", services()),
        ("an image by its digest", image()),
        (
            "without rights and account",
            json!({
                "rbac": {"create": false}, "serviceAccount": {"create": false, "name": "mine"},
            }),
        ),
        (
            "no replicas said",
            json!({"controller": {"replicaCount": null}}),
        ),
    ]
}

/// As on machines without a load balancer.
fn node_ports() -> Value {
    json!({"controller": {
        "kind": "DaemonSet", "hostPort": {"enabled": true},
        "service": {"enabled": false}, "updateStrategy": {"rollingUpdate": {"maxUnavailable": 1}},
    }})
}

fn another_namespace() -> Value {
    json!({"controller": {
        "scope": {"enabled": true, "namespace": "shop"},
        "ingressClassResource": {"default": true, "parameters": {"name": "defaults"}},
    }})
}

fn secrets_of_namespaces() -> Value {
    json!({"rbac": {"secretAccess": "namespaces", "secretNamespaces": ["shop", "blog"]}})
}

fn everything_optional() -> Value {
    json!({
        "commonLabels": {"team": "platform"},
        "imagePullSecrets": [{"name": "pull"}],
        "controller": {
            "labels": {"a": "b"}, "annotations": {"a": "b"},
            "podLabels": {"a": "b"}, "podAnnotations": {"a": "b"},
            "priorityClassName": "system-cluster-critical",
            "progressDeadlineSeconds": 120,
            "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
            "terminationGracePeriodSeconds": 60,
            "startupProbe": {"failureThreshold": 30},
            "extraArgs": {"access-log": "clf", "allow-external-name": ""},
            "extraEnvs": [{"name": "OTEL_SERVICE_NAME", "value": "edge"}],
            "extraVolumes": [{"name": "scratch", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
            "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["a.example"]}],
            "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
            "tolerations": [{"key": "edge", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "networkPolicy": {"enabled": true, "metricsFrom": [{"namespaceSelector": {}}]},
            "ingressClassResource": {
                "default": true, "annotations": {"a": "b"},
                "parameters": {"name": "defaults", "namespace": "platform"},
            },
            "metrics": {
                "enabled": true,
                "serviceMonitor": {"enabled": true, "additionalLabels": {"release": "prometheus"}},
                "prometheusRule": {"enabled": true, "rules": [{"alert": "Mine", "expr": "vector(1)"}]},
                "dashboard": {"enabled": true},
            },
        },
    })
}

fn scaled_by_load() -> Value {
    json!({"controller": {"autoscaling": {
        "enabled": true, "minReplicas": 3, "targetMemoryUtilizationPercentage": 80,
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
    }}})
}

fn services() -> Value {
    json!({"controller": {"service": {
        "type": "NodePort", "externalTrafficPolicy": "Local",
        "nodePorts": {"http": 30080, "https": ""}, "ipFamilyPolicy": "SingleStack",
        "internal": {
            "enabled": true, "type": "LoadBalancer", "annotations": {"cloud": "internal"},
            "loadBalancerSourceRanges": ["10.0.0.0/8"], "loadBalancerClass": "example.com/internal",
            "allocateLoadBalancerNodePorts": false, "ports": {"http": 8080},
        },
    }}})
}

fn image() -> Value {
    json!({
        "global": {"imageRegistry": "mirror.example:5000/"},
        "controller": {"image": {"tag": "1.2.3", "digest": format!("sha256:{}", "ab".repeat(32))}},
    })
}
