//! The commands that documents show, as a real shell understands them.
//!
//! Each `sh` block is run by a shell that finds nothing but stand-ins: they write down what they are called with,
//! and do nothing. So quoting, pipes, loops and substitutions are the shell's business, and a program that nobody
//! looks at is "not found". Commands within a text, between backticks, are run the same way.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::symlink;
use std::process::Command;

use pulldown_cmark::Event;
use serde_json::Value;
use tempfile::TempDir;

use super::forms::documents;
use super::markdown::{Page, pages};

/// The programs whose commands are looked at.
const CHECKED: [&str; 5] = ["bywash", "cargo", "helm", "kubectl", "make"];

/// Those that are taken as they stand.
const OTHERS: [&str; 20] = [
    "base64",
    "cosign",
    "ctr",
    "curl",
    "docker",
    "gh",
    "git",
    "grep",
    "install",
    "jq",
    "kustomize",
    "ln",
    "openssl",
    "release/image",
    "release/release",
    "sha256sum",
    "skopeo",
    "sleep",
    "sort",
    "tar",
];

/// A program that stands in for any other. It is a file of the repository, because what a test has just written may
/// still be open in a process that another test is starting, and is not run then (ETXTBSY).
const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/documents/stand-in");

/// How a program is called.
pub(crate) struct Call {
    /// Where it stands.
    pub(crate) at: String,
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {} {}",
            self.at,
            self.program,
            self.arguments.join(" ")
        )
    }
}

/// All calls of a program in all documents.
pub(crate) fn calls(program: &str) -> Vec<Call> {
    let calls = pages().into_iter().flat_map(|page| calls_of(&page));
    calls.filter(|call| call.program == program).collect()
}

/// All calls in a page.
pub(crate) fn calls_of(page: &Page) -> Vec<Call> {
    let blocks = page.blocks().into_iter();
    let shell = blocks.filter(|block| block.kind.as_deref() == Some("sh"));
    let blocks = shell.flat_map(|block| run(&page.at(block.line), &block.text));
    let mut calls: Vec<Call> = blocks.collect();
    calls.extend(steps(page).flat_map(|(at, script)| run(&at, &script)));
    let mut script = String::new();
    for words in words(page) {
        let program = words.split_once(' ').map(|(program, _)| program);
        if program.is_some_and(|it| CHECKED.contains(&it)) && is_whole(&words) {
            script.push_str(&words);
            script.push('\n');
        }
    }
    if !script.is_empty() {
        calls.extend(run(&page.path.display().to_string(), &script));
    }
    calls
}

/// What the workflows for GitHub Actions run, and where.
fn steps(page: &Page) -> impl Iterator<Item = (String, String)> {
    let blocks = page.blocks().into_iter();
    let workflows = blocks.filter(|it| it.kind.as_deref() == Some("yaml github-actions"));
    workflows.flat_map(|block| {
        let at = page.at(block.line);
        let scripts: Vec<String> = documents(&at, &block.text)
            .iter()
            .flat_map(scripts)
            .collect();
        scripts.into_iter().map(move |script| (at.clone(), script))
    })
}

fn scripts(workflow: &Value) -> Vec<String> {
    let jobs = workflow["jobs"].as_object().unwrap().values();
    let steps = jobs.flat_map(|job| job["steps"].as_array().unwrap());
    let scripts = steps.filter_map(|step| step["run"].as_str());
    scripts.map(str::to_owned).collect()
}

/// What stands between backticks within a text.
pub(crate) fn words(page: &Page) -> Vec<String> {
    let code = |(event, _): (Event<'_>, Range<usize>)| match event {
        Event::Code(code) => Some(code.into_string()),
        _ => None,
    };
    page.events().filter_map(code).collect()
}

/// Whether a command within a text is one, and not the form of several: `get A|B`, `get …`.
fn is_whole(words: &str) -> bool {
    !words.contains('…') && !words.replace(" | ", " ").contains('|')
}

/// What a script calls.
fn run(at: &str, script: &str) -> Vec<Call> {
    let folder = TempDir::new().unwrap();
    let (programs, calls) = (folder.path().join("bin"), folder.path().join("calls"));
    let work = folder.path().join("work");
    for folder in [&programs, &calls, &work] {
        fs::create_dir(folder).unwrap();
    }
    for name in CHECKED.iter().chain(&OTHERS) {
        let place = if name.contains('/') { &work } else { &programs };
        let place = place.join(name);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        symlink(STAND_IN, place).unwrap();
    }
    let output = Command::new("/bin/sh")
        .args(["-euc", script])
        .env_clear()
        .env("PATH", &programs)
        .env("HOME", folder.path())
        .env("CALLS", &calls)
        .current_dir(&work)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{at}: {said}");
    let mut files: Vec<_> = fs::read_dir(&calls)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    files.sort();
    let call = |file: &std::path::PathBuf| {
        let text = fs::read_to_string(file).unwrap();
        let mut words = text.trim_end_matches('\0').split('\0').map(str::to_owned);
        Call {
            at: at.to_owned(),
            program: words.next().unwrap(),
            arguments: words.collect(),
        }
    };
    files.iter().map(call).collect()
}

#[test]
fn commands_are_found_in_pipes_in_substitutions_and_between_quotes() {
    let script = "helm template 'a b' | bywash check - > out # or\n\
                  while sleep 1; do curl http://$(kubectl get 'x y')/; done\n";
    let mut found: Vec<String> = run("a page", script)
        .iter()
        .map(|call| format!("{} {:?}", call.program, call.arguments))
        .collect();
    found.sort();
    found.dedup();
    let expected = [
        r#"bywash ["check", "-"]"#,
        r#"curl ["http:///"]"#,
        r#"helm ["template", "a b"]"#,
        r#"kubectl ["get", "x y"]"#,
        r#"sleep ["1"]"#,
    ];
    assert_eq!(found, expected);
}
