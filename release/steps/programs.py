"""The programs that are released: each is asked what it is before it is packed."""

import platform
import stat
import subprocess
import tempfile
from pathlib import Path

from .packing import archive_of, compressed
from .platforms import PLATFORMS, architecture_of
from .refusal import Refused
from .size import keep_small
from . import tree

HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine())
SHELLS = {"bash": "bywash", "zsh": "_bywash", "fish": "bywash.fish"}
PLUGIN = "kubectl-bywash"


def given(paths, trial):
    """The bytes of the program for each architecture."""
    programs = {}
    for path in paths:
        if not path.is_file():
            raise Refused(f"{path}: no such program")
        content = path.read_bytes()
        architecture = architecture_of(path, content)
        if architecture in programs:
            raise Refused(f"{path} is a second program for {architecture}: give one for each architecture")
        programs[architecture] = content
    missing = [it for it in PLATFORMS if it.removeprefix("linux/") not in programs]
    if missing and not trial:
        raise Refused(f"a program for {' and '.join(missing)} is missing, of which the charts tell: "
                      "build it there with `make static`, or try things out with --trial")
    if not trial:
        for architecture, content in programs.items():
            keep_small(f"the program for {architecture}", content)
    return dict(sorted(programs.items()))


class Native:
    """The program for this machine, which tells what all of them offer."""

    def __init__(self, programs, version):
        if HERE not in programs:
            raise Refused(f"a program for this machine ({HERE or platform.machine()}) is missing, which is asked what "
                          "shells are to offer: give it too")
        self.folder = tempfile.TemporaryDirectory()
        program = Path(self.folder.name) / "bywash"
        program.write_bytes(programs[HERE])
        program.chmod(stat.S_IRWXU)
        program.with_name(PLUGIN).symlink_to("bywash")
        said = self.says("bywash", "--version").strip()
        if said != f"bywash {version}":
            raise Refused(f"the program says that it is {said!r}, and this tree is {version}: build it anew")
        self.crds = self.says("bywash", "crds")
        committed = tree.read("crds/gatewaypolicies.bywash.dev.yaml")
        if self.crds != committed:
            raise Refused("the program prints another GatewayPolicy than crds/ has: build it anew from this tree")

    def says(self, name, *arguments):
        """What it prints when it is called by that name."""
        run = subprocess.run([Path(self.folder.name) / name, *arguments], capture_output=True, text=True)
        if run.returncode:
            raise Refused(f"`{name} {' '.join(arguments)}` fails: {run.stderr.strip()}")
        return run.stdout


class Archives:
    """What is unpacked by hand, and what krew unpacks: it knows no links, so that the plugin has its own."""

    def __init__(self, native, seconds, level):
        self.seconds, self.level = seconds, level
        self.license, self.readme = tree.read("LICENSE").encode(), tree.read("README.md").encode()
        self.completion = native.says(PLUGIN, "completion", "kubectl").encode()
        self.shells = {name: native.says("bywash", "completion", shell).encode() for shell, name in SHELLS.items()}

    def of(self, program):
        entries = [("bywash", program, 0o755), (PLUGIN, "bywash", 0o777), ("LICENSE", self.license, 0o644),
                   ("README.md", self.readme, 0o644), ("completion", None, 0o755),
                   ("completion/kubectl_complete-bywash", self.completion, 0o755)]
        entries += [(f"completion/{name}", content, 0o644) for name, content in self.shells.items()]
        return self._packed(entries)

    def of_plugin(self, program):
        return self._packed([(PLUGIN, program, 0o755), ("LICENSE", self.license, 0o644)])

    def _packed(self, entries):
        return compressed(archive_of(entries, self.seconds), self.level)
