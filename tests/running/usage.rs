//! What cannot be done is one sentence and exit code 2.

use std::fs;
use std::net::TcpListener;

use tempfile::TempDir;

use crate::program::say;

#[track_caller]
fn refused(arguments: &[&str], because: &str) {
    let said = say(arguments);
    assert_eq!(said.code, Some(2), "{arguments:?}: {said:?}");
    assert_eq!(said.stdout, "", "{arguments:?}");
    assert_eq!(
        said.stderr.lines().count(),
        1,
        "{arguments:?}: {}",
        said.stderr
    );
    assert!(said.stderr.starts_with("bywash: "), "{}", said.stderr);
    assert!(
        said.stderr.contains(because),
        "{arguments:?}: {}",
        said.stderr
    );
}

#[test]
fn a_wrong_flag_is_one_sentence_and_exit_code_2() {
    refused(&["run", "--worker=3"], "unexpected argument '--worker'");
    refused(&["run", "--workers=many"], "not a number from 1 to 1024");
    refused(
        &["run", "--drain-timeout=20"],
        "write a number and h, m, s or ms",
    );
    refused(&["run", "--admin-address=:9091x"], "write ADDRESS:PORT");
    refused(&["standalone"], "<DIR>");
    refused(&["serve"], "unrecognized subcommand 'serve'");
    refused(
        &[
            "standalone",
            "--http-address=none",
            "--https-address=none",
            "/tmp",
        ],
        "nothing to serve",
    );
}

#[test]
fn a_directory_that_cannot_be_read_is_one_sentence_and_exit_code_2() {
    refused(&["standalone", "/nonexistent"], "/nonexistent");
    let file = tempfile::NamedTempFile::new().unwrap();
    refused(
        &["standalone", file.path().to_str().unwrap()],
        "cannot be read",
    );
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_one_sentence_and_exit_code_2() {
    refused(&["run"], "no usable configuration for a cluster");
    refused(&["run", "--kubeconfig=/nonexistent"], "/nonexistent");
    let directory = TempDir::new().unwrap();
    let garbage = directory.path().join("config");
    fs::write(&garbage, "not a kubeconfig").unwrap();
    let flag = format!("--kubeconfig={}", garbage.display());
    refused(&["run", &flag], "no usable configuration for a cluster");
}

#[test]
fn a_port_in_use_is_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let directory = TempDir::new().unwrap();
    let directory = directory.path().to_str().unwrap();
    for flag in ["http", "metrics", "admin"] {
        let mut flags = vec!["standalone".to_owned(), directory.to_owned()];
        for other in ["http", "https", "metrics", "admin"] {
            let value = if other == flag {
                address.to_string()
            } else {
                "none".to_owned()
            };
            flags.push(format!("--{other}-address={value}"));
        }
        if flag != "http" {
            flags[2] = "--http-address=127.0.0.1:0".to_owned();
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let said = say(&flags);
        assert_eq!(said.code, Some(1), "{said:?}");
        let sentence = said.stderr.lines().last().unwrap();
        assert!(
            sentence.starts_with("bywash: ") && sentence.contains("in use"),
            "{sentence}"
        );
        assert!(sentence.contains(&address.to_string()), "{sentence}");
    }
}

#[test]
fn help_and_version_are_on_stdout() {
    let version = say(&["--version"]);
    assert_eq!(version.code, Some(0));
    assert_eq!(
        version.stdout.trim(),
        concat!("bywash ", env!("CARGO_PKG_VERSION"))
    );
    for command in [
        vec!["--help"],
        vec!["run", "--help"],
        vec!["help", "standalone"],
    ] {
        let help = say(&command);
        assert_eq!(help.code, Some(0));
        assert!(
            help.stdout.contains("Next steps:"),
            "{command:?}: {}",
            help.stdout
        );
        assert_eq!(help.stderr, "");
    }
}

#[test]
fn a_variable_sets_what_a_flag_sets_and_the_flag_wins() {
    let directory = TempDir::new().unwrap();
    let directory = directory.path().to_str().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bywash"));
        command
            .args(["standalone", directory, "--https-address=none"])
            .args(arguments);
        let output = command.env("BYWASH_HTTP_ADDRESS", "none").output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(run(&[]).contains("nothing to serve"));
    assert!(run(&["--http-address=nowhere"]).contains("'nowhere'"));
}
