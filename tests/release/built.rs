//! `release build`, done once for all tests, of the program of these tests.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::tree::{CURRENT, Tree, complaint, done};
use crate::programs::HELM;
use crate::static_build::static_program;

static BUILT: OnceLock<Built> = OnceLock::new();

/// Where the ELF header has the machine, and the number of arm64.
const MACHINE: (usize, u8) = (18, 183);

pub(super) struct Built {
    pub(super) tree: Tree,
    folder: PathBuf,
    /// That for this machine, then one that calls itself a program for arm64.
    programs: [PathBuf; 2],
}

impl Built {
    pub(super) fn get() -> &'static Self {
        BUILT.get_or_init(|| {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("release");
            let _absent = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            let native = folder.join("native");
            let mut strip = Command::new("strip");
            done(strip.arg("-o").arg(&native).arg(static_program()));
            let mut bytes = fs::read(&native).unwrap();
            let (place, number) = MACHINE;
            bytes[place] = number;
            let foreign = folder.join("foreign");
            fs::write(&foreign, bytes).unwrap();
            let built = Self {
                tree: Tree::released(&folder.join("tree")),
                folder,
                programs: [native, foreign],
            };
            built.build(&built.tree, &built.folder.join("made"));
            built
        })
    }

    /// Builds a tree with the same programs.
    pub(super) fn build(&self, tree: &Tree, output: &Path) {
        let [native, foreign] = &self.programs;
        let output = tree.release(&texts(&trial(output, &[native, foreign])));
        assert!(output.status.success(), "{}", complaint(&output));
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join("made").join(name)
    }

    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub(super) fn text(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap()
    }

    pub(super) fn native(&self) -> &Path {
        &self.programs[0]
    }

    /// The names of everything that was made.
    fn names(folder: &Path) -> Vec<String> {
        let files = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Real Helm.
pub(super) fn helm() -> PathBuf {
    let directory = HELM.locate_or_build();
    directory
        .unwrap_or_else(|said| panic!("{said}"))
        .join("helm")
}

/// The arguments for a release of these programs that is not to be published.
fn trial(output: &Path, programs: &[&Path]) -> Vec<OsString> {
    let mut arguments = vec!["build".into(), "--helm".into(), helm().into()];
    arguments.extend(["--output".into(), output.into()]);
    arguments.extend(programs.iter().map(Into::into));
    arguments.push("--trial".into());
    arguments
}

fn texts(arguments: &[OsString]) -> Vec<&str> {
    let texts = arguments.iter().map(|it| it.to_str().unwrap());
    texts.collect()
}

/// How images and archives call this machine.
pub(super) fn here() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}

#[test]
fn the_same_commit_and_programs_make_the_same_bytes() {
    let built = Built::get();
    let again = tempfile::tempdir().unwrap();
    built.build(&built.tree.cloned(), again.path());
    let names = Built::names(again.path());
    assert_eq!(names, Built::names(&built.path("")));
    for name in names {
        let bytes = fs::read(again.path().join(&name)).unwrap();
        assert!(bytes == built.bytes(&name), "{name} differs");
    }
}

#[test]
fn every_file_has_a_checksum_that_is_right() {
    let built = Built::get();
    let mut check = Command::new("sha256sum");
    check.current_dir(built.path(""));
    done(check.args(["--check", "--strict", "--quiet", "SHA256SUMS"]));
    let sums = built.text("SHA256SUMS");
    let mut named: Vec<&str> = sums.lines().map(|line| &line[66..]).collect();
    named.push("SHA256SUMS");
    named.sort_unstable();
    assert_eq!(named, Built::names(&built.path("")));
}

#[test]
fn the_notes_say_what_changed() {
    let built = Built::get();
    let notes = built.text("NOTES.md");
    let (_, section) = built
        .tree
        .read("CHANGELOG.md")
        .split_once(&format!("\n## {CURRENT} - "))
        .map(|(before, after)| (before.to_owned(), after.to_owned()))
        .unwrap();
    let first = section.lines().find(|line| line.starts_with("- ")).unwrap();
    assert!(notes.contains(first), "{notes}");
    assert!(notes.starts_with("> This is a trial"), "{notes}");
}

#[test]
fn the_definition_is_the_one_that_the_program_prints() {
    let built = Built::get();
    let file = built.text(&format!("bywash_{CURRENT}_crds.yaml"));
    assert_eq!(file, bywash::api::crd::manifest());
}

#[test]
fn what_cannot_be_published_is_refused() {
    let built = Built::get();
    let elsewhere = built.folder.join("refused");
    let [native, foreign] = &built.programs;
    let refused = |tree: &Tree, arguments: &[OsString], sentence: &str| {
        let said = tree.refuses(&texts(arguments));
        assert!(said.contains(sentence), "{said}");
        assert!(!elsewhere.exists(), "{sentence}");
    };
    let all = trial(&elsewhere, &[native, foreign]);
    let (_, in_earnest) = all.split_last().unwrap();
    let sentence = "MiB, of which 30 are allowed: build it with `make static`";
    refused(&built.tree, in_earnest, sentence);
    let (_, one) = in_earnest.split_last().unwrap();
    let sentence = "a program for linux/arm64 is missing";
    refused(&built.tree, one, sentence);
    let twice = trial(&elsewhere, &[native, native]);
    refused(&built.tree, &twice, "is a second program for");
    let other = trial(&elsewhere, &[foreign]);
    refused(
        &built.tree,
        &other,
        "is missing, which is asked what shells",
    );

    let tree = built.tree.cloned();
    tree.write("README.md", "");
    refused(&tree, &all, "not what is committed (README.md)");
    tree.git(&["checkout", "--quiet", "README.md"]);
    let text = tree.read("CHANGELOG.md");
    let change = "## Unreleased\n\n### Fixed\n- A thing.\n";
    tree.write("CHANGELOG.md", &text.replacen("## Unreleased\n", change, 1));
    tree.commit();
    tree.succeeds(&["prepare", "99.0.0"]);
    tree.commit();
    refused(&tree, &all, "this tree is 99.0.0: build it anew");
    tree.write(
        "CHANGELOG.md",
        &text.replace(&format!("## {CURRENT} - "), "## 0.0.1 - "),
    );
    tree.commit();
    refused(
        &tree,
        &all,
        "has no section 99.0.0: run `release/release prepare 99.0.0`",
    );
}
