//! The recipes for pipelines have what they rely on, and Flux judges a policy as Argo CD does.

use serde_json::Value;

use super::argo_cd::{cases, health, read};
use super::forms::{documents, yaml};
use super::markdown::pages;

/// The files that a recipe shows.
fn recipe(name: &str) -> Vec<Value> {
    let mut pages = pages().into_iter();
    let page = pages.find(|page| page.path.ends_with(format!("docs/gitops/{name}.md")));
    let page = page.unwrap();
    let blocks = yaml(&page).into_iter();
    blocks
        .flat_map(|(_, block)| documents(&page.at(block.line), &block.text))
        .collect()
}

fn of_kind(objects: &[Value], kind: &str, name: &str) -> Value {
    let mut objects = objects.iter();
    let found = objects.find(|it| it["kind"] == kind && it["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))["spec"].clone()
}

/// With `shell: bash` GitHub runs `bash --noprofile --norc -eo pipefail`.
#[test]
fn a_workflow_fails_where_any_program_of_a_pipe_does() {
    let [workflow] = &recipe("github-actions")[..] else {
        panic!("one workflow");
    };
    assert_eq!(workflow["defaults"]["run"]["shell"], "bash");
    let steps = workflow["jobs"]["check"]["steps"].as_array().unwrap();
    for step in steps {
        assert!(
            step["run"].is_string() != step["uses"].is_string(),
            "{step}"
        );
    }
    let piped = |step: &Value| step["run"].as_str().is_some_and(|it| it.contains(" | "));
    assert!(steps.iter().any(piped));
}

#[test]
fn with_argo_cd_one_application_alone_has_the_definition() {
    let objects = recipe("argo-cd");
    let [definition, program] =
        ["bywash-crds", "bywash"].map(|name| of_kind(&objects, "Application", name));
    assert_eq!(definition["source"]["path"], "charts/bywash-crds");
    assert_eq!(program["source"]["path"], "charts/bywash");
    assert_eq!(program["source"]["helm"]["skipCrds"], true);
}

#[test]
fn flux_waits_and_upgrades_the_definition() {
    let objects = recipe("flux");
    assert_eq!(of_kind(&objects, "Kustomization", "shop")["wait"], true);
    let release = of_kind(&objects, "HelmRelease", "bywash");
    assert_eq!(release["upgrade"]["crds"], "CreateReplace");
}

/// What kstatus makes of an object of a kind that it does not know: the generation first, then the conditions that say
/// so in their own names, then `Ready`; what says nothing is done (`pkg/kstatus/status` of kubernetes-sigs/cli-utils).
fn kstatus(object: &Value) -> &'static str {
    if object["metadata"]["deletionTimestamp"].is_string() {
        return "Terminating";
    }
    let status = &object["status"];
    let (generation, observed) = (
        object["metadata"]["generation"].as_i64(),
        status["observedGeneration"].as_i64(),
    );
    if let (Some(generation), Some(observed)) = (generation, observed)
        && generation != observed
    {
        return "InProgress";
    }
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let of_type = |kind: &str| conditions.clone().find(|it| it["type"] == kind);
    let is_true = |kind: &str| of_type(kind).is_some_and(|it| it["status"] == "True");
    if is_true("Reconciling") {
        return "InProgress";
    }
    if is_true("Stalled") {
        return "Failed";
    }
    match of_type("Ready") {
        Some(_) if !is_true("Ready") => "InProgress",
        _ => "Current",
    }
}

#[test]
fn flux_sees_in_each_status_what_argo_cd_does() {
    let mut seen = Vec::new();
    for (file, _) in cases() {
        let object = read(&file);
        let (health, message) = health(&object);
        let wanted = match health.as_str() {
            "Healthy" => "Current",
            "Progressing" => "InProgress",
            "Degraded" => "Failed",
            other => panic!("{other}"),
        };
        assert_eq!(kstatus(&object), wanted, "{file}: {message}");
        seen.push(wanted);
    }
    for wanted in ["Current", "InProgress", "Failed"] {
        assert!(seen.contains(&wanted), "no {wanted}");
    }
}

#[test]
fn what_is_of_an_older_generation_is_in_progress() {
    for file in ["testdata/in-force.yaml", "testdata/stalled.yaml"] {
        let mut object = read(file);
        object["metadata"]["generation"] = Value::from(7);
        assert_eq!(kstatus(&object), "InProgress", "{file}");
    }
}
