//! Objects from a cluster: one watch per kind, and the only place where a client is made.
//!
//! Each watch recovers by itself, for ever: an API server that is away, refuses, or forgets the
//! version that we are at costs log lines, never objects. What is known stays until a complete new
//! list replaces it. Every kind is watched as `DeserializeGuard`, so that one object that cannot be
//! decoded is one finding, not the end of its kind.
//!
//! Only Secrets of type `kubernetes.io/tls` are asked for, by field selector: the server never sends
//! us another one. Asking for single Secrets of other types, to tell "of the wrong type" from
//! "absent", would cost the right to `get` and a read per missing name; the finding names both
//! possibilities instead. Of ConfigMaps, only those with one of our labels are asked for, in the same
//! way.
//!
//! Where one namespace is all that is watched, no IngressClass is: nothing that has no namespace is read.

mod client;
mod optional;
mod scattered;
mod trouble;

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::installation::stable_hash;
use super::reader::Access;
use super::shelf::Watched;
use super::{Feed, Source, ownership, source};
use crate::api::metadata::CA;
use crate::api::policy::GatewayPolicy;
use trouble::Trouble;

pub(super) use trouble::resource;

/// After which the server ends a watch, and we resume it, in seconds. A connection that died without
/// a word is noticed this much later at the latest.
const WATCH_SECONDS: u32 = 110;

/// Without a byte on a connection of a watch; longer than the server lets a watch last.
const WATCH_SILENCE: Duration = Duration::from_secs(150);

/// Without a byte of the answer to a request that is not a watch. Shorter than the time for which a
/// Lease is still valid after it should have been renewed.
const REQUEST_SILENCE: Duration = Duration::from_secs(4);

/// The only Secrets that are asked for.
const TLS_SECRETS: &str = "type=kubernetes.io/tls";

/// What is watched.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Only this namespace, and no IngressClass; absent: all.
    pub namespace: Option<String>,
    /// Where alone Secrets are watched; absent: wherever the other kinds are.
    pub secret_namespaces: Option<Vec<String>>,
    /// Namespace and name of the Service whose addresses are published; watched on its own if it is
    /// outside `namespace`.
    pub published: Option<(String, String)>,
    /// Our own field manager. Of `managedFields`, only its entry for the addresses of an Ingress or the
    /// conditions of a policy is kept, as the evidence that we wrote them.
    pub field_manager: String,
    /// For how long a kind that was never read may be refused before we begin without it, if not as usual.
    pub patience: Option<Duration>,
}

/// Connections to one API server.
#[derive(Clone)]
pub struct Connection {
    /// For watches, which may be silent for long.
    watches: Client,
    /// For requests that are answered at once.
    requests: Client,
    server: http::Uri,
    namespace: String,
    cluster: u64,
}

/// There is no usable configuration for a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig, or the service account's files, cannot be used.
    #[error("no usable configuration for a cluster")]
    Configuration(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What they say cannot be made into a client.
    #[error("the configuration for the cluster does not make a client")]
    Client(#[source] Box<kube::Error>),
}

impl Connection {
    /// Prepares connections as a kubeconfig says, or, without one, `KUBECONFIG`, the default file,
    /// or the Pod's service account. Does not talk to the server yet.
    pub async fn prepare(kubeconfig: Option<PathBuf>) -> Result<Self, ConnectError> {
        let access = Access {
            kubeconfig,
            ..Access::default()
        };
        Self::with(access.config().await?)
    }

    /// Prepares connections as `config` says.
    pub fn with(config: kube::Config) -> Result<Self, ConnectError> {
        let prepare = |silence, reset| {
            let mut config = config.clone();
            config.connect_timeout = Some(REQUEST_SILENCE);
            config.read_timeout = Some(silence);
            config.reset_reader_on_write = reset;
            // Whoever asks tries again by itself, and has to know at once when it did not work.
            config.default_retry = false;
            client::of(config).map_err(|e| ConnectError::Client(Box::new(e)))
        };
        Ok(Self {
            watches: prepare(WATCH_SILENCE, false)?,
            requests: prepare(REQUEST_SILENCE, true)?,
            server: config.cluster_url.clone(),
            namespace: config.default_namespace.clone(),
            cluster: cluster(&config),
        })
    }

    /// Where the API server is.
    pub fn server(&self) -> &http::Uri {
        &self.server
    }

    /// What tells this cluster from others, the same for all replicas.
    pub fn cluster(&self) -> u64 {
        self.cluster
    }

    /// The namespace of our Pod, or of the kubeconfig's context.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// For the Lease: a client whose requests fail within seconds when the server does not answer.
    pub fn requests(&self) -> Client {
        self.requests.clone()
    }

    /// For streams that may be silent for long.
    pub fn streams(&self) -> Client {
        self.watches.clone()
    }

    /// The objects of the cluster, and the watches that keep them up to date while they are polled.
    pub fn watch(&self, settings: Settings) -> (Source, impl Future<Output = ()> + Send + 'static) {
        let (feed, source) = source();
        let client = self.watches.clone();
        (source, run(client, settings, Arc::new(feed)))
    }
}

/// Clusters share names and address ranges, but each has certificate authorities of its own.
fn cluster(config: &kube::Config) -> u64 {
    match &config.root_cert {
        Some(authorities) => stable_hash(authorities.iter().map(Vec::as_slice)),
        None => stable_hash([config.cluster_url.to_string().as_bytes()]),
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("server", &self.server)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

async fn run(client: Client, settings: Settings, feed: Arc<Feed>) {
    let manager: Arc<str> = settings.field_manager.into();
    let namespace = settings.namespace.as_deref();
    let patience = settings.patience.unwrap_or(optional::PATIENCE);
    let mut watches = JoinSet::new();
    macro_rules! watch {
        ($api:expr, $config:expr) => {
            watch!($api, $config, |_, _, _| {})
        };
        ($api:expr, $config:expr, $refused:expr) => {{
            let (feed, scope) = (Arc::clone(&feed), settings.namespace.clone());
            let trouble = Trouble::new(scope, Arc::clone(&feed));
            let take = move |news: News<_>| match news {
                Ok(event) => feed.apply(event),
                Err(error) => $refused(&feed, error, patience),
            };
            watches.spawn(follow($api, $config, Arc::clone(&manager), trouble, take));
        }};
    }
    watch!(scoped::<Ingress>(&client, namespace), config());
    match namespace {
        Some(_) => feed.has_no_classes(),
        None => watch!(
            Api::<DeserializeGuard<IngressClass>>::all(client.clone()),
            config()
        ),
    }
    watch!(scoped::<Service>(&client, namespace), config());
    watch!(scoped::<EndpointSlice>(&client, namespace), config());
    match &settings.secret_namespaces {
        Some(listed) => {
            feed.lists_secrets_of(listed);
            for namespace in listed {
                let to = (Arc::clone(&feed), Arc::clone(&manager), patience);
                watches.spawn(scattered::follow_secrets(
                    client.clone(),
                    namespace.clone(),
                    to,
                ));
            }
        }
        None => watch!(
            scoped::<Secret>(&client, namespace),
            config().fields(TLS_SECRETS)
        ),
    }
    watch!(
        scoped::<ConfigMap>(&client, namespace),
        config().labels(&format!("{CA}=true")),
        optional::do_without_config_maps
    );
    watches.spawn(scattered::follow_pages(
        scoped::<ConfigMap>(&client, namespace),
        (Arc::clone(&manager), settings.namespace.clone()),
        (Arc::clone(&feed), patience),
    ));
    watch!(
        scoped::<GatewayPolicy>(&client, namespace),
        config(),
        optional::do_without_policies
    );
    if let (Some(watched), Some(published)) = (namespace, settings.published)
        && watched != published.0
    {
        watches.spawn(scattered::follow_published(
            client,
            published,
            (feed, manager),
        ));
    }
    while watches.join_next().await.is_some() {}
}

/// What a watch says.
type News<'a, K> = Result<Event<DeserializeGuard<K>>, &'a watcher::Error>;

fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS)
}

fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<DeserializeGuard<K>>
where
    K: Watched + Resource<Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Follows one watch for ever.
async fn follow<K>(
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
    manager: Arc<str>,
    mut trouble: Trouble,
    take: impl Fn(News<'_, K>),
) where
    K: Watched + DeserializeOwned + std::fmt::Debug,
{
    let events = watcher(api, config)
        .modify(|object| trim(object, &manager))
        .default_backoff();
    let mut events = pin!(events);
    loop {
        match events.try_next().await {
            Ok(Some(Event::Init)) => take(Ok(Event::Init)),
            Ok(Some(event)) => {
                trouble.over::<K>();
                take(Ok(event));
            }
            Err(error) => {
                trouble.met::<K>(&error);
                take(Err(&error));
            }
            Ok(None) => return,
        }
    }
}

/// Drops what nobody reads and what would make up most of the memory.
fn trim<K: Resource>(object: &mut K, manager: &str) {
    let meta = object.meta_mut();
    ownership::trim(meta, manager);
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

#[cfg(test)]
mod tests;
