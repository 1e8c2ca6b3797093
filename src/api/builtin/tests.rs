use serde::de::DeserializeOwned;
use serde_json::json;

use super::*;

fn said<K: DeserializeOwned>(rules: fn(&K) -> Vec<Violation>, object: Value) -> Vec<String> {
    let violations = rules(&serde_json::from_value(object).unwrap());
    violations.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn assert_begins(said: &[String], expected: &[&str]) {
    let fits = said.len() == expected.len()
        && said
            .iter()
            .zip(expected)
            .all(|(said, it)| said.starts_with(it));
    assert!(fits, "{said:#?}");
}

fn of_spec(spec: Value) -> Vec<String> {
    said(ingress, json!({"metadata": {"name": "web"}, "spec": spec}))
}

fn of_path(path: Value) -> Vec<String> {
    of_spec(json!({"rules": [{"http": {"paths": [path]}}]}))
}

#[test]
fn what_is_right_is_not_refused() {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let path = json!({"path": "/a?b", "pathType": "Prefix", "backend": backend});
    assert_eq!(of_path(path), Vec::<String>::new());
    let cart = json!({"metadata": {"name": "cart"}, "spec": {"ports": [{"port": 80}]}});
    assert_eq!(said(service, cart), Vec::<String>::new());
    let slice = json!({"metadata": {"name": "cart-1"}, "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.7"]}], "ports": [{"port": 8080}]});
    assert_eq!(said(endpoint_slice, slice), Vec::<String>::new());
}

#[test]
fn of_an_ingress_each_violation_names_its_field() {
    assert_begins(
        &of_spec(json!({})),
        &["spec: there are neither rules nor a defaultBackend"],
    );
    let hosts = json!({"rules": [
        {"host": "Shop.example"}, {"host": "*"}, {"host": "010.0.0.1"}, {"http": {}},
    ]});
    assert_begins(
        &of_spec(hosts),
        &[
            "spec.rules[0].host: this is the text 'Shop.example': write a DNS name",
            "spec.rules[1].host: this is the text '*': write a wildcard",
            "spec.rules[2].host: this is an IP address",
            "spec.rules[3].http.paths: this is missing",
        ],
    );
    let paths = of_path(json!({"path": "a//b", "backend": {"service": {"name": "web"}}}));
    assert_begins(
        &paths,
        &[
            "spec.rules[0].http.paths[0].pathType: this is missing",
            "spec.rules[0].http.paths[0].backend: service.port is missing",
        ],
    );
    let path = json!({"path": "/a//b/..", "pathType": "Exact", "backend": {}});
    assert_begins(
        &of_path(path),
        &[
            "spec.rules[0].http.paths[0].path: this holds '//'",
            "spec.rules[0].http.paths[0].path: this ends with '/..'",
            "spec.rules[0].http.paths[0].backend: there is no service",
        ],
    );
}

#[test]
fn an_annotation_of_another_class_is_refused() {
    let web = json!({
        "metadata": {"name": "web", "annotations": {"kubernetes.io/ingress.class": "other"}},
        "spec": {"ingressClassName": "bywash", "defaultBackend":
            {"service": {"name": "web", "port": {"name": "http"}}}},
    });
    assert_begins(
        &said(ingress, web),
        &[
            "metadata.annotations.kubernetes.io/ingress.class: this is 'other', and \
             spec.ingressClassName is 'bywash'",
        ],
    );
}

#[test]
fn of_a_service_each_violation_names_its_field() {
    let cart = json!({"metadata": {"name": "cart.v2"}, "spec": {"ports": [
        {"port": 80, "targetPort": "8080"}, {"port": 80, "name": "http", "nodePort": 30_080},
    ]}});
    assert_begins(
        &said(service, cart),
        &[
            "metadata.name: this is the text 'cart.v2'",
            "spec.ports[0].name: this is missing: write a name for each port",
            "spec.ports[0].targetPort: this is the text '8080'",
            "spec.ports[1]: another port is 80 of TCP too",
            "spec.ports[1].nodePort: a Service of type ClusterIP has none",
        ],
    );
    let name = json!({"metadata": {"name": "cart"}, "spec": {"type": "ExternalName"}});
    assert_begins(
        &said(service, name),
        &["spec.externalName: this is missing"],
    );
    let both = json!({"metadata": {"name": "cart"}, "spec": {"ports": [{"port": 80}],
        "clusterIP": "None", "type": "LoadBalancer", "externalIPs": ["127.0.0.1"]}});
    assert_begins(
        &said(service, both),
        &[
            "spec.clusterIPs[0]: a Service of type LoadBalancer has an address",
            "spec.externalIPs[0]: 127.0.0.1 is a loopback address",
        ],
    );
}

/// Of ports as number, protocol and node port.
fn of_node_ports(spec: Value, ports: &[(i32, &str, i32)]) -> Vec<String> {
    let ports = ports
        .iter()
        .enumerate()
        .map(|(index, (port, protocol, own))| {
            let name = format!("a{index}");
            json!({"name": name, "port": port, "protocol": protocol, "nodePort": own})
        });
    let mut spec = spec;
    spec["ports"] = ports.collect();
    said(service, json!({"metadata": {"name": "cart"}, "spec": spec}))
}

#[test]
fn a_node_port_leads_to_one_port_in_each_protocol() {
    let node_port = || json!({"type": "NodePort"});
    let both = [(53, "UDP", 30_053), (53, "TCP", 30_053)];
    assert_begins(&of_node_ports(node_port(), &both), &[]);
    let second = "spec.ports[1].nodePort: 30053 is another port's too";
    let two = [(53, "UDP", 30_053), (54, "TCP", 30_053)];
    assert_begins(&of_node_ports(node_port(), &two), &[second]);
    assert_begins(
        &of_node_ports(json!({"type": "LoadBalancer"}), &two),
        &[second],
    );
    assert_begins(
        &of_node_ports(
            json!({"type": "ExternalName", "externalName": "a.example"}),
            &two,
        ),
        &[],
    );
}

#[test]
fn a_node_port_goes_to_the_first_port_of_that_number() {
    let of = |spec, ports: &[_]| of_node_ports(spec, ports);
    let second = "spec.ports[1].nodePort: 30053 is another port's too";
    let third = "spec.ports[2].nodePort: 30053 is another port's too";
    // The first is given what the third asks for, which has the same number.
    let given = [(53, "UDP", 0), (54, "TCP", 30_053), (53, "TCP", 30_053)];
    assert_begins(&of(json!({"type": "NodePort"}), &given), &[second]);
    let unasked = [(54, "TCP", 30_053), (53, "UDP", 0), (53, "TCP", 30_053)];
    assert_begins(&of(json!({"type": "NodePort"}), &unasked), &[second]);
    let none = json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false});
    assert_begins(&of(none, &given), &[third]);
    // One of the same number may have another, if it is free.
    let two = [(53, "UDP", 30_053), (53, "TCP", 30_054)];
    assert_begins(&of(json!({"type": "NodePort"}), &two), &[]);
}

#[test]
fn of_a_slice_each_violation_names_its_field() {
    let slice = json!({"metadata": {"name": "cart-1"}, "addressType": "IPv6", "endpoints": [
        {"addresses": ["192.0.2.7"]}, {"addresses": ["2001:DB8::7"]}, {"addresses": []},
    ], "ports": [{}, {}]});
    assert_begins(
        &said(endpoint_slice, slice),
        &[
            "ports[1].name: another port is called '' too",
            "endpoints[0].addresses[0]: this is no IPv6 address",
            "endpoints[1].addresses[0]: write the address in its short form: 2001:db8::7",
            "endpoints[2].addresses: this is missing",
        ],
    );
}
