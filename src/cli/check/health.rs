//! `bywash check` without files: is the cluster ready, is the installation healthy?
//!
//! Everything is read with the rights of whoever asks; what these do not show is said, and is no failure.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use crate::api::crd;
use crate::cli::sentence;
use crate::config::Class;
use crate::stores::installation;
use crate::stores::reader::{Reader, Unread};

use super::item::Item;

mod rights;

/// The oldest Kubernetes that is supported.
const OLDEST: (u32, u32) = (1, 33);

/// A report that is older, in seconds, is of a replica that is gone: they write at least each minute.
const OLD_REPORT: u64 = 150;

const DEFINE: &str = "bywash crds | kubectl apply --server-side --force-conflicts -f -";

/// Which installation.
pub(super) struct Installation {
    pub(super) class: Class,
    /// The one namespace that it reads; absent: all.
    pub(super) watched: Option<String>,
    /// Where its replicas run.
    pub(super) namespace: String,
    /// Its service account.
    pub(super) account: String,
}

/// Whether a cluster is ready for an installation.
pub(super) async fn before(reader: &Reader, here: &Installation) -> Vec<Item> {
    let mut items = vec![version(reader).await];
    items.push(match reader.definition(crd::NAME).await {
        Ok(None) => Item::ok(
            "definition",
            "GatewayPolicy is not defined yet, as before a first installation",
        ),
        found => definition(found),
    });
    items.extend(rights::to_install(reader, here).await);
    items
}

/// Whether an installation is healthy.
pub(super) async fn after(reader: &Reader, here: &Installation) -> Vec<Item> {
    let mut items = vec![version(reader).await];
    items.push(definition(reader.definition(crd::NAME).await));
    items.push(rights::of_account(reader, here).await);
    let watched = here.watched.as_deref();
    items.push(match watched {
        Some(namespace) => by_name(namespace, &here.class.ingress_class),
        None => class(reader.list_all::<IngressClass>().await, &here.class),
    });
    let ingresses = reader.list::<Ingress>(watched).await;
    items.push(addresses(ingresses, &here.class.ingress_class));
    let name = installation::name(&here.class.controller_name, &here.class.ingress_class);
    let leases = reader.list::<Lease>(Some(&here.namespace)).await;
    items.push(leader(leases, &name, Timestamp::now()));
    items.push(replicas(reader, (&here.namespace, &name)).await);
    items
}

fn unread(name: &'static str, error: &Unread) -> Item {
    let message = format!("this cannot be looked at: {}", sentence(error));
    Item::warning(name, message, "ask somebody with that right, or use --as")
}

async fn version(reader: &Reader) -> Item {
    match reader.version().await {
        Ok((major, minor)) if (major, minor) >= OLDEST => Item::ok(
            "version",
            format!("the cluster runs Kubernetes {major}.{minor}"),
        ),
        Ok((major, minor)) => {
            let message = format!("the cluster runs Kubernetes {major}.{minor}, which is too old");
            let (major, minor) = OLDEST;
            Item::failed(
                "version",
                message,
                &format!("upgrade it to {major}.{minor} or later"),
            )
        }
        Err(error) => Item::failed(
            "version",
            sentence(&error),
            "look whether kubectl version answers",
        ),
    }
}

fn definition(found: Result<Option<CustomResourceDefinition>, Unread>) -> Item {
    const NAME: &str = "definition";
    let found = match found {
        Ok(Some(found)) => found,
        Ok(None) => {
            return Item::failed(
                NAME,
                "GatewayPolicy is not defined: no policy has an effect",
                DEFINE,
            );
        }
        Err(error) => return unread(NAME, &error),
    };
    let wanted = serde_json::from_value::<CustomResourceDefinition>(crd::definition());
    let Ok(wanted) = wanted else {
        return Item::failed(
            NAME,
            "the definition of this program cannot be read",
            DEFINE,
        );
    };
    let mut versions = wanted.spec.versions.iter();
    let Some(wanted) = versions.next() else {
        return Item::failed(
            NAME,
            "the definition of this program has no version",
            DEFINE,
        );
    };
    let mut versions = found.spec.versions.iter();
    let Some(version) = versions.find(|it| it.name == wanted.name && it.served) else {
        let message = format!("GatewayPolicy is not served in version {}", wanted.name);
        return Item::failed(NAME, message, DEFINE);
    };
    if version.schema != wanted.schema {
        let message = "the definition of GatewayPolicy is of another version than this program: fields may be refused or dropped";
        return Item::warning(NAME, message, DEFINE);
    }
    Item::ok(
        NAME,
        format!(
            "GatewayPolicy is defined as this program knows it ({})",
            wanted.name
        ),
    )
}

/// Where one namespace is all that is read, no IngressClass is.
fn by_name(namespace: &str, class: &str) -> Item {
    let message = format!(
        "Ingresses of namespace {namespace} are served that name {class}: no IngressClass is needed"
    );
    Item::ok("class", message)
}

fn class(classes: Result<Vec<IngressClass>, Unread>, class: &Class) -> Item {
    const NAME: &str = "class";
    let wanted = &class.ingress_class;
    let classes = match classes {
        Ok(classes) => classes,
        Err(error) => return unread(NAME, &error),
    };
    let found = classes
        .iter()
        .find(|it| it.metadata.name.as_ref() == Some(wanted));
    let Some(found) = found else {
        let message = format!(
            "there is no IngressClass {wanted}: nothing is served, but where --watch-namespace is"
        );
        return Item::failed(
            NAME,
            message,
            "create it, or name the right one with --ingress-class, or the one namespace with --watch-namespace",
        );
    };
    let controller = found
        .spec
        .as_ref()
        .and_then(|spec| spec.controller.as_deref());
    let controller = controller.unwrap_or_default();
    match controller == class.controller_name {
        true => Item::ok(
            NAME,
            format!("the IngressClass {wanted} is that of {controller}"),
        ),
        false => Item::failed(
            NAME,
            format!(
                "the IngressClass {wanted} is that of {controller}: its Ingresses are not served here"
            ),
            "delete it and create it anew with this controller, or name yours with --controller-name",
        ),
    }
}

fn addresses(ingresses: Result<Vec<Ingress>, Unread>, class: &str) -> Item {
    const NAME: &str = "address";
    let ingresses = match ingresses {
        Ok(ingresses) => ingresses,
        Err(error) => return unread(NAME, &error),
    };
    let ours = ingresses.iter().filter(|ingress| {
        let spec = ingress.spec.as_ref();
        spec.and_then(|spec| spec.ingress_class_name.as_deref()) == Some(class)
    });
    let (with, without): (Vec<&Ingress>, Vec<&Ingress>) = ours.partition(|ingress| {
        let status = ingress
            .status
            .as_ref()
            .and_then(|it| it.load_balancer.as_ref());
        let points = status.and_then(|it| it.ingress.as_ref());
        points.is_some_and(|points| !points.is_empty())
    });
    let Some(first) = without.first() else {
        return match with.len() {
            0 => Item::ok(
                NAME,
                format!(
                    "there is no Ingress of class {class} yet that an address could be published on"
                ),
            ),
            number => Item::ok(
                NAME,
                format!(
                    "an address is published on {}",
                    super::text::several(number, "Ingress", "Ingresses")
                ),
            ),
        };
    };
    let meta = &first.metadata;
    let example = format!(
        "{}/{}",
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default()
    );
    let message = format!(
        "no address is published on {}, such as {example}",
        super::text::several(without.len(), "Ingress", "Ingresses")
    );
    Item::failed(
        NAME,
        message,
        "give the controller --publish-service, --publish-address or --publish-node-addresses, and look whether the Service has an address",
    )
}

fn leader(leases: Result<Vec<Lease>, Unread>, name: &str, now: Timestamp) -> Item {
    const NAME: &str = "leader";
    let leases = match leases {
        Ok(leases) => leases,
        Err(error) => return unread(NAME, &error),
    };
    let lease = leases
        .into_iter()
        .find(|it| it.metadata.name.as_deref() == Some(name));
    let next = "look at the Pods of the controller and their log; --controller-namespace says where they run";
    let Some(spec) = lease.and_then(|lease| lease.spec) else {
        return Item::failed(
            NAME,
            format!("there is no Lease {name}: no replica has run here"),
            next,
        );
    };
    let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
    let Some(holder) = holder else {
        return Item::failed(NAME, "no replica leads: statuses are not written", next);
    };
    let lasts = SignedDuration::from_secs(spec.lease_duration_seconds.unwrap_or_default().into());
    let renewed = spec.renew_time.map(|time| time.0);
    match renewed.is_some_and(|renewed| now.duration_since(renewed) <= lasts) {
        true => Item::ok(NAME, format!("{holder} leads")),
        false => Item::failed(
            NAME,
            format!("{holder} led and has not renewed its Lease: statuses are not written"),
            next,
        ),
    }
}

async fn replicas(reader: &Reader, (namespace, name): (&str, &str)) -> Item {
    const NAME: &str = "replicas";
    let reports = match reader.reports(namespace, name).await {
        Ok(reports) => reports,
        Err(error) => return unread(NAME, &error),
    };
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
    let fresh = reports
        .iter()
        .filter(|it| now.saturating_sub(it.time) <= OLD_REPORT);
    let fresh: Vec<_> = fresh.collect();
    let versions: BTreeSet<&str> = fresh.iter().map(|it| it.policies.as_str()).collect();
    let next = "wait a few seconds (--wait 30s); if it stays, look at the log of the replica that is behind";
    match (fresh.len(), versions.len()) {
        (0, _) => Item::warning(
            NAME,
            "no replica tells what it serves",
            "a replica without a Pod tells nobody; else look at its rights (docs/rbac.md)",
        ),
        (number, 1) => Item::ok(
            NAME,
            format!(
                "{} serve the same policies",
                super::text::several(number, "replica", "replicas")
            ),
        ),
        (number, _) => {
            let versions: Vec<String> = fresh
                .iter()
                .map(|it| format!("{} at {}", it.replica, it.policies))
                .collect();
            Item::failed(
                NAME,
                format!(
                    "of {number} replicas not all serve the same policies: {}",
                    versions.join(", ")
                ),
                next,
            )
        }
    }
}
