//! `bywash check` over manifests: the real program, a folder of `tests/check/scenarios` per rule.
//!
//! A folder is named after what it shows and holds `command`, the manifests, `stdin` where there is
//! one, and `expected.txt`: the exit code and what was said. `UPDATE_EXPECTED=1 cargo test --test
//! check` writes the expectations anew: read the difference.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and tells its figures on the terminal"
)]
#![allow(missing_docs, reason = "a test program has no callers to document for")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};

mod check {
    pub(crate) mod completion;
    pub(crate) mod formats;
}

fn main() -> ExitCode {
    let mut folders: Vec<PathBuf> = fs::read_dir(root().join("scenarios"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    assert!(!folders.is_empty(), "no scenario");
    let mut trials: Vec<Trial> = folders
        .into_iter()
        .map(|folder| {
            let name = folder
                .file_name()
                .unwrap()
                .to_string_lossy()
                .replace('-', " ");
            Trial::test(name, move || scenario(&folder))
        })
        .collect();
    trials.extend(check::formats::trials());
    trials.extend(check::completion::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check")
}

/// What the program says in a folder, and how it ends.
fn run(folder: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let stdin = match File::open(folder.join("stdin")) {
        Ok(file) => Stdio::from(file),
        Err(_) => Stdio::null(),
    };
    let output = Command::new(env!("CARGO_BIN_EXE_bywash"))
        .env_clear()
        .current_dir(folder)
        .args(words)
        .stdin(stdin)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn scenario(folder: &Path) -> Result<(), Failed> {
    let command = fs::read_to_string(folder.join("command"))?;
    let words: Vec<&str> = command.split_whitespace().collect();
    let (code, said, complaint) = run(folder, &words);
    let text = format!("exit {}\n{said}{complaint}", code.ok_or("killed")?);
    let expected = folder.join("expected.txt");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(expected, text)?;
        return Ok(());
    }
    let expected = fs::read_to_string(expected)?;
    if text == expected {
        return Ok(());
    }
    Err(format!("expected:\n{expected}\nsaid:\n{text}").into())
}
