//! Where the programs of the control plane are, and kubectl.

use std::path::{Path, PathBuf};

use crate::control_plane_programs::CONTROL_PLANE;

/// A directory that holds the control plane.
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
}

/// The programs, or one sentence that says what to install.
pub(crate) fn locate_or_build() -> Result<Binaries, String> {
    CONTROL_PLANE.locate_or_build().map(Binaries::in_directory)
}
