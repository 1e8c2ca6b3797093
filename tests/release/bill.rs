//! What the program is made of, as CycloneDX.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::built::{Built, here};
use super::tree::{CURRENT, done};

/// The part of <https://cyclonedx.org/schema/bom-1.5.schema.json> that is used, and nothing besides.
const SCHEMA: &str = include_str!("cyclonedx-1.5.schema.json");

fn bill(architecture: &str) -> Value {
    let name = format!("bywash_{CURRENT}_linux_{architecture}.cdx.json");
    serde_json::from_str(&Built::get().text(&name)).unwrap()
}

fn components(bill: &Value) -> BTreeMap<(String, String), Value> {
    let found = bill["components"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    found
        .map(|it| ((text(&it["name"]), text(&it["version"])), it.clone()))
        .collect()
}

/// The packages of the lock file: their checksum, where they come from a registry.
fn locked() -> BTreeMap<(String, String), Option<String>> {
    let text = Built::get().tree.read("Cargo.lock");
    let entries = text.split("[[package]]\n").skip(1);
    entries
        .map(|entry| {
            let field = |name: &str| {
                let line = entry
                    .lines()
                    .find_map(|line| line.strip_prefix(&format!("{name} = \"")));
                line.map(|it| it.trim_end_matches('"').to_owned())
            };
            let identity = (field("name").unwrap(), field("version").unwrap());
            (identity, field("checksum"))
        })
        .collect()
}

#[test]
fn it_is_of_the_form_that_tools_read() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for architecture in ["amd64", "arm64"] {
        let bill = bill(architecture);
        let errors: Vec<String> = validator
            .iter_errors(&bill)
            .map(|it| it.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
        let known: BTreeSet<&str> = bill["components"]
            .as_array()
            .unwrap()
            .iter()
            .chain([&bill["metadata"]["component"]])
            .map(|it| it["bom-ref"].as_str().unwrap())
            .collect();
        for dependency in bill["dependencies"].as_array().unwrap() {
            let used = dependency["dependsOn"].as_array().unwrap().iter();
            let used = used.chain([&dependency["ref"]]);
            assert!(
                used.clone().all(|it| known.contains(it.as_str().unwrap())),
                "{dependency}"
            );
        }
    }
}

#[test]
fn it_says_for_which_program_it_is() {
    let bill = bill(here());
    let subject = &bill["metadata"]["component"];
    assert_eq!(subject["name"], "bywash");
    assert_eq!(subject["version"], CURRENT);
    let mut sum = std::process::Command::new("sha256sum");
    let sum = String::from_utf8(done(sum.arg(Built::get().native())).stdout).unwrap();
    assert_eq!(
        subject["hashes"][0]["content"],
        sum.split_whitespace().next().unwrap()
    );
}

#[test]
fn every_package_is_of_the_lock_file() {
    let locked = locked();
    for (identity, component) in components(&bill(here())) {
        let checksum = locked.get(&identity).and_then(Option::as_ref);
        let checksum = checksum.unwrap_or_else(|| panic!("{identity:?} is not locked"));
        assert_eq!(component["hashes"][0]["content"], *checksum, "{identity:?}");
        assert!(
            component["licenses"][0]["expression"].is_string(),
            "{identity:?}"
        );
    }
}

/// What panics says where, so that the program itself names the packages that it has code of.
#[test]
fn every_package_of_which_code_is_in_the_program_is_listed() {
    let listed: BTreeSet<String> = components(&bill(here()))
        .into_keys()
        .map(|(name, version)| format!("{name}-{version}"))
        .collect();
    let program = std::fs::read(Built::get().native()).unwrap();
    let program = String::from_utf8_lossy(&program);
    let named: BTreeSet<&str> = program
        .split("/registry/src/")
        .skip(1)
        .filter_map(|rest| rest.split('/').nth(1))
        .collect();
    assert!(named.len() > 100, "{named:?}");
    let missing: Vec<&&str> = named.iter().filter(|it| !listed.contains(**it)).collect();
    assert!(
        missing.is_empty(),
        "in the program, and not listed: {missing:?}"
    );
}

#[test]
fn what_only_builds_or_tests_the_program_is_not_listed() {
    let components = components(&bill(here()));
    let listed = |name: &str| components.keys().any(|(it, _)| it == name);
    for name in ["hyper", "rustls", "kube", "tokio", "clap_complete"] {
        assert!(listed(name), "{name} is missing");
    }
    for name in [
        "insta",
        "proptest",
        "mlua",
        "cc",
        "cmake",
        "syn",
        "serde_derive",
    ] {
        assert!(!listed(name), "{name} is listed");
    }
}
