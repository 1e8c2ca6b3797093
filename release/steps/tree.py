"""The source: what git and Cargo.toml say of it."""

import io
import subprocess
import tarfile
import tomllib
from datetime import datetime, timezone
from pathlib import Path

from .refusal import Refused

ROOT = Path(__file__).resolve().parent.parent.parent


def read(path):
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Refused(f"{path} is missing") from None


def package():
    """The section of that name in Cargo.toml."""
    return tomllib.loads(read("Cargo.toml"))["package"]


def said_by_git(*arguments):
    """What git says; nothing outside of a repository."""
    try:
        run = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""


def refuse_changes():
    """What is not committed would be in a release that nobody can make again."""
    if not said_by_git("rev-parse", "HEAD"):
        raise Refused(f"{ROOT} is no repository of git with a commit, of which a release is made")
    changed = said_by_git("status", "--porcelain").splitlines()
    if changed:
        names = ", ".join(line.split(maxsplit=1)[-1] for line in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise Refused(f"what is here is not what is committed ({names}{more}): commit it, or put it aside")


def seconds_of_commit():
    """When the commit was made, in seconds since 1970."""
    return int(said_by_git("log", "-1", "--format=%ct") or 0)


def written(seconds):
    """A time as RFC 3339 has it."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def committed(folder, into):
    """Puts a folder there as it is committed, without what git ignores."""
    archive = subprocess.run(["git", "-C", ROOT, "archive", "--format=tar", "HEAD", folder],
                             capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(into, filter="data")
