//! What clients and endpoints saw, written down as it happens.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::order::Order;

/// The time between two changes of what is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stage {
    number: u64,
    /// Every endpoint is dead, or was and is not back yet.
    pub(crate) dead: bool,
}

/// How a request ended for its client.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
    /// With all that its answer announced.
    Whole(Answer),
    /// With all of that, but other bytes than those that were sent.
    Changed(Answer),
    /// With an error inside the response body.
    Broken(Answer),
    /// With an error, or silence, instead of an answer.
    Unanswered(#[expect(dead_code, reason = "told when that is a violation")] String),
}

/// The head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Who made it; `None` for the gateway itself.
    pub(crate) endpoint: Option<SocketAddr>,
}

impl Ended {
    pub(crate) fn answer(&self) -> Option<Answer> {
        match self {
            Self::Whole(answer) | Self::Changed(answer) | Self::Broken(answer) => Some(*answer),
            Self::Unanswered(_) => None,
        }
    }
}

/// A request, as its client saw it.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) order: Order,
    pub(crate) ended: Ended,
    /// Whether it was under way while every endpoint was dead.
    pub(crate) met_death: bool,
}

/// A request that an endpoint read to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Execution {
    pub(crate) endpoint: SocketAddr,
    /// Whether its connection had served before.
    pub(crate) reused: bool,
    /// Whether the endpoint left its answer incomplete.
    pub(crate) truncated: bool,
}

/// What endpoints read to their end, by the id of the request.
#[derive(Debug, Default)]
pub(crate) struct Executions(HashMap<String, Vec<Execution>>);

impl Executions {
    /// Those of a request, in order.
    pub(crate) fn of(&self, id: &str) -> &[Execution] {
        self.0.get(id).map_or(&[], Vec::as_slice)
    }
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    stage: watch::Sender<Stage>,
    /// Requests under way, by the number of the stage that they began in.
    under_way: watch::Sender<BTreeMap<u64, usize>>,
    ended: watch::Sender<usize>,
    outcomes: Mutex<Vec<Outcome>>,
    executions: Mutex<Executions>,
    violations: Mutex<Vec<String>>,
}

/// What was seen, when all is over.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) executions: Executions,
    pub(crate) violations: Vec<String>,
}

/// A request that is under way until this is dropped.
pub(crate) struct UnderWay {
    ledger: Arc<Ledger>,
    began: Stage,
}

impl Ledger {
    /// A client sends a request.
    pub(crate) fn begin(self: &Arc<Self>) -> UnderWay {
        let mut began = Stage::default();
        // The stage is read while the map is locked, so that no fence overlooks the request.
        self.under_way.send_modify(|under_way| {
            began = *self.stage.borrow();
            *under_way.entry(began.number).or_default() += 1;
        });
        UnderWay {
            ledger: Arc::clone(self),
            began,
        }
    }

    /// An endpoint has read a request whole.
    pub(crate) fn executed(&self, id: &str, execution: Execution) {
        let mut executions = self.executions.lock().unwrap();
        let of = executions.0.entry(id.to_owned()).or_default();
        of.push(execution);
    }

    /// What must never be seen.
    pub(crate) fn violation(&self, what: String) {
        println!("VIOLATION {what}");
        self.violations.lock().unwrap().push(what);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.stage.borrow().dead
    }

    /// Another stage begins.
    pub(crate) fn next_stage(&self, dead: bool) {
        self.stage.send_modify(|stage| {
            stage.number += 1;
            stage.dead = dead;
        });
    }

    /// Waits until every request has ended that is under way now.
    pub(crate) async fn fence(&self) {
        self.next_stage(self.is_dead());
        let now = self.stage.borrow().number;
        let mut under_way = self.under_way.subscribe();
        let all_began_later = |under_way: &BTreeMap<u64, usize>| {
            under_way.keys().next().is_none_or(|first| *first >= now)
        };
        under_way.wait_for(all_began_later).await.unwrap();
    }

    /// Requests that have ended.
    pub(crate) fn ended(&self) -> usize {
        *self.ended.borrow()
    }

    /// Waits until so many more have ended.
    pub(crate) async fn flows(&self, requests: usize) {
        let goal = self.ended() + requests;
        let mut ended = self.ended.subscribe();
        ended.wait_for(|ended| *ended >= goal).await.unwrap();
    }

    /// Everything, when all is over.
    pub(crate) fn close(&self) -> Seen {
        Seen {
            outcomes: std::mem::take(&mut *self.outcomes.lock().unwrap()),
            executions: std::mem::take(&mut *self.executions.lock().unwrap()),
            violations: std::mem::take(&mut *self.violations.lock().unwrap()),
        }
    }
}

impl UnderWay {
    /// It has ended.
    pub(crate) fn end(self, order: Order, ended: Ended) {
        let outcome = Outcome {
            order,
            ended,
            met_death: self.began.dead || self.ledger.is_dead(),
        };
        self.ledger.outcomes.lock().unwrap().push(outcome);
        self.ledger.ended.send_modify(|ended| *ended += 1);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.ledger.under_way.send_modify(|under_way| {
            if let Some(count) = under_way.get_mut(&self.began.number) {
                *count -= 1;
            }
            under_way.retain(|_, count| *count > 0);
        });
    }
}
