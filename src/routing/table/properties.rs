//! The table against a model that follows the text of Kubernetes' documentation word by word.

use proptest::prelude::*;
use proptest::sample::select;

use super::super::host::HostPattern;
use super::super::path::{PathKind, PathRule};
use super::{Table, WALKED};

/// A host of the model: its pattern, its rules and whether it has a default backend.
#[derive(Clone, Debug)]
struct ModelHost {
    pattern: String,
    rules: Vec<(PathKind, String)>,
    default: bool,
}

/// Where a request goes: the rule of a host, its default backend, or the global one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Leads {
    Rule(String, PathKind, String),
    Default(String),
}

fn label() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "shop"])
}

fn name() -> impl Strategy<Value = String> {
    prop::collection::vec(label(), 1..4).prop_map(|labels| labels.join("."))
}

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => name(),
        3 => name().prop_map(|parent| format!("*.{parent}")),
        1 => Just(String::new()),
    ]
}

fn path() -> impl Strategy<Value = String> {
    let segments = prop::collection::vec(select(vec!["", "a", "b", "ab", "a%2Fb"]), 0..5);
    segments.prop_map(|segments| format!("/{}", segments.join("/")))
}

fn kind() -> impl Strategy<Value = PathKind> {
    select(vec![PathKind::Exact, PathKind::Prefix])
}

/// Some hosts have few rules and some so many that they are indexed.
fn host() -> impl Strategy<Value = ModelHost> {
    let few = prop::collection::vec((kind(), path()), 0..6);
    let many = prop::collection::vec((kind(), path()), WALKED + 1..WALKED * 4);
    (pattern(), prop_oneof![few, many], any::<bool>()).prop_map(|(pattern, rules, default)| {
        ModelHost {
            pattern,
            rules,
            default,
        }
    })
}

/// Each pattern once; a table holds a host once.
fn hosts() -> impl Strategy<Value = Vec<ModelHost>> {
    prop::collection::vec(host(), 0..8).prop_map(|mut hosts| {
        hosts.sort_by(|a, b| a.pattern.cmp(&b.pattern));
        hosts.dedup_by(|a, b| a.pattern == b.pattern);
        hosts
    })
}

fn table(hosts: &[ModelHost]) -> Table<Leads> {
    let mut table = Table::default();
    for host in hosts {
        let rules = host.rules.iter().map(|(kind, path)| {
            let leads = Leads::Rule(host.pattern.clone(), *kind, without_slash(*kind, path));
            (PathRule::new(*kind, path), leads)
        });
        let default = host.default.then(|| Leads::Default(host.pattern.clone()));
        let pattern = HostPattern::parse(&host.pattern).unwrap();
        table.insert(&pattern, rules.collect(), default);
    }
    table
}

fn without_slash(kind: PathKind, path: &str) -> String {
    match kind {
        PathKind::Exact => path.to_owned(),
        PathKind::Prefix => path.strip_suffix('/').unwrap_or(path).to_owned(),
    }
}

/// "Exact matches the URL path exactly"; "matching is done on a path element by element basis".
fn path_matches(kind: PathKind, rule: &str, path: &str) -> bool {
    let elements: Vec<&str> = rule.strip_suffix('/').unwrap_or(rule).split('/').collect();
    let asked: Vec<&str> = path.split('/').collect();
    match kind {
        PathKind::Exact => rule == path,
        PathKind::Prefix => asked.starts_with(&elements),
    }
}

/// "Wildcard matches require the HTTP host header is equal to the suffix of the wildcard rule", for
/// "a single DNS label".
fn host_matches(pattern: &str, host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let wanted: Vec<&str> = pattern.split('.').collect();
    match wanted.split_first() {
        Some((&"*", parent)) => labels.len() == wanted.len() && labels.ends_with(parent),
        _ => pattern.is_empty() || wanted == labels,
    }
}

fn model(hosts: &[ModelHost], host: &str, path: &str) -> Option<Leads> {
    let rank = |pattern: &str| match pattern {
        "" => 2,
        _ if pattern.starts_with("*.") => 1,
        _ => 0,
    };
    let global = hosts.iter().find(|it| it.pattern.is_empty() && it.default);
    let global = global.map(|it| Leads::Default(it.pattern.clone()));
    let matching = hosts.iter().filter(|it| host_matches(&it.pattern, host));
    let Some(best) = matching.min_by_key(|it| rank(&it.pattern)) else {
        return global;
    };
    let rules = best.rules.iter();
    let matching = rules.filter(|(kind, rule)| path_matches(*kind, rule, path));
    let rule = matching.max_by_key(|(kind, rule)| {
        let elements = without_slash(*kind, rule).split('/').count();
        (*kind == PathKind::Exact, elements)
    });
    rule.map(|(kind, rule)| Leads::Rule(best.pattern.clone(), *kind, without_slash(*kind, rule)))
        .or(best.default.then(|| Leads::Default(best.pattern.clone())))
        .or(global)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_request_goes_where_the_documentation_says(
        hosts in hosts(),
        requests in prop::collection::vec((name(), path()), 1..16),
    ) {
        let table = table(&hosts);
        for (host, path) in requests {
            let expected = model(&hosts, &host, &path);
            prop_assert_eq!(table.lookup(&host, &path), expected.as_ref(), "{} {}", host, path);
        }
    }

    #[test]
    fn the_order_of_rules_makes_no_difference(host in host(), request in path()) {
        let mut opposite = host.clone();
        opposite.rules.reverse();
        let [here, there] = [host, opposite].map(|host| table(&[ModelHost {
            pattern: String::new(),
            ..host
        }]));
        prop_assert_eq!(here.lookup("a", &request), there.lookup("a", &request));
    }

    #[test]
    fn any_host_and_path_can_be_asked_for(hosts in hosts(), host in ".*", path in ".*") {
        let asked = table(&hosts);
        let found = asked.lookup(&host, &path);
        let any_default = hosts.iter().any(|it| it.pattern.is_empty() && it.default);
        prop_assert!(found.is_some() || !any_default);
    }
}
