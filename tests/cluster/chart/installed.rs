//! A release from its first day to its last, on a node that runs what is rendered as it is rendered.
//!
//! Its namespace enforces the restricted Pod Security Standard; what it serves is in another.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::StatusCode;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use bywash::api::crd;
use bywash::api::policy::GatewayPolicy;

use super::release::{Helm, NEWER, OLDER, values};
use crate::client::{self, request};
use crate::kubelet::Node;
use crate::objects::{ingress, object};
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![
    helm_4_installs_what_serves_an_ingress_and_says_so,
    helm_3_installs_what_serves_an_ingress_and_says_so,
    helm_4_waits_for_an_upgrade_a_rollback_and_the_end,
    helm_3_waits_for_an_upgrade_a_rollback_and_the_end,
    the_command_line_runs_with_what_the_pod_gives_it,
    a_daemon_set_serves_at_the_ports_of_its_node,
];

const HOST: &str = "shop.example";
const WAIT: [&str; 3] = ["--wait", "--timeout", "90s"];

async fn helm_4_installs_what_serves_an_ingress_and_says_so() {
    serves(NEWER).await;
}

async fn helm_3_installs_what_serves_an_ingress_and_says_so() {
    serves(OLDER).await;
}

async fn serves(version: &str) {
    let (edge, shop) = (Edge::new(version).await, Tenant::new().await);
    edge.install(&edge.values()).await;
    let deployment = edge.tenant.api::<Deployment>();
    let status = deployment
        .get_status(&edge.tenant.name)
        .await
        .unwrap()
        .status
        .unwrap();
    assert_eq!(
        (status.replicas, status.ready_replicas),
        (Some(2), Some(2)),
        "{status:?}"
    );
    let said = edge.helm.run(&["test", "edge", "--timeout", "60s"]).await;
    assert!(said.contains("Succeeded"), "{said}");

    let web = shop.workload("web", 1).await;
    let served = shop
        .create(ingress(&edge.class(), "web", HOST, "web"))
        .await;
    web.slices().await;
    let own = edge.node.service(&edge.tenant.name, 80).await;
    let outside = edge.node.load_balancer(&edge.tenant.name).await;
    let of_node = edge.node.node_port(&edge.tenant.name, "http").await;
    for address in [own, of_node, (outside, 80).into()] {
        answers(address).await;
    }
    published(&shop, &served, outside).await;
}

/// Waits until the Ingress says where its clients are to go.
async fn published(shop: &Tenant, served: &Ingress, address: Ipv4Addr) {
    eventually("address of the Ingress", SOON, async || {
        let ingress = shop
            .api::<Ingress>()
            .get_status(&served.name_any())
            .await
            .unwrap();
        let points = ingress
            .status
            .and_then(|it| it.load_balancer?.ingress)
            .unwrap_or_default();
        let ips: Vec<_> = points.into_iter().filter_map(|it| it.ip).collect();
        (ips == [address.to_string()])
            .then_some(())
            .ok_or(format!("{ips:?}"))
    })
    .await;
}

async fn helm_4_waits_for_an_upgrade_a_rollback_and_the_end() {
    lives(NEWER).await;
}

async fn helm_3_waits_for_an_upgrade_a_rollback_and_the_end() {
    lives(OLDER).await;
}

async fn lives(version: &str) {
    let edge = Edge::new(version).await;
    let mut given = edge.values();
    edge.install(&given).await;
    let policy: GatewayPolicy = object(json!({
        "metadata": {"name": "kept"}, "spec": {"timeouts": {"read": "30s"}},
    }));
    let policy = edge.tenant.create(policy).await;
    let first = edge.replicas().await;

    given["controller"]["extraArgs"]["log-level"] = json!("debug");
    edge.helm.apply("upgrade", "edge", &given, &WAIT).await;
    let second = edge.replaced(&first, Some("--log-level=debug")).await;
    edge.helm
        .run(&["rollback", "edge", "1", "--wait", "--timeout", "90s"])
        .await;
    edge.replaced(&second, None).await;

    edge.helm
        .run(&["uninstall", "edge", "--wait", "--timeout", "90s"])
        .await;
    eventually("end of every Pod", SOON, async || {
        let left = edge.pods().await;
        left.is_empty()
            .then_some(())
            .ok_or(format!("{}", left.len()))
    })
    .await;
    let definitions = Api::<CustomResourceDefinition>::all(edge.client());
    assert!(definitions.get_opt(crd::NAME).await.unwrap().is_some());
    let after = edge
        .tenant
        .api::<GatewayPolicy>()
        .get("kept")
        .await
        .unwrap();
    assert_eq!(after.uid(), policy.uid());
}

async fn the_command_line_runs_with_what_the_pod_gives_it() {
    let edge = Edge::new(NEWER).await;
    let mut given = edge.values();
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    let controller = &mut given["controller"];
    controller["replicaCount"] = json!(1);
    controller["extraEnvs"] = json!([
        {"name": "POD", "valueFrom": field("metadata.name")},
        {"name": "NODE", "valueFrom": field("spec.nodeName")},
        {"name": "BYWASH_INSTANCE", "value": "$(POD).$(NODE)"},
        {"name": "BYWASH_LOG_FORMAT", "value": "json"},
    ]);
    controller["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 1}}});
    controller["startupProbe"] = json!({"periodSeconds": 1, "failureThreshold": 30});
    edge.install(&given).await;
    let [pod] = <[Pod; 1]>::try_from(edge.pods().await).unwrap();
    let instance = format!("{}.{}", pod.name_any(), edge.tenant.name);
    eventually("Lease of the only replica", SOON, async || {
        let leases = edge
            .tenant
            .api::<Lease>()
            .list(&ListParams::default())
            .await
            .unwrap();
        let holders: Vec<_> = leases
            .into_iter()
            .filter_map(|it| it.spec?.holder_identity)
            .collect();
        (holders == [instance.clone()])
            .then_some(())
            .ok_or(format!("{holders:?}"))
    })
    .await;
    let log = edge.node.log(&pod, "controller");
    let line: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert!(line.is_object(), "{log}");
}

async fn a_daemon_set_serves_at_the_ports_of_its_node() {
    let (edge, shop) = (Edge::new(NEWER).await, Tenant::new().await);
    let mut given = edge.values();
    let controller = &mut given["controller"];
    controller["kind"] = json!("DaemonSet");
    controller["hostPort"] = json!({"enabled": true});
    controller["service"] = json!({"enabled": false});
    controller["updateStrategy"] = json!({"rollingUpdate": {"maxUnavailable": 1}});
    // The nodes of other tests are not to be waited for.
    controller["nodeSelector"] = json!({"kubernetes.io/hostname": edge.tenant.name});
    edge.open_host_ports().await;
    edge.install(&given).await;
    let web = shop.workload("web", 1).await;
    let served = shop
        .create(ingress(&edge.class(), "web", HOST, "web"))
        .await;
    web.slices().await;
    answers((edge.node.address(), 80).into()).await;
    published(&shop, &served, edge.node.address()).await;

    // The old one goes first, because the ports are its own until then.
    let first = edge.replicas().await;
    given["controller"]["podAnnotations"] = json!({"changed": "yes"});
    edge.helm.apply("upgrade", "edge", &given, &WAIT).await;
    let second = edge.replicas().await;
    assert!(
        second.len() == 1 && second.is_disjoint(&first),
        "{second:?} {first:?}"
    );
    answers((edge.node.address(), 80).into()).await;
}

/// Waits until the Ingress is served there.
async fn answers(address: SocketAddr) {
    eventually("answer of the application", SOON, async || {
        let reply = client::send(address, request(HOST, "/")).await;
        let reply = reply.map_err(|error| format!("{error:#}"))?;
        match reply.status {
            StatusCode::OK => Ok(()),
            status => Err(format!("{status} {}", reply.body)),
        }
    })
    .await;
}

/// Where a release lives.
struct Edge {
    tenant: Tenant,
    node: Node,
    helm: Helm,
}

impl Edge {
    async fn new(version: &str) -> Self {
        let tenant = Tenant::new().await;
        let edge = Self {
            node: Node::start(&tenant).await,
            helm: Helm::of(version, &tenant),
            tenant,
        };
        edge.enforce("restricted").await;
        let careless: Pod = object(json!({
            "metadata": {"name": "careless"},
            "spec": {"containers": [{"name": "app", "image": "none"}]},
        }));
        let created = edge
            .tenant
            .api()
            .create(&PostParams::default(), &careless)
            .await;
        assert!(
            created
                .unwrap_err()
                .to_string()
                .contains("violates PodSecurity")
        );
        edge
    }

    async fn enforce(&self, standard: &str) {
        let label = "pod-security.kubernetes.io/enforce";
        let enforce = Patch::Merge(json!({"metadata": {"labels": {label: standard}}}));
        let (namespaces, name) = (Api::<Namespace>::all(self.client()), &self.tenant.name);
        let patched = namespaces
            .patch(name, &PatchParams::default(), &enforce)
            .await;
        patched.unwrap();
    }

    /// Ports of the node are beyond what the baseline allows, and so the restricted standard as well.
    async fn open_host_ports(&self) {
        self.enforce("privileged").await;
    }

    fn client(&self) -> Client {
        self.tenant.client.clone()
    }

    fn class(&self) -> String {
        format!("{}-chart", self.tenant.name)
    }

    /// Nothing but the balancer of the tests, with its second, is to be waited for.
    fn values(&self) -> Value {
        let mut values = values(&self.tenant);
        values["controller"]["drainDelaySeconds"] = json!(2);
        values
    }

    async fn install(&self, values: &Value) {
        self.helm.apply("install", "edge", values, &WAIT).await;
    }

    async fn pods(&self) -> Vec<Pod> {
        let listed = self.tenant.api::<Pod>().list(&ListParams::default()).await;
        listed.unwrap().items
    }

    /// The Pods that are there to stay, by their names.
    async fn replicas(&self) -> BTreeSet<String> {
        let pods = self.pods().await.into_iter();
        let stay = pods.filter(|pod| pod.metadata.deletion_timestamp.is_none());
        stay.map(|pod| pod.name_any()).collect()
    }

    /// Waits until other Pods are there and none of the earlier ones, and says which.
    async fn replaced(&self, earlier: &BTreeSet<String>, flag: Option<&str>) -> BTreeSet<String> {
        let replicas = eventually("other Pods alone", SOON, async || {
            let replicas = self.replicas().await;
            let others = replicas.len() == 2 && replicas.is_disjoint(earlier);
            others
                .then_some(replicas.clone())
                .ok_or(format!("{replicas:?} {earlier:?}"))
        })
        .await;
        for pod in self.pods().await {
            if replicas.contains(&pod.name_any()) {
                let container = pod.spec.unwrap().containers.remove(0);
                let arguments = container.args.unwrap();
                let debug = arguments.iter().any(|it| it == "--log-level=debug");
                assert_eq!(debug, flag.is_some(), "{arguments:?}");
            }
        }
        eventually(
            "end of the Pods that were replaced",
            Duration::from_secs(60),
            async || {
                let left: Vec<_> = self
                    .pods()
                    .await
                    .iter()
                    .map(ResourceExt::name_any)
                    .collect();
                let earlier = left.iter().any(|name| earlier.contains(name));
                (!earlier).then_some(()).ok_or(format!("{left:?}"))
            },
        )
        .await;
        replicas
    }
}
