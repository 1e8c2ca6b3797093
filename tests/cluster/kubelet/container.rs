//! The life of one container: started, probed, started again, and ended as its Pod is.

use std::net::Ipv4Addr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container as Spec, ContainerState, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Refused;
use super::probe::Probe;
use super::process::{Process, Surroundings, exit_code};
use super::status::{self, Told};

/// What remains after a hook that has taken all the time.
const AT_LEAST: Duration = Duration::from_secs(2);
/// Before the second restart; doubles with each, up to the most.
const BACK_OFF: Duration = Duration::from_secs(10);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);
/// How soon what could not be prepared is tried again.
const AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Container<'a> {
    pub(super) spec: &'a Spec,
    pub(super) index: usize,
    pub(super) told: &'a watch::Sender<Told>,
    /// The Pod as it was last heard of.
    pub(super) heard: watch::Receiver<Pod>,
    pub(super) around: Surroundings<'a>,
}

struct Probes {
    startup: Option<Probe>,
    readiness: Option<Probe>,
    liveness: Option<Probe>,
}

/// Why a process is to end that has not ended by itself.
enum End {
    ByItself(i32),
    /// Within this time.
    Asked(Duration),
}

/// How one run of a container ended.
struct Ended {
    code: i32,
    since: Option<Time>,
}

impl Container<'_> {
    /// Returns when it is not to be started again.
    pub(super) async fn live(mut self) {
        for restarts in 0.. {
            let Some(ended) = self.run().await else {
                return self.tell(|it| it.state = Some(status::terminated(0, None)));
            };
            let over = status::terminated(ended.code, ended.since);
            if self.asked().is_some() || !self.restarts(ended.code) {
                return self.tell(|it| it.end(over));
            }
            let back_off = Refused::new("CrashLoopBackOff", format!("exit code {}", ended.code));
            self.tell(|it| {
                it.end(status::waiting(&back_off));
                it.last_state = Some(over);
                it.restart_count += 1;
            });
            if self.asked_within(back_off_before(restarts)).await {
                return self.tell(|it| it.state = it.last_state.take());
            }
        }
    }

    /// From its start to its end; none if it was not wanted any more before it could start.
    async fn run(&mut self) -> Option<Ended> {
        let (probes, mut process) = loop {
            match self.start().await {
                Ok(started) => break started,
                Err(refused) => self.tell(|it| it.state = Some(status::waiting(&refused))),
            }
            if self.asked_within(AGAIN).await {
                return None;
            }
        };
        let since = status::now();
        self.tell(|it| {
            it.state = Some(status::running(&since));
            it.started = Some(probes.startup.is_none());
            it.ready = probes.startup.is_none() && probes.readiness.is_none();
        });
        let code = tokio::select! {
            code = self.until_its_end(&probes, &mut process) => code,
            never = self.tell_whether_ready(probes.readiness.as_ref()) => match never {},
        };
        Some(Ended {
            code,
            since: Some(since),
        })
    }

    async fn start(&self) -> Result<(Probes, Process), Refused> {
        let ip: Ipv4Addr = self.around.sandbox.address;
        let probe = |declared| Probe::of(declared, self.spec, ip);
        let probes = Probes {
            startup: probe(self.spec.startup_probe.as_ref())?,
            readiness: probe(self.spec.readiness_probe.as_ref())?,
            liveness: probe(self.spec.liveness_probe.as_ref())?,
        };
        Ok((probes, Process::start(&self.around, self.spec).await?))
    }

    async fn until_its_end(&self, probes: &Probes, process: &mut Process) -> i32 {
        let mut heard = self.heard.clone();
        let end = tokio::select! {
            status = process.ended() => End::ByItself(exit_code(status)),
            grace = deleted(&mut heard) => End::Asked(grace),
            failed = self.unhealthy(probes) => End::Asked(failed.grace.unwrap_or_else(|| self.grace())),
        };
        match end {
            End::ByItself(code) => code,
            End::Asked(grace) => self.end_within(grace, process).await,
        }
    }

    /// Returns the probe that has failed for good.
    async fn unhealthy<'p>(&self, probes: &'p Probes) -> &'p Probe {
        if let Some(startup) = &probes.startup {
            if !startup.first_verdict().await {
                return startup;
            }
            self.tell(|it| {
                it.started = Some(true);
                it.ready = probes.readiness.is_none();
            });
        }
        match &probes.liveness {
            Some(liveness) => {
                liveness.fails().await;
                liveness
            }
            None => std::future::pending().await,
        }
    }

    /// To the last: a Pod that ends says when it is ready no more.
    async fn tell_whether_ready(&self, readiness: Option<&Probe>) -> std::convert::Infallible {
        let started = |told: &Told| told.containers[self.index].started == Some(true);
        let _ = self.told.subscribe().wait_for(started).await;
        if let Some(readiness) = readiness {
            readiness
                .watch(|succeeds| {
                    self.tell(|it| it.ready = succeeds);
                    true
                })
                .await;
        }
        std::future::pending().await
    }

    /// First the hook, then SIGTERM, then SIGKILL.
    async fn end_within(&self, grace: Duration, process: &mut Process) -> i32 {
        let deadline = Instant::now() + grace;
        let hook = self
            .spec
            .lifecycle
            .as_ref()
            .and_then(|it| it.pre_stop.as_ref());
        let seconds = hook
            .and_then(|it| it.sleep.as_ref())
            .and_then(|it| u64::try_from(it.seconds).ok());
        if let Some(seconds) = seconds {
            let wanted = Instant::now() + Duration::from_secs(seconds);
            let ended = timeout_at(wanted.min(deadline), process.ended()).await;
            if let Ok(status) = ended {
                return exit_code(status);
            }
        }
        process.terminate();
        let deadline = deadline.max(Instant::now() + AT_LEAST);
        if let Ok(status) = timeout_at(deadline, process.ended()).await {
            return exit_code(status);
        }
        process.kill();
        exit_code(process.ended().await)
    }

    /// Within what time the Pod is to end, if it is.
    fn asked(&self) -> Option<Duration> {
        grace_of_deletion(&self.heard.borrow())
    }

    async fn asked_within(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        tokio::select! {
            _ = deleted(&mut self.heard) => true,
            () = sleep_until(until) => false,
        }
    }

    fn grace(&self) -> Duration {
        let spec = self.around.pod.spec.as_ref();
        let seconds = spec.and_then(|spec| spec.termination_grace_period_seconds);
        Duration::from_secs(seconds.and_then(|it| u64::try_from(it).ok()).unwrap_or(30))
    }

    fn restarts(&self, code: i32) -> bool {
        let spec = self.around.pod.spec.as_ref();
        match spec.and_then(|spec| spec.restart_policy.as_deref()) {
            Some("Never") => false,
            Some("OnFailure") => code != 0,
            _ => true,
        }
    }

    fn tell(&self, change: impl FnOnce(&mut ContainerStatus)) {
        self.told.send_if_modified(|told| {
            let container = &mut told.containers[self.index];
            let before = container.clone();
            change(container);
            *container != before
        });
    }
}

/// What every container that ended has in common.
trait Ending {
    fn end(&mut self, state: ContainerState);
}

impl Ending for ContainerStatus {
    fn end(&mut self, state: ContainerState) {
        (self.state, self.ready, self.started) = (Some(state), false, Some(false));
    }
}

/// The first restart comes at once.
fn back_off_before(restarts: u32) -> Duration {
    match restarts.checked_sub(1) {
        None => Duration::ZERO,
        Some(doubled) => BACK_OFF
            .saturating_mul(1 << doubled.min(5))
            .min(LONGEST_BACK_OFF),
    }
}

/// Returns, with the time that is left, when the Pod is to end.
pub(super) async fn deleted(heard: &mut watch::Receiver<Pod>) -> Duration {
    let deleted = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
    let grace = heard
        .wait_for(deleted)
        .await
        .ok()
        .and_then(|pod| grace_of_deletion(&pod));
    match grace {
        Some(grace) => grace,
        // Nothing is heard any more: the node itself ends.
        None => std::future::pending().await,
    }
}

fn grace_of_deletion(pod: &Pod) -> Option<Duration> {
    pod.metadata.deletion_timestamp.as_ref()?;
    let seconds = pod.metadata.deletion_grace_period_seconds;
    Some(Duration::from_secs(
        seconds.and_then(|it| u64::try_from(it).ok()).unwrap_or(0),
    ))
}
