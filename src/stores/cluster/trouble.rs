//! Saying once, and clearly, that a watch does not get what it asks for.
//!
//! A watch retries for ever; without this, a server that is away for hours would fill the log with
//! the same line from every kind. What is wrong is said when it begins, when it becomes something
//! else, then once a minute, and when it is over.

use std::sync::Arc;
use std::time::Duration;

use kube::Resource;
use kube::runtime::watcher;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::super::Feed;
use super::super::shelf::Watched;
use crate::report::Kind;

/// Between two lines about the same trouble.
const REPEAT: Duration = Duration::from_secs(60);

/// What is wrong with one watch, if anything.
pub(super) struct Trouble {
    /// The namespace that is watched; absent: all.
    scope: Option<String>,
    /// Whether nobody waits for it when it is refused.
    dispensable: bool,
    /// Is told when objects change without our knowing.
    feed: Arc<Feed>,
    current: Option<(Class, Instant)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// The server refuses us: a right is missing.
    Forbidden,
    /// The server does not know us: the credentials are not (or no longer) good.
    Unauthorized,
    /// The server does not know the kind.
    Unknown,
    /// The version that we were at is forgotten; a new list follows.
    Expired,
    /// Anything else: away, overloaded, an answer that makes no sense.
    Unavailable,
}

impl Class {
    /// Whether objects of a kind change from now on without our knowing, as against a kind that is not
    /// there or can be done without.
    fn is_outage(self, kind: Kind, dispensable: bool) -> bool {
        let optional = matches!(kind, Kind::ConfigMap | Kind::GatewayPolicy);
        match self {
            Self::Unauthorized | Self::Unavailable => true,
            Self::Forbidden => !(optional || dispensable),
            Self::Unknown | Self::Expired => false,
        }
    }
}

impl Trouble {
    pub(super) fn new(scope: Option<String>, feed: Arc<Feed>) -> Self {
        Self {
            scope,
            dispensable: false,
            feed,
            current: None,
        }
    }

    /// A watch that can be done without, though its kind cannot.
    pub(super) fn dispensable(scope: String, feed: Arc<Feed>) -> Self {
        Self {
            dispensable: true,
            ..Self::new(Some(scope), feed)
        }
    }

    /// The watch has failed.
    pub(super) fn met<K: Watched>(&mut self, error: &watcher::Error) {
        let class = classify(error);
        if class.is_outage(K::KIND, self.dispensable) {
            self.feed.lost_sight(K::KIND);
        }
        if let Some((current, since)) = self.current
            && current == class
            && since.elapsed() < REPEAT
        {
            return;
        }
        self.current = Some((class, Instant::now()));
        let resource = resource::<K>();
        match class {
            Class::Forbidden => error!(%error, "{}", self.missing_right(&resource)),
            Class::Unauthorized => {
                error!(%error, "the API server does not accept our credentials: cannot watch {resource}");
            }
            Class::Unknown => {
                warn!("the API server has no {resource}: going on without, and looking again");
            }
            Class::Expired => info!("the watch of {resource} was too far behind: reading all anew"),
            Class::Unavailable => {
                warn!(%error, "cannot watch {resource}: going on with what is known, and trying again");
            }
        }
    }

    /// The watch delivers.
    pub(super) fn over<K: Watched>(&mut self) {
        if let Some((class, _)) = self.current.take() {
            self.feed.sees_again(K::KIND);
            if class != Class::Expired {
                info!("watching {} again", resource::<K>());
            }
        }
    }

    fn missing_right(&self, resource: &str) -> String {
        let place = match &self.scope {
            Some(namespace) => format!("in namespace {namespace}"),
            None => "in all namespaces".to_owned(),
        };
        format!(
            "not allowed to list and watch {resource} {place}: grant \"list\" and \"watch\" on it to \
             this service account"
        )
    }
}

/// `ingresses.networking.k8s.io`, as `kubectl auth can-i` takes it.
pub(in crate::stores) fn resource<K: Resource<DynamicType = ()>>() -> String {
    let (plural, group) = (K::plural(&()), K::group(&()));
    if group.is_empty() {
        plural.into_owned()
    } else {
        format!("{plural}.{group}")
    }
}

fn classify(error: &watcher::Error) -> Class {
    match code(error) {
        401 => Class::Unauthorized,
        403 => Class::Forbidden,
        404 => Class::Unknown,
        410 => Class::Expired,
        _ => Class::Unavailable,
    }
}

/// The status with which the server refused; 0 where it did not get that far.
pub(super) fn code(error: &watcher::Error) -> u16 {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => status.code,
        watcher::Error::WatchError(status) => status.code,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::source;
    use k8s_openapi::api::core::v1::Secret;
    use k8s_openapi::api::networking::v1::IngressClass;
    use kube::core::Status;

    fn trouble(scope: Option<&str>) -> Trouble {
        let (feed, _source) = source();
        Trouble::new(scope.map(str::to_owned), Arc::new(feed))
    }

    fn refused(code: u16) -> watcher::Error {
        let mut status = Status::failure("no", "No");
        status.code = code;
        watcher::Error::InitialListFailed(kube::Error::Api(status.boxed()))
    }

    #[test]
    fn a_missing_right_is_named_as_kubectl_auth_can_i_would_ask_for_it() {
        assert_eq!(
            resource::<IngressClass>(),
            "ingressclasses.networking.k8s.io"
        );
        assert_eq!(resource::<Secret>(), "secrets");
        let all = trouble(None).missing_right("secrets");
        assert!(all.contains("secrets in all namespaces"), "{all}");
        let one = trouble(Some("shop")).missing_right("secrets");
        assert!(one.contains("secrets in namespace shop"), "{one}");
    }

    #[test]
    fn what_can_be_done_without_is_no_outage() {
        let is_outage = |code, kind| classify(&refused(code)).is_outage(kind, false);
        assert!(is_outage(403, Kind::Secret));
        assert!(is_outage(503, Kind::Secret));
        assert!(!is_outage(410, Kind::Secret));
        assert!(!is_outage(403, Kind::GatewayPolicy));
        assert!(!is_outage(404, Kind::GatewayPolicy));
        assert!(is_outage(401, Kind::GatewayPolicy));
        assert!(!classify(&refused(403)).is_outage(Kind::Secret, true));
        assert!(classify(&refused(503)).is_outage(Kind::Secret, true));
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_trouble_is_said_once_a_minute_and_another_at_once() {
        let mut trouble = trouble(None);
        trouble.met::<Secret>(&refused(503));
        let first = trouble.current;
        assert!(matches!(first, Some((Class::Unavailable, _))));
        tokio::time::advance(Duration::from_secs(59)).await;
        trouble.met::<Secret>(&refused(500));
        assert_eq!(trouble.current, first);
        tokio::time::advance(Duration::from_secs(1)).await;
        trouble.met::<Secret>(&refused(503));
        assert_ne!(trouble.current, first);
        trouble.met::<Secret>(&refused(403));
        assert!(matches!(trouble.current, Some((Class::Forbidden, _))));
        trouble.over::<Secret>();
        assert!(trouble.current.is_none());
    }
}
