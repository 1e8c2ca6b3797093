//! Which policies apply to what stands in.

use super::{Policies, Resolved};

impl Policies<'_> {
    /// What applies to a Service that stands in, whatever it stands in for: its own policy, then the
    /// defaults of the class.
    pub(in crate::translate) fn of_service(&mut self, namespace: &str, name: &str) -> Resolved {
        let chosen = self.standing_in(namespace, name);
        self.of(chosen.collect())
    }

    pub(super) fn standing_in(
        &self,
        namespace: &str,
        name: &str,
    ) -> impl Iterator<Item = usize> + use<> {
        let levels = [self.own(namespace, name), self.class];
        levels.into_iter().flatten()
    }
}
