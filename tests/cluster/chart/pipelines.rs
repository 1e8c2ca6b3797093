//! The definition in pipelines that render the charts themselves: Flux replaces it, Argo CD applies it, and
//! neither loses a policy. What they do is done with kubectl as they do it.

use bywash::api::crd;
use bywash::api::policy::GatewayPolicy;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::definition;
use super::release::{Helm, NEWER, chart, values};
use crate::control_plane::ControlPlane;
use crate::gitops::{SERVER_SIDE, applied};
use crate::objects::object;
use crate::tenant::Tenant;

trials![flux_and_argo_cd_upgrade_the_definition_and_lose_no_policy,];

/// What a deletion of the Application, and its pruning, leave alone.
const KEPT: [&str; 2] = ["Delete=false", "Prune=false"];

async fn flux_and_argo_cd_upgrade_the_definition_and_lose_no_policy() {
    let own = ControlPlane::own_without_definition("pipelines").await;
    let shop = Tenant::of(std::sync::Arc::clone(&own.plane)).await;
    let helm = Helm::of(NEWER, &shop);
    let installed = an_older_one(&shop).await;
    let policy = definition::policy(&shop).await;

    // Flux, with `upgrade.crds: CreateReplace`: it replaces what `crds/` has, then Helm skips that folder.
    let shown = helm.run(&["show", "crds", &chart("bywash")]).await;
    applied(&shop, &["replace", "--filename=-"], &objects(&shown));
    helm.apply("install", "edge", &values(&shop), &["--skip-crds"])
        .await;
    let replaced = the_present_one(&shop).await;
    assert_eq!(replaced.uid(), installed.uid());

    // Argo CD, with `skipCrds: true` for `bywash` beside `bywash-crds`: one owner of the definition.
    let (crds, bywash) = (chart("bywash-crds"), chart("bywash"));
    let crds = objects(&helm.run(&["template", "crds", &crds]).await);
    let skipped = ["template", "argo", &bywash, "--skip-crds"];
    let skipped = objects(&helm.run(&skipped).await);
    assert!(!skipped.is_empty() && !skipped.iter().any(is_definition));
    let synced = [&SERVER_SIDE[..], &["--force-conflicts"]].concat();
    applied(&shop, &synced, &crds);
    let taken = the_present_one(&shop).await;
    assert_eq!(taken.uid(), installed.uid());
    applied(&shop, &synced, &crds);
    let again = the_present_one(&shop).await;
    assert_eq!(again.resource_version(), taken.resource_version());

    // Whoever forgets `skipCrds` renders it twice, and keeps it all the same: each copy says so.
    let all = objects(
        &helm
            .run(&["template", "argo", &bywash, "--include-crds"])
            .await,
    );
    let definitions = all.iter().chain(&crds).filter(|it| is_definition(it));
    let options = definitions.map(|it| {
        let annotations = &it["metadata"]["annotations"];
        let options = annotations["argocd.argoproj.io/sync-options"].as_str();
        options.unwrap().split(',').collect::<Vec<_>>()
    });
    let options: Vec<_> = options.collect();
    assert_eq!(options.len(), 2);
    let kept = |options: &Vec<&str>| KEPT.iter().all(|kept| options.contains(kept));
    assert!(options.iter().all(kept), "{options:?}");

    let now: GatewayPolicy = shop.api().get(&policy.name_any()).await.unwrap();
    assert_eq!(now.uid(), policy.uid());
}

/// One that lacks what came later.
async fn an_older_one(shop: &Tenant) -> CustomResourceDefinition {
    let mut older = crd::definition();
    older["spec"]["names"]["shortNames"] = json!([]);
    let api = Api::<CustomResourceDefinition>::all(shop.client.clone());
    let created = api.create(&PostParams::default(), &object(older)).await;
    created.unwrap()
}

/// The one in the cluster, which is that of this version.
async fn the_present_one(shop: &Tenant) -> CustomResourceDefinition {
    let api = Api::<CustomResourceDefinition>::all(shop.client.clone());
    let now = api.get(crd::NAME).await.unwrap();
    let wanted: CustomResourceDefinition = object(crd::definition());
    assert_eq!(now.spec.names.short_names, wanted.spec.names.short_names);
    now
}

fn objects(rendered: &str) -> Vec<Value> {
    let mut objects = serde_saphyr::from_multiple::<Value>(rendered).unwrap();
    objects.retain(|object| !object.is_null());
    objects
}

fn is_definition(object: &Value) -> bool {
    object["kind"] == "CustomResourceDefinition"
}
