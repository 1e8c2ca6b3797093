//! Where a backend leads: from an Ingress's reference to an upstream of the snapshot.
//!
//! Only what an Ingress names is looked at, so that a cluster's other Services cost nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{IngressBackend, IngressServiceBackend};

use crate::failure::Cause;
use crate::report::{Code, Kind, ObjectRef};
use crate::routing::snapshot::{EndpointSource, ServicePort, Target, Upstream, UpstreamId};

use super::endpoints::endpoints;
use super::findings::Findings;
use super::names::{self, Key, Names};
use super::policy::Resolved;
use super::service::{self, Place, Port};
use super::{Objects, Settings};

const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Resolves backends, and keeps the upstreams that they lead to.
pub(super) struct Backends<'a> {
    services: HashMap<Key<'a>, &'a Service, FixedState>,
    slices: HashMap<Key<'a>, Vec<&'a EndpointSlice>, FixedState>,
    unreadable: &'a BTreeSet<ObjectRef>,
    allow_external_name: bool,
    names: &'a mut Names,
    upstreams: BTreeMap<UpstreamId, Upstream>,
}

impl<'a> Backends<'a> {
    /// Indexes what backends may name.
    pub(super) fn new(objects: &'a Objects, settings: &Settings, names: &'a mut Names) -> Self {
        let services = objects.services.iter();
        let mut slices: HashMap<Key<'a>, Vec<&'a EndpointSlice>, FixedState> = HashMap::default();
        for slice in &objects.slices {
            let labels = slice.metadata.labels.as_ref();
            if let Some(service) = labels.and_then(|it| it.get(SERVICE_NAME)) {
                let namespace = names::namespace(&slice.metadata);
                slices.entry((namespace, service)).or_default().push(slice);
            }
        }
        Self {
            services: services.map(|it| (names::key(&**it), &**it)).collect(),
            slices,
            unreadable: &objects.unreadable,
            allow_external_name: settings.allow_external_name,
            names,
            upstreams: BTreeMap::new(),
        }
    }

    /// Where a backend of an Ingress leads; why it leads nowhere is told to the Ingress.
    pub(super) fn resolve(
        &mut self,
        ingress: &ObjectRef,
        backend: &IngressBackend,
        policy: &Resolved,
        findings: &mut Findings,
    ) -> Target {
        let IngressBackend { resource, service } = backend;
        let Some(service) = service else {
            let message = match resource {
                Some(it) => format!(
                    "the backend is the resource {} '{}': only Services are supported",
                    it.kind, it.name
                ),
                None => "a backend names no Service".to_owned(),
            };
            findings.add(ingress, Code::UnsupportedBackend, message);
            return Target::Unavailable(Cause::UnknownUpstream);
        };
        match self.upstream(&ingress.namespace, service, policy, findings) {
            Ok(upstream) => Target::Upstream(upstream),
            Err((code, cause, message)) => {
                findings.add(ingress, code, message);
                Target::Unavailable(cause)
            }
        }
    }

    /// The upstreams that were resolved.
    pub(super) fn finish(self) -> BTreeMap<UpstreamId, Upstream> {
        self.upstreams
    }

    fn upstream(
        &mut self,
        namespace: &Arc<str>,
        backend: &IngressServiceBackend,
        policy: &Resolved,
        findings: &mut Findings,
    ) -> Result<UpstreamId, (Code, Cause, String)> {
        let IngressServiceBackend { name, port } = backend;
        let Some(service) = self.services.get(&(&**namespace, name.as_str())).copied() else {
            let reference = names::reference(Kind::Service, (namespace, name));
            let why = if self.unreadable.contains(&reference) {
                "could not be read"
            } else {
                "does not exist"
            };
            let message = format!("the Service {namespace}/{name} {why}");
            return Err((Code::ServiceNotFound, Cause::UnknownUpstream, message));
        };
        let wanted = port.clone().unwrap_or_default();
        let port = service::port(service, &wanted, self.allow_external_name).map_err(|it| {
            let message = format!("the Service {namespace}/{name} {}", it.why);
            (it.code, it.cause, message)
        })?;
        let id = UpstreamId {
            service: ServicePort {
                namespace: Arc::clone(namespace),
                name: self.names.share(name),
                port: port.number,
            },
            policy: Arc::clone(&policy.policy.upstream),
        };
        if !self.upstreams.contains_key(&id) {
            let endpoints = self.source(&id.service, port, findings);
            self.upstreams.insert(id.clone(), Upstream { endpoints });
        }
        Ok(id)
    }

    fn source(
        &self,
        service: &ServicePort,
        port: Port<'_>,
        findings: &mut Findings,
    ) -> EndpointSource {
        let Port { number, place } = port;
        match place {
            Place::Name(name) => EndpointSource::Name { name, port: number },
            Place::Slices {
                port_name,
                ipv6_first,
            } => {
                let slices = self.slices.get(&(&*service.namespace, &*service.name));
                let slices = slices.map(Vec::as_slice).unwrap_or_default();
                EndpointSource::Known(endpoints(slices, port_name, ipv6_first, findings))
            }
        }
    }
}
