//! Policies: what one does that the API server takes. What it refuses: `rules.rs`.

use std::sync::Arc;

use bywash::api::policy::GatewayPolicy;
use http::StatusCode;
use k8s_openapi::api::networking::v1::IngressClass;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::objects::{ingress, object};
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![
    a_policy_takes_effect_changes_and_goes,
    a_policy_that_nobody_has_looked_at_is_not_finished,
    a_policy_says_what_became_of_it_in_each_generation,
    a_policy_that_loses_to_an_older_one_says_so_until_that_is_gone,
    the_defaults_of_a_class_apply_and_say_for_whom,
    of_two_installations_the_one_that_leads_to_a_service_speaks_of_its_policy,
    two_installations_of_one_controller_name_both_speak_of_a_policy,
    a_definition_that_is_installed_later_is_noticed,
];

pub(crate) const HOST: &str = "shop.example";

pub(crate) fn policy(name: &str, spec: Value) -> GatewayPolicy {
    object(json!({"metadata": {"name": name}, "spec": spec}))
}

pub(crate) fn for_ingress(name: &str, mut sections: Value) -> Value {
    sections["targetRefs"] = json!([
        {"group": "networking.k8s.io", "kind": "Ingress", "name": name},
    ]);
    sections
}

pub(crate) fn for_service(name: &str, mut sections: Value) -> Value {
    sections["targetRefs"] = json!([{"group": "", "kind": "Service", "name": name}]);
    sections
}

async fn a_policy_takes_effect_changes_and_goes() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    bywash.processed(&ingress).await;
    assert_eq!(bywash.status(HOST, "/").await, StatusCode::OK);

    let closed = json!({"maintenance": {"enabled": true, "retryAfter": "90s"}});
    let closed = shop.create(policy("p", for_ingress("shop", closed))).await;
    bywash.processed(&closed).await;
    let answer = bywash.get(HOST, "/").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers["retry-after"], "90");

    let open = json!({"spec": {"maintenance": {"enabled": false}}});
    let open = shop.patch(&closed, open).await;
    bywash.processed(&open).await;
    assert_eq!(bywash.status(HOST, "/").await, StatusCode::OK);

    let closed = json!({"spec": {"maintenance": {"enabled": true}}});
    let closed = shop.patch(&open, closed).await;
    bywash.processed(&closed).await;
    assert_eq!(
        bywash.status(HOST, "/").await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    shop.delete(&closed).await;
    bywash.processed_deletion(&closed).await;
    assert_eq!(bywash.status(HOST, "/").await, StatusCode::OK);
}

/// Whether a condition depends on requests: those have tests of their own.
fn of_requests(said: &str) -> bool {
    let types = [
        "BadGateway=",
        "GatewayTimeout=",
        "Unavailable=",
        "UpstreamsHealthy=",
    ];
    types.iter().any(|it| said.starts_with(it))
}

/// Waits until the policy has exactly these conditions besides those that depend on requests, in the generation that is given.
pub(crate) async fn has_conditions(
    shop: &Tenant,
    given: &GatewayPolicy,
    wanted: &[&str],
) -> GatewayPolicy {
    let name = given.name_any();
    let what = format!("conditions {wanted:?} on the policy {name}");
    eventually(&what, SOON, async || {
        let now: GatewayPolicy = shop.api().get(&name).await.unwrap();
        let status = now.status.clone().unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let said: Vec<String> = conditions
            .iter()
            .map(|it| format!("{}={}/{}", it.type_, it.status, it.reason))
            .filter(|it| !it.starts_with("Stalled=False") && !of_requests(it))
            .collect();
        let current = status.observed_generation == given.metadata.generation;
        if current && said.iter().map(String::as_str).eq(wanted.iter().copied()) {
            Ok(now)
        } else {
            Err(format!("{:?}: {conditions:?}", status.observed_generation))
        }
    })
    .await
}

pub(crate) const IN_FORCE: [&str; 4] = [
    "Accepted=True/Accepted",
    "ResolvedRefs=True/ResolvedRefs",
    "Programmed=True/Programmed",
    "Ready=True/Ready",
];

async fn a_policy_that_nobody_has_looked_at_is_not_finished() {
    let shop = Tenant::new().await;
    let unseen = json!({"tlsRedirect": false});
    let unseen = shop.create(policy("p", for_ingress("shop", unseen))).await;
    let status = unseen.status.unwrap();
    assert_eq!(status.observed_generation, Some(-1));
    assert_eq!(status.conditions, None);
}

async fn a_policy_says_what_became_of_it_in_each_generation() {
    let shop = Tenant::new().await;
    shop.workload("web", 1).await;
    let bywash = shop.controller().await;
    let early = json!({"retry": {"attempts": 4}});
    let early = shop.create(policy("p", for_ingress("shop", early))).await;
    let missing = [
        "Accepted=False/TargetNotFound",
        "ResolvedRefs=False/TargetNotFound",
        "Programmed=False/TargetNotFound",
        "Ready=False/TargetNotFound",
    ];
    has_conditions(&shop, &early, &missing).await;

    let ingress = shop.ingress("shop", HOST, "web").await;
    bywash.processed(&ingress).await;
    let seen = has_conditions(&shop, &early, &IN_FORCE).await;
    let ancestors = seen.status.unwrap().ancestors.unwrap();
    let [ours] = &ancestors[..] else {
        panic!("{ancestors:?}");
    };
    assert_eq!(ours.controller_name, shop.speaker());
    assert_eq!(ours.ancestor_ref.name, "shop");
    let sections = ours.sections.as_ref().unwrap();
    let retry = sections.iter().find(|it| it.name == "retry").unwrap();
    assert_eq!(retry.origin, format!("GatewayPolicy {}/p", shop.name));
    assert!(retry.values.contains("attempts=4"), "{retry:?}");
    let timeouts = sections.iter().find(|it| it.name == "timeouts").unwrap();
    assert_eq!(timeouts.origin, "built-in");

    let edited = json!({"spec": {"retry": {"attempts": 5}}});
    let edited = shop.patch(&early, edited).await;
    assert_ne!(edited.metadata.generation, early.metadata.generation);
    let seen = has_conditions(&shop, &edited, &IN_FORCE).await;
    // The status that comes back is no reason to write it again.
    let again = json!({"spec": {"retry": {"attempts": 6}}});
    let again = shop.patch(&seen, again).await;
    has_conditions(&shop, &again, &IN_FORCE).await;
}

async fn a_policy_that_loses_to_an_older_one_says_so_until_that_is_gone() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    bywash.processed(&ingress).await;
    // Of one age, which has whole seconds, the first by name wins.
    let open = json!({"maintenance": {"enabled": false}});
    let winner = shop.create(policy("a", for_ingress("shop", open))).await;
    let closed = json!({"maintenance": {"enabled": true}});
    let loser = shop.create(policy("b", for_ingress("shop", closed))).await;
    let lost = [
        "Accepted=False/Conflicted",
        "ResolvedRefs=True/ResolvedRefs",
        "Programmed=False/Conflicted",
        "Ready=False/Conflicted",
        "Stalled=True/Conflicted",
    ];
    let told = has_conditions(&shop, &loser, &lost).await;
    let message = &told.status.unwrap().conditions.unwrap()[0].message;
    let name = format!("GatewayPolicy {}/a", shop.name);
    assert!(message.contains(&name), "{message}");
    has_conditions(&shop, &winner, &IN_FORCE).await;
    shop.event(&loser, "has the same target").await;
    assert_eq!(bywash.status(HOST, "/").await, StatusCode::OK);

    shop.delete(&winner).await;
    has_conditions(&shop, &loser, &IN_FORCE).await;
    assert_eq!(
        bywash.status(HOST, "/").await,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

/// The policy called `defaults`, for all Ingresses of the class.
pub(crate) async fn has_defaults(shop: &Tenant, sections: Value) {
    shop.create(policy("defaults", sections)).await;
    name_defaults(shop).await;
}

async fn name_defaults(shop: &Tenant) -> IngressClass {
    let parameters = json!({"spec": {"parameters": {"apiGroup": "bywash.dev",
        "kind": "GatewayPolicy", "scope": "Namespace", "namespace": shop.name,
        "name": "defaults"}}});
    let classes = Api::<IngressClass>::all(shop.client.clone());
    let (new, parameters) = (PatchParams::default(), Patch::Merge(&parameters));
    classes.patch(&shop.name, &new, &parameters).await.unwrap()
}

async fn the_defaults_of_a_class_apply_and_say_for_whom() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    let defaults = json!({"maintenance": {"enabled": true}});
    let defaults = shop.create(policy("defaults", defaults)).await;
    let bywash = shop.controller().await;
    bywash.processed(&defaults).await;
    assert_eq!(bywash.status(HOST, "/").await, StatusCode::OK);
    let nobody = [
        "Accepted=False/NoTarget",
        "ResolvedRefs=True/ResolvedRefs",
        "Programmed=False/NoTarget",
        "Ready=False/NoTarget",
        "Stalled=True/NoTarget",
    ];
    has_conditions(&shop, &defaults, &nobody).await;

    let class = name_defaults(&shop).await;
    bywash.processed(&class).await;
    assert_eq!(
        bywash.status(HOST, "/").await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let told = has_conditions(&shop, &defaults, &IN_FORCE).await;
    let ancestors = told.status.unwrap().ancestors.unwrap();
    assert_eq!(ancestors[0].ancestor_ref.kind, "IngressClass");
    assert_eq!(ancestors[0].ancestor_ref.name, shop.name);
}

async fn of_two_installations_the_one_that_leads_to_a_service_speaks_of_its_policy() {
    let (shop, other) = (Tenant::new().await, Tenant::new().await);
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let (_ours, theirs) = (shop.controller().await, other.controller().await);
    let for_service = json!({"maintenance": {"enabled": true}, "targetRefs": [
        {"group": "", "kind": "Service", "name": "web"},
    ]});
    let for_service = shop.create(policy("p", for_service)).await;
    let nobody = [
        "Accepted=False/TargetNotFound",
        "ResolvedRefs=False/TargetNotFound",
        "Programmed=False/TargetNotFound",
        "Ready=False/TargetNotFound",
    ];
    has_conditions(&shop, &for_service, &nobody).await;
    theirs.processed(&for_service).await;

    let led = shop.create(ingress(&other.name, "web", HOST, "web")).await;
    theirs.processed(&led).await;
    assert_eq!(
        theirs.status(HOST, "/").await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let told = has_conditions(&shop, &for_service, &IN_FORCE).await;
    let ancestors = told.status.unwrap().ancestors.unwrap();
    let speakers: Vec<&str> = ancestors.iter().map(|it| &*it.controller_name).collect();
    assert_eq!(speakers, [other.speaker()]);
}

async fn two_installations_of_one_controller_name_both_speak_of_a_policy() {
    let shop = Tenant::new().await;
    let other = shop.beside().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    shop.ingress("ours", HOST, "web").await;
    shop.create(ingress(&other.name, "theirs", HOST, "web"))
        .await;
    let (_ours, _theirs) = (shop.controller().await, other.controller().await);
    let both = json!({"retry": {"attempts": 2}, "targetRefs": [
        {"group": "networking.k8s.io", "kind": "Ingress", "name": "ours"},
        {"group": "networking.k8s.io", "kind": "Ingress", "name": "theirs"},
    ]});
    let both = shop.create(policy("p", both)).await;
    let mut expected = [(shop.speaker(), "ours"), (other.speaker(), "theirs")];
    expected.sort();
    eventually("entries of both", SOON, async || {
        let now: GatewayPolicy = shop.api().get(&both.name_any()).await.unwrap();
        let ancestors = now.status.unwrap_or_default().ancestors.unwrap_or_default();
        let said = ancestors
            .iter()
            .map(|it| (it.controller_name.as_str(), it.ancestor_ref.name.as_str()));
        match said.eq(expected.iter().map(|(who, name)| (who.as_str(), *name))) {
            true => Ok(()),
            false => Err(format!("{ancestors:?}")),
        }
    })
    .await;
    has_conditions(&shop, &both, &IN_FORCE).await;
}

/// A definition concerns every controller of the cluster, hence a control plane of its own.
async fn a_definition_that_is_installed_later_is_noticed() {
    let own = ControlPlane::own_without_definition("late-definition").await;
    let shop = Tenant::of(Arc::clone(&own.plane)).await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    bywash.processed(&ingress).await;
    assert_eq!(bywash.status(HOST, "/").await, StatusCode::OK);
    eventually("word of what is missing", SOON, async || {
        let log = bywash.log();
        let told = log.contains("has no gatewaypolicies.bywash.dev");
        told.then_some(()).ok_or(log)
    })
    .await;

    own.plane.install_definition().await;
    let closed = json!({"maintenance": {"enabled": true}});
    let closed = shop.create(policy("p", for_ingress("shop", closed))).await;
    bywash.processed(&closed).await;
    assert_eq!(
        bywash.status(HOST, "/").await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    has_conditions(&shop, &closed, &IN_FORCE).await;
}
