"""`release prepare VERSION`: everything in the tree that names the version gets it."""

import os
import re

from . import changelog, charts, tree
from .refusal import Refused
from .version import Version


def prepare(text, date):
    version = Version(text)
    tree.refuse_changes()
    refuse_what_does_not_follow(version)
    files = {
        "Cargo.toml": replaced("Cargo.toml", r'^version = "(?P<old>[^"]+)"$', version),
        "Cargo.lock": replaced("Cargo.lock", r'^name = "bywash"\nversion = "(?P<old>[^"]+)"$', version),
        "Dockerfile": replaced("Dockerfile", r"^ARG VERSION=(?P<old>\S+)$", version),
        "charts/bywash/README.md": replaced("charts/bywash/README.md", r"^.*, version (?P<old>[^,\s]+), into", version),
        changelog.FILE: changelog.release(tree.read(changelog.FILE), version, date),
    }
    section = changelog.sections(files[changelog.FILE])[str(version)]
    files.update(charts.generated(version, section))
    write_all(files)
    print(f"""{version} is prepared. Look at it with `git diff`, then:
  git commit -am "release: {version}"
  git tag -s v{version} -m {version}
docs/releases.md says what follows.""")


def refuse_what_does_not_follow(version):
    done = changelog.released(tree.read(changelog.FILE))
    if done and version <= max(done):
        raise Refused(f"{version} does not come after {max(done)}, which {changelog.FILE} has: choose a greater one")
    current = Version(tree.package()["version"])
    if version < current:
        raise Refused(f"{version} comes before {current}, which Cargo.toml has: choose a greater one")
    if tree.said_by_git("tag", "--list", f"v{version}"):
        raise Refused(f"there is a tag v{version} already: choose a greater version")


def replaced(path, pattern, version):
    """The file with the version in the one place where it stands."""
    text = tree.read(path)
    places = list(re.finditer(pattern, text, re.MULTILINE))
    if len(places) != 1:
        raise Refused(f"{path} has {len(places)} versions where one is expected: {pattern}")
    start, end = places[0].span("old")
    return text[:start] + str(version) + text[end:]


def write_all(files):
    """Writes all of them, or none: what was written is taken back when one cannot be."""
    before = {path: tree.read(path) for path in files}
    try:
        for path, text in files.items():
            put(path, text)
    except OSError as error:
        for path, text in before.items():
            put(path, text)
        raise Refused(f"nothing was changed, because {error.filename} cannot be written: {error.strerror}") from error


def put(path, text):
    """Puts the file in its place once it is whole."""
    path = tree.ROOT / path
    if path.read_text(encoding="utf-8") == text:
        return
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.chmod(path.stat().st_mode)
        os.replace(beside, path)
    finally:
        if beside.is_file():
            beside.unlink()
