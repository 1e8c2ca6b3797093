//! Doing without a kind that cannot be read.

use std::time::Duration;

use tokio::time::Instant;

use super::{Shelf, Step, Watched};
use crate::report::Finding;

/// Why a kind cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// There is no such kind.
    Gone,
    /// Not to us, as of now; for so long it may be a mistake.
    Refused { now: Instant, patience: Duration },
}

impl<K: Watched> Shelf<K> {
    /// The kind cannot be read, and nobody shall wait for it: what is known stays, unless the kind
    /// itself is gone. Where nothing is known yet a refusal has to last: an authorizer that is only
    /// starting refuses too. True if that is news.
    pub(crate) fn lack(&mut self, finding: Finding, lack: Lack) -> bool {
        if self.lacking.as_ref() == Some(&finding) {
            return false;
        }
        if let Lack::Refused { now, patience } = lack
            && !self.synced
            && now < *self.refused.get_or_insert(now) + patience
        {
            return false;
        }
        if lack == Lack::Gone || !self.synced {
            self.apply(Step::Begin);
            self.apply(Step::Complete);
        }
        self.lacking = Some(finding);
        self.revision += 1;
        true
    }
}
