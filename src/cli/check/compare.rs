//! What differs between two snapshots for clients, in words.

use std::collections::{BTreeMap, BTreeSet};

use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use serde::Serialize;

use crate::routing::host::HostPattern;
use crate::routing::snapshot::{Certificate, Route, Snapshot, Target, UpstreamId, VirtualHost};
use crate::translate::effective;

use super::destination::Services;
use super::pages;

/// One thing that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    pub(super) kind: ChangeKind,
    pub(super) host: String,
    /// The rule, for what concerns one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<String>,
    /// The section of a policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) section: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<String>,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ChangeKind {
    Lost,
    Gained,
    Retargeted,
    Fallback,
    Policy,
    Tls,
    Certificate,
}

/// What the named ports of stand-ins are called, by how an upstream is written.
pub(super) type PortNames = BTreeMap<String, String>;

/// Compares two snapshots.
pub(super) struct Comparison<'a> {
    pub(super) before: &'a Snapshot,
    pub(super) after: &'a Snapshot,
    /// Those before and after.
    pub(super) services: (Services<'a>, Services<'a>),
    pub(super) names: &'a PortNames,
}

type Rules<'a> = BTreeMap<String, &'a Route>;

impl Comparison<'_> {
    /// By host, then by rule.
    pub(super) fn changes(&self) -> Vec<Change> {
        let hosts: BTreeSet<&HostPattern> = self
            .before
            .hosts
            .keys()
            .chain(self.after.hosts.keys())
            .collect();
        let none = VirtualHost::default();
        let mut changes = Vec::new();
        for pattern in hosts {
            let before = self.before.hosts.get(pattern).unwrap_or(&none);
            let after = self.after.hosts.get(pattern).unwrap_or(&none);
            self.host(&pattern.to_string(), (before, after), &mut changes);
        }
        changes
    }

    fn host(&self, host: &str, sides: (&VirtualHost, &VirtualHost), changes: &mut Vec<Change>) {
        let (before, after) = (rules(sides.0), rules(sides.1));
        let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for rule in all {
            match (before.get(rule), after.get(rule)) {
                (Some(before), Some(after)) => self.route((host, rule), (before, after), changes),
                (before, after) => changes.push(Change {
                    kind: if after.is_some() {
                        ChangeKind::Gained
                    } else {
                        ChangeKind::Lost
                    },
                    host: host.to_owned(),
                    rule: Some(rule.clone()),
                    section: None,
                    before: before.map(|it| self.target(it)),
                    after: after.map(|it| self.target(it)),
                }),
            }
        }
        let whole = |kind, before: String, after: String| Change {
            kind,
            host: host.to_owned(),
            rule: None,
            section: None,
            before: Some(before),
            after: Some(after),
        };
        let gone = before.is_empty() || after.is_empty();
        if sides.0.tls != sides.1.tls && !gone {
            let word = |tls| if tls { "TLS" } else { "no TLS" }.to_owned();
            changes.push(whole(ChangeKind::Tls, word(sides.0.tls), word(sides.1.tls)));
        }
        let certificates = (
            sides.0.certificate.as_deref(),
            sides.1.certificate.as_deref(),
        );
        if certificates.0 != certificates.1 && !gone {
            let (before, after) = (fingerprint(certificates.0), fingerprint(certificates.1));
            changes.push(whole(ChangeKind::Certificate, before, after));
        }
    }

    fn route(
        &self,
        at: (&str, &str),
        (before, after): (&Route, &Route),
        changes: &mut Vec<Change>,
    ) {
        let mut add = |kind, section, before: String, after: String| {
            if before != after {
                changes.push(Change {
                    kind,
                    host: at.0.to_owned(),
                    rule: Some(at.1.to_owned()),
                    section,
                    before: Some(before),
                    after: Some(after),
                });
            }
        };
        let words = (self.target(before), self.target(after));
        let (one, other) = self.behind(words, (upstream(before), upstream(after)));
        add(ChangeKind::Retargeted, None, one, other);
        let words = (self.fallback(before), self.fallback(after));
        let (one, other) = self.behind(words, (stands_in(before), stands_in(after)));
        add(ChangeKind::Fallback, None, one, other);
        for ((section, one), (_, other)) in values(before).into_iter().zip(values(after)) {
            let (one, other) = match section {
                "errorPages" if one == other => pages::differing(&before.policy, &after.policy),
                _ => differing(&one, &other),
            };
            add(ChangeKind::Policy, Some(section), one, other);
        }
    }

    /// Words for two upstreams, with what is behind their Service where it is the same one and that differs.
    fn behind(
        &self,
        (before, after): (String, String),
        upstreams: (Option<&UpstreamId>, Option<&UpstreamId>),
    ) -> (String, String) {
        let (Some(one), Some(other)) = upstreams else {
            return (before, after);
        };
        let was = self.services.0.behind(&one.service);
        let is = self.services.1.behind(&other.service);
        match one.service != other.service || was == is {
            true => (before, after),
            false => (format!("{before} ({was})"), format!("{after} ({is})")),
        }
    }

    fn target(&self, route: &Route) -> String {
        match &route.target {
            Target::Upstream(id) => self.named(id.to_string()),
            Target::Unavailable { cause, .. } => format!("nothing ({})", cause.status().as_u16()),
        }
    }

    fn fallback(&self, route: &Route) -> String {
        let fallback = route.fallback.as_ref();
        fallback.map_or_else(
            || "nothing".to_owned(),
            |it| self.named(it.upstream.to_string()),
        )
    }

    fn named(&self, upstream: String) -> String {
        self.names.get(&upstream).cloned().unwrap_or(upstream)
    }
}

/// The routes of a host by how their rules are called.
fn rules(host: &VirtualHost) -> Rules<'_> {
    let routes = host.routes.iter();
    let routes =
        routes.map(|(rule, route)| (format!("{:?} {}", rule.kind(), rule.path()), &**route));
    let default = host.default.as_deref();
    routes
        .chain(default.map(|route| ("all other paths".to_owned(), route)))
        .collect()
}

fn upstream(route: &Route) -> Option<&UpstreamId> {
    match &route.target {
        Target::Upstream(id) => Some(id),
        Target::Unavailable { .. } => None,
    }
}

fn stands_in(route: &Route) -> Option<&UpstreamId> {
    route.fallback.as_ref().map(|it| &it.upstream)
}

fn values(route: &Route) -> Vec<(&'static str, String)> {
    let policy = upstream(route).map_or(&route.policy.upstream, |id| &id.policy);
    effective(&route.policy, policy)
}

/// The values that differ, of two lists in the same order.
fn differing(before: &str, after: &str) -> (String, String) {
    let (one, other): (Vec<&str>, Vec<&str>) =
        (before.split(' ').collect(), after.split(' ').collect());
    let same_names = one.len() == other.len()
        && one.iter().zip(&other).all(|(one, other)| {
            let names = (one.split_once('='), other.split_once('='));
            matches!(names, (Some((one, _)), Some((other, _))) if one == other)
        });
    if !same_names {
        return (before.to_owned(), after.to_owned());
    }
    let differ = one
        .into_iter()
        .zip(other)
        .filter(|(one, other)| one != other);
    let (one, other): (Vec<&str>, Vec<&str>) = differ.unzip();
    (one.join(" "), other.join(" "))
}

fn fingerprint(certificate: Option<&Certificate>) -> String {
    let leaf = certificate.and_then(|it| it.chain.first());
    leaf.map_or_else(|| "the default certificate".to_owned(), |leaf| digest(leaf))
}

/// As `openssl x509 -fingerprint` writes it, in short.
pub(super) fn digest(bytes: &[u8]) -> String {
    let Some(suite) = TLS13_AES_128_GCM_SHA256.tls13() else {
        return String::new();
    };
    let mut hash = suite.common.hash_provider.start();
    hash.update(bytes);
    let hash = hash.finish();
    let bytes: Vec<String> = hash
        .as_ref()
        .iter()
        .take(8)
        .map(|it| format!("{it:02X}"))
        .collect();
    format!("SHA-256 {}…", bytes.join(":"))
}

impl Change {
    /// In words.
    pub(super) fn sentence(&self) -> String {
        let (before, after) = (self.before.as_deref(), self.after.as_deref());
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        let at = match &self.rule {
            Some(rule) => format!("{}: {rule}", self.host),
            None => self.host.clone(),
        };
        match self.kind {
            ChangeKind::Gained => format!("{at} is new and leads to {after}"),
            ChangeKind::Lost => format!("{at} is gone; it led to {before}"),
            ChangeKind::Retargeted => format!("{at} leads to {after}, and no longer to {before}"),
            ChangeKind::Fallback => {
                format!("{at} falls back to {after}, and no longer to {before}")
            }
            ChangeKind::Policy => {
                let section = self.section.unwrap_or_default();
                format!("{at} gets {section} {after}; it was {before}")
            }
            ChangeKind::Tls => format!("{at} asks for {after}, and no longer for {before}"),
            ChangeKind::Certificate => format!("{at} presents {after}, and no longer {before}"),
        }
    }
}
