"""What Chart.yaml says of a version, and the charts as real Helm packages them.

`version`, `appVersion` and all annotations of Chart.yaml are generated; what stands above them is written
by hand. The annotations are those that Artifact Hub reads
(<https://artifacthub.io/docs/topics/annotations/helm/>).
"""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urljoin

from . import changelog, tree
from .packing import repacked
from .platforms import PLATFORMS
from .refusal import Refused
from .version import Version

CHARTS = ["bywash", "bywash-crds"]
DEFINITION = "crds/gatewaypolicies.bywash.dev.yaml"
EXAMPLE = "release/gatewaypolicy.yaml"
SUMMARY = ("Retries, time limits, health checks, error pages and more, for an Ingress, one of its hosts, "
           "a Service or a whole class")
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")


def current():
    """Chart.yaml of each chart, for the version in Cargo.toml."""
    version = Version(tree.package()["version"])
    return generated(version, changelog.sections(tree.read(changelog.FILE)).get(str(version), ""))


def generated(version, section):
    """Chart.yaml of each chart by its path, for a version of which the changelog says this."""
    return {path_of(chart): chart_yaml(chart, version, section) for chart in CHARTS}


def path_of(chart):
    return f"charts/{chart}/Chart.yaml"


def chart_yaml(chart, version, section):
    path = path_of(chart)
    written, found, _ = tree.read(path).partition("\nannotations:\n")
    if not found:
        raise Refused(f"{path} has no annotations, before which stands what is written by hand")
    for key in ("version", "appVersion"):
        written, times = re.subn(rf"^{key}: .*$", f"{key}: {version}", written, flags=re.MULTILINE)
        if times != 1:
            raise Refused(f"{path} needs one line that begins with {key}:")
    annotations = annotations_of(chart, version, section)
    lines = [line for name, value in annotations.items() for line in annotation(name, value)]
    return f"{written}\nannotations:\n" + "".join(f"  {line}\n" for line in lines)


def annotations_of(chart, version, section):
    package = tree.package()
    annotations = {
        "category": "networking",
        "license": package["license"],
        "prerelease": json.dumps(json.dumps(version.prerelease)),
        "links": [
            {"name": "source", "url": package["repository"]},
            {"name": "documentation", "url": package["documentation"]},
            {"name": "changelog", "url": at(package, version, changelog.FILE)},
        ],
        "crds": [definition()],
        "crdsExamples": tree.read(EXAMPLE),
    }
    if chart == "bywash":
        annotations["images"] = [{"name": "bywash", "image": image(version), "platforms": PLATFORMS}]
        changes = changelog.entries(section)
        if changes:
            annotations["changes"] = [change(package, version, *it) for it in changes]
        if any(kind == "Security" for kind, _ in changes):
            annotations["containsSecurityUpdates"] = '"true"'
    return annotations


def annotation(name, value):
    """The lines of it. What is a list there is YAML in a text, of which JSON is a part."""
    if isinstance(value, str) and "\n" not in value:
        return [f"artifacthub.io/{name}: {value}"]
    head = [f"artifacthub.io/{name}: |"]
    if isinstance(value, str):
        lines = value.splitlines()
        return head + [f"  {'- ' if number == 0 else '  '}{line}" for number, line in enumerate(lines)]
    for item in value:
        for number, (key, inner) in enumerate(item.items()):
            head.append(f"  {'- ' if number == 0 else '  '}{key}: {json.dumps(inner, ensure_ascii=False)}")
    return head


def change(package, version, kind, text):
    """One entry of the changelog: its links apart, because what is shown is no Markdown."""
    links = [{"name": name.strip("`"), "url": at(package, version, target)} for name, target in LINK.findall(text)]
    said = {"kind": kind.lower(), "description": LINK.sub(r"\1", text)}
    return said | ({"links": links} if links else {})


def at(package, version, target):
    """Where a file of that version can be read; an address stays as it is."""
    return urljoin(f"{package['repository']}/blob/v{version}/", target)


def image(version):
    """What the chart installs unless values say otherwise."""
    values = tree.read("charts/bywash/values.yaml")
    found = [re.search(rf"^    {key}: (\S+)$", values, re.MULTILINE) for key in ("registry", "repository")]
    if not all(found):
        raise Refused("charts/bywash/values.yaml does not say which image is installed")
    return "/".join(it[1] for it in found) + f":{version}"


def definition():
    text = tree.read(DEFINITION)
    found = {}
    for key, pattern in (("kind", r"^    kind: (\S+)$"), ("version", r"^    name: (v\d\w*)$"), ("name", r"^  name: (\S+)$")):
        match = re.search(pattern, text, re.MULTILINE)
        if not match:
            raise Refused(f"{DEFINITION} does not say its {key}")
        found[key] = match[1]
    return found | {"displayName": found["kind"], "description": SUMMARY}


def refuse_drift():
    for path, wanted in current().items():
        if tree.read(path) != wanted:
            raise Refused(f"{path} is not what is generated for this version: run release/release charts")


def packaged(helm, seconds):
    """The package of each chart by its file name."""
    packages = {}
    with tempfile.TemporaryDirectory() as folder:
        tree.committed("charts", folder)
        homes = {f"HELM_{it}_HOME": folder for it in ("CACHE", "CONFIG", "DATA")}
        for chart in CHARTS:
            run = subprocess.run([helm, "package", Path(folder) / "charts" / chart, "--destination", folder],
                                 capture_output=True, text=True, env=os.environ | homes)
            if run.returncode:
                raise Refused(f"Helm does not package {chart}: {run.stderr.strip()}")
        for package in Path(folder).glob("*.tgz"):
            packages[package.name] = repacked(package.read_bytes(), seconds)
    return packages
