//! What an Ingress claims: hosts, paths, TLS and default backends, taken apart and checked.
//!
//! A rule that cannot be understood is a finding and is left out; the rest of the Ingress counts.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressSpec,
    IngressTLS,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::metadata::NGINX;
use crate::report::{Code, Kind, ObjectRef};
use crate::routing::canonical::canonical_path;
use crate::routing::host::HostPattern;
use crate::routing::path::{PathKind, PathRule};
use crate::routing::snapshot::IngressName;

use super::Origin;
use super::findings::Findings;
use super::names::Names;

/// An Ingress of our class.
pub(super) struct Claims<'a> {
    pub(super) object: ObjectRef,
    created: Option<&'a Time>,
    /// `spec.defaultBackend`.
    pub(super) default: Option<&'a IngressBackend>,
    /// Those that could be understood.
    pub(super) rules: Vec<Rule<'a>>,
    /// Whether there are no rules at all, so that the default backend is for every host.
    pub(super) without_rules: bool,
    pub(super) tls: Vec<Tls<'a>>,
}

/// One rule.
pub(super) struct Rule<'a> {
    pub(super) host: HostPattern,
    pub(super) paths: Vec<(PathRule, &'a IngressBackend)>,
}

/// One entry of `spec.tls`.
pub(super) struct Tls<'a> {
    pub(super) hosts: TlsHosts,
    /// The Secret in the namespace of the Ingress; without one the default certificate is meant.
    pub(super) secret: Option<&'a str>,
}

/// The hosts of an entry of `spec.tls`.
pub(super) enum TlsHosts {
    /// None are listed, which means all hosts of the Ingress's rules.
    OfRules,
    /// These, as far as they are host names.
    Listed(Vec<HostPattern>),
}

impl<'a> Claims<'a> {
    /// Takes an Ingress apart.
    pub(super) fn read(ingress: &'a Ingress, names: &mut Names, findings: &mut Findings) -> Self {
        let Ingress {
            metadata,
            spec,
            status: _,
        } = ingress;
        let object = names.reference(Kind::Ingress, metadata);
        let mut claims = Self {
            object,
            created: metadata.creation_timestamp.as_ref(),
            default: None,
            rules: Vec::new(),
            without_rules: true,
            tls: Vec::new(),
        };
        let object = &claims.object;
        if let Some(spec) = spec {
            let IngressSpec {
                default_backend,
                ingress_class_name: _,
                rules,
                tls,
            } = spec;
            claims.default = default_backend.as_ref();
            let rules = rules.as_deref().unwrap_or_default();
            claims.without_rules = rules.is_empty();
            claims.rules = rules
                .iter()
                .filter_map(|rule| read_rule(object, rule, findings))
                .collect();
            let tls = tls.as_deref().unwrap_or_default();
            claims.tls = tls
                .iter()
                .map(|entry| read_tls(object, entry, findings))
                .collect();
        }
        if claims.without_rules && claims.default.is_none() {
            let message = "it has neither rules nor a default backend, so that it serves nothing";
            findings.add(object, Code::InvalidObject, message.to_owned());
        }
        warn_of_annotations(ingress, object, findings);
        claims
    }

    /// Older is less.
    pub(super) fn age(&self, origin: Origin) -> impl Ord {
        let created = match origin {
            Origin::Cluster => (self.created.is_none(), self.created),
            Origin::Directory => (true, None),
        };
        (created, &self.object.namespace, &self.object.name)
    }

    /// The hosts of its rules, each once.
    pub(super) fn hosts(&self) -> BTreeSet<&HostPattern> {
        self.rules.iter().map(|rule| &rule.host).collect()
    }

    /// What routes say they are from.
    pub(super) fn name(&self) -> IngressName {
        IngressName {
            namespace: Arc::clone(&self.object.namespace),
            name: Arc::clone(&self.object.name),
        }
    }
}

fn read_rule<'a>(
    object: &ObjectRef,
    rule: &'a IngressRule,
    findings: &mut Findings,
) -> Option<Rule<'a>> {
    let IngressRule { host, http } = rule;
    let host = read_host(object, host.as_deref().unwrap_or_default(), findings)?;
    let paths = match http {
        Some(HTTPIngressRuleValue { paths }) => paths.as_slice(),
        None => &[],
    };
    let paths = paths
        .iter()
        .filter_map(|path| read_path(object, path, findings))
        .collect();
    Some(Rule { host, paths })
}

fn read_host(object: &ObjectRef, host: &str, findings: &mut Findings) -> Option<HostPattern> {
    let pattern = HostPattern::parse(host);
    if let Err(error) = &pattern {
        let message = format!("the host '{host}' is not served: {error}");
        findings.add(object, Code::InvalidHost, message);
    }
    pattern.ok()
}

fn read_path<'a>(
    object: &ObjectRef,
    path: &'a HTTPIngressPath,
    findings: &mut Findings,
) -> Option<(PathRule, &'a IngressBackend)> {
    let HTTPIngressPath {
        backend,
        path,
        path_type,
    } = path;
    let path = path.as_deref().unwrap_or_default();
    let kind = match path_type.as_str() {
        "Exact" => Ok(PathKind::Exact),
        "Prefix" | "ImplementationSpecific" => Ok(PathKind::Prefix),
        _ => Err("pathType is none of Exact, Prefix and ImplementationSpecific".to_owned()),
    };
    let rule = kind.and_then(|kind| {
        let text = match path {
            "" if path_type == "ImplementationSpecific" => "/",
            _ if path.contains(['?', '#']) => {
                return Err("a path holds neither '?' nor '#'".to_owned());
            }
            _ => path,
        };
        let canonical = canonical_path(text).map_err(|error| error.to_string())?;
        Ok(PathRule::new(kind, &canonical))
    });
    match rule {
        Ok(rule) => Some((rule, backend)),
        Err(error) => {
            let message = format!("the path '{path}' ({path_type}) is not served: {error}");
            findings.add(object, Code::InvalidPath, message);
            None
        }
    }
}

fn read_tls<'a>(object: &ObjectRef, entry: &'a IngressTLS, findings: &mut Findings) -> Tls<'a> {
    let IngressTLS { hosts, secret_name } = entry;
    let hosts = match hosts.as_deref().unwrap_or_default() {
        [] => TlsHosts::OfRules,
        listed => {
            let valid = listed.iter();
            let valid = valid.filter_map(|host| read_host(object, host, findings));
            TlsHosts::Listed(valid.collect())
        }
    };
    let secret = secret_name.as_deref().filter(|name| !name.is_empty());
    Tls { hosts, secret }
}

fn warn_of_annotations(ingress: &Ingress, object: &ObjectRef, findings: &mut Findings) {
    let Some(annotations) = &ingress.metadata.annotations else {
        return;
    };
    let ignored: Vec<&str> = annotations
        .keys()
        .filter_map(|name| name.strip_prefix(NGINX))
        .collect();
    if !ignored.is_empty() {
        let message = format!(
            "annotations of ingress-nginx have no effect here ({NGINX}…): {}",
            ignored.join(", ")
        );
        findings.add(object, Code::IgnoredAnnotation, message);
    }
}
