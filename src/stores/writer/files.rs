//! Statuses as files, for people who run without a cluster.
//!
//! One file per object that has something to say, named `<kind>.<namespace>.<name>.yaml`, and
//! `directory.yaml` for what is wrong with files that hold no object. Each is replaced as a whole, by
//! renaming, and removed when there is nothing left to say, so that what stands in the directory is
//! always what is true now.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use k8s_openapi::api::networking::v1::IngressLoadBalancerIngress;
use serde_json::{Value, json};

use crate::api::status::GatewayPolicyStatus;
use crate::report::{Finding, ObjectRef, Severity};

/// What is said of one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatusFile {
    /// The addresses of an Ingress of ours.
    pub addresses: Option<Vec<IngressLoadBalancerIngress>>,
    /// What became of a GatewayPolicy.
    pub policy: Option<GatewayPolicyStatus>,
    /// For what requests fail: a reason and a message each.
    pub troubles: Vec<(&'static str, String)>,
    /// Its defects.
    pub findings: Vec<Finding>,
}

/// Writes statuses into a directory of their own.
#[derive(Clone, Debug)]
pub struct StatusFiles {
    directory: PathBuf,
}

impl StatusFiles {
    /// Statuses in this directory, which is made when there is one to write; everything else in it
    /// that ends in `.yaml` is removed.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Makes the directory say this, and only this. The key is absent for what is wrong with no
    /// object in particular. Blocks.
    pub fn write(&self, statuses: &BTreeMap<Option<ObjectRef>, StatusFile>) -> io::Result<()> {
        let wanted: BTreeMap<String, String> = statuses
            .iter()
            .map(|(object, status)| (file_name(object.as_ref()), text(object.as_ref(), status)))
            .collect();
        if wanted.is_empty() && !self.directory.exists() {
            return Ok(());
        }
        fs::create_dir_all(&self.directory)?;
        for (name, text) in &wanted {
            let path = self.directory.join(name);
            if fs::read_to_string(&path).is_ok_and(|current| current == *text) {
                continue;
            }
            let unfinished = self.directory.join(format!(".{name}"));
            fs::write(&unfinished, text)?;
            fs::rename(&unfinished, &path)?;
        }
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let obsolete = name
                .to_str()
                .is_some_and(|name| name.ends_with(".yaml") && !wanted.contains_key(name));
            if obsolete {
                fs::remove_file(self.directory.join(name))?;
            }
        }
        Ok(())
    }
}

fn file_name(object: Option<&ObjectRef>) -> String {
    let Some(object) = object else {
        return "directory.yaml".to_owned();
    };
    let kind = object.kind.as_str().to_ascii_lowercase();
    if object.namespace.is_empty() {
        format!("{kind}.{}.yaml", object.name)
    } else {
        format!("{kind}.{}.{}.yaml", object.namespace, object.name)
    }
}

fn text(object: Option<&ObjectRef>, status: &StatusFile) -> String {
    let mut document = serde_json::Map::new();
    if let Some(object) = object {
        let metadata = if object.namespace.is_empty() {
            json!({"name": &*object.name})
        } else {
            json!({"name": &*object.name, "namespace": &*object.namespace})
        };
        document.insert("apiVersion".into(), object.kind.api_version().into());
        document.insert("kind".into(), object.kind.as_str().into());
        document.insert("metadata".into(), metadata);
    }
    if let Some(addresses) = &status.addresses {
        let status = json!({"loadBalancer": {"ingress": addresses}});
        document.insert("status".into(), status);
    }
    if let Some(policy) = &status.policy {
        document.insert("status".into(), json!(policy));
    }
    if !status.troubles.is_empty() {
        let troubles = status.troubles.iter();
        let troubles =
            troubles.map(|(reason, message)| json!({"reason": reason, "message": message}));
        document.insert("failures".into(), troubles.collect());
    }
    let findings: Vec<Value> = status.findings.iter().map(finding).collect();
    document.insert("findings".into(), findings.into());
    // Serializing plain JSON values does not fail; were it to, the file would say so.
    serde_saphyr::to_string(&document).unwrap_or_else(|error| format!("# {error}\n"))
}

fn finding(finding: &Finding) -> Value {
    let severity = match finding.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let position = finding.position.as_ref().map(ToString::to_string);
    json!({
        "code": finding.code.as_str(),
        "severity": severity,
        "message": finding.message,
        "position": position,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Code, FilePosition, Kind};

    fn ingress(name: &str) -> Option<ObjectRef> {
        Some(ObjectRef {
            kind: Kind::Ingress,
            namespace: "shop".into(),
            name: name.into(),
        })
    }

    fn status() -> StatusFile {
        StatusFile {
            addresses: Some(vec![IngressLoadBalancerIngress {
                ip: Some("192.0.2.1".into()),
                ..IngressLoadBalancerIngress::default()
            }]),
            policy: None,
            troubles: Vec::new(),
            findings: vec![Finding {
                object: ingress("web"),
                position: Some(FilePosition {
                    file: "shop.yaml".into(),
                    line: 12,
                }),
                code: Code::ServiceNotFound,
                message: "the Service shop/cart does not exist: create it".into(),
            }],
        }
    }

    fn names(files: &StatusFiles) -> Vec<String> {
        let entries = fs::read_dir(&files.directory).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_status_can_be_read_by_people_and_by_programs() {
        let directory = tempfile::tempdir().unwrap();
        let files = StatusFiles::new(directory.path().join(".status"));
        files
            .write(&BTreeMap::from([(ingress("web"), status())]))
            .unwrap();
        let text =
            fs::read_to_string(directory.path().join(".status/ingress.shop.web.yaml")).unwrap();
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        let expected = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "web", "namespace": "shop"},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
            "findings": [{
                "code": "ServiceNotFound",
                "severity": "error",
                "message": "the Service shop/cart does not exist: create it",
                "position": "shop.yaml:12",
            }],
        });
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn a_status_goes_with_its_object() {
        let directory = tempfile::tempdir().unwrap();
        let files = StatusFiles::new(directory.path().join(".status"));
        let both = BTreeMap::from([
            (ingress("web"), status()),
            (ingress("gone"), status()),
            (None, status()),
        ]);
        files.write(&both).unwrap();
        assert_eq!(
            names(&files),
            [
                "directory.yaml",
                "ingress.shop.gone.yaml",
                "ingress.shop.web.yaml"
            ]
        );
        files
            .write(&BTreeMap::from([(ingress("web"), status())]))
            .unwrap();
        assert_eq!(names(&files), ["ingress.shop.web.yaml"]);
        files.write(&BTreeMap::new()).unwrap();
        assert_eq!(names(&files), Vec::<String>::new());
    }

    #[test]
    fn nothing_is_made_while_there_is_nothing_to_say() {
        let directory = tempfile::tempdir().unwrap();
        let files = StatusFiles::new(directory.path().join(".status"));
        files.write(&BTreeMap::new()).unwrap();
        assert!(!files.directory.exists());
    }
}
