use serde_json::{Value, json};

use super::*;

const OURS: &str = "ours";

fn service(spec: Value, status: Value) -> Arc<Service> {
    let object = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "lb"},
        "spec": spec, "status": status,
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

/// The addresses published from such a Service, as words.
fn published(spec: Value, status: Value) -> Option<Vec<String>> {
    let publish = Publish::Service {
        namespace: "infra".into(),
        name: "lb".into(),
    };
    let find = |namespace: &str, name: &str| {
        assert_eq!((namespace, name), ("infra", "lb"));
        Some(service(spec, status))
    };
    let found = addresses(&publish, find, &[]);
    found.map(words)
}

fn words(addresses: Addresses) -> Vec<String> {
    let words = addresses.into_iter();
    words
        .map(|address| match (address.ip, address.hostname) {
            (Some(ip), None) => ip,
            (None, Some(name)) => name,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn some(words: &[&str]) -> Option<Vec<String>> {
    Some(words.iter().map(|word| (*word).to_owned()).collect())
}

#[test]
fn the_addresses_of_nodes_are_published_and_without_any_those_that_are_there_stay() {
    let nodes = ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse().unwrap());
    let found = addresses(&Publish::Nodes, |_, _| None, &nodes).map(words);
    assert_eq!(found, some(&["192.0.2.1", "2001:db8::1"]));
    assert_eq!(addresses(&Publish::Nodes, |_, _| None, &[]), None);
}

#[test]
fn listed_addresses_are_published_as_they_are() {
    let listed = [
        PublishAddress::Ip("192.0.2.1".parse().unwrap()),
        PublishAddress::Ip("2001:db8::1".parse().unwrap()),
        PublishAddress::Name("lb.example.com".to_owned()),
    ];
    let publish = Publish::Addresses(listed.to_vec());
    let found = addresses(&publish, |_, _| None, &[]).map(words);
    assert_eq!(found, some(&["192.0.2.1", "2001:db8::1", "lb.example.com"]));
}

#[test]
fn a_load_balancer_publishes_its_ingress_points_and_external_ips() {
    let spec = json!({"type": "LoadBalancer", "externalIPs": ["198.51.100.1", "203.0.113.9"], "clusterIP": "10.96.0.1"});
    let status =
        json!({"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}, {"hostname": "x.example"}]}});
    assert_eq!(
        published(spec, status),
        some(&["203.0.113.9", "x.example", "198.51.100.1"])
    );
}

#[test]
fn a_load_balancer_that_has_no_address_yet_publishes_nothing_rather_than_its_cluster_ip() {
    let spec = json!({"type": "LoadBalancer", "clusterIP": "10.96.0.1"});
    assert_eq!(published(spec, json!({})), None);
}

#[test]
fn other_types_publish_their_external_ips_or_else_their_cluster_ips() {
    for kind in ["NodePort", "ClusterIP"] {
        let both = json!({"type": kind, "externalIPs": ["198.51.100.1"], "clusterIP": "10.96.0.1"});
        assert_eq!(
            published(both, json!({})),
            some(&["198.51.100.1"]),
            "{kind}"
        );
        let dual =
            json!({"type": kind, "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"]});
        assert_eq!(
            published(dual, json!({})),
            some(&["10.96.0.1", "fd00::1"]),
            "{kind}"
        );
        let single = json!({"type": kind, "clusterIP": "10.96.0.1"});
        assert_eq!(published(single, json!({})), some(&["10.96.0.1"]), "{kind}");
    }
}

#[test]
fn a_headless_service_or_none_at_all_publishes_nothing() {
    assert_eq!(
        published(json!({"type": "ClusterIP", "clusterIP": "None"}), json!({})),
        None
    );
    let publish = Publish::Service {
        namespace: "infra".into(),
        name: "lb".into(),
    };
    assert_eq!(addresses(&publish, |_, _| None, &[]), None);
    assert_eq!(
        addresses(
            &Publish::Nothing,
            |_, _| panic!("nobody was asked for"),
            &[]
        ),
        None
    );
}

/// An Ingress with these addresses, last written by this manager.
fn ingress(name: &str, ips: &[&str], manager: &str) -> Arc<Ingress> {
    let ips: Vec<Value> = ips.iter().map(|ip| json!({"ip": ip})).collect();
    let object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "namespace": "shop",
            "managedFields": [{"manager": manager, "subresource": "status"}]},
        "status": {"loadBalancer": {"ingress": ips}},
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

fn reference(name: &str) -> ObjectRef {
    ObjectRef {
        kind: Kind::Ingress,
        namespace: "shop".into(),
        name: name.into(),
    }
}

/// What changes on an Ingress: it becomes these addresses, or loses ours.
fn change(ours: bool, ingress: &Arc<Ingress>, wanted: Option<&str>) -> Option<AddressChange> {
    let name = ingress.metadata.name.as_deref().unwrap();
    let ours = BTreeSet::from_iter(ours.then(|| reference(name)));
    let wanted = wanted.map(|ip| vec![by_ip(ip)]);
    let mut changes = address_changes(
        (&ours, &Judged::default()),
        std::slice::from_ref(ingress),
        wanted,
        OURS,
    );
    let change = changes.remove(&reference(name));
    assert!(changes.is_empty());
    change
}

#[test]
fn an_ingress_of_ours_gets_the_addresses_whoever_wrote_others() {
    let expected = Some(AddressChange::Publish(Arc::new(vec![by_ip("192.0.2.1")])));
    for before in [
        ingress("a", &[], "kubectl"),
        ingress("a", &["192.0.2.9"], "theirs"),
        ingress("a", &["192.0.2.9"], OURS),
    ] {
        assert_eq!(change(true, &before, Some("192.0.2.1")), expected);
    }
}

#[test]
fn an_ingress_that_has_the_addresses_is_not_written() {
    assert_eq!(
        change(
            true,
            &ingress("a", &["192.0.2.1"], "theirs"),
            Some("192.0.2.1")
        ),
        None
    );
}

#[test]
fn addresses_are_never_cleared_because_none_are_known() {
    assert_eq!(
        change(true, &ingress("a", &["192.0.2.1"], OURS), None),
        None
    );
}

#[test]
fn an_ingress_that_left_our_class_loses_what_we_wrote() {
    let left = ingress("a", &["192.0.2.1"], OURS);
    assert_eq!(
        change(false, &left, Some("192.0.2.1")),
        Some(AddressChange::Withdraw)
    );
    assert_eq!(change(false, &left, None), Some(AddressChange::Withdraw));
}

#[test]
fn an_ingress_of_another_controller_is_left_alone_even_with_our_addresses() {
    assert_eq!(
        change(
            false,
            &ingress("a", &["192.0.2.1"], "theirs"),
            Some("192.0.2.1")
        ),
        None
    );
    assert_eq!(
        change(false, &ingress("a", &[], OURS), Some("192.0.2.1")),
        None
    );
}

fn finding(name: &str, code: Code, message: &str) -> Finding {
    Finding {
        object: Some(reference(name)),
        position: None,
        code,
        message: message.into(),
    }
}

#[test]
fn what_is_wrong_with_one_object_in_one_way_is_one_event() {
    let mut findings = vec![
        finding("a", Code::ServiceNotFound, "no x"),
        finding("a", Code::ServiceNotFound, "no y"),
        finding("a", Code::ServiceNotFound, "no x"),
        finding("a", Code::SecretNotFound, "no s"),
        finding("b", Code::ServiceNotFound, "no x"),
    ];
    findings.push(Finding {
        object: None,
        ..findings[0].clone()
    });
    let expected = [
        (
            (reference("a"), Code::ServiceNotFound),
            "no x; no y".to_owned(),
        ),
        ((reference("a"), Code::SecretNotFound), "no s".to_owned()),
        ((reference("b"), Code::ServiceNotFound), "no x".to_owned()),
    ];
    assert_eq!(defects(&findings), BTreeMap::from(expected.clone()));
    findings.reverse();
    assert_eq!(defects(&findings), BTreeMap::from(expected));
}

#[test]
fn a_note_that_is_too_long_says_how_many_messages_it_leaves_out() {
    let findings: Vec<_> = (0..100)
        .map(|number| {
            finding(
                "a",
                Code::ServiceNotFound,
                &format!("Service {number:03} does not exist"),
            )
        })
        .collect();
    let note = defects(&findings).into_values().next().unwrap();
    assert!(
        note.len() <= LONGEST_NOTE && note.len() > LONGEST_NOTE - 60,
        "{}",
        note.len()
    );
    let shown = note.matches("does not exist").count();
    assert!(
        note.ends_with(&format!("; and {} more", 100 - shown)),
        "{note}"
    );
}

#[test]
fn a_message_that_is_too_long_loses_its_middle_and_keeps_its_advice() {
    let message = format!("It begins {} and ends in advice", "ä".repeat(2000));
    for others in [0, 3] {
        let mut findings = vec![finding("a", Code::InvalidObject, &message)];
        findings.extend(
            (0..others).map(|other| finding("a", Code::InvalidObject, &format!("Z{other}"))),
        );
        let note = defects(&findings).into_values().next().unwrap();
        assert!(
            note.len() <= LONGEST_NOTE && note.len() > LONGEST_NOTE - 20,
            "{}",
            note.len()
        );
        assert!(
            note.starts_with("It begins ") && note.contains("and ends in advice"),
            "{note}"
        );
        assert_eq!(note.ends_with("; and 3 more"), others == 3, "{note}");
    }
}
