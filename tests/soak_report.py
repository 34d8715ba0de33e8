"""What a log of `soak.py faults` says: a table of faults, growth of memory, and a picture over time."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from rtvox.report import table

SETTLED_S = 600.0  # memory may grow until every fault has happened once; in short runs for the first third
SPAN_S = 300.0  # twice through the plan: after some faults there is more of it than after others
GROWTH_MIB = 5.0
HEARD = ("not_numbers", "above_ceiling", "bursts", "clicks")
Line = dict[str, Any]


def read(folder: Path) -> tuple[list[Line], list[Line]]:
    """Return the samples, one a second, and the events of a log."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "rss_mib" in line], [line for line in lines if "event" in line]


def growth_mib(samples: list[Line], kind: str) -> tuple[float, float]:
    """Return by how much memory grew, from the median of SPAN_S (a tenth of a short run) to that of the last ones.

    Of samples while sound runs: a lost server takes its own memory with it.
    """
    samples = [line for line in samples if line["state"] == "running"]
    end = samples[-1]["t"]
    settled, span = min(SETTLED_S, end / 3.0), min(SPAN_S, end / 10.0)
    since = [line for line in samples if line["t"] >= settled]
    early = [line[kind] for line in since if line["t"] <= since[0]["t"] + span]
    late = [line[kind] for line in since if line["t"] >= end - span]
    return median(late) - median(early), settled


def report(folder: Path) -> int:
    """Print the summary of a log and draw its picture; return 1 if anything did not hold."""
    samples, events = read(folder)
    faults = [line for line in events if line["event"] == "fault"]
    rows = []
    for name in dict.fromkeys(line["fault"] for line in faults):
        times = [line for line in faults if line["fault"] == name]
        good = [line for line in times if not line["problem"]]
        longest = max(line["seconds"] for line in times)
        rows.append((name.replace("_", " "), f"{len(times)}", f"{len(good)}", f"{longest:.1f} s", times[-1]["counted"]))
    print(table(("fault", "times", "recovered", "longest, with its checks", "counted, the last time"), rows))
    for line in faults:
        if line["problem"]:
            print(f"NOT RECOVERED at {line['t']:.0f} s: {line['fault']}: {line['problem']}")
    last, (grown, since), (own, _) = samples[-1], growth_mib(samples, "rss_mib"), growth_mib(samples, "own_mib")
    swaps = [line["seconds"] for line in events if line["event"] == "swap"]
    heard = {name: last[name] for name in HEARD}
    print(
        f"{last['t'] / 60.0:.1f} min, {last['callbacks']} callbacks, {last['misses']} misses, {last['xruns']} xruns; "
        f"{len(swaps)} swaps, the slowest {max(swaps, default=0.0):.2f} s; memory {last['rss_mib']:.1f} MiB, "
        f"{grown:+.2f} since {since:.0f} s ({own:+.2f} of its own); "
        f"threads {last['threads']}, files {last['files']}; output: {heard}"
    )
    _draw(folder / "soak.png", samples, faults)
    return int(any(line["problem"] for line in faults) or any(heard.values()) or grown > GROWTH_MIB)


def _draw(path: Path, samples: list[Line], faults: list[Line]) -> None:
    from matplotlib.figure import Figure

    minutes = [line["t"] / 60.0 for line in samples]
    figure = Figure(figsize=(10, 7), layout="constrained")
    axes = figure.subplots(3, 1, sharex=True)
    for kind, label in (("rss_mib", "resident"), ("own_mib", "its own, without libraries and the server's")):
        axes[0].plot(minutes, [line[kind] for line in samples], label=label)
    axes[0].set_ylabel("memory, MiB")
    axes[0].legend()
    axes[1].plot(minutes, [line["latency_ms"] if line["state"] == "running" else float("nan") for line in samples])
    axes[1].set_ylabel("latency, ms")
    missed = [max(0, b["misses"] - a["misses"]) for a, b in pairwise(samples)]
    axes[2].plot(minutes[1:], missed)
    axes[2].set_yscale("symlog")
    axes[2].set_ylabel("misses per second")
    axes[2].set_xlabel("minutes; grey: a fault and its checks, red: not recovered")
    for line in faults:
        for axis in axes:
            begin, end = (line["t"] - line["seconds"]) / 60.0, line["t"] / 60.0
            axis.axvspan(begin, end, color="red" if line["problem"] else "grey", alpha=0.2, lw=0)
    figure.savefig(path)
