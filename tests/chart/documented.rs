//! What is said of the charts, in them and elsewhere, is what they do.

use std::collections::{BTreeMap, BTreeSet};
use std::{env, fs};

use serde_json::{Value, json};

use crate::helm::{chart, directory, helm, versions};
use crate::values::matrix;

fn read(chart_name: &str, file: &str) -> String {
    fs::read_to_string(chart(chart_name).join(file)).unwrap()
}

fn yaml(chart_name: &str, file: &str) -> Value {
    serde_saphyr::from_str(&read(chart_name, file)).unwrap()
}

#[test]
fn each_helm_lints_the_charts_and_renders_the_whole_matrix() {
    for helm in versions() {
        for name in ["bywash", "bywash-crds"] {
            let chart = chart(name);
            helm.run(&["lint", "--strict", chart.to_str().unwrap()])
                .unwrap_or_else(|said| panic!("{said}"));
        }
        for (name, values) in matrix() {
            let objects = helm.template(&values);
            let objects = objects.unwrap_or_else(|said| panic!("{name}: {said}"));
            let kinds = objects.iter().filter_map(|it| it["kind"].as_str());
            let expected = ["Deployment", "DaemonSet"];
            assert!(kinds.clone().any(|kind| expected.contains(&kind)), "{name}");
        }
    }
}

#[test]
fn the_readme_is_generated_from_the_values() {
    let output = std::process::Command::new(directory().join("helm-docs"))
        .args([
            "--dry-run",
            "--sort-values-order",
            "file",
            "--log-level",
            "error",
        ])
        .arg("--chart-search-root")
        .arg(chart("bywash"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let wanted = String::from_utf8(output.stdout).unwrap();
    let readme = chart("bywash").join("README.md");
    if env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(&readme, &wanted).unwrap();
    }
    let found = fs::read_to_string(&readme).unwrap_or_default();
    assert!(
        found == wanted,
        "the chart's README differs from its values: run UPDATE_DOCUMENTS=1 cargo test --test chart"
    );
}

#[test]
fn every_value_has_a_description() {
    for line in read("bywash", "README.md").lines() {
        let Some(row) = line.strip_prefix("| `") else {
            continue;
        };
        let described = row.split_once("` | ").unwrap().1;
        assert!(!described.starts_with('|'), "no description: {line}");
    }
}

/// What may not be null cannot be left empty either, so that no template meets what is not there.
#[test]
fn what_has_a_default_and_may_not_be_null_is_required() {
    let schema: Value = serde_json::from_str(&read("bywash", "values.schema.json")).unwrap();
    required(&schema, &schema, &yaml("bywash", "values.yaml"), "");
}

fn required(whole: &Value, schema: &Value, values: &Value, path: &str) {
    let (Some(properties), Some(values)) = (schema["properties"].as_object(), values.as_object())
    else {
        return;
    };
    for (key, value) in values {
        let path = format!("{path}.{key}");
        let of_key = &properties[key];
        let reference = of_key["$ref"].as_str();
        let resolved = match reference.and_then(|it| it.strip_prefix('#')) {
            Some(pointer) => whole.pointer(pointer).unwrap(),
            None => of_key,
        };
        let has = |list: &Value, it: Value| list.as_array().is_some_and(|list| list.contains(&it));
        let nullable = has(&resolved["type"], json!("null")) || has(&resolved["enum"], Value::Null);
        if !nullable {
            assert!(has(&schema["required"], json!(key)), "{path}");
        }
        required(whole, of_key, value, &path);
    }
}

/// The keys of the values are a part of what the schema knows; the others are those of ingress-nginx, or optional
/// fields of Kubernetes.
#[test]
fn the_schema_knows_every_value_and_refuses_all_others() {
    let schema: Value = serde_json::from_str(&read("bywash", "values.schema.json")).unwrap();
    let values = yaml("bywash", "values.yaml");
    let mut seen = 0;
    known(&schema, &values, "", &mut seen);
    assert!(seen > 100, "only {seen} values seen");
}

fn known(schema: &Value, values: &Value, path: &str, seen: &mut usize) {
    let (Some(properties), Some(values)) = (schema["properties"].as_object(), values.as_object())
    else {
        return;
    };
    assert_eq!(schema["additionalProperties"], false, "{path}");
    for (key, value) in values {
        *seen += 1;
        let path = format!("{path}.{key}");
        let schema = properties.get(key);
        known(
            schema.unwrap_or_else(|| panic!("{path}")),
            value,
            &path,
            seen,
        );
    }
}

#[test]
fn the_charts_have_the_version_of_the_program_and_say_for_which_kubernetes() {
    for name in ["bywash", "bywash-crds"] {
        let about = yaml(name, "Chart.yaml");
        assert_eq!(about["version"], env!("CARGO_PKG_VERSION"), "{name}");
        assert_eq!(about["appVersion"], env!("CARGO_PKG_VERSION"), "{name}");
        assert_eq!(about["kubeVersion"], ">=1.33.0-0", "{name}");
    }
}

#[test]
fn artifact_hub_is_told_of_the_image_that_is_installed_and_of_the_definition() {
    let annotations = &yaml("bywash", "Chart.yaml")["annotations"];
    let annotation = |name: &str| -> Value {
        let text = annotations[&format!("artifacthub.io/{name}")].as_str();
        serde_saphyr::from_str(text.unwrap()).unwrap()
    };
    let objects = crate::helm::rendered(&Value::Object(serde_json::Map::new()));
    let image = &crate::helm::container(&objects)["image"];
    assert_eq!(&annotation("images")[0]["image"], image);

    let definition = bywash::api::crd::definition();
    let told = &annotation("crds")[0];
    assert_eq!(told["name"], definition["metadata"]["name"]);
    assert_eq!(told["kind"], definition["spec"]["names"]["kind"]);
    let version = &definition["spec"]["versions"][0]["name"];
    assert_eq!(&told["version"], version);
    let example = annotation("crdsExamples")[0].clone();
    let example: bywash::api::policy::GatewayPolicy = serde_json::from_value(example).unwrap();
    assert!(example.spec.timeouts.is_some());
}

/// `helm template` without a version of Kubernetes takes that of its own libraries.
#[test]
fn managed_clusters_with_version_strings_of_their_own_are_accepted_and_older_ones_refused() {
    let chart = chart("bywash");
    let template = |version: &str| {
        let chart = chart.to_str().unwrap();
        helm().run(&["template", "bywash", chart, "--kube-version", version])
    };
    for version in ["v1.33.0", "v1.33.5-eks-113cf36", "v1.34.1-gke.1829000"] {
        template(version).unwrap_or_else(|said| panic!("{version}: {said}"));
    }
    let said = template("v1.32.9").unwrap_err();
    assert!(said.contains(">=1.33.0-0"), "{said}");
}

/// What `bywash crds` prints, as it is read.
fn definition() -> Value {
    serde_saphyr::from_str(&bywash::api::crd::manifest()).unwrap()
}

#[test]
fn the_chart_of_definitions_renders_the_definition_as_it_is() {
    let crds = chart("bywash-crds");
    let objects = helm().template_of(&crds, &json!({}), &[]).unwrap();
    assert!(objects == [definition()], "it differs from `bywash crds`");
    let file = read("bywash-crds", "templates/gatewaypolicies.bywash.dev.yaml");
    assert!(!file.contains("{{"), "Helm would read it as a template");
}

/// `helm template --include-crds` is what Argo CD renders.
#[test]
fn the_chart_carries_the_definition_for_first_installs() {
    let objects = helm()
        .template_of(&chart("bywash"), &json!({}), &["--include-crds"])
        .unwrap();
    let definitions = crate::helm::all(&objects, "CustomResourceDefinition");
    assert!(
        definitions == [&definition()],
        "it differs from `bywash crds`"
    );
}

/// What `bywash run` takes.
fn program() -> clap::Command {
    use bywash::config::flags::{ClusterFlags, ServingFlags};
    use clap::Args;
    ClusterFlags::augment_args(ServingFlags::augment_args(clap::Command::new("run")))
}

#[test]
fn the_flags_of_the_chart_are_flags_of_the_program() {
    let program = program();
    let known: BTreeSet<_> = program
        .get_arguments()
        .filter_map(|it| it.get_long())
        .collect();
    for (name, values) in matrix() {
        for flag in crate::helm::flags(&crate::helm::rendered(&values)) {
            let flag = flag.trim_start_matches("--").split('=').next().unwrap();
            assert!(known.contains(flag), "{name}: --{flag}");
        }
    }
}

/// So that no Pod is made that its own command line ends.
#[test]
fn extra_arguments_are_flags_of_the_program_or_reach_a_sentence() {
    let schema: Value = serde_json::from_str(&read("bywash", "values.schema.json")).unwrap();
    let known = &schema["properties"]["controller"]["properties"]["extraArgs"]["properties"];
    let replacements = crate::refused::replacements().into_iter();
    let refused: BTreeSet<String> = replacements
        .filter_map(|(path, _)| {
            path.strip_prefix("controller.extraArgs.")
                .map(str::to_owned)
        })
        .collect();
    let mut wanted: BTreeMap<String, Value> = program()
        .get_arguments()
        .map(|it| {
            let definition = match it.get_action() {
                clap::ArgAction::SetTrue => "switch",
                _ => "flag",
            };
            let schema = json!({"$ref": format!("#/definitions/{definition}")});
            (it.get_long().unwrap().to_owned(), schema)
        })
        .collect();
    wanted.extend(refused.into_iter().map(|flag| (flag, json!({}))));
    assert_eq!(known, &json!(wanted));
}

/// The template names the flags without a value.
#[test]
fn a_flag_without_a_value_is_given_or_not() {
    let switches = program();
    let switches = switches
        .get_arguments()
        .filter(|it| matches!(it.get_action(), clap::ArgAction::SetTrue))
        .map(|it| it.get_long().unwrap())
        .filter(|flag| *flag != "publish-node-addresses");
    for flag in switches {
        for (value, given) in [
            (json!(true), true),
            (json!("true"), true),
            (json!(""), true),
            (json!(false), false),
            (json!("false"), false),
        ] {
            let values = json!({"controller": {"extraArgs": {flag: value}}});
            let flags = crate::helm::flags(&crate::helm::rendered(&values));
            let found = flags.iter().filter(|it| it.contains(flag));
            let wanted = given.then(|| format!("--{flag}"));
            assert!(found.eq(wanted.as_ref()), "{values}: {flags:?}");
        }
    }
}
