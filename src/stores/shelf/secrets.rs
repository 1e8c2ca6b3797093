//! Secrets of all that is watched, or of namespaces that are watched one by one.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;

use super::{Entry, Identity, Shelf, Shelves, Step, View};
use crate::report::ObjectRef;

impl Shelves {
    /// Secrets are watched in these namespaces only: there is nothing to wait for elsewhere.
    pub(in crate::stores) fn list_secrets_of(&mut self, namespaces: &[String]) {
        self.secrets.apply(Step::Complete);
        let shelves = namespaces.iter().map(|it| (it.clone(), Shelf::default()));
        self.listed_secrets = shelves.collect();
    }

    fn shelves_of_secrets(&self) -> impl Iterator<Item = &Shelf<Secret>> {
        std::iter::once(&self.secrets).chain(self.listed_secrets.values())
    }

    /// Whether all of them have been read.
    pub(super) fn are_secrets_synced(&self) -> bool {
        self.shelves_of_secrets().all(Shelf::is_synced)
    }

    /// Counts their changes.
    pub(super) fn revision_of_secrets(&self) -> u64 {
        self.shelves_of_secrets().map(|shelf| shelf.revision).sum()
    }

    /// All of them.
    pub(super) fn show_secrets(&self, view: &mut View) -> Vec<Arc<Secret>> {
        let shelves = self.shelves_of_secrets();
        shelves.flat_map(|shelf| shelf.show(view)).collect()
    }

    /// Which incarnation of one is here.
    pub(super) fn identity_of_secret(&self, key: &ObjectRef) -> Option<&Identity> {
        let found = self.shelves_of_secrets().find_map(|shelf| shelf.get(key));
        found.map(Entry::identity)
    }
}
