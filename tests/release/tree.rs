//! A repository that may be changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// The version of this tree.
pub(super) const CURRENT: &str = env!("CARGO_PKG_VERSION");

/// What is written into each changelog below `Unreleased`.
const CHANGES: &str = "
### Security
- A hole is closed, as [the documents](docs/security.md) say with many words that go on for more than
  one line.
";

pub(super) struct Tree {
    /// Removed with the tree, where it is not a folder that stays.
    _folder: Option<TempDir>,
    pub(super) root: PathBuf,
}

impl Tree {
    /// The files of this repository, and one change that is not released.
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::at(folder.path().join("bywash"), Some(folder))
    }

    fn at(root: PathBuf, folder: Option<TempDir>) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut list = Command::new("git");
        list.current_dir(source).args(["ls-files", "-z"]);
        list.args(["--cached", "--others", "--exclude-standard"]);
        let listed = String::from_utf8(done(&mut list).stdout).unwrap();
        // Nothing of what tests read is released, and it is most of the files.
        let wanted = |file: &&str| !file.starts_with("tests/") || file.ends_with(".rs");
        for file in listed.split_terminator('\0').filter(wanted) {
            let (from, to) = (source.join(file), root.join(file));
            if from.is_file() {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(from, to).unwrap();
            }
        }
        let tree = Self {
            _folder: folder,
            root,
        };
        let changes = tree.read("CHANGELOG.md");
        let changes = changes.replacen("## Unreleased\n", &format!("## Unreleased\n{CHANGES}"), 1);
        tree.write("CHANGELOG.md", &changes);
        tree.git(&["init", "--quiet"]);
        tree.commit();
        tree
    }

    /// The same after its version was released, or prepared for that.
    pub(super) fn released(root: &Path) -> Self {
        let tree = Self::at(root.to_owned(), None);
        if !tree
            .read("CHANGELOG.md")
            .contains(&format!("\n## {CURRENT} - "))
        {
            tree.succeeds(&["prepare", CURRENT, "--date", "2030-01-02"]);
            tree.commit();
        }
        tree
    }

    /// Another one with the same commits.
    pub(super) fn cloned(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("elsewhere");
        let mut git = Command::new("git");
        git.args(["clone", "--quiet"]).arg(&self.root).arg(&root);
        done(&mut git);
        Self {
            _folder: Some(folder),
            root,
        }
    }

    pub(super) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap()
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        fs::write(self.root.join(path), text).unwrap();
    }

    pub(super) fn yaml(&self, path: &str) -> Value {
        serde_saphyr::from_str(&self.read(path)).unwrap()
    }

    pub(super) fn git(&self, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.current_dir(&self.root)
            .args(["-c", "user.name=test", "-c", "user.email=test@example"])
            .args(arguments);
        String::from_utf8(done(&mut git).stdout).unwrap()
    }

    pub(super) fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--no-gpg-sign", "--message", "all"]);
    }

    /// What differs from what is committed.
    pub(super) fn changed(&self) -> Vec<String> {
        let status = self.git(&["status", "--porcelain"]);
        status.lines().map(|line| line[3..].to_owned()).collect()
    }

    pub(super) fn release(&self, arguments: &[&str]) -> Output {
        Command::new(self.root.join("release/release"))
            .args(arguments)
            .env("CARGO", env!("CARGO"))
            .output()
            .expect("`python3` is needed: install the package python3")
    }

    pub(super) fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.release(arguments);
        assert!(output.status.success(), "{}", complaint(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The one sentence with which that is refused.
    pub(super) fn refuses(&self, arguments: &[&str]) -> String {
        let output = self.release(arguments);
        let said = complaint(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.starts_with("release/release: ") && said.lines().count() == 1,
            "{said}"
        );
        said
    }
}

pub(super) fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(super) fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        complaint(&output)
    );
    output
}
