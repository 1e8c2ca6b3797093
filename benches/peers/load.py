"""The load: scenarios, the tools that produce them, and what the tools report.

`wrk` sends as fast as it is answered, or, for a rate, lets each connection pause between an answer
and the next request for a random time (all at once in one tick would be cheaper to serve than
requests that come one by one). `h2load` speaks HTTP/2.
"""

import re
import subprocess
from dataclasses import dataclass

from process import Failed


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    path: str = "/1k"
    connections: int = 64
    tls: bool = False
    http2_streams: int = 0
    rate: int = 0
    post_bytes: int = 0
    close: bool = False


SCENARIOS = [
    Scenario("keepalive-1k", "HTTP/1.1 keep-alive, 1 KiB, 64 connections"),
    Scenario("rate-2000", "the same at 2,000/s", rate=2000),
    Scenario("tls-1k", "TLS 1.3 keep-alive, 1 KiB", tls=True),
    Scenario("handshake", "full TLS handshake (ECDSA P-256)", tls=True, close=True, connections=16),
    Scenario("http2-1k", "HTTP/2 with TLS from the client, 1 KiB", tls=True, http2_streams=4, connections=16),
    Scenario("body-64k", "64 KiB response", path="/64k"),
    Scenario("body-1m", "1 MiB response", path="/1m", connections=16),
    Scenario("post-16k", "POST 16 KiB", path="/post", post_bytes=16384),
]


@dataclass(frozen=True)
class Sample:
    """One measurement of one proxy in one scenario."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_us: float = 0.0

    def __str__(self):
        return (
            f"{self.cpu_us:7.1f} us {self.per_second:9.0f}/s p99 {self.p99_ms:.2f} ms errors {self.errors}"
        )


def run(scenario, proxy, seconds, core, work):
    scheme, port = ("https", proxy.https) if scenario.tls else ("http", proxy.http)
    url = f"{scheme}://localhost:{port}{scenario.path}" if scenario.tls else f"{scheme}://127.0.0.1:{port}{scenario.path}"
    if scenario.http2_streams:
        return _h2load(scenario, url, seconds, core, work)
    return _wrk(scenario, url, seconds, core, work)


def _output(argv, core):
    done = subprocess.run(["taskset", "-c", str(core), *argv], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{argv[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _wrk(scenario, url, seconds, core, work):
    argv = ["wrk", "-t1", f"-c{scenario.connections}", f"-d{seconds}s", "--timeout", "5s", "--latency"]
    if scenario.close:
        argv += ["-H", "Connection: close"]
    if lua := _script(scenario):
        script = work / "wrk.lua"
        script.write_text(lua)
        argv += ["-s", str(script)]
    text = _output([*argv, url], core)
    requests, elapsed = re.search(r"(\d+) requests in ([\d.]+\w+),", text).groups()
    requests = int(requests)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    errors = int(refused[1]) if refused else 0
    errors += sum(map(int, broken.groups())) if broken else 0
    return Sample(
        requests=requests,
        per_second=requests / (_milliseconds(elapsed) / 1000),
        p50_ms=_milliseconds(re.search(r"^ +50% +(\S+)", text, re.M)[1]),
        p99_ms=_milliseconds(re.search(r"^ +99% +(\S+)", text, re.M)[1]),
        errors=errors,
    )


def _script(scenario):
    if scenario.post_bytes:
        return f'wrk.method = "POST"\nwrk.body = string.rep("x", {scenario.post_bytes})\n'
    if scenario.rate:
        pause = round(1000 * scenario.connections / scenario.rate)
        return f"function delay() return math.random(0, {2 * pause}) end\n"
    return None


def _milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def _h2load(scenario, url, seconds, core, work):
    log = work / "h2load.tsv"
    log.unlink(missing_ok=True)
    argv = ["h2load", f"-c{scenario.connections}", f"-m{scenario.http2_streams}", f"-D{seconds}", f"--log-file={log}"]
    text = _output([*argv, url], core)
    if "Application protocol: h2" not in text:
        raise Failed(f"{url} did not agree on HTTP/2")
    counts = re.search(r"requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
    succeeded, failed, _, _ = map(int, counts.groups())
    lines = log.read_text().splitlines() if log.exists() else []
    times = sorted(int(line.split("\t")[2]) for line in lines)
    if not times:
        raise Failed(f"h2load noted no answer from {url}: {text.strip()}")
    return Sample(
        requests=succeeded + failed,
        per_second=succeeded / seconds,
        p50_ms=times[len(times) // 2] / 1000,
        p99_ms=times[len(times) * 99 // 100] / 1000,
        errors=failed,
    )
