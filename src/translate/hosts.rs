//! Joining the claims of all Ingresses to one set of hosts.
//!
//! The oldest claim of a path wins, different paths of a host merge, and what a host has only once
//! (default backend, certificate) belongs to the oldest Ingress with a rule for it. So claims are
//! walked from the oldest to the youngest, and whoever comes second is told who was first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;

use k8s_openapi::api::networking::v1::IngressBackend;

use crate::report::Code;
use crate::routing::host::HostPattern;
use crate::routing::path::PathRule;
use crate::routing::snapshot::{Route, VirtualHost};

use super::HostOwnership;
use super::backend::Backends;
use super::findings::Findings;
use super::ingress::{Claims, Rule};
use super::policy::Policies;

/// Who won what, from the claims of all Ingresses.
pub(super) struct Hosts<'a> {
    by_pattern: HashMap<&'a HostPattern, Host<'a>, FixedState>,
    ownership: HostOwnership,
    /// The Ingress without rules whose default backend is the global one.
    global: Option<Won<'a>>,
}

/// One host.
struct Host<'a> {
    /// The oldest Ingress with a rule for it.
    owner: &'a Claims<'a>,
    paths: BTreeMap<&'a PathRule, Won<'a>>,
}

/// A backend and the Ingress that it is from.
#[derive(Clone, Copy)]
struct Won<'a> {
    by: &'a Claims<'a>,
    backend: &'a IngressBackend,
}

/// What each host serves, and to whom it belongs.
#[derive(Default)]
pub(super) struct Served<'a>(HashMap<&'a HostPattern, (&'a Claims<'a>, VirtualHost), FixedState>);

impl<'a> Hosts<'a> {
    /// Joins claims, which are sorted from the oldest to the youngest.
    pub(super) fn merge(
        claims: &'a [Claims<'a>],
        ownership: HostOwnership,
        findings: &mut Findings,
    ) -> Self {
        let mut hosts = Self {
            by_pattern: HashMap::default(),
            ownership,
            global: None,
        };
        for claim in claims {
            for rule in &claim.rules {
                hosts.add_rule(claim, rule, findings);
            }
            if claim.without_rules {
                hosts.add_global(claim, findings);
            } else {
                hosts.compare_default(claim, findings);
            }
        }
        hosts
    }

    /// Turns backends into routes.
    pub(super) fn resolve(
        self,
        backends: &mut Backends<'_>,
        policies: &mut Policies<'_>,
        findings: &mut Findings,
    ) -> Served<'a> {
        let mut served = Served::default();
        let mut route = |host: &HostPattern, won: Won<'_>| {
            let ingress = &won.by.object;
            let service = won.backend.service.as_ref();
            let service = service.map(|service| service.name.as_str());
            let resolved = policies.resolve(ingress, host, service);
            let backend = (ingress, won.backend);
            let fallback = backends.fallback(backend, &resolved, policies, findings);
            let treatment = (&resolved, fallback.is_some());
            let target = backends.resolve(ingress, won.backend, treatment, findings);
            policies.lead((ingress, host, service), &target);
            Arc::new(Route {
                ingress: won.by.name(),
                target,
                policy: resolved.policy,
                fallback,
            })
        };
        for (pattern, Host { owner, paths }) in self.by_pattern {
            let default = own_default(owner);
            let host = VirtualHost {
                routes: paths
                    .into_iter()
                    .map(|(rule, won)| (rule.clone(), route(pattern, won)))
                    .collect(),
                default: default.map(|won| route(pattern, won)),
                ..VirtualHost::default()
            };
            served.0.insert(pattern, (owner, host));
        }
        if let Some(won) = self.global {
            served.set_global(won.by, route(&HostPattern::Any, won));
        }
        served
    }

    fn add_rule(&mut self, claim: &'a Claims<'a>, rule: &'a Rule<'a>, findings: &mut Findings) {
        let Rule { host, paths } = rule;
        let entry = self.by_pattern.entry(host);
        let entry = entry.or_insert_with(|| Host {
            owner: claim,
            paths: BTreeMap::new(),
        });
        if !admits(self.ownership, entry.owner, claim) {
            let message = format!(
                "the host '{host}' belongs to the namespace '{}' by its oldest {}: nothing of it is \
                 served from here",
                entry.owner.object.namespace, entry.owner.object
            );
            findings.add(&claim.object, Code::HostConflict, message);
            return;
        }
        for (path, backend) in paths {
            if let Some(first) = entry.paths.get(path) {
                let winner = if std::ptr::eq(first.by, claim) {
                    "an earlier rule of this Ingress".to_owned()
                } else {
                    format!("the older {}", first.by.object)
                };
                let message = format!(
                    "{:?} path '{}' of host '{host}' belongs to {winner}",
                    path.kind(),
                    path.path()
                );
                findings.add(&claim.object, Code::PathConflict, message);
            } else {
                let by = claim;
                entry.paths.insert(path, Won { by, backend });
            }
        }
    }

    fn add_global(&mut self, claim: &'a Claims<'a>, findings: &mut Findings) {
        let Some(backend) = claim.default else { return };
        let first = *self.global.get_or_insert(Won { by: claim, backend });
        if !std::ptr::eq(first.by, claim) && !same_backend(first, Won { by: claim, backend }) {
            let message = format!(
                "the default backend for every host belongs to the older {}",
                first.by.object
            );
            findings.add(&claim.object, Code::DefaultBackendConflict, message);
        }
    }

    /// Tells an Ingress whose default backend is not that of a host it has rules for.
    fn compare_default(&self, claim: &'a Claims<'a>, findings: &mut Findings) {
        let Some(mine) = own_default(claim) else {
            return;
        };
        for host in claim.hosts() {
            let Some(Host { owner, .. }) = self.by_pattern.get(host) else {
                continue;
            };
            if std::ptr::eq(*owner, claim) || !admits(self.ownership, owner, claim) {
                continue;
            }
            if own_default(owner).is_none_or(|first| !same_backend(first, mine)) {
                let message = format!(
                    "the default backend of host '{host}' belongs to its oldest {}",
                    owner.object
                );
                findings.add(&claim.object, Code::DefaultBackendConflict, message);
            }
        }
    }
}

impl<'a> Served<'a> {
    /// The Ingress to which a host belongs.
    pub(super) fn owner(&self, host: &HostPattern) -> Option<&'a Claims<'a>> {
        self.0.get(host).map(|(owner, _)| *owner)
    }

    /// What a host serves.
    pub(super) fn host_mut(&mut self, host: &HostPattern) -> Option<&mut VirtualHost> {
        self.0.get_mut(host).map(|(_, host)| host)
    }

    /// The host whose rules serve one that has none of its own, and to whom it belongs.
    pub(super) fn base(&self, host: &HostPattern) -> Option<&(&'a Claims<'a>, VirtualHost)> {
        let wildcard = host.covering_wildcard();
        wildcard
            .and_then(|wildcard| self.0.get(&wildcard))
            .or_else(|| self.0.get(&HostPattern::Any))
    }

    /// All hosts, in the order of precedence, with those that are served without rules of their own.
    pub(super) fn finish(
        self,
        without_rules: Vec<(HostPattern, VirtualHost)>,
    ) -> BTreeMap<HostPattern, VirtualHost> {
        let with_rules = self.0.into_iter();
        with_rules
            .map(|(pattern, (_, host))| (pattern.clone(), host))
            .chain(without_rules)
            .collect()
    }

    /// Sets the global default backend, which is the default of [`HostPattern::Any`].
    ///
    /// An Ingress with rules for every host may have put its own default there, which goes first
    /// for the hosts that no rule names; the others then get the global one each.
    fn set_global(&mut self, from: &'a Claims<'a>, global: Arc<Route>) {
        let any = self.0.entry(&HostPattern::Any);
        let (_, any) = any.or_insert_with(|| (from, VirtualHost::default()));
        if any.default.is_none() {
            any.default = Some(global);
            return;
        }
        for (pattern, (_, host)) in &mut self.0 {
            if **pattern != HostPattern::Any && host.default.is_none() {
                host.default = Some(Arc::clone(&global));
            }
        }
    }
}

/// Whether a claim on a host of this owner counts.
pub(super) fn admits(ownership: HostOwnership, owner: &Claims<'_>, claim: &Claims<'_>) -> bool {
    match ownership {
        HostOwnership::Ingress => true,
        HostOwnership::Namespace => owner.object.namespace == claim.object.namespace,
    }
}

fn own_default<'a>(claim: &'a Claims<'a>) -> Option<Won<'a>> {
    let backend = claim.default?;
    Some(Won { by: claim, backend })
}

fn same_backend(a: Won<'_>, b: Won<'_>) -> bool {
    a.by.object.namespace == b.by.object.namespace && a.backend == b.backend
}
