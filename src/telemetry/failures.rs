//! Requests that failed, or of which an attempt did, on their way to whatever tells of them.
//!
//! The data plane leaves each [`Outcome`] here when it is over, and never waits: the queue is bounded,
//! and what does not fit is counted. Requests that went well do not come this way, so that they cost
//! nothing here and wake nobody.

use std::sync::Arc;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::report::outcome::Outcome;

use super::metrics::Metrics;

/// So many wait at most.
const CAPACITY: usize = 1024;

/// Where outcomes are left; cheap to clone.
#[derive(Clone, Debug)]
pub struct Failures(Option<Open>);

#[derive(Clone, Debug)]
struct Open {
    queue: Sender<Arc<Outcome>>,
    metrics: Arc<Metrics>,
}

impl Failures {
    /// Nobody wants to know.
    pub fn off() -> Self {
        Self(None)
    }

    /// A queue, and its other end; what is dropped is counted in `metrics`.
    pub fn queue(metrics: &Arc<Metrics>) -> (Self, Receiver<Arc<Outcome>>) {
        let (queue, outcomes) = channel(CAPACITY);
        let metrics = Arc::clone(metrics);
        (Self(Some(Open { queue, metrics })), outcomes)
    }

    /// Leaves the outcome of a request that has ended.
    pub fn tell(&self, outcome: impl FnOnce() -> Outcome) {
        let Some(Open { queue, metrics }) = &self.0 else {
            return;
        };
        let full = match queue.try_reserve() {
            Ok(place) => return place.send(Arc::new(outcome())),
            Err(error) => error == TrySendError::Full(()),
        };
        if full {
            metrics.control().failure_records_dropped(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::failure::Cause;

    fn outcome(id: usize) -> Outcome {
        Outcome {
            request_id: id.to_string().into(),
            time: SystemTime::UNIX_EPOCH,
            method: "GET".into(),
            host: "shop.example".into(),
            path: "/".into(),
            ingress: None,
            upstream: None,
            status: 502,
            cause: Some(Cause::ConnectionRefused),
            fallback: false,
            bytes_received: 0,
            bytes_sent: 0,
            attempts: Vec::new(),
            duration: Duration::ZERO,
        }
    }

    fn dropped(metrics: &Arc<Metrics>) -> String {
        let text = metrics.encode().unwrap();
        let name = "bywash_failure_records_dropped_total ";
        let found = text.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap().to_owned()
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted_and_the_rest_arrives_in_order() {
        let metrics = Metrics::new(1);
        let (failures, mut outcomes) = Failures::queue(&metrics);
        for id in 0..CAPACITY + 3 {
            failures.tell(|| outcome(id));
        }
        assert_eq!(dropped(&metrics), "3");
        for id in 0..CAPACITY {
            assert_eq!(*outcomes.try_recv().unwrap(), outcome(id));
        }
        assert!(outcomes.try_recv().is_err());
    }

    #[test]
    fn nothing_is_even_made_of_what_nobody_wants_to_know() {
        let unwanted = || -> Outcome { unreachable!("nobody wants it") };
        Failures::off().tell(unwanted);
        let metrics = Metrics::new(1);
        let (failures, outcomes) = Failures::queue(&metrics);
        drop(outcomes);
        failures.tell(unwanted);
        assert_eq!(dropped(&metrics), "0");
    }
}
