//! Runs the schedule, and gathers what there is to know afterwards.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::checks::{Evidence, Refusals};
use crate::clients::Clients;
use crate::fleet::Fleet;
use crate::gateway::{Gateway, Metrics};
use crate::ledger::Ledger;
use crate::pulse::{Pulse, seconds};
use crate::schedule::{Fault, Phase, Round, Schedule};

const OVER_BUDGET: &str = "bywash_retries_over_budget_total";
const RESIDENT: &str = "bywash_process_resident_memory_bytes";

/// So many requests bring in a hundred retries.
const REFILL: usize = 500;

/// Rounds in any case: what the first one leaves behind is what memory is compared with.
const ROUNDS: usize = 2;

/// How much memory may grow after the first round, in bytes.
const GROWTH: f64 = 8.0 * 1024.0 * 1024.0;

/// Retries that the budget refuses before the dead are raised.
const REFUSED: f64 = 20.0;

struct Conductor {
    gateway: Arc<Gateway>,
    fleet: Fleet,
    ledger: Arc<Ledger>,
    rng: SmallRng,
    deaths: Vec<Range<f64>>,
    refusals: Vec<Refusals>,
    /// Of memory, after each round.
    resident: Vec<f64>,
}

/// Rounds, as long as new ones may begin; what was violated.
pub(crate) async fn run(mut rng: SmallRng, lasts: Duration) -> Vec<String> {
    let pulse = Pulse::start();
    let ledger = Arc::<Ledger>::default();
    let gateway = Arc::new(Gateway::start());
    let mut schedule = Schedule::new(SmallRng::seed_from_u64(rng.random()));
    let mut conductor = Conductor {
        fleet: Fleet::new(&gateway, &ledger),
        gateway: Arc::clone(&gateway),
        ledger: Arc::clone(&ledger),
        rng: SmallRng::seed_from_u64(rng.random()),
        deaths: Vec::new(),
        refusals: Vec::new(),
        resident: Vec::new(),
    };
    let mut next = schedule.round();
    conductor.fleet.resize(next.endpoints, next.bad + 1).await;
    let fds = gateway.metrics().await.sum("bywash_process_open_fds");
    let clients = Clients::start(gateway.http, &ledger, &mut rng);
    let started = Instant::now();
    ledger.flows(REFILL).await;
    loop {
        conductor.round(&next).await;
        if started.elapsed() >= lasts && conductor.deaths.len() >= ROUNDS {
            break;
        }
        next = schedule.round();
        conductor.fleet.resize(next.endpoints, next.bad + 1).await;
    }
    clients.stop().await;
    let metrics = conductor.at_rest(fds).await;
    conductor.remember(&metrics);
    let evidence = Evidence {
        seen: ledger.close(),
        metrics,
        entries: gateway.end().await,
        deaths: conductor.deaths,
        refusals: conductor.refusals,
        missed: pulse.missed(),
    };
    println!("{} requests", evidence.entries.len());
    evidence.violations()
}

impl Conductor {
    async fn round(&mut self, round: &Round) {
        println!(
            "round of {} endpoints, {} attempts: {:?}",
            round.endpoints,
            round.bad + 1,
            self.fleet.addresses()
        );
        let over_budget = self.gateway.metrics().await.sum(OVER_BUDGET);
        let from = seconds();
        for phase in &round.phases {
            self.phase(phase).await;
        }
        let metrics = self.gateway.metrics().await;
        self.refusals.push(Refusals {
            during: from..seconds(),
            retries: metrics.sum(OVER_BUDGET) - over_budget,
        });
        self.death(round).await;
        let metrics = self.gateway.metrics().await;
        self.remember(&metrics);
    }

    async fn phase(&mut self, phase: &Phase) {
        println!("{} requests, then {phase:?}", self.ledger.ended());
        let ends = tokio::time::Instant::now() + phase.lasts;
        for (slot, fault) in &phase.faults {
            self.fleet.spoil(*slot, *fault).await;
        }
        if let Some(slot) = phase.rolled {
            self.fleet.roll(slot).await;
        }
        let of = |fault| phase.faults.iter().find(|(_, it)| *it == fault);
        let restarting = async {
            match of(Fault::Restart) {
                Some((slot, _)) => self.fleet.keep_restarting(*slot, &mut self.rng).await,
                None => std::future::pending().await,
            }
        };
        // It is the time that faults are given.
        let _over = tokio::time::timeout_at(ends, restarting).await;
        if let Some((slot, _)) = of(Fault::Leave) {
            self.fleet.replace(*slot).await;
        }
        for (slot, fault) in &phase.faults {
            self.fleet.heal(*slot, *fault).await;
        }
        // Nothing that met these faults meets the next ones.
        self.ledger.fence().await;
    }

    /// Every endpoint fails, until the budget is seen to be exhausted and only one is left in use,
    /// because it is the last. The others work first: they come back while the last one still fails,
    /// however long they were to stay away.
    async fn death(&mut self, round: &Round) {
        println!(
            "{} requests, then all {:?}",
            self.ledger.ended(),
            round.death
        );
        let before = self.gateway.metrics().await.sum(OVER_BUDGET);
        let others = round.endpoints - 1;
        let from = seconds();
        self.ledger.next_stage(true);
        self.fleet.kill(round.death);
        let exhausted = |metrics: &Metrics| {
            let ejected = ejected(metrics) as usize;
            ejected == others && metrics.sum(OVER_BUDGET) >= before + REFUSED
        };
        self.gateway.until("the budget runs out", exhausted).await;
        let last = self.fleet.busiest(50).await;
        self.fleet.revive_others(last);
        let back = |metrics: &Metrics| ejected(metrics) <= 1.0;
        self.gateway.until("the others are back", back).await;
        self.fleet.replace(last).await;
        let back = |metrics: &Metrics| ejected(metrics) == 0.0;
        self.gateway.until("all endpoints are in use", back).await;
        self.ledger.fence().await;
        self.ledger.next_stage(false);
        self.deaths.push(from..seconds());
        self.ledger.flows(REFILL).await;
    }

    fn remember(&mut self, metrics: &Metrics) {
        let resident = metrics.sum(RESIDENT);
        println!("{:.1} MiB in memory", resident / 1_048_576.0);
        let first = *self.resident.first().unwrap_or(&resident);
        if resident > first + GROWTH {
            let what = format!("memory grew from {first} to {resident} bytes");
            self.ledger.violation(what);
        }
        self.resident.push(resident);
    }

    /// Waits until nothing is left of the clients: no connection, no descriptor.
    async fn at_rest(&self, fds: f64) -> Metrics {
        let at_rest = |metrics: &Metrics| {
            metrics.sum("bywash_client_connections") == 0.0
                && metrics.sum("bywash_upstream_connections") == 0.0
                && metrics.sum("bywash_process_open_fds") <= fds
        };
        self.gateway.until("everything is closed", at_rest).await
    }
}

/// How many endpoints are left out now.
fn ejected(metrics: &Metrics) -> f64 {
    let states = metrics.by("bywash_upstream_endpoints", "state");
    let ejected = states.into_iter().filter(|(state, _)| state == "ejected");
    ejected.map(|(_, count)| count).sum()
}
