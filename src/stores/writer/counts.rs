//! How many writes there were, and what became of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::WriteError;

/// The writes of a [`Writer`](super::Writer), its clones and who counts with it, by what was written and what became of it.
#[derive(Clone, Debug, Default)]
pub struct WriteCounts(Arc<Mutex<Counts>>);

type Counts = BTreeMap<(&'static str, &'static str), u64>;

impl WriteCounts {
    /// So far.
    pub fn now(&self) -> Counts {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }

    /// Counts a write and passes on what became of it.
    pub(in crate::stores) fn count(
        &self,
        kind: &'static str,
        result: Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        let became = match &result {
            Ok(()) => "written",
            Err(WriteError::Gone) => "gone",
            Err(WriteError::Forbidden { .. }) => "forbidden",
            Err(WriteError::Refused(_)) => "refused",
            Err(WriteError::Retry(_)) => "failed",
        };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((kind, became)).or_insert(0) += 1;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_count_together_by_what_was_written_and_what_became_of_it() {
        let counts = WriteCounts::default();
        let same = counts.clone();
        assert!(counts.count("Ingress", Ok(())).is_ok());
        assert!(same.count("Ingress", Ok(())).is_ok());
        assert!(same.count("Event", Err(WriteError::Gone)).is_err());
        let expected = [(("Event", "gone"), 1), (("Ingress", "written"), 2)];
        assert_eq!(counts.now(), BTreeMap::from(expected));
    }
}
