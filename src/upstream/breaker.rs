//! What an upstream has at once, and what is turned away because of it.
//!
//! When an upstream is slower than its clients, requests pile up on both sides until neither recovers.
//! A limit turns the next one away at once, with a time to come back, instead of letting it wait for
//! what will not come. Connections, requests that wait for one, and requests under way are counted
//! over all workers; the counts outlive the policy, so that a changed limit meets what is there.
//!
//! Where the limit of connections is reached a request waits for one: for an idle one of its own worker
//! and endpoint, or for one that is closed. Idle ones elsewhere are closed for it, since they can serve
//! nobody but their own worker and endpoint. Whoever gives a connection back or ends one wakes one
//! request that waits, and each of these looks again for both.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::routing::policy::upstream::CircuitBreaker;

use super::count::Count;
use super::places::Places;

/// What one upstream has.
#[derive(Debug)]
pub struct Load {
    /// Connections, and the requests that wait for one.
    connections: Places,
    requests: Count,
    /// Told once for each connection that was given back or ended while requests wait.
    freed: Notify,
    /// Told when a connection that no request waits for stands, or is not to be had.
    background: Notify,
    /// Each may have a connection: otherwise those of one could starve the requests of another.
    workers: u32,
}

/// A connection; counts until dropped.
#[derive(Debug)]
pub struct ConnectionPermit(Arc<Load>);

/// A request under way; counts until dropped.
#[derive(Debug)]
pub struct RequestPermit(Arc<Load>);

/// A request that waits for a connection; counts until dropped.
#[derive(Debug)]
pub struct Pending(Arc<Load>);

impl Load {
    /// Nothing yet.
    pub(super) fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            connections: Places::new(),
            requests: Count::new(),
            freed: Notify::new(),
            background: Notify::new(),
            workers: u32::try_from(workers).unwrap_or(u32::MAX),
        })
    }

    /// A request under way, if another may be.
    pub(super) fn request(self: &Arc<Self>, limits: &CircuitBreaker) -> Option<RequestPermit> {
        let taken = self.requests.take(1, limits.max_requests.into());
        taken.then(|| RequestPermit(Arc::clone(self)))
    }

    /// A connection, if another may be opened.
    pub(super) fn connection(
        self: &Arc<Self>,
        limits: Option<&CircuitBreaker>,
    ) -> Option<ConnectionPermit> {
        let Some(limits) = limits else {
            return Some(self.further_connection());
        };
        let most = limits.max_connections.max(self.workers);
        let taken = self.connections.take(most);
        taken.then(|| ConnectionPermit(Arc::clone(self)))
    }

    /// A connection, however many there are.
    pub(super) fn further_connection(self: &Arc<Self>) -> ConnectionPermit {
        self.connections.take_further();
        ConnectionPermit(Arc::clone(self))
    }

    /// A request that waits for a connection, if another may.
    pub(super) fn pending(self: &Arc<Self>, limits: &CircuitBreaker) -> Option<Pending> {
        let waits = self.connections.wait(limits.max_pending_requests);
        waits.then(|| Pending(Arc::clone(self)))
    }

    /// The same, however many wait: for what is being closed for it.
    pub(super) fn further_pending(self: &Arc<Self>) -> Pending {
        self.connections.wait_further();
        Pending(Arc::clone(self))
    }

    /// A connection that was in use is idle now.
    pub(super) fn freed(&self) {
        self.tell(self.connections.are_wanted());
    }

    /// A connection of the background stands, or is not to be had.
    pub(super) fn background_ended(&self) {
        self.background.notify_waiters();
    }

    /// When the next one does.
    pub(super) fn background(&self) -> Notified<'_> {
        self.background.notified()
    }

    fn tell(&self, somebody_waits: bool) {
        if somebody_waits {
            self.freed.notify_one();
        }
    }
}

impl Pending {
    /// When something has been freed; what was freed since this was called is not missed.
    pub fn freed(&self) -> Notified<'_> {
        self.0.freed.notified()
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.tell(self.0.connections.leave());
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        self.0.requests.give_back(1);
    }
}

impl Drop for Pending {
    /// It may have been told of what another can use.
    fn drop(&mut self) {
        self.0.tell(self.0.connections.wait_no_longer());
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    const LIMITS: CircuitBreaker = CircuitBreaker {
        max_connections: 2,
        max_pending_requests: 1,
        max_requests: 3,
    };

    fn load(workers: usize) -> Arc<Load> {
        Load::new(workers)
    }

    #[test]
    fn what_exceeds_a_limit_is_turned_away_until_something_ends() {
        let load = load(1);
        let requests: Vec<_> = (0..3).map(|_| load.request(&LIMITS).unwrap()).collect();
        assert!(load.request(&LIMITS).is_none());
        drop(requests);
        assert!(load.request(&LIMITS).is_some());

        let _first = load.connection(Some(&LIMITS)).unwrap();
        let second = load.connection(Some(&LIMITS)).unwrap();
        assert!(load.connection(Some(&LIMITS)).is_none());
        let _waits = load.pending(&LIMITS).unwrap();
        assert!(load.pending(&LIMITS).is_none());
        drop(second);
        assert!(load.connection(Some(&LIMITS)).is_some());
    }

    #[test]
    fn a_limit_that_is_set_later_meets_the_connections_that_are_there() {
        let load = load(1);
        let _open: Vec<_> = (0..5).map(|_| load.connection(None).unwrap()).collect();
        assert!(load.connection(Some(&LIMITS)).is_none());
    }

    #[test]
    fn each_worker_may_have_a_connection() {
        let load = load(4);
        let held: Vec<_> = (0..4)
            .map(|_| load.connection(Some(&LIMITS)).unwrap())
            .collect();
        assert!(load.connection(Some(&LIMITS)).is_none());
        drop(held);
    }

    #[test]
    fn a_request_that_waits_hears_of_what_ended_before_it_listened() {
        let load = load(1);
        let held: Vec<_> = (0..2).map(|_| load.connection(Some(&LIMITS))).collect();
        let pending = load.pending(&LIMITS).unwrap();
        drop(held);
        pending.freed().now_or_never().unwrap();
        assert!(load.connection(Some(&LIMITS)).is_some());
    }

    #[test]
    fn a_request_that_gives_up_passes_on_what_it_was_told() {
        let limits = CircuitBreaker {
            max_pending_requests: 2,
            ..LIMITS
        };
        let load = load(1);
        let held: Vec<_> = (0..2).map(|_| load.connection(Some(&limits))).collect();
        let first = load.pending(&limits).unwrap();
        let second = load.pending(&limits).unwrap();
        let mut told = Box::pin(first.freed());
        told.as_mut().enable();
        drop(held);
        drop(told);
        drop(first);
        second.freed().now_or_never().unwrap();
    }

    proptest! {
        #[test]
        fn whatever_the_order_no_limit_is_exceeded_and_all_is_free_in_the_end(
            steps in prop::collection::vec((0_u8..6, any::<prop::sample::Index>()), 0..200),
        ) {
            let load = load(1);
            let (mut requests, mut connections, mut pending) = (Vec::new(), Vec::new(), Vec::new());
            for (step, which) in steps {
                match step {
                    0 => requests.extend(load.request(&LIMITS)),
                    1 => connections.extend(load.connection(Some(&LIMITS))),
                    2 => pending.extend(load.pending(&LIMITS)),
                    3 if !requests.is_empty() => {
                        requests.swap_remove(which.index(requests.len()));
                    }
                    4 if !connections.is_empty() => {
                        connections.swap_remove(which.index(connections.len()));
                    }
                    5 if !pending.is_empty() => {
                        pending.swap_remove(which.index(pending.len()));
                    }
                    _ => {}
                }
                prop_assert!(requests.len() <= 3 && connections.len() <= 2 && pending.len() <= 1);
            }
            drop((requests, connections, pending));
            let requests: Vec<_> = (0..4).filter_map(|_| load.request(&LIMITS)).collect();
            let open: Vec<_> = (0..3).filter_map(|_| load.connection(Some(&LIMITS))).collect();
            let waits: Vec<_> = (0..2).filter_map(|_| load.pending(&LIMITS)).collect();
            prop_assert_eq!([requests.len(), open.len(), waits.len()], [3, 2, 1]);
        }
    }
}
