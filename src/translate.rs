//! From Kubernetes objects to the routing snapshot.
//!
//! One function, pure and total: the same objects make the same [`Snapshot`] whatever arrived first,
//! nothing is awaited, and nothing fails. What cannot be served as written becomes a [`Finding`] on
//! the object it is about, and everything else is served; a defect never takes a neighbour with it.
//!
//! What survives from one translation to the next is passed in and out as [`LastGood`]: the last
//! readable form of each object that exists but cannot be read any more, and certificates that were
//! parsed already. A removed object leaves it, so that it stops being served.
//!
//! Each kind of object has a file of its own here, which takes the Kubernetes structures apart
//! without `..` where their fields decide about routing: a field that Kubernetes adds does not compile
//! until somebody has said what it means here. `hosts` joins what they yield.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};

use crate::api::policy::GatewayPolicy;
use crate::report::policy::PolicyReport;
use crate::report::{Finding, ObjectRef, Unreadable};
use crate::routing::policy::Policy;
use crate::routing::snapshot::Snapshot;

mod authority;
mod backend;
mod certificate;
mod class;
mod config_map;
mod endpoints;
mod findings;
mod hosts;
mod ingress;
mod last_good;
mod names;
mod pages;
mod policy;
mod service;
mod tls;

pub use last_good::LastGood;
pub use policy::effective;

use authority::Authorities;
use backend::Backends;
use certificate::Certificates;
use class::Classes;
use config_map::ConfigMaps;
use findings::Findings;
use hosts::Hosts;
use ingress::Claims;
use names::Names;
use pages::Pages;
use policy::{Policies, Sections};

/// Every object that is watched, as it is now.
#[derive(Clone, Default)]
pub struct Objects {
    /// In any order; so are the others.
    pub ingresses: Vec<Arc<Ingress>>,
    /// The IngressClasses.
    pub classes: Vec<Arc<IngressClass>>,
    /// The Services.
    pub services: Vec<Arc<Service>>,
    /// The EndpointSlices.
    pub slices: Vec<Arc<EndpointSlice>>,
    /// The Secrets; from a cluster only those of type `kubernetes.io/tls`.
    pub secrets: Vec<Arc<Secret>>,
    /// The ConfigMaps; from a cluster only those that are labelled for what policies
    /// name.
    pub config_maps: Vec<Arc<ConfigMap>>,
    /// The GatewayPolicies.
    pub policies: Vec<Arc<GatewayPolicy>>,
    /// Objects that exist but could not be read: their last good form stays in force. What was wrong
    /// with them was reported where they were read.
    pub unreadable: Unreadable,
}

/// What the operator decides about translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// An IngressClass is ours if its `spec.controller` is this.
    pub controller_name: String,
    /// The name of the IngressClass that is served.
    pub ingress_class: String,
    /// Where the objects come from.
    pub origin: Origin,
    /// Who speaks for the class.
    pub class: ClassSource,
    /// Where Secrets are read; absent: wherever Ingresses are.
    pub secret_namespaces: Option<BTreeSet<String>>,
    /// To whom a host belongs.
    pub host_ownership: HostOwnership,
    /// Whether Services of type `ExternalName` are followed.
    pub allow_external_name: bool,
    /// Namespace and name of the Secret for clients that name no host with a certificate.
    pub default_tls_secret: Option<(String, String)>,
    /// What applies to Ingresses without a policy, shared by all of their routes.
    pub policy: Arc<Policy>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            controller_name: "bywash.dev/ingress-controller".to_owned(),
            ingress_class: "bywash".to_owned(),
            origin: Origin::default(),
            class: ClassSource::default(),
            secret_namespaces: None,
            host_ownership: HostOwnership::default(),
            allow_external_name: false,
            default_tls_secret: None,
            policy: Arc::default(),
        }
    }
}

/// Where the objects come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// An API server. The IngressClass must exist, and creation times tell who was first.
    #[default]
    Cluster,
    /// Files. Without an IngressClass object, Ingresses of our class and those without a class are
    /// served; namespace and name tell who is first.
    Directory,
}

/// Who says whether the class is the default, and which policy has its defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClassSource {
    /// The IngressClass.
    #[default]
    Object,
    /// The operator: IngressClasses are not read, and nothing is asked of one.
    Operator {
        /// Whether Ingresses without a class are ours.
        is_default: bool,
        /// Namespace and name of the policy.
        policy: Option<(String, String)>,
    },
}

/// To whom a host belongs that several Ingresses name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostOwnership {
    /// Each path to the oldest Ingress that has it.
    #[default]
    Ingress,
    /// All of it to the namespace of the oldest Ingress.
    Namespace,
}

/// What a translation yields.
#[derive(Clone, Debug)]
pub struct Translation {
    /// What is to be served.
    pub snapshot: Snapshot,
    /// Defects, sorted, each once. Positions in files are not filled in.
    pub findings: Vec<Finding>,
    /// The Ingresses of our class, sorted.
    pub ingresses: Vec<ObjectRef>,
    /// What became of each policy, sorted.
    pub policies: Vec<PolicyReport>,
    /// For the next translation.
    pub last_good: LastGood,
}

/// Makes the snapshot of all objects; see the module's documentation.
pub fn translate(objects: &Objects, settings: &Settings, last: &LastGood) -> Translation {
    let objects = last.complete(objects);
    let mut findings = Findings::default();
    let mut names = Names::default();

    let classes = Classes::read(&objects.classes, settings, &mut findings);
    let mut claims: Vec<Claims<'_>> = Vec::new();
    for ingress in &objects.ingresses {
        if classes.select(ingress, &mut findings) {
            claims.push(Claims::read(ingress, &mut names, &mut findings));
        }
    }
    claims.sort_by(|a, b| a.age(settings.origin).cmp(&b.age(settings.origin)));

    let config_maps = ConfigMaps::new(&objects, settings.origin);
    let authorities = Authorities::new(&config_maps, last.authorities());
    let mut backends = Backends::new(&objects, settings, authorities, &mut names);
    let mut policies = Policies::read(
        (&objects, &claims),
        (settings, classes.parameters()),
        (last.sections(), Pages::new(&config_maps, last.pages())),
        &mut findings,
    );
    policies.look_up(
        Sections::stand_in,
        |it| backends.stands_in(it),
        &mut findings,
    );
    let hosts = Hosts::merge(&claims, settings.host_ownership, &mut findings);
    let mut served = hosts.resolve(&mut backends, &mut policies, &mut findings);
    policies.look_up(Sections::ca, |ca| backends.trusts(ca), &mut findings);
    policies.look_up_pages(&mut findings);
    let (upstreams, authorities) = backends.finish();

    let mut certificates = Certificates::new(&objects, settings, last.certificates());
    let without_rules = tls::assign(
        &claims,
        settings.host_ownership,
        &mut served,
        &mut certificates,
        &mut findings,
    );
    let default_certificate = settings
        .default_tls_secret
        .as_ref()
        .and_then(|secret| certificates.default_certificate(secret, &mut findings));

    let snapshot = Snapshot {
        hosts: served.finish(without_rules),
        upstreams,
        default_certificate,
        expiries: certificates.expiries(),
    };
    let certificates = certificates.finish();
    let (policies, sections, pages) = policies.finish(&mut findings);
    let mut ingresses: Vec<ObjectRef> = claims.into_iter().map(|claim| claim.object).collect();
    ingresses.sort();
    Translation {
        snapshot,
        findings: findings.finish(),
        ingresses,
        policies,
        last_good: last.next(objects, (certificates, authorities), (sections, pages)),
    }
}
