//! What is no release is refused by a sentence, and nothing is changed.

use std::fs;

use super::tree::{CURRENT, Tree};

/// Says no to that version, and leaves everything as it was.
fn refused(tree: &Tree, version: &str, sentence: &str) {
    let before = (tree.changed(), tree.git(&["diff"]));
    let said = tree.refuses(&["prepare", version]);
    assert!(said.contains(sentence), "{version}: {said}");
    assert_eq!((tree.changed(), tree.git(&["diff"])), before, "{version}");
}

#[test]
fn a_version_that_is_none_or_does_not_follow() {
    let folder = tempfile::tempdir().unwrap();
    let tree = Tree::released(&folder.path().join("bywash"));
    for (version, sentence) in [
        ("1.2", "1.2 is not a semantic version"),
        ("v99.0.0", "v99.0.0 is not a semantic version"),
        ("99.0.0-01", "99.0.0-01 is not a semantic version"),
        ("99.0.0+build", "leave out what follows +"),
        (CURRENT, "does not come after"),
        ("0.0.1", "does not come after"),
    ] {
        refused(&tree, version, sentence);
    }
    tree.git(&["tag", "v99.0.0"]);
    refused(&tree, "99.0.0", "there is a tag v99.0.0 already");
}

#[test]
fn a_version_before_that_of_the_program() {
    let tree = Tree::new();
    let text = tree.read("Cargo.toml");
    let later = text.replacen(CURRENT, "98.0.0", 1);
    tree.write("Cargo.toml", &later);
    tree.commit();
    refused(&tree, "97.0.0", "comes before 98.0.0, which Cargo.toml has");
}

#[test]
fn a_tree_that_is_not_what_is_committed() {
    let tree = Tree::new();
    tree.write("notes.txt", "");
    refused(&tree, "99.0.0", "not what is committed (notes.txt)");
    fs::remove_file(tree.root.join("notes.txt")).unwrap();
    tree.write("README.md", "");
    refused(&tree, "99.0.0", "not what is committed (README.md)");
}

#[test]
fn changes_that_nobody_wrote_down_or_can_read() {
    let tree = Tree::new();
    for (changes, sentence) in [
        (
            "## Unreleased\n\n### Added\n",
            "has nothing under Unreleased",
        ),
        ("", "needs one section '## Unreleased'"),
        (
            "## Unreleased\n### New\n- A thing.\n",
            "has a heading 'New'",
        ),
        ("## Unreleased\n- A thing.\n", "without a heading above it"),
    ] {
        tree.write("CHANGELOG.md", &format!("# Changelog\n\n{changes}"));
        tree.commit();
        refused(&tree, "99.0.0", sentence);
    }
}

#[test]
fn a_file_without_the_place_for_a_version() {
    let tree = Tree::new();
    tree.write("Dockerfile", "FROM scratch\n");
    tree.commit();
    refused(
        &tree,
        "99.0.0",
        "Dockerfile has 0 versions where one is expected",
    );
}

#[test]
fn what_was_written_before_another_file_could_not_be_is_taken_back() {
    let tree = Tree::new();
    // A folder is in the way of one that is written late.
    fs::create_dir(tree.root.join("charts/bywash/.Chart.yaml.new")).unwrap();
    refused(&tree, "99.0.0", "nothing was changed, because");
}

#[test]
fn charts_that_say_something_else_than_what_is_generated() {
    let tree = Tree::new();
    let path = "charts/bywash/Chart.yaml";
    let generated = tree.read(path);
    tree.write(path, &generated.replace("linux/arm64", "linux/riscv64"));
    let said = tree.refuses(&["charts", "--check"]);
    assert!(said.contains("run release/release charts"), "{said}");
    tree.succeeds(&["charts"]);
    assert_eq!(tree.read(path), generated);
}
