//! Where a backend leads: from an Ingress's reference to an upstream of the snapshot.
//!
//! Only what an Ingress names is looked at, so that a cluster's other Services cost nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{IngressBackend, IngressServiceBackend};

use crate::api::metadata::SERVICE_NAME;
use crate::failure::Cause;
use crate::report::{Code, Kind, ObjectRef, Unreadable};
use crate::routing::policy::upstream::{Trust, UpstreamPolicy, UpstreamTls};
use crate::routing::snapshot::{EndpointSource, ServicePort, Target, Upstream, UpstreamId};

use super::authority::{Authorities, Defect, KnownAuthorities, Loaded};
use super::endpoints::{Wanted, endpoints};
use super::findings::Findings;
use super::names::{self, Key, Names};
use super::policy::{Resolved, TlsReference, UPSTREAM_TLS, Unresolved};
use super::service::{self, Place, Port, Protocol};
use super::{Objects, Settings};

mod fallback;

/// Resolves backends, and keeps the upstreams that they lead to.
pub(super) struct Backends<'a> {
    services: HashMap<Key<'a>, &'a Service, FixedState>,
    slices: HashMap<Key<'a>, Vec<&'a EndpointSlice>, FixedState>,
    unreadable: &'a Unreadable,
    allow_external_name: bool,
    authorities: Authorities<'a>,
    names: &'a mut Names,
    upstreams: BTreeMap<UpstreamId, Upstream>,
    /// Those with TLS or with a fallback, each once.
    policies: BTreeSet<Arc<UpstreamPolicy>>,
}

/// How an upstream is treated, and whether something stands in for it.
type Treatment<'a> = (&'a Resolved, bool);

/// Why a backend leads nowhere.
type Nowhere = (Code, Cause, String);

impl<'a> Backends<'a> {
    /// Indexes what backends may name.
    pub(super) fn new(
        objects: &'a Objects,
        settings: &Settings,
        authorities: Authorities<'a>,
        names: &'a mut Names,
    ) -> Self {
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
            authorities,
            names,
            upstreams: BTreeMap::new(),
            policies: BTreeSet::new(),
        }
    }

    /// Where a backend of an Ingress leads; why it leads nowhere is told to the Ingress.
    pub(super) fn resolve(
        &mut self,
        ingress: &ObjectRef,
        backend: &IngressBackend,
        treatment: Treatment<'_>,
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
            return Target::Unavailable {
                cause: Cause::UnknownUpstream,
                service: None,
            };
        };
        match self.upstream(&ingress.namespace, service, treatment, findings) {
            Ok(upstream) => Target::Upstream(upstream),
            Err((code, cause, message)) => {
                findings.add(ingress, code, message);
                let service = Some(self.meant(&ingress.namespace, service));
                Target::Unavailable { cause, service }
            }
        }
    }

    /// What a backend means that leads nowhere.
    fn meant(&mut self, namespace: &Arc<str>, backend: &IngressServiceBackend) -> ServicePort {
        let IngressServiceBackend { name, port } = backend;
        let known = self.services.get(&(&**namespace, name.as_str())).copied();
        let port = port.as_ref().and_then(|port| service::meant(known, port));
        ServicePort {
            namespace: Arc::clone(namespace),
            name: self.names.share(name),
            port: port.unwrap_or_default(),
        }
    }

    /// Whether a ConfigMap that a policy names says by what to verify.
    pub(super) fn trusts(&mut self, ca: &(Arc<str>, Arc<str>)) -> Result<(), Unresolved> {
        let (Defect { code, why }, instead) = match self.authorities.load((&ca.0, &ca.1)) {
            Loaded::Usable(_) => return Ok(()),
            Loaded::LastGood(_, defect) => (defect, "its last good certificates stay in use"),
            Loaded::Unusable(defect) => (defect, "requests for these endpoints are answered 503"),
        };
        let why = format!("upstreamTls: {why}; {instead}");
        Err(Unresolved { code, why })
    }

    /// The upstreams that were resolved, and what verifies endpoints.
    pub(super) fn finish(self) -> (BTreeMap<UpstreamId, Upstream>, KnownAuthorities) {
        (self.upstreams, self.authorities.finish())
    }

    fn upstream(
        &mut self,
        namespace: &Arc<str>,
        backend: &IngressServiceBackend,
        treatment: Treatment<'_>,
        findings: &mut Findings,
    ) -> Result<UpstreamId, Nowhere> {
        let (policy, has_fallback) = treatment;
        let port = self.port(namespace, backend)?;
        let service = ServicePort {
            namespace: Arc::clone(namespace),
            name: self.names.share(&backend.name),
            port: port.number,
        };
        let tls = self.tls(&service, &port, policy)?;
        let id = UpstreamId {
            service,
            policy: self.treated(&policy.policy.upstream, (tls, has_fallback)),
        };
        if !self.upstreams.contains_key(&id) {
            let endpoints = self.source(&id, port, findings);
            self.upstreams.insert(id.clone(), Upstream { endpoints });
        }
        Ok(id)
    }

    /// The port that a backend names in this namespace.
    fn port(&self, namespace: &str, backend: &IngressServiceBackend) -> Result<Port<'a>, Nowhere> {
        let IngressServiceBackend { name, port } = backend;
        let Some(service) = self.services.get(&(namespace, name.as_str())).copied() else {
            let reference = names::reference(Kind::Service, (namespace, name));
            let why = if self.unreadable.contains_key(&reference) {
                "could not be read"
            } else {
                "does not exist"
            };
            let message = format!("the Service {namespace}/{name} {why}");
            return Err((Code::ServiceNotFound, Cause::UnknownUpstream, message));
        };
        let wanted = port.clone().unwrap_or_default();
        service::port(service, &wanted, self.allow_external_name).map_err(|it| {
            let message = format!("the Service {namespace}/{name} {}", it.why);
            (it.code, it.cause, message)
        })
    }

    /// How TLS is spoken, where the policy or the Service asks for it; what the policy says goes first.
    fn tls(
        &mut self,
        service: &ServicePort,
        port: &Port<'_>,
        policy: &Resolved,
    ) -> Result<Option<UpstreamTls>, Nowhere> {
        let ServicePort {
            namespace, name, ..
        } = service;
        if policy.tls_is_wrong {
            let message = format!(
                "the endpoints of the Service {namespace}/{name} cannot be verified: the \
                 {UPSTREAM_TLS} of a policy for it cannot be right"
            );
            return Err((Code::InvalidPolicy, Cause::CaUnavailable, message));
        }
        let of_service = TlsReference::default();
        let TlsReference { ca, server_name } = match (&policy.tls, port.protocol) {
            (Some(tls), _) => tls,
            (None, Protocol::Tls) => &of_service,
            (None, Protocol::Plain) => return Ok(None),
        };
        let trust = match ca {
            None => Trust::System,
            Some(ca) => match self.authorities.load((&ca.0, &ca.1)) {
                Loaded::Usable(roots) | Loaded::LastGood(roots, _) => Trust::Certificates(roots),
                Loaded::Unusable(Defect { code, why }) => {
                    let message = format!(
                        "the endpoints of the Service {namespace}/{name} cannot be verified: {why}"
                    );
                    return Err((code, Cause::CaUnavailable, message));
                }
            },
        };
        let server_name = match (server_name, &port.place) {
            (Some(name), _) | (None, Place::Name(name)) => Arc::clone(name),
            (None, Place::Slices { .. }) => self.names.share(&format!("{name}.{namespace}.svc")),
        };
        Ok(Some(UpstreamTls { server_name, trust }))
    }

    /// A policy with what is looked up elsewhere; equal ones are one.
    fn treated(
        &mut self,
        policy: &Arc<UpstreamPolicy>,
        (tls, has_fallback): (Option<UpstreamTls>, bool),
    ) -> Arc<UpstreamPolicy> {
        if tls.is_none() && !has_fallback {
            return Arc::clone(policy);
        }
        let policy = UpstreamPolicy {
            tls,
            has_fallback,
            ..UpstreamPolicy::clone(policy)
        };
        if let Some(known) = self.policies.get(&policy) {
            return Arc::clone(known);
        }
        let new = Arc::new(policy);
        self.policies.insert(Arc::clone(&new));
        new
    }

    fn source(
        &self,
        UpstreamId { service, policy }: &UpstreamId,
        port: Port<'_>,
        findings: &mut Findings,
    ) -> EndpointSource {
        let Port {
            number,
            protocol: _,
            place,
        } = port;
        match place {
            Place::Name(name) => EndpointSource::Name { name, port: number },
            Place::Slices {
                port_name,
                ipv6_first,
            } => {
                let slices = self.slices.get(&(&*service.namespace, &*service.name));
                let slices = slices.map(Vec::as_slice).unwrap_or_default();
                let wanted = Wanted {
                    port_name,
                    ipv6_first,
                    protocol: match policy.tls {
                        Some(_) => Protocol::Tls,
                        None => Protocol::Plain,
                    },
                };
                EndpointSource::Known(endpoints(slices, wanted, findings))
            }
        }
    }
}
