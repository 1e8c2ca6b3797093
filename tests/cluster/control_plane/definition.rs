//! The definition of GatewayPolicy, installed as an installation would have it.

use bywash::api::policy::GatewayPolicy;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, ListParams, PostParams};

use crate::wait::{SOON, eventually};

pub(super) async fn install(client: &Client) {
    let definition = serde_json::from_value(bywash::api::crd::definition()).unwrap();
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    api.create(&PostParams::default(), &definition)
        .await
        .unwrap();
    eventually("definition that is served", SOON, async || {
        let definition = api.get_status(bywash::api::crd::NAME).await.unwrap();
        let conditions = definition.status.and_then(|status| status.conditions);
        let conditions = conditions.unwrap_or_default();
        let established = |it: &_| is_established(it);
        if !conditions.iter().any(established) {
            return Err(format!("{conditions:?}"));
        }
        // It may say so a moment before that holds.
        let served = Api::<GatewayPolicy>::all(client.clone());
        let listed = served.list(&ListParams::default()).await;
        listed.map(drop).map_err(|error| error.to_string())
    })
    .await;
}

fn is_established(
    condition: &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinitionCondition,
) -> bool {
    condition.type_ == "Established" && condition.status == "True"
}
