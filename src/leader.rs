//! Which replica writes: the holder of a Lease.
//!
//! Every replica serves; only the leader writes statuses and Events. Leadership is a `watch<bool>`
//! that falls to false as soon as the Lease could not be renewed, not when somebody else is known to
//! have taken it: a replica that lost the API server cannot know that. The requests must therefore
//! fail in less time than is left of the Lease when its renewal is due, which is why the client comes
//! from whoever owns clients, with a short limit, and why the election starts anew after each error
//! instead of trusting a state from before.
//!
//! Losing the Lease stops writes, never traffic.

use std::time::Duration;

use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch;
use tracing::{info, warn};

/// The longest wait before the election is tried again after an error.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// For giving the Lease up when the process ends.
const RELEASE: Duration = Duration::from_secs(2);

/// The Lease, and who we are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the Lease: one for each installation.
    pub lease: String,
    /// Its namespace: the Pod's.
    pub namespace: String,
    /// This replica, unlike every other: the Pod's name.
    pub identity: String,
    /// How long the Lease is valid without renewal; whole seconds.
    pub duration: Duration,
    /// How long before its end it is renewed; less than `duration`, whole seconds.
    pub grace: Duration,
}

impl Settings {
    /// With the usual times: 15 seconds, renewed after 10.
    pub fn new(lease: String, namespace: String, identity: String) -> Self {
        Self {
            lease,
            namespace,
            identity,
            duration: Duration::from_secs(15),
            grace: Duration::from_secs(5),
        }
    }
}

/// Takes part in the election until `leading` has no receiver left or `shutdown` becomes true (or
/// loses its sender); then the Lease is given up, if it was held, so that another replica need not
/// wait for its end.
///
/// `client`'s requests must fail within less than the grace time.
pub async fn run(
    client: Client,
    settings: Settings,
    leading: watch::Sender<bool>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut wait = Duration::from_millis(500);
    loop {
        let Err(error) = campaign(&client, &settings, &leading, &mut shutdown).await else {
            return;
        };
        let held = leading.send_replace(false);
        warn!(
            error = &error as &dyn std::error::Error,
            "{}; trying again",
            if held {
                "the Lease could not be renewed: not the leader any more"
            } else {
                "cannot take part in the election of a leader"
            },
        );
        wait = if held {
            Duration::from_millis(500)
        } else {
            (wait * 2).min(LONGEST_WAIT)
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = ended(&leading, &mut shutdown) => return,
        }
    }
}

/// One election, until an error or the end.
async fn campaign(
    client: &Client,
    settings: &Settings,
    leading: &watch::Sender<bool>,
    shutdown: &mut watch::Receiver<bool>,
) -> Result<(), LeaseManagerError> {
    let manager = LeaseManagerBuilder::new(client.clone(), &settings.lease)
        .with_namespace(&settings.namespace)
        .with_identity(&settings.identity)
        .with_duration(settings.duration.as_secs().max(2))
        .with_grace(settings.grace.as_secs().max(1))
        // Two replicas must not share one: it is by conflicts of ownership that the second is refused.
        .with_field_manager(field_manager(&settings.identity))
        .build();
    let manager = tokio::select! {
        manager = manager => manager?,
        () = ended(leading, shutdown) => return Ok(()),
    };
    loop {
        tokio::select! {
            changed = manager.changed() => announce(leading, settings, changed?),
            () = ended(leading, shutdown) => {
                if leading.send_replace(false) {
                    release(&manager).await;
                }
                return Ok(());
            }
        }
    }
}

fn announce(leading: &watch::Sender<bool>, settings: &Settings, now: bool) {
    if leading.send_replace(now) != now {
        let lease = &settings.lease;
        if now {
            info!(%lease, "leading: this replica writes statuses");
        } else {
            info!(%lease, "another replica leads");
        }
    }
}

async fn release(manager: &LeaseManager) {
    match tokio::time::timeout(RELEASE, manager.release()).await {
        Ok(Ok(())) => info!("the Lease is given up"),
        Ok(Err(error)) => warn!(%error, "the Lease could not be given up; it ends by itself"),
        Err(_) => warn!("the Lease could not be given up in time; it ends by itself"),
    }
}

async fn ended(leading: &watch::Sender<bool>, shutdown: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = leading.closed() => {}
        _ = shutdown.wait_for(|ending| *ending) => {}
    }
}

/// At most 128 bytes, as a field manager must be.
fn field_manager(identity: &str) -> String {
    let identity = &identity[identity.ceil_char_boundary(identity.len().saturating_sub(100))..];
    format!("bywash-lease-{identity}")
}
