//! Watches that go beside the one of their kind: another label, another namespace, one by one.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use kube::core::DeserializeGuard;
use kube::{Api, Client};

use super::super::Feed;
use super::trouble::Trouble;
use super::{News, TLS_SECRETS, config, follow, optional, scoped};
use crate::api::metadata::ERROR_PAGES;

/// Follows the ConfigMaps that hold error pages.
pub(super) async fn follow_pages(
    api: Api<DeserializeGuard<ConfigMap>>,
    (manager, scope): (Arc<str>, Option<String>),
    (feed, patience): (Arc<Feed>, Duration),
) {
    let config = config().labels(&format!("{ERROR_PAGES}=true"));
    let trouble = Trouble::new(scope, Arc::clone(&feed));
    let take = |news: News<_>| match news {
        Ok(event) => feed.apply_pages(event),
        Err(error) => optional::do_without_pages(&feed, error, patience),
    };
    follow(api, config, manager, trouble, take).await;
}

/// Follows the Secrets of one listed namespace.
pub(super) async fn follow_secrets(
    client: Client,
    namespace: String,
    (feed, manager, patience): (Arc<Feed>, Arc<str>, Duration),
) {
    let api = scoped::<Secret>(&client, Some(&namespace));
    let config = config().fields(TLS_SECRETS);
    let trouble = Trouble::dispensable(namespace.clone(), Arc::clone(&feed));
    let take = |news: News<_>| match news {
        Ok(event) => feed.apply_secrets_of(&namespace, event),
        Err(error) => optional::do_without_secrets_of(&namespace, &feed, error, patience),
    };
    follow(api, config, manager, trouble, take).await;
}

/// Follows the Service whose addresses are published, where it is outside the watched namespace.
pub(super) async fn follow_published(
    client: Client,
    (namespace, name): (String, String),
    (feed, manager): (Arc<Feed>, Arc<str>),
) {
    let api = scoped::<Service>(&client, Some(&namespace));
    let config = config().fields(&format!("metadata.name={name}"));
    let trouble = Trouble::new(Some(namespace), Arc::clone(&feed));
    let take = move |news: News<_>| {
        if let Ok(event) = news {
            feed.apply_published(event);
        }
    };
    follow(api, config, manager, trouble, take).await;
}
