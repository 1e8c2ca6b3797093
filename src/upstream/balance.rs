//! The choice of an endpoint: the better of two drawn at random.
//!
//! The cost of an endpoint is what a request waits there: those before it and itself, times the
//! average time to a response head. Drawing two and taking the cheaper one spreads the load without
//! the herd that runs to the single cheapest. An endpoint of which nothing is known yet is taken to
//! be as fast as the one that it is compared with.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::endpoint::Endpoint;

/// The endpoints of an upstream at one moment.
#[derive(Debug, Default)]
pub struct EndpointSet {
    /// Those that take new requests.
    pub ready: Vec<Arc<Endpoint>>,
    /// Those that terminate but still serve: used when nothing is ready.
    pub draining: Vec<Arc<Endpoint>>,
}

impl EndpointSet {
    /// Those that a request may use now.
    pub fn usable(&self) -> &[Arc<Endpoint>] {
        if self.ready.is_empty() {
            &self.draining
        } else {
            &self.ready
        }
    }

    /// Chooses an endpoint, one that was not tried while there is one. `typical` is the time to a
    /// response head over the whole upstream, in microseconds.
    pub fn choose(
        &self,
        tried: &[SocketAddr],
        typical: f32,
        rng: &mut SmallRng,
    ) -> Option<&Arc<Endpoint>> {
        let usable = self.usable();
        let now = Instant::now();
        if tried.is_empty() {
            return better_of_two(usable, |e, other| cost(e, other, typical, now), rng);
        }
        let fresh = |e: &&Arc<Endpoint>| !tried.contains(&e.address());
        let mut left: Vec<_> = usable.iter().filter(fresh).collect();
        if left.is_empty() {
            left = usable.iter().collect();
        }
        better_of_two(&left, |e, other| cost(e, other, typical, now), rng).copied()
    }
}

/// What a request waits at an endpoint that was drawn with another.
fn cost(endpoint: &Endpoint, other: &Endpoint, typical: f32, now: Instant) -> f32 {
    let known = endpoint.latency(now).or_else(|| other.latency(now));
    endpoint.load(typical, now) * known.unwrap_or(typical)
}

/// `cost` is that of its first argument when drawn with the second.
fn better_of_two<'a, T>(
    from: &'a [T],
    cost: impl Fn(&T, &T) -> f32,
    rng: &mut SmallRng,
) -> Option<&'a T> {
    match from {
        [] | [_] => from.first(),
        _ => {
            let first = rng.random_range(0..from.len());
            let second = (first + rng.random_range(1..from.len())) % from.len();
            let (first, second) = (&from[first], &from[second]);
            Some(if cost(second, first) < cost(first, second) {
                second
            } else {
                first
            })
        }
    }
}

/// Runs with this thread's generator: fast, seeded once, good for spreading, not for secrets.
pub fn with_rng<T>(run: impl FnOnce(&mut SmallRng) -> T) -> T {
    thread_local! {
        static RNG: RefCell<SmallRng> = RefCell::new(seeded());
    }
    RNG.with_borrow_mut(run)
}

fn seeded() -> SmallRng {
    SmallRng::try_from_rng(&mut rand::rngs::SysRng).unwrap_or_else(|_| SmallRng::seed_from_u64(0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TYPICAL: f32 = 50_000.0;

    /// This many endpoints, of which nothing is known.
    fn set(endpoints: u8) -> EndpointSet {
        let epoch = Instant::now();
        let endpoint = |n| Arc::new(Endpoint::new(([10, 0, 0, n], 80).into(), 1, epoch));
        EndpointSet {
            ready: (0..endpoints).map(endpoint).collect(),
            draining: Vec::new(),
        }
    }

    /// How often the last endpoint is chosen in a thousand requests that come one after the other.
    fn share_of_the_last(set: &EndpointSet) -> usize {
        let mut rng = SmallRng::seed_from_u64(7);
        let last = set.ready.last().map(|endpoint| endpoint.address());
        let choices = (0..1_000).map(|_| set.choose(&[], TYPICAL, &mut rng));
        choices
            .filter(|chosen| chosen.map(|endpoint| endpoint.address()) == last)
            .count()
    }

    #[test]
    fn a_new_endpoint_gets_its_share_though_the_others_are_faster_than_typical() {
        let set = set(5);
        for warm in &set.ready[..4] {
            warm.succeeded(Duration::from_micros(500), Instant::now());
        }
        let share = share_of_the_last(&set);
        assert!((150..=250).contains(&share), "{share} of 1000");
    }

    #[test]
    fn a_slower_endpoint_is_chosen_less_and_one_with_more_in_flight_too() {
        let slow = set(5);
        for (endpoint, millis) in slow.ready.iter().zip([1, 1, 1, 1, 10]) {
            endpoint.succeeded(Duration::from_millis(millis), Instant::now());
        }
        assert_eq!(share_of_the_last(&slow), 0);

        let busy = set(5);
        let _in_flight = busy.ready[4].begin();
        assert_eq!(share_of_the_last(&busy), 0);
    }
}
