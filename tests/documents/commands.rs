//! The commands that documents show are commands that programs take. Those of kubectl and Helm are looked at where
//! these programs are: among the cluster tests and those of the chart.

use std::fs;
use std::process::Command;

use super::markdown::{pages, root};
use super::shell::{Call, calls, calls_of, words};

/// The words behind `bywash`, if it is called: by itself, as a plugin of kubectl, or by Cargo.
fn of_ours(call: &Call) -> Option<&[String]> {
    let words = call.arguments.as_slice();
    match call.program.as_str() {
        "bywash" => Some(words),
        "kubectl" => words
            .split_first()
            .filter(|(first, _)| *first == "bywash")
            .map(|(_, rest)| rest),
        "cargo" if words.first().is_some_and(|it| it == "run") => {
            let end = words.iter().position(|it| it == "--")?;
            Some(&words[end + 1..])
        }
        _ => None,
    }
}

#[test]
fn each_command_of_the_documents_is_one_that_the_program_takes() {
    let mut seen = 0;
    for call in ["bywash", "kubectl", "cargo"].into_iter().flat_map(calls) {
        let Some(words) = of_ours(&call) else {
            continue;
        };
        seen += 1;
        // Help is given only where everything before it was understood.
        let output = Command::new(env!("CARGO_BIN_EXE_bywash"))
            .args(words)
            .arg("--help")
            .output();
        let output = output.unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{call}: {told}");
    }
    assert!(seen > 20, "only {seen} commands found");
}

#[test]
fn what_make_is_asked_for_is_in_the_makefile() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    for call in calls("make") {
        for word in call.arguments.iter().filter(|word| !word.contains('=')) {
            let target = format!("{word}:");
            let known = makefile.lines().any(|line| line.starts_with(&target));
            assert!(known, "{call}: no target {word}");
        }
    }
}

#[test]
fn files_of_this_repository_that_commands_name_are_there() {
    let folders = [
        "benches/",
        "charts/",
        "crds/",
        "docs/",
        "examples/",
        "release/",
    ];
    let mut seen = 0;
    for page in pages() {
        for call in calls_of(&page) {
            for word in &call.arguments {
                let file = word.rsplit('=').next().unwrap();
                if folders.iter().any(|folder| file.starts_with(folder)) {
                    seen += 1;
                    assert!(root().join(file).exists(), "{call}: no file {file}");
                }
            }
        }
    }
    assert!(seen > 3, "only {seen} files found");
}

/// What kubectl and Helm are to read: the page shows it, or says what is in it.
#[test]
fn files_that_are_read_are_those_of_which_the_page_speaks() {
    for page in pages() {
        let words = words(&page);
        for call in calls_of(&page) {
            let flags = call.arguments.iter().zip(call.arguments.iter().skip(1));
            for (flag, file) in flags {
                let reads = ["-f", "--filename", "--values"].contains(&flag.as_str());
                if reads && call.program != "make" && file != "-" {
                    let known = words.contains(file) || root().join(file).exists();
                    assert!(known, "{call}: what is {file}?");
                }
            }
        }
    }
}
