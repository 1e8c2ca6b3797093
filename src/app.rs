//! The composition root: the one place that knows all the parts.
//!
//! Every channel and every task is made in the files of this module; `ARCHITECTURE.md` draws them.
//! The control plane (watches, reconciling, probes, status) has a runtime of its own, so that no
//! reconcile storm delays a request and no request a probe; the data plane has its workers.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rand::RngExt;
use tokio::runtime::Builder;
use tokio::sync::watch;

use crate::config::{Cluster, Config};
use crate::routing::policy::{AddressRules, Policy};
use crate::status::{self, Publish};
use crate::stores::cluster::ConnectError;
use crate::stores::directory::{OpenError, STATUS_DIRECTORY};
use crate::stores::installation;
use crate::stores::writer::StatusFiles;
use crate::telemetry::logs::StartError;
use crate::telemetry::traces::TracesError;
use crate::translate::{self, Origin};
use crate::upstream::random::with_rng;

mod data_plane;
mod election;
mod findings;
mod judging;
mod limits;
pub mod objects;
mod observing;
mod running;
mod serving;
mod signals;
mod tasks;
mod telemetry;

pub use running::{Addresses, Running};
pub use signals::Signals;
pub use telemetry::Telemetry;

use judging::Place;
use running::Input;
use tasks::Tasks;

/// Threads of the control plane: one may be busy while another answers probes.
const CONTROL_THREADS: usize = 2;

/// How a process that served has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// After the first signal, in order.
    Drained,
    /// At once, by a second signal of this number.
    Forced(u8),
}

/// Why a process cannot serve, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No log.
    #[error(transparent)]
    Log(#[from] StartError),
    /// No traces, though they are asked for.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// No threads.
    #[error("the control plane cannot start")]
    Runtime(#[source] io::Error),
    /// No signals.
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
    /// The directory cannot be read.
    #[error(transparent)]
    Directory(#[from] OpenError),
    /// There is no way to a cluster.
    #[error(transparent)]
    Cluster(#[from] ConnectError),
    /// A port cannot be bound.
    #[error("cannot listen on {address} for {purpose}")]
    Bind {
        /// What for.
        purpose: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The ports for requests cannot be bound, or the workers not be started.
    #[error("requests cannot be served on {http} (HTTP) and {https} (HTTPS)")]
    Serve {
        /// Where HTTP was to be.
        http: String,
        /// Where HTTPS was to be.
        https: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A task that should never end has ended.
    #[error("{0} ended unexpectedly; requests in flight were finished")]
    Broken(&'static str),
}

impl Error {
    /// Whether what was asked cannot be done, as against work that failed.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Directory(_) | Self::Cluster(_) | Self::Traces(_)
        )
    }
}

/// Serves the Ingresses of a cluster until a signal ends it.
///
/// # Errors
/// When it cannot start, or cannot go on.
pub fn run(config: &Config, cluster: &Cluster) -> Result<Ended, Error> {
    host(config, io::stdout(), async |telemetry, signals| {
        let running = start_in_cluster(config, cluster, telemetry).await?;
        until_signalled(running, signals).await
    })
}

/// Serves the manifests of a directory until a signal ends it.
///
/// # Errors
/// When it cannot start, or cannot go on.
pub fn standalone(config: &Config, directory: &Path) -> Result<Ended, Error> {
    host(config, io::stdout(), async |telemetry, signals| {
        let policy = Arc::default();
        let mut running = start_standalone(config, directory, policy, telemetry).await?;
        let (state, log) = (running.state(), telemetry.log.clone());
        running.spawn(
            "telling findings",
            findings::tell(state, log, config.logs.format),
        );
        until_signalled(running, signals).await
    })
}

/// Gives some work what a process that serves has: logs (that of requests goes to `out`), metrics,
/// signals, and the runtime of the control plane.
///
/// # Errors
/// When one of these is not there, or the work fails.
pub fn host<T>(
    config: &Config,
    out: impl io::Write + Send + 'static,
    work: impl AsyncFnOnce(&Telemetry, Signals) -> Result<T, Error>,
) -> Result<T, Error> {
    let telemetry = Telemetry::start(config, out)?;
    limits::raise_open_files();
    let runtime = Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let done = runtime.block_on(async {
        let signals = Signals::listen().map_err(Error::Signals)?;
        work(&telemetry, signals).await
    });
    runtime.shutdown_background();
    telemetry.finish();
    done
}

async fn start_in_cluster(
    config: &Config,
    cluster: &Cluster,
    telemetry: &Telemetry,
) -> Result<Running, Error> {
    let mut tasks = Tasks::default();
    let (source, connection) = objects::of_cluster(&config.class, cluster, &mut tasks).await?;
    let input = Input {
        source: source.clone(),
        translation: objects::translation_of(&config.class, &cluster.scope),
        address_rules: objects::address_rules(&connection).await,
        identity: objects::identity(&config.class, connection.cluster()),
        tasks,
    };
    let mut running = Running::start(config, telemetry, input).await?;
    election::start(
        &mut running,
        (&config.class, cluster),
        (source, &connection),
        &telemetry.metrics,
    );
    Ok(running)
}

/// Begins to serve the manifests of a directory under this policy; upstreams may be on loopback, and
/// statuses are written below the directory.
///
/// # Errors
/// When the directory cannot be read or a port not be bound.
pub async fn start_standalone(
    config: &Config,
    directory: &Path,
    policy: Arc<Policy>,
    telemetry: &Telemetry,
) -> Result<Running, Error> {
    let mut tasks = Tasks::default();
    let source = objects::of_directory(directory, &mut tasks)?;
    let input = Input {
        source: source.clone(),
        translation: translate::Settings {
            policy,
            ..objects::translation(&config.class, Origin::Directory)
        },
        address_rules: AddressRules {
            allow_loopback: true,
            prohibited: Vec::new(),
        },
        identity: objects::identity(&config.class, with_rng(|rng| rng.random())),
        tasks,
    };
    let mut running = Running::start(config, telemetry, input).await?;
    let files = StatusFiles::new(directory.join(STATUS_DIRECTORY));
    let class = &config.class;
    let installation = installation::path(&class.controller_name, &class.ingress_class);
    let place = Place::alone(source.clone(), installation.clone());
    let (nobody, _) = watch::channel(None);
    let inputs = running.judge(&telemetry.metrics, place, nobody);
    let files = (files, installation);
    let write = status::directory::run(Publish::Nothing, source, files, inputs);
    running.spawn("writing statuses", write);
    Ok(running)
}

/// Serves until a signal, then ends in order; a second signal ends it at once.
///
/// # Errors
/// When a task ended that never should; what was in flight has been finished then.
pub async fn until_signalled(mut running: Running, mut signals: Signals) -> Result<Ended, Error> {
    let broken = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "asked to end");
            None
        }
        task = running.broken() => {
            tracing::error!(task, "ended unexpectedly");
            Some(task)
        }
    };
    tokio::select! {
        biased;
        () = running.drain() => {}
        signal = signals.next() => return Ok(Ended::Forced(signal)),
    }
    match broken {
        None => Ok(Ended::Drained),
        Some(task) => Err(Error::Broken(task)),
    }
}
