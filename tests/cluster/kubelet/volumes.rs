//! The volumes of a Pod, as directories.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, ServiceAccount,
    ServiceAccountTokenProjection, Volume, VolumeProjection,
};
use kube::api::PostParams;
use kube::{Api, ResourceExt};

use super::environment::{field_of, get};
use super::{Host, Refused};

type Files = BTreeMap<String, Vec<u8>>;

/// Each volume by its name, made below this directory.
pub(super) async fn make(
    host: &Host,
    pod: &Pod,
    directory: &Path,
) -> Result<BTreeMap<String, PathBuf>, Refused> {
    let mut made = BTreeMap::new();
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    for volume in volumes {
        let own = directory.join(&volume.name);
        fs::create_dir_all(&own).expect("a directory for a volume");
        for (path, content) in files(host, pod, volume).await? {
            let file = own.join(path);
            let parent = file.parent().expect("a directory for a file");
            fs::create_dir_all(parent).expect("a directory for a file");
            fs::write(&file, content).expect("a file of a volume");
        }
        made.insert(volume.name.clone(), own);
    }
    Ok(made)
}

async fn files(host: &Host, pod: &Pod, volume: &Volume) -> Result<Files, Refused> {
    let source = VolumeSource { host, pod };
    if volume.empty_dir.is_some() {
        return Ok(Files::new());
    }
    if let Some(it) = &volume.config_map {
        return source
            .config_map(&it.name, it.optional, it.items.as_deref())
            .await;
    }
    if let Some(it) = &volume.secret {
        let name = it.secret_name.as_deref().unwrap_or_default();
        return source.secret(name, it.optional, it.items.as_deref()).await;
    }
    if let Some(it) = &volume.downward_api {
        return source.fields(it.items.iter().flatten());
    }
    if let Some(projected) = &volume.projected {
        let mut files = Files::new();
        for projection in projected.sources.iter().flatten() {
            files.extend(source.projection(projection).await?);
        }
        return Ok(files);
    }
    Err(Refused::config(format!(
        "the volume {} is of a kind not known here",
        volume.name
    )))
}

struct VolumeSource<'a> {
    host: &'a Host,
    pod: &'a Pod,
}

impl VolumeSource<'_> {
    fn namespace(&self) -> String {
        self.pod.namespace().unwrap_or_default()
    }

    async fn projection(&self, source: &VolumeProjection) -> Result<Files, Refused> {
        if let Some(it) = &source.service_account_token {
            return self.token(it).await;
        }
        if let Some(it) = &source.config_map {
            return self
                .config_map(&it.name, it.optional, it.items.as_deref())
                .await;
        }
        if let Some(it) = &source.secret {
            return self
                .secret(&it.name, it.optional, it.items.as_deref())
                .await;
        }
        if let Some(it) = &source.downward_api {
            return self.fields(it.items.iter().flatten());
        }
        Err(Refused::config(format!("{source:?} is not known here")))
    }

    async fn config_map(
        &self,
        name: &str,
        optional: Option<bool>,
        items: Option<&[KeyToPath]>,
    ) -> Result<Files, Refused> {
        let map = get::<ConfigMap>(self.host, &self.namespace(), name, optional).await?;
        let map = map.unwrap_or_default();
        let text = map
            .data
            .unwrap_or_default()
            .into_iter()
            .map(|(key, it)| (key, it.into_bytes()));
        let binary = map
            .binary_data
            .unwrap_or_default()
            .into_iter()
            .map(|(key, it)| (key, it.0));
        Ok(chosen(text.chain(binary).collect(), items))
    }

    async fn secret(
        &self,
        name: &str,
        optional: Option<bool>,
        items: Option<&[KeyToPath]>,
    ) -> Result<Files, Refused> {
        let secret = get::<Secret>(self.host, &self.namespace(), name, optional).await?;
        let data = secret.and_then(|it| it.data).unwrap_or_default();
        Ok(chosen(
            data.into_iter().map(|(key, it)| (key, it.0)).collect(),
            items,
        ))
    }

    fn fields<'a>(
        &self,
        items: impl Iterator<Item = &'a DownwardAPIVolumeFile>,
    ) -> Result<Files, Refused> {
        let file = |item: &DownwardAPIVolumeFile| {
            let field = item.field_ref.as_ref().map_or("", |it| &it.field_path);
            let value = field_of(self.host, self.pod, field)?;
            Ok((item.path.clone(), value.into_bytes()))
        };
        items.map(file).collect()
    }

    /// Bound to the Pod, as every kubelet asks for it.
    async fn token(&self, wanted: &ServiceAccountTokenProjection) -> Result<Files, Refused> {
        let spec = self.pod.spec.as_ref();
        let account = spec
            .and_then(|spec| spec.service_account_name.as_deref())
            .unwrap_or("default");
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: wanted.audience.iter().cloned().collect(),
                expiration_seconds: wanted.expiration_seconds,
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".into()),
                    kind: Some("Pod".into()),
                    name: self.pod.metadata.name.clone(),
                    uid: self.pod.uid(),
                }),
            },
            ..TokenRequest::default()
        };
        let api = Api::<ServiceAccount>::namespaced(self.host.client.clone(), &self.namespace());
        let issued = api
            .create_token_request(account, &PostParams::default(), &request)
            .await;
        let issued = issued.map_err(|error| Refused::config(error.to_string()))?;
        let token = issued.status.map(|status| status.token).unwrap_or_default();
        Ok(Files::from([(wanted.path.clone(), token.into_bytes())]))
    }
}

/// All, or those that are named, under the paths that are given for them.
fn chosen(mut all: Files, items: Option<&[KeyToPath]>) -> Files {
    match items {
        None => all,
        Some(items) => {
            let chosen = items.iter();
            chosen
                .filter_map(|item| Some((item.path.clone(), all.remove(&item.key)?)))
                .collect()
        }
    }
}
