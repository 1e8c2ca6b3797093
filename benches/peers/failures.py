"""How proxies get past a failing endpoint: workloads, and the measurement of one.

Three endpoints work; while requests come at a fixed pace, one of them fails and goes on failing (or each
is restarted in turn). Nothing is configured anew: the proxies have only what they see. For each measurement
endpoints and proxy are started anew, since what a proxy has learned of an endpoint would last.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import backend
import bywash
import network
from process import Failed, Process

HERE = Path(__file__).resolve().parent
PER_SECOND = 1000
WARM_UP = 300
PATIENCE_SECONDS = 10
# When the failure begins, after the first request; how long a restarted endpoint is away; how long it is
# back before the next one goes.
BEGINS_SECONDS = 0.5
AWAY_SECONDS = 1.0
BACK_SECONDS = 1.0


class Endpoints:
    """The three of them, each a process of its own; the last one is the one that fails."""

    def __init__(self, fault, core, work):
        self.fault = fault
        self.core = core
        self.work = work
        self.running = [self._start(index) for index in range(len(backend.endpoints()))]
        for process, address in zip(self.running, backend.endpoints()):
            process.wait_until_accepting([address])

    def _start(self, index):
        host, port = backend.endpoints()[index]
        argv = [sys.executable, HERE / "endpoint.py", host, port, self.fault]
        return Process(f"endpoint {host}", argv, self.core, self.work / f"endpoint-{index}.log")

    def go_on(self):
        """No failure, to compare with."""

    def kill_one(self):
        self.running[-1].kill()

    def lose_one(self):
        network.vanish(backend.ADDRESSES[-1])

    def turn_one(self):
        self.running[-1].signal(signal.SIGUSR1)

    def restart_in_turn(self):
        self._replace_each(Process.stop)

    def kill_in_turn(self):
        self._replace_each(Process.kill)

    def _replace_each(self, end):
        for index, process in enumerate(self.running):
            end(process)
            time.sleep(AWAY_SECONDS)
            self.running[index] = self._start(index)
            time.sleep(BACK_SECONDS)

    def stop(self):
        for process in self.running:
            process.kill()
        network.reappear()


@dataclass(frozen=True)
class Workload:
    name: str
    title: str
    # What happens; returns when nothing further changes.
    fail: Callable[[Endpoints], None]
    # What endpoints do once told to fail, as endpoint.py has it.
    fault: str = "works"
    # Sections of a GatewayPolicy, for Bywash.
    policy: str = ""


WORKLOADS = [
    Workload("works", "all three work", Endpoints.go_on),
    Workload("refuses", "one is killed and refuses connections", Endpoints.kill_one),
    Workload("black-hole", "one vanishes: packets to it are dropped", Endpoints.lose_one),
    Workload("resets", "one resets after each request", Endpoints.turn_one, fault="resets"),
    Workload(
        "answers-502",
        "one answers 502",
        Endpoints.turn_one,
        fault="502",
        policy="outlierDetection: {statuses: [502]}",
    ),
    Workload("rolling-restart", "each restarts in turn, finishing what is in flight", Endpoints.restart_in_turn),
    Workload("rolling-kill", "each restarts in turn, dropping what is in flight", Endpoints.kill_in_turn),
]


@dataclass(frozen=True)
class Sample:
    """One measurement of one proxy under one workload."""

    requests: int
    p50_ms: float
    p99_ms: float
    longest_ms: float
    # Those that gave no client a good answer.
    extra_attempts: int
    failed: dict = field(default_factory=dict)

    @property
    def errors(self):
        return sum(self.failed.values())

    def __str__(self):
        times = f"p50 {self.p50_ms:.1f} p99 {self.p99_ms:.1f} longest {self.longest_ms:.0f} ms"
        why = ", ".join(f"{count} × {outcome}" for outcome, count in self.failed.items())
        return f"{times} extra attempts {self.extra_attempts} errors {self.errors}{f' ({why})' if why else ''}"


class Load:
    """The load, from its first request on."""

    def __init__(self, proxy, count, options):
        argv = ["taskset", "-c", options.load_cores, sys.executable, HERE / "clients.py", proxy.http]
        argv += [count, PER_SECOND, PATIENCE_SECONDS]
        self.child = subprocess.Popen([str(part) for part in argv], stdout=subprocess.PIPE, text=True)
        self.child.stdout.readline()

    def result(self):
        text = self.child.stdout.read()
        if self.child.wait() != 0:
            raise Failed("the load failed")
        return json.loads(text)


def warm_up(proxy, options):
    """Until nothing fails: Bywash listens before it has read its manifests."""
    for _ in range(10):
        if not Load(proxy, WARM_UP, options).result()["failed"]:
            return
    raise Failed(f"{proxy.name} has errors while all endpoints work")


def measure(workload, proxy, options, work):
    bywash.write_policy(work, workload.policy)
    endpoints = Endpoints(workload.fault, options.load_cores, work)
    try:
        proxy.start(work, options.proxy_cores)
        warm_up(proxy, options)
        before = network.attempts()
        clients = Load(proxy, PER_SECOND * options.seconds, options)
        time.sleep(BEGINS_SECONDS)
        workload.fail(endpoints)
        result = clients.result()
        proxy.process.require_alive()
        attempts = network.attempts() - before
    finally:
        if proxy.process:
            proxy.process.stop()
        endpoints.stop()
    if result.pop("lag_seconds") > 1:
        raise Failed("the load could not keep its pace: this machine is too busy")
    answered = result["requests"] - sum(result["failed"].values())
    return Sample(**result, extra_attempts=attempts - answered)
