//! The documents say what the code does: each table that repeats the code is compared with it.
//!
//! `UPDATE_DOCUMENTS=1 cargo test --test documents` rewrites what can be generated.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and tells its progress on the terminal"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs};

use bywash::api::{crd, metadata, reference};
use bywash::config::flags::{ClusterFlags, ServingFlags};
use bywash::diagnose::advice::Code as Diagnosis;
use bywash::failure::{Blame, Cause, RetryClass, status_word};
use bywash::report::{Code, Severity};
use bywash::telemetry::metrics::catalogue;
use clap::{Arg, Args, Command};

#[path = "programs/controlplane.rs"]
mod control_plane_programs;
#[path = "programs/go_module.rs"]
mod go_module;
#[path = "programs/helm.rs"]
mod programs;

mod documents {
    mod access_log;
    mod argo_cd;
    mod commands;
    mod foreign;
    mod forms;
    mod gitops;
    mod markdown;
    mod shell;
    mod site;
    mod yaml;
}

#[test]
fn the_table_of_causes_is_the_taxonomy() {
    let mut table = String::from(
        "| cause | what happened | status | `Proxy-Status` | JSON body | another attempt | held against | condition reason |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for cause in Cause::all() {
        let word = status_word(cause.status());
        let body = format!("`{{\"error\":\"{word}\",\"request_id\":\"…\"}}`");
        let (status, body) = match cause {
            Cause::RetriedStatus(_) => ("as received".to_owned(), "as received".to_owned()),
            // Nobody is there to read it.
            Cause::ClientAborted => (cause.status().as_str().to_owned(), "–".to_owned()),
            _ => (cause.status().as_str().to_owned(), body),
        };
        table.push_str(&format!(
            "| `{}` | {} | {status} | `bywash; {}` | {body} | {} | {} | `{}` |\n",
            cause.label(),
            cause.sentence(),
            cause.proxy_status(),
            retry(cause.retry_class()),
            blame(cause.blame()),
            cause.reason(),
        ));
    }
    require_generated("docs/causes.md", &table);
}

#[test]
fn each_finding_is_explained_under_its_code() {
    let documented: BTreeSet<String> = headings("docs/findings.md", "### ").collect();
    let known: BTreeSet<String> = Code::ALL
        .iter()
        .map(|code| {
            let severity = match code.severity() {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            format!("{} ({severity})", code.as_str())
        })
        .collect();
    assert_eq!(documented, known);
}

#[test]
fn each_diagnosis_is_explained_under_its_code() {
    let documented: BTreeSet<String> = headings("docs/diagnosis.md", "### ").collect();
    let codes = Diagnosis::ALL.iter().map(|code| code.as_str().to_owned());
    assert_eq!(documented, codes.collect());
}

#[test]
fn the_table_of_flags_is_what_the_program_takes() {
    let both = ServingFlags::augment_args(Command::new("run and standalone"));
    let run = ClusterFlags::augment_args(Command::new("run"));
    let flags: Vec<&Arg> = both.get_arguments().chain(run.get_arguments()).collect();
    let mut headings: Vec<&str> = flags.iter().map(|flag| heading(flag)).collect();
    headings.dedup();
    let mut tables = String::new();
    for group in headings {
        tables.push_str(&format!(
            "\n## {group}\n\n| flag | meaning | default |\n|---|---|---|\n"
        ));
        for flag in flags.iter().filter(|flag| heading(flag) == group) {
            tables.push_str(&flag_row(flag));
        }
    }
    tables.push('\n');
    require_generated("docs/configuration.md", &tables);
}

#[test]
fn the_definition_to_install_is_that_of_the_code() {
    let name = "gatewaypolicies.bywash.dev.yaml";
    for folder in ["crds", "charts/bywash/crds", "charts/bywash-crds/templates"] {
        require_file(&format!("{folder}/{name}"), &crd::manifest());
    }
}

#[test]
fn the_chart_has_the_alerts_and_the_dashboard_of_the_documents() {
    for name in ["alerts.yaml", "grafana-dashboard.json"] {
        let wanted = read(&format!("docs/monitoring/{name}"));
        require_file(&format!("charts/bywash/files/{name}"), &wanted);
    }
}

#[test]
fn the_reference_of_the_policy_is_its_definition() {
    require_generated("docs/gatewaypolicy.md", &reference::tables());
}

#[test]
fn the_table_of_metrics_is_what_is_exported() {
    let mut table =
        String::from("| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n");
    for metric in catalogue::ALL {
        let labels: Vec<String> = metric.labels.iter().map(|it| format!("`{it}`")).collect();
        table.push_str(&format!(
            "| `{metric}` | {} | {} | {} | {} |\n",
            metric.kind.as_str(),
            metric.unit.as_ref().map_or("", |unit| unit.as_str()),
            labels.join(", "),
            metric.meaning,
        ));
    }
    require_generated("docs/metrics.md", &table);
}

#[test]
fn the_first_steps_are_those_of_the_readme() {
    let readme = read("README.md");
    let (_, rest) = readme
        .split_once("\n## First Ingress\n")
        .expect("the section");
    let (steps, _) = rest.split_once("\n## ").expect("another one");
    let steps = steps.replace("](docs/", "](");
    require_generated("docs/start.md", &format!("\n## First Ingress\n{steps}\n"));
}

#[test]
fn the_table_of_annotations_is_what_is_read_and_set() {
    let mut table = String::from("| name | form | on | meaning |\n|---|---|---|---|\n");
    for mark in metadata::ALL {
        let more = if mark.name.ends_with('/') { "…" } else { "" };
        table.push_str(&format!(
            "| `{}{more}` | {} | {} | {} |\n",
            mark.name, mark.form, mark.on, mark.meaning
        ));
    }
    require_generated("docs/annotations.md", &table);
}

fn heading(flag: &Arg) -> &str {
    flag.get_help_heading().expect("a heading")
}

fn flag_row(flag: &Arg) -> String {
    let name = flag.get_long().expect("a name");
    let takes_value = flag.get_action().takes_values();
    let values: Vec<String> = flag
        .get_possible_values()
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    let value = match flag.get_value_names() {
        Some([value, ..]) if takes_value => format!("={value}"),
        _ => String::new(),
    };
    let help = flag.get_help().expect("a help text").to_string();
    // Where a default depends on the machine, the help text says what it is.
    let (mut meaning, mut default) = match help.split_once(" [default: ") {
        Some((meaning, default)) => (meaning.to_owned(), default.trim_end_matches(']').to_owned()),
        None => (help, String::new()),
    };
    if takes_value && !values.is_empty() {
        meaning.push_str(&format!(": {}", values.join(", ")));
    }
    if let ([known], true) = (flag.get_default_values(), takes_value) {
        default = format!("`{}`", known.to_str().unwrap());
    }
    format!("| `--{name}{value}` | {meaning} | {default} |\n")
}

fn retry(class: RetryClass) -> &'static str {
    match class {
        RetryClass::Unsent => "any method",
        RetryClass::Idempotent => "idempotent methods",
        RetryClass::Never => "no",
    }
}

fn blame(blame: Blame) -> &'static str {
    match blame {
        Blame::Endpoint => "the endpoint",
        Blame::Connectivity => "the endpoint, as a connection failure",
        Blame::Configuration => "nobody: configuration",
        Blame::Client => "nobody: client",
        Blame::Gateway => "nobody: gateway",
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compares the part between the marks `<!-- generated -->` and `<!-- end -->`.
fn require_generated(name: &str, wanted: &str) {
    let path = root().join(name);
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("<!-- generated -->\n").expect("a mark");
    let (found, after) = rest.split_once("<!-- end -->").expect("an end mark");
    if found != wanted && env::var_os("UPDATE_DOCUMENTS").is_some() {
        let new = format!("{before}<!-- generated -->\n{wanted}<!-- end -->{after}");
        fs::write(&path, new).unwrap();
    } else {
        assert!(
            found == wanted,
            "{name} differs from the code: run UPDATE_DOCUMENTS=1 cargo test --test documents"
        );
    }
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// Compares a whole file.
fn require_file(name: &str, wanted: &str) {
    let path = root().join(name);
    if env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(&path, wanted).unwrap();
    } else {
        assert!(
            fs::read_to_string(&path).unwrap() == wanted,
            "{name} differs from the code: run UPDATE_DOCUMENTS=1 cargo test --test documents"
        );
    }
}

fn headings(name: &str, level: &str) -> impl Iterator<Item = String> {
    let text = fs::read_to_string(root().join(name)).unwrap();
    let found: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix(level))
        .map(str::to_owned)
        .collect();
    found.into_iter()
}
