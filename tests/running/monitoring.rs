//! The dashboard and the alerts ask for what there is: every metric and label in them is one that a
//! process exports, and every alert has its section in the runbook.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use bywash::failure::{Blame, Cause};
use bywash::telemetry::metrics::catalogue::{self, Kind};
use promql_parser::parser::{self, Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::Value;

use crate::http::get;
use crate::manifests::{Manifests, route};
use crate::metrics::{PROMETHEUS, scrape};
use crate::program::Program;
use crate::upstream::{Answers, Nobody, Upstream};

/// What an expression asks for.
#[derive(Default)]
struct Asked {
    selectors: Vec<VectorSelector>,
    grouped: BTreeSet<String>,
}

impl ExprVisitor for Asked {
    type Error = ();

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, ()> {
        match expr {
            Expr::VectorSelector(selector) => self.selectors.push(selector.clone()),
            Expr::MatrixSelector(matrix) => self.selectors.push(matrix.vs.clone()),
            Expr::Aggregate(aggregate) => {
                let modifier = aggregate.modifier.iter();
                let labels = modifier.flat_map(|it| it.labels().labels.clone());
                self.grouped.extend(labels);
            }
            _ => {}
        }
        Ok(true)
    }
}

/// The labels of each sample that may be exported, by its name.
fn exported() -> BTreeMap<String, BTreeSet<String>> {
    let mut samples = BTreeMap::new();
    for metric in catalogue::ALL {
        let labels: BTreeSet<String> = metric.labels.iter().map(|it| (*it).to_owned()).collect();
        if metric.kind == Kind::Histogram {
            for suffix in ["_sum", "_count"] {
                samples.insert(format!("{metric}{suffix}"), labels.clone());
            }
            let bucket = labels.iter().cloned().chain(["le".to_owned()]).collect();
            samples.insert(format!("{metric}_bucket"), bucket);
        } else {
            samples.insert(metric.name(), labels);
        }
    }
    samples
}

fn check(expression: &str, exported: &BTreeMap<String, BTreeSet<String>>) {
    let expression = expression.replace("$__rate_interval", "5m");
    let parsed = parser::parse(&expression).unwrap_or_else(|why| panic!("{expression}: {why}"));
    let mut asked = Asked::default();
    walk_expr(&mut asked, &parsed).unwrap();
    assert!(!asked.selectors.is_empty(), "{expression}");
    let mut known = BTreeSet::new();
    for selector in &asked.selectors {
        let name = selector.name.as_ref().unwrap();
        let labels = exported.get(name);
        let labels = labels.unwrap_or_else(|| panic!("{name} is not exported: {expression}"));
        for matcher in &selector.matchers.matchers {
            assert!(
                labels.contains(&matcher.name),
                "{name} has no label {}",
                matcher.name
            );
        }
        known.extend(labels.clone());
    }
    let unknown: Vec<_> = asked.grouped.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?} in {expression}");
}

fn document(name: &str) -> String {
    fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs")
            .join(name),
    )
    .unwrap()
}

#[test]
fn what_is_exported_is_what_is_documented() {
    let upstream = Upstream::start("cart", Answers::AtOnce);
    let nobody = Nobody::listens();
    let manifests = Manifests::routing("shop.example", upstream.address);
    manifests.write("gone.yaml", &route("gone", "gone.example", nobody.address));
    let program = Program::standalone(manifests.path(), &[]);
    for (host, status) in [
        ("shop.example", 200),
        ("gone.example", 502),
        ("no.example", 404),
    ] {
        assert_eq!(get(program.http, host, "/").status, status);
    }
    program.counted_when("bywash_request_failures_total", "no_route");
    let text = scrape(&program, PROMETHEUS).body;
    let described = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let described: BTreeSet<&str> = described.map(|it| it.split(' ').next().unwrap()).collect();
    let families: Vec<String> = catalogue::ALL.iter().map(|it| it.family()).collect();
    let families: BTreeSet<&str> = families.iter().map(String::as_str).collect();
    assert_eq!(described, families);
    let exported = exported();
    let mut found = 0;
    for sample in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = sample.split_at(sample.find(['{', ' ']).unwrap());
        let known = exported.get(name).unwrap_or_else(|| panic!("{sample}"));
        let labels = rest
            .strip_prefix('{')
            .and_then(|rest| rest.split('}').next());
        let labels = labels
            .into_iter()
            .flat_map(|it| it.split("\","))
            .filter(|it| !it.is_empty());
        let labels: BTreeSet<String> = labels
            .map(|label| label.split('=').next().unwrap().to_owned())
            .collect();
        assert_eq!(labels, *known, "{sample}");
        found += 1;
    }
    assert!(found > 60, "{text}");
}

#[test]
fn the_dashboard_asks_for_what_is_exported() {
    let dashboard: Value =
        serde_json::from_str(&document("monitoring/grafana-dashboard.json")).unwrap();
    let exported = exported();
    let mut expressions = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            check(target["expr"].as_str().unwrap(), &exported);
            assert_eq!(target["datasource"]["uid"], "${datasource}");
            expressions += 1;
        }
    }
    assert!(expressions > 30, "{expressions}");
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if variable["type"] == "query" {
            let query = variable["definition"].as_str().unwrap();
            let inside = query
                .strip_prefix("label_values(")
                .unwrap()
                .trim_end_matches(')');
            let (metric, label) = inside.split_once(", ").unwrap();
            assert!(exported[metric].contains(label), "{query}");
        }
    }
}

#[test]
fn each_alert_asks_for_what_is_exported_and_has_its_section_in_the_runbook() {
    let rules: Value = serde_saphyr::from_str(&document("monitoring/alerts.yaml")).unwrap();
    let runbook = document("runbook.md");
    let sections = runbook.lines().filter_map(|line| line.strip_prefix("## "));
    let sections: BTreeSet<&str> = sections.collect();
    let exported = exported();
    let mut alerts = BTreeSet::new();
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let name = rule["alert"].as_str().unwrap();
        check(rule["expr"].as_str().unwrap(), &exported);
        let annotations = &rule["annotations"];
        let anchor = format!("docs/runbook.md#{}", name.to_lowercase());
        assert_eq!(annotations["runbook"], *anchor);
        for text in ["summary", "description"] {
            assert!(
                annotations[text].as_str().is_some_and(|it| it.len() > 10),
                "{name}"
            );
        }
        alerts.insert(name);
    }
    assert_eq!(alerts, sections);
    assert!(alerts.len() >= 10);
}

/// Those that a client brings about by itself wake nobody.
#[test]
fn the_alerts_about_502_and_504_name_the_causes_that_are_answered_so() {
    let rules: Value = serde_saphyr::from_str(&document("monitoring/alerts.yaml")).unwrap();
    for (index, status) in [(0, 502), (1, 504)] {
        let expression = rules["groups"][0]["rules"][index]["expr"].as_str().unwrap();
        let named = expression.split('"').nth(1).unwrap();
        let named: BTreeSet<&str> = named.split('|').collect();
        let causes = Cause::all().into_iter().filter(|cause| {
            cause.status().as_u16() == status
                && cause.blame() != Blame::Client
                && !matches!(cause, Cause::RetriedStatus(_))
        });
        assert_eq!(named, causes.map(Cause::label).collect());
    }
}
