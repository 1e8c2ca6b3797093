//! What a cluster is asked about an installation: rights, versions, and the definition.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ListParams, PostParams};

use super::{Reader, Unread, unread};
use crate::report::traffic::ReplicaReport;
use crate::stores::reports;

/// A right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right<'a> {
    /// As a role names it.
    pub verb: &'a str,
    /// As a role names it.
    pub group: &'a str,
    /// As a role names it, with a subresource after a slash.
    pub resource: &'a str,
    /// Where; absent: in the whole cluster.
    pub namespace: Option<&'a str>,
}

impl Right<'_> {
    fn attributes(&self) -> ResourceAttributes {
        let (resource, subresource) = match self.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource)),
            None => (self.resource, None),
        };
        ResourceAttributes {
            verb: Some(self.verb.to_owned()),
            group: Some(self.group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource: subresource.map(str::to_owned),
            namespace: self.namespace.map(str::to_owned),
            ..ResourceAttributes::default()
        }
    }
}

impl Reader {
    /// The version of the API server, major and minor.
    ///
    /// # Errors
    /// When it does not tell.
    pub async fn version(&self) -> Result<(u32, u32), Unread> {
        let version = self.requests.apiserver_version().await;
        let version = version.map_err(|error| Unread::Failed {
            resource: "version".to_owned(),
            source: Box::new(error),
        })?;
        // Managed clusters add a plus sign.
        let number = |text: &str| text.trim_end_matches('+').parse().unwrap_or_default();
        Ok((number(&version.major), number(&version.minor)))
    }

    /// Whether whoever reads has a right.
    ///
    /// # Errors
    /// When the server does not tell.
    pub async fn may(&self, right: &Right<'_>) -> Result<bool, Unread> {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(right.attributes()),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let api = Api::<SelfSubjectAccessReview>::all(self.requests.clone());
        let answer = api.create(&PostParams::default(), &review).await;
        let answer = answer
            .map_err(|error| unread::<SelfSubjectAccessReview>(error, "create", String::new()))?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }

    /// Whether another user has a right.
    ///
    /// # Errors
    /// When the server does not tell, to those who may not ask.
    pub async fn may_other(&self, user: &str, right: &Right<'_>) -> Result<bool, Unread> {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(user.to_owned()),
                resource_attributes: Some(right.attributes()),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api = Api::<SubjectAccessReview>::all(self.requests.clone());
        let answer = api.create(&PostParams::default(), &review).await;
        let answer = answer
            .map_err(|error| unread::<SubjectAccessReview>(error, "create", String::new()))?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }

    /// A definition of a kind, if there is one of this name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn definition(&self, name: &str) -> Result<Option<CustomResourceDefinition>, Unread> {
        let api = Api::<CustomResourceDefinition>::all(self.requests.clone());
        let found = api.get_opt(name).await;
        found.map_err(|error| unread::<CustomResourceDefinition>(error, "get", String::new()))
    }

    /// What the replicas of an installation tell each other, which is known by its field manager.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn reports(
        &self,
        namespace: &str,
        field_manager: &str,
    ) -> Result<Vec<ReplicaReport>, Unread> {
        let labels = ListParams::default().labels(&reports::selector(field_manager));
        let maps: Vec<ConfigMap> = self.selected(Some(namespace), &labels).await?;
        Ok(maps.iter().filter_map(reports::read).collect())
    }
}
