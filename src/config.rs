//! What the process was asked to do, checked.
//!
//! Flags (and their `BYWASH_…` environment variables) are read into the types of [`flags`], whose
//! parsers refuse what cannot be right with a sentence that says what would be; resolving them into
//! [`Config`] settles defaults and contradictions between flags. Only the result travels further, so
//! that nothing behind it asks again.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use ipnet::IpNet;

pub mod addresses;
mod cluster;
pub mod duration;
pub mod flags;
pub mod listen;
pub mod object_name;

use object_name::NamespacedName;

pub use cluster::{Cluster, Scope};

/// Two flags that cannot both be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// There would be nothing to do.
    #[error("--http-address and --https-address are both none, which leaves nothing to serve")]
    NothingToServe,
    /// One port for two purposes.
    #[error("{0} and {1} are both {2}; give each its own port")]
    SameAddress(&'static str, &'static str, SocketAddr),
    /// What the IngressClass says is said by a flag.
    #[error("{0} goes with --watch-namespace only; without it, {1}")]
    OnlyInOneNamespace(&'static str, &'static str),
    /// An object that could never be read.
    #[error("{flag} names {object}, but {limit} leaves that namespace out; {remedy}")]
    NeverRead {
        /// What names it.
        flag: &'static str,
        /// The object.
        object: NamespacedName,
        /// What leaves it out.
        limit: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Two limits for one thing.
    #[error(
        "--secret-namespaces and --watch-namespace contradict each other: Secrets are read in the \
         watched namespace; leave --secret-namespaces out"
    )]
    SecretsOfOneNamespace,
}

/// How requests are served, from wherever the routes come.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: Listen,
    /// Threads that serve requests.
    pub workers: NonZeroUsize,
    /// How they share work.
    pub runtime: RuntimeKind,
    /// What clients may do.
    pub clients: Clients,
    /// Which Ingresses are served, and how they are read.
    pub class: Class,
    /// What is logged.
    pub logs: Logs,
    /// How the process ends.
    pub drain: Drain,
}

/// Where the process listens; absent: not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Plain HTTP.
    pub http: Option<SocketAddr>,
    /// HTTPS.
    pub https: Option<SocketAddr>,
    /// Probes and metrics.
    pub metrics: Option<SocketAddr>,
    /// Debugging; always a loopback address.
    pub admin: Option<SocketAddr>,
}

/// How the workers share work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum RuntimeKind {
    /// Each has its own runtime, listener and connections; nothing is shared on a request's path.
    #[default]
    PerCore,
    /// One runtime whose threads steal work from each other.
    Shared,
}

/// What clients may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// Peers whose `X-Forwarded-*` fields are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long an idle connection is kept.
    pub keepalive: Duration,
    /// For a request's head to arrive.
    pub header_timeout: Duration,
    /// Between two pieces of a request's body.
    pub body_timeout: Duration,
}

/// Who owns a host that several Ingresses name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum HostOwnership {
    /// The paths of all Ingresses merge.
    #[default]
    Ingress,
    /// All of it belongs to the namespace of its oldest Ingress.
    Namespace,
}

/// Which Ingresses are served, and how they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// The `spec.controller` of our IngressClass.
    pub controller_name: String,
    /// The name of our IngressClass.
    pub ingress_class: String,
    /// Who owns a host that several Ingresses name.
    pub host_ownership: HostOwnership,
    /// Whether Services of type `ExternalName` are followed.
    pub allow_external_name: bool,
    /// Presented where no host's own certificate applies.
    pub default_tls_secret: Option<NamespacedName>,
}

/// How a line of the access log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AccessLogFormat {
    /// One JSON object a line.
    Json,
    /// The Common Log Format.
    Clf,
    /// No access log.
    Off,
}

/// How a line of the process's own log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq)]
pub struct Logs {
    /// Of requests, to stdout.
    pub access_log: AccessLogFormat,
    /// Whether queries stand in it.
    pub access_log_query: bool,
    /// The part of the requests that went well which stands in it, from 0 to 1.
    pub access_log_sample: f64,
    /// A filter as the `tracing` ecosystem writes it; checked.
    pub level: String,
    /// Of the process itself, to stderr.
    pub format: LogFormat,
}

/// What is different by default in a cluster and without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModeDefaults {
    /// See [`Drain::delay`].
    pub drain_delay: Duration,
    /// See [`Logs::format`].
    pub log_format: LogFormat,
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// From "not ready" until no new connection is accepted.
    pub delay: Duration,
    /// For what is in flight after that.
    pub timeout: Duration,
}

impl Listen {
    fn resolve(flags: &flags::ServingFlags) -> Result<Self, Contradiction> {
        let named = [
            ("--http-address", flags.http_address),
            ("--https-address", flags.https_address),
            ("--metrics-address", flags.metrics_address),
            ("--admin-address", flags.admin_address.address()),
        ];
        let resolved = named.map(|(flag, address)| (flag, address.socket_address()));
        for (i, (first, a)) in resolved.iter().enumerate() {
            for (second, b) in &resolved[i + 1..] {
                if let (Some(a), Some(b)) = (a, b)
                    && a == b
                    && a.port() != 0
                {
                    return Err(Contradiction::SameAddress(first, second, *a));
                }
            }
        }
        let [(_, http), (_, https), (_, metrics), (_, admin)] = resolved;
        if http.is_none() && https.is_none() {
            return Err(Contradiction::NothingToServe);
        }
        Ok(Self {
            http,
            https,
            metrics,
            admin,
        })
    }
}

impl Config {
    /// Settles the flags.
    ///
    /// # Errors
    /// When two flags contradict each other.
    pub fn resolve(
        flags: flags::ServingFlags,
        defaults: ModeDefaults,
    ) -> Result<Self, Contradiction> {
        Ok(Self {
            listen: Listen::resolve(&flags)?,
            workers: flags.workers.unwrap_or_else(available_cores),
            runtime: flags.runtime,
            clients: Clients {
                trusted_proxies: flags.trusted_proxies.into_iter().map(Into::into).collect(),
                keepalive: flags.client_keepalive.get(),
                header_timeout: flags.client_header_timeout.get(),
                body_timeout: flags.client_body_timeout.get(),
            },
            class: flags.class.into(),
            logs: Logs {
                access_log: flags.access_log,
                access_log_query: flags.access_log_query,
                access_log_sample: flags.access_log_sample,
                level: flags.log_level,
                format: flags.log_format.unwrap_or(defaults.log_format),
            },
            drain: Drain {
                delay: flags
                    .drain_delay
                    .map_or(defaults.drain_delay, duration::GatewayDuration::get),
                timeout: flags.drain_timeout.get(),
            },
        })
    }
}

impl From<flags::ClassFlags> for Class {
    fn from(flags: flags::ClassFlags) -> Self {
        Self {
            controller_name: flags.controller_name,
            ingress_class: flags.ingress_class,
            host_ownership: flags.host_ownership,
            allow_external_name: flags.allow_external_name,
            default_tls_secret: flags.default_tls_secret,
        }
    }
}

/// As many as the cgroup's quota and the affinity mask allow.
fn available_cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests;
