//! The sections that name other objects: in the namespace of their policy, and in no other.

use std::sync::Arc;

use k8s_openapi::api::networking::v1::{IngressServiceBackend, ServiceBackendPort};
use rustls_pki_types::ServerName;

use crate::api::policy::{GatewayPolicy, upstream as written};
use crate::api::rules::upstream as rules;
use crate::translate::names;

use super::{Section, Sections, obey};

/// The Service that stands in.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::translate) struct FallbackReference {
    pub(in crate::translate) namespace: Arc<str>,
    pub(in crate::translate) service: IngressServiceBackend,
}

/// What TLS is spoken with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::translate) struct TlsReference {
    /// Namespace and name of the ConfigMap with the certificates; absent: the system's roots.
    pub(in crate::translate) ca: Option<(Arc<str>, Arc<str>)>,
    pub(in crate::translate) server_name: Option<Arc<str>>,
}

/// What [`upstream_tls`] reads.
pub(in crate::translate) const UPSTREAM_TLS: &str = "upstreamTls";

impl Sections {
    /// The Service that stands in, where the policy names one.
    pub(in crate::translate) fn stand_in(&self) -> Option<&FallbackReference> {
        self.fallback.as_ref()?.as_ref()
    }

    /// Whether it says anything about TLS.
    pub(in crate::translate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The ConfigMap by which endpoints are to be verified.
    pub(in crate::translate) fn ca(&self) -> Option<&(Arc<str>, Arc<str>)> {
        self.tls.as_ref()?.as_ref()?.ca.as_ref()
    }
}

pub(super) fn fallback(policy: &GatewayPolicy) -> Section<Option<FallbackReference>> {
    let Some(section) = &policy.spec.fallback else {
        return Ok(None);
    };
    let written::Fallback { service } = section;
    let Some(written::ServiceReference { name, port }) = service else {
        return Ok(Some(None));
    };
    obey(rules::PORT, port)?;
    let written::PortReference {
        name: port_name,
        number,
    } = port;
    Ok(Some(Some(FallbackReference {
        namespace: names::namespace(&policy.metadata).into(),
        service: IngressServiceBackend {
            name: name.clone(),
            port: Some(ServiceBackendPort {
                name: port_name.clone(),
                number: *number,
            }),
        },
    })))
}

pub(super) fn upstream_tls(policy: &GatewayPolicy) -> Section<Option<TlsReference>> {
    let Some(section) = &policy.spec.upstream_tls else {
        return Ok(None);
    };
    let written::UpstreamTls {
        ca_config_map,
        server_name,
    } = section;
    obey(rules::UPSTREAM_TLS, section)?;
    if let Some(name) = server_name
        && ServerName::try_from(name.as_str()).is_err()
    {
        return Err(format!(
            "serverName: no certificate can have the name '{name}'"
        ));
    }
    let namespace = names::namespace(&policy.metadata);
    let ca = ca_config_map.as_ref();
    Ok(Some(Some(TlsReference {
        ca: ca.map(|it| (namespace.into(), it.name.as_str().into())),
        server_name: server_name.as_deref().map(Into::into),
    })))
}
