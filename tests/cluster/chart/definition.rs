//! Nothing that is done to a release deletes the definition, takes it back or loses a policy.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use bywash::api::crd;
use bywash::api::policy::GatewayPolicy;

use super::release::{Helm, NEWER, OLDER, chart, values};
use crate::control_plane::ControlPlane;
use crate::objects::object;
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![
    with_helm_4_the_definition_outlives_every_release,
    with_helm_3_the_definition_outlives_every_release,
];

async fn with_helm_4_the_definition_outlives_every_release() {
    outlives(NEWER).await;
}

async fn with_helm_3_the_definition_outlives_every_release() {
    outlives(OLDER).await;
}

async fn outlives(version: &str) {
    let own = ControlPlane::own_without_definition(&format!("chart-{version}")).await;
    let shop = Tenant::of(std::sync::Arc::clone(&own.plane)).await;
    let helm = Helm::of(version, &shop);
    let given = values(&shop);

    helm.apply("install", "edge", &given, &[]).await;
    let policy = policy(&shop).await;
    let kept = Kept {
        definition: upgraded(&shop).await,
        policy,
        shop: &shop,
    };

    let mut changed = given.clone();
    changed["controller"]["replicaCount"] = json!(3);
    helm.apply("upgrade", "edge", &changed, &[]).await;
    kept.as_before("an upgrade").await;
    helm.run(&["rollback", "edge", "1"]).await;
    kept.as_before("a rollback").await;
    helm.run(&["uninstall", "edge"]).await;
    kept.as_before("an uninstall").await;
    // Helm 3 leaves alone what is there; Helm 4 applies it, and stops where another manager has changed it.
    let again = helm.try_apply("install", "edge", &given, &[]).await;
    kept.as_before("another install").await;
    if version == NEWER {
        let said = again.unwrap_err();
        assert!(said.contains("conflict with \"kubectl\""), "{said}");
        helm.apply("install", "edge", &given, &["--skip-crds"])
            .await;
        kept.as_before("an install without definitions").await;
    }
    helm.run(&["uninstall", "edge"]).await;

    // The other chart, after a first install from the folder of this one.
    let crds = chart("bywash-crds");
    let said = helm.try_run(&["install", "crds", &crds]).await.unwrap_err();
    assert!(said.contains("invalid ownership metadata"), "{said}");
    kept.as_before("an install that is refused").await;
    let take = ["install", "crds", &crds, "--take-ownership"];
    let forced = [&take[..], &["--force-conflicts"]].concat();
    helm.run(if version == NEWER { &forced } else { &take })
        .await;
    kept.there("an install that takes over").await;
    helm.run(&["uninstall", "crds"]).await;
    kept.there("an uninstall of the definitions").await;
    helm.run(if version == NEWER { &forced } else { &take })
        .await;
    helm.apply("install", "edge", &given, &["--skip-crds"])
        .await;
    helm.run(&["uninstall", "edge"]).await;
    kept.there("an uninstall beside the definitions").await;
}

/// What must be there all the time.
struct Kept<'a> {
    shop: &'a Tenant,
    definition: CustomResourceDefinition,
    policy: GatewayPolicy,
}

impl Kept<'_> {
    async fn there(&self, after: &str) -> CustomResourceDefinition {
        let api = Api::<CustomResourceDefinition>::all(self.shop.client.clone());
        let now = api.get(crd::NAME).await;
        let now = now.unwrap_or_else(|error| panic!("after {after}: {error}"));
        assert_eq!(now.uid(), self.definition.uid(), "after {after}");
        assert_eq!(now.metadata.deletion_timestamp, None, "after {after}");
        let policy: GatewayPolicy = self.shop.api().get("defaults").await.unwrap();
        assert_eq!(policy.uid(), self.policy.uid(), "after {after}");
        now
    }

    /// Neither gone nor replaced by an older one.
    async fn as_before(&self, after: &str) {
        let now = self.there(after).await;
        assert_eq!(
            now.metadata.generation, self.definition.metadata.generation,
            "after {after}"
        );
    }
}

/// The definition is served soon after it was installed.
pub(super) async fn policy(shop: &Tenant) -> GatewayPolicy {
    let policy: GatewayPolicy = object(json!({
        "metadata": {"name": "defaults"}, "spec": {"timeouts": {"read": "30s"}},
    }));
    eventually("definition that is served", SOON, async || {
        let api = shop.api::<GatewayPolicy>();
        let created = api.create(&kube::api::PostParams::default(), &policy).await;
        created.map_err(|error| error.to_string())
    })
    .await
}

/// A later version of the definition, as `bywash crds | kubectl apply --server-side --force-conflicts -f -` would bring it.
async fn upgraded(shop: &Tenant) -> CustomResourceDefinition {
    let mut later = crd::definition();
    later["spec"]["names"]["shortNames"] = json!(["gwp", "later"]);
    let by_kubectl = PatchParams::apply("kubectl").force();
    let api = Api::<CustomResourceDefinition>::all(shop.client.clone());
    let before = api.get(crd::NAME).await.unwrap();
    let later = api
        .patch(crd::NAME, &by_kubectl, &Patch::Apply(later))
        .await
        .unwrap();
    assert!(later.metadata.generation > before.metadata.generation);
    later
}
