//! `bywash run`: the ingress controller.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::app;
use crate::config::flags::{ClusterFlags, ServingFlags};
use crate::config::{Cluster, Config, LogFormat, ModeDefaults};

use super::{Failure, ended};

const NEXT_STEPS: &str = "\
It uses $KUBECONFIG or ~/.kube/config where there is one, else its Pod's service account.

Next steps:
  kubectl describe ingress NAME                    what is wrong with an Ingress, as Events
  kubectl port-forward POD 9091                    then see http://127.0.0.1:9091/debug/findings
  curl http://POD:9090/metrics                     what is counted, causes of failures included";

/// Serve the Ingresses of a cluster
#[derive(Args, Debug)]
#[command(after_help = NEXT_STEPS)]
pub(super) struct Run {
    #[command(flatten)]
    serving: ServingFlags,
    #[command(flatten)]
    cluster: ClusterFlags,
}

const DEFAULTS: ModeDefaults = ModeDefaults {
    drain_delay: Duration::from_secs(5),
    log_format: LogFormat::Json,
};

impl Run {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        let config =
            Config::resolve(self.serving, DEFAULTS).map_err(|error| Failure::usage(&error))?;
        let cluster = Cluster::resolve(self.cluster, &config.class)
            .map_err(|error| Failure::usage(&error))?;
        Ok(ended(app::run(&config, &cluster)?))
    }
}
