//! The demonstration, as anybody would run it first.

use std::process::Command;

#[test]
fn every_row_of_the_demonstration_is_as_expected() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_bywash"));
    let output = demo.args(["demo", "--once"]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let rows = shown.lines().filter(|line| line.ends_with(" yes")).count();
    assert!(rows > 20 && output.status.success(), "{shown}{told}");
    assert!(
        shown.ends_with(&format!("All {rows} rows are as expected.\n")),
        "{shown}"
    );
}

#[test]
fn a_backend_that_does_not_exist_is_a_wrong_argument() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_bywash"));
    let output = demo.args(["demo", "--backend=fine"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("'fine'") && told.lines().count() == 1,
        "{told}"
    );
}
