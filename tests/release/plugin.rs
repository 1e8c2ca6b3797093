//! The manifest for krew (<https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/>).

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use super::built::Built;
use super::tree::{CURRENT, done};

fn manifest() -> Value {
    serde_saphyr::from_str(&Built::get().text("bywash.yaml")).unwrap()
}

#[test]
fn krew_is_told_what_the_plugin_is() {
    let manifest = manifest();
    assert_eq!(
        manifest["apiVersion"],
        "krew.googlecontainertools.github.com/v1alpha2"
    );
    assert_eq!(manifest["kind"], "Plugin");
    // krew wants the file to be called like the plugin.
    assert_eq!(manifest["metadata"], json!({"name": "bywash"}));
    let spec = &manifest["spec"];
    assert_eq!(spec["version"], format!("v{CURRENT}"));
    assert_eq!(spec["homepage"], env!("CARGO_PKG_HOMEPAGE"));
    let summary = spec["shortDescription"].as_str().unwrap();
    // What the index of krew asks of it.
    assert!(summary.len() <= 50 && !summary.ends_with('.'), "{summary}");
    assert!(
        spec["description"]
            .as_str()
            .unwrap()
            .contains("kubectl bywash explain")
    );
}

#[test]
fn each_platform_has_an_archive_with_the_files_that_are_named() {
    let built = Built::get();
    let manifest = manifest();
    let platforms = manifest["spec"]["platforms"].as_array().unwrap();
    let mut seen = BTreeSet::new();
    for platform in platforms {
        let labels = &platform["selector"]["matchLabels"];
        assert_eq!(labels["os"], "linux");
        let architecture = labels["arch"].as_str().unwrap();
        seen.insert(architecture);
        let name = format!("kubectl-bywash_{CURRENT}_linux_{architecture}.tar.gz");
        let repository = env!("CARGO_PKG_REPOSITORY");
        let address = format!("{repository}/releases/download/v{CURRENT}/{name}");
        assert_eq!(platform["uri"], address);
        let mut sum = Command::new("sha256sum");
        let sum = done(sum.arg(built.path(&name)));
        let sum = String::from_utf8(sum.stdout).unwrap();
        assert_eq!(platform["sha256"], sum.split_whitespace().next().unwrap());

        let mut tar = Command::new("tar");
        let listed = done(
            tar.args(["--list", "--verbose", "--file"])
                .arg(built.path(&name)),
        );
        let listed = String::from_utf8(listed.stdout).unwrap();
        // krew unpacks plain files and folders, and fails at links.
        assert!(listed.lines().all(|line| line.starts_with('-')), "{listed}");
        let packed = |file: &Value| {
            let file = format!(" {}", file.as_str().unwrap());
            listed.lines().any(|line| line.ends_with(&file))
        };
        let files = platform["files"].as_array().unwrap();
        assert!(
            files
                .iter()
                .all(|file| packed(&file["from"]) && file["to"] == ".")
        );
        assert!(packed(&platform["bin"]), "{listed}");
    }
    assert_eq!(seen, BTreeSet::from(["amd64", "arm64"]));
}
