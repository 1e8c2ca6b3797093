//! What the control plane tells: seldom written, never on the path of a request that goes well.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Gauges of the configuration in force, and what is written to the API server.
#[derive(Default)]
pub struct Control {
    generation: AtomicU64,
    /// Unix time in milliseconds; 0 until something is served.
    last_change: AtomicU64,
    leader: AtomicBool,
    own_log_lines_dropped: AtomicU64,
    failure_records_dropped: AtomicU64,
    /// By severity and code.
    findings: Mutex<Counts>,
    certificates: Mutex<Arc<[CertificateEnd]>>,
    stale: OnceLock<Ask<Option<Duration>>>,
    /// By kind and result.
    writes: OnceLock<Ask<Counts>>,
}

/// Asks whoever knows.
type Ask<T> = Box<dyn Fn() -> T + Send + Sync>;

/// By two labels.
pub type Counts = BTreeMap<(&'static str, &'static str), u64>;

/// When the certificate of a Secret expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateEnd {
    /// The namespace of the Secret, and of the Ingresses that name it.
    pub namespace: Arc<str>,
    /// Its name.
    pub secret: Arc<str>,
    /// In seconds since 1970.
    pub not_after: i64,
}

impl Control {
    /// The generation that is served from now on.
    pub fn set_generation(&self, generation: u64) {
        if self.generation.swap(generation, Ordering::Relaxed) != generation {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let millis = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
            self.last_change.store(millis, Ordering::Relaxed);
        }
    }

    /// For how long the objects of some kind cannot be followed, if they cannot, is asked there.
    pub fn follows(&self, stale: impl Fn() -> Option<Duration> + Send + Sync + 'static) {
        let _there_is_one_already = self.stale.set(Box::new(stale));
    }

    /// The findings of now, each as its severity and code.
    pub fn set_findings(&self, findings: impl IntoIterator<Item = (&'static str, &'static str)>) {
        let mut counts = Counts::new();
        for finding in findings {
            *counts.entry(finding).or_insert(0) += 1;
        }
        *lock(&self.findings) = counts;
    }

    /// The certificates that are served from now on.
    pub fn set_certificates(&self, certificates: impl IntoIterator<Item = CertificateEnd>) {
        *lock(&self.certificates) = certificates.into_iter().collect();
    }

    /// Whether this replica is the one that writes to the API server.
    pub fn set_leader(&self, leader: bool) {
        self.leader.store(leader, Ordering::Relaxed);
    }

    /// How often what was written to the API, and what became of it, is asked there.
    pub fn writes_are(&self, counts: impl Fn() -> Counts + Send + Sync + 'static) {
        let _there_is_one_already = self.writes.set(Box::new(counts));
    }

    /// How many lines of the process's own log were dropped so far.
    pub fn set_own_log_lines_dropped(&self, lines: u64) {
        self.own_log_lines_dropped.store(lines, Ordering::Relaxed);
    }

    /// Counts failures of which somebody who should have learned did not.
    pub fn failure_records_dropped(&self, records: u64) {
        let dropped = &self.failure_records_dropped;
        dropped.fetch_add(records, Ordering::Relaxed);
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds since 1970 are far below 2^53"
    )]
    pub(super) fn last_change_seconds(&self) -> f64 {
        self.last_change.load(Ordering::Relaxed) as f64 / 1000.0
    }

    /// For how long what is served has been; absent until something is.
    pub(super) fn age(&self, now: SystemTime) -> Option<Duration> {
        let changed = match self.last_change.load(Ordering::Relaxed) {
            0 => return None,
            millis => UNIX_EPOCH + Duration::from_millis(millis),
        };
        Some(now.duration_since(changed).unwrap_or_default())
    }

    pub(super) fn stale(&self) -> Duration {
        let stale = self.stale.get().and_then(|stale| stale());
        stale.unwrap_or_default()
    }

    pub(super) fn certificates(&self) -> Arc<[CertificateEnd]> {
        Arc::clone(&lock(&self.certificates))
    }

    pub(super) fn leader(&self) -> bool {
        self.leader.load(Ordering::Relaxed)
    }

    pub(super) fn own_log_lines_dropped(&self) -> u64 {
        self.own_log_lines_dropped.load(Ordering::Relaxed)
    }

    pub(super) fn failure_records_lost(&self) -> u64 {
        self.failure_records_dropped.load(Ordering::Relaxed)
    }

    pub(super) fn findings(&self) -> Counts {
        lock(&self.findings).clone()
    }

    pub(super) fn writes(&self) -> Counts {
        self.writes.get().map(|counts| counts()).unwrap_or_default()
    }
}

impl CertificateEnd {
    /// Until it expires; negative once it has.
    pub(super) fn seconds_left(&self, now: SystemTime) -> i64 {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.not_after - i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
    }
}

/// What is locked here is replaced or counted up at once, so that a poisoned lock can be used.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Control(generation {})", self.generation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_to_a_certificate_goes_below_zero() {
        let end = CertificateEnd {
            namespace: "shop".into(),
            secret: "shop-tls".into(),
            not_after: 1_000,
        };
        assert_eq!(end.seconds_left(UNIX_EPOCH + Duration::from_secs(900)), 100);
        assert_eq!(
            end.seconds_left(UNIX_EPOCH + Duration::from_secs(1_100)),
            -100
        );
    }

    #[test]
    fn what_is_served_has_an_age_once_something_is() {
        let control = Control::default();
        assert_eq!(control.age(SystemTime::now()), None);
        control.set_generation(1);
        let later = SystemTime::now() + Duration::from_secs(60);
        let age = control.age(later).unwrap();
        assert!(age >= Duration::from_secs(60) && age < Duration::from_secs(120));
    }
}
