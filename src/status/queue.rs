//! What waits to be written, and how fast it may be.
//!
//! Writes go through one bucket, so that no number of failing objects becomes a storm of requests.
//! Whatever became necessary last goes first: when there is more to say than may be said, the news
//! is worth more than the backlog, and the backlog is complete either way. What some writes are about
//! is urgent: for a while they go before all others. A write that failed waits longer each time, without
//! holding up the others.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// The wait after the first failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How long what is urgent goes before the rest; then there is so much of it that the rest would starve.
const AHEAD: Duration = Duration::from_secs(10);

/// Writes that wait, by what they are about.
#[derive(Debug)]
pub(super) struct Queue<K> {
    waiting: BTreeMap<K, Waiting>,
    /// Of the write that became necessary last.
    order: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Higher: necessary for a shorter time.
    order: u64,
    /// When it was due first.
    since: Instant,
    due: Instant,
    failures: u32,
    /// It is being written.
    begun: bool,
}

/// A bucket of tokens, one for each write.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled: Instant,
}

impl<K: Ord + Clone> Queue<K> {
    pub(super) fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            order: 0,
        }
    }

    /// Makes these the writes that are necessary, each not before its time. What waits already keeps
    /// its place; what is not named is necessary no more, but what is being written ends first.
    pub(super) fn set(&mut self, necessary: BTreeMap<K, Instant>) {
        self.waiting
            .retain(|key, waiting| waiting.begun || necessary.contains_key(key));
        for (key, due) in necessary {
            let waiting = self.waiting.entry(key).or_insert_with(|| {
                self.order += 1;
                Waiting {
                    order: self.order,
                    since: due,
                    due,
                    failures: 0,
                    begun: false,
                }
            });
            if waiting.failures == 0 {
                waiting.due = due;
            }
        }
    }

    /// The write that is due and became necessary last, an urgent one before others.
    pub(super) fn next(&self, now: Instant, urgent: impl Fn(&K) -> bool) -> Option<K> {
        let waiting = self.waiting.iter();
        let due = waiting.filter(|(_, waiting)| !waiting.begun && waiting.due <= now);
        let newest = due.max_by_key(|(key, waiting)| {
            let ahead = now < waiting.since + AHEAD && urgent(key);
            (ahead, waiting.order)
        });
        newest.map(|(key, _)| key.clone())
    }

    /// When the next write is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let waiting = self.waiting.values().filter(|waiting| !waiting.begun);
        waiting.map(|waiting| waiting.due).min()
    }

    /// The write has begun: no other about the same begins before it is done or has failed.
    pub(super) fn begun(&mut self, key: &K) {
        if let Some(waiting) = self.waiting.get_mut(key) {
            waiting.begun = true;
        }
    }

    /// The write is done.
    pub(super) fn done(&mut self, key: &K) {
        self.waiting.remove(key);
    }

    /// The write has failed and may be tried again later; never sooner than in `at_least`.
    pub(super) fn failed(&mut self, key: &K, now: Instant, at_least: Duration) {
        if let Some(waiting) = self.waiting.get_mut(key) {
            let wait = FIRST_WAIT * 2_u32.saturating_pow(waiting.failures.min(16));
            waiting.failures += 1;
            waiting.begun = false;
            waiting.due = now + wait.min(LONGEST_WAIT).max(at_least);
        }
    }
}

impl Bucket {
    /// A full bucket of `burst` tokens that gets `per_second` of them.
    pub(super) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst.max(1));
        Self {
            per_second: f64::from(per_second.max(1)),
            burst,
            tokens: burst,
            filled: now,
        }
    }

    /// Takes a token if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let taken = self.tokens >= 1.0;
        if taken {
            self.tokens -= 1.0;
        }
        taken
    }

    /// When there is a token.
    pub(super) fn ready(&mut self, now: Instant) -> Instant {
        self.fill(now);
        let missing = (1.0 - self.tokens).max(0.0);
        // Rounded up, or the token would still be missing by a hair when the time has come.
        now + Duration::from_secs_f64(missing / self.per_second)
            .max(Duration::from_millis(u64::from(missing > 0.0)))
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.burst);
        self.filled = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn at(due: Instant, keys: &[&'static str]) -> BTreeMap<&'static str, Instant> {
        keys.iter().map(|key| (*key, due)).collect()
    }

    fn all_alike(_: &&str) -> bool {
        false
    }

    #[test]
    fn what_is_urgent_goes_first_until_it_has_waited_long() {
        let now = Instant::now();
        let mut queue = Queue::new();
        queue.set(at(now, &["urgent"]));
        queue.set(at(now, &["newer", "urgent"]));
        let urgent = |key: &&str| *key == "urgent";
        assert_eq!(queue.next(now, urgent), Some("urgent"));
        assert_eq!(queue.next(now + AHEAD, urgent), Some("newer"));
        // That it is still necessary does not make it new.
        queue.set(at(now + AHEAD, &["newer", "urgent"]));
        assert_eq!(queue.next(now + AHEAD, urgent), Some("newer"));
    }

    #[test]
    fn what_became_necessary_last_is_written_first() {
        let now = Instant::now();
        let mut queue = Queue::new();
        queue.set(at(now, &["old"]));
        queue.set(at(now, &["a-newer", "old"]));
        queue.set(at(now, &["a-newer", "newest", "old"]));
        let mut order = Vec::new();
        while let Some(key) = queue.next(now, all_alike) {
            queue.done(&key);
            order.push(key);
        }
        assert_eq!(order, ["newest", "a-newer", "old"]);
    }

    #[test]
    fn what_is_being_written_is_not_begun_again_until_it_has_ended() {
        let now = Instant::now();
        let mut queue = Queue::new();
        queue.set(at(now, &["a", "b"]));
        queue.begun(&"b");
        assert_eq!(queue.next(now, all_alike), Some("a"));
        // Neither being necessary no more, nor being necessary again, begins it anew.
        queue.set(BTreeMap::new());
        queue.set(at(now, &["b"]));
        assert_eq!(queue.next(now, all_alike), None);
        assert_eq!(queue.next_due(), None);
        queue.failed(&"b", now, Duration::ZERO);
        assert_eq!(queue.next(now + FIRST_WAIT, all_alike), Some("b"));
        queue.begun(&"b");
        queue.done(&"b");
        queue.set(at(now, &["b"]));
        assert_eq!(queue.next(now, all_alike), Some("b"));
    }

    #[test]
    fn what_is_necessary_no_more_is_not_written() {
        let now = Instant::now();
        let mut queue = Queue::new();
        queue.set(at(now, &["a", "b"]));
        queue.set(at(now, &["b"]));
        assert_eq!(queue.next(now, all_alike), Some("b"));
        queue.done(&"b");
        assert_eq!(queue.next(now, all_alike), None);
    }

    #[test]
    fn a_failed_write_waits_twice_as_long_each_time_and_lets_others_pass() {
        let mut now = Instant::now();
        let mut queue = Queue::new();
        queue.set(at(now, &["good"]));
        queue.set(at(now, &["bad", "good"]));
        queue.failed(&"bad", now, Duration::ZERO);
        assert_eq!(queue.next(now, all_alike), Some("good"));
        queue.done(&"good");
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(queue.next_due(), Some(now + seconds(wait)));
            now += seconds(wait);
            // Being wanted again does not make it due earlier.
            queue.set(at(now, &["bad"]));
            queue.failed(&"bad", now, Duration::ZERO);
        }
        queue.done(&"bad");
        queue.set(at(now, &["bad"]));
        queue.failed(&"bad", now, seconds(30));
        assert_eq!(queue.next_due(), Some(now + seconds(30)));
    }

    #[test]
    fn the_bucket_lets_a_burst_pass_and_then_so_many_a_second() {
        let mut now = Instant::now();
        let mut bucket = Bucket::new(20, 100, now);
        let burst = (0..1000).take_while(|_| bucket.take(now)).count();
        assert_eq!(burst, 100);
        let mut steady = 0;
        let end = now + seconds(10);
        while now < end {
            now = bucket.ready(now);
            assert!(bucket.take(now), "a token is there when it was said to be");
            steady += 1;
        }
        assert!((190..=201).contains(&steady), "{steady}");
    }

    #[test]
    fn an_idle_bucket_never_holds_more_than_the_burst() {
        let mut now = Instant::now();
        let mut bucket = Bucket::new(20, 5, now);
        now += seconds(3600);
        let burst = (0..1000).take_while(|_| bucket.take(now)).count();
        assert_eq!(burst, 5);
    }
}
