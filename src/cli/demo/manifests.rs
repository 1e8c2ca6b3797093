//! The manifests of `examples/demo`, in a directory of this process's own.
//!
//! They are compiled in, so that the program shows itself wherever it is, and written out, so that
//! they can be edited while it serves: what is shown is what `bywash standalone` does.

use std::path::{Path, PathBuf};
use std::{env, fs, io, process};

use crate::cli::Failure;

const CLASS: &str = include_str!("../../../examples/demo/class.yaml");
pub(super) const INGRESS: &str = include_str!("../../../examples/demo/ingress.yaml");
const POLICIES: &str = include_str!("../../../examples/demo/policies.yaml");
pub(super) const BACKENDS: &str = include_str!("../../../examples/demo/backends.yaml");

/// The network of the manifests as they are written.
const NETWORK: &str = "127.81.";

/// The directory; dropping it removes it.
pub(super) struct Manifests(PathBuf);

/// There is nowhere to write to.
#[derive(Debug, thiserror::Error)]
#[error("the demonstration's manifests cannot be written to {0}")]
pub(super) struct CannotWrite(String, #[source] io::Error);

impl From<CannotWrite> for Failure {
    fn from(error: CannotWrite) -> Self {
        Self::failed(&error)
    }
}

impl Manifests {
    /// Writes them, for backends on this network.
    pub(super) fn write(network: u8) -> Result<Self, CannotWrite> {
        let name = format!("bywash-demo-{}", process::id());
        let directory = env::temp_dir().join(name);
        let fails = |error| CannotWrite(directory.display().to_string(), error);
        fs::create_dir(&directory).map_err(fails)?;
        let written = Self(directory.clone());
        let backends = BACKENDS.replace(NETWORK, &format!("127.{network}."));
        for (file, text) in [
            ("class.yaml", CLASS),
            ("ingress.yaml", INGRESS),
            ("policies.yaml", POLICIES),
            ("backends.yaml", &backends),
        ] {
            fs::write(directory.join(file), text).map_err(fails)?;
        }
        Ok(written)
    }

    /// Where they are.
    pub(super) fn directory(&self) -> &Path {
        &self.0
    }
}

impl Drop for Manifests {
    fn drop(&mut self) {
        let _already_gone = fs::remove_dir_all(&self.0);
    }
}
