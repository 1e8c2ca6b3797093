//! How many probes are under way at once.
//!
//! A probe waits for its place, and its time begins with it. So however many policies have however
//! many endpoints probed, probes come later, and none is bad because this process had too much to do.
//! Those that are asked the same have part of the places only: where they all hang, others are still asked.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Over the whole process.
const PLACES: usize = 256;

/// Of the endpoints of one Service that are asked the same.
const PART: usize = 32;

/// The places of all.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct Queue(Arc<Semaphore>);

/// What one prober may have of them.
#[derive(Debug)]
pub(in crate::upstream) struct Part {
    all: Queue,
    own: Semaphore,
}

/// The place of one probe, until it is dropped.
pub(super) struct Place<'a> {
    _own: Option<SemaphorePermit<'a>>,
    _of_all: Option<SemaphorePermit<'a>>,
}

impl Queue {
    /// With so many places; those of a process share one.
    pub(in crate::upstream) fn new() -> Self {
        Self(Arc::new(Semaphore::new(PLACES)))
    }

    /// For one prober more.
    pub(in crate::upstream) fn part(&self) -> Part {
        Part {
            all: self.clone(),
            own: Semaphore::new(PART),
        }
    }
}

impl Part {
    /// Waits for a place. None is ever closed.
    pub(super) async fn place(&self) -> Place<'_> {
        let own = self.own.acquire().await.ok();
        Place {
            _own: own,
            _of_all: self.all.0.acquire().await.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn endpoints_that_all_hang_leave_places_for_others() {
        let queue = Queue::new();
        let (hanging, other) = (queue.part(), queue.part());
        let mut held = Vec::new();
        while let Some(place) = hanging.place().now_or_never() {
            held.push(place);
        }
        assert_eq!(held.len(), PART);
        assert!(other.place().now_or_never().is_some());
        held.pop();
        assert!(hanging.place().now_or_never().is_some());
    }

    #[test]
    fn there_are_so_many_places_over_all() {
        let queue = Queue::new();
        let parts: Vec<_> = (0..=PLACES / PART).map(|_| queue.part()).collect();
        let mut held = Vec::new();
        for part in parts.iter().cycle().take(2 * PLACES) {
            held.extend(part.place().now_or_never());
        }
        assert_eq!(held.len(), PLACES);
    }
}
