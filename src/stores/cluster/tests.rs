use super::*;
use crate::stores::fake_api::FakeApi;
use serde_json::json;

fn trimmed(managed_fields: serde_json::Value) -> Ingress {
    let mut ingress: Ingress = serde_json::from_value(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {
            "name": "web",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"},
            "managedFields": managed_fields,
        },
    }))
    .unwrap();
    trim(&mut ingress, "ours");
    ingress
}

#[test]
fn what_nobody_reads_is_dropped() {
    let ingress = trimmed(json!([{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]));
    assert_eq!(ingress.metadata.managed_fields, Some(Vec::new()));
    let annotations = ingress.metadata.annotations.unwrap();
    assert_eq!(annotations.into_keys().collect::<Vec<_>>(), ["a"]);
}

#[tokio::test]
async fn a_kind_that_is_refused_holds_everything_back_until_it_is_allowed() {
    let mut api = FakeApi::start().await;
    api.refuse("/secrets", http::StatusCode::FORBIDDEN);
    let (mut source, watches) = Connection::with(api.config())
        .unwrap()
        .watch(Settings::default());
    tokio::spawn(watches);
    let mut refusals = 0;
    while refusals < 2 {
        refusals += u32::from(api.next().await.path.contains("/secrets"));
    }
    assert!(!source.is_synced());
    api.refuse_nothing();
    source.changed().await.unwrap();
    assert!(source.is_synced());
}

#[tokio::test]
async fn only_the_watched_namespace_is_asked_for_and_the_published_service_elsewhere() {
    let mut api = FakeApi::start().await;
    api.refuse("/ingressclasses", http::StatusCode::FORBIDDEN);
    let (mut source, watches) = Connection::with(api.config()).unwrap().watch(Settings {
        namespace: Some("shop".into()),
        published: Some(("infra".into(), "lb".into())),
        field_manager: "ours".into(),
        ..Settings::default()
    });
    tokio::spawn(watches);
    let expected = [
        "/api/v1/namespaces/infra/services",
        "/api/v1/namespaces/shop/configmaps",
        "/api/v1/namespaces/shop/secrets",
        "/api/v1/namespaces/shop/services",
        "/apis/bywash.dev/v1alpha1/namespaces/shop/gatewaypolicies",
        "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices",
        "/apis/networking.k8s.io/v1/namespaces/shop/ingresses",
    ];
    let mut asked = std::collections::BTreeSet::new();
    while asked.len() < expected.len() {
        asked.insert(api.next().await.path);
    }
    assert!(asked.iter().eq(expected), "{asked:?}");
    source.changed().await.unwrap();
}

#[tokio::test]
async fn secrets_are_asked_for_in_the_listed_namespaces_only() {
    let mut api = FakeApi::start().await;
    let (mut source, watches) = Connection::with(api.config()).unwrap().watch(Settings {
        secret_namespaces: Some(vec!["pay".into(), "shop".into()]),
        ..Settings::default()
    });
    tokio::spawn(watches);
    source.changed().await.unwrap();
    let mut asked = std::collections::BTreeSet::new();
    while asked.len() < 2 {
        let path = api.next().await.path;
        if path.contains("secrets") {
            asked.insert(path);
        }
    }
    let expected = ["pay", "shop"].map(|it| format!("/api/v1/namespaces/{it}/secrets"));
    assert!(asked.iter().eq(&expected), "{asked:?}");
}
