//! The programs of the control plane: taken from `KUBEBUILDER_ASSETS`, or built once.
//!
//! Their versions are ordinary dependencies of the small Go module in `tests/controlplane`, so
//! nothing is downloaded that Go does not verify. The build takes minutes on a small machine and
//! needs the network, so it happens once per module version, under a file lock that parallel test
//! runs share, and tells on stderr what it is doing.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PACKAGES: [(&str, &str); 3] = [
    ("etcd", "go.etcd.io/etcd/server/v3"),
    ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    (
        "kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
    ),
];

/// A directory that holds all of [`PACKAGES`].
pub(crate) struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    pub(crate) fn in_directory(directory: PathBuf) -> Self {
        Self { directory }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.directory.join(program)
    }

    fn complete(&self) -> bool {
        PACKAGES.iter().all(|(name, _)| self.path(name).is_file())
    }
}

/// The programs, or one sentence that says what to install.
pub(crate) fn locate_or_build() -> Result<Binaries, String> {
    if let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS") {
        let given = Binaries::in_directory(PathBuf::from(assets));
        if given.complete() {
            return Ok(given);
        }
        let directory = given.directory.display();
        eprintln!("KUBEBUILDER_ASSETS={directory} lacks a program of the control plane: building");
    }
    build().map_err(|error| format!("the cluster tests lack a control plane: {error}"))
}

fn build() -> Result<Binaries, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("controlplane");
    fs::create_dir_all(&target).map_err(|error| format!("{}: {error}", target.display()))?;
    let lock = File::create(target.join(".lock")).map_err(|error| error.to_string())?;
    if lock.try_lock().is_err() {
        eprintln!("waiting for another test run that is building the control plane");
        lock.lock().map_err(|error| error.to_string())?;
    }

    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controlplane");
    let wanted = fs::read_to_string(module.join("go.mod")).map_err(|error| error.to_string())?;
    let built_from = target.join("built-from.mod");
    let binaries = Binaries::in_directory(target);
    if binaries.complete() && fs::read_to_string(&built_from).is_ok_and(|had| had == wanted) {
        return Ok(binaries);
    }
    let version = kubernetes_version(&wanted).ok_or("go.mod names no k8s.io/kubernetes")?;
    eprintln!("building Kubernetes {version} for the tests: once, about 5 minutes on two cores");
    for (number, (name, package)) in (1..).zip(PACKAGES) {
        eprintln!("  {number} of {}: {name}", PACKAGES.len());
        go_build(&module, &binaries.path(name), package, version)?;
    }
    fs::write(built_from, &wanted).map_err(|error| error.to_string())?;
    Ok(binaries)
}

fn kubernetes_version(go_mod: &str) -> Option<&str> {
    go_mod
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v"))
        .and_then(|rest| rest.split_whitespace().next())
}

fn go_build(module: &Path, output: &Path, package: &str, version: &str) -> Result<(), String> {
    let mut numbers = version.split('.');
    let (major, minor) = (numbers.next(), numbers.next());
    let set = "-X k8s.io/component-base/version";
    let ldflags = format!(
        "-s -w {set}.gitVersion=v{version} {set}.gitMajor={} {set}.gitMinor={}",
        major.unwrap_or_default(),
        minor.unwrap_or_default()
    );
    let status = Command::new("go")
        .args(["build", "-trimpath", "-ldflags", &ldflags, "-o"])
        .arg(output)
        .arg(package)
        .current_dir(module)
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`go build {package}` ended with {status}")),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(
            "Go is missing, which builds kube-apiserver and etcd: install Go 1.26 or later, or \
             set KUBEBUILDER_ASSETS to a directory with etcd, kube-apiserver and \
             kube-controller-manager"
                .into(),
        ),
        Err(error) => Err(format!("`go` does not start: {error}")),
    }
}
