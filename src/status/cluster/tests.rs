use http::{Method, StatusCode};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::*;
use crate::api::policy::GatewayPolicy;
use crate::diagnose::judge::{Said, Verdict};
use crate::report::{Finding, Kind};
use crate::status::PublishAddress;
use crate::stores::Feed;
use crate::stores::cluster::Connection;
use crate::stores::fake_api::{FakeApi, Request};
use crate::stores::writer::EventSource;

mod writes;

struct Scenario {
    api: FakeApi,
    feed: Feed,
    observed: watch::Sender<Option<Arc<Observed>>>,
    leading: watch::Sender<bool>,
    judge: watch::Sender<Option<Arc<Judged>>>,
}

async fn scenario(update_status: bool) -> Scenario {
    process(FakeApi::start().await, update_status)
}

/// Another process at the same server.
fn process(api: FakeApi, update_status: bool) -> Scenario {
    let connection = Connection::with(api.config()).unwrap();
    let (feed, source) = crate::stores::source();
    feed.apply::<IngressClass>(Event::InitDone);
    feed.apply::<Ingress>(Event::InitDone);
    feed.apply::<Service>(Event::InitDone);
    feed.apply::<EndpointSlice>(Event::InitDone);
    feed.apply::<Secret>(Event::InitDone);
    feed.apply::<ConfigMap>(Event::InitDone);
    feed.apply_pages(Event::InitDone);
    feed.apply::<GatewayPolicy>(Event::InitDone);
    let writer = Writer::new(&connection, "ours".into(), EventSource::default());
    let (observed, observations) = watch::channel(None);
    let (leading, leads) = watch::channel(false);
    let settings = Settings {
        publish: Publish::Addresses(vec![PublishAddress::Ip([192, 0, 2, 1].into())]),
        update_status,
        ..Settings::default()
    };
    let (judge, judged) = watch::channel(Some(Arc::default()));
    let inputs = Inputs {
        observed: observations,
        judged,
        nodes: None,
    };
    tokio::spawn(run(settings, source, writer, inputs, leads));
    Scenario {
        api,
        feed,
        observed,
        leading,
        judge,
    }
}

impl Scenario {
    /// There is an Ingress with this address; an empty one is none.
    fn ingress(&self, name: &str, address: &str) {
        let addresses: Vec<Value> = [address]
            .iter()
            .filter(|ip| !ip.is_empty())
            .map(|ip| json!({"ip": ip}))
            .collect();
        let object: DeserializeGuard<Ingress> = serde_json::from_value(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"),
                "managedFields": [{"manager": "ours", "subresource": "status"}]},
            "status": {"loadBalancer": {"ingress": addresses}},
        }))
        .unwrap();
        self.feed.apply(Event::Apply(object));
    }

    fn observe(&self, ours: &[&str], defective: &[(&str, &str)]) {
        let findings = defective.iter().map(|(name, message)| Finding {
            object: Some(reference(name)),
            position: None,
            code: crate::report::Code::ServiceNotFound,
            message: (*message).to_owned(),
        });
        self.observed.send_replace(Some(Arc::new(Observed {
            ingresses: ours.iter().map(|name| reference(name)).collect(),
            policies: Vec::new(),
            findings: findings.collect(),
        })));
    }

    /// Requests of this Ingress are answered 502 from now on, or not any more.
    fn fails(&self, name: &str, now: Said) {
        let mut judged = Judged::default();
        judged.said.ingresses.insert(reference(name), now);
        self.judge.send_replace(Some(Arc::new(judged)));
    }

    fn lead(&self, leads: bool) {
        self.leading.send_replace(leads);
    }

    /// For so long the server is asked for nothing.
    async fn nothing_is_asked_for(&mut self, time: Duration) {
        let asked = tokio::time::timeout(time, self.api.next()).await;
        assert!(asked.is_err(), "{asked:?}");
    }

    /// The next write; reads are passed over.
    async fn written(&mut self) -> Request {
        loop {
            let request = self.api.next().await;
            if request.method != Method::GET {
                return request;
            }
        }
    }
}

fn reference(name: &str) -> ObjectRef {
    ObjectRef {
        kind: Kind::Ingress,
        namespace: "shop".into(),
        name: name.into(),
    }
}

fn status_of(name: &str) -> String {
    format!("/apis/networking.k8s.io/v1/namespaces/shop/ingresses/{name}/status")
}

fn is_event(request: &Request) -> bool {
    request.path.starts_with("/api/v1/namespaces/shop/events/")
}

#[tokio::test]
async fn only_a_leader_writes_and_only_after_an_observation() {
    let mut scenario = scenario(true).await;
    scenario.ingress("web", "");
    scenario.lead(true);
    scenario.lead(false);
    scenario.observe(&["other"], &[]);
    scenario.observe(&["web"], &[]);
    scenario.lead(true);
    let write = scenario.written().await;
    assert_eq!(
        (&write.method, &write.path),
        (&Method::PATCH, &status_of("web"))
    );
    assert_eq!(
        write.body["status"],
        json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}})
    );
}

#[tokio::test]
async fn what_was_written_is_not_written_again_while_the_watch_is_slow() {
    let mut scenario = scenario(true).await;
    scenario.ingress("web", "");
    scenario.observe(&["web"], &[]);
    scenario.lead(true);
    assert_eq!(scenario.written().await.path, status_of("web"));
    scenario.ingress("next", "");
    scenario.observe(&["web", "next"], &[]);
    assert_eq!(scenario.written().await.path, status_of("next"));
}

#[tokio::test]
async fn an_ingress_that_left_loses_our_addresses_and_nothing_else_is_claimed() {
    let mut scenario = scenario(true).await;
    scenario.ingress("left", "192.0.2.1");
    scenario.observe(&[], &[]);
    scenario.lead(true);
    let write = scenario.written().await;
    assert_eq!(write.path, status_of("left"));
    assert_eq!(write.body.get("status"), None);
}

#[tokio::test]
async fn a_write_that_failed_is_tried_again_and_holds_up_no_other() {
    let mut scenario = scenario(true).await;
    scenario
        .api
        .refuse("ingresses/bad/status", StatusCode::INTERNAL_SERVER_ERROR);
    scenario.ingress("bad", "");
    scenario.ingress("good", "");
    scenario.observe(&["bad", "good"], &[]);
    scenario.lead(true);
    let mut first = [scenario.written().await.path, scenario.written().await.path];
    first.sort();
    assert_eq!(first, [status_of("bad"), status_of("good")]);
    assert_eq!(scenario.written().await.path, status_of("bad"));
    scenario.api.refuse_nothing();
    assert_eq!(scenario.written().await.path, status_of("bad"));
}

#[tokio::test]
async fn without_status_updates_there_are_events_all_the_same() {
    let mut scenario = scenario(false).await;
    scenario.ingress("web", "");
    scenario.observe(&["web"], &[("web", "the Service is missing")]);
    scenario.lead(true);
    let write = scenario.written().await;
    assert!(is_event(&write), "{write:?}");
    assert_eq!(write.body["involvedObject"]["uid"], "uid-web");
    assert_eq!(write.body["reason"], "ServiceNotFound");
    assert_eq!(write.body["message"], "the Service is missing");
    assert_eq!(write.body["count"], 1);
}

#[tokio::test]
async fn an_event_is_said_again_only_when_its_text_changes() {
    let mut scenario = scenario(false).await;
    scenario.ingress("web", "");
    scenario.ingress("next", "");
    scenario.observe(&["web"], &[("web", "first")]);
    scenario.lead(true);
    let first = scenario.written().await;
    scenario.observe(&["web"], &[("web", "first"), ("next", "marks the plan")]);
    assert_eq!(scenario.written().await.body["message"], "marks the plan");
    scenario.observe(&["web"], &[("web", "second")]);
    let second = scenario.written().await;
    assert_eq!(
        (&second.path, &second.body["message"]),
        (&first.path, &json!("second"))
    );
    assert_eq!(second.body["count"], 2);
}

#[tokio::test]
async fn a_new_leader_finds_the_events_that_exist_and_leaves_them() {
    let mut scenario = scenario(false).await;
    scenario.ingress("web", "");
    scenario.ingress("next", "");
    scenario.observe(&["web"], &[("web", "said before")]);
    scenario.lead(true);
    let event = scenario.written().await.path;
    let mut scenario = process(scenario.api, false);
    scenario.ingress("web", "");
    scenario.ingress("next", "");
    scenario.observe(&["web"], &[("web", "said before")]);
    scenario.lead(true);
    let look = scenario.api.next().await;
    assert_eq!((look.method, look.path), (Method::GET, event));
    scenario.observe(
        &["web"],
        &[("web", "said before"), ("next", "marks the plan")],
    );
    assert_eq!(scenario.written().await.body["message"], "marks the plan");
}

#[tokio::test]
async fn nothing_is_said_of_an_object_that_is_gone() {
    let mut scenario = scenario(false).await;
    scenario.ingress("web", "");
    scenario.observe(&[], &[("gone", "nobody reads this"), ("web", "said")]);
    scenario.lead(true);
    assert_eq!(scenario.written().await.body["message"], "said");
    scenario.observe(
        &[],
        &[("gone", "nobody reads this"), ("web", "marks the plan")],
    );
    assert_eq!(scenario.written().await.body["message"], "marks the plan");
}

fn refused() -> Said {
    Said {
        verdicts: vec![Verdict {
            condition: "BadGateway",
            status: Some(true),
            reason: "ConnectionRefused",
            message: "47 of 1203 requests".into(),
        }],
        ..Said::default()
    }
}

#[tokio::test(start_paused = true)]
async fn an_ingress_whose_requests_fail_says_so_on_its_ports_and_in_an_event_until_they_do_not() {
    let mut it = scenario(true).await;
    it.ingress("web", "192.0.2.1");
    it.observe(&["web"], &[]);
    it.lead(true);
    it.fails("web", refused());
    let mut writes = [it.written().await, it.written().await];
    writes.sort_by_key(is_event);
    let points = &writes[0].body["status"]["loadBalancer"]["ingress"];
    let port = |port| json!({"error": "bywash.dev/BadGateway", "port": port, "protocol": "TCP"});
    let expected = json!([{"ip": "192.0.2.1", "ports": [port(80), port(443)]}]);
    assert_eq!(*points, expected);
    let event = &writes[1].body;
    assert_eq!(event["reason"], "ConnectionRefused");
    assert_eq!(event["type"], "Warning");
    assert_eq!(event["message"], "47 of 1203 requests");

    let recovered = Some("it lasted 3 min 12 s".into());
    it.fails(
        "web",
        Said {
            recovered,
            ..Said::default()
        },
    );
    let event = loop {
        let written = it.written().await;
        if is_event(&written) {
            break written.body;
        }
    };
    assert_eq!(
        (&event["reason"], &event["type"]),
        (&json!("Recovered"), &json!("Normal"))
    );
}

#[tokio::test(start_paused = true)]
async fn where_addresses_are_not_written_events_are_all_the_same() {
    let mut it = scenario(false).await;
    it.ingress("web", "");
    it.observe(&["web"], &[]);
    it.lead(true);
    it.fails("web", refused());
    let written = it.written().await;
    assert!(is_event(&written), "{written:?}");
    assert_eq!(written.body["reason"], "ConnectionRefused");
}
