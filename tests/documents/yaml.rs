//! Each piece of YAML in the documents is what it is said to be.
//! `forms` says how a block tells.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use regex::Regex;
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

/// As YAML 1.1 has it (<https://yaml.org/type/bool.html>), and with it kubectl.
const BOOLEANS: &str = r"(?-u)(^|[\s{,\[])(?i:y|yes|n|no|on|off)\s*(:(\s|$)|[,}\]]|$)";

/// The words that kubectl would take for booleans, where we read a text.
fn mistakable(text: &str) -> Vec<String> {
    let words = Regex::new(BOOLEANS).unwrap();
    let mut found = Vec::new();
    for line in text.lines() {
        let comment = line.find(" #").filter(|_| !line.contains('"'));
        let said = &line[..comment.unwrap_or(line.len())];
        if !said.trim_start().starts_with('#') && words.is_match(said) {
            found.push(line.to_owned());
        }
    }
    found
}

#[test]
fn nothing_that_is_shown_is_a_boolean_for_kubectl_and_a_text_for_us() {
    let mut wrong = Vec::new();
    for page in pages() {
        for (form, block) in yaml(&page) {
            if form != Form::Other {
                let at = page.at(block.line);
                let found = mistakable(&block.text).into_iter();
                wrong.extend(found.map(|line| format!("{at}: {line}")));
            }
        }
    }
    for folder in ["examples/demo", "examples/from-nginx"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|it| it == "yaml") {
                let found = mistakable(&fs::read_to_string(&path).unwrap()).into_iter();
                wrong.extend(found.map(|line| format!("{}: {line}", path.display())));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for bare in ["on: [reset]", "  - {on: 1}", "proxyStatus: Off", "[No, a]"] {
        assert_eq!(mistakable(bare).len(), 1, "{bare}");
    }
    for clear in ["\"on\": [reset]", "once: a", "message: on call", "# on: x"] {
        assert!(mistakable(clear).is_empty(), "{clear}");
    }
}
