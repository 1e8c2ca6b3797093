"""The upstream that all proxies share: one nginx, three endpoints, kept connections."""

import os
import shutil

from process import Failed, Process, require_free

ADDRESSES = ["127.0.0.11", "127.0.0.12", "127.0.0.13"]
PORT = 19000
SIZES = {"/1k": 1024, "/64k": 65536, "/1m": 1048576}

CONFIG = """\
daemon off;
{user}
worker_processes 1;
pid {work}/backend.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=16 inactive=1h;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  client_body_temp_path {work}/backend-body;
  proxy_temp_path {work}/backend-proxy;
  fastcgi_temp_path {work}/backend-fastcgi;
  uwsgi_temp_path {work}/backend-uwsgi;
  scgi_temp_path {work}/backend-scgi;
  server {{
{listen}
    root {work}/files;
    location = /post {{ return 200 "taken"; }}
    location = /seen {{
      return 200 "for=$http_x_forwarded_for proto=$http_x_forwarded_proto id=$http_x_request_id";
    }}
  }}
}}
"""


def endpoints():
    return [(address, PORT) for address in ADDRESSES]


def nginx():
    path = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if not path:
        raise Failed("nginx is missing: apt-get install nginx")
    return path


def run_as():
    """Started by root, nginx's worker would otherwise change to a user that cannot read our files."""
    return "user root;" if os.geteuid() == 0 else ""


def start(work, core):
    (work / "files").mkdir()
    for path, size in SIZES.items():
        (work / "files" / path[1:]).write_bytes(os.urandom(size))
    for host, port in endpoints():
        require_free(host, port)
    config = work / "backend.conf"
    listen = "\n".join(f"    listen {host}:{port};" for host, port in endpoints())
    config.write_text(CONFIG.format(work=work, user=run_as(), listen=listen))
    process = Process("backend", [nginx(), "-c", config, "-p", work], core, work / "backend.log")
    process.wait_until_accepting(endpoints())
    return process
