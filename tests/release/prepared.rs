//! `release prepare`: all that names the version, and nothing else.

use std::process::Command;

use serde_json::{Value, json};

use super::tree::{Tree, done};

/// The next one that breaks something.
fn next() -> String {
    let major: u64 = env!("CARGO_PKG_VERSION_MAJOR").parse().unwrap();
    format!("{}.0.0", major + 1)
}

fn annotation(chart: &Value, name: &str) -> Value {
    let text = chart["annotations"][format!("artifacthub.io/{name}")].as_str();
    serde_saphyr::from_str(text.unwrap()).unwrap()
}

#[test]
fn a_version_reaches_every_place_that_names_it() {
    let (tree, next) = (Tree::new(), next());
    tree.succeeds(&["prepare", &next, "--date", "2030-01-02"]);
    let expected = [
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "Dockerfile",
        "charts/bywash-crds/Chart.yaml",
        "charts/bywash/Chart.yaml",
        "charts/bywash/README.md",
    ];
    assert_eq!(tree.changed(), expected);
    // Each in one place of its file, but Chart.yaml, which has two and its annotations.
    let shown = tree.git(&["diff", "--unified=0", "Cargo.lock", "Cargo.toml"]);
    let added = shown.lines().filter(|line| line.starts_with("+v"));
    let wanted = format!("+version = \"{next}\"");
    assert_eq!(added.collect::<Vec<_>>(), [&wanted, &wanted]);
    assert!(
        tree.read("Dockerfile")
            .contains(&format!("\nARG VERSION={next}\n"))
    );
    let readme = tree.read("charts/bywash/README.md");
    assert!(readme.contains(&format!(", version {next}, into a cluster")));
    let changes = tree.read("CHANGELOG.md");
    let head = format!("## Unreleased\n\n## {next} - 2030-01-02\n\n### Security\n- A hole");
    assert!(changes.contains(&head), "{changes}");
}

#[test]
fn the_lock_file_is_the_one_that_cargo_would_write() {
    let tree = Tree::new();
    tree.succeeds(&["prepare", &next()]);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(&tree.root);
    done(cargo.args(["tree", "--locked", "--offline", "--depth", "0"]));
}

#[test]
fn artifact_hub_is_told_what_changed_and_what_is_installed() {
    let (tree, next) = (Tree::new(), next());
    tree.succeeds(&["prepare", &next]);
    let chart = tree.yaml("charts/bywash/Chart.yaml");
    assert_eq!(chart["version"], next);
    assert_eq!(chart["appVersion"], next);
    let repository = env!("CARGO_PKG_REPOSITORY");
    assert_eq!(
        annotation(&chart, "changes")[0],
        json!({
            "kind": "security",
            "description": "A hole is closed, as the documents say with many words that go on for more than one line.",
            "links": [{
                "name": "the documents",
                "url": format!("{repository}/blob/v{next}/docs/security.md"),
            }],
        })
    );
    let platforms = json!(["linux/amd64", "linux/arm64"]);
    let image = &annotation(&chart, "images")[0];
    assert_eq!(image["image"], format!("ghcr.io/bywash/bywash:{next}"));
    assert_eq!(image["platforms"], platforms);
    let annotations = &chart["annotations"];
    assert_eq!(
        annotations["artifacthub.io/containsSecurityUpdates"],
        "true"
    );
    assert_eq!(annotations["artifacthub.io/prerelease"], "false");
    assert_eq!(
        annotations["artifacthub.io/license"],
        env!("CARGO_PKG_LICENSE")
    );
    // Nothing is signed by a key.
    assert_eq!(annotations.get("artifacthub.io/signKey"), None);

    let definitions = tree.yaml("charts/bywash-crds/Chart.yaml");
    assert_eq!(definitions["version"], next);
    assert_eq!(annotation(&definitions, "crds"), annotation(&chart, "crds"));
}

#[test]
fn a_candidate_goes_before_what_it_is_a_candidate_for() {
    let (tree, next) = (Tree::new(), next());
    let candidate = format!("{next}-rc.10");
    tree.succeeds(&["prepare", &candidate]);
    let chart = tree.yaml("charts/bywash/Chart.yaml");
    assert_eq!(chart["annotations"]["artifacthub.io/prerelease"], "true");
    let text = tree.read("CHANGELOG.md");
    let fixed = "## Unreleased\n\n### Fixed\n- What the candidate lacked.\n";
    tree.write("CHANGELOG.md", &text.replacen("## Unreleased\n", fixed, 1));
    tree.commit();
    let said = tree.refuses(&["prepare", &format!("{next}-rc.9")]);
    assert!(
        said.contains(&format!("does not come after {candidate}")),
        "{said}"
    );
    tree.succeeds(&["prepare", &next]);
}
