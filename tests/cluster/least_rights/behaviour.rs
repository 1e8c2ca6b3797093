//! What an installation does, and how it is seen that it does.

use bywash::api::policy::GatewayPolicy;
use bywash::stores::{installation, reports};
use http::StatusCode;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Service};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass, NetworkPolicy};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::Behaviour;
use super::installation::Installation;
use crate::namespace::Vanished;
use crate::objects::{ingress, object, service, tls_secret, with_tls};
use crate::policy::{for_ingress, policy};
use crate::replica::Replica;
use crate::workload::Workload;

/// A replica that does not exist.
const ELSEWHERE: &str = "bywash-elsewhere";

type Check = Result<(), String>;

/// One run of the program, whose objects have names of their own.
pub(super) struct Scene<'a> {
    pub(super) site: &'a Installation<'a>,
    pub(super) number: usize,
    /// What stays as long as the scene does.
    workloads: Vec<Workload<'a>>,
    vanished: Vec<Vanished>,
    certificate: Option<rustls_pki_types::CertificateDer<'static>>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(site: &'a Installation<'a>, number: usize) -> Self {
        Self {
            site,
            number,
            workloads: Vec::new(),
            vanished: Vec::new(),
            certificate: None,
        }
    }

    /// The name of this run's object.
    pub(super) fn name(&self, stem: &str) -> String {
        format!("{stem}-{}", self.number)
    }

    fn host(&self, stem: &str) -> String {
        format!("{}.{}.example", self.name(stem), self.site.shop.name)
    }

    /// This run's replica has a Pod, which owns its report; and nobody leads yet.
    pub(super) async fn prepare(&self) {
        let (client, own) = (self.site.shop.client.clone(), self.site.own.as_str());
        let pod: Pod = object(json!({
            "metadata": {"name": self.name("bywash")},
            "spec": {"containers": [{"name": "bywash", "image": "bywash"}]},
        }));
        Api::namespaced(client.clone(), own)
            .create(&PostParams::default(), &pod)
            .await
            .unwrap();
        let leases = Api::<Lease>::namespaced(client, own);
        leases
            .delete_collection(&DeleteParams::default(), &ListParams::default())
            .await
            .unwrap();
    }

    async fn ingress(&self, stem: &str, service: &str) -> Ingress {
        let (name, host) = (self.name(stem), self.host(stem));
        self.site.shop.ingress(&name, &host, service).await
    }

    async fn policy(&self, stem: &str, target: &str, sections: Value) -> GatewayPolicy {
        let spec = for_ingress(&self.name(target), sections);
        self.site.shop.create(policy(&self.name(stem), spec)).await
    }

    /// What must be there before the program starts.
    pub(super) async fn before(&mut self, behaviour: Behaviour) {
        let shop = self.site.shop;
        match behaviour {
            Behaviour::FollowsClass => {
                let closed = json!({"maintenance": {"enabled": true}});
                shop.create(policy(&self.name("defaults"), closed)).await;
                self.ingress("classed", "web").await;
            }
            Behaviour::FollowsPolicies => drop(self.ingress("closing", "web").await),
            Behaviour::FollowsPages => {
                self.ingress("paged", "missing").await;
                let pages = json!({"errorPages": [{
                    "statuses": ["503"], "source": "Gateway",
                    "configMap": {"name": self.name("pages")},
                }]});
                self.policy("paged", "paged", pages).await;
            }
            Behaviour::ExplainsByPods => {
                let mut shut: Service = service(&self.name("shut"));
                let ports = json!([{"name": "http", "port": 80, "targetPort": 8081}]);
                shut.spec.as_mut().unwrap().ports = object(ports);
                shut.spec.as_mut().unwrap().selector = object(json!({"app": "web"}));
                shop.create(shut).await;
                self.ingress("shut", &self.name("shut")).await;
            }
            Behaviour::ExplainsByNetworkPolicies => {
                let name = self.name("gone");
                let gone = shop.workload(&name, 1).await;
                gone.slices().await;
                let restricts: NetworkPolicy = object(json!({
                    "metadata": {"name": name},
                    "spec": {"podSelector": {"matchLabels": {"app": name}}, "ingress": [
                        {"from": [{"podSelector": {"matchLabels": {"friend": "true"}}}]},
                    ]},
                }));
                shop.create(restricts).await;
                self.ingress("gone", &name).await;
                self.vanished.push(Vanished::new(gone.pods[0].ip));
                self.workloads.push(gone);
            }
            _ => {}
        }
    }

    /// What happens while it runs.
    pub(super) async fn act(&mut self, behaviour: Behaviour) {
        let shop = self.site.shop;
        match behaviour {
            Behaviour::FollowsRoutes => {
                let late = shop.workload(&self.name("late"), 1).await;
                late.slices().await;
                self.ingress("late", &self.name("late")).await;
                self.workloads.push(late);
            }
            Behaviour::FollowsCertificates => {
                let (name, host) = (self.name("tls"), self.host("tls"));
                let (secret, certificate) = tls_secret(&name, &host);
                shop.create(secret).await;
                shop.create(with_tls(
                    ingress(&shop.name, &name, &host, "web"),
                    &host,
                    &name,
                ))
                .await;
                self.certificate = Some(certificate);
            }
            Behaviour::FollowsClass => {
                let parameters = json!({"spec": {"parameters": {
                    "apiGroup": "bywash.dev", "kind": "GatewayPolicy", "scope": "Namespace",
                    "namespace": shop.name, "name": self.name("defaults"),
                }}});
                self.patch_class(parameters).await;
            }
            Behaviour::FollowsPolicies => {
                let closed = json!({"maintenance": {"enabled": true}});
                self.policy("closed", "closing", closed).await;
            }
            Behaviour::FollowsPages => {
                let pages: ConfigMap = object(json!({
                    "metadata": {"name": self.name("pages"), "labels": {"bywash.dev/error-pages": "true"}},
                    "data": {"5xx.txt": "a page of the shop"},
                }));
                shop.create(pages).await;
            }
            Behaviour::PublishesAddresses => drop(self.ingress("published", "web").await),
            Behaviour::FollowsPublished => {
                self.ingress("republished", "web").await;
                let external = json!({"spec": {"externalIPs": [self.external_address()]}});
                let services = Api::<Service>::namespaced(shop.client.clone(), &self.site.own);
                let patch = Patch::Merge(external);
                services
                    .patch("bywash", &PatchParams::default(), &patch)
                    .await
                    .unwrap();
            }
            Behaviour::TellsPolicies => {
                self.ingress("told", "web").await;
                self.policy("told", "told", json!({"tlsRedirect": false}))
                    .await;
            }
            Behaviour::RecordsEvents => drop(self.ingress("broken", "missing").await),
            Behaviour::HearsOthers => {
                self.another_replica_that_is_behind().await;
                self.ingress("heard", "web").await;
                self.policy("heard", "heard", json!({"tlsRedirect": false}))
                    .await;
            }
            Behaviour::Starts
            | Behaviour::Leads
            | Behaviour::Reports
            | Behaviour::ExplainsByPods
            | Behaviour::ExplainsByNetworkPolicies => {}
        }
    }

    /// Whether it does what it should.
    pub(super) async fn check(&self, behaviour: Behaviour, bywash: &Replica) -> Check {
        match behaviour {
            Behaviour::Starts => {
                let ready = bywash
                    .probe("/readyz")
                    .await
                    .map_err(|error| format!("{error:#}"))?;
                expect(&ready.status, &StatusCode::OK)
            }
            Behaviour::FollowsRoutes => {
                let reply = bywash.get(&self.host("late"), "/").await;
                expect(&reply.body, &format!("{}-0", self.name("late")))
            }
            Behaviour::FollowsCertificates => {
                let presented = bywash.get_tls(&self.host("tls"), "/").await.0;
                let same = Some(presented) == self.certificate;
                same.then_some(()).ok_or("another certificate".to_owned())
            }
            Behaviour::FollowsClass => self.is_closed("classed", bywash).await,
            Behaviour::FollowsPolicies => self.is_closed("closing", bywash).await,
            Behaviour::FollowsPages => {
                let reply = bywash.get(&self.host("paged"), "/").await;
                expect(&reply.body, &"a page of the shop".to_owned())
            }
            Behaviour::ExplainsByPods => {
                bywash.get(&self.host("shut"), "/").await;
                self.event("shut", "no container declares that port").await
            }
            Behaviour::ExplainsByNetworkPolicies => {
                bywash.get(&self.host("gone"), "/").await;
                self.event("gone", "restricts what comes in").await
            }
            Behaviour::PublishesAddresses => self.has_address("published", "\"ip\"").await,
            Behaviour::FollowsPublished => {
                let address = self.external_address();
                self.has_address("republished", &address).await
            }
            Behaviour::TellsPolicies => self.is_told("told", "Accepted").await,
            Behaviour::HearsOthers => {
                // Whoever was not heard in time is not waited for any more.
                let now: GatewayPolicy = self.get(&self.name("heard")).await?;
                let generation = now.metadata.generation.unwrap_or_default();
                let said = self.is_told("heard", ELSEWHERE).await;
                if said.is_err() && is_told_of(&now) {
                    let anew = json!({"spec": {"timeouts": {"request": format!("{generation}s")}}});
                    self.site.shop.patch(&now, anew).await;
                }
                said
            }
            Behaviour::RecordsEvents => self.event("broken", "does not exist").await,
            Behaviour::Reports => {
                let name = format!("{}{}", reports::NAME, self.name("bywash"));
                self.own::<ConfigMap>()
                    .get(&name)
                    .await
                    .map(drop)
                    .map_err(|error| error.to_string())
            }
            Behaviour::Leads => {
                let leases = self.own::<Lease>().list(&ListParams::default()).await;
                let leases = leases.map_err(|error| error.to_string())?;
                let holders = leases
                    .items
                    .into_iter()
                    .filter_map(|it| it.spec?.holder_identity);
                expect(&holders.collect::<Vec<_>>(), &vec![self.name("bywash")])
            }
        }
    }

    /// What this run has changed for the next one.
    pub(super) async fn after(&self, behaviour: Behaviour) {
        match behaviour {
            Behaviour::FollowsClass => {
                self.patch_class(json!({"spec": {"parameters": null}}))
                    .await
            }
            Behaviour::HearsOthers => {
                let reports = self.own::<ConfigMap>();
                let of_others = format!("{}{ELSEWHERE}", reports::NAME);
                reports
                    .delete(&of_others, &DeleteParams::default())
                    .await
                    .unwrap();
            }
            _ => {}
        }
    }

    fn own<K>(&self) -> Api<K>
    where
        K: crate::tenant::Kind,
    {
        Api::namespaced(self.site.shop.client.clone(), &self.site.own)
    }

    async fn get<K: crate::tenant::Kind>(&self, name: &str) -> Result<K, String> {
        let got = self.site.shop.api::<K>().get(name).await;
        got.map_err(|error| error.to_string())
    }

    async fn patch_class(&self, patch: Value) {
        let shop = self.site.shop;
        let classes = Api::<IngressClass>::all(shop.client.clone());
        let patch = Patch::Merge(patch);
        classes
            .patch(&shop.name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// A replica that serves no policy at all, by what it tells.
    async fn another_replica_that_is_behind(&self) {
        let shop = self.site.shop;
        let field_manager = installation::name(&shop.controller_name(), &shop.name);
        let selector = reports::selector(&field_manager);
        let (label, value) = selector.split_once('=').unwrap();
        let report: ConfigMap = object(json!({
            "metadata": {"name": format!("{}{ELSEWHERE}", reports::NAME), "labels": {label: value}},
            "data": {"report.json": json!({"replica": ELSEWHERE}).to_string()},
        }));
        self.own()
            .create(&PostParams::default(), &report)
            .await
            .unwrap();
    }

    fn external_address(&self) -> String {
        format!("192.0.2.{}", self.number)
    }

    async fn is_closed(&self, stem: &str, bywash: &Replica) -> Check {
        let status = bywash.status(&self.host(stem), "/").await;
        expect(&status, &StatusCode::SERVICE_UNAVAILABLE)
    }

    async fn has_address(&self, stem: &str, address: &str) -> Check {
        let ingress: Ingress = self.get(&self.name(stem)).await?;
        let status = json!(ingress.status).to_string();
        status.contains(address).then_some(()).ok_or(status)
    }

    /// Whether a condition of the policy says so.
    async fn is_told(&self, stem: &str, text: &str) -> Check {
        let policy: GatewayPolicy = self.get(&self.name(stem)).await?;
        let status = json!(policy.status).to_string();
        status.contains(text).then_some(()).ok_or(status)
    }

    async fn event(&self, stem: &str, text: &str) -> Check {
        let about = format!(
            "involvedObject.kind=Ingress,involvedObject.name={}",
            self.name(stem)
        );
        let events = self
            .site
            .shop
            .api::<Event>()
            .list(&ListParams::default().fields(&about))
            .await;
        let events = events.map_err(|error| error.to_string())?.items;
        let said: Vec<String> = events
            .into_iter()
            .filter_map(|event| event.message)
            .collect();
        let says = said.iter().any(|said| said.contains(text));
        says.then_some(()).ok_or(format!("{said:?}"))
    }

    /// What is said instead where the behaviour has stopped: the server's refusal, in the log; or, of what is
    /// only asked for to explain, a sentence of the explanation.
    pub(super) async fn refusal(&self, right: &super::rights::Right, bywash: &Replica) -> Check {
        let stem = match (&*right.resource, &*right.verb) {
            ("pods", "list") => "shut",
            ("networkpolicies", "list") => "gone",
            _ => {
                let refused = format!(
                    "cannot {} resource \"{}\" in API group \"{}\"",
                    right.verb, right.resource, right.group
                );
                let says = bywash.log().contains(&refused);
                return says
                    .then_some(())
                    .ok_or(format!("no \"{refused}\" in the log"));
            }
        };
        bywash.get(&self.host(stem), "/").await;
        self.event(stem, &format!("may not list {}", right.resource))
            .await
    }
}

/// Whether somebody has said something of this generation.
fn is_told_of(policy: &GatewayPolicy) -> bool {
    let status = policy.status.as_ref();
    status.and_then(|status| status.observed_generation) == policy.metadata.generation
}

fn expect<T: PartialEq + std::fmt::Debug>(seen: &T, wanted: &T) -> Check {
    (seen == wanted).then_some(()).ok_or(format!("{seen:?}"))
}
