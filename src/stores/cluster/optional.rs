//! Doing without GatewayPolicies.
//!
//! Their definition is ours, and may be installed after us or not at all; a role may be older than
//! they are. Either is told as a finding, and nothing else waits for it.

use kube::runtime::watcher;

use super::super::Feed;
use super::trouble;
use crate::api::crd;
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
    let finding = Finding {
        object: None,
        position: None,
        code: Code::PoliciesUnavailable,
        message: format!(
            "{} {what}; without it no GatewayPolicy has an effect",
            crd::NAME
        ),
    };
    feed.lacks_policies(finding, gone);
}

#[cfg(test)]
mod tests {
    use super::super::{Connection, Settings};
    use super::*;
    use crate::stores::View;
    use crate::stores::fake_api::FakeApi;

    #[tokio::test]
    async fn without_the_kind_or_the_right_to_read_policies_the_rest_is_served_and_it_is_told() {
        for status in [http::StatusCode::NOT_FOUND, http::StatusCode::FORBIDDEN] {
            let api = FakeApi::start().await;
            api.refuse("/gatewaypolicies", status);
            let connection = Connection::with(api.config()).unwrap();
            let (mut source, watches) = connection.watch(Settings::default());
            tokio::spawn(watches);
            let codes = |view: &View| -> Vec<Code> {
                view.findings.iter().map(|finding| finding.code).collect()
            };
            let view = source.next().await.unwrap();
            assert_eq!(codes(&view), [Code::PoliciesUnavailable], "{status}");
            api.refuse_nothing();
            while !codes(&source.next().await.unwrap()).is_empty() {}
        }
    }
}
