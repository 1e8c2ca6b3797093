"""A network of the bench's own, in which endpoints can vanish and attempts are counted on the wire.

What reached an endpoint is counted the same way for every proxy, by nftables, and not by the proxies
themselves, who do not agree on what to count. An attempt is a request, or a connection (or the wish for
one) on which no request followed. A head fits in one packet; packets repeated for want of an answer count
once.
"""

import json
import os
import subprocess
import sys

import backend
from process import Failed

INSIDE = "BYWASH_BENCH_NETWORK"
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

# A packet of more than 100 bytes carries a part of a request: acknowledgements are shorter.
RULES = """\
table inet bench {{
  set vanished {{ type ipv4_addr; }}
  set opening {{ type ipv4_addr . inet_service; flags dynamic,timeout; timeout 10s; size 65535; }}
  set used {{ type ipv4_addr . inet_service; flags dynamic; size 65535; }}
  set unanswered {{ type ipv4_addr . inet_service; flags dynamic; size 65535; }}
  counter connections {{ }}
  counter connections_used {{ }}
  counter requests {{ }}
  chain to_endpoint {{
    tcp flags & (syn | ack) == syn ip daddr . tcp sport != @opening \\
      add @opening {{ ip daddr . tcp sport }} counter name connections
    ip daddr @vanished ip length > 100 ip daddr . tcp sport != @unanswered \\
      add @unanswered {{ ip daddr . tcp sport }} counter name requests
    ip daddr @vanished drop
    ip length > 100 counter name requests
    ip length > 100 ip daddr . tcp sport != @used \\
      add @used {{ ip daddr . tcp sport }} counter name connections_used
  }}
  chain arriving {{
    type filter hook input priority 0
    tcp dport {port} jump to_endpoint
    tcp sport {port} ip saddr @vanished drop
  }}
}}
"""


def enter():
    """Runs this program again, alone on a network that goes with it; no root needed."""
    if os.environ.get(INSIDE):
        _run(["ip", "link", "set", "lo", "up"])
        return
    mine = [] if os.geteuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
    argv = ["unshare", *mine, "--net", sys.executable, *sys.argv]
    try:
        os.execvpe("unshare", argv, {**os.environ, INSIDE: "1"})
    except OSError as error:
        raise Failed("unshare is missing: apt-get install util-linux") from error


def count_attempts():
    """From now on."""
    _run(["nft", "-f", "-"], RULES.format(port=backend.PORT))


def vanish(host):
    """Nothing reaches this address or comes from it any more, and nobody is told."""
    _run(["nft", f"add element inet bench vanished {{ {host} }}"])


def reappear():
    _run(["nft", "flush set inet bench vanished"])


def attempts():
    """How many there were so far."""
    listed = json.loads(_run(["nft", "-j", "list", "counters", "table", "inet", "bench"]))
    packets = {entry["counter"]["name"]: entry["counter"]["packets"] for entry in listed["nftables"] if "counter" in entry}
    return packets["requests"] + packets["connections"] - packets["connections_used"]


def _run(argv, text=None):
    try:
        done = subprocess.run(
            argv, input=text, capture_output=True, text=True, check=False, env={**os.environ, "PATH": PATH}
        )
    except FileNotFoundError as error:
        raise Failed(f"{argv[0]} is missing: apt-get install iproute2 nftables") from error
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout
