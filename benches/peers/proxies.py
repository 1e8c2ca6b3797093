"""The proxies under test, each set up to do the same work.

As many workers; the same three endpoints over kept connections; the same forwarding fields; metrics on,
access log off; TLS 1.3 with the same P-256 certificate; HTTP/2 by ALPN. Everything else is as the
product ships it, except nginx's buffers: as shipped it writes bodies of these sizes to disk, which
would cost it three times as much and flatter everyone else.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import backend
import bywash
from process import Failed
from proxy import Proxy, version


def _servers(pattern):
    return "\n".join(pattern.format(index=i, host=h, port=p) for i, (h, p) in enumerate(backend.endpoints()))


NGINX = """\
daemon off;
{user}
worker_processes {workers};
pid {work}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  client_body_buffer_size 64k;
  proxy_buffer_size 32k;
  proxy_buffers 8 32k;
  proxy_busy_buffers_size 64k;
  proxy_max_temp_file_size 0;
  client_body_temp_path {work}/nginx-body;
  proxy_temp_path {work}/nginx-proxy;
  fastcgi_temp_path {work}/nginx-fastcgi;
  uwsgi_temp_path {work}/nginx-uwsgi;
  scgi_temp_path {work}/nginx-scgi;
  ssl_certificate {work}/tls.crt;
  ssl_certificate_key {work}/tls.key;
  ssl_protocols TLSv1.3;
  upstream backend {{
{servers}
    keepalive 128;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{http} backlog=4096 reuseport;
    listen 127.0.0.1:{https} ssl http2 backlog=4096 reuseport;
    http2_max_requests 1000000000;
    location / {{
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Port $server_port;
      proxy_set_header X-Request-ID $request_id;
{failover}
    }}
    location = /stub_status {{ stub_status; }}
  }}
}}
"""


NGINX_FAILOVER = """\
      proxy_connect_timeout 2s;
      proxy_next_upstream error timeout invalid_header http_502 http_503 http_504;
      proxy_next_upstream_tries 3;
"""


def nginx(work, http, https, workers, failover):
    config = work / "nginx.conf"
    servers = _servers("    server {host}:{port};")
    user = backend.run_as()
    more = NGINX_FAILOVER if failover else ""
    config.write_text(
        NGINX.format(
            work=work, user=user, workers=workers, servers=servers, http=http, https=https, failover=more
        )
    )
    program = backend.nginx()
    return Proxy("nginx", http, https, version([program, "-v"]), [program, "-c", config, "-p", work])


HAPROXY = """\
global
  nbthread {workers}
  maxconn 4000
  ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
  mode http
  timeout connect 2s
  timeout client 75s
  timeout server 60s
frontend clients
  bind 127.0.0.1:{http} backlog 4096
  bind 127.0.0.1:{https} backlog 4096 ssl crt {work}/tls.pem alpn h2,http/1.1
  http-request use-service prometheus-exporter if {{ path /metrics }}
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
  http-request set-header X-Forwarded-Proto http if !{{ ssl_fc }}
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Request-ID %[uuid]
  default_backend endpoints
backend endpoints
  balance roundrobin
  http-reuse always
{failover}
{servers}
"""


HAPROXY_FAILOVER = """\
  option redispatch 1
  retries 3
  retry-on conn-failure empty-response junk-response response-timeout 502 503 504
  http-request disable-l7-retry unless { method GET HEAD OPTIONS }
"""


def haproxy(work, http, https, workers, failover):
    program = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin")
    if not program:
        return None
    (work / "tls.pem").write_text((work / "tls.crt").read_text() + (work / "tls.key").read_text())
    config = work / "haproxy.cfg"
    servers = _servers("  server s{index} {host}:{port}")
    more = HAPROXY_FAILOVER if failover else ""
    config.write_text(
        HAPROXY.format(work=work, workers=workers, servers=servers, http=http, https=https, failover=more)
    )
    return Proxy("haproxy", http, https, version([program, "-v"]), [program, "-db", "-f", config])


def _envoy_listener(port, tls):
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "clients",
        "use_remote_address": True,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "endpoints"}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    if tls:
        certificate, key = tls
        chain["transport_socket"] = {
            "name": "tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {
                    "alpn_protocols": ["h2", "http/1.1"],
                    "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
                    "tls_certificates": [
                        {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(key)}}
                    ],
                },
            },
        }
    return {
        "name": f"port-{port}",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [chain],
    }


def envoy(work, http, https, workers, _failover):
    program = shutil.which("envoy")
    if not program:
        return None
    endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
        for host, port in backend.endpoints()
    ]
    config = work / "envoy.json"
    config.write_text(
        json.dumps(
            {
                "static_resources": {
                    "listeners": [
                        _envoy_listener(http, None),
                        _envoy_listener(https, (work / "tls.crt", work / "tls.key")),
                    ],
                    "clusters": [
                        {
                            "name": "endpoints",
                            "type": "STATIC",
                            "connect_timeout": "2s",
                            "load_assignment": {
                                "cluster_name": "endpoints",
                                "endpoints": [{"lb_endpoints": endpoints}],
                            },
                        }
                    ],
                }
            }
        )
    )
    argv = [program, "-c", config, "--concurrency", workers, "--use-dynamic-base-id", "-l", "error"]
    return Proxy("envoy", http, https, version([program, "--version"]), argv)


def build_certificate(work):
    """One P-256 certificate for `localhost`, for everyone."""
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    argv += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    argv += ["-keyout", work / "tls.key", "-out", work / "tls.crt"]
    done = subprocess.run([str(part) for part in argv], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"openssl failed: {done.stderr.strip()}")


def available(work, wanted, workers, programs, runtimes, failover=False):
    """The proxies of `wanted` that are installed, nginx first: it is what ratios refer to. Of Bywash as many
    builds as `programs` names."""
    makers = {
        "nginx": nginx,
        "haproxy": haproxy,
        "envoy": envoy,
    }
    found = []
    ports = iter(range(18000, 19000, 2))
    for name in ["nginx", *(n for n in makers if n != "nginx")]:
        if name in wanted or name == "nginx":
            port = next(ports)
            if proxy := makers[name](work, port, port + 1, workers, failover):
                found.append(proxy)
    for name, program in programs.items() if "bywash" in wanted else ():
        if not Path(program).exists():
            raise Failed(f"{program} is missing: cargo build --release")
        for runtime in runtimes:
            port = next(ports)
            build = bywash.standalone(work, (port, port + 1), workers, program, runtime)
            build.name = build.name.replace("bywash", name)
            found.append(build)
    return found
