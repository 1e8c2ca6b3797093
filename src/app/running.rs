//! A process that serves, and how it ends.
//!
//! Ports are bound before anything is read, so that a port in use is told at once; until the first
//! snapshot is in force each request is answered 503, and `/readyz` says no.
//!
//! Ending has one order: not ready, wait until load balancers have noticed, finish what is in flight,
//! give up the Lease, and only then stop the control plane, which answers probes to the last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin::debug::{Debug, State};
use crate::admin::history::{self, History};
use crate::admin::probes::{Probes, Readiness};
use crate::admin::processed::Processed;
use crate::admin::server::Port;
use crate::admin::state;
use crate::config::{Config, Drain};
use crate::proxy::DataPlane;
use crate::reconcile;
use crate::report::traffic::ReplicaReport;
use crate::routing::policy::AddressRules;
use crate::status::Observed;
use crate::status::cluster::Inputs;
use crate::stores::Source;
use crate::telemetry::failures::Failures;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::recorder::Recorder;
use crate::translate;
use crate::upstream::registry::Registry;

use super::Error;
use super::data_plane;
use super::judging::{self, Audience, Place, Sight};
use super::observing::{self, Outcomes};
use super::serving::{self, Announcements};
use super::tasks::Tasks;
use super::telemetry::Telemetry;

/// The longest that giving up the Lease may take.
const RELEASE: Duration = Duration::from_secs(3);

/// Where the process listens; absent where it does not.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Plain HTTP.
    pub http: Option<SocketAddr>,
    /// HTTPS.
    pub https: Option<SocketAddr>,
    /// Probes and metrics.
    pub metrics: Option<SocketAddr>,
    /// Debugging.
    pub admin: Option<SocketAddr>,
}

impl Addresses {
    fn of(data_plane: &DataPlane, ports: &Ports) -> Self {
        Self {
            http: data_plane.http_address(),
            https: data_plane.https_address(),
            metrics: ports.metrics.as_ref().map(Port::address),
            admin: ports.admin.as_ref().map(Port::address),
        }
    }

    fn tell(self) {
        tracing::info!(
            http = shown_address(self.http),
            https = shown_address(self.https),
            metrics = shown_address(self.metrics),
            admin = shown_address(self.admin),
            "listening",
        );
    }
}

/// Where the objects come from, and what that means for serving them.
pub(super) struct Input {
    pub(super) source: Source,
    pub(super) translation: translate::Settings,
    pub(super) address_rules: AddressRules,
    /// Names this installation, the same for all its replicas and no other's.
    pub(super) identity: String,
    /// What keeps the objects up to date.
    pub(super) tasks: Tasks,
}

/// A process that serves.
#[derive(Debug)]
pub struct Running {
    addresses: Addresses,
    data_plane: DataPlane,
    drain: Drain,
    readiness: watch::Sender<Readiness>,
    state: watch::Receiver<State>,
    observed: watch::Receiver<Option<Arc<Observed>>>,
    outcomes: Outcomes,
    processed: watch::Receiver<Processed>,
    registry: Arc<Registry>,
    tasks: Tasks,
    /// Gives up the Lease when `ending` becomes true, then ends.
    election: Option<JoinHandle<()>>,
    ending: watch::Sender<bool>,
}

/// The ports that are not the data plane's.
struct Ports {
    metrics: Option<Port>,
    admin: Option<Port>,
}

impl Ports {
    async fn bind(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            metrics: bind("probes and metrics", config.listen.metrics).await?,
            admin: bind("debugging", config.listen.admin).await?,
        })
    }
}

async fn bind(purpose: &'static str, address: Option<SocketAddr>) -> Result<Option<Port>, Error> {
    let Some(address) = address else {
        return Ok(None);
    };
    let port = Port::bind(address).await;
    port.map(Some).map_err(|source| Error::Bind {
        purpose,
        address,
        source,
    })
}

impl Running {
    /// Binds the ports and begins to serve what the source holds.
    pub(super) async fn start(
        config: &Config,
        telemetry: &Telemetry,
        input: Input,
    ) -> Result<Self, Error> {
        let Input {
            source,
            translation,
            address_rules,
            identity,
            mut tasks,
        } = input;
        let ports = Ports::bind(config).await?;
        let (failures, failed) = Failures::queue(&telemetry.metrics);
        let (joiner, data_plane, in_force) =
            data_plane::start(config, (telemetry, failures), (address_rules, &identity)).map_err(
                |source| Error::Serve {
                    http: shown_address(config.listen.http),
                    https: shown_address(config.listen.https),
                    source,
                },
            )?;
        let addresses = Addresses::of(&data_plane, &ports);
        addresses.tell();
        let (readiness, ready) = watch::channel(Readiness::default());
        let (processed, known) = watch::channel(Processed::default());
        let (state, shown) = watch::channel(State::default());
        let (observed, seen) = watch::channel(None);
        let (publish, reconciled) = watch::channel(None);
        telemetry.follows(source.clone());
        let announcements = Announcements {
            readiness: readiness.clone(),
            processed,
            state,
            observed,
            metrics: Arc::clone(&telemetry.metrics),
        };
        let (recorder, outcomes) = (
            Arc::<Recorder>::default(),
            Outcomes::new(&telemetry.metrics),
        );
        let debug = Debug {
            processed: known.clone(),
            state: shown.clone(),
            recorder: Arc::clone(&recorder),
            live: tasks.observe(Arc::clone(&joiner.registry), &telemetry.metrics),
        };
        tasks.serve(ports, telemetry, (ready, debug));
        tasks.spawn(
            "observing failures",
            observing::run(failed, recorder, outcomes.clone()),
        );
        tasks.spawn("reconciling", reconcile::run(source, translation, publish));
        let registry = Arc::clone(&joiner.registry);
        let follow = serving::follow(joiner, reconciled, in_force, announcements);
        tasks.spawn("serving", follow);
        Ok(Self {
            addresses,
            data_plane,
            drain: config.drain,
            readiness,
            state: shown,
            observed: seen,
            outcomes,
            processed: known,
            registry,
            tasks,
            election: None,
            ending: watch::channel(false).0,
        })
    }

    /// Where the process listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What is in force, and what is wrong with it.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Whether requests should be sent here.
    pub fn readiness(&self) -> watch::Receiver<Readiness> {
        self.readiness.subscribe()
    }

    /// Adds whoever tells how requests fare; what there is to write in statuses.
    pub(super) fn judge(
        &mut self,
        metrics: &Arc<Metrics>,
        place: Place,
        reports: watch::Sender<Option<Arc<ReplicaReport>>>,
    ) -> Inputs {
        let sight = Sight {
            metrics: Arc::clone(metrics),
            registry: Arc::clone(&self.registry),
            failures: self.outcomes.listen(),
            processed: self.processed.clone(),
            observed: self.observed.clone(),
        };
        let (judged, known) = watch::channel(None);
        let audience = Audience { reports, judged };
        self.spawn("judging", judging::run(sight, place, audience));
        Inputs {
            observed: self.observed.clone(),
            judged: known,
            nodes: None,
        }
    }

    /// Adds a task that must run for as long as the process does.
    pub(super) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.tasks.spawn(name, task);
    }

    /// Adds the election, which is told when the last request has ended.
    pub(super) fn elect<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        election: impl FnOnce(watch::Receiver<bool>) -> F,
    ) {
        self.election = Some(tokio::spawn(election(self.ending.subscribe())));
    }

    /// The name of a task that ended by itself, which none should; pending while all run.
    pub(super) async fn broken(&mut self) -> &'static str {
        self.tasks.ended().await
    }

    /// Ends in order; see the module's documentation.
    pub async fn drain(self) {
        self.readiness.send_replace(Readiness::Draining);
        tracing::info!(delay = ?self.drain.delay, timeout = ?self.drain.timeout, "draining");
        tokio::time::sleep(self.drain.delay).await;
        self.data_plane.drain(self.drain.timeout).await;
        self.ending.send_replace(true);
        if let Some(election) = self.election {
            let _too_slow = tokio::time::timeout(RELEASE, election).await;
        }
        tracing::info!("ended");
    }
}

impl Tasks {
    /// What is shown of what lives, and how it went.
    fn observe(&mut self, registry: Arc<Registry>, metrics: &Arc<Metrics>) -> state::Sources {
        let history = Arc::<History>::default();
        let keep = history::keep(Arc::clone(&history), Arc::clone(metrics));
        self.spawn("keeping the last minutes", keep);
        state::Sources { registry, history }
    }

    fn serve(
        &mut self,
        ports: Ports,
        telemetry: &Telemetry,
        (readiness, debug): (watch::Receiver<Readiness>, Debug),
    ) {
        if let Some(port) = ports.metrics {
            let probes = Probes {
                readiness,
                metrics: Arc::clone(&telemetry.metrics),
                log: telemetry.log.clone(),
            };
            self.spawn("probes and metrics", port.serve(probes));
        }
        if let Some(port) = ports.admin {
            self.spawn("debugging", port.serve(debug));
        }
    }
}

fn shown_address(address: Option<SocketAddr>) -> String {
    address.map_or_else(|| "none".to_owned(), |address| address.to_string())
}
