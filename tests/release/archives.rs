//! What is downloaded and unpacked by hand.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::built::{Built, here};
use super::tree::{CURRENT, done};

/// The archive for this machine.
fn unpacked(prefix: &str) -> TempDir {
    let archive = Built::get().path(&format!("{prefix}_{CURRENT}_linux_{}.tar.gz", here()));
    let folder = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar");
    done(tar.arg("-xf").arg(archive).arg("-C").arg(folder.path()));
    folder
}

fn says(program: &Path, arguments: &[&str]) -> String {
    let output = done(Command::new(program).args(arguments));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_program_runs_by_both_names() {
    let folder = unpacked("bywash");
    let version = format!("bywash {CURRENT}\n");
    assert_eq!(says(&folder.path().join("bywash"), &["--version"]), version);
    let plugin = folder.path().join("kubectl-bywash");
    assert_eq!(says(&plugin, &["--version"]), version);
    assert!(says(&plugin, &["--help"]).contains("kubectl bywash"));
    for file in ["LICENSE", "README.md"] {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let packed = fs::read(folder.path().join(file)).unwrap();
        assert!(packed == fs::read(source).unwrap(), "{file}");
    }
}

#[test]
fn the_plugin_runs_from_its_own_archive() {
    let folder = unpacked("kubectl-bywash");
    let plugin = folder.path().join("kubectl-bywash");
    assert_eq!(says(&plugin, &["--version"]), format!("bywash {CURRENT}\n"));
}

#[test]
fn nothing_in_it_belongs_to_whoever_packed_it() {
    let archive = format!("bywash_{CURRENT}_linux_{}.tar.gz", here());
    let mut tar = Command::new("tar");
    tar.args(["--list", "--verbose", "--numeric-owner", "--file"]);
    let listed = done(tar.arg(Built::get().path(&archive)));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let held: Vec<(&str, &str, &str)> = listed
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words[0], words[1], words[5])
        })
        .collect();
    let expected = [
        ("-rw-r--r--", "0/0", "LICENSE"),
        ("-rw-r--r--", "0/0", "README.md"),
        ("-rwxr-xr-x", "0/0", "bywash"),
        ("drwxr-xr-x", "0/0", "completion/"),
        ("-rw-r--r--", "0/0", "completion/_bywash"),
        ("-rw-r--r--", "0/0", "completion/bywash"),
        ("-rw-r--r--", "0/0", "completion/bywash.fish"),
        ("-rwxr-xr-x", "0/0", "completion/kubectl_complete-bywash"),
        ("lrwxrwxrwx", "0/0", "kubectl-bywash"),
    ];
    assert_eq!(held, expected);
}

#[test]
fn shells_complete_what_the_program_knows() {
    let folder = unpacked("bywash");
    let file = |name: &str| folder.path().join("completion").join(name);
    done(Command::new("bash").arg("-n").arg(file("bywash")));
    // As bash does it after Tab.
    let pressed = r#"
        source "$0"
        COMP_WORDS=(bywash exp) COMP_CWORD=1
        $(complete -p bywash | sed 's/.*-F \([^ ]*\).*/\1/') bywash exp bywash
        echo "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    let offered = done(bash.args(["--norc", "-c", pressed]).arg(file("bywash")));
    assert_eq!(String::from_utf8(offered.stdout).unwrap(), "explain\n");
    let text = |name: &str| fs::read_to_string(file(name)).unwrap();
    assert!(text("_bywash").starts_with("#compdef bywash\n"));
    assert!(text("bywash.fish").contains("complete -c bywash"));
}

#[test]
fn kubectl_completes_the_plugin() {
    let folder = unpacked("bywash");
    let mut kubectl = Command::new(folder.path().join("completion/kubectl_complete-bywash"));
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let offered = done(kubectl.arg("exp").env("PATH", path));
    let offered = String::from_utf8(offered.stdout).unwrap();
    assert!(offered.starts_with("explain\t"), "{offered}");
}
