//! Reading with the rights of whoever runs a command: no watch, nothing kept, nothing written.
//!
//! People rarely have all the rights that the controller has. What they may not read is no failure of
//! the whole: it is said, in a line that names the right, and the rest is read all the same.

use std::fmt::Debug;
use std::path::PathBuf;

use http::StatusCode;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use kube::client::UpgradeConnectionError;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};

pub mod review;

use super::cluster::{ConnectError, Connection, resource};

/// As whom which cluster is read.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Which kubeconfig; absent: the usual places.
    pub kubeconfig: Option<PathBuf>,
    /// Which of its contexts; absent: the current one.
    pub context: Option<String>,
    /// The user to be, for those who may.
    pub impersonate: Option<String>,
    /// The groups to be in then.
    pub groups: Vec<String>,
}

/// Reads objects of a cluster.
#[derive(Clone)]
pub struct Reader {
    requests: Client,
    streams: Client,
    namespace: String,
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// A right is missing.
    #[error("you may not {verb} {resource}{place}")]
    Forbidden {
        /// As a role names it.
        verb: &'static str,
        /// As a role names it.
        resource: String,
        /// Where, in words; empty for a kind without a namespace.
        place: String,
    },
    /// The cluster does not have the kind.
    #[error("the cluster has no {0}")]
    NoSuchKind(String),
    /// There is no way to a Pod through the API server.
    #[error("the API server opens no way to pod {0}")]
    NoWay(String, #[source] Option<Box<kube::Error>>),
    /// The server did not answer, or not as it should.
    #[error("the API server did not answer for {resource}")]
    Failed {
        /// What was asked for.
        resource: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
}

/// Where something is, in words.
fn place(namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!(" in namespace {namespace}"),
        None => " in all namespaces".to_owned(),
    }
}

impl Access {
    pub(super) async fn config(&self) -> Result<kube::Config, ConnectError> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        let fails =
            |error: Box<dyn std::error::Error + Send + Sync>| ConnectError::Configuration(error);
        let mut config = match &self.kubeconfig {
            Some(file) => {
                let kubeconfig = Kubeconfig::read_from(file).map_err(|e| fails(e.into()))?;
                let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
                config.map_err(|e| fails(e.into()))?
            }
            None if self.context.is_some() => {
                let config = kube::Config::from_kubeconfig(&options).await;
                config.map_err(|e| fails(e.into()))?
            }
            None => kube::Config::infer().await.map_err(|e| fails(e.into()))?,
        };
        if let Some(user) = &self.impersonate {
            config.auth_info.impersonate = Some(user.clone());
            config.auth_info.impersonate_groups = Some(self.groups.clone());
        }
        Ok(config)
    }
}

impl Reader {
    /// A reader with this access. Does not talk to the server yet.
    ///
    /// # Errors
    /// When there is no usable configuration.
    pub async fn connect(access: &Access) -> Result<Self, ConnectError> {
        Ok(Self::of(&Connection::with(access.config().await?)?))
    }

    /// A reader over connections that were prepared.
    pub fn of(connection: &Connection) -> Self {
        Self {
            requests: connection.requests(),
            streams: connection.streams(),
            namespace: connection.namespace().to_owned(),
        }
    }

    /// The namespace of the context.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// All objects of a kind, in a namespace or in all.
    pub async fn list<K>(&self, namespace: Option<&str>) -> Result<Vec<K>, Unread>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned,
    {
        let api = match namespace {
            Some(namespace) => Api::namespaced(self.requests.clone(), namespace),
            None => Api::all(self.requests.clone()),
        };
        list(api, &ListParams::default(), place(namespace)).await
    }

    /// Those of them that a selector of labels, or of fields, takes.
    pub async fn selected<K>(
        &self,
        namespace: Option<&str>,
        selected: &ListParams,
    ) -> Result<Vec<K>, Unread>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned,
    {
        let api = match namespace {
            Some(namespace) => Api::namespaced(self.requests.clone(), namespace),
            None => Api::all(self.requests.clone()),
        };
        list(api, selected, place(namespace)).await
    }

    /// Those of them that are about objects of these kinds: the Events of a namespace are many.
    pub async fn events(&self, namespace: Option<&str>, kind: &str) -> Result<Vec<Event>, Unread> {
        let api = match namespace {
            Some(namespace) => Api::namespaced(self.requests.clone(), namespace),
            None => Api::all(self.requests.clone()),
        };
        let params = ListParams::default().fields(&format!("involvedObject.kind={kind}"));
        list(api, &params, place(namespace)).await
    }

    /// All objects of a kind without a namespace.
    pub async fn list_all<K>(&self) -> Result<Vec<K>, Unread>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        list(
            Api::all(self.requests.clone()),
            &ListParams::default(),
            String::new(),
        )
        .await
    }

    /// The names of the objects of a kind in a namespace, or of those that a selector of labels takes.
    pub async fn names<K>(
        &self,
        namespace: &str,
        labels: Option<&str>,
    ) -> Result<Vec<String>, Unread>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.requests.clone(), namespace);
        let params = ListParams {
            label_selector: labels.map(str::to_owned),
            ..ListParams::default()
        };
        let found = api.list_metadata(&params).await;
        let found = found.map_err(|error| unread::<K>(error, "list", place(Some(namespace))))?;
        let names = found.items.into_iter();
        Ok(names.filter_map(|object| object.metadata.name).collect())
    }

    /// A byte stream to a port of a Pod, as `kubectl port-forward` opens it.
    pub async fn forward(
        &self,
        (namespace, pod): (&str, &str),
        port: u16,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static, Unread> {
        let pods = Api::<Pod>::namespaced(self.streams.clone(), namespace);
        let fails = |error| match error {
            kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(
                StatusCode::FORBIDDEN,
            )) => Unread::Forbidden {
                verb: "create",
                resource: "pods/portforward".to_owned(),
                place: place(Some(namespace)),
            },
            error => Unread::NoWay(format!("{namespace}/{pod}"), Some(Box::new(error))),
        };
        let mut forwarder = pods.portforward(pod, &[port]).await.map_err(fails)?;
        let stream = forwarder.take_stream(port);
        stream.ok_or_else(|| Unread::NoWay(format!("{namespace}/{pod}"), None))
    }
}

impl Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

async fn list<K>(api: Api<K>, params: &ListParams, place: String) -> Result<Vec<K>, Unread>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let found = api.list(params).await;
    let found = found.map_err(|error| unread::<K>(error, "list", place))?;
    Ok(found.items)
}

fn unread<K: Resource<DynamicType = ()>>(
    error: kube::Error,
    verb: &'static str,
    place: String,
) -> Unread {
    let resource = resource::<K>();
    match &error {
        kube::Error::Api(status) if status.code == 403 => Unread::Forbidden {
            verb,
            resource,
            place,
        },
        kube::Error::Api(status) if status.code == 404 => Unread::NoSuchKind(resource),
        _ => Unread::Failed {
            resource,
            source: Box::new(error),
        },
    }
}
