//! What is in the archive.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::unpacked::{Image, assemble, complaint};

#[test]
fn the_image_holds_the_program_and_the_certificates_and_nothing_else() {
    let mut tar = Command::new("tar");
    tar.args(["--list", "--verbose", "--numeric-owner", "--file"]);
    let listed = tar.arg(&Image::get().layer).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let held: Vec<(&str, &str, &str)> = listed
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words[0], words[1], words[words.len() - 1])
        })
        .collect();
    let expected = [
        ("drwxr-xr-x", "0/0", "etc/"),
        ("drwxr-xr-x", "0/0", "etc/ssl/"),
        ("drwxr-xr-x", "0/0", "etc/ssl/certs/"),
        ("-rw-r--r--", "0/0", "etc/ssl/certs/ca-certificates.crt"),
        ("drwxr-xr-x", "0/0", "usr/"),
        ("drwxr-xr-x", "0/0", "usr/local/"),
        ("drwxr-xr-x", "0/0", "usr/local/bin/"),
        ("-rwxr-xr-x", "0/0", "usr/local/bin/bywash"),
    ];
    assert_eq!(held, expected);
}

#[test]
fn the_image_runs_as_a_user_by_number_and_says_what_it_is() {
    let image = Image::get();
    let config = &image.config["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], json!(["/usr/local/bin/bywash"]));
    assert_eq!(config["Cmd"], json!(["run"]));
    let labels = &config["Labels"];
    assert_eq!(*labels, image.manifest["annotations"]);
    let label = |name: &str| &labels[format!("org.opencontainers.image.{name}")];
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(label("licenses"), env!("CARGO_PKG_LICENSE"));
    assert_eq!(label("description"), env!("CARGO_PKG_DESCRIPTION"));
    assert_eq!(*label("created"), image.config["created"]);
}

#[test]
fn the_same_program_makes_the_same_archive() {
    let image = Image::get();
    let again = tempfile::NamedTempFile::new().unwrap();
    let made = assemble(&image.program, again.path());
    assert!(made.status.success(), "{}", complaint(&made));
    let (first, second) = (fs::read(&image.archive), fs::read(again.path()));
    assert!(first.unwrap() == second.unwrap(), "the archives differ");
}

#[test]
fn engines_of_both_kinds_can_read_the_archive() {
    let image = Image::get();
    for kind in ["oci-archive", "docker-archive"] {
        let archive = format!("{kind}:{}", image.archive.display());
        let inspected: Value = inspect(&[&archive]);
        let labels = &image.config["config"]["Labels"];
        assert_eq!(inspected["Labels"], *labels, "{kind}");
        let config: Value = inspect(&["--config", &archive]);
        assert_eq!(config["config"]["User"], "65532:65532", "{kind}");
        // Copying reads each blob and compares it with its digest.
        let copy = tempfile::tempdir().unwrap();
        let copy = format!("dir:{}", copy.path().display());
        let copied = Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--quiet", &archive, &copy])
            .output();
        let copied = copied.unwrap();
        assert!(copied.status.success(), "{kind}: {}", complaint(&copied));
    }
}

fn inspect(arguments: &[&str]) -> Value {
    let inspected = Command::new("skopeo")
        .arg("inspect")
        .args(arguments)
        .output();
    let inspected = inspected.expect("`skopeo` is needed: install the package skopeo");
    assert!(inspected.status.success(), "{}", complaint(&inspected));
    serde_json::from_slice(&inspected.stdout).unwrap()
}

#[test]
fn a_program_that_needs_shared_libraries_is_refused() {
    let archive = tempfile::NamedTempFile::new().unwrap();
    // This very test is such a program.
    let refused = assemble(&env::current_exe().unwrap(), archive.path());
    assert_eq!(refused.status.code(), Some(1));
    let told = complaint(&refused);
    assert!(
        told.contains("build it with `make static`") && told.lines().count() == 1,
        "{told}"
    );
    assert_eq!(fs::metadata(archive.path()).unwrap().len(), 0);
}

#[test]
fn a_program_that_has_grown_beyond_what_it_may_have_is_refused() {
    let image = Image::get();
    let size = fs::metadata(&image.program).unwrap().len() >> 20;
    let archive = tempfile::NamedTempFile::new().unwrap();
    let most = |most: u64| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("release/image");
        let mut image_of = Command::new(script);
        image_of.args([&*image.program, archive.path()]);
        image_of
            .args(["--most", &most.to_string()])
            .output()
            .unwrap()
    };
    let refused = most(size);
    assert_eq!(refused.status.code(), Some(1));
    let told = complaint(&refused);
    let expected = format!("of which {size} are allowed: build it with `make static`");
    assert!(
        told.contains(&expected) && told.lines().count() == 1,
        "{told}"
    );
    assert_eq!(fs::metadata(archive.path()).unwrap().len(), 0);
    let made = most(size + 1);
    assert!(made.status.success(), "{}", complaint(&made));
}

/// An engine builds the same image from the Dockerfile as the script does without one.
#[test]
fn the_dockerfile_says_the_same_of_the_image_as_the_script() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile");
    let dockerfile = fs::read_to_string(file).unwrap();
    let (_, image) = dockerfile.split_once("FROM scratch\n").unwrap();
    let config = &Image::get().config["config"];
    let said = |line: String| assert!(image.contains(&line), "no {line:?} in\n{image}");
    said(format!("USER {}\n", config["User"].as_str().unwrap()));
    said(format!("ENTRYPOINT {}\n", config["Entrypoint"]));
    said(format!("ENV {}\n", config["Env"][0].as_str().unwrap()));
    said(format!("CMD {}\n", config["Cmd"]));
    let ports = config["ExposedPorts"].as_object().unwrap().keys();
    let ports: Vec<&str> = ports.map(|port| port.trim_end_matches("/tcp")).collect();
    said(format!("EXPOSE {}\n", ports.join(" ")));
    said(format!("ARG VERSION={}\n", env!("CARGO_PKG_VERSION")));
    for (label, value) in config["Labels"].as_object().unwrap() {
        let given = ["created", "revision", "version"];
        match given.iter().find(|it| label.ends_with(*it)) {
            Some(argument) => said(format!("{label}=\"${}\"", argument.to_uppercase())),
            None => said(format!("{label}={value}")),
        }
    }
}
