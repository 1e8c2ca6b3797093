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
use tracing::{debug, info, warn};

/// The wait before the election is tried again after an error.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait before the election is tried again after an error.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How often a replica that does not lead looks whether the Lease was given up, so that another leads within
/// two seconds. The manager by itself waits until it would have ended.
const LOOK: Duration = Duration::from_secs(1);

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
    let mut troubled = false;
    let mut wait = FIRST_WAIT;
    loop {
        let error = match campaign(&client, &settings, &leading, &mut shutdown).await {
            Ok(Outcome::LookAgain) => {
                (troubled, wait) = (false, FIRST_WAIT);
                continue;
            }
            Ok(Outcome::Ended) => return,
            Err(error) => error,
        };
        let held = step_down(&leading);
        if held {
            wait = FIRST_WAIT;
        }
        report(&error, held, troubled);
        troubled = true;
        tokio::select! {
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
            () = ended(&leading, &mut shutdown) => return,
        }
    }
}

/// Says what went wrong, loudly if it is news.
fn report(error: &LeaseManagerError, held: bool, troubled: bool) {
    let error: &dyn std::error::Error = error;
    if held {
        warn!(
            error,
            "the Lease could not be renewed: not the leader any more, trying again"
        );
    } else if troubled {
        debug!(error, "still cannot take part in the election of a leader");
    } else {
        warn!(
            error,
            "cannot take part in the election of a leader; trying again"
        );
    }
}

/// True if we led until now.
fn step_down(leading: &watch::Sender<bool>) -> bool {
    leading.send_if_modified(std::mem::take)
}

/// How an election ended without an error.
enum Outcome {
    /// Another replica led when we looked last.
    LookAgain,
    /// The process ends.
    Ended,
}

/// One election, until an error, the end, or the time to see whether the leader gave the Lease up.
async fn campaign(
    client: &Client,
    settings: &Settings,
    leading: &watch::Sender<bool>,
    shutdown: &mut watch::Receiver<bool>,
) -> Result<Outcome, LeaseManagerError> {
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
        () = ended(leading, shutdown) => return Ok(Outcome::Ended),
    };
    loop {
        tokio::select! {
            changed = manager.changed() => announce(leading, settings, changed?),
            () = ended(leading, shutdown) => {
                if step_down(leading) {
                    release(&manager).await;
                }
                return Ok(Outcome::Ended);
            }
            () = tokio::time::sleep(LOOK), if !*leading.borrow() => return Ok(Outcome::LookAgain),
        }
    }
}

fn announce(leading: &watch::Sender<bool>, settings: &Settings, now: bool) {
    if leading.send_if_modified(|before| std::mem::replace(before, now) != now) {
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

#[cfg(test)]
mod tests;
