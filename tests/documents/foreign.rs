//! The commands of kubectl and Helm, asked of these programs themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use bywash::api::crd;
use tempfile::NamedTempFile;

use super::forms::{Form, yaml};
use super::markdown::{pages, root};
use super::shell::calls;
use crate::control_plane_programs::CONTROL_PLANE;
use crate::programs::HELM;

/// Verbs of kubectl whose first word is a kind of objects.
const ABOUT_KINDS: [&str; 9] = [
    "annotate", "delete", "describe", "edit", "get", "label", "patch", "scale", "wait",
];

/// A program, and what it knows.
struct Program {
    path: PathBuf,
    /// The flags of every command.
    options: String,
}

impl Program {
    fn new(directory: PathBuf, name: &str, options: &[&str]) -> Self {
        let mut program = Self {
            path: directory.join(name),
            options: String::new(),
        };
        program.options = program.say(options).unwrap();
        program
    }

    /// What it prints, or complains of.
    fn say(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(&self.path)
            .args(arguments)
            .env_clear()
            .env("HOME", env!("CARGO_TARGET_TMPDIR"))
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        }
    }

    /// The words of a command that belong to no flag, if it is one that the program takes.
    fn words(&self, arguments: &[String]) -> Result<Vec<String>, String> {
        let ours = arguments.iter().take_while(|word| *word != "--");
        let ours: Vec<&str> = ours.map(String::as_str).collect();
        // Help is given only where every flag was understood.
        let asked: Vec<&str> = ours.iter().copied().chain(["--help"]).collect();
        let help = self.say(&asked)?;
        let takes_value = flags(&format!("{help}\n{}", self.options));
        let (mut words, mut rest) = (Vec::new(), ours.into_iter());
        while let Some(word) = rest.next() {
            if !word.starts_with('-') || word == "-" {
                words.push(word.to_owned());
            } else if takes_value.get(word).copied().unwrap_or(false) {
                rest.next();
            }
        }
        // Usage of a group of commands, though a word of one was given: there is no such command.
        match help.contains("Available Commands:") && words.len() > 1 {
            true => Err("there is no such command".to_owned()),
            false => Ok(words),
        }
    }
}

fn kubectl() -> Program {
    let directory = CONTROL_PLANE.locate_or_build();
    let directory = directory.unwrap_or_else(|said| panic!("{said}"));
    Program::new(directory, "kubectl", &["options"])
}

fn helm() -> Program {
    let directory = HELM.locate_or_build();
    let directory = directory.unwrap_or_else(|said| panic!("{said}"));
    Program::new(directory, "helm", &["--help"])
}

/// The flags that a help text lists, and whether the next word is the value of each.
fn flags(help: &str) -> BTreeMap<String, bool> {
    let mut found = BTreeMap::new();
    for line in help
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'))
    {
        let end = line.find("  ").unwrap_or(line.len());
        let head = &line[..end];
        // kubectl: `-n, --namespace='':` and `--all=false:`; Helm: `-n, --namespace string` and `--wait`.
        let (names, value) = match head.split_once('=') {
            Some((names, default)) => (names, !["true:", "false:"].contains(&default.trim())),
            None => match head.rsplit_once(' ') {
                Some((names, last)) if !last.starts_with('-') => (names, true),
                _ => (head, false),
            },
        };
        for name in names.split(", ") {
            found.insert(name.trim().to_owned(), value);
        }
    }
    found
}

/// What kubectl calls the kinds that the documents speak of.
fn kinds() -> BTreeSet<String> {
    fn of<K: Resource>() -> [String; 2] {
        [K::URL_PATH_SEGMENT.to_owned(), K::KIND.to_lowercase()]
    }
    let known = [
        of::<ConfigMap>(),
        of::<CustomResourceDefinition>(),
        of::<DaemonSet>(),
        of::<Deployment>(),
        of::<EndpointSlice>(),
        of::<Event>(),
        of::<Ingress>(),
        of::<IngressClass>(),
        of::<Lease>(),
        of::<Node>(),
        of::<Pod>(),
        of::<Secret>(),
        of::<Service>(),
        ["crd", "deploy"].map(str::to_owned),
        // Of cert-manager.
        ["certificate", "certificates"].map(str::to_owned),
    ];
    let definition = crd::definition();
    let names = &definition["spec"]["names"];
    let lists = [&names["shortNames"], &names["categories"]];
    let several = lists.into_iter().filter_map(|it| it.as_array()).flatten();
    let single = [&names["plural"], &names["singular"]];
    let ours = several.chain(single).filter_map(|it| it.as_str());
    known
        .into_iter()
        .flatten()
        .chain(ours.map(str::to_owned))
        .collect()
}

#[test]
fn kubectl_takes_its_commands_and_knows_their_kinds() {
    let kubectl = kubectl();
    let known = kinds();
    let mut seen = BTreeSet::new();
    for call in calls("kubectl") {
        if call.arguments[0] == "bywash" || !seen.insert(call.arguments.clone()) {
            continue;
        }
        let words = kubectl.words(&call.arguments);
        let words = words.unwrap_or_else(|said| panic!("{call}: {said}"));
        let verb = words.first().map(String::as_str).unwrap_or_default();
        let Some(kinds) = words.get(1).filter(|_| ABOUT_KINDS.contains(&verb)) else {
            continue;
        };
        // One or several, with names or without: `pods`, `gwp/shop`, `deploy,svc`, `gatewaypolicies.bywash.dev`.
        for kind in kinds.split(',') {
            let kind = kind.split(['/', '.']).next().unwrap();
            assert!(known.contains(kind), "{call}: no kind {kind}");
        }
    }
    assert!(seen.len() > 20, "only {} commands", seen.len());
}

#[test]
fn helm_takes_its_commands() {
    let helm = helm();
    let mut seen = BTreeSet::new();
    for call in calls("helm") {
        if seen.insert(call.arguments.clone()) {
            let words = helm.words(&call.arguments);
            let words = words.unwrap_or_else(|said| panic!("{call}: {said}"));
            let chart = words.iter().find(|word| word.starts_with("charts/"));
            let there = |chart: &String| root().join(chart).is_dir();
            assert!(chart.is_none_or(there), "{call}: no such chart");
        }
    }
    assert!(seen.len() > 3, "only {} commands", seen.len());
}

#[test]
fn the_chart_is_rendered_with_values_of_the_documents() {
    let helm = helm();
    let chart = root().join("charts/bywash");
    for page in pages() {
        for (form, block) in yaml(&page) {
            if form == Form::Values {
                let mut file = NamedTempFile::new().unwrap();
                file.write_all(block.text.as_bytes()).unwrap();
                let (chart, file) = (chart.to_str().unwrap(), file.path().to_str().unwrap());
                let rendered = helm.say(&["template", "bywash", chart, "--values", file]);
                let at = page.at(block.line);
                assert!(rendered.is_ok(), "{at}: {rendered:?}");
            }
        }
    }
}

#[test]
fn commands_that_are_none_are_told() {
    for (program, command) in [
        (kubectl(), "get pods --all-namspaces"),
        (kubectl(), "explane gwp"),
        (kubectl(), "create configmaps a"),
        (helm(), "install bywash charts/bywash --create-namespaces"),
        (helm(), "repo ad a"),
    ] {
        let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
        assert!(program.words(&words).is_err(), "{command}");
    }
}

#[test]
fn flags_with_and_without_values_are_told_apart() {
    let help = "    -A, --all-namespaces=false:\n\tIf so.\n    -n, --namespace='':\n  -o, --output format   how\n      --wait            whether\n";
    let found = flags(help);
    let expected = [
        ("--all-namespaces", false),
        ("--namespace", true),
        ("--output", true),
        ("--wait", false),
        ("-A", false),
        ("-n", true),
        ("-o", true),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(found, BTreeMap::from(expected));
}
