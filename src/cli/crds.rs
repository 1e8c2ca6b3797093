//! `bywash crds`: the definitions to install.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Args;

use crate::api::crd;

use super::Failure;

const NEXT_STEPS: &str = "\
Next steps:
  bywash crds | kubectl apply --server-side --force-conflicts -f -
  kubectl explain gwp.spec";

/// Print the definitions of GatewayPolicy, to install them
#[derive(Args, Debug)]
#[command(after_help = NEXT_STEPS)]
pub(super) struct Crds {}

impl Crds {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        let Self {} = self;
        io::stdout()
            .write_all(crd::manifest().as_bytes())
            .map_err(|error| Failure::failed(&error))?;
        Ok(ExitCode::SUCCESS)
    }
}
