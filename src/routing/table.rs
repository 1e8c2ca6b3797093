//! Looking a request up: host first, then path.
//!
//! Ingress precedence is not that of a web framework's router (an exact host wins over a wildcard
//! even where it has no matching path; prefixes match by element), so that the table is our own: a
//! hash map of hosts, each with rules sorted once by precedence. A host with many rules is searched
//! from the best to the worst, which keeps the common case, a handful of rules, in one cache line
//! walk.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::host::HostPattern;
use super::path::PathRule;

/// The rules of one host and what they lead to.
#[derive(Debug)]
struct Host<T> {
    rules: Vec<(PathRule, T)>,
    default: Option<T>,
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
            any: Host {
                rules: Vec::new(),
                default: None,
            },
        }
    }
}

impl<T> Table<T> {
    /// Adds the rules of a host, in any order, and what its unmatched paths lead to.
    pub fn insert(
        &mut self,
        pattern: &HostPattern,
        mut rules: Vec<(PathRule, T)>,
        default: Option<T>,
    ) {
        rules.sort_by(|a, b| a.0.cmp(&b.0));
        let host = Host { rules, default };
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
        let rule = best.rules.iter().find(|(rule, _)| rule.matches(path));
        rule.map(|(_, target)| target)
            .or(best.default.as_ref())
            .or(self.any.default.as_ref())
    }

    /// Whether any pattern but the one for every host covers this host.
    pub fn knows_host(&self, host: &str) -> bool {
        self.exact.contains_key(host)
            || host
                .split_once('.')
                .is_some_and(|(_, parent)| self.wildcard.contains_key(parent))
    }
}
