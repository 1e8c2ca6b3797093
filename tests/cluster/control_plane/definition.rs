//! The definition of GatewayPolicy, installed as an installation would have it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, PostParams};

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
        match conditions.iter().any(established) {
            true => Ok(()),
            false => Err(format!("{conditions:?}")),
        }
    })
    .await;
}

fn is_established(
    condition: &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinitionCondition,
) -> bool {
    condition.type_ == "Established" && condition.status == "True"
}
