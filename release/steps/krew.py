"""The manifest by which krew installs `kubectl bywash`.

Its fields: <https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/>. It is written as JSON, which
is YAML, one field a line.
"""

import hashlib
import json

PLUGIN = "kubectl-bywash"
SUMMARY = "Say why an Ingress fails, and check manifests"
DESCRIPTION = """\
Tells why requests through an Ingress or a GatewayPolicy of Bywash fail, since
when and what to do, and what would be wrong with manifests before they are
applied:
  kubectl bywash explain ingress/shop -n shop
  kubectl bywash check deploy/
It reads with your own rights, and changes nothing.
"""
CAVEATS = """\
For completion, put what `kubectl bywash completion kubectl` prints into a
file kubectl_complete-bywash in your PATH, and make it executable.
"""


def manifest(version, package, archives):
    """`archives` has the name and the bytes of the archive of each architecture."""
    platforms = [{
        "selector": {"matchLabels": {"os": "linux", "arch": architecture}},
        "uri": f"{package['repository']}/releases/download/v{version}/{name}",
        "sha256": hashlib.sha256(content).hexdigest(),
        "files": [{"from": name, "to": "."} for name in (PLUGIN, "LICENSE")],
        "bin": PLUGIN,
    } for architecture, (name, content) in archives.items()]
    return json.dumps({
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": package["name"]},
        "spec": {
            "version": f"v{version}",
            "homepage": package["homepage"],
            "shortDescription": SUMMARY,
            "description": DESCRIPTION,
            "caveats": CAVEATS,
            "platforms": platforms,
        },
    }, indent=2) + "\n"
