//! How long it usually takes until a connection to an endpoint stands.
//!
//! The median, not an average: a lost SYN costs a second and says nothing of the next connection. It is
//! followed with one word and no memory of samples: each one that takes longer raises it by a step, each
//! that does not lowers it, as in frugal streaming (Ma, Muthukrishnan and Sandler, 2013), so that it
//! stands still where half of them are on either side.

use std::time::Duration;

use super::sync::{AtomicU32, Ordering::Relaxed};

/// More is not believed of the first connection, in microseconds: it may be the one that lost a SYN, and
/// with connections that are kept there may be few others to tell.
const FIRST: u32 = 20_000;

/// A step is such a part of the median.
const STEPS: u32 = 16;

/// The median of one endpoint.
#[derive(Debug, Default)]
pub(super) struct ConnectTime {
    /// In microseconds; 0 while nothing is known.
    micros: AtomicU32,
}

impl ConnectTime {
    /// What is usual; nothing while nothing is known.
    pub(super) fn usual(&self) -> Duration {
        Duration::from_micros(self.micros.load(Relaxed).into())
    }

    /// Takes a connection that stands. Of two at the same moment one may be lost, which is fine.
    pub(super) fn took(&self, time: Duration) {
        let sample = u32::try_from(time.as_micros()).unwrap_or(u32::MAX).max(1);
        let usual = self.micros.load(Relaxed);
        let step = usual / STEPS + 1;
        let next = match usual {
            0 => sample.min(FIRST),
            _ if sample > usual => usual.saturating_add(step).min(sample),
            _ => usual.saturating_sub(step).max(sample),
        };
        self.micros.store(next, Relaxed);
    }
}
