//! Doing without GatewayPolicies or ConfigMaps.
//!
//! The definition of the former is ours, and may be installed after us or not at all; a role may be
//! older than the need to read them. Either is told as a finding, and nothing else waits for it.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher;

use super::super::Feed;
use super::trouble;
use crate::api::crd;
use crate::api::policy::GatewayPolicy;
use crate::report::{Code, Finding};

/// A cluster without the definition of GatewayPolicy, or without the right to read them, is served all
/// the same.
pub(super) fn do_without_policies(feed: &Feed, error: &watcher::Error) {
    let (gone, what) = match trouble::code(error) {
        404 => (
            true,
            "is not installed: install it with 'bywash crds | kubectl apply --server-side -f -'",
        ),
        403 => (
            false,
            "may not be read: grant \"list\" and \"watch\" on it to this service account",
        ),
        _ => return,
    };
    let message = format!(
        "{} {what}; without it no GatewayPolicy has an effect",
        crd::NAME
    );
    feed.lacks::<GatewayPolicy>(finding(Code::PoliciesUnavailable, message), gone);
}

/// So is one without the right to read ConfigMaps, which only some policies need.
pub(super) fn do_without_config_maps(feed: &Feed, error: &watcher::Error) {
    if trouble::code(error) != 403 {
        return;
    }
    let message = "configmaps may not be read: grant \"list\" and \"watch\" on them to this service \
                   account; without it the caConfigMap of a policy is not found";
    feed.lacks::<ConfigMap>(
        finding(Code::ConfigMapsUnavailable, message.to_owned()),
        false,
    );
}

fn finding(code: Code, message: String) -> Finding {
    Finding {
        object: None,
        position: None,
        code,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Connection, Settings};
    use super::*;
    use crate::stores::View;
    use crate::stores::fake_api::FakeApi;

    /// Each of these refusals is told while it lasts, and holds nothing back.
    async fn is_done_without(path: &'static str, statuses: &[u16], code: Code) {
        for status in statuses {
            let api = FakeApi::start().await;
            api.refuse(path, http::StatusCode::from_u16(*status).unwrap());
            let connection = Connection::with(api.config()).unwrap();
            let (mut source, watches) = connection.watch(Settings::default());
            tokio::spawn(watches);
            let codes = |view: &View| -> Vec<Code> {
                view.findings.iter().map(|finding| finding.code).collect()
            };
            let view = source.next().await.unwrap();
            assert_eq!(codes(&view), [code], "{status}");
            api.refuse_nothing();
            while !codes(&source.next().await.unwrap()).is_empty() {}
        }
    }

    #[tokio::test]
    async fn without_the_kind_or_the_right_to_read_policies_the_rest_is_served_and_it_is_told() {
        is_done_without("/gatewaypolicies", &[404, 403], Code::PoliciesUnavailable).await;
    }

    #[tokio::test]
    async fn without_the_right_to_read_config_maps_the_rest_is_served_and_it_is_told() {
        is_done_without("/configmaps", &[403], Code::ConfigMapsUnavailable).await;
    }
}
