//! What the tests of the choice share: an upstream at a moment that they move.

use std::time::Duration;

use rand::SeedableRng;

use crate::routing::policy::upstream::{HashKey, LoadBalancing, SlowStart};
use crate::routing::snapshot::{PodRef, ServicePort};
use crate::telemetry::metrics::Metrics;
use crate::upstream::breaker::Load;
use crate::upstream::endpoint::Origin;

use super::hash::hash;
use super::*;

pub(super) const TYPICAL: f32 = 50_000.0;

/// Each algorithm.
pub(super) const ALGORITHMS: [Algorithm; 5] = [
    Algorithm::PeakEwma,
    Algorithm::LeastRequest,
    Algorithm::RoundRobin,
    Algorithm::Random,
    Algorithm::ConsistentHash(HashKey::ClientAddress),
];

/// An upstream at a moment that a test moves.
pub(super) struct Bench {
    pub(super) list: Vec<Member>,
    pub(super) policy: UpstreamPolicy,
    pub(super) start: Instant,
    pub(super) now: Instant,
    pub(super) turns: Turns,
    rng: SmallRng,
    /// Requests so far: the key of each is its number.
    requests: u64,
}

impl Bench {
    /// Endpoints of these weights, of which nothing is known.
    pub(super) fn weighing(weights: &[u16], algorithm: Algorithm, seed: u64) -> Self {
        let start = Instant::now();
        let load_balancing = LoadBalancing {
            algorithm,
            sticky_cookie: None,
        };
        let mut bench = Self {
            list: Vec::new(),
            policy: UpstreamPolicy {
                load_balancing,
                ..UpstreamPolicy::default()
            },
            start,
            now: start,
            turns: Turns::starting_at(seed),
            rng: SmallRng::seed_from_u64(seed),
            requests: 0,
        };
        for weight in weights {
            bench.add(*weight, None);
        }
        bench
    }

    /// So many endpoints that weigh the same.
    pub(super) fn of(count: usize, algorithm: Algorithm) -> Self {
        Self::weighing(&vec![1; count], algorithm, 7)
    }

    pub(super) fn add(&mut self, weight: u16, joined: Option<Instant>) {
        let metrics = Metrics::new(1).upstream("shop/cart:80");
        let origin = Origin {
            workers: 1,
            epoch: self.start,
            joined,
            load: Load::new(1),
            metrics,
        };
        let n = u16::try_from(self.list.len()).unwrap();
        let address = ([10, 0, 0, 1], 1 + n).into();
        let service = ServicePort {
            namespace: "shop".into(),
            name: "cart".into(),
            port: 80,
        };
        let pod = PodRef {
            name: "cart".into(),
            uid: Some(format!("pod {n}").into()),
        };
        self.list.push(Member {
            endpoint: Arc::new(Endpoint::new(address, origin)),
            weight,
            zone: None,
            pin: EndpointPin::new(&service, address, Some(&pod)),
            pod: Some(pod.name),
        });
    }

    pub(super) fn slow_start(mut self, window: Duration) -> Self {
        self.policy.slow_start = SlowStart { window };
        self
    }

    pub(super) fn members(&self) -> Members {
        Members::new(self.list.clone(), self.policy.slow_start.window)
    }

    pub(super) fn eject(&self, position: usize) {
        let rules = &self.policy.outlier_detection.ejection;
        let standing = self.list[position].endpoint.standing();
        assert!(standing.eject(rules, self.now, 0.5));
    }

    /// Ejected, connected to, and waiting for a request to be tried with.
    pub(super) fn half_open(&self, position: usize) {
        self.eject(position);
        let standing = self.list[position].endpoint.standing();
        assert!(standing.connect(self.now + Duration::from_secs(60)));
        standing.connected(self.now);
    }

    pub(super) fn address(&self, position: usize) -> SocketAddr {
        self.list[position].endpoint.address()
    }

    pub(super) fn position(&self, choice: &Choice) -> usize {
        let chosen = |member: &Member| Arc::ptr_eq(&member.endpoint, &choice.endpoint);
        self.list.iter().position(chosen).unwrap()
    }

    /// The choice for the next request.
    pub(super) fn choice(&mut self, members: &Members, wish: &Wish<'_>) -> Option<Choice> {
        self.requests += 1;
        let key = wish.key.or(Some(hash(&self.requests.to_be_bytes())));
        let balancer = Balancer {
            policy: &self.policy,
            turns: &self.turns,
            typical: TYPICAL,
            now: self.now,
        };
        balancer.choose(members, &Wish { key, ..*wish }, &mut self.rng)
    }

    /// The same as a position.
    pub(super) fn choose(&mut self, wish: &Wish<'_>) -> usize {
        let choice = self.choice(&self.members(), wish).unwrap();
        self.position(&choice)
    }

    /// How many of so many requests, one after the other, each endpoint gets.
    pub(super) fn counts(&mut self, requests: usize) -> Vec<usize> {
        let members = self.members();
        let mut counts = vec![0; self.list.len()];
        for _ in 0..requests {
            let choice = self.choice(&members, &Wish::default()).unwrap();
            counts[self.position(&choice)] += 1;
        }
        counts
    }

    /// The part of the requests that each endpoint gets.
    pub(super) fn shares(&mut self) -> Vec<f64> {
        const REQUESTS: usize = 20_000;
        let counts = self.counts(REQUESTS).into_iter();
        counts.map(|count| count as f64 / REQUESTS as f64).collect()
    }
}
