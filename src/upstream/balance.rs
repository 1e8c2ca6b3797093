//! The choice of an endpoint: the better of two drawn at random.
//!
//! The cost of an endpoint is what a request waits there: those before it and itself, times the
//! average time to a response head. Drawing two and taking the cheaper one spreads the load without
//! the herd that runs to the single cheapest. An endpoint of which nothing is known yet is tried by
//! one request at a time; further ones cost what is typical for its upstream.

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
            return better_of_two(usable, |e| e.cost(typical, now), rng);
        }
        let fresh = |e: &&Arc<Endpoint>| !tried.contains(&e.address());
        let mut left: Vec<_> = usable.iter().filter(fresh).collect();
        if left.is_empty() {
            left = usable.iter().collect();
        }
        better_of_two(&left, |e| e.cost(typical, now), rng).copied()
    }
}

fn better_of_two<'a, T>(
    from: &'a [T],
    cost: impl Fn(&T) -> f32,
    rng: &mut SmallRng,
) -> Option<&'a T> {
    match from {
        [] | [_] => from.first(),
        _ => {
            let first = rng.random_range(0..from.len());
            let second = (first + rng.random_range(1..from.len())) % from.len();
            let (first, second) = (&from[first], &from[second]);
            Some(if cost(second) < cost(first) {
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
