//! Programs of other projects that the tests drive: taken from `KUBEBUILDER_ASSETS`, or built once.
//!
//! Their versions are ordinary dependencies of small Go modules beside this directory, so nothing is
//! downloaded that Go does not verify. A build takes minutes on a small machine and needs the
//! network, so it happens once per module version, under a file lock that parallel test runs share,
//! and tells on stderr what it is doing.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A module under `tests`, whose programs are put into the directory of its name under `target`.
pub(crate) struct GoModule {
    pub(crate) name: &'static str,
    /// As the test run calls what it builds, with the time that this takes.
    pub(crate) what: &'static str,
    pub(crate) programs: &'static [Program],
}

pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    /// Which variables the linker sets (`VARIABLE=VALUE`), from the text of go.mod.
    pub(crate) variables: fn(&str) -> Option<Vec<String>>,
}

impl GoModule {
    /// The directory that holds all programs, or one sentence that says what to install.
    pub(crate) fn locate_or_build(&self) -> Result<PathBuf, String> {
        if let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS") {
            let given = PathBuf::from(assets);
            if self.complete(&given) {
                return Ok(given);
            }
            let directory = given.display();
            eprintln!(
                "KUBEBUILDER_ASSETS={directory} lacks a part of {}",
                self.what
            );
        }
        self.build()
            .map_err(|error| format!("the tests lack {}: {error}", self.what))
    }

    fn complete(&self, directory: &Path) -> bool {
        let there = |program: &Program| directory.join(program.name).is_file();
        self.programs.iter().all(there)
    }

    fn build(&self) -> Result<PathBuf, String> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name(self.name);
        fs::create_dir_all(&target).map_err(|error| format!("{}: {error}", target.display()))?;
        let lock = File::create(target.join(".lock")).map_err(|error| error.to_string())?;
        if lock.try_lock().is_err() {
            eprintln!(
                "waiting for another test run that is building {}",
                self.what
            );
            lock.lock().map_err(|error| error.to_string())?;
        }

        let module = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests")
            .join(self.name);
        let wanted =
            fs::read_to_string(module.join("go.mod")).map_err(|error| error.to_string())?;
        let built_from = target.join("built-from.mod");
        if self.complete(&target) && fs::read_to_string(&built_from).is_ok_and(|had| had == wanted)
        {
            return Ok(target);
        }
        eprintln!("building {}, once", self.what);
        for (number, program) in (1..).zip(self.programs) {
            eprintln!("  {number} of {}: {}", self.programs.len(), program.name);
            program.build(&module, &wanted, &target)?;
        }
        fs::write(built_from, &wanted).map_err(|error| error.to_string())?;
        Ok(target)
    }
}

impl Program {
    fn build(&self, module: &Path, go_mod: &str, target: &Path) -> Result<(), String> {
        let mut flags = String::from("-s -w");
        let variables = (self.variables)(go_mod);
        for variable in variables.ok_or("go.mod lacks a version that is to be written down")? {
            flags.push_str(" -X ");
            flags.push_str(&variable);
        }
        let status = Command::new("go")
            .args(["build", "-trimpath", "-ldflags", &flags, "-o"])
            .arg(target.join(self.name))
            .arg(self.package)
            .current_dir(module)
            .env("CGO_ENABLED", "0")
            .stdin(Stdio::null())
            .status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("`go build {}` ended with {status}", self.package)),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(format!(
                "Go is missing, which builds {0}: install Go 1.26 or later, or set \
                 KUBEBUILDER_ASSETS to a directory with {0} and what else the tests drive",
                self.name
            )),
            Err(error) => Err(format!("`go` does not start: {error}")),
        }
    }
}

/// The version of a dependency, without its `v`.
pub(crate) fn version_of<'a>(dependency: &str, go_mod: &'a str) -> Option<&'a str> {
    let prefix = format!("{dependency} v");
    go_mod
        .lines()
        .find_map(|line| line.trim().strip_prefix(&prefix))
        .and_then(|rest| rest.split_whitespace().next())
}
