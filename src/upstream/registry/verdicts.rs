//! Verdicts of probes on their way to requests.
//!
//! Where a node goes or a network breaks, the verdicts on many endpoints change together, and each would
//! have the endpoints of its upstreams laid out anew. So they are noted, and one task gives requests
//! whatever has changed since it last did: the first at once, what comes within a while after that
//! together. It runs on a blocking thread, since the registry's lock is held meanwhile, and lives as long
//! as there is something to do.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::routing::policy::upstream::HealthCheck;
use crate::routing::snapshot::EndpointGroup;

use super::Registry;

/// For so long after it gave requests what changed the task waits.
const PAUSE: Duration = Duration::from_millis(50);

/// Who asked, and what: the verdicts of one prober.
pub(super) type Changed = (EndpointGroup, HealthCheck);

/// Those that changed, each once.
#[derive(Debug, Default)]
pub(super) struct Verdicts(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    changed: BTreeSet<Changed>,
    /// Whether a task sees to them.
    seen_to: bool,
}

impl Verdicts {
    /// Notes a change; whether a task is to be made that sees to it.
    fn note(&self, changed: Changed) -> bool {
        let mut noted = self.lock();
        noted.changed.insert(changed);
        !std::mem::replace(&mut noted.seen_to, true)
    }

    /// What has changed; absent: nothing, and the task ends.
    fn take(&self) -> Option<BTreeSet<Changed>> {
        let mut noted = self.lock();
        let changed = std::mem::take(&mut noted.changed);
        noted.seen_to = !changed.is_empty();
        noted.seen_to.then_some(changed)
    }

    /// The set is whole between statements, so that a poisoned lock can be used.
    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A verdict changed. Must run inside a tokio runtime.
pub(super) fn changed(registry: &Weak<Registry>, changed: &Changed) {
    let Some(living) = registry.upgrade() else {
        return;
    };
    if living.verdicts.note(changed.clone()) {
        tokio::spawn(give_requests(Weak::clone(registry)));
    }
}

async fn give_requests(registry: Weak<Registry>) {
    while let Some(registry) = registry.upgrade() {
        let Some(changed) = registry.verdicts.take() else {
            return;
        };
        let each = move || changed.iter().for_each(|it| registry.publish_again(it));
        if let Err(error) = tokio::task::spawn_blocking(each).await {
            tracing::error!(%error, "what probes found does not reach requests");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::routing::policy::upstream::Probe;
    use crate::routing::snapshot::ServicePort;

    fn of(name: &str) -> Changed {
        let service = ServicePort {
            namespace: "shop".into(),
            name: name.into(),
            port: 80,
        };
        let check = HealthCheck {
            probe: Probe::Tcp,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            healthy_threshold: 2,
            unhealthy_threshold: 3,
        };
        (EndpointGroup { service, tls: None }, check)
    }

    #[test]
    fn what_changes_together_reaches_requests_together_by_one_task() {
        let verdicts = Verdicts::default();
        assert!(verdicts.note(of("cart")));
        for name in ["cart", "web", "cart"] {
            assert!(!verdicts.note(of(name)), "there is a task");
        }
        let changed = verdicts.take().unwrap();
        assert_eq!(changed, [of("cart"), of("web")].into());
        assert!(!verdicts.note(of("web")), "it looks again");
        assert_eq!(verdicts.take(), Some([of("web")].into()));
        assert_eq!(verdicts.take(), None);
        assert!(verdicts.note(of("web")), "it has ended");
    }
}
