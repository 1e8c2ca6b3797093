//! The program as it is released, linked statically, except that it is not optimized.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Links it anew, in place of the one that Cargo built for the tests.
pub(crate) fn static_program() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_bywash"));
    let profile = built.parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo
        .args(["rustc", "--locked", "--bin", "bywash", "--target-dir"])
        .arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let packed = "link-arg=-Wl,-z,pack-relative-relocs";
    let output = cargo.args(["--", "-C", "target-feature=+crt-static", "-C", packed]);
    let output = output.output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    built.to_owned()
}
