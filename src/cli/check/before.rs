//! What is compared with: the objects of a cluster, or of another directory.

use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::ListParams;

use crate::cli::Failure;
use crate::cli::kubectl::KubectlFlags;
use crate::config::Scope;
use crate::stores::View;
use crate::stores::directory::once::{self, Reading};
use crate::stores::reader::{Reader, Unread};

use super::files;

/// Stands for the cluster that kubectl talks to.
pub(super) const CLUSTER: &str = "cluster";

/// ConfigMaps that the controller reads have one of these.
const LABELS: [&str; 2] = ["bywash.dev/ca=true", "bywash.dev/error-pages=true"];

/// What is compared with.
pub(super) enum Before {
    /// A cluster, over which the files would be applied.
    Cluster {
        view: View,
        /// What of it could not be read, so that nothing is said about it.
        unread: Vec<String>,
        /// Where objects come that do not say so, as `kubectl apply` has it.
        namespace: String,
    },
    /// Files, which the others would replace.
    Directory(Reading),
}

impl Before {
    /// What of it could not be read.
    pub(super) fn unread(&self) -> &[String] {
        match self {
            Self::Cluster { unread, .. } => unread,
            Self::Directory(_) => &[],
        }
    }

    /// Where objects come that do not say so, if it decides that.
    pub(super) fn namespace(&self) -> Option<&str> {
        match self {
            Self::Cluster { namespace, .. } => Some(namespace),
            Self::Directory(_) => None,
        }
    }
}

/// The objects of a directory.
pub(super) fn directory(
    path: &Path,
    namespace: Option<&str>,
    scope: &Scope,
) -> Result<Before, Failure> {
    let texts = once::texts(path).map_err(|error| Failure::usage(&error))?;
    Ok(Before::Directory(files::read(&texts, namespace, scope)))
}

/// The objects of a cluster, as far as the controller reads them.
pub(super) async fn cluster(flags: &KubectlFlags, scope: &Scope) -> Result<Before, Failure> {
    let reader = flags.reader().await?;
    let namespace = scope.namespace().or(flags.namespace.as_deref());
    let mut unread = Vec::new();
    let ingresses = reader.list(namespace).await;
    // Without them nothing can be compared: that is no verdict on the files.
    let ingresses = ingresses.map_err(|error| Failure::usage(&error))?;
    let view = View {
        ingresses: shared(ingresses),
        classes: match scope {
            Scope::Cluster { .. } => shared(or_none(reader.list_all().await, &mut unread)),
            Scope::Namespace { .. } => Vec::new(),
        },
        services: shared(or_none(reader.list(namespace).await, &mut unread)),
        secrets: shared(or_none(secrets(&reader, namespace).await, &mut unread)),
        config_maps: shared(config_maps(&reader, namespace, &mut unread).await),
        policies: shared(or_none(reader.list(namespace).await, &mut unread)),
        ..View::default()
    };
    Ok(Before::Cluster {
        view,
        unread,
        namespace: reader.namespace().to_owned(),
    })
}

async fn secrets(reader: &Reader, namespace: Option<&str>) -> Result<Vec<Secret>, Unread> {
    let tls = ListParams::default().fields("type=kubernetes.io/tls");
    reader.selected(namespace, &tls).await
}

async fn config_maps(
    reader: &Reader,
    namespace: Option<&str>,
    unread: &mut Vec<String>,
) -> Vec<ConfigMap> {
    let mut found: Vec<ConfigMap> = Vec::new();
    for label in LABELS {
        let labelled = ListParams::default().labels(label);
        found.extend(or_none(reader.selected(namespace, &labelled).await, unread));
    }
    found
}

fn or_none<K>(read: Result<Vec<K>, Unread>, unread: &mut Vec<String>) -> Vec<K> {
    read.unwrap_or_else(|error| {
        let sentence = crate::cli::sentence(&error);
        if !unread.contains(&sentence) {
            unread.push(sentence);
        }
        Vec::new()
    })
}

fn shared<K>(objects: Vec<K>) -> Vec<Arc<K>> {
    objects.into_iter().map(Arc::new).collect()
}
