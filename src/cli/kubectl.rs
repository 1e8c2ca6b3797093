//! The flags that kubectl has for every command, for whatever reads a cluster.

use std::path::PathBuf;

use clap::Args;

use crate::config::flags::dns_name;
use crate::stores::reader::{Access, Reader};

use super::Failure;

/// Which cluster is read, and as whom.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct KubectlFlags {
    /// The namespace [default: that of the context]
    #[arg(short, long, value_name = "NAME", value_parser = dns_name, help_heading = "Cluster")]
    pub(super) namespace: Option<String>,

    /// All namespaces
    #[arg(
        short = 'A',
        long,
        conflicts_with = "namespace",
        help_heading = "Cluster"
    )]
    pub(super) all_namespaces: bool,

    /// The kubeconfig to use [default: $KUBECONFIG or ~/.kube/config]
    #[arg(
        long,
        env = "BYWASH_KUBECONFIG",
        value_name = "FILE",
        help_heading = "Cluster"
    )]
    kubeconfig: Option<PathBuf>,

    /// The context of it to use [default: the current one]
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    context: Option<String>,

    /// The user to be, for those who may
    #[arg(long = "as", value_name = "USER", help_heading = "Cluster")]
    impersonate: Option<String>,

    /// The group to be in besides; may be repeated
    #[arg(
        long = "as-group",
        value_name = "GROUP",
        requires = "impersonate",
        help_heading = "Cluster"
    )]
    groups: Vec<String>,
}

impl KubectlFlags {
    /// A reader of that cluster.
    pub(super) async fn reader(&self) -> Result<Reader, Failure> {
        let access = Access {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            impersonate: self.impersonate.clone(),
            groups: self.groups.clone(),
        };
        let reader = Reader::connect(&access).await;
        reader.map_err(|error| Failure::usage(&error))
    }
}
