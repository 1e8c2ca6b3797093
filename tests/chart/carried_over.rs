//! Values as they stand in files for ingress-nginx, and in umbrella charts.

use std::fs;

use serde_json::{Value, json};

use crate::helm::{all, chart, container, has_flag, helm, only, rendered};

/// Such as a platform team has it.
fn of_ingress_nginx() -> Value {
    json!({
        "commonLabels": {"team": "platform"},
        "revisionHistoryLimit": 3,
        "imagePullSecrets": [{"name": "pull"}],
        "rbac": {"create": true, "scope": false},
        "serviceAccount": {"create": true, "name": "edge", "automountServiceAccountToken": true},
        "controller": {
            "name": "controller",
            "kind": "Deployment",
            "replicaCount": 3,
            "minAvailable": 2,
            "ingressClassResource": {"name": "nginx", "enabled": true, "default": true},
            "publishService": {"enabled": true, "pathOverride": ""},
            "scope": {"enabled": false, "namespace": ""},
            "service": {
                "enabled": true, "type": "LoadBalancer", "externalTrafficPolicy": "Local",
                "annotations": {"service.beta.kubernetes.io/aws-load-balancer-type": "nlb"},
                "loadBalancerClass": "service.k8s.aws/nlb", "loadBalancerSourceRanges": ["10.0.0.0/8"],
                "nodePorts": {"http": "", "https": "", "tcp": {}, "udp": {}},
                "external": {"enabled": true},
                "internal": {"enabled": true, "annotations": {"scheme": "internal"}},
            },
            "hostPort": {"enabled": false, "ports": {"http": 80, "https": 443}},
            "hostNetwork": false,
            "extraEnvs": [{"name": "TZ", "value": "UTC"}],
            "podAnnotations": {"a": "b"}, "podLabels": {"c": "d"},
            "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/instance": "{{ .Release.Name }}"}},
            }],
            "autoscaling": {"enabled": true, "minReplicas": 3, "maxReplicas": 9,
                "targetCPUUtilizationPercentage": 70, "targetMemoryUtilizationPercentage": 80},
            "metrics": {
                "enabled": true,
                "serviceMonitor": {"enabled": true, "additionalLabels": {"release": "prometheus"},
                    "scrapeInterval": "15s"},
                "prometheusRule": {"enabled": true, "additionalLabels": {"release": "prometheus"}},
            },
            "terminationGracePeriodSeconds": 300,
            "priorityClassName": "system-cluster-critical",
            "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}},
            "admissionWebhooks": {"enabled": false},
        },
    })
}

#[test]
fn a_values_file_for_ingress_nginx_means_the_same_here() {
    let objects = rendered(&of_ingress_nginx());
    let deployment = &only(&objects, "Deployment")["spec"];
    let pod = &deployment["template"]["spec"];
    assert_eq!(deployment["revisionHistoryLimit"], 3);
    assert_eq!(pod["serviceAccountName"], "edge");
    assert_eq!(pod["priorityClassName"], "system-cluster-critical");
    assert_eq!(pod["terminationGracePeriodSeconds"], 300);
    assert_eq!(
        pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
        json!({"app.kubernetes.io/instance": "bywash"})
    );
    assert_eq!(
        container(&objects)["env"],
        json!([{"name": "TZ", "value": "UTC"}])
    );
    assert_eq!(container(&objects)["resources"]["requests"]["cpu"], "500m");
    let scaler = &only(&objects, "HorizontalPodAutoscaler")["spec"];
    assert_eq!(
        (&scaler["minReplicas"], &scaler["maxReplicas"]),
        (&json!(3), &json!(9))
    );
    assert_eq!(scaler["metrics"].as_array().unwrap().len(), 2);
    assert_eq!(
        only(&objects, "PodDisruptionBudget")["spec"]["minAvailable"],
        2
    );
    let [service, internal, metrics] = all(&objects, "Service")[..] else {
        panic!("three Services");
    };
    let services = [service, internal, metrics];
    let named = |name: &str| {
        services
            .into_iter()
            .find(|it| it["metadata"]["name"] == name)
            .unwrap()
    };
    let service = &named("bywash")["spec"];
    assert_eq!(service["externalTrafficPolicy"], "Local");
    assert_eq!(service["loadBalancerClass"], "service.k8s.aws/nlb");
    assert_eq!(service["loadBalancerSourceRanges"], json!(["10.0.0.0/8"]));
    assert_eq!(
        named("bywash-internal")["metadata"]["annotations"],
        json!({"scheme": "internal"})
    );
    assert_eq!(only(&objects, "IngressClass")["metadata"]["name"], "nginx");
    assert!(
        has_flag(&objects, "--ingress-class=nginx") && has_flag(&objects, "--drain-timeout=290s")
    );
}

/// As they stand in the values of ingress-nginx's chart itself.
#[test]
fn defaults_of_ingress_nginx_are_no_mistake() {
    let objects = rendered(&json!({
        "portNamePrefix": "",
        "controller": {"unhealthyPodEvictionPolicy": "", "metrics": {"portName": "metrics"}},
    }));
    let budget = &only(&objects, "PodDisruptionBudget")["spec"];
    assert_eq!(budget.get("unhealthyPodEvictionPolicy"), None);
}

#[test]
fn each_service_says_whether_it_names_protocols_and_has_node_ports_where_it_may() {
    let objects = rendered(&json!({"controller": {"service": {
        "type": "ClusterIP", "nodePorts": {"http": 30080},
        "internal": {
            "enabled": true, "appProtocol": false, "type": "NodePort", "nodePorts": {"http": 30081},
        },
    }, "metrics": {"enabled": true, "service": {"nodePort": 30090}}}}));
    let port = |name: &str| {
        let services = all(&objects, "Service").into_iter();
        let mut named = services.filter(|it| it["metadata"]["name"] == name);
        named.next().unwrap()["spec"]["ports"][0].clone()
    };
    let (external, internal) = (port("bywash"), port("bywash-internal"));
    assert_eq!(external["appProtocol"], "http");
    assert_eq!(external.get("nodePort"), None);
    assert_eq!(internal.get("appProtocol"), None);
    assert_eq!(internal["nodePort"], 30081);
    assert_eq!(port("bywash-metrics").get("nodePort"), None);
}

/// Of the status only "not at all" leaves the nodes out.
#[test]
fn without_a_service_the_addresses_of_nodes_are_written_unless_none_are() {
    for (said, publishes) in [
        (json!("true"), true),
        (json!(true), true),
        (json!("false"), false),
        (json!(false), false),
    ] {
        let objects = rendered(&json!({"controller": {
            "publishService": {"enabled": false}, "extraArgs": {"update-status": said},
        }}));
        let found = has_flag(&objects, "--publish-node-addresses");
        assert_eq!(found, publishes, "{said}");
    }
}

#[test]
fn an_umbrella_chart_may_switch_it_and_has_globals_of_its_own() {
    let umbrella = tempfile::tempdir().unwrap();
    let path = umbrella.path();
    fs::create_dir(path.join("charts")).unwrap();
    std::os::unix::fs::symlink(chart("bywash"), path.join("charts/bywash")).unwrap();
    let about = "apiVersion: v2\nname: platform\nversion: 1.0.0\ndependencies:\n- name: bywash\n  \
                 version: '*'\n  repository: ''\n  condition: bywash.enabled\n";
    fs::write(path.join("Chart.yaml"), about).unwrap();
    let template = |enabled: bool| {
        let values = json!({
            "global": {"imageRegistry": "mirror.example", "domain": "example.com", "stages": ["a"]},
            "bywash": {"enabled": enabled, "controller": {"replicaCount": 3}},
        });
        helm().template_of(path, &values, &[]).unwrap()
    };
    let on = template(true);
    assert_eq!(only(&on, "Deployment")["spec"]["replicas"], 3);
    let image = container(&on)["image"].as_str().unwrap();
    assert!(image.starts_with("mirror.example/bywash/"), "{image}");
    assert!(template(false).is_empty());
}
