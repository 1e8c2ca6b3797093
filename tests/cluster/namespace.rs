//! A network and process namespace for the whole run.
//!
//! EndpointSlices may not hold loopback addresses, and pod addresses of the machine the tests run
//! on are not ours to take. In a network namespace of its own the program can make all of
//! 10.244.0.0/16 local: every address there can be bound and reached, nothing leaves the machine,
//! and no port collides with anything outside. The same is true of the addresses of Services and
//! load balancers. The process namespace sees to it that no etcd or
//! API server outlives the run, however it ends. `unshare` does both without root and without
//! unsafe code.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::binaries::Binaries;

const ASSETS: &str = "BYWASH_TEST_CONTROL_PLANE";
const HELM: &str = "BYWASH_TEST_HELM";
const SCRATCH: &str = "BYWASH_TEST_SCRATCH";
const UNSHARE: [&str; 6] = [
    "--user",
    "--map-root-user",
    "--net",
    "--pid",
    "--fork",
    "--kill-child",
];

pub(crate) fn inside() -> bool {
    std::env::var_os(ASSETS).is_some()
}

/// The control plane's programs, as found before the namespace was entered.
pub(crate) fn binaries() -> Binaries {
    Binaries::in_directory(PathBuf::from(std::env::var_os(ASSETS).unwrap()))
}

/// Helm; the older version of it is beside it.
pub(crate) fn helm() -> PathBuf {
    PathBuf::from(std::env::var_os(HELM).unwrap()).join("helm")
}

/// A directory for this run; kept, with its logs, when a test fails.
pub(crate) fn scratch() -> PathBuf {
    PathBuf::from(std::env::var_os(SCRATCH).unwrap())
}

/// Runs this program again inside, and passes its exit code on.
pub(crate) fn enter(binaries: &Binaries, helm: &Path) -> Result<ExitCode, String> {
    probe()?;
    let scratch = tempfile::Builder::new()
        .prefix("cluster-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .map_err(|error| format!("no directory for the control plane: {error}"))?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut child = system("unshare")
        .args(UNSHARE)
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(ASSETS, binaries.directory())
        .env(HELM, helm)
        .env(SCRATCH, scratch.path())
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| format!("unshare does not start: {error}"))?;
    // The pipe stays open as long as this process lives: its end tells the inside to end as well.
    let _alive = child.stdin.take();
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(ExitCode::SUCCESS);
    }
    let logs = scratch.keep();
    eprintln!("the control plane's logs are in {}", logs.display());
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Says in one sentence what this machine lacks, before anything is started.
fn probe() -> Result<(), String> {
    let run = |command: &mut Command| command.stdin(Stdio::null()).output();
    for (tool, package) in [("ip", "iproute2"), ("nft", "nftables")] {
        match run(system(tool).arg("--version")) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let advice = format!("install the package {package}");
                return Err(format!("the cluster tests need `{tool}`: {advice}"));
            }
            Err(error) => return Err(format!("`{tool}` does not start: {error}")),
            Ok(_) => {}
        }
    }
    match run(system("unshare").args(UNSHARE).arg("true")) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err("the cluster tests need `unshare`: install the package util-linux".into())
        }
        Err(error) => Err(format!("`unshare` does not start: {error}")),
        Ok(output) if !output.status.success() => Err(format!(
            "the cluster tests need user namespaces, which this machine forbids ({}): allow them \
             (sysctl kernel.unprivileged_userns_clone=1, on Ubuntu \
             kernel.apparmor_restrict_unprivileged_userns=0, in a container --privileged)",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Ok(_) => Ok(()),
    }
}

/// Packets to and from these addresses are lost without a word.
const LOST: &str = "table ip lost {
    set addresses { type ipv4_addr; }
    chain input {
        type filter hook input priority filter
        ip daddr @addresses drop
        ip saddr @addresses drop
    }
}";

/// How the addresses of Services begin, whose network is a /12: a /20 of it for each control plane.
pub(crate) const SERVICES: [u8; 2] = [10, 96];
/// The same of load balancers, each with the rest of its Service's address.
pub(crate) const BALANCERS: [u8; 2] = [10, 112];

/// Inside: makes the networks of pods and Services local, and ends with the outer process.
pub(crate) fn prepare() {
    run("ip", &["link", "set", "lo", "up"]);
    let [services, balancers] = [SERVICES, BALANCERS].map(|[a, b]| format!("{a}.{b}.0.0/12"));
    for network in ["10.244.0.0/16", &services, &balancers] {
        run("ip", &["route", "add", "local", network, "dev", "lo"]);
    }
    run("nft", &[LOST]);
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(130);
    });
}

/// A pod address that answers nothing more, not even with a reset, as if its node were gone.
pub(crate) struct Vanished(Ipv4Addr);

impl Vanished {
    pub(crate) fn new(address: Ipv4Addr) -> Self {
        let element = format!("add element ip lost addresses {{ {address} }}");
        run("nft", &[&element]);
        Self(address)
    }
}

impl Drop for Vanished {
    fn drop(&mut self) {
        let element = format!("delete element ip lost addresses {{ {} }}", self.0);
        run("nft", &[&element]);
    }
}

/// Runs a tool of the system, which must succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) {
    try_run(program, arguments)
        .unwrap_or_else(|complaint| panic!("{program} {arguments:?}: {complaint}"));
}

/// Runs a tool of the system, and tells what it complains of.
pub(crate) fn try_run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = system(program).args(arguments).output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A command that may live in a directory which is not on every user's path.
fn system(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", path());
    command
}

/// The directories in which the system's tools are looked for.
pub(crate) fn path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin:/sbin")
}

/// Where a tool of the system is, for who runs it with an environment of its own.
pub(crate) fn tool(name: &str) -> PathBuf {
    let directories = path();
    let mut files = std::env::split_paths(&directories).map(|it| it.join(name));
    let found = files.find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("no {name} in {directories}"))
}
