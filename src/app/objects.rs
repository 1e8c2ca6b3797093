//! Where the objects come from: a cluster or a directory, and the tasks that keep them up to date.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use crate::config::{Class, Cluster, HostOwnership, Scope};
use crate::dns;
use crate::routing::policy::AddressRules;
use crate::stores::cluster::{self, ConnectError, Connection};
use crate::stores::directory::{Directory, OpenError};
use crate::stores::{Source, installation};
use crate::translate;

use super::tasks::Tasks;

/// For finding out where the API server is; its name may need a DNS server that is not there yet.
const LOOKUP: Duration = Duration::from_secs(2);

/// What translation is told.
pub fn translation(class: &Class, origin: translate::Origin) -> translate::Settings {
    let secret = class.default_tls_secret.clone();
    translate::Settings {
        controller_name: class.controller_name.clone(),
        ingress_class: class.ingress_class.clone(),
        origin,
        host_ownership: match class.host_ownership {
            HostOwnership::Ingress => translate::HostOwnership::Ingress,
            HostOwnership::Namespace => translate::HostOwnership::Namespace,
        },
        allow_external_name: class.allow_external_name,
        default_tls_secret: secret.map(|secret| (secret.namespace, secret.name)),
        ..translate::Settings::default()
    }
}

/// What translation is told of a cluster, or of a part of it.
pub fn translation_of(class: &Class, scope: &Scope) -> translate::Settings {
    let class_source = match scope {
        Scope::Cluster { .. } => translate::ClassSource::Object,
        Scope::Namespace {
            class_policy,
            default_class,
            ..
        } => translate::ClassSource::Operator {
            is_default: *default_class,
            policy: class_policy
                .clone()
                .map(|policy| (policy.namespace, policy.name)),
        },
    };
    translate::Settings {
        class: class_source,
        secret_namespaces: scope.secrets().cloned(),
        ..translation(class, translate::Origin::Cluster)
    }
}

/// The manifests of a directory.
pub(super) fn of_directory(root: &Path, tasks: &mut Tasks) -> Result<Source, OpenError> {
    let (directory, source) = Directory::open(root)?;
    tasks.spawn("the watch on the directory", directory.run());
    Ok(source)
}

/// The objects of a cluster, and the way to it.
pub(super) async fn of_cluster(
    class: &Class,
    config: &Cluster,
    tasks: &mut Tasks,
) -> Result<(Source, Connection), ConnectError> {
    let connection = Connection::prepare(config.kubeconfig.clone()).await?;
    let published = config.publish_service.clone();
    let (source, watches) = connection.watch(cluster::Settings {
        namespace: config.scope.namespace().map(str::to_owned),
        secret_namespaces: config
            .scope
            .secrets()
            .map(|listed| listed.iter().cloned().collect()),
        published: published.map(|service| (service.namespace, service.name)),
        field_manager: installation::name(&class.controller_name, &class.ingress_class),
        patience: None,
    });
    tasks.spawn("the watches on the cluster", watches);
    Ok((source, connection))
}

/// What names this installation to itself: its name, and where it is at home. A gateway of another
/// cluster, or of another directory, may well stand before this one.
pub(super) fn identity(class: &Class, home: u64) -> String {
    let name = installation::name(&class.controller_name, &class.ingress_class);
    format!("{name}-{home:016x}")
}

/// In a cluster nobody may be led to the API server, to ourselves, or to loopback.
pub(super) async fn address_rules(connection: &Connection) -> AddressRules {
    let mut prohibited = BTreeSet::new();
    let server = connection.server();
    let port = server.port_u16().unwrap_or(443);
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    if let Ok(Ok(addresses)) = timeout(LOOKUP, dns::addresses(host, port)).await {
        prohibited.extend(addresses.iter().map(SocketAddr::ip));
    }
    let towards: Vec<IpAddr> = prohibited.iter().copied().collect();
    prohibited.extend(towards.into_iter().filter_map(own_address));
    AddressRules {
        allow_loopback: false,
        prohibited: prohibited.into_iter().collect(),
    }
}

/// The address from which packets to `peer` are sent. Nothing is sent to find out.
fn own_address(peer: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if peer.is_ipv4() {
        [0; 4].into()
    } else {
        [0; 16].into()
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((peer, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn towards_loopback_our_address_is_on_loopback_too() {
        let address = own_address([127, 0, 0, 1].into()).unwrap();
        assert!(address.is_loopback(), "{address}");
    }
}
