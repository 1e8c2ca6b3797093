//! What `run` needs besides: which cluster, how much of it is read, and who writes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::addresses::PublishedAddress;
use super::object_name::NamespacedName;
use super::{Class, Contradiction, flags};

/// What `run` needs besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Which kubeconfig; absent: the usual places, else the Pod's own account.
    pub kubeconfig: Option<PathBuf>,
    /// How much of the cluster is read.
    pub scope: Scope,
    /// The Service whose addresses are written to Ingresses.
    pub publish_service: Option<NamespacedName>,
    /// Addresses that are written to Ingresses.
    pub publish_addresses: Vec<PublishedAddress>,
    /// Whether those of the nodes of ready replicas are.
    pub publish_node_addresses: bool,
    /// Whether addresses are written to the status of Ingresses.
    pub update_status: bool,
    /// Writes of statuses and Events per second, in the long run.
    pub status_writes_per_second: u32,
    /// Of these at once.
    pub status_writes_burst: u32,
    /// The namespace of the Lease; absent: that of the Pod or of the kubeconfig.
    pub lease_namespace: Option<String>,
    /// The name of this replica among others.
    pub instance: String,
}

/// How much of the cluster is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Cluster {
        /// Where Secrets are read; absent: everywhere.
        secrets: Option<BTreeSet<String>>,
    },
    /// One namespace, and nothing that has none: what the IngressClass would say is said by flags.
    Namespace {
        /// Which.
        name: String,
        /// The GatewayPolicy with the defaults of the class; it is in this namespace.
        class_policy: Option<NamespacedName>,
        /// Whether Ingresses without a class are served.
        default_class: bool,
    },
}

impl Cluster {
    /// Settles the flags.
    ///
    /// # Errors
    /// When two flags contradict each other.
    pub fn resolve(flags: flags::ClusterFlags, class: &Class) -> Result<Self, Contradiction> {
        let scope = Scope::resolve(&flags.scope, &flags.secret_namespaces)?;
        scope.admits_default_certificate(class.default_tls_secret.as_ref())?;
        Ok(Self {
            kubeconfig: flags.kubeconfig,
            scope,
            publish_service: flags.publish_service,
            publish_addresses: flags.publish_address,
            publish_node_addresses: flags.publish_node_addresses,
            update_status: flags.update_status,
            status_writes_per_second: flags.status_writes_per_second,
            status_writes_burst: flags.status_writes_burst,
            lease_namespace: flags.lease_namespace,
            instance: flags.instance.unwrap_or_else(host_name),
        })
    }
}

impl Scope {
    /// The one namespace that is read, if it is one.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Cluster { .. } => None,
            Self::Namespace { name, .. } => Some(name),
        }
    }

    /// Where alone Secrets are read, if not wherever everything else is.
    pub fn secrets(&self) -> Option<&BTreeSet<String>> {
        match self {
            Self::Cluster { secrets } => secrets.as_ref(),
            Self::Namespace { .. } => None,
        }
    }

    /// Settles the flags; Secrets may be read in some namespaces only.
    ///
    /// # Errors
    /// When two flags contradict each other.
    pub fn resolve(
        flags: &flags::ScopeFlags,
        secret_namespaces: &[String],
    ) -> Result<Self, Contradiction> {
        let listed: BTreeSet<String> = secret_namespaces.iter().cloned().collect();
        let Some(name) = flags.watch_namespace.clone() else {
            if flags.class_policy.is_some() {
                return Err(Contradiction::OnlyInOneNamespace(
                    "--class-policy",
                    "name the policy in spec.parameters of the IngressClass",
                ));
            }
            if flags.default_class {
                return Err(Contradiction::OnlyInOneNamespace(
                    "--default-class",
                    "annotate the IngressClass with ingressclass.kubernetes.io/is-default-class=true",
                ));
            }
            return Ok(Self::Cluster {
                secrets: (!listed.is_empty()).then_some(listed),
            });
        };
        if !listed.is_empty() {
            return Err(Contradiction::SecretsOfOneNamespace);
        }
        let class_policy = flags.class_policy.clone();
        if let Some(object) = class_policy.clone().filter(|it| it.namespace != name) {
            return Err(Contradiction::NeverRead {
                flag: "--class-policy",
                object,
                limit: "--watch-namespace",
                remedy: "keep the policy in the watched namespace, where what it names is read too",
            });
        }
        Ok(Self::Namespace {
            name,
            class_policy,
            default_class: flags.default_class,
        })
    }

    /// The Secret with the default certificate must be where Secrets are read.
    ///
    /// # Errors
    /// When it is not.
    pub fn admits_default_certificate(
        &self,
        secret: Option<&NamespacedName>,
    ) -> Result<(), Contradiction> {
        let Some(secret) = secret else {
            return Ok(());
        };
        let (read, limit, remedy) = match self {
            Self::Cluster { secrets: None } => return Ok(()),
            Self::Cluster {
                secrets: Some(listed),
            } => (
                listed.contains(&secret.namespace),
                "--secret-namespaces",
                "add it there",
            ),
            Self::Namespace { name, .. } => (
                *name == secret.namespace,
                "--watch-namespace",
                "name a Secret of the watched namespace",
            ),
        };
        if read {
            return Ok(());
        }
        Err(Contradiction::NeverRead {
            flag: "--default-tls-secret",
            object: secret.clone(),
            limit,
            remedy,
        })
    }
}

/// In a Pod that is the Pod's name.
fn host_name() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let name = read.unwrap_or_default().trim().to_owned();
    if name.is_empty() {
        format!("bywash-{}", std::process::id())
    } else {
        name
    }
}
