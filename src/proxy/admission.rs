//! Who may hold a connection, and how many there are.
//!
//! A connection costs memory and a file descriptor before it has said anything, so that both their
//! sum and one address's share are bounded. The same counts tell a worker whether it has more than
//! its part (the kernel's choice of a worker is uneven with few long connections), and the drain
//! when the last connection has ended.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio::sync::Notify;
use tokio::time::sleep;

/// For a client to connect again.
const QUIET: Duration = Duration::from_millis(250);

/// The counts of all workers.
#[derive(Debug)]
pub(crate) struct Admission {
    max: usize,
    max_per_address: usize,
    total: AtomicUsize,
    workers: Box<[AtomicUsize]>,
    addresses: Mutex<HashMap<IpAddr, usize, RandomState>>,
    admitted: AtomicUsize,
    refused: AtomicUsize,
    /// Told whenever the last connection has ended.
    empty: Notify,
}

impl Admission {
    /// No connection yet.
    pub(crate) fn new(workers: usize, max: usize, max_per_address: usize) -> Self {
        Self {
            max,
            max_per_address,
            total: AtomicUsize::new(0),
            workers: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
            addresses: Mutex::default(),
            admitted: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            empty: Notify::new(),
        }
    }

    /// Counts a connection in while the pass lives; `None` when there are too many.
    ///
    /// A limited address is that of a client; a trusted proxy speaks for many.
    pub(crate) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        limited: bool,
        worker: usize,
    ) -> Option<Pass> {
        if self.total.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.refuse("of all clients");
            return None;
        }
        let address = limited.then(|| network(address));
        if let Some(address) = address {
            let mut addresses = self
                .addresses
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let count = addresses.entry(address).or_default();
            if *count >= self.max_per_address {
                drop(addresses);
                self.refuse("of one client address");
                return None;
            }
            *count += 1;
        }
        self.admitted.fetch_add(1, Ordering::Relaxed);
        let worker = self.place(worker);
        if let Some(count) = self.workers.get(worker) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Some(Pass {
            admission: Arc::clone(self),
            address,
            worker,
        })
    }

    /// The worker itself, or the one with the fewest connections if it has far more than the mean.
    fn place(&self, worker: usize) -> usize {
        let count = |w: &AtomicUsize| w.load(Ordering::Relaxed);
        let mine = self.workers.get(worker).map_or(0, count);
        let all: usize = self.workers.iter().map(count).sum();
        // mine > 1.25 * mean + 8, in integers
        if 4 * mine * self.workers.len() <= 5 * all + 32 * self.workers.len() {
            return worker;
        }
        let least = self
            .workers
            .iter()
            .enumerate()
            .min_by_key(|(_, w)| count(w));
        least.map_or(worker, |(index, _)| index)
    }

    /// Open connections.
    pub(crate) fn open(&self) -> usize {
        self.total.load(Ordering::Acquire)
    }

    /// Waits until no connection is open.
    pub(crate) async fn emptied(&self) {
        loop {
            let told = self.empty.notified();
            if self.open() == 0 {
                return;
            }
            told.await;
        }
    }

    /// Waits until no connection is open, and none comes for a while: between two requests of a
    /// client that has been told to close each connection there is none for a moment.
    pub(crate) async fn quiet(&self) {
        loop {
            self.emptied().await;
            let admitted = self.admitted.load(Ordering::Relaxed);
            sleep(QUIET).await;
            if self.open() == 0 && self.admitted.load(Ordering::Relaxed) == admitted {
                return;
            }
        }
    }

    /// Tells about the 1st, 2nd, 4th, 8th, …: whoever floods us must not flood the log.
    fn refuse(&self, connections: &str) {
        self.leave();
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        if refused.is_power_of_two() {
            tracing::warn!(refused, "the limit on connections {connections} is reached");
        }
    }

    fn leave(&self) {
        if self.total.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.empty.notify_waiters();
        }
    }
}

/// One connection's place in the counts.
#[derive(Debug)]
pub(crate) struct Pass {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
    worker: usize,
}

impl Pass {
    /// The worker that the connection belongs to.
    pub(crate) fn worker(&self) -> usize {
        self.worker
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            let addresses = &self.admission.addresses;
            let mut addresses = addresses.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = addresses.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    addresses.remove(&address);
                }
            }
        }
        if let Some(count) = self.admission.workers.get(self.worker) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
        self.admission.leave();
    }
}

/// What one client holds: an IPv4 address, or a /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(workers: usize, max: usize, per_address: usize) -> Arc<Admission> {
        Arc::new(Admission::new(workers, max, per_address))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_sum_is_bounded_and_a_place_is_free_again_after_a_close() {
        let admission = admission(1, 2, 9);
        let first = admission.admit(ip("192.0.2.1"), true, 0);
        let _second = admission.admit(ip("192.0.2.2"), true, 0).unwrap();
        assert!(admission.admit(ip("192.0.2.3"), true, 0).is_none());
        drop(first);
        assert!(admission.admit(ip("192.0.2.3"), true, 0).is_some());
        assert_eq!(admission.open(), 1);
    }

    #[test]
    fn one_client_cannot_take_all_places() {
        let admission = admission(1, 9, 1);
        let _held = admission.admit(ip("192.0.2.1"), true, 0).unwrap();
        assert!(admission.admit(ip("::ffff:192.0.2.1"), true, 0).is_none());
        assert!(admission.admit(ip("192.0.2.2"), true, 0).is_some());
        let _v6 = admission.admit(ip("2001:db8::1"), true, 0).unwrap();
        assert!(admission.admit(ip("2001:db8::2"), true, 0).is_none());
        assert!(admission.admit(ip("2001:db8:0:1::1"), true, 0).is_some());
        assert_eq!(admission.open(), 2);
    }

    #[test]
    fn a_trusted_proxy_is_many_clients() {
        let admission = admission(1, 9, 1);
        let held: Vec<_> = (0..5)
            .map(|_| admission.admit(ip("10.0.0.1"), false, 0).unwrap())
            .collect();
        assert_eq!(admission.open(), held.len());
    }

    #[test]
    fn a_worker_with_far_more_than_the_mean_passes_connections_on() {
        let admission = admission(2, 99, 99);
        let passes: Vec<_> = (0..40)
            .map(|_| admission.admit(ip("192.0.2.1"), true, 0).unwrap())
            .collect();
        let mine = passes.iter().filter(|pass| pass.worker() == 0).count();
        assert!((20..35).contains(&mine), "{mine} of 40 stayed");
    }

    #[test]
    fn few_connections_stay_where_they_arrived() {
        let admission = admission(2, 99, 99);
        for _ in 0..3 {
            let pass = admission.admit(ip("192.0.2.1"), true, 1).unwrap();
            assert_eq!(pass.worker(), 1);
        }
    }

    #[tokio::test]
    async fn the_last_close_is_told() {
        let admission = admission(1, 9, 9);
        admission.emptied().await;
        let pass = admission.admit(ip("192.0.2.1"), true, 0).unwrap();
        let waiting = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.emptied().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(pass);
        waiting.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_comes_back_at_once_is_waited_for() {
        let admission = admission(1, 9, 9);
        let quiet = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.quiet().await }
        });
        for _ in 0..5 {
            sleep(QUIET / 2).await;
            assert!(!quiet.is_finished());
            drop(admission.admit(ip("192.0.2.1"), true, 0).unwrap());
        }
        quiet.await.unwrap();
    }
}
