"""`release build PROGRAM…`: everything that is published of a version, in one folder.

All of it is made of what is committed and of the programs that are given. The same of both gives the same
bytes, so that anyone can make a release again and compare.
"""

import hashlib
from pathlib import Path

from . import changelog, charts, krew, oci, programs, sbom, tree
from .refusal import Refused
from .version import Version


def build(paths, output, helm, trial):
    tree.refuse_changes()
    package = tree.package()
    version = Version(package["version"])
    section = changelog.sections(tree.read(changelog.FILE)).get(str(version))
    if section is None:
        raise Refused(f"{changelog.FILE} has no section {version}: run `release/release prepare {version}` and commit")
    charts.refuse_drift()
    if not helm:
        raise Refused("Helm is missing, which packages the charts: put it into PATH, or name it with --helm")
    given = programs.given(paths, trial)
    native = programs.Native(given, version)
    folder = empty(output or tree.ROOT / "target" / f"bywash-{version}")
    seconds = tree.seconds_of_commit()
    files = charts.packaged(helm, seconds) | {f"bywash_{version}_crds.yaml": native.crds.encode()}
    archives = programs.Archives(native, seconds, level=1 if trial else 9)
    plugins = {}
    for architecture, program in given.items():
        platform = f"{version}_linux_{architecture}"
        files[f"bywash_{platform}.tar.gz"] = archives.of(program)
        name, content = f"kubectl-bywash_{platform}.tar.gz", archives.of_plugin(program)
        files[name], plugins[architecture] = content, (name, content)
        files[f"bywash_{platform}.cdx.json"] = sbom.bill_of(architecture, program, seconds).encode()
    files["bywash.yaml"] = krew.manifest(version, package, plugins).encode()
    digest = add_images(files, version, given, seconds)
    files["NOTES.md"] = notes(version, section, digest, given, trial).encode()
    files["SHA256SUMS"] = sums(files).encode()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    print(f"{folder}: {len(files)} files, {charts.image(version)}@{digest}")


def empty(folder):
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} is there already: remove it, or name another one with --output")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def add_images(files, version, given, seconds):
    """An archive for each architecture and one for all; the digest of the latter."""
    certificates = Path(oci.CERTIFICATES)
    if not certificates.is_file():
        raise Refused(f"{certificates} is missing, which the image holds: install the package ca-certificates")
    labels = oci.labels_of(tree.package(), tree.written(seconds), tree.said_by_git("rev-parse", "HEAD"))
    roots, name = certificates.read_bytes(), charts.image(version)
    images = [oci.Image(it, program, roots, labels, seconds) for it, program in given.items()]
    for image in images:
        files[f"bywash_{version}_image_linux_{image.architecture}.tar"] = image.archive(name)
    files[f"bywash_{version}_image.tar"], digest = oci.index_of(images, name)
    return digest


def notes(version, section, digest, given, trial):
    """What is said of the release where it is published."""
    warning = "> This is a trial, not to be published.\n\n" if trial else ""
    return f"""{warning}{section}

### Image
`{charts.image(version)}@{digest}`, for {" and ".join(f"linux/{it}" for it in given)}.
"""


def sums(files):
    """For `sha256sum --check`."""
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
