//! The charts: generated from the version, packaged by real Helm.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::built::{Built, helm};
use super::tree::{CURRENT, done};

#[test]
fn chart_yaml_is_what_is_generated_for_this_version() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("release/release");
    done(Command::new(script).args(["charts", "--check"]));
}

fn helm_says(arguments: &[&str], chart: &str) -> String {
    let chart = Built::get().path(&format!("{chart}-{CURRENT}.tgz"));
    let output = done(Command::new(helm()).args(arguments).arg(chart));
    String::from_utf8(output.stdout).unwrap()
}

fn documents(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n").filter(|it| it.contains("kind:"));
    documents
        .map(|it| serde_saphyr::from_str(it).unwrap())
        .collect()
}

#[test]
fn the_packaged_chart_installs_the_image_of_its_version() {
    helm_says(&["lint", "--strict"], "bywash");
    let rendered = documents(&helm_says(&["template", "edge"], "bywash"));
    let workload = rendered.iter().find(|it| it["kind"] == "Deployment");
    let pod = &workload.unwrap()["spec"]["template"]["spec"];
    let image = pod["containers"][0]["image"].as_str().unwrap();
    let about: Value = serde_saphyr::from_str(&helm_says(&["show", "chart"], "bywash")).unwrap();
    assert_eq!(about["version"], CURRENT);
    assert_eq!(about["appVersion"], CURRENT);
    assert_eq!(image, format!("ghcr.io/bywash/bywash:{CURRENT}"));
    assert!(
        Built::get()
            .text("NOTES.md")
            .contains(&format!("`{image}@sha256:"))
    );
}

#[test]
fn the_packaged_definitions_are_those_of_the_program() {
    helm_says(&["lint", "--strict"], "bywash-crds");
    let rendered = documents(&helm_says(&["template", "crds"], "bywash-crds"));
    let definition: Value = serde_saphyr::from_str(&bywash::api::crd::manifest()).unwrap();
    assert_eq!(rendered, [definition]);
}
