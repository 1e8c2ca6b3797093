//! The flags as they are typed.
//!
//! The doc comment of a flag is its help, so that these speak to whoever runs the program. Each flag
//! has an environment variable, because a chart sets those more easily than arguments.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgAction, Args, value_parser};
use tracing_subscriber::EnvFilter;

use super::addresses::{Network, PublishedAddress};
use super::duration::GatewayDuration;
use super::listen::{ListenAddress, LoopbackAddress};
use super::object_name::{NamespacedName, is_dns_name};
use super::{AccessLogFormat, HostOwnership, LogFormat, RuntimeKind};

/// How requests are served, from wherever the routes come.
#[derive(Args, Clone, Debug)]
pub struct ServingFlags {
    /// Where plain HTTP is served: ADDRESS:PORT, :PORT for all interfaces, port 0 for any free one,
    /// or none
    #[arg(
        long,
        env = "BYWASH_HTTP_ADDRESS",
        value_name = "ADDRESS",
        default_value = ":8080",
        help_heading = "Listening"
    )]
    pub http_address: ListenAddress,

    /// Where HTTPS is served
    #[arg(
        long,
        env = "BYWASH_HTTPS_ADDRESS",
        value_name = "ADDRESS",
        default_value = ":8443",
        help_heading = "Listening"
    )]
    pub https_address: ListenAddress,

    /// Where /livez, /readyz and /metrics are served
    #[arg(
        long,
        env = "BYWASH_METRICS_ADDRESS",
        value_name = "ADDRESS",
        default_value = ":9090",
        help_heading = "Listening"
    )]
    pub metrics_address: ListenAddress,

    /// Where /debug/ is served: on loopback only, because it shows the topology
    #[arg(
        long,
        env = "BYWASH_ADMIN_ADDRESS",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9091",
        help_heading = "Listening"
    )]
    pub admin_address: LoopbackAddress,

    /// Threads that serve requests [default: one for each core that the process may use]
    #[arg(long, env = "BYWASH_WORKERS", value_name = "N", value_parser = workers, help_heading = "Serving")]
    pub workers: Option<NonZeroUsize>,

    /// How the workers share work
    #[arg(
        long,
        env = "BYWASH_RUNTIME",
        value_name = "KIND",
        value_enum,
        default_value = "per-core",
        help_heading = "Serving"
    )]
    pub runtime: RuntimeKind,

    /// Proxies in front whose X-Forwarded-* and X-Request-ID fields are believed, comma-separated
    /// addresses or CIDR ranges; those of others are replaced
    #[arg(
        long,
        env = "BYWASH_TRUSTED_PROXIES",
        value_name = "CIDR,…",
        value_delimiter = ',',
        help_heading = "Serving"
    )]
    pub trusted_proxies: Vec<Network>,

    /// How long an idle client connection is kept: longer than the load balancer in front keeps its
    /// own (620s behind Google's)
    #[arg(
        long,
        env = "BYWASH_CLIENT_KEEPALIVE",
        value_name = "DURATION",
        default_value = "75s",
        help_heading = "Serving"
    )]
    pub client_keepalive: GatewayDuration,

    /// How long a client may take for the head of a request
    #[arg(
        long,
        env = "BYWASH_CLIENT_HEADER_TIMEOUT",
        value_name = "DURATION",
        default_value = "10s",
        help_heading = "Serving"
    )]
    pub client_header_timeout: GatewayDuration,

    /// How long a client may pause inside the body of a request
    #[arg(
        long,
        env = "BYWASH_CLIENT_BODY_TIMEOUT",
        value_name = "DURATION",
        default_value = "60s",
        help_heading = "Serving"
    )]
    pub client_body_timeout: GatewayDuration,

    /// After SIGTERM: how long to go on accepting while /readyz says no, so that load balancers
    /// notice [default: 5s in a cluster, 0s without]
    #[arg(
        long,
        env = "BYWASH_DRAIN_DELAY",
        value_name = "DURATION",
        help_heading = "Serving"
    )]
    pub drain_delay: Option<GatewayDuration>,

    /// After that: how long requests in flight may take to finish; with the delay, less than the
    /// Pod's terminationGracePeriodSeconds
    #[arg(
        long,
        env = "BYWASH_DRAIN_TIMEOUT",
        value_name = "DURATION",
        default_value = "20s",
        help_heading = "Serving"
    )]
    pub drain_timeout: GatewayDuration,

    /// Which Ingresses are served.
    #[command(flatten)]
    pub class: ClassFlags,

    /// How each request is logged to stdout
    #[arg(
        long,
        env = "BYWASH_ACCESS_LOG",
        value_name = "FORMAT",
        value_enum,
        default_value = "json",
        help_heading = "Logging"
    )]
    pub access_log: AccessLogFormat,

    /// Which part of the requests that went well is logged, from 0.0 to 1.0; what failed always is
    #[arg(long, env = "BYWASH_ACCESS_LOG_SAMPLE", value_name = "SHARE", default_value = "1", value_parser = share, help_heading = "Logging")]
    pub access_log_sample: f64,

    /// Log the query of URLs too; it often holds secrets
    #[arg(long, env = "BYWASH_ACCESS_LOG_QUERY", help_heading = "Logging")]
    pub access_log_query: bool,

    /// What is logged to stderr: error, warn, info, debug, trace, or a filter such as
    /// info,bywash=debug
    #[arg(long, env = "BYWASH_LOG_LEVEL", value_name = "LEVEL", default_value = "info", value_parser = log_level, help_heading = "Logging")]
    pub log_level: String,

    /// How it is logged [default: json in a cluster, text without]
    #[arg(
        long,
        env = "BYWASH_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        help_heading = "Logging"
    )]
    pub log_format: Option<LogFormat>,
}

/// Which Ingresses are served, and how they are read.
#[derive(Args, Clone, Debug)]
pub struct ClassFlags {
    /// The IngressClass that is served
    #[arg(long, env = "BYWASH_INGRESS_CLASS", value_name = "NAME", default_value = "bywash", value_parser = dns_name, help_heading = "Ingresses")]
    pub ingress_class: String,

    /// The spec.controller that this IngressClass must have
    #[arg(long, env = "BYWASH_CONTROLLER_NAME", value_name = "NAME", default_value = "bywash.dev/ingress-controller", value_parser = controller_name, help_heading = "Ingresses")]
    pub controller_name: String,

    /// Who owns a host that several Ingresses name: each its own paths (ingress), or the namespace
    /// of the oldest all of it (namespace)
    #[arg(
        long,
        env = "BYWASH_HOST_OWNERSHIP",
        value_name = "OWNER",
        value_enum,
        default_value = "ingress",
        help_heading = "Ingresses"
    )]
    pub host_ownership: HostOwnership,

    /// Follow Services of type ExternalName, which lets whoever may write Services choose any host
    #[arg(long, env = "BYWASH_ALLOW_EXTERNAL_NAME", help_heading = "Ingresses")]
    pub allow_external_name: bool,

    /// The Secret of the certificate for hosts without one [default: one made at start-up]
    #[arg(
        long,
        env = "BYWASH_DEFAULT_TLS_SECRET",
        value_name = "NAMESPACE/NAME",
        help_heading = "Ingresses"
    )]
    pub default_tls_secret: Option<NamespacedName>,
}

/// What `run` needs besides.
#[derive(Args, Clone, Debug)]
pub struct ClusterFlags {
    /// The kubeconfig to use [default: $KUBECONFIG or ~/.kube/config, else the Pod's service account]
    #[arg(
        long,
        env = "BYWASH_KUBECONFIG",
        value_name = "FILE",
        help_heading = "Cluster"
    )]
    pub kubeconfig: Option<PathBuf>,

    /// Whether one namespace is all that is read.
    #[command(flatten)]
    pub scope: ScopeFlags,

    /// Read Secrets in these namespaces only, comma-separated [default: wherever Ingresses are read]
    #[arg(
        long,
        env = "BYWASH_SECRET_NAMESPACES",
        value_name = "NAMESPACE,…",
        value_delimiter = ',',
        value_parser = dns_name,
        help_heading = "Cluster"
    )]
    pub secret_namespaces: Vec<String>,

    /// The Service in front of this controller, whose addresses are written to the status of
    /// Ingresses
    #[arg(
        long,
        env = "BYWASH_PUBLISH_SERVICE",
        value_name = "NAMESPACE/NAME",
        conflicts_with = "publish_address",
        help_heading = "Cluster"
    )]
    pub publish_service: Option<NamespacedName>,

    /// The addresses, or host names, that are written to the status of Ingresses, comma-separated
    #[arg(
        long,
        env = "BYWASH_PUBLISH_ADDRESS",
        value_name = "ADDRESS,…",
        value_delimiter = ',',
        help_heading = "Cluster"
    )]
    pub publish_address: Vec<PublishedAddress>,

    /// Write the addresses of the nodes of ready replicas to the status of Ingresses, for hostPort: the
    /// external ones, else the internal
    #[arg(
        long,
        env = "BYWASH_PUBLISH_NODE_ADDRESSES",
        conflicts_with_all = ["publish_service", "publish_address"],
        help_heading = "Cluster"
    )]
    pub publish_node_addresses: bool,

    /// Whether addresses are written to the status of Ingresses; false allows a trial beside another
    /// controller (Events are written all the same)
    #[arg(long, env = "BYWASH_UPDATE_STATUS", value_name = "BOOL", default_value_t = true, action = ArgAction::Set, help_heading = "Cluster")]
    pub update_status: bool,

    /// How many statuses and Events the leader writes per second in the long run, whatever fails: 1 to
    /// 1000
    #[arg(long, env = "BYWASH_STATUS_WRITES_PER_SECOND", value_name = "NUMBER", value_parser = value_parser!(u32).range(1..=1000), default_value_t = 20, help_heading = "Cluster")]
    pub status_writes_per_second: u32,

    /// How many of them at once after a rest: 1 to 10000
    #[arg(long, env = "BYWASH_STATUS_WRITES_BURST", value_name = "NUMBER", value_parser = value_parser!(u32).range(1..=10_000), default_value_t = 100, help_heading = "Cluster")]
    pub status_writes_burst: u32,

    /// The namespace of the Lease by which replicas agree on who writes [default: that of the Pod,
    /// else of the kubeconfig's context]
    #[arg(long, env = "BYWASH_LEASE_NAMESPACE", value_name = "NAMESPACE", value_parser = dns_name, help_heading = "Cluster")]
    pub lease_namespace: Option<String>,

    /// The name of this replica among others [default: the host name, which in a Pod is its name]
    #[arg(
        long,
        env = "BYWASH_INSTANCE",
        value_name = "NAME",
        help_heading = "Cluster"
    )]
    pub instance: Option<String>,
}

/// Whether one namespace is all that is read, and what the IngressClass would say there.
#[derive(Args, Clone, Debug)]
pub struct ScopeFlags {
    /// Read only the objects of one namespace, and no IngressClass, so that no right in the whole
    /// cluster is needed: served are its Ingresses that name --ingress-class [default: of all]
    #[arg(long, env = "BYWASH_WATCH_NAMESPACE", value_name = "NAMESPACE", value_parser = dns_name, help_heading = "Cluster")]
    pub watch_namespace: Option<String>,

    /// With --watch-namespace: the GatewayPolicy there with the defaults of the class, which otherwise
    /// the IngressClass names in spec.parameters
    #[arg(
        long,
        env = "BYWASH_CLASS_POLICY",
        value_name = "NAMESPACE/NAME",
        help_heading = "Cluster"
    )]
    pub class_policy: Option<NamespacedName>,

    /// With --watch-namespace: whether Ingresses without a class are served too, which otherwise the
    /// annotation of the IngressClass says
    #[arg(long, env = "BYWASH_DEFAULT_CLASS", value_name = "BOOL", default_value_t = false, action = ArgAction::Set, help_heading = "Cluster")]
    pub default_class: bool,
}

fn workers(text: &str) -> Result<NonZeroUsize, &'static str> {
    let workers: NonZeroUsize = text.parse().map_err(|_| "not a number from 1 to 1024")?;
    if workers.get() > 1024 {
        return Err("not a number from 1 to 1024");
    }
    Ok(workers)
}

fn share(text: &str) -> Result<f64, &'static str> {
    let share: f64 = text.parse().map_err(|_| "not a number from 0.0 to 1.0")?;
    if !(0.0..=1.0).contains(&share) {
        return Err("not a number from 0.0 to 1.0");
    }
    Ok(share)
}

pub(crate) fn dns_name(text: &str) -> Result<String, &'static str> {
    if is_dns_name(text) {
        Ok(text.to_owned())
    } else {
        Err("not the name of a Kubernetes object: lower-case letters, digits, '-' and '.' only")
    }
}

/// As the API server checks `IngressClass.spec.controller`: a domain and a path.
fn controller_name(text: &str) -> Result<String, &'static str> {
    let valid = text.len() <= 250
        && text.split_once('/').is_some_and(|(domain, path)| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b);
            is_dns_name(domain) && !path.is_empty() && path.bytes().all(plain)
        });
    if valid {
        Ok(text.to_owned())
    } else {
        Err(
            "not a controller name; write a domain and a path, for example bywash.dev/ingress-controller",
        )
    }
}

fn log_level(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("not a log level or filter: {error}")),
    }
}
