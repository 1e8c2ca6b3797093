//! Tests that break the network, each in a network of its own.
//!
//! The test runs its own program again in new user and network namespaces (`unshare`, no root
//! needed), where it is root over addresses and routes that nobody else sees.

use std::process::Command;

/// Tests, each in a network of its own.
macro_rules! isolated {
    ($($(#[$doc:meta])* async fn $name:ident() $test:block)+) => {
        $(#[test]
        $(#[$doc])*
        fn $name() {
            $crate::dataplane::namespace::isolated(module_path!(), stringify!($name), async || $test);
        })+
    };
}

const INSIDE: &str = "BYWASH_TEST_NETWORK";

/// Whether this process has a network of its own already.
pub(crate) fn inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// A command that may live in a directory which is not on every user's path.
pub(crate) fn system(program: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

/// Runs the test of this name, in its module, in a network in which 10.244.0.0/16 is local.
pub(crate) fn isolated<F: Future<Output = ()>>(module: &str, name: &str, test: impl FnOnce() -> F) {
    if inside() {
        ip("link set lo up");
        ip("route add local 10.244.0.0/16 dev lo");
        // Rules of ours are to come before the one for local addresses.
        ip("rule add pref 100 lookup local");
        ip("rule del pref 0");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        return runtime.unwrap().block_on(test());
    }
    let (_, module) = module.split_once("::").unwrap();
    let status = system("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::{name}"), "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("`unshare` is needed: install the package util-linux");
    let told = String::from_utf8_lossy(&status.stdout) + String::from_utf8_lossy(&status.stderr);
    assert!(status.status.success(), "{told}");
    assert!(told.contains("1 passed"), "{told}");
}

/// Changes the network; from the package iproute2.
pub(crate) fn ip(arguments: &str) {
    let output = system("ip").args(arguments.split(' ')).output();
    let output = output.expect("`ip` is needed: install the package iproute2");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {complaint}");
}

/// From now on nothing reaches this address any more, and nobody is told.
pub(crate) fn lose(address: std::net::SocketAddr) {
    ip(&format!("rule add pref 10 to {} blackhole", address.ip()));
}

/// Names are asked of this server from now on.
pub(crate) fn resolve_at(server: std::net::IpAddr) {
    let ours = tempfile::NamedTempFile::new().unwrap();
    let text = format!("nameserver {server}\noptions timeout:1 attempts:1\n");
    std::fs::write(&ours, text).unwrap();
    let system_wide = std::fs::canonicalize("/etc/resolv.conf").unwrap();
    let mounted = system("mount")
        .arg("--bind")
        .args([ours.path(), &system_wide])
        .status();
    assert!(mounted.unwrap().success());
}
