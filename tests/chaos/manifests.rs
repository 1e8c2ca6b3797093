//! The directory of manifests: one file, replaced in one step.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;

use crate::order::HOST;

/// What a slice says of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    Terminating,
}

/// Removed with the test.
pub(crate) struct Manifests(TempDir);

impl Manifests {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// An Ingress, its Service, its policy and its slice; whether that is anything new.
    pub(crate) fn write(&self, endpoints: &[(SocketAddr, State)], attempts: usize) -> bool {
        let port = endpoints.first().map_or(80, |(address, _)| address.port());
        let mut text = format!(
            "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: shop, namespace: shop}}
spec:
  ingressClassName: bywash
  rules:
  - host: {HOST}
    http:
      paths:
      - {{path: /, pathType: Prefix, backend: {{service: {{name: shop, port: {{number: 80}}}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: shop, namespace: shop}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: bywash.dev/v1alpha1
kind: GatewayPolicy
metadata: {{name: shop, namespace: shop}}
spec:
  targetRefs: [{{group: networking.k8s.io, kind: Ingress, name: shop}}]
  retry: {{attempts: {attempts}, perTryTimeout: 500ms}}
  timeouts: {{read: 1s}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: shop-1, namespace: shop, labels: {{kubernetes.io/service-name: shop}}}}
addressType: IPv4
ports: [{{name: http, port: {port}}}]
endpoints:
"
        );
        for (address, state) in endpoints {
            let ready = *state == State::Ready;
            let (ip, terminating) = (address.ip(), !ready);
            let conditions = format!("ready: {ready}, serving: true, terminating: {terminating}");
            writeln!(
                text,
                "- {{addresses: [{ip}], conditions: {{{conditions}}}}}"
            )
            .unwrap();
        }
        let (draft, file) = (self.path().join(".draft"), self.path().join("shop.yaml"));
        if fs::read_to_string(&file).is_ok_and(|before| before == text) {
            return false;
        }
        fs::write(&draft, text).unwrap();
        fs::rename(draft, file).unwrap();
        true
    }
}
