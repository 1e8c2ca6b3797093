"""Processes pinned to a core, and the CPU time of their whole tree.

Workers that were reaped count too: their time has moved to their parent's `cutime` and `cstime`, so
that a proxy which replaces its workers cannot hide what they cost.
"""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A part of the set-up does not work; the message says which and why."""


def require_free(host, port):
    """A peer left over on a port would be measured instead of the one that was meant."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Failed(f"{host}:{port} is taken: {error.strerror}") from error


def _stat(pid):
    """The fields of /proc/PID/stat after the command name; None for a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def _tree(root):
    """`root` and its descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(entry)):
            children.setdefault(int(fields[1]), []).append(int(entry))
    tree, todo = [], [root]
    while todo:
        pid = todo.pop()
        tree.append(pid)
        todo += children.get(pid, [])
    return tree


class Process:
    """One program on one core, with its output in a file."""

    def __init__(self, name, argv, core, log, env=None):
        self.name = name
        self.log = Path(log)
        with self.log.open("wb") as out:
            self.child = subprocess.Popen(
                ["taskset", "-c", str(core), *map(str, argv)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    def wait_until_accepting(self, addresses, seconds=20):
        deadline = time.monotonic() + seconds
        for host, port in addresses:
            while True:
                self.require_alive()
                try:
                    socket.create_connection((host, port), timeout=1).close()
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise Failed(f"{self.name} does not listen on {host}:{port}{self._tail()}")
                    time.sleep(0.05)

    def require_alive(self):
        if self.child.poll() is not None:
            raise Failed(f"{self.name} ended with status {self.child.returncode}{self._tail()}")

    def cpu_seconds(self):
        """User and system time of the tree so far, reaped descendants included."""
        ticks = 0
        for pid in _tree(self.child.pid):
            if fields := _stat(pid):
                ticks += sum(int(field) for field in fields[11:15])
        return ticks / TICKS

    def resident_mib(self):
        """Resident memory of the tree."""
        pages = 0
        for pid in _tree(self.child.pid):
            if fields := _stat(pid):
                pages += int(fields[21])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def stop(self, seconds=3):
        """In an orderly way if that takes no longer than this."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self.child.pid, signal.SIGKILL)
                self.child.wait()

    def signal(self, number):
        self.child.send_signal(number)

    def kill(self):
        """Without notice, as in a crash."""
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()

    def _tail(self):
        lines = self.log.read_text(errors="replace").splitlines()[-8:]
        return "".join(f"\n    {line}" for line in lines)
