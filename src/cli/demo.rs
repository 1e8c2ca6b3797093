//! `bywash demo`: every way to fail, and what a client sees of it.
//!
//! It is the program as it serves a directory of manifests, in front of backends that fail on
//! purpose. It asks itself for each route once, and holds what it got against what it should have
//! got, so that the table is a claim that is checked each time it is shown.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::admin::probes::Readiness;
use crate::app::{self, Running, Signals};
use crate::config::listen::ListenAddress;
use crate::config::{
    AccessLogFormat, Class, Clients, Config, Drain, HostOwnership, Listen, LogFormat, Logs,
    RuntimeKind,
};
use crate::faults::{Fault, Peer};
use crate::routing::policy::Policy;

use super::{Failure, ended};

mod backends;
mod entries;
mod manifests;
mod rows;
mod table;
mod visit;

use entries::Entries;
use manifests::Manifests;

/// Shows how requests get past failing backends, and what is told where they cannot
#[derive(Args, Debug)]
pub(super) struct Demo {
    /// End after the table, with exit code 1 if a row is not as expected
    #[arg(long)]
    once: bool,

    /// Serve one of the backends alone, without the gateway: to put it behind a Service of a cluster
    #[arg(long, value_name = "NAME", conflicts_with = "once", value_parser = faults())]
    backend: Option<Fault>,

    /// Where the gateway, or the backend alone, is served [default: 127.0.0.1:8080; any free port of
    /// it with --once; :8080 for --backend]
    #[arg(long, value_name = "ADDRESS")]
    http_address: Option<ListenAddress>,
}

fn faults() -> impl TypedValueParser<Value = Fault> {
    // These wait for a word that nobody could give.
    let untold = [Fault::CloseWhenIdle, Fault::StrayWhenIdle];
    let names = Fault::ALL
        .iter()
        .filter(move |fault| !untold.contains(fault));
    let values = names.map(|fault| PossibleValue::new(fault.name()).help(fault.did()));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Fault>())
}

impl Demo {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        match self.backend {
            Some(fault) => self.serve_backend(fault),
            None => self.show(),
        }
    }

    fn address(&self) -> Result<SocketAddr, Failure> {
        let port = if self.once { 0 } else { 8080 };
        let default = match self.backend {
            Some(_) => ListenAddress::AnyInterface(port),
            None => ListenAddress::At((Ipv4Addr::LOCALHOST, port).into()),
        };
        let address = self.http_address.unwrap_or(default).socket_address();
        address.ok_or_else(|| {
            Failure::sentence("--http-address is none, which leaves nothing to serve")
        })
    }

    fn serve_backend(&self, fault: Fault) -> Result<ExitCode, Failure> {
        let address = self.address()?;
        app::host(&config(address), io::stdout(), async |_, mut signals| {
            let mut peer = match Peer::start_at(&[address], fault.name(), fault).await {
                Ok(peer) => peer,
                Err(error) => return Ok(Err(cannot_listen(address, &error))),
            };
            say(&format!(
                "{} serves a backend that {}\n",
                peer.address(),
                fault.did()
            ));
            tokio::select! {
                _ = signals.next() => {}
                () = peer.serve() => {}
            }
            Ok(Ok(ExitCode::SUCCESS))
        })?
    }

    fn show(&self) -> Result<ExitCode, Failure> {
        let config = config(self.address()?);
        let (sink, entries) = entries::channel();
        app::host(&config, sink, async |telemetry, mut signals| {
            let backends = match backends::start().await {
                Ok(backends) => backends,
                Err(error) => return Ok(Err(error.into())),
            };
            let manifests = match Manifests::write(backends.network()) {
                Ok(manifests) => manifests,
                Err(error) => return Ok(Err(error.into())),
            };
            let policy = Arc::new(impatient());
            let running =
                app::start_standalone(&config, manifests.directory(), policy, telemetry).await?;
            let shown = tokio::select! {
                shown = visit_all(&running, entries) => shown,
                _ = signals.next() => return Ok(Ok(ExitCode::FAILURE)),
            };
            if self.once {
                running.drain().await;
                return Ok(Ok(shown));
            }
            stay(running, signals, &manifests).await
        })?
    }
}

/// Limits short enough to watch them run out.
fn impatient() -> Policy {
    let mut policy = Policy::default();
    policy.timeouts.connect = Duration::from_secs(1);
    policy.timeouts.read = Duration::from_secs(1);
    policy.timeouts.request = Duration::from_secs(5);
    policy.retry.per_try = Some(Duration::from_secs(1));
    policy
}

/// Asks for every route and shows what came of it; the exit code says whether that was expected.
async fn visit_all(running: &Running, mut entries: Entries) -> ExitCode {
    let mut readiness = running.readiness();
    let serving = readiness.wait_for(|readiness| *readiness == Readiness::Serving);
    if serving.await.is_err() {
        return ExitCode::FAILURE;
    }
    let Some(address) = running.addresses().http else {
        return ExitCode::FAILURE;
    };
    say(&table::heading());
    let mut wrong = 0;
    for row in rows::ROWS {
        let got = row.visit(address, &mut entries).await;
        wrong += usize::from(!row.expects(&got));
        say(&table::line(row, &got));
    }
    say(&table::summary(rows::ROWS.len(), wrong));
    // From now on the log is the user's.
    entries.pass_on();
    ExitCode::from(u8::from(wrong > 0))
}

/// Serves on, for whoever wants to look closer.
async fn stay(
    running: Running,
    signals: Signals,
    manifests: &Manifests,
) -> Result<Result<ExitCode, Failure>, app::Error> {
    if let Some(address) = running.addresses().http {
        say(&table::next_steps(address, manifests.directory()));
    }
    Ok(Ok(ended(app::until_signalled(running, signals).await?)))
}

fn say(text: &str) {
    let mut out = io::stdout();
    let _nobody_reads = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> Failure {
    Failure::sentence(&format!("cannot listen on {address}: {error}"))
}

fn config(http: SocketAddr) -> Config {
    Config {
        listen: Listen {
            http: Some(http),
            https: None,
            metrics: None,
            admin: None,
        },
        workers: NonZeroUsize::MIN,
        runtime: RuntimeKind::PerCore,
        clients: Clients {
            trusted_proxies: Vec::new(),
            keepalive: Duration::from_secs(75),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
        },
        class: Class {
            controller_name: "bywash.dev/ingress-controller".to_owned(),
            ingress_class: "bywash".to_owned(),
            host_ownership: HostOwnership::Ingress,
            allow_external_name: false,
            default_tls_secret: None,
        },
        logs: Logs {
            access_log: AccessLogFormat::Json,
            access_log_query: false,
            access_log_sample: 1.0,
            level: "warn".to_owned(),
            format: LogFormat::Text,
        },
        drain: Drain {
            delay: Duration::ZERO,
            timeout: Duration::from_secs(2),
        },
    }
}
