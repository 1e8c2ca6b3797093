//! The environment of a container, and what its command line takes from it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret, Service};
use kube::{Api, ResourceExt};

use super::{Host, Refused};
use crate::tenant::Kind;

/// What the Pod specifies, what there is of Services, and, beneath both, what the image says.
pub(super) async fn of(
    host: &Host,
    pod: &Pod,
    container: &Container,
    image: &[(String, String)],
) -> Result<BTreeMap<String, String>, Refused> {
    let mut environment: BTreeMap<_, _> = image.iter().cloned().collect();
    environment.insert("HOSTNAME".into(), pod.name_any());
    let links = pod.spec.as_ref().and_then(|spec| spec.enable_service_links);
    if links.unwrap_or(true) {
        for service in host.services(&pod.namespace().unwrap_or_default()).await? {
            environment.extend(links_to(&service));
        }
    }
    let api = host.api_server;
    environment.insert("KUBERNETES_SERVICE_HOST".into(), api.ip().to_string());
    environment.insert("KUBERNETES_SERVICE_PORT".into(), api.port().to_string());
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            Some(source) => resolve(host, pod, source).await?,
            None => Some(expand(
                variable.value.as_deref().unwrap_or(""),
                &environment,
            )),
        };
        if let Some(value) = value {
            environment.insert(variable.name.clone(), value);
        }
    }
    Ok(environment)
}

async fn resolve(host: &Host, pod: &Pod, source: &EnvVarSource) -> Result<Option<String>, Refused> {
    let namespace = pod.namespace().unwrap_or_default();
    if let Some(field) = &source.field_ref {
        return field_of(host, pod, &field.field_path).map(Some);
    }
    if let Some(key) = &source.config_map_key_ref {
        let found = get::<ConfigMap>(host, &namespace, &key.name, key.optional).await?;
        let value = found.and_then(|map| map.data?.remove(&key.key));
        return required(value, key.optional, &key.name, &key.key);
    }
    if let Some(key) = &source.secret_key_ref {
        let found = get::<Secret>(host, &namespace, &key.name, key.optional).await?;
        let value = found.and_then(|secret| secret.data?.remove(&key.key));
        let value = value.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned());
        return required(value, key.optional, &key.name, &key.key);
    }
    Err(Refused::config(format!("{source:?} is not known here")))
}

fn required(
    value: Option<String>,
    optional: Option<bool>,
    name: &str,
    key: &str,
) -> Result<Option<String>, Refused> {
    match value.is_none() && optional != Some(true) {
        true => Err(Refused::config(format!(
            "couldn't find key {key} in {name}"
        ))),
        false => Ok(value),
    }
}

/// An object that a Pod names, which may be optional.
pub(super) async fn get<K: Kind>(
    host: &Host,
    namespace: &str,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<K>, Refused> {
    let found = Api::<K>::namespaced(host.client.clone(), namespace)
        .get_opt(name)
        .await;
    match found.map_err(|error| Refused::config(error.to_string()))? {
        None if optional != Some(true) => {
            let kind = K::kind(&()).to_lowercase();
            Err(Refused::config(format!("{kind} \"{name}\" not found")))
        }
        found => Ok(found),
    }
}

/// What the downward API says of a Pod.
pub(super) fn field_of(host: &Host, pod: &Pod, path: &str) -> Result<String, Refused> {
    let spec = pod.spec.as_ref();
    if let Some((map, key)) = path.strip_suffix("']").and_then(|it| it.split_once("['")) {
        let value = match map {
            "metadata.labels" => pod.labels().get(key),
            "metadata.annotations" => pod.annotations().get(key),
            _ => return Err(Refused::config(format!("{path} is not known here"))),
        };
        return Ok(value.cloned().unwrap_or_default());
    }
    Ok(match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "spec.nodeName" => host.name.clone(),
        "spec.serviceAccountName" => spec
            .and_then(|spec| spec.service_account_name.clone())
            .unwrap_or_default(),
        "status.hostIP" | "status.hostIPs" => host.address.to_string(),
        "status.podIP" | "status.podIPs" => pod
            .status
            .as_ref()
            .and_then(|status| status.pod_ip.clone())
            .unwrap_or_default(),
        _ => return Err(Refused::config(format!("{path} is not known here"))),
    })
}

/// `EDGE_SERVICE_HOST` and what else says where a Service is.
fn links_to(service: &Service) -> Vec<(String, String)> {
    let upper = |name: &str| name.to_uppercase().replace('-', "_");
    let (name, spec) = (upper(&service.name_any()), service.spec.as_ref());
    let ip = spec
        .and_then(|spec| spec.cluster_ip.clone())
        .filter(|ip| ip != "None" && !ip.is_empty());
    let ports: Vec<_> = spec
        .iter()
        .flat_map(|spec| spec.ports.iter().flatten())
        .collect();
    let (Some(ip), Some(first)) = (ip, ports.first()) else {
        return Vec::new();
    };
    let mut links = vec![
        (format!("{name}_SERVICE_HOST"), ip.clone()),
        (format!("{name}_SERVICE_PORT"), first.port.to_string()),
        (format!("{name}_PORT"), format!("tcp://{ip}:{}", first.port)),
    ];
    for port in &ports {
        let (number, prefix) = (port.port, format!("{name}_PORT_{}_TCP", port.port));
        if let Some(port) = &port.name {
            links.push((
                format!("{name}_SERVICE_PORT_{}", upper(port)),
                number.to_string(),
            ));
        }
        links.push((prefix.clone(), format!("tcp://{ip}:{number}")));
        links.push((format!("{prefix}_PROTO"), "tcp".into()));
        links.push((format!("{prefix}_PORT"), number.to_string()));
        links.push((format!("{prefix}_ADDR"), ip.clone()));
    }
    links
}

/// `$(NAME)` is what the variable says, `$$` a dollar; what is not known stays as it is.
pub(super) fn expand(text: &str, environment: &BTreeMap<String, String>) -> String {
    let (mut expanded, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let reference = after.strip_prefix('(').and_then(|it| it.split_once(')'));
        rest = match (after.strip_prefix('$'), reference) {
            (Some(after), _) => {
                expanded.push('$');
                after
            }
            (None, Some((name, after))) if environment.contains_key(name) => {
                expanded.push_str(&environment[name]);
                after
            }
            _ => {
                expanded.push('$');
                after
            }
        };
    }
    expanded + rest
}
