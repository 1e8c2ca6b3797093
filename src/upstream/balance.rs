//! The choice of an endpoint: the better of two drawn at random.
//!
//! The cost of an endpoint is what a request waits there: those before it and itself, times the
//! average time to a response head. Drawing two and taking the cheaper one spreads the load without
//! the herd that runs to the single cheapest. An endpoint of which nothing is known yet is taken to
//! be as fast as the one that it is compared with.
//!
//! Ejected endpoints are passed over. One that a drawn pair meets costs a look at the whole set; while
//! all work, it costs two loads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::SmallRng;

use super::endpoint::Endpoint;
use super::readmission::{Readmission, Trial};

/// What a request wants of its next endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// Endpoints that it has tried: others are preferred.
    pub tried: &'a [SocketAddr],
    /// Whether it may be what a half-open endpoint is tried with.
    pub may_try: bool,
    /// Whether another endpoint could have it, should that fail.
    pub repeatable: bool,
    /// Over which time an endpoint that joined gets its share.
    pub slow_start: Duration,
}

/// An endpoint, and what is to be done about the others.
#[derive(Debug)]
pub struct Choice {
    /// Where the request goes.
    pub endpoint: Arc<Endpoint>,
    /// It is half-open, and tried with this request.
    pub trial: Option<Trial>,
    /// Another one's ejection is over.
    pub due: Option<Readmission>,
}

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

    /// Those that no request uses while others are ready.
    pub fn unused(&self) -> &[Arc<Endpoint>] {
        if self.ready.is_empty() {
            &[]
        } else {
            &self.draining
        }
    }

    /// Chooses an endpoint. `typical` is the time to a response head over the whole upstream, in
    /// microseconds.
    pub fn choose(
        &self,
        wish: &Wish<'_>,
        (typical, now): (f32, Instant),
        rng: &mut SmallRng,
    ) -> Option<Choice> {
        let usable = self.usable();
        let better = |a: &Arc<Endpoint>, b: &Arc<Endpoint>, rng: &mut SmallRng| {
            let second = is_better(b, a, (wish.slow_start, typical, now), rng);
            Arc::clone(if second { b } else { a })
        };
        let (a, b) = two_of(usable.len(), rng);
        let (a, b) = (usable.get(a)?, usable.get(b)?);
        if wish.tried.is_empty() && a.standing().is_closed() && b.standing().is_closed() {
            return Some(Choice::of(better(a, b, rng)));
        }
        let due = usable.iter().find_map(|e| Readmission::begin(e, now));
        if wish.may_try
            && let Some(trial) = usable
                .iter()
                .find_map(|e| Trial::begin(e, wish.repeatable, now))
        {
            let endpoint = Arc::clone(trial.endpoint());
            let trial = Some(trial);
            return Some(Choice {
                endpoint,
                trial,
                due,
            });
        }
        let fresh = |e: &Endpoint| !wish.tried.contains(&e.address());
        let closed = |e: &Endpoint| e.standing().is_closed();
        let (a, b) = draw(usable, |e| closed(e) && fresh(e), rng)
            .or_else(|| draw(usable, closed, rng))
            .or_else(|| draw(usable, fresh, rng))
            .unwrap_or((a, b));
        Some(Choice {
            due,
            ..Choice::of(better(a, b, rng))
        })
    }
}

impl Choice {
    fn of(endpoint: Arc<Endpoint>) -> Self {
        Self {
            endpoint,
            trial: None,
            due: None,
        }
    }
}

/// Whether an endpoint is better than the other that was drawn. One that begins slowly stands back
/// more often than not, and that is not a matter of cost: with nothing in flight the cheaper of two
/// has all requests.
fn is_better(
    endpoint: &Endpoint,
    other: &Endpoint,
    (slow_start, typical, now): (Duration, f32, Instant),
    rng: &mut SmallRng,
) -> bool {
    let mut stands_back = |endpoint: &Endpoint| {
        let share = endpoint.share(slow_start, now);
        share < 1.0 && rng.random::<f32>() >= share
    };
    match (stands_back(endpoint), stands_back(other)) {
        (true, false) => false,
        (false, true) => true,
        _ => cost(endpoint, other, typical, now) < cost(other, endpoint, typical, now),
    }
}

/// What a request waits at an endpoint that was drawn with another.
fn cost(endpoint: &Endpoint, other: &Endpoint, typical: f32, now: Instant) -> f32 {
    let known = endpoint.latency(now).or_else(|| other.latency(now));
    endpoint.load(typical, now) * known.unwrap_or(typical)
}

/// Two of those that are wanted, drawn at random; twice the same where there is only one.
fn draw<'a>(
    from: &'a [Arc<Endpoint>],
    wanted: impl Fn(&Endpoint) -> bool,
    rng: &mut SmallRng,
) -> Option<(&'a Arc<Endpoint>, &'a Arc<Endpoint>)> {
    let all = || from.iter().filter(|endpoint| wanted(endpoint));
    let (a, b) = two_of(all().count(), rng);
    Some((all().nth(a)?, all().nth(b)?))
}

/// Two different numbers below this one, where there are two.
fn two_of(count: usize, rng: &mut SmallRng) -> (usize, usize) {
    if count < 2 {
        return (0, 0);
    }
    let first = rng.random_range(0..count);
    (first, (first + rng.random_range(1..count)) % count)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use crate::telemetry::metrics::Metrics;
    use crate::upstream::breaker::Load;
    use crate::upstream::endpoint::Origin;

    use super::*;

    const TYPICAL: f32 = 50_000.0;

    /// This many endpoints, of which nothing is known.
    fn set(endpoints: u8) -> EndpointSet {
        let epoch = Instant::now();
        let metrics = Metrics::new(1).upstream("shop/cart:80");
        let endpoint = |n| {
            let origin = Origin {
                workers: 1,
                epoch,
                joined: None,
                load: Load::new(epoch, 1, Arc::clone(&metrics)),
                metrics: Arc::clone(&metrics),
            };
            Arc::new(Endpoint::new(([10, 0, 0, n], 80).into(), origin))
        };
        EndpointSet {
            ready: (0..endpoints).map(endpoint).collect(),
            draining: Vec::new(),
        }
    }

    /// How often the last endpoint is chosen in a thousand requests that come one after the other.
    fn share_of_the_last(set: &EndpointSet) -> usize {
        let mut rng = SmallRng::seed_from_u64(7);
        let last = set.ready.last().map(|endpoint| endpoint.address());
        let choose = |_| set.choose(&Wish::default(), (TYPICAL, Instant::now()), &mut rng);
        let chosen = (0..1_000).map(choose);
        chosen
            .filter(|choice| choice.as_ref().map(|c| c.endpoint.address()) == last)
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

    #[test]
    fn an_endpoint_that_joined_later_begins_with_a_tenth_and_has_its_share_after_half_a_minute() {
        let start = Instant::now();
        let mut set = set(4);
        let origin = Origin {
            workers: 1,
            epoch: start,
            joined: Some(start),
            load: Load::new(start, 1, Metrics::new(1).upstream("shop/cart:80")),
            metrics: Metrics::new(1).upstream("shop/cart:80"),
        };
        let joined = Endpoint::new(([10, 0, 0, 9], 80).into(), origin);
        let last = joined.address();
        set.ready.push(Arc::new(joined));
        let wish = Wish {
            slow_start: Duration::from_secs(30),
            ..Wish::default()
        };
        let mut rng = SmallRng::seed_from_u64(7);
        for (seconds, expected) in [(0, 10..=35), (15, 80..=140), (30, 160..=240)] {
            let at = (TYPICAL, start + Duration::from_secs(seconds));
            let chosen = (0..1_000).filter_map(|_| set.choose(&wish, at, &mut rng));
            let share = chosen.filter(|c| c.endpoint.address() == last).count();
            assert!(
                expected.contains(&share),
                "{share} of 1000 after {seconds} s"
            );
        }
    }
}
