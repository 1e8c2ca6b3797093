//! Looking a request up: host first, then path.
//!
//! Ingress precedence is not that of a web framework's router (an exact host wins over a wildcard
//! even where it has no matching path; prefixes match by element), so that the table is our own: a
//! hash map of hosts, each with rules sorted once by precedence. The common case, a handful of rules,
//! is searched from the best to the worst, in one walk over a few cache lines; a host with many rules
//! has them indexed by path, so that a request asks once per element of its path.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::host::HostPattern;
use super::path::{PathKind, PathRule};

#[cfg(test)]
mod properties;

/// With more rules than this a host has an index.
const WALKED: usize = 16;

/// The rules of one host and what they lead to.
#[derive(Debug)]
struct Host<T> {
    /// Best first.
    rules: Vec<(PathRule, T)>,
    index: Option<Index>,
    default: Option<T>,
}

/// Positions of rules by their paths.
#[derive(Debug, Default)]
struct Index {
    exact: HashMap<Box<str>, usize, FixedState>,
    prefix: HashMap<Box<str>, usize, FixedState>,
    /// The length of the longest prefix: what bounds the work for a hostile path.
    longest: usize,
}

/// Routes by host and path.
#[derive(Debug)]
pub struct Table<T> {
    exact: HashMap<Box<str>, Host<T>, FixedState>,
    /// By the parent name: `*.example.com` is under `example.com`.
    wildcard: HashMap<Box<str>, Host<T>, FixedState>,
    any: Host<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::default(),
            wildcard: HashMap::default(),
            any: Host::new(Vec::new(), None),
        }
    }
}

impl<T> Table<T> {
    /// Adds the rules of a host, in any order, and what its unmatched paths lead to.
    pub fn insert(&mut self, pattern: &HostPattern, rules: Vec<(PathRule, T)>, default: Option<T>) {
        let host = Host::new(rules, default);
        match pattern {
            HostPattern::Exact(name) => {
                self.exact.insert(name.as_str().into(), host);
            }
            HostPattern::Wildcard(parent) => {
                self.wildcard.insert(parent.as_str().into(), host);
            }
            HostPattern::Any => self.any = host,
        }
    }

    /// The best route for a host name in lower case and a canonical path.
    ///
    /// An exact host wins over a wildcard of one label, and that over the rules without a host. What
    /// matches no path of the best host goes to that host's default backend, else to the global one;
    /// never to another host's rules.
    pub fn lookup(&self, host: &str, path: &str) -> Option<&T> {
        let best = self
            .exact
            .get(host)
            .or_else(|| {
                host.split_once('.')
                    .and_then(|(_, parent)| self.wildcard.get(parent))
            })
            .unwrap_or(&self.any);
        best.find(path)
            .or(best.default.as_ref())
            .or(self.any.default.as_ref())
    }
}

impl<T> Host<T> {
    fn new(mut rules: Vec<(PathRule, T)>, default: Option<T>) -> Self {
        rules.sort_by(|a, b| a.0.cmp(&b.0));
        let index = (rules.len() > WALKED).then(|| Index::new(rules.iter().map(|(rule, _)| rule)));
        Self {
            rules,
            index,
            default,
        }
    }

    fn find(&self, path: &str) -> Option<&T> {
        let found = match &self.index {
            None => self.rules.iter().find(|(rule, _)| rule.matches(path)),
            Some(index) => index.find(path).and_then(|at| self.rules.get(at)),
        };
        found.map(|(_, target)| target)
    }
}

impl Index {
    /// Indexes rules that are sorted, best first.
    fn new<'r>(rules: impl Iterator<Item = &'r PathRule>) -> Self {
        let mut index = Self::default();
        for (at, rule) in rules.enumerate() {
            let stem = rule.stem();
            let paths = match rule.kind() {
                PathKind::Exact => &mut index.exact,
                PathKind::Prefix => {
                    index.longest = index.longest.max(stem.len());
                    &mut index.prefix
                }
            };
            paths.entry(stem.into()).or_insert(at);
        }
        index
    }

    /// The rule of the whole path, else that of its longest beginning that ends with an element.
    fn find(&self, path: &str) -> Option<usize> {
        if let Some(at) = self.exact.get(path) {
            return Some(*at);
        }
        let within = path.len().min(self.longest);
        let ends = (0..=within).rev();
        ends.filter(|end| matches!(path.as_bytes().get(*end), None | Some(b'/')))
            .find_map(|end| path.get(..end).and_then(|stem| self.prefix.get(stem)))
            .copied()
    }
}
