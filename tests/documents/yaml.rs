//! Each piece of YAML in the documents is what it is said to be.
//! `forms` says how a block tells.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::forms::{Form, documents, yaml};
use super::markdown::{pages, root};

/// What `bywash check` says of manifests.
fn check(text: &str) -> Value {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bywash"))
        .args(["check", "-", "--output", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn every_block_says_in_which_language_it_is() {
    for page in pages() {
        for block in page.blocks() {
            let known = block.kind.as_deref().is_some_and(|kind| !kind.is_empty());
            assert!(known, "{}: which language?", page.at(block.line));
        }
    }
}

#[test]
fn objects_are_whole_and_nothing_is_wrong_with_them() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for page in pages() {
        for (form, block) in yaml(&page) {
            if form != Form::Objects {
                continue;
            }
            let at = page.at(block.line);
            for object in documents(&at, &block.text) {
                seen += 1;
                let whole = object["apiVersion"].is_string() && object["kind"].is_string();
                assert!(whole, "{at}: no Kubernetes object: {object}");
            }
            let said = check(&block.text);
            // A note is about what the block does not hold.
            let findings = said["findings"].as_array().unwrap().iter();
            let told = findings.filter(|it| it["severity"] != "note");
            wrong.extend(told.map(|it| format!("{at}: {}", it["message"])));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 20, "only {seen} objects found");
}

#[test]
fn what_is_said_to_be_wrong_is() {
    for page in pages() {
        for (form, block) in yaml(&page) {
            if form == Form::Wrong {
                let said = check(&block.text);
                let at = page.at(block.line);
                let findings = said["findings"].as_array().unwrap();
                let wrong = findings.iter().any(|it| it["severity"] != "note");
                assert!(wrong, "{at}: nothing is wrong");
            }
        }
    }
}

#[test]
fn values_are_those_of_the_chart() {
    let schema = fs::read(root().join("charts/bywash/values.schema.json")).unwrap();
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let chart = fs::read_to_string(root().join("charts/bywash/values.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&chart).unwrap();
    let mut seen = 0;
    for page in pages() {
        for (form, block) in yaml(&page) {
            if form != Form::Values {
                continue;
            }
            let at = page.at(block.line);
            for said in documents(&at, &block.text) {
                seen += 1;
                let mut values = chart.clone();
                merge(&mut values, &said);
                let errors: Vec<String> = schema
                    .iter_errors(&values)
                    .map(|error| format!("{}: {error}", error.instance_path()))
                    .collect();
                assert!(errors.is_empty(), "{at}: {errors:#?}");
            }
        }
    }
    assert!(seen > 0, "no values found");
}

/// As Helm does it, before it looks at the schema.
fn merge(values: &mut Value, said: &Value) {
    match (values, said) {
        (Value::Object(values), Value::Object(said)) => {
            for (key, said) in said {
                merge(values.entry(key).or_insert(Value::Null), said);
            }
        }
        (value, said) => *value = said.clone(),
    }
}

#[test]
fn files_of_other_programs_can_be_read() {
    for page in pages() {
        for (form, block) in yaml(&page) {
            if form == Form::Other {
                let at = page.at(block.line);
                for document in documents(&at, &block.text) {
                    assert!(document["apiVersion"].is_null(), "{at}: an object");
                }
            }
        }
    }
}
