//! Doing without GatewayPolicies, ConfigMaps, or the Secrets of one of several namespaces.
//!
//! The definition of the former is ours, and may be installed after us or not at all; a role may be
//! older than the need to read them. Either is told as a finding, and nothing else waits for it. A refusal
//! is believed once it has lasted: whoever began without policies because of a single one would serve what
//! they close. A namespace whose Secrets are listed may be gone together with its role: that must not keep the
//! others from being served.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher;
use tokio::time::Instant;

use super::super::Feed;
use super::super::shelf::Lack;
use super::trouble;
use crate::api::crd;
use crate::api::policy::GatewayPolicy;
use crate::report::{Code, Finding};

/// For how long a kind that was never read may be refused before we begin without it.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster without the definition of GatewayPolicy, or without the right to read them, is served all
/// the same.
pub(super) fn do_without_policies(feed: &Feed, error: &watcher::Error, patience: Duration) {
    let (lack, what) = match trouble::code(error) {
        404 => (
            Lack::Gone,
            "is not installed: install it with 'bywash crds | kubectl apply --server-side -f -'",
        ),
        403 => (
            refused(patience),
            "may not be read: grant \"list\" and \"watch\" on it to this service account",
        ),
        _ => return,
    };
    let message = format!(
        "{} {what}; without it no GatewayPolicy has an effect",
        crd::NAME
    );
    feed.lacks::<GatewayPolicy>(finding(Code::PoliciesUnavailable, message), lack);
}

/// So is one without the right to read ConfigMaps, which only some policies need.
pub(super) fn do_without_config_maps(feed: &Feed, error: &watcher::Error, patience: Duration) {
    if let Some(finding) = no_config_maps(error) {
        feed.lacks::<ConfigMap>(finding, refused(patience));
    }
}

/// The same for those that hold error pages.
pub(super) fn do_without_pages(feed: &Feed, error: &watcher::Error, patience: Duration) {
    if let Some(finding) = no_config_maps(error) {
        feed.lacks_pages(finding, refused(patience));
    }
}

/// And one without the right to read the Secrets of a listed namespace.
pub(super) fn do_without_secrets_of(
    namespace: &str,
    feed: &Feed,
    error: &watcher::Error,
    patience: Duration,
) {
    if trouble::code(error) != 403 {
        return;
    }
    let message = format!(
        "secrets of namespace {namespace} may not be read: grant \"list\" and \"watch\" on them there to \
         this service account, or take it off --secret-namespaces; without it its certificates are not \
         found"
    );
    let finding = finding(Code::SecretsUnavailable, message);
    feed.lacks_secrets_of(namespace, finding, refused(patience));
}

fn no_config_maps(error: &watcher::Error) -> Option<Finding> {
    let message = "configmaps may not be read: grant \"list\" and \"watch\" on them to this service \
                   account; without it the ConfigMaps that policies name are not found";
    let refused = trouble::code(error) == 403;
    refused.then(|| finding(Code::ConfigMapsUnavailable, message.to_owned()))
}

fn refused(patience: Duration) -> Lack {
    let now = Instant::now();
    Lack::Refused { now, patience }
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
    use crate::stores::shelf::Shelf;

    /// Each of these refusals is told while it lasts, and holds nothing back.
    async fn is_done_without(path: &'static str, statuses: &[u16], code: Code) {
        for status in statuses {
            let api = FakeApi::start().await;
            api.refuse(path, http::StatusCode::from_u16(*status).unwrap());
            let connection = Connection::with(api.config()).unwrap();
            let (mut source, watches) = connection.watch(Settings {
                patience: Some(Duration::ZERO),
                ..Settings::default()
            });
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
    async fn a_listed_namespace_whose_secrets_are_refused_is_done_without_and_it_is_told() {
        let api = FakeApi::start().await;
        api.refuse("/gone/secrets", http::StatusCode::FORBIDDEN);
        let connection = Connection::with(api.config()).unwrap();
        let (mut source, watches) = connection.watch(Settings {
            secret_namespaces: Some(vec!["gone".into(), "shop".into()]),
            patience: Some(Duration::ZERO),
            ..Settings::default()
        });
        tokio::spawn(watches);
        let view = source.next().await.unwrap();
        assert!(
            matches!(view.findings.as_slice(), [it] if it.code == Code::SecretsUnavailable
                && it.message.contains("namespace gone")),
            "{:?}",
            view.findings
        );
        api.refuse_nothing();
        while !source.next().await.unwrap().findings.is_empty() {}
    }

    #[test]
    fn a_refusal_that_lasts_is_believed_and_a_missing_kind_at_once() {
        let start = Instant::now();
        let lack = |shelf: &mut Shelf<GatewayPolicy>, seconds| {
            let lack = Lack::Refused {
                now: start + Duration::from_secs(seconds),
                patience: PATIENCE,
            };
            shelf.lack(finding(Code::PoliciesUnavailable, "refused".into()), lack)
        };
        let mut shelf = Shelf::default();
        assert!(!lack(&mut shelf, 5) && !lack(&mut shelf, 34) && !shelf.is_synced());
        assert!(lack(&mut shelf, 35) && shelf.is_synced());
        let mut shelf = Shelf::<GatewayPolicy>::default();
        let missing = finding(Code::PoliciesUnavailable, "missing".into());
        assert!(shelf.lack(missing, Lack::Gone) && shelf.is_synced());
    }

    #[tokio::test]
    async fn a_single_refusal_at_the_start_does_not_make_it_begin_without_policies() {
        let mut api = FakeApi::start().await;
        api.refuse("/gatewaypolicies", http::StatusCode::FORBIDDEN);
        let connection = Connection::with(api.config()).unwrap();
        let (mut source, watches) = connection.watch(Settings::default());
        tokio::spawn(watches);
        let mut refusals = 0;
        while refusals < 2 {
            refusals += u32::from(api.next().await.path.contains("/gatewaypolicies"));
        }
        assert!(!source.is_synced());
        api.refuse_nothing();
        assert_eq!(source.next().await.unwrap().findings, []);
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
