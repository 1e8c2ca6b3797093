//! The one way in which these tests wait: for a condition, with a deadline, saying what was seen.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// Long enough for a loaded two-core machine; reaching it is a failure, never a measurement.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// No test may take longer than this, its turn among those with a control plane of their own included.
pub(crate) const TEST: Duration = Duration::from_secs(900);

const INTERVAL: Duration = Duration::from_millis(20);

/// Repeats `check` until it holds, and returns what it found; `Err` is what was seen instead.
pub(crate) async fn eventually<T>(
    what: &str,
    within: Duration,
    mut check: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + within;
    let mut seen = String::from("nothing yet");
    loop {
        match timeout_at(deadline, check()).await {
            Ok(Ok(found)) => return found,
            Ok(Err(instead)) => seen = instead,
            Err(_) => panic!("no {what} within {within:?}; last seen: {seen}"),
        }
        sleep(INTERVAL).await;
    }
}
