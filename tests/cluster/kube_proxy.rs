//! What stands in front of Pods: kube-proxy, and a cloud that gives Services of type LoadBalancer an address.
//!
//! It listens wherever a Service has an address and hands connections on to the endpoints of the Service's own
//! EndpointSlices, as they were a second ago, because that is how it is in clusters: a Pod still gets
//! connections when it is already ending. Which endpoint gets one is drawn; nothing is tried twice; and what
//! is open stays open, whatever becomes of the endpoint.

mod forwarding;
pub(crate) mod listener;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::select;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::store;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use listener::Listener;

/// How much later than the API server a node knows of a change.
const DELAY: Duration = Duration::from_secs(1);

enum News {
    Service(Box<Event<Service>>),
    Slice(Box<Event<EndpointSlice>>),
}

/// Where it listens besides the addresses of Services.
#[derive(Clone, Copy)]
pub(crate) struct Front {
    /// Of the ports that a Service has on every node.
    pub(crate) node: Ipv4Addr,
    /// Whether Services of type LoadBalancer get an address of their own.
    pub(crate) load_balancer: bool,
}

/// Never ends by itself.
pub(crate) async fn run(services: Api<Service>, slices: Api<EndpointSlice>, front: Front) {
    let (send, receive) = mpsc::unbounded_channel();
    let client = services.clone().into_client();
    tokio::join!(hear(services, slices, send), follow(client, receive, front));
}

/// Says of each change when it becomes known here.
async fn hear(
    services: Api<Service>,
    slices: Api<EndpointSlice>,
    tell: mpsc::UnboundedSender<(Instant, News)>,
) {
    let config = watcher::Config::default;
    let services = watcher(services, config()).default_backoff();
    let slices = watcher(slices, config()).default_backoff();
    let services = services.map(|event| event.map(|it| News::Service(Box::new(it))));
    let mut news = pin!(select(
        services,
        slices.map(|event| event.map(|it| News::Slice(Box::new(it))))
    ));
    while let Some(event) = news.next().await {
        // What fails is tried again by the watcher.
        if let Ok(event) = event {
            let _ = tell.send((Instant::now() + DELAY, event));
        }
    }
}

async fn follow(client: Client, mut news: mpsc::UnboundedReceiver<(Instant, News)>, front: Front) {
    let (services, mut service_writer) = store::<Service>();
    let (slices, mut slice_writer) = store::<EndpointSlice>();
    let mut listeners = BTreeMap::<SocketAddr, Listener>::new();
    while let Some((known, event)) = news.recv().await {
        sleep_until(known).await;
        match event {
            News::Service(event) => service_writer.apply_watcher_event(&event),
            News::Slice(event) => slice_writer.apply_watcher_event(&event),
        }
        let services = services.state();
        let wanted = forwarding::of(&services, &slices.state(), front);
        listeners.retain(|address, _| wanted.contains_key(address));
        for (address, endpoints) in wanted {
            let listener = listeners
                .entry(address)
                .or_insert_with(|| Listener::at(address));
            listener.to(endpoints);
        }
        if front.load_balancer {
            for service in &services {
                publish(&client, service).await;
            }
        }
    }
}

/// As a cloud does once its load balancer stands.
async fn publish(client: &Client, service: &Service) {
    let (Some(address), true) = (forwarding::balancer(service), has_no_address(service)) else {
        return;
    };
    let status =
        json!({"status": {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}});
    let (name, namespace) = (service.name_any(), service.namespace().unwrap_or_default());
    let api = Api::<Service>::namespaced(client.clone(), &namespace);
    // The Service may be gone; if it is not, the next change of anything tries again.
    let _ = api
        .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
        .await;
}

fn has_no_address(service: &Service) -> bool {
    let status = service
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref());
    status
        .and_then(|it| it.ingress.as_ref())
        .is_none_or(Vec::is_empty)
}
