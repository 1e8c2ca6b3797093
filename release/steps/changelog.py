"""CHANGELOG.md: sections of versions, in them headings, under these what changed."""

import re

from .refusal import Refused
from .version import Version

FILE = "CHANGELOG.md"
UNRELEASED = "## Unreleased\n"
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
SECTION = re.compile(r"^## (?P<version>\S+)(?: - (?P<date>\S+))?\n", re.MULTILINE)


def sections(text):
    """The text of each version, and of `Unreleased`, newest first."""
    heads = list(SECTION.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return {head["version"]: text[head.end():end].strip("\n") for head, end in zip(heads, ends)}


def released(text):
    """The versions that have a section."""
    return [Version(name) for name in sections(text) if name != "Unreleased"]


def entries(section):
    """(kind, what changed) in the order in which they stand."""
    kind, found = None, []
    for line in section.splitlines():
        if line.startswith("### "):
            kind = line[4:].strip()
            if kind not in KINDS:
                raise Refused(f"{FILE} has a heading {kind!r}: use one of {', '.join(KINDS)}")
        elif line.startswith("- "):
            if kind is None:
                raise Refused(f"{FILE} has {line!r} without a heading above it: use one of {', '.join(KINDS)}")
            found.append((kind, line[2:].strip()))
        elif line.startswith("  ") and found:
            found[-1] = (kind, f"{found[-1][1]} {line.strip()}")
    return found


def release(text, version, date):
    """The text after what is unreleased became that version."""
    if text.count(UNRELEASED) != 1:
        raise Refused(f"{FILE} needs one section {UNRELEASED.strip()!r}")
    if not entries(sections(text)["Unreleased"]):
        raise Refused(f"{FILE} has nothing under Unreleased: write there what changes for users")
    return text.replace(UNRELEASED, f"{UNRELEASED}\n## {version} - {date}\n")
