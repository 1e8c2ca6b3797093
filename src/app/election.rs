//! Writing back to a cluster: taking part in the election, telling other replicas, and writing while leading.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::watch;

use crate::config::addresses::PublishedAddress;
use crate::config::{Class, Cluster};
use crate::leader;
use crate::status::{self, Publish, PublishAddress};
use crate::stores::cluster::Connection;
use crate::stores::facts::FactReader;
use crate::stores::nodes::Nodes;
use crate::stores::reports::{Others, Reports};
use crate::stores::writer::{EventSource, Writer};
use crate::stores::{Source, installation};
use crate::telemetry::metrics::Metrics;

use super::judging::Place;
use super::running::Running;

/// Which addresses Ingresses get.
fn publish(config: &Cluster) -> Publish {
    if let Some(service) = &config.publish_service {
        return Publish::Service {
            namespace: service.namespace.clone(),
            name: service.name.clone(),
        };
    }
    if config.publish_node_addresses {
        return Publish::Nodes;
    }
    if config.publish_addresses.is_empty() {
        return Publish::Nothing;
    }
    let addresses = config
        .publish_addresses
        .iter()
        .map(|address| match address {
            PublishedAddress::Ip(ip) => PublishAddress::Ip(*ip),
            PublishedAddress::Hostname(name) => PublishAddress::Name(name.clone()),
        });
    Publish::Addresses(addresses.collect())
}

/// Starts all of it.
pub(super) fn start(
    running: &mut Running,
    (class, config): (&Class, &Cluster),
    (source, connection): (Source, &Connection),
    metrics: &Arc<Metrics>,
) {
    let installation = installation::name(&class.controller_name, &class.ingress_class);
    let (leading, leads) = watch::channel(false);
    let writer = Writer::new(
        connection,
        installation.clone(),
        EventSource {
            controller: class.controller_name.clone(),
            instance: config.instance.clone(),
        },
    );
    let counts = writer.counts();
    metrics.control().writes_are(move || counts.now());
    let settings = status::cluster::Settings {
        installation: installation::path(&class.controller_name, &class.ingress_class),
        publish: publish(config),
        update_status: config.update_status,
        writes_per_second: config.status_writes_per_second,
        burst: config.status_writes_burst,
    };
    let namespace = config.lease_namespace.as_deref();
    let namespace = namespace.unwrap_or_else(|| connection.namespace());
    let reports = Reports::new(
        connection,
        namespace.to_owned(),
        config.instance.clone(),
        &writer,
    );
    let (tell, told) = watch::channel(None);
    let (heard, others) = watch::channel(Others::new());
    let place = Place {
        replica: config.instance.clone(),
        installation: settings.installation.clone(),
        source: source.clone(),
        facts: FactReader::of_cluster(source.clone(), connection),
        leading: leads.clone(),
        others: others.clone(),
        service: config
            .publish_service
            .as_ref()
            .map(|it| (it.namespace.clone(), it.name.clone())),
    };
    let mut inputs = running.judge(metrics, place, tell);
    if settings.publish == Publish::Nodes {
        let (replica, by_name) = (config.instance.clone(), config.scope.namespace().is_none());
        let nodes = Nodes::new(connection, namespace.to_owned(), replica, by_name);
        let (found, addresses) = watch::channel(Vec::new());
        inputs.nodes = Some(addresses);
        running.spawn("finding nodes", find(nodes, leads.clone(), (others, found)));
    }
    running.spawn("telling other replicas", reports.clone().tell(told));
    let hearing = hear(reports, leads.clone(), heard);
    running.spawn("hearing other replicas", hearing);
    let write = status::cluster::run(settings, source, writer, inputs, leads.clone());
    running.spawn("writing statuses", write);
    running.spawn("the gauge of the leader", show(leads, Arc::clone(metrics)));
    let lease = leader::Settings::new(installation, namespace.to_owned(), config.instance.clone());
    let client = connection.requests();
    running.elect(|ending| leader::run(client, lease, leading, ending));
}

/// Hears what other replicas see, while leading.
async fn hear(reports: Reports, mut leads: watch::Receiver<bool>, heard: watch::Sender<Others>) {
    loop {
        if leads.wait_for(|leads| *leads).await.is_err() {
            return std::future::pending().await;
        }
        tokio::select! {
            () = reports.clone().watch(heard.clone()) => {}
            _ = leads.wait_for(|leads| !*leads) => {}
        }
        heard.send_replace(Others::new());
    }
}

/// Finds the nodes of replicas, while leading.
async fn find(
    nodes: Nodes,
    mut leads: watch::Receiver<bool>,
    (others, found): (watch::Receiver<Others>, watch::Sender<Vec<IpAddr>>),
) {
    loop {
        if leads.wait_for(|leads| *leads).await.is_err() {
            return std::future::pending().await;
        }
        tokio::select! {
            () = nodes.clone().watch(others.clone(), found.clone()) => {}
            _ = leads.wait_for(|leads| !*leads) => {}
        }
        found.send_replace(Vec::new());
    }
}

async fn show(mut leads: watch::Receiver<bool>, metrics: Arc<Metrics>) {
    loop {
        metrics.control().set_leader(*leads.borrow_and_update());
        if leads.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
