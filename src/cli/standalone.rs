//! `bywash standalone DIR`: the same pipeline over a directory of manifests.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::app;
use crate::config::flags::ServingFlags;
use crate::config::{Config, LogFormat, ModeDefaults};

use super::{Failure, ended};

const NEXT_STEPS: &str = "\
The directory holds Ingresses, Services with their EndpointSlices (or ExternalName), and Secrets, as
YAML or JSON; a change is served at once, and what is wrong is told on stderr with its file and line
while the last good state goes on being served.

Next steps:
  bywash standalone --https-address=none DIR
  curl -i -H 'Host: shop.example' http://127.0.0.1:8080/
  curl http://127.0.0.1:9091/debug/findings";

/// Serve the Ingresses of a directory, without a cluster
#[derive(Args, Debug)]
#[command(after_help = NEXT_STEPS)]
pub(super) struct Standalone {
    /// The directory of manifests; it is watched
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    serving: ServingFlags,
}

const DEFAULTS: ModeDefaults = ModeDefaults {
    drain_delay: Duration::ZERO,
    log_format: LogFormat::Text,
};

impl Standalone {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        let config =
            Config::resolve(self.serving, DEFAULTS).map_err(|error| Failure::usage(&error))?;
        Ok(ended(app::standalone(&config, &self.directory)?))
    }
}
