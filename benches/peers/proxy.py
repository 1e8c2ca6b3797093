"""A proxy that can be started: its program, its addresses, its configuration as arguments."""

import re
import subprocess
from dataclasses import dataclass, field

from process import Process, require_free


@dataclass
class Proxy:
    """A proxy that is running, or can be."""

    name: str
    http: int
    https: int
    version: str
    argv: list
    env: dict = field(default_factory=dict)
    process: Process | None = None

    def start(self, work, core):
        for port in (self.http, self.https):
            require_free("127.0.0.1", port)
        self.process = Process(self.name, self.argv, core, work / f"{self.name}.log", self.env)
        self.process.wait_until_accepting([("127.0.0.1", self.http), ("127.0.0.1", self.https)])


def version(argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    found = re.search(r"[ /](\d+\.\d+\.\d+[\w.+~-]*)", done.stdout + done.stderr)
    return found[1] if found else "unknown"
