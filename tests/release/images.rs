//! The images: one archive for each architecture, and one that leads to all of them.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::built::{Built, here};
use super::tree::{CURRENT, done};

fn skopeo(arguments: &[&str]) -> Vec<u8> {
    done(Command::new("skopeo").args(arguments)).stdout
}

#[test]
fn one_name_leads_to_the_image_of_each_architecture() {
    let archive = Built::get().path(&format!("bywash_{CURRENT}_image.tar"));
    let archive = format!("oci-archive:{}", archive.display());
    let folder = tempfile::tempdir().unwrap();
    let copy = format!("dir:{}", folder.path().display());
    // Copying reads each blob and compares it with its digest.
    skopeo(&[
        "--insecure-policy",
        "copy",
        "--quiet",
        "--all",
        "--preserve-digests",
        &archive,
        &copy,
    ]);
    let index = fs::read(folder.path().join("manifest.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let platforms = index["manifests"].as_array().unwrap().iter();
    let platforms: Vec<(&str, &str)> = platforms
        .map(|it| &it["platform"])
        .map(|it| {
            (
                it["os"].as_str().unwrap(),
                it["architecture"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(platforms, [("linux", "amd64"), ("linux", "arm64")]);

    let sum = done(Command::new("sha256sum").arg(folder.path().join("manifest.json")));
    let sum = String::from_utf8(sum.stdout).unwrap();
    let digest = format!("@sha256:{}`", sum.split_whitespace().next().unwrap());
    let notes = Built::get().text("NOTES.md");
    assert!(notes.contains(&digest), "no {digest} in {notes}");
}

#[test]
fn the_image_of_one_architecture_is_the_one_that_is_assembled_alone() {
    let built = Built::get();
    let alone = built.tree.cloned();
    let archive = tempfile::NamedTempFile::new().unwrap();
    let mut script = Command::new(alone.root.join("release/image"));
    script.args(["--name", "ghcr.io/bywash/bywash"]);
    done(script.arg(built.native()).arg(archive.path()));
    let name = format!("bywash_{CURRENT}_image_linux_{}.tar", here());
    assert!(built.bytes(&name) == fs::read(archive.path()).unwrap());
}
