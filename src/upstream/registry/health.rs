//! How many endpoints of each upstream take requests: for whoever tells of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::report::traffic::UpstreamReport;
use crate::routing::snapshot::{Snapshot, Target};

use super::Registry;

impl Registry {
    /// For how long connections to each upstream may idle, by its policy; the least of several.
    pub fn idle_timeouts(&self) -> BTreeMap<String, Duration> {
        let mut all: BTreeMap<String, Duration> = BTreeMap::new();
        for id in self.lock().upstreams.keys() {
            let time = id.policy.connection_pool.idle_timeout;
            let known = all.entry(id.to_string()).or_insert(time);
            *known = time.min(*known);
        }
        all
    }

    /// The endpoints of every upstream, counted, with none of those that routes mean and do not lead to.
    /// Upstreams that differ in their policy alone are told of as the worst of them is; those whose name
    /// was never looked up are not.
    pub fn health(&self) -> Vec<UpstreamReport> {
        let state = self.lock();
        let mut all: BTreeMap<String, UpstreamReport> = BTreeMap::new();
        for (id, (_, live)) in &state.upstreams {
            if !live.is_known() {
                continue;
            }
            let group = state.groups.get(&id.group());
            let down = group.map_or(0, |group| group.probers.down(id).len());
            let ready = live.usable();
            let usable = usize::try_from(live.usable_now()).unwrap_or(ready);
            let now = UpstreamReport {
                upstream: id.to_string(),
                ready: count(ready),
                ejected: count(ready.saturating_sub(usable)),
                probed_down: count(down),
            };
            let known = all.entry(now.upstream.clone()).or_insert(now.clone());
            known.ready = known.ready.min(now.ready);
            known.ejected = known.ejected.max(now.ejected);
            known.probed_down = known.probed_down.max(now.probed_down);
        }
        // Where another route leads there all the same, its endpoints are what there is to tell.
        for upstream in &state.nowhere {
            let nothing = || UpstreamReport {
                upstream: upstream.clone(),
                ..UpstreamReport::default()
            };
            all.entry(upstream.clone()).or_insert_with(nothing);
        }
        all.into_values().collect()
    }
}

/// What the routes of a snapshot mean that lead nowhere, as upstreams are called.
pub(super) fn nowhere(snapshot: &Snapshot) -> BTreeSet<String> {
    let hosts = snapshot.hosts.values();
    let routes = hosts.flat_map(|host| {
        let rules = host.routes.iter().map(|(_, route)| route);
        rules.chain(&host.default)
    });
    let meant = routes.filter_map(|route| match &route.target {
        Target::Upstream(_) => None,
        Target::Unavailable { service, .. } => service.as_ref(),
    });
    meant.map(ToString::to_string).collect()
}

fn count(endpoints: usize) -> u32 {
    u32::try_from(endpoints).unwrap_or(u32::MAX)
}
