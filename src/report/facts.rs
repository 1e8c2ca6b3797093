//! What an upstream looks like in Kubernetes while its requests fail, and what of the failures matters
//! to whoever explains them: plain data, without a type of Kubernetes.
//!
//! Facts are asked for when something fails and not before. What could not be read is said in
//! [`Facts::unread`], so that "there is none" is never said of what nobody looked at.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::Cause;
use crate::routing::snapshot::ServicePort;

use super::hint::Hint;
use super::json::is_zero;
use super::outcome::{Attempt, Stop};

/// Failures of one cause at one upstream, over a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The cause.
    pub cause: Cause,
    /// Where; absent where no upstream was meant.
    pub upstream: Option<ServicePort>,
    /// Some of the attempts that failed, of several endpoints where there are several.
    pub samples: Vec<Sample>,
    /// Requests that failed so.
    pub failed: u64,
    /// All requests of the window.
    pub requests: u64,
    /// The limits that turned requests away of late, by the names of the policy's fields.
    pub limits: Vec<&'static str>,
    /// How long connections to it may idle, by its policy.
    pub idle_timeout: Option<Duration>,
    /// How long its answers take.
    pub latency: Option<Latency>,
}

impl Problem {
    /// Failures of which nothing but the cause is known.
    pub fn of(cause: Cause) -> Self {
        Self {
            cause,
            upstream: None,
            samples: Vec::new(),
            failed: 0,
            requests: 0,
            limits: Vec::new(),
            idle_timeout: None,
            latency: None,
        }
    }
}

/// The time to a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Before the failures.
    pub usual: Duration,
    /// Now.
    pub now: Duration,
}

impl Latency {
    /// Whether it is so much longer now that it is more than chance.
    pub fn has_risen(&self) -> bool {
        let much = self.usual.saturating_mul(MUCH).max(self.usual + LEAST);
        !self.usual.is_zero() && self.now >= much
    }
}

/// From how many times the usual on answers take much longer.
const MUCH: u32 = 2;

/// A difference below this is within what garbage collection and a busy node make of any answer.
const LEAST: Duration = Duration::from_millis(50);

/// What one failed attempt tells: nothing of the client, and no text of the endpoint's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Sample {
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<SocketAddr>,
    /// The Pod behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The status received, if a response head was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Bytes that were written to the endpoint.
    #[serde(skip_serializing_if = "is_zero")]
    pub sent: u64,
    /// Bytes that were read from it.
    #[serde(skip_serializing_if = "is_zero")]
    pub received: u64,
    /// Whether the connection had served a request before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reused: bool,
    /// What the bytes suggest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<Hint>,
    /// Why no further attempt followed, if none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
}

impl From<&Attempt> for Sample {
    fn from(attempt: &Attempt) -> Self {
        Self {
            endpoint: attempt.endpoint,
            pod: attempt.pod.as_deref().map(str::to_owned),
            status: attempt.status,
            sent: attempt.sent,
            received: attempt.received,
            reused: attempt.connected.is_none() && attempt.sent > 0,
            hint: attempt.hint.as_deref().cloned(),
            stop: attempt.next.reason(),
        }
    }
}

/// What Kubernetes has about an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Facts {
    /// When it was read.
    pub at: Timestamp,
    /// Where Bywash itself runs, in a cluster.
    pub gateway_namespace: Option<String>,
    /// Absent where there is no such Service.
    pub service: Option<ServiceFacts>,
    /// The endpoints, as EndpointSlices have them.
    pub endpoints: EndpointFacts,
    /// The Pods that the Service selects, at most [`MAX_PODS`]; absent where they are not known.
    pub pods: Option<Vec<PodFacts>>,
    /// Whether there are more Pods than were read.
    pub more_pods: bool,
    /// Labels of other Pods in the namespace that come close to the selector, where no Pod has its own.
    pub near_labels: Vec<String>,
    /// NetworkPolicies that select one of the Pods and restrict what comes in.
    pub network_policies: Vec<String>,
    /// What could not be read.
    pub unread: Vec<Unread>,
}

/// The most Pods that are read of a Service.
pub const MAX_PODS: usize = 50;

/// A kind of objects that could not be read, or not to the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unread {
    /// As a role names it: `pods`.
    pub resource: String,
    /// Whether a right is missing; else the server did not answer in time, or there are too many.
    pub forbidden: bool,
}

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ServiceFacts {
    /// The DNS name of a Service of type `ExternalName`.
    pub external_name: Option<String>,
    /// `key=value` with commas between; absent where endpoints are written by hand.
    pub selector: Option<String>,
    /// Its ports.
    pub ports: Vec<PortFacts>,
}

/// A port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PortFacts {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Its number.
    pub port: u16,
    /// A number, or the name of a port of a container.
    pub target_port: String,
    /// What is said to be spoken there.
    pub app_protocol: Option<String>,
}

/// The endpoints of a Service, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct EndpointFacts {
    /// Of any port that take requests.
    pub ready: usize,
    /// Of any port that do not, and are not about to end.
    pub unready: usize,
    /// About to end.
    pub terminating: usize,
    /// The names of the ports that EndpointSlices have; empty for one without a name.
    pub ports: Vec<String>,
}

/// A Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PodFacts {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Since when it is ready, or is not.
    pub ready_since: Option<Timestamp>,
    /// Since when it is being deleted, if it is.
    pub deleted: Option<Timestamp>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Which version of its Deployment it is of (`pod-template-hash`).
    pub revision: Option<String>,
    /// Its Deployment, as `deployment/name`, or another owner in the same form.
    pub owner: Option<String>,
    /// Where it runs.
    pub node: Option<String>,
    /// Its containers, and of the init containers those that run on beside them.
    pub containers: Vec<ContainerFacts>,
}

/// A container of a Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ContainerFacts {
    /// Its name.
    pub name: String,
    /// The TCP ports that it declares.
    pub ports: Vec<ContainerPort>,
    /// Whether anything probes its readiness.
    pub probed: bool,
    /// Its limit of memory.
    pub memory: Option<String>,
    /// How often it was started again.
    pub restarts: u32,
    /// What it waits for, if it does not run: `CrashLoopBackOff`.
    pub waiting: Option<String>,
    /// How it last ended, if it ever did.
    pub ended: Option<Termination>,
}

/// A port that a container declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ContainerPort {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Its number.
    pub port: u16,
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Termination {
    /// `OOMKilled`, `Error`, `Completed`.
    pub reason: String,
    /// What it exited with.
    pub exit_code: i32,
    /// When.
    pub at: Option<Timestamp>,
}
