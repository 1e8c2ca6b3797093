//! ConfigMaps of two labels, each with a watch of its own: a selector cannot ask for either.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;

use super::{Entry, Identity, Shelf, Shelves, View};
use crate::report::ObjectRef;

impl Shelves {
    /// All of them, each once.
    pub(super) fn show_config_maps(&self, view: &mut View) -> Vec<Arc<ConfigMap>> {
        let mut all = BTreeMap::new();
        for shelf in [&self.pages, &self.config_maps] {
            shelf.tell(view);
            let entries = shelf.current.iter();
            all.extend(entries.filter_map(|(key, entry)| Some((key, entry.readable()?))));
        }
        all.into_values().cloned().collect()
    }

    /// Which incarnation of one is here.
    pub(super) fn identity_of_config_map(&self, key: &ObjectRef) -> Option<&Identity> {
        let shelves = [&self.config_maps, &self.pages];
        let found = shelves
            .into_iter()
            .find_map(|shelf: &Shelf<_>| shelf.get(key));
        found.map(Entry::identity)
    }
}
