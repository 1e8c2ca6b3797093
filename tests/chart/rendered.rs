//! What is rendered, clause by clause.

use serde_json::{Value, json};

use crate::helm::{all, container, flags, has_flag, only, rendered};

fn pod(objects: &[Value], kind: &str) -> Value {
    only(objects, kind)["spec"]["template"]["spec"].clone()
}

#[test]
fn a_daemon_set_takes_the_ports_of_its_nodes() {
    let objects = rendered(&json!({"controller": {
        "kind": "DaemonSet", "hostPort": {"enabled": true, "ports": {"https": 8443}},
        "service": {"enabled": false},
    }}));
    assert!(all(&objects, "Deployment").is_empty() && all(&objects, "Service").is_empty());
    let ports = &container(&objects)["ports"];
    assert_eq!(
        (&ports[0]["containerPort"], &ports[0]["hostPort"]),
        (&json!(8080), &json!(80))
    );
    assert_eq!(
        (&ports[1]["containerPort"], &ports[1]["hostPort"]),
        (&json!(8443), &json!(8443))
    );
    assert!(has_flag(&objects, "--publish-node-addresses"));
}

#[test]
fn in_the_network_of_its_node_a_pod_has_the_ports_of_the_node() {
    let objects = rendered(&json!({"controller": {"hostNetwork": true, "hostPort": {
        "enabled": true, "ports": {"http": 8080, "https": 8443},
    }}}));
    assert_eq!(pod(&objects, "Deployment")["hostNetwork"], true);
    for port in &container(&objects)["ports"].as_array().unwrap()[..2] {
        assert_eq!(port["hostPort"], port["containerPort"], "{port}");
    }
}

#[test]
fn a_liveness_probe_that_is_null_is_none() {
    let objects = rendered(&json!({"controller": {"livenessProbe": null}}));
    let container = container(&objects);
    assert_eq!(container.get("livenessProbe"), None);
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
}

#[test]
fn where_load_decides_no_replicas_are_rendered() {
    let objects = rendered(&json!({"controller": {"autoscaling": {"enabled": true}}}));
    assert_eq!(only(&objects, "Deployment")["spec"].get("replicas"), None);
    let scaler = &only(&objects, "HorizontalPodAutoscaler")["spec"];
    assert_eq!(scaler["scaleTargetRef"]["name"], "bywash");
    assert_eq!(
        (&scaler["minReplicas"], &scaler["maxReplicas"]),
        (&json!(2), &json!(11))
    );
    let utilization = &scaler["metrics"][0]["resource"]["target"]["averageUtilization"];
    assert_eq!(utilization, 50);

    let outside = rendered(&json!({"controller": {"replicaCount": null}}));
    assert_eq!(only(&outside, "Deployment")["spec"].get("replicas"), None);
    assert!(all(&outside, "HorizontalPodAutoscaler").is_empty());
}

#[test]
fn the_service_maps_80_and_443_to_the_ports_of_the_pod_and_is_published() {
    let objects = rendered(&json!({}));
    let service = &only(&objects, "Service")["spec"];
    assert_eq!(service["type"], "LoadBalancer");
    let port = |number: usize| {
        let port = &service["ports"][number];
        (port["port"].clone(), port["targetPort"].clone())
    };
    assert_eq!(port(0), (json!(80), json!("http")));
    assert_eq!(port(1), (json!(443), json!("https")));
    assert!(has_flag(&objects, "--publish-service=edge/bywash"));
    assert!(
        has_flag(&objects, "--http-address=:8080") && has_flag(&objects, "--https-address=:8443")
    );
}

#[test]
fn an_internal_service_stands_beside_the_other_or_alone() {
    let internal = |external: bool| {
        rendered(&json!({"controller": {"service": {
            "external": {"enabled": external}, "nodePorts": {"http": 30080},
            "internal": {"enabled": true, "annotations": {"cloud": "internal"}},
        }}}))
    };
    let both = internal(true);
    let names: Vec<_> = all(&both, "Service")
        .iter()
        .map(|it| &it["metadata"]["name"])
        .collect();
    assert_eq!(names, ["bywash", "bywash-internal"]);
    assert!(has_flag(&both, "--publish-service=edge/bywash"));

    let alone = internal(false);
    let service = only(&alone, "Service");
    assert_eq!(
        service["metadata"]["annotations"],
        json!({"cloud": "internal"})
    );
    assert_eq!(
        service["spec"]["ports"][0].get("nodePort"),
        None,
        "it is the other's"
    );
    assert!(has_flag(&alone, "--publish-service=edge/bywash-internal"));
}

#[test]
fn the_class_is_that_of_the_flags_and_names_its_defaults() {
    let objects = rendered(&json!({"controller": {"ingressClassResource": {
        "name": "edge", "default": true, "controllerValue": "example.com/edge",
        "parameters": {"name": "defaults", "namespace": "platform"},
    }}}));
    let class = only(&objects, "IngressClass");
    assert_eq!(class["metadata"]["name"], "edge");
    let default = &class["metadata"]["annotations"]["ingressclass.kubernetes.io/is-default-class"];
    assert_eq!(default, "true");
    assert_eq!(
        class["spec"],
        json!({"controller": "example.com/edge", "parameters": {
            "apiGroup": "bywash.dev", "kind": "GatewayPolicy", "scope": "Namespace",
            "name": "defaults", "namespace": "platform",
        }})
    );
    assert!(has_flag(&objects, "--ingress-class=edge"));
    assert!(has_flag(&objects, "--controller-name=example.com/edge"));
}

#[test]
fn what_is_in_flight_gets_what_the_grace_period_leaves() {
    let timeout = |controller: Value| {
        let flags = flags(&rendered(&json!({"controller": controller})));
        let mut timeouts = flags
            .iter()
            .filter_map(|flag| flag.strip_prefix("--drain-timeout="));
        timeouts.next().unwrap().to_owned()
    };
    assert_eq!(timeout(json!({})), "20s");
    let patient = json!({"terminationGracePeriodSeconds": 300, "drainDelaySeconds": 30});
    assert_eq!(timeout(patient), "265s");
    let asleep = json!({
        "terminationGracePeriodSeconds": 60, "lifecycle": {"preStop": {"sleep": {"seconds": 10}}},
    });
    assert_eq!(timeout(asleep), "40s");
}

#[test]
fn extra_arguments_go_before_those_of_the_chart_and_each_flag_comes_once() {
    let objects = rendered(&json!({"controller": {"extraArgs": {
        "allow-external-name": "", "client-keepalive": "620s", "drain-timeout": "7s", "workers": 2,
    }}}));
    let flags = flags(&objects);
    for flag in [
        "--allow-external-name",
        "--client-keepalive=620s",
        "--drain-timeout=7s",
        "--workers=2",
    ] {
        assert!(flags.iter().any(|it| it == flag), "{flag} in {flags:?}");
    }
    let names = flags.iter().map(|flag| flag.split('=').next());
    let distinct: std::collections::BTreeSet<_> = names.clone().collect();
    assert_eq!(distinct.len(), flags.len(), "{flags:?}");
}

#[test]
fn what_is_false_is_not_taken_for_nothing() {
    let objects = rendered(&json!({"controller": {"extraArgs": {
        "update-status": false, "allow-external-name": false, "access-log-query": true,
        "client-keepalive": 1_000_000,
    }}}));
    let flags = flags(&objects);
    for flag in [
        "--update-status=false",
        "--access-log-query",
        "--client-keepalive=1000000",
    ] {
        assert!(flags.iter().any(|it| it == flag), "{flag} in {flags:?}");
    }
    assert!(
        !flags
            .iter()
            .any(|it| it.starts_with("--allow-external-name")),
        "{flags:?}"
    );
}

#[test]
fn an_address_that_is_given_is_the_only_one_that_is_published() {
    let objects = rendered(&json!({"controller": {"extraArgs": {"publish-address": "192.0.2.1"}}}));
    let flags = flags(&objects);
    let published: Vec<_> = flags
        .iter()
        .filter(|it| it.starts_with("--publish-"))
        .collect();
    assert_eq!(published, ["--publish-address=192.0.2.1"]);
}

#[test]
fn a_service_that_is_not_made_is_not_published() {
    let objects = rendered(&json!({"controller": {"service": {"external": {"enabled": false}}}}));
    assert!(
        has_flag(&objects, "--publish-node-addresses"),
        "{:?}",
        flags(&objects)
    );
}

#[test]
fn probes_ask_the_metrics_port() {
    let objects = rendered(&json!({"controller": {"metrics": {"port": 10254}}}));
    let container = container(&objects);
    let probe = |name: &str| container[name]["httpGet"].clone();
    assert_eq!(
        probe("livenessProbe"),
        json!({"path": "/livez", "port": "metrics"})
    );
    assert_eq!(
        probe("readinessProbe"),
        json!({"path": "/readyz", "port": "metrics"})
    );
    assert_eq!(
        container["ports"][2],
        json!({
            "name": "metrics", "containerPort": 10254, "protocol": "TCP",
        })
    );
    assert!(has_flag(&objects, "--metrics-address=:10254"));
}

#[test]
fn pods_are_spread_over_nodes_and_zones_and_know_each_other_by_label() {
    let objects = rendered(&json!({}));
    let spread = &pod(&objects, "Deployment")["topologySpreadConstraints"];
    let keys: Vec<_> = spread
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["topologyKey"])
        .collect();
    assert_eq!(
        keys,
        ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    );
    let selector = &only(&objects, "Deployment")["spec"]["selector"];
    assert_eq!(&spread[0]["labelSelector"], selector);
}

#[test]
fn a_digest_goes_before_a_tag_and_the_registry_of_an_umbrella_before_the_charts_own() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let image = |values: Value| {
        container(&rendered(&values))["image"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(image(json!({})), format!("ghcr.io/bywash/bywash:{version}"));
    let tagged = json!({"controller": {"image": {"tag": "1.2.3"}}});
    assert_eq!(image(tagged), "ghcr.io/bywash/bywash:1.2.3");
    let pinned = json!({"controller": {"image": {"tag": "1.2.3", "digest": digest}}});
    assert_eq!(image(pinned), format!("ghcr.io/bywash/bywash@{digest}"));
    let mirrored = json!({"global": {"imageRegistry": "mirror.example:5000"}});
    assert_eq!(
        image(mirrored),
        format!("mirror.example:5000/bywash/bywash:{version}")
    );
    let local = json!({"controller": {"image": {"registry": "", "repository": "bywash"}}});
    assert_eq!(image(local), format!("bywash:{version}"));
}

#[test]
fn alerts_and_dashboard_are_those_of_the_documents() {
    let objects = rendered(&json!({"controller": {"metrics": {
        "prometheusRule": {"enabled": true, "rules": [{"alert": "Mine", "expr": "vector(1)"}]},
        "dashboard": {"enabled": true},
    }}}));
    let document = |name: &str| {
        let path = format!("{}/docs/monitoring/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    };
    let groups = &only(&objects, "PrometheusRule")["spec"]["groups"];
    let alerts: Value = serde_saphyr::from_str(&document("alerts.yaml")).unwrap();
    assert_eq!(groups[0], alerts["groups"][0]);
    assert_eq!(groups[1]["rules"][0]["alert"], "Mine");
    let dashboard = only(&objects, "ConfigMap");
    let shown: Value =
        serde_json::from_str(dashboard["data"]["bywash.json"].as_str().unwrap()).unwrap();
    let documented: Value = serde_json::from_str(&document("grafana-dashboard.json")).unwrap();
    assert_eq!(shown, documented);
    assert_eq!(dashboard["metadata"]["labels"]["grafana_dashboard"], "1");
}

#[test]
fn a_monitor_selects_what_is_there() {
    let objects = rendered(&json!({"controller": {"metrics": {
        "enabled": true,
        "serviceMonitor": {"enabled": true, "additionalLabels": {"release": "prometheus"}},
        "podMonitor": {"enabled": true, "scrapeInterval": "15s"},
    }}}));
    let selects = |monitor: &str, labels: &Value| {
        let wanted = &only(&objects, monitor)["spec"]["selector"]["matchLabels"];
        let has = |(name, value): (&String, &Value)| &labels[name] == value;
        wanted.as_object().unwrap().iter().all(has)
    };
    let service = |name: &str| {
        let services = all(&objects, "Service");
        let found = services
            .into_iter()
            .find(|it| it["metadata"]["name"] == name);
        found.unwrap().clone()
    };
    let metrics = service("bywash-metrics");
    assert!(selects("ServiceMonitor", &metrics["metadata"]["labels"]));
    assert!(!selects(
        "ServiceMonitor",
        &service("bywash")["metadata"]["labels"]
    ));
    assert_eq!(metrics["spec"]["ports"][0]["name"], "metrics");
    let pods = &only(&objects, "Deployment")["spec"]["template"]["metadata"]["labels"];
    assert!(selects("PodMonitor", pods));
    let monitor = only(&objects, "PodMonitor");
    assert_eq!(monitor["spec"]["podMetricsEndpoints"][0]["port"], "metrics");
    assert_eq!(
        only(&objects, "ServiceMonitor")["metadata"]["labels"]["release"],
        "prometheus"
    );
}

#[test]
fn a_network_policy_lets_in_what_is_served_and_metrics_from_where_it_says() {
    let objects = rendered(&json!({"controller": {"networkPolicy": {
        "enabled": true, "metricsFrom": [{"namespaceSelector": {}}],
    }}}));
    let spec = &only(&objects, "NetworkPolicy")["spec"];
    assert_eq!(
        spec["podSelector"],
        only(&objects, "Deployment")["spec"]["selector"]
    );
    assert_eq!(spec["ingress"][0].get("from"), None);
    assert_eq!(spec["ingress"][0]["ports"].as_array().unwrap().len(), 2);
    assert_eq!(spec["ingress"][1]["ports"][0]["port"], "metrics");
    assert_eq!(
        spec["ingress"][1]["from"],
        json!([{"namespaceSelector": {}}])
    );
}

#[test]
fn the_container_holds_nothing_that_it_does_not_need() {
    let objects = rendered(&json!({}));
    assert_eq!(
        container(&objects)["securityContext"],
        json!({
            "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532,
            "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
        })
    );
    let pod = pod(&objects, "Deployment");
    assert_eq!(
        pod["securityContext"]["seccompProfile"]["type"],
        "RuntimeDefault"
    );
    assert_eq!((pod.get("volumes"), pod.get("hostNetwork")), (None, None));
}
