"""What the program is made of, as CycloneDX (<https://cyclonedx.org/docs/1.5/json/>).

Cargo itself says which packages are linked into the program of a platform: without what only builds or
tests it. So the list is that of the lock file, less what is not in the program, with the same checksums.
A tool of its own would list the same, at the price of building it and of a number that differs each time.
"""

import json
import os
import re
import subprocess
import tomllib
import uuid

from . import tree
from .packing import digest_of
from .platforms import TARGETS
from .refusal import Refused

LINE = re.compile(r"(?P<depth>\d+)(?P<name>\S+) v(?P<version>\S+)")


def bill_of(architecture, program, seconds):
    package = tree.package()
    linked = linked_packages(TARGETS[architecture])
    told = {(it["name"], it["version"]): it for it in metadata(TARGETS[architecture])}
    locked = {(it["name"], it["version"]): it for it in tomllib.loads(tree.read("Cargo.lock"))["package"]}
    root = (package["name"], package["version"])
    subject = component(root, told[root], {}) | {"type": "application"}
    subject["hashes"] = [{"alg": "SHA-256", "content": digest_of(program).removeprefix("sha256:")}]
    others = sorted(it for it in linked if it != root)
    number = uuid.uuid5(uuid.NAMESPACE_URL, f"{package['repository']}/{architecture}/{digest_of(program)}/{seconds}")
    return json.dumps({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        "metadata": {
            "timestamp": tree.written(seconds),
            "tools": {"components": [{"type": "application", "name": "release/release", "version": package["version"]}]},
            "component": subject,
            "properties": [{"name": "bywash:platform", "value": f"linux/{architecture}"}],
        },
        "components": [component(it, told[it], locked[it]) for it in others],
        "dependencies": [{"ref": address(it), "dependsOn": sorted(address(to) for to in linked[it])}
                         for it in [root, *others]],
    }, indent=2, ensure_ascii=False) + "\n"


def component(identity, told, locked):
    name, version = identity
    found = {"type": "library", "bom-ref": address(identity), "name": name, "version": version,
             "description": " ".join((told["description"] or name).split()), "scope": "required"}
    if "checksum" in locked:
        found["hashes"] = [{"alg": "SHA-256", "content": locked["checksum"]}]
    if told["license"]:
        # A slash stood for OR before there were expressions.
        expression = re.sub(r"\s*/\s*", " OR ", told["license"])
        found["licenses"] = [{"expression": expression}]
    found["purl"] = address(identity)
    if told["repository"]:
        found["externalReferences"] = [{"type": "vcs", "url": told["repository"]}]
    return found


def address(identity):
    name, version = identity
    return f"pkg:cargo/{name}@{version.replace('+', '%2B')}"


def linked_packages(target):
    """Of each package in the program those that it uses directly."""
    text = cargo("tree", "--edges", "normal,no-proc-macro", "--target", target, "--prefix", "depth", "--charset", "ascii")
    linked, above = {}, []
    for line in text.splitlines():
        match = LINE.match(line)
        if not match:
            raise Refused(f"cargo tree says what is not understood: {line!r}")
        identity, depth = (match["name"], match["version"]), int(match["depth"])
        del above[depth:]
        linked.setdefault(identity, set())
        if above:
            linked[above[-1]].add(identity)
        above.append(identity)
    return linked


def metadata(target):
    return json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", target))["packages"]


def cargo(*arguments):
    run = subprocess.run([os.environ.get("CARGO", "cargo"), *arguments, "--locked"], cwd=tree.ROOT,
                         capture_output=True, text=True)
    if run.returncode:
        raise Refused(f"cargo {arguments[0]} fails: {run.stderr.strip()}")
    return run.stdout
