use futures::FutureExt;
use serde_json::{Value, json};

use super::*;
use crate::report::Code;

type Guarded<K> = DeserializeGuard<K>;

fn service(name: &str, version: u32, spec: Value) -> Guarded<Service> {
    let metadata = json!({
        "name": name, "namespace": "shop", "uid": "u", "resourceVersion": version.to_string(),
    });
    let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec});
    serde_json::from_value(object).unwrap()
}

fn good(name: &str, version: u32) -> Guarded<Service> {
    service(name, version, json!({}))
}

fn undecodable(name: &str, version: u32) -> Guarded<Service> {
    service(name, version, json!("not a map"))
}

fn list<K: Watched>(feed: &Feed, objects: Vec<Guarded<K>>) {
    feed.apply::<K>(Event::Init);
    for object in objects {
        feed.apply::<K>(Event::InitApply(object));
    }
    feed.apply::<K>(Event::InitDone);
}

/// Every kind read; Services as given.
fn synced(services: Vec<Guarded<Service>>) -> (Feed, Source) {
    let (feed, source) = source();
    list::<Ingress>(&feed, Vec::new());
    list::<IngressClass>(&feed, Vec::new());
    list::<EndpointSlice>(&feed, Vec::new());
    list::<Secret>(&feed, Vec::new());
    list::<ConfigMap>(&feed, Vec::new());
    feed.apply_pages(Event::InitDone);
    list::<GatewayPolicy>(&feed, Vec::new());
    list::<Service>(&feed, services);
    (feed, source)
}

fn names(source: &Source) -> Vec<String> {
    let services = source.view().unwrap().services;
    services
        .iter()
        .map(|service| service.metadata.name.clone().unwrap())
        .collect()
}

fn reference(name: &str) -> ObjectRef {
    ObjectRef {
        kind: Kind::Service,
        namespace: "shop".into(),
        name: name.into(),
    }
}

#[test]
fn nothing_is_shown_or_signalled_before_every_kind_was_read() {
    let (feed, mut source) = source();
    list::<Service>(&feed, vec![good("web", 1)]);
    list::<Ingress>(&feed, Vec::new());
    list::<IngressClass>(&feed, Vec::new());
    list::<EndpointSlice>(&feed, Vec::new());
    list::<ConfigMap>(&feed, Vec::new());
    feed.apply_pages(Event::InitDone);
    list::<GatewayPolicy>(&feed, Vec::new());
    feed.apply::<Secret>(Event::Init);
    assert!(!source.is_synced() && source.view().is_none());
    assert!(source.changed().now_or_never().is_none());
    feed.apply::<Secret>(Event::InitDone);
    assert!(source.is_synced());
    assert_eq!(source.changed().now_or_never(), Some(Ok(())));
    assert_eq!(names(&source), ["web"]);
}

#[test]
fn a_list_after_an_outage_replaces_everything_at_its_end_and_never_before() {
    let (feed, mut source) = synced(vec![good("kept", 1), good("gone", 1)]);
    source.changed().now_or_never().unwrap().unwrap();
    feed.apply::<Service>(Event::Init);
    assert_eq!(names(&source), ["gone", "kept"]);
    feed.apply::<Service>(Event::InitApply(good("kept", 2)));
    assert_eq!(names(&source), ["gone", "kept"]);
    assert!(source.changed().now_or_never().is_none());
    feed.apply::<Service>(Event::InitDone);
    assert_eq!(names(&source), ["kept"]);
    assert_eq!(source.changed().now_or_never(), Some(Ok(())));
}

#[test]
fn a_list_that_was_cut_off_leaves_nothing_in_the_next() {
    let (feed, source) = synced(vec![good("web", 1)]);
    feed.apply::<Service>(Event::Init);
    feed.apply::<Service>(Event::InitApply(good("deleted-meanwhile", 1)));
    list::<Service>(&feed, vec![good("web", 2)]);
    assert_eq!(names(&source), ["web"]);
}

#[test]
fn every_version_that_was_seen_is_shown_and_a_deleted_object_has_none() {
    let (feed, source) = synced(vec![good("web", 1), undecodable("broken", 7)]);
    feed.apply::<Service>(Event::Apply(good("web", 2)));
    let versions = source.view().unwrap().versions;
    assert_eq!(versions[&reference("web")], "2");
    assert_eq!(versions[&reference("broken")], "7");
    feed.apply::<Service>(Event::Delete(good("web", 3)));
    assert!(
        !source
            .view()
            .unwrap()
            .versions
            .contains_key(&reference("web"))
    );
}

#[test]
fn an_object_that_cannot_be_decoded_is_one_finding_and_no_obstacle() {
    let (feed, source) = synced(vec![good("web", 1), good("breaks", 1)]);
    feed.apply::<Service>(Event::Apply(undecodable("breaks", 2)));
    let view = source.view().unwrap();
    assert_eq!(names(&source), ["web"]);
    let unreadable = Unreadable::from([(reference("breaks"), "u".to_owned())]);
    assert_eq!(view.unreadable, unreadable);
    let [finding] = &view.findings[..] else {
        panic!("{:?}", view.findings);
    };
    assert_eq!(
        (finding.code, &finding.object),
        (Code::InvalidObject, &Some(reference("breaks")))
    );
    assert_eq!(source.identity(&reference("breaks")).unwrap().version, "2");

    feed.apply::<Service>(Event::Apply(good("breaks", 3)));
    let view = source.view().unwrap();
    assert!(view.unreadable.is_empty() && view.findings.is_empty());
    assert_eq!(names(&source), ["breaks", "web"]);
}

#[test]
fn what_is_wrong_with_a_secret_never_shows_what_is_in_it() {
    let (feed, source) = synced(Vec::new());
    let secret: Guarded<Secret> = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": "hunter2",
    }))
    .unwrap();
    assert!(secret.0.as_ref().unwrap_err().error.contains("hunter2"));
    feed.apply::<Secret>(Event::Apply(secret));
    let findings = source.view().unwrap().findings;
    assert_eq!(findings.len(), 1);
    assert!(
        !findings[0].message.contains("hunter2"),
        "{}",
        findings[0].message
    );
}

fn ingress(version: u32, class: &str, status: &Value) -> Guarded<Ingress> {
    let metadata = json!({
        "name": "web", "namespace": "shop", "resourceVersion": version.to_string(),
        "managedFields": [{"manager": version.to_string()}],
    });
    let object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata,
        "spec": {"ingressClassName": class}, "status": status,
    });
    serde_json::from_value(object).unwrap()
}

#[test]
fn the_status_of_an_ingress_is_a_change_but_not_one_to_what_is_served() {
    let (feed, mut source) = synced(Vec::new());
    feed.apply::<Ingress>(Event::Apply(ingress(1, "a", &json!({}))));
    let before = source.view().unwrap();
    source.changed().now_or_never().unwrap().unwrap();
    let address = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    feed.apply::<Ingress>(Event::Apply(ingress(2, "a", &address)));
    assert_eq!(source.changed().now_or_never(), Some(Ok(())));
    let after = source.view().unwrap();
    assert_eq!(after.revision, before.revision);
    assert_ne!(after.versions, before.versions);
    assert!(
        after.ingresses[0]
            .status
            .as_ref()
            .unwrap()
            .load_balancer
            .is_some()
    );

    feed.apply::<Ingress>(Event::Apply(ingress(3, "b", &address)));
    assert_ne!(source.view().unwrap().revision, after.revision);
}

#[test]
fn changes_during_a_pause_are_told_as_one() {
    let (feed, mut source) = synced(Vec::new());
    source.changed().now_or_never().unwrap().unwrap();
    for version in 1..=100 {
        feed.apply::<Service>(Event::Apply(good("web", version)));
    }
    assert_eq!(source.changed().now_or_never(), Some(Ok(())));
    assert_eq!(source.view().unwrap().versions[&reference("web")], "100");
    assert!(source.changed().now_or_never().is_none());
}

#[test]
fn a_clone_is_told_of_what_was_there_before_it() {
    let (_feed, mut source) = synced(vec![good("web", 1)]);
    source.changed().now_or_never().unwrap().unwrap();
    assert_eq!(source.clone().changed().now_or_never(), Some(Ok(())));
}

#[test]
fn whoever_waits_is_told_when_nothing_feeds_the_source_any_more() {
    let (feed, mut source) = source();
    drop(feed);
    assert_eq!(source.changed().now_or_never(), Some(Err(SourceClosed)));
}

#[test]
fn the_published_service_is_found_outside_the_watched_namespace_but_not_served() {
    let (feed, source) = synced(Vec::new());
    feed.apply_published(Event::Apply(good("lb", 1)));
    assert!(source.service("shop", "lb").is_some());
    assert!(source.service("shop", "other").is_none());
    assert_eq!(names(&source), Vec::<String>::new());
}
