//! Starting the workers, and bringing them to an end.
//!
//! A drain finishes what is in flight. Listeners stay open meanwhile: whoever still connects (a load
//! balancer that has not heard yet) is served once and told to go, whereas a closed listener would
//! reset the connections in its queue. When the last connection has ended, or at the deadline, the
//! workers' runtimes are dropped, and with them whatever is left.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures::future::join_all;
use rustix::process::{Resource, getrlimit};
use rustls::server::ResolvesServerCert;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use super::admission::Admission;
use super::client::{ClientContext, Shutdown};
use super::client_io::Limits;
use super::connection::Handler;
use super::forwarded::TrustedProxies;
use super::handler::Gateway;
use super::listener::listen;
use super::refusal::Refusals;
use super::settings::{RuntimeKind, Settings};
use super::tls::{ServedCertificates, server_config};
use super::worker::{Shared, Worker};

/// The running data plane. Dropping it ends it at once.
#[derive(Debug)]
pub struct DataPlane {
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
    admission: Arc<Admission>,
    draining: watch::Sender<bool>,
    /// Workers end when this is dropped.
    running: Run,
    /// Closed when all threads have ended.
    ended: mpsc::Receiver<()>,
}

/// Keeps the workers running until it is dropped.
#[derive(Debug)]
struct Run {
    workers: watch::Sender<()>,
    shutdown: Arc<Shutdown>,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.shutdown.cut_off();
    }
}

/// Connections on their way from one worker to another.
const HANDOVERS: usize = 1024;

/// How long tunnels may take for their last words, at the end.
const PARTING: Duration = Duration::from_secs(1);

/// How long what is left at the end may take to be dropped.
const ENDING: Duration = Duration::from_secs(1);

impl DataPlane {
    /// Binds, and serves what the gateway serves.
    ///
    /// # Errors
    /// When an address cannot be bound, a thread not be started or TLS not be set up.
    pub fn start(settings: &Settings, gateway: Arc<Gateway>) -> io::Result<Self> {
        let serving = Arc::clone(&gateway.serving);
        let refusals = Refusals {
            metrics: Arc::clone(&gateway.metrics),
            access_log: gateway.observers.access_log.clone(),
        };
        let certificates = ServedCertificates::new(serving, |serving| &serving.certificates)
            .map_err(io::Error::other)?;
        let handler = move |client: Arc<ClientContext>, request| gateway.handle(&client, request);
        Self::launch(settings, Arc::new(certificates), refusals, handler)
    }

    /// Binds, and serves with this handler and these certificates.
    ///
    /// # Errors
    /// When an address cannot be bound, a thread not be started or TLS not be set up.
    pub(crate) fn launch<H: Handler>(
        settings: &Settings,
        certificates: Arc<dyn ResolvesServerCert>,
        refusals: Refusals,
        handler: H,
    ) -> io::Result<Self> {
        let count = settings.workers.get();
        let bind = |address: Option<SocketAddr>| {
            address
                .map(|address| listen(address, settings.workers))
                .transpose()
        };
        let (http, plain) = bind(settings.http)?.unzip();
        let (https, secure) = bind(settings.https)?.unzip();
        let tls = https
            .map(|_| server_config(certificates).map(TlsAcceptor::from))
            .transpose()
            .map_err(io::Error::other)?;
        let admission = Arc::new(Admission::new(
            count,
            settings.max_connections.min(affordable()),
            settings.max_connections_per_address,
        ));
        let (draining, drained) = watch::channel(false);
        let running = Run {
            workers: watch::Sender::new(()),
            shutdown: Arc::default(),
        };
        let (handovers, handed_over): (Vec<_>, Vec<_>) =
            (0..count).map(|_| mpsc::channel(HANDOVERS)).unzip();
        let shared = Arc::new(Shared {
            handler,
            limits: Limits {
                keepalive: settings.client_keepalive,
                header: settings.client_header_timeout,
                write: settings.client_write_timeout,
            },
            proxies: TrustedProxies::new(&settings.trusted_proxies),
            tls,
            admission: Arc::clone(&admission),
            refusals: Arc::new(refusals),
            handovers,
            draining: drained,
            shutdown: Arc::clone(&running.shutdown),
        });
        let listeners = by_worker(count, plain, secure);
        let workers = listeners.into_iter().zip(handed_over).enumerate();
        let workers = workers.map(|(index, (listeners, handed_over))| Worker {
            index,
            listeners,
            handed_over,
        });
        let (end, ended) = mpsc::channel(1);
        for group in groups(settings.runtime, workers.collect()) {
            let run = running.workers.subscribe();
            start(group, Arc::clone(&shared), (run, end.clone()))?;
        }
        Ok(Self {
            http,
            https,
            admission,
            draining,
            running,
            ended,
        })
    }

    /// Where plain HTTP is accepted.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Where HTTPS is accepted.
    pub fn https_address(&self) -> Option<SocketAddr> {
        self.https
    }

    /// Waits until no client connection is open.
    pub async fn emptied(&self) {
        self.admission.emptied().await;
    }

    /// Finishes what is in flight and ends; what is left at the deadline is cut off.
    ///
    /// Connections end with their response (HTTP/1) or after their streams (HTTP/2, RFC 9113 section
    /// 6.8), idle ones after a second in which a request may still arrive. Tunnels end at the
    /// deadline; those that are WebSockets get a moment to say so.
    pub async fn drain(self, deadline: Duration) {
        let Self {
            admission,
            draining,
            running,
            mut ended,
            ..
        } = self;
        running.shutdown.drain();
        draining.send_replace(true);
        let in_time = tokio::time::timeout(deadline, admission.quiet()).await;
        if in_time.is_err() {
            let connections = admission.open();
            tracing::warn!(
                connections,
                "drain deadline reached, cutting off connections"
            );
            let _in_time = tokio::time::timeout(PARTING, running.shutdown.cut_off_tunnels()).await;
        }
        drop(running);
        let _ = ended.recv().await;
    }
}

/// How many client connections leave enough open files for as many connections to endpoints.
///
/// Without it the clients could take all of them, and even those that are in could not be served.
fn affordable() -> usize {
    /// Listeners, the control plane, what is open for a moment.
    const OTHERS: usize = 64;
    let files = getrlimit(Resource::Nofile).current;
    let files = files.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    });
    (files.saturating_sub(OTHERS) / 2).max(1)
}

/// One listener of each kind for each worker.
fn by_worker(
    count: usize,
    plain: Option<Vec<TcpListener>>,
    secure: Option<Vec<TcpListener>>,
) -> Vec<Vec<(TcpListener, bool)>> {
    let mut workers: Vec<Vec<(TcpListener, bool)>> = (0..count).map(|_| Vec::new()).collect();
    for (listeners, tls) in [(plain, false), (secure, true)] {
        for (worker, listener) in workers.iter_mut().zip(listeners.into_iter().flatten()) {
            worker.push((listener, tls));
        }
    }
    workers
}

/// The workers that share a runtime.
fn groups(kind: RuntimeKind, workers: Vec<Worker>) -> Vec<Vec<Worker>> {
    match kind {
        RuntimeKind::PerCore => workers.into_iter().map(|worker| vec![worker]).collect(),
        RuntimeKind::Shared => vec![workers],
    }
}

fn runtime(threads: usize) -> io::Result<Runtime> {
    if threads == 1 {
        return Builder::new_current_thread().enable_all().build();
    }
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("worker")
        .enable_all()
        .build()
}

/// Starts a thread that runs workers until the other end of `run` is dropped.
fn start<H: Handler>(
    workers: Vec<Worker>,
    shared: Arc<Shared<H>>,
    (mut run, end): (watch::Receiver<()>, mpsc::Sender<()>),
) -> io::Result<()> {
    let runtime = runtime(workers.len())?;
    let index = workers.first().map_or(0, |worker| worker.index);
    let name = format!("worker-{index}");
    thread::Builder::new().name(name).spawn(move || {
        runtime.block_on(async move {
            let tasks = workers
                .into_iter()
                .map(|worker| tokio::spawn(worker.run(Arc::clone(&shared))));
            tokio::select! {
                _ = run.changed() => {}
                results = join_all(tasks) => tracing::error!(?results, "workers ended by themselves"),
            }
        });
        // What is in flight is booked when it is dropped.
        runtime.shutdown_timeout(ENDING);
        drop(end);
    })?;
    Ok(())
}
