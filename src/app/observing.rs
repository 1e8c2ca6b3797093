//! What is made of the failures that the data plane tells of: one task keeps them for whoever debugs, gives
//! metrics their exemplars, and passes them on to whoever else listens.
//!
//! A listener that is too slow loses the oldest ones, which are counted as those are for which the
//! queue before had no place.

use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use crate::report::outcome::Outcome;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::recorder::Recorder;

/// So many outcomes a listener may be behind.
const BEHIND: usize = 1024;

/// Where to listen to failures.
#[derive(Clone, Debug)]
pub(super) struct Outcomes {
    told: broadcast::Sender<Arc<Outcome>>,
    metrics: Arc<Metrics>,
}

/// One who listens.
#[derive(Debug)]
pub(super) struct Listener {
    outcomes: broadcast::Receiver<Arc<Outcome>>,
    metrics: Arc<Metrics>,
}

impl Outcomes {
    /// Nobody listens yet.
    pub(super) fn new(metrics: &Arc<Metrics>) -> Self {
        Self {
            told: broadcast::channel(BEHIND).0,
            metrics: Arc::clone(metrics),
        }
    }

    /// Hears of what fails from now on.
    pub(super) fn listen(&self) -> Listener {
        Listener {
            outcomes: self.told.subscribe(),
            metrics: Arc::clone(&self.metrics),
        }
    }
}

impl Listener {
    /// The next failure; `None` when there will be no other.
    pub(super) async fn next(&mut self) -> Option<Arc<Outcome>> {
        loop {
            match self.outcomes.recv().await {
                Ok(outcome) => return Some(outcome),
                Err(RecvError::Lagged(missed)) => {
                    self.metrics.control().failure_records_dropped(missed);
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

/// Takes failures as they come, until nothing is served any more.
pub(super) async fn run(
    mut failures: mpsc::Receiver<Arc<Outcome>>,
    recorder: Arc<Recorder>,
    outcomes: Outcomes,
) {
    while let Some(outcome) = failures.recv().await {
        recorder.record(&outcome);
        outcomes.metrics.exemplify(&outcome);
        let _nobody_listens = outcomes.told.send(outcome);
    }
}
