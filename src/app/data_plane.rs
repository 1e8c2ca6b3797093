//! Starting the data plane, before there is anything to serve.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::{Config, RuntimeKind};
use crate::failure::Cause;
use crate::proxy::handler::{Gateway, Observers};
use crate::proxy::serving::Serving;
use crate::proxy::{self, DataPlane};
use crate::routing::host::HostPattern;
use crate::routing::policy::{AddressRules, Policy};
use crate::routing::snapshot::{IngressName, Route, Snapshot, Target, VirtualHost};
use crate::telemetry::failures::Failures;
use crate::upstream::registry::{self, Registry};

use super::serving::Joiner;
use super::telemetry::Telemetry;

/// Binds its ports and starts its workers. What they serve can be replaced in the cell.
pub(super) fn start(
    config: &Config,
    (telemetry, failures): (&Telemetry, Failures),
    (address_rules, identity): (AddressRules, &str),
) -> io::Result<(Joiner, DataPlane, Arc<ArcSwap<Serving>>)> {
    let metrics = &telemetry.metrics;
    let registry = Registry::new(registry::Settings {
        workers: config.workers.get(),
        address_rules,
        metrics: Arc::clone(metrics),
    });
    let joiner = Joiner {
        registry: Arc::clone(&registry),
        metrics: Arc::clone(metrics),
    };
    let nothing = Serving::nothing(metrics);
    let in_force = Arc::new(ArcSwap::from_pointee(joiner.join(&unknown(), &nothing)));
    let settings = settings(config);
    let gateway = Gateway::new(
        (&settings, identity),
        Arc::clone(&in_force),
        registry,
        Arc::clone(metrics),
        Observers {
            access_log: telemetry.access_log.clone(),
            failures,
            traces: telemetry.traces.clone(),
        },
    );
    let data_plane = DataPlane::start(&settings, gateway)?;
    Ok((joiner, data_plane, in_force))
}

fn settings(config: &Config) -> proxy::Settings {
    proxy::Settings {
        http: config.listen.http,
        https: config.listen.https,
        workers: config.workers,
        runtime: match config.runtime {
            RuntimeKind::PerCore => proxy::RuntimeKind::PerCore,
            RuntimeKind::Shared => proxy::RuntimeKind::Shared,
        },
        trusted_proxies: config.clients.trusted_proxies.clone(),
        client_keepalive: config.clients.keepalive,
        client_header_timeout: config.clients.header_timeout,
        client_body_timeout: config.clients.body_timeout,
        ..proxy::Settings::default()
    }
}

/// What is served before anything is known: 503 for every request, because 404 would say that there
/// is no such route.
fn unknown() -> Snapshot {
    let route = Route {
        ingress: IngressName {
            namespace: "".into(),
            name: "".into(),
        },
        target: Target::Unavailable {
            cause: Cause::NoEndpoints,
            service: None,
        },
        policy: Arc::new(Policy::default()),
        fallback: None,
    };
    let host = VirtualHost {
        default: Some(Arc::new(route)),
        ..VirtualHost::default()
    };
    Snapshot {
        hosts: BTreeMap::from([(HostPattern::Any, host)]),
        ..Snapshot::default()
    }
}
