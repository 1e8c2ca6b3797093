//! A directory of manifests.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;

/// A directory that is removed with the test.
pub(crate) struct Manifests(TempDir);

impl Manifests {
    pub(crate) fn empty() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// One file that sends everything for a host to an address.
    pub(crate) fn routing(host: &str, to: SocketAddr) -> Self {
        let manifests = Self::empty();
        manifests.write("shop.yaml", &route("shop", host, to));
        manifests
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Replaces a file in one step, as editors and Git do.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let draft = self.path().join(".draft");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.path().join(name)).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).unwrap();
    }
}

/// An Ingress, its Service and its EndpointSlice.
pub(crate) fn route(name: &str, host: &str, to: SocketAddr) -> String {
    let (ip, port) = (to.ip(), to.port());
    format!(
        "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}, namespace: shop}}
spec:
  ingressClassName: bywash
  rules:
  - host: {host}
    http:
      paths:
      - {{path: /, pathType: Prefix, backend: {{service: {{name: {name}, port: {{number: 80}}}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: http, port: {port}}}]
endpoints: [{{addresses: [{ip}]}}]
"
    )
}
