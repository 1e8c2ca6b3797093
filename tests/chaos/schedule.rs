//! What happens to which endpoint, and when: everything that the seed decides.
//!
//! Faults are dealt from a shuffled deck, so that all of them occur before one occurs again. Slots
//! number the places of a round's endpoints; who is rolled leaves the place to a new address.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};

/// How an endpoint goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// No new connections; those that stand end with their next answer.
    Refuse,
    /// Its packets are lost in both directions.
    Vanish,
    /// Takes requests and is silent.
    Stall,
    /// Falls silent inside the response body.
    StallInBody,
    /// Closes inside the response body.
    Truncate,
    /// Answers 502, as an application may.
    Answer502,
    /// Resets the connection instead of answering.
    Reset,
    /// Closes the connection instead of answering.
    Close,
    /// Closes inside the response head.
    CutHead,
    /// Resets inside the response body, which may overtake the head.
    ResetInBody,
    /// Crashes, with all its connections, and comes back, again and again.
    Restart,
    /// Ends before the EndpointSlice says so: stops listening, closes what is idle.
    Leave,
}

impl Fault {
    pub(crate) const ALL: [Self; 12] = [
        Self::Refuse,
        Self::Vanish,
        Self::Stall,
        Self::StallInBody,
        Self::Truncate,
        Self::Answer502,
        Self::Reset,
        Self::Close,
        Self::CutHead,
        Self::ResetInBody,
        Self::Restart,
        Self::Leave,
    ];

    /// How all endpoints may be dead at once so that every attempt of a request costs a retry.
    const DEATHS: [Self; 3] = [Self::Reset, Self::Close, Self::CutHead];

    /// Whether a request that was sent may see its connection end before a response head.
    pub(crate) fn breaks_off(self) -> bool {
        matches!(
            self,
            Self::Reset
                | Self::Close
                | Self::CutHead
                | Self::ResetInBody
                | Self::Restart
                | Self::Leave
        )
    }

    /// Whether its failures take retries from the budget.
    fn costs(self) -> bool {
        !matches!(self, Self::Refuse | Self::Truncate | Self::StallInBody)
    }

    /// Whether one more may be bad like this beside these; `half` of the endpoints are good.
    fn fits(self, beside: &[(usize, Self)], half: bool) -> bool {
        let count = |kind: fn(Self) -> bool| beside.iter().filter(|(_, it)| kind(*it)).count();
        let breaking = count(Self::breaks_off);
        // An application's 502 ejects nobody, so that it costs for as long as it lasts, and the more,
        // the fewer others there are.
        let answering = count(|it| it == Self::Answer502);
        let vanished = count(|it| it == Self::Vanish);
        (!self.breaks_off() || breaking == 0)
            && (self != Self::Answer502 || half && answering == 0)
            && (self != Self::Vanish || vanished < 2)
            && (!self.costs() || count(Self::costs) < 3)
    }
}

/// A number of endpoints under one policy, until all of them are dead and recover.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    pub(crate) endpoints: usize,
    /// The most that are bad at the same time, before all are.
    pub(crate) bad: usize,
    pub(crate) phases: Vec<Phase>,
    /// How all of them die.
    pub(crate) death: Fault,
}

/// Some endpoints are bad.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    pub(crate) lasts: Duration,
    pub(crate) faults: Vec<(usize, Fault)>,
    /// Replaced in good order meanwhile, by an endpoint of another address.
    pub(crate) rolled: Option<usize>,
}

/// Draws rounds.
#[derive(Debug)]
pub(crate) struct Schedule {
    rng: SmallRng,
    deck: Vec<Fault>,
}

impl Schedule {
    pub(crate) fn new(rng: SmallRng) -> Self {
        Self {
            rng,
            deck: Vec::new(),
        }
    }

    pub(crate) fn round(&mut self) -> Round {
        let endpoints = self.rng.random_range(3..=10);
        let bad = self.rng.random_range(1..endpoints);
        // Healthy and in use throughout, until all are dead.
        let steady = self.rng.random_range(0..endpoints);
        let phases = (0..3).map(|_| self.phase(endpoints, bad, steady)).collect();
        Round {
            endpoints,
            bad,
            phases,
            death: *Fault::DEATHS.choose(&mut self.rng).unwrap(),
        }
    }

    fn phase(&mut self, endpoints: usize, bad: usize, steady: usize) -> Phase {
        let mut slots: Vec<usize> = (0..endpoints).filter(|slot| *slot != steady).collect();
        slots.shuffle(&mut self.rng);
        let (bad, good) = slots.split_at(self.rng.random_range(bad.div_ceil(2)..=bad));
        let mut faults = Vec::new();
        let half = 2 * bad.len() <= endpoints;
        for slot in bad {
            let fault = self.fault(&faults, half);
            faults.push((*slot, fault));
        }
        let leaves = faults.iter().any(|(_, fault)| *fault == Fault::Leave);
        let good = [good, &[steady]].concat();
        let rolled = good.choose(&mut self.rng).copied();
        Phase {
            lasts: Duration::from_millis(self.rng.random_range(1_000..2_500)),
            faults,
            rolled: rolled.filter(|_| !leaves && self.rng.random_bool(0.5)),
        }
    }

    /// The next of the deck that fits.
    fn fault(&mut self, beside: &[(usize, Fault)], half: bool) -> Fault {
        loop {
            let fits = |fault: &Fault| fault.fits(beside, half);
            if let Some(next) = self.deck.iter().position(fits) {
                return self.deck.remove(next);
            }
            let mut more = Fault::ALL;
            more.shuffle(&mut self.rng);
            self.deck.extend(more);
        }
    }
}

#[test]
fn a_schedule_keeps_to_what_the_contract_allows() {
    use rand::SeedableRng;

    for seed in 0..200 {
        let mut schedule = Schedule::new(SmallRng::seed_from_u64(seed));
        for _ in 0..5 {
            let round = schedule.round();
            assert!((3..=10).contains(&round.endpoints), "{round:?}");
            assert!((1..round.endpoints).contains(&round.bad), "{round:?}");
            let bad_once: std::collections::BTreeSet<_> = round
                .phases
                .iter()
                .flat_map(|phase| phase.faults.iter().map(|(slot, _)| *slot))
                .collect();
            assert!(
                bad_once.len() < round.endpoints,
                "nobody is steady: {round:?}"
            );
            for Phase { faults, rolled, .. } in &round.phases {
                assert!((1..=round.bad).contains(&faults.len()), "{round:?}");
                let breaking = faults.iter().filter(|(_, fault)| fault.breaks_off());
                assert!(breaking.count() <= 1, "{faults:?}");
                assert!(faults.iter().all(|(slot, _)| Some(*slot) != *rolled));
            }
        }
    }
}

#[test]
fn every_fault_is_dealt_before_one_comes_again_often() {
    use rand::SeedableRng;

    let mut schedule = Schedule::new(SmallRng::seed_from_u64(1));
    let phases = (0..8).flat_map(|_| schedule.round().phases);
    let faults: Vec<_> = phases.flat_map(|phase| phase.faults).collect();
    for fault in Fault::ALL {
        assert!(faults.iter().any(|(_, dealt)| *dealt == fault), "{fault:?}");
    }
}
