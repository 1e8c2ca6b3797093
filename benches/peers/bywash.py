"""Bywash, with the manifests of an Ingress before the three endpoints."""

import base64

import backend
from proxy import Proxy, version


def _base64(data):
    return base64.b64encode(data).decode()


MANIFESTS = """\
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: bywash}}
spec: {{controller: bywash.dev/ingress-controller}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: plain, namespace: bench}}
spec:
  ingressClassName: bywash
  rules:
  - http:
      paths:
      - {{path: /, pathType: Prefix, backend: {{service: {{name: backend, port: {{number: 80}}}}}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: tls, namespace: bench}}
spec:
  ingressClassName: bywash
  tls:
  - {{hosts: [localhost], secretName: localhost}}
  rules:
  - host: localhost
    http:
      paths:
      - {{path: /, pathType: Prefix, backend: {{service: {{name: backend, port: {{number: 80}}}}}}}}
---
apiVersion: v1
kind: Secret
type: kubernetes.io/tls
metadata: {{name: localhost, namespace: bench}}
data:
  tls.crt: {certificate}
  tls.key: {key}
---
apiVersion: v1
kind: Service
metadata: {{name: backend, namespace: bench}}
spec:
  ports:
  - {{name: http, port: 80, protocol: TCP, targetPort: {port}}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: backend-1
  namespace: bench
  labels: {{kubernetes.io/service-name: backend}}
addressType: IPv4
ports:
- {{name: http, port: {port}, protocol: TCP}}
endpoints:
{endpoints}
"""


def standalone(work, ports, workers, program, runtime, access_log="off"):
    http, https = ports
    name = "bywash" if runtime == "per-core" else f"bywash-{runtime}"
    directory = work / "manifests"
    directory.mkdir(exist_ok=True)
    (directory / "bench.yaml").write_text(
        MANIFESTS.format(
            certificate=_base64((work / "tls.crt").read_bytes()),
            key=_base64((work / "tls.key").read_bytes()),
            port=backend.PORT,
            endpoints="\n".join(
                f"- {{addresses: [{host}], conditions: {{ready: true, serving: true}}}}" for host, _ in backend.endpoints()
            ),
        )
    )
    argv = [
        program,
        "standalone",
        directory,
        f"--http-address=127.0.0.1:{http}",
        f"--https-address=127.0.0.1:{https}",
        "--metrics-address=127.0.0.1:0",
        "--admin-address=none",
        f"--workers={workers}",
        f"--runtime={runtime}",
        f"--access-log={access_log}",
    ]
    return Proxy(name, http, https, version([program, "--version"]), argv)


POLICY = """\
apiVersion: bywash.dev/v1alpha1
kind: GatewayPolicy
metadata: {{name: backend, namespace: bench}}
spec:
  targetRefs:
  - {{group: "", kind: Service, name: backend}}
  {sections}
"""


def write_policy(work, sections):
    """What Bywash has beside its built-in values from its next start on; nothing if that is empty."""
    path = work / "manifests/policy.yaml"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if sections:
        path.write_text(POLICY.format(sections=sections))
