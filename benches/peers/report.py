"""The result: medians over the rounds, and ratios to nginx within each round.

Neighbours on a shared machine slow whole rounds down, so that only what ran in the same round is
comparable; the median of those ratios is the figure to read.
"""

import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from statistics import median


def _cell(samples, reference, of, form):
    value = form.format(median(map(of, samples)))
    if samples is reference:
        return value
    ratios = [of(mine) / of(theirs) for mine, theirs in zip(samples, reference) if of(theirs)]
    return f"{value} ({median(ratios):.2f})" if ratios else value


def _table(title, results, names, cell):
    lines = [f"| {title} | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for scenario, by_proxy in results.items():
        cells = [cell(by_proxy[name], by_proxy["nginx"]) for name in names]
        lines.append(f"| {scenario.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _latency(samples, _):
    return f"{median(s.p50_ms for s in samples):.2f} / {median(s.p99_ms for s in samples):.2f}"


def markdown(results, names, memory):
    parts = [
        _table("CPU us per request", results, names, lambda s, r: _cell(s, r, lambda x: x.cpu_us, "{:.1f}")),
        _table("requests per second", results, names, lambda s, r: _cell(s, r, lambda x: x.per_second, "{:,.0f}")),
        _table("p50 / p99, ms", results, names, _latency),
        "| | " + " | ".join(names) + " |\n" + "|---" * (len(names) + 1) + "|\n"
        "| memory after the run, MiB | " + " | ".join(f"{memory[name]:.0f}" for name in names) + " |",
    ]
    return "\n\n".join(parts)


def failures(results, names):
    """Errors are those of all rounds together, the other figures medians."""

    def cell(samples, _):
        errors = sum(sample.errors for sample in samples)
        p99 = median(sample.p99_ms for sample in samples)
        return f"{errors} / {p99:.0f} / {median(sample.extra_attempts for sample in samples):.0f}"

    return _table("client errors / p99, ms / extra attempts", results, names, cell)


def machine(proxies, arguments):
    """One line on what was measured where and when."""
    model = "unknown processor"
    cores = 0
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            cores += 1
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    versions = ", ".join(f"{proxy.name} {proxy.version}" for proxy in proxies)
    return (
        f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC; {cores} × {model}; Linux {platform.release()}; {system}; "
        f"commit {commit.stdout.strip() or 'unknown'}; workers: {arguments.workers}, on cores {arguments.proxy_cores}, load on {arguments.load_cores}; "
        f"{arguments.rounds} rounds of {arguments.seconds} s; {versions}"
    )
