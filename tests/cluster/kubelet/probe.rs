//! Probes, as a container declares them.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::{Request, StatusCode, header};
use http_body_util::Full;
use k8s_openapi::api::core::v1::{Container, Probe as Declared};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;
use tokio::time::{interval, sleep, timeout};

use super::Refused;
use crate::client;

/// One that is due now and then, with the defaults of Kubernetes.
pub(super) struct Probe {
    action: Action,
    delay: Duration,
    period: Duration,
    limit: Duration,
    failures: u32,
    successes: u32,
    pub(super) grace: Option<Duration>,
}

enum Action {
    Get {
        path: String,
        address: SocketAddr,
        headers: Vec<(String, String)>,
    },
    Connect(SocketAddr),
}

impl Probe {
    pub(super) fn of(
        declared: Option<&Declared>,
        container: &Container,
        ip: Ipv4Addr,
    ) -> Result<Option<Self>, Refused> {
        let Some(declared) = declared else {
            return Ok(None);
        };
        let seconds = |value: Option<i32>, default: u32| {
            let value = value.and_then(|value| u32::try_from(value).ok());
            Duration::from_secs(value.unwrap_or(default).into())
        };
        let times = |value: Option<i32>, default: u32| {
            let value = value.and_then(|value| u32::try_from(value).ok());
            value.filter(|times| *times > 0).unwrap_or(default)
        };
        let grace = declared.termination_grace_period_seconds;
        Ok(Some(Self {
            action: Action::of(declared, container, ip)?,
            delay: seconds(declared.initial_delay_seconds, 0),
            period: seconds(declared.period_seconds, 10),
            limit: seconds(declared.timeout_seconds, 1),
            failures: times(declared.failure_threshold, 3),
            successes: times(declared.success_threshold, 1),
            grace: grace
                .and_then(|it| u64::try_from(it).ok())
                .map(Duration::from_secs),
        }))
    }

    /// Returns when it has succeeded, or failed, as often in a row as is declared.
    pub(super) async fn first_verdict(&self) -> bool {
        let mut verdict = None;
        self.watch(|it| {
            verdict = Some(it);
            false
        })
        .await;
        verdict == Some(true)
    }

    /// Returns when it has failed as often in a row as is declared.
    pub(super) async fn fails(&self) {
        self.watch(|succeeds| succeeds).await;
    }

    /// Tells each verdict, for as long as it is wanted.
    pub(super) async fn watch(&self, mut wanted: impl FnMut(bool) -> bool) {
        sleep(self.delay).await;
        let mut due = interval(self.period.max(Duration::from_millis(100)));
        let (mut last, mut times) = (None, 0);
        loop {
            due.tick().await;
            let succeeds = matches!(timeout(self.limit, self.action.take()).await, Ok(Ok(())));
            times = if last == Some(succeeds) { times + 1 } else { 1 };
            last = Some(succeeds);
            let needed = if succeeds {
                self.successes
            } else {
                self.failures
            };
            if times >= needed && !wanted(succeeds) {
                return;
            }
        }
    }
}

impl Action {
    fn of(declared: &Declared, container: &Container, ip: Ipv4Addr) -> Result<Self, Refused> {
        if let Some(get) = &declared.http_get {
            let headers = get.http_headers.iter().flatten();
            return Ok(Self::Get {
                path: get.path.clone().unwrap_or_else(|| "/".into()),
                address: (ip, number(&get.port, container)?).into(),
                headers: headers
                    .map(|it| (it.name.clone(), it.value.clone()))
                    .collect(),
            });
        }
        if let Some(connect) = &declared.tcp_socket {
            let port = number(&connect.port, container)?;
            return Ok(Self::Connect((ip, port).into()));
        }
        Err(Refused::config(format!("{declared:?} is not known here")))
    }

    async fn take(&self) -> anyhow::Result<()> {
        match self {
            Self::Connect(address) => {
                TcpStream::connect(address).await?;
            }
            Self::Get {
                path,
                address,
                headers,
            } => {
                let mut request = Request::get(path);
                if !headers
                    .iter()
                    .any(|(name, _)| name.eq_ignore_ascii_case("host"))
                {
                    request = request.header(header::HOST, address.to_string());
                }
                for (name, value) in headers {
                    request = request.header(name, value);
                }
                let reply = client::send(*address, request.body(Full::default())?).await?;
                let good = (StatusCode::OK..StatusCode::BAD_REQUEST).contains(&reply.status);
                anyhow::ensure!(good, "{}", reply.status);
            }
        }
        Ok(())
    }
}

/// Of a port that may be named.
fn number(port: &IntOrString, container: &Container) -> Result<u16, Refused> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            let named = ports.find(|port| port.name.as_ref() == Some(name));
            named.map(|port| port.container_port)
        }
    };
    let number = number.and_then(|number| u16::try_from(number).ok());
    number.ok_or_else(|| Refused::config(format!("no port {port:?} of {}", container.name)))
}
