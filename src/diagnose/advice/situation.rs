//! What is known of a problem, in the words that sentences are made of.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::report::facts::{Facts, PodFacts, PortFacts, Problem, ServiceFacts};
use crate::report::hint::Hint;
use crate::report::outcome::Stop;

use super::words::{list, short, time};

/// A problem and its facts.
pub(super) struct Situation<'a> {
    pub(super) problem: &'a Problem,
    pub(super) facts: &'a Facts,
    /// To how many bytes names are cut.
    limit: usize,
}

impl<'a> Situation<'a> {
    pub(super) fn new(problem: &'a Problem, facts: &'a Facts, limit: usize) -> Self {
        Self {
            problem,
            facts,
            limit,
        }
    }

    /// A name as it may stand in a sentence.
    pub(super) fn name(&self, name: &str) -> String {
        short(name, self.limit)
    }

    /// `Service cart`.
    pub(super) fn service(&self) -> String {
        match &self.problem.upstream {
            Some(upstream) => format!("Service {}", self.name(&upstream.name)),
            None => "the Service".to_owned(),
        }
    }

    /// `Service port http` (or its number) of the Service's.
    pub(super) fn port(&self) -> String {
        match (
            self.service_port().and_then(|port| port.name.as_deref()),
            self.port_number(),
        ) {
            (Some(name), _) if !name.is_empty() => format!("Service port {}", self.name(name)),
            (_, Some(number)) => format!("Service port {number}"),
            (_, None) => "the Service's port".to_owned(),
        }
    }

    /// The number of the Service's port, where it is known.
    pub(super) fn port_number(&self) -> Option<u16> {
        let upstream = self.problem.upstream.as_ref();
        upstream.map(|it| it.port).filter(|port| *port != 0)
    }

    /// ` -n shop`, for commands.
    pub(super) fn in_namespace(&self) -> String {
        match &self.problem.upstream {
            Some(upstream) => format!(" -n {}", self.name(&upstream.namespace)),
            None => String::new(),
        }
    }

    /// The Service's port that requests go to.
    pub(super) fn service_port(&self) -> Option<&'a PortFacts> {
        let wanted = self.problem.upstream.as_ref()?.port;
        let service: &ServiceFacts = self.facts.service.as_ref()?;
        service.ports.iter().find(|port| port.port == wanted)
    }

    /// The port of the endpoints that failed, or that which the Service's port leads to.
    pub(super) fn endpoint_port(&self) -> Option<u16> {
        let failed = self
            .problem
            .samples
            .iter()
            .find_map(|sample| sample.endpoint);
        let leads_to = || self.service_port()?.target_port.parse().ok();
        failed.map(|endpoint| endpoint.port()).or_else(leads_to)
    }

    /// `port 8080`, of endpoints.
    pub(super) fn port_there(&self) -> String {
        let port = self.endpoint_port();
        port.map_or("the port".to_owned(), |port| format!("port {port}"))
    }

    /// The Pods that the Service selects, if they are known.
    pub(super) fn pods(&self) -> &'a [PodFacts] {
        self.facts.pods.as_deref().unwrap_or_default()
    }

    /// Those of them that failed; all where that is not known.
    pub(super) fn failing(&self) -> Vec<&'a PodFacts> {
        let samples = &self.problem.samples;
        let failed = |pod: &&PodFacts| {
            samples.iter().any(|sample| {
                let address = sample.endpoint.map(|endpoint| endpoint.ip());
                sample.pod.as_deref() == Some(&pod.name)
                    || address.is_some_and(|address| pod.addresses.contains(&address))
            })
        };
        let failing: Vec<_> = self.pods().iter().filter(failed).collect();
        let nobody = samples
            .iter()
            .all(|sample| sample.endpoint.is_none() && sample.pod.is_none());
        if failing.is_empty() && nobody {
            return self.pods().iter().collect();
        }
        failing
    }

    /// `Pod a`, `Pods a and b`; of endpoints without Pods their addresses.
    pub(super) fn who(&self) -> String {
        let names = |pods: BTreeSet<String>| Vec::from_iter(pods);
        let pods = self
            .problem
            .samples
            .iter()
            .filter_map(|sample| sample.pod.as_deref());
        let mut pods = names(pods.map(|pod| self.name(pod)).collect());
        if pods.is_empty() {
            pods = self
                .failing()
                .iter()
                .map(|pod| self.name(&pod.name))
                .collect();
        }
        let plural = if pods.len() == 1 { "" } else { "s" };
        if let Some(pods) = list(&pods) {
            return format!("Pod{plural} {pods}");
        }
        let endpoints = self
            .problem
            .samples
            .iter()
            .filter_map(|sample| sample.endpoint);
        let endpoints = names(endpoints.map(|endpoint| endpoint.to_string()).collect());
        let plural = if endpoints.len() == 1 { "" } else { "s" };
        match list(&endpoints) {
            Some(endpoints) => format!("endpoint{plural} {endpoints}"),
            None => format!("the endpoints of {}", self.service()),
        }
    }

    /// What runs there, for one Pod as for many, at the beginning of a sentence.
    pub(super) fn app(&self) -> String {
        let at = if self.one_pod().is_some() { "in" } else { "at" };
        format!("The app {at} {}", self.who())
    }

    /// A Pod to look at.
    pub(super) fn one_pod(&self) -> Option<String> {
        let sample = self
            .problem
            .samples
            .iter()
            .find_map(|sample| sample.pod.as_deref());
        let pod = sample.or_else(|| self.failing().first().map(|pod| pod.name.as_str()));
        pod.map(|pod| self.name(pod))
    }

    /// `kubectl logs -n shop cart-1`, or whose log it is.
    pub(super) fn log(&self) -> Cow<'static, str> {
        match self.one_pod() {
            Some(pod) => format!("kubectl logs{} {pod}", self.in_namespace()).into(),
            None => "the log of the app".into(),
        }
    }

    /// Which TLS, size or name is told by one of the samples.
    pub(super) fn hints(&self) -> impl Iterator<Item = &'a Hint> {
        self.problem
            .samples
            .iter()
            .filter_map(|sample| sample.hint.as_ref())
    }

    /// Whether retries stopped because there were too many.
    pub(super) fn over_budget(&self) -> bool {
        let samples = &self.problem.samples;
        samples
            .iter()
            .any(|sample| sample.stop == Some(Stop::Budget))
    }

    /// Whether the port's name, number or protocol sounds like one of these.
    pub(super) fn sounds_like(&self, names: &[&str], numbers: &[u16]) -> bool {
        let port = self.service_port();
        let said = port
            .into_iter()
            .flat_map(|port| [&port.name, &port.app_protocol]);
        let named = said.flatten().any(|said| {
            let mut words = said.split(|letter: char| !letter.is_ascii_alphanumeric());
            words.any(|word| names.iter().any(|name| word.eq_ignore_ascii_case(name)))
        });
        named
            || self
                .endpoint_port()
                .is_some_and(|port| numbers.contains(&port))
    }

    /// Clock and, for another day, date.
    pub(super) fn time(&self, at: Timestamp) -> String {
        time(at, self.facts.at)
    }

    /// What could not be read and would have told more, as a sentence of its own.
    pub(super) fn unread(&self) -> String {
        let missing = |unread: &&crate::report::facts::Unread| unread.forbidden;
        let missing: Vec<String> = self
            .facts
            .unread
            .iter()
            .filter(missing)
            .map(|unread| unread.resource.clone())
            .collect();
        match list(&missing) {
            Some(missing) => {
                format!(" Bywash may not list {missing}: grant it that to learn more.")
            }
            None => String::new(),
        }
    }
}

/// `The pods` → `the pods`.
pub(super) fn lower(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// `the pods` → `The pods`.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}
