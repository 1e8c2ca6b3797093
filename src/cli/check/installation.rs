//! The flags of a check without files, and the waiting.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anstream::AutoStream;
use clap::Args;
use serde_json::json;
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep};

use crate::cli::kubectl::KubectlFlags;
use crate::cli::{Color, FAILED, Failure};
use crate::config::duration::GatewayDuration;
use crate::config::flags::dns_name;
use crate::config::{Class, Scope};

use super::health::{self, Installation};
use super::item::{self, Item};
use super::json::VERSION;

/// Between two looks while something is waited for.
const PAUSE: Duration = Duration::from_secs(1);

/// Which installation is looked at, and how.
#[derive(Args, Clone, Debug)]
pub(super) struct InstallationFlags {
    /// Look whether the cluster is ready for an installation, instead of at the installation
    #[arg(long, conflicts_with = "paths", help_heading = "Installation")]
    pre: bool,

    /// Look again until nothing fails, at most for so long
    #[arg(
        long,
        value_name = "DURATION",
        conflicts_with = "paths",
        help_heading = "Installation"
    )]
    wait: Option<GatewayDuration>,

    /// Where the replicas run
    #[arg(long, value_name = "NAME", default_value = "bywash", value_parser = dns_name, help_heading = "Installation")]
    controller_namespace: String,

    /// Their service account
    #[arg(long, value_name = "NAME", default_value = "bywash", value_parser = dns_name, help_heading = "Installation")]
    service_account: String,
}

impl InstallationFlags {
    /// Looks, and tells.
    pub(super) fn execute(
        self,
        which: (Class, Scope),
        kubectl: &KubectlFlags,
        (as_json, color): (bool, Color),
    ) -> Result<ExitCode, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::failed(&error))?;
        let items = runtime.block_on(self.look(which, kubectl))?;
        let fails = item::fails(&items);
        let (text, choice) = match as_json {
            true => {
                let json = json!({"version": VERSION, "healthy": !fails, "checks": items});
                let text = serde_json::to_string_pretty(&json);
                let text = text.map_err(|error| Failure::failed(&error))?;
                (text + "\n", anstream::ColorChoice::Never)
            }
            false => (item::text(&items), color.choice()),
        };
        let mut out = AutoStream::new(io::stdout(), choice);
        let _nobody_reads = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        Ok(match fails {
            true => ExitCode::from(FAILED),
            false => ExitCode::SUCCESS,
        })
    }

    async fn look(
        &self,
        (class, scope): (Class, Scope),
        kubectl: &KubectlFlags,
    ) -> Result<Vec<Item>, Failure> {
        let reader = kubectl.reader().await?;
        let here = Installation {
            class,
            watched: scope.namespace().map(str::to_owned),
            namespace: self.controller_namespace.clone(),
            account: self.service_account.clone(),
        };
        let patience = self.wait.map_or(Duration::ZERO, GatewayDuration::get);
        let until = Instant::now() + patience;
        loop {
            let items = match self.pre {
                true => health::before(&reader, &here).await,
                false => health::after(&reader, &here).await,
            };
            if !item::fails(&items) || Instant::now() >= until {
                return Ok(items);
            }
            sleep(PAUSE).await;
        }
    }
}
