//! Moments in which the machine let nobody run.
//!
//! Half a second without an answer is a failed attempt by contract, whoever is to blame. When the
//! machine itself stands still for a part of it, endpoints that work are as bad as those that stall, and
//! may be ejected for it: what the schedule says of them is then not true until all are back.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Between two beats.
const BEAT: Duration = Duration::from_millis(20);

/// A beat that is so late was missed. It takes more of what `perTryTimeout` allows than an answer does.
const LATE: Duration = Duration::from_millis(200);

/// Beats, on the same threads as the endpoints, until it is dropped.
pub(crate) struct Pulse {
    missed: Arc<Mutex<Vec<Range<f64>>>>,
    beating: JoinHandle<()>,
}

impl Pulse {
    pub(crate) fn start() -> Self {
        let missed = Arc::<Mutex<Vec<_>>>::default();
        let beating = tokio::spawn(beat(Arc::clone(&missed)));
        Self { missed, beating }
    }

    /// When it stood still, in seconds.
    pub(crate) fn missed(&self) -> Vec<Range<f64>> {
        self.missed.lock().unwrap().clone()
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.beating.abort();
    }
}

async fn beat(missed: Arc<Mutex<Vec<Range<f64>>>>) {
    loop {
        let (from, due) = (seconds(), Instant::now() + BEAT);
        tokio::time::sleep_until(due).await;
        if due.elapsed() >= LATE {
            missed.lock().unwrap().push(from..seconds());
        }
    }
}

/// The time, as the access log has it.
pub(crate) fn seconds() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs_f64()
}
