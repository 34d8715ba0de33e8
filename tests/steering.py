"""An engine that is steered over OSC: in this process for quick tests, in a process of its own for figures.

By hand, the figures of docs/measurements.md, on a quiet machine:

    python tests/steering.py sweep --seconds 60       # 1000 messages a second into one control
    python tests/steering.py latency --seconds 60     # from datagram to first changed sample
    python tests/steering.py fuzz --count 100000      # hostile datagrams
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from playing import RATE, made

from rtvox.device_list import list_devices
from rtvox.engine import Engine
from rtvox.errors import DeviceError
from rtvox.features import Array
from rtvox.file_device import FileDevice
from rtvox.osc import OscClient, Value
from rtvox.osc_commands import Commands
from rtvox.osc_server import OscServer
from rtvox.session import Session

LEVEL = 0.25  # what the served engine hears: a constant, so that its output shows the controls and nothing else
WET = -0.5  # what its model makes of it


@contextlib.contextmanager
def served(engine: Engine, folder: Path, **options: Any) -> Iterator[tuple[Session, OscServer]]:
    """Serve an engine of this process on a free port."""
    session = Session(engine, presets=folder / "presets", recordings=folder / "recordings", **options)
    with OscServer(Commands(session), port=0) as server:
        yield session, server


class Ear:
    """Receives for a client, and remembers."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, list[Value]]] = []

    def __call__(self, address: str, values: list[Value]) -> None:
        self.heard.append((address, values))

    def last(self, address: str) -> list[Value] | None:
        return next((values for heard, values in reversed(self.heard) if heard == address), None)

    def all(self, address: str) -> list[list[Value]]:
        return [values for heard, values in self.heard if heard == address]


class TimedDevice(FileDevice):
    """A FileDevice that keeps what it played, and when, in arrays made beforehand."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.played = np.ones(self.length, np.float32)  # made and touched now, so that memory tells what grows
        self.times = np.ones(self.length // self.max_block)

    def _write(self, block: Array) -> None:
        self.times[self.position // self.max_block] = time.time()
        self.played[self.position : self.position + len(block)] = block[:, 0]


@dataclass
class Played:
    """What a served engine did: `status`, resident bytes every 0.2 s, what it played, and when."""

    status: dict[str, Any]
    ignored: int
    memory: list[int]
    output: Array
    times: Array
    block: int = 128

    def time_of(self, index: int) -> float:
        """Return when sample `index` left the engine."""
        return float(self.times[index // self.block]) + (index % self.block) / RATE


@contextlib.contextmanager
def serving(reserve_ms: float = 0.0) -> Iterator[tuple[int, list[Played]]]:
    """Run an engine in real time in a process of its own; yield its port, and a list for what it did."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "serve", folder, str(reserve_ms)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        port, played = int(process.stdout.readline()), []
        try:
            yield port, played
            with OscClient("127.0.0.1", port) as client:
                client.send("/rtvox/quit")
            told = json.loads(process.stdout.readline())
            assert process.wait(30) == 0
            sound = np.load(Path(folder) / "played.npz")
            played.append(Played(told["status"], told["ignored"], told["memory"], sound["output"], sound["times"]))
        finally:
            process.kill()
            process.stdout.close()


def serve(folder: Path, reserve_ms: float) -> None:
    """Be the process of `serving`."""
    end = threading.Event()
    device = TimedDevice(np.full(300 * RATE, LEVEL, np.float32), clock="real")
    with Engine(device, reserve_ms=reserve_ms) as engine:
        engine.load(made(WET))
        session = Session(engine, presets=folder, recordings=folder)
        with OscServer(Commands(session, end.set), port=0) as server:
            engine.start()
            with contextlib.suppress(DeviceError):
                list_devices()  # loads the libraries of the sound systems, 9 MB, which a message may ask for
            time.sleep(1.0)
            print(server.port, flush=True)
            memory = []
            while not end.wait(0.2):
                memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
            status = engine.status()
    end_of = device.position
    np.savez(folder / "played.npz", output=device.played[:end_of], times=device.times[: end_of // device.max_block])
    print(json.dumps({"status": asdict(status), "ignored": server.ignored, "memory": memory}), flush=True)


def sweep(seconds: float, reserve_ms: float = 0.0) -> Played:
    """Send `mix` 1000 times a second, from 0 to 1 and back, and 1/3 at last."""
    with serving(reserve_ms) as (port, played), OscClient("127.0.0.1", port) as client:
        begin = time.monotonic()
        for step in range(round(seconds * 1000)):
            time.sleep(max(0.0, begin + step / 1000.0 - time.monotonic()))
            client.send("/rtvox/param/mix", 0.5 - 0.5 * float(np.cos(step * np.pi / 1000.0)))
        client.send("/rtvox/param/mix", 1.0 / 3.0)
        time.sleep(0.3)
    return played[0]


def latency(seconds: float, reserve_ms: float = 0.0) -> tuple[Array, Played]:
    """Change a gain again and again, at times that have nothing to do with hops; return the delays in ms, sorted."""
    rng, sent = np.random.default_rng(440), []
    with serving(reserve_ms) as (port, played), OscClient("127.0.0.1", port) as client:
        client.send("/rtvox/param/mix", 0.0)
        time.sleep(0.2)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(float(rng.uniform(0.06, 0.07)))
            sent.append(time.time())
            client.send("/rtvox/param/output_gain", -6.0 * (len(sent) % 2))
        time.sleep(0.2)
    (it,) = played
    moved = np.abs(np.diff(it.output)) > 1e-7
    starts = np.flatnonzero(moved[1:] & ~moved[:-1]) + 2  # the first sample that differs
    times = np.array([it.time_of(int(start)) for start in starts])
    found = [times[np.searchsorted(times, at)] for at in sent if at < times[-1]]
    return np.sort((np.array(found) - sent[: len(found)]) * 1000.0), it


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("serve", "sweep", "latency", "fuzz"))
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--count", type=int, default=100_000)
    args = parser.parse_args()
    if args.what == "serve":
        serve(Path(args.rest[0]), float(args.rest[1]))
        return
    if args.what == "latency":
        delays, played = latency(args.seconds)
        middle, late = delays[len(delays) // 2], delays[round(0.99 * (len(delays) - 1))]
        print(f"{len(delays)} changes: median {middle:.1f} ms, p99 {late:.1f} ms, longest {delays[-1]:.1f} ms")
    elif args.what == "sweep":
        played = sweep(args.seconds)
        print(f"largest step between samples {largest_step(played.output):.2e}, allowed {STEP:.2e}")
    else:
        from fuzzing import flood

        played = flood(args.count)
        print(f"{args.count} datagrams, {played.ignored} ignored; memory grew by {growth(played) / 1e6:.1f} MB")
    status = played.status
    print(f"{status['misses']} misses in {status['callbacks']} callbacks, {status['failed_hops']} failed hops")
    print(f"one hop: p99 {status['compute_p99_ms']:.2f} ms, at most {status['compute_max_ms']:.2f} ms")


# A ramp takes 4 hops of 256 samples for whatever way there is: from dry to wet at most this much per sample.
STEP = LEVEL * (1.0 - WET) / 1024


def growth(played: Played) -> int:
    """Return by how many bytes memory grew after the first third, in which libraries are loaded."""
    begin = played.memory[len(played.memory) // 3 :]
    return begin[-1] - begin[0]


def largest_step(output: Array) -> float:
    """Return the largest difference between two samples, the beginning (silence, then sound) left out."""
    first = int(np.flatnonzero(output)[0])
    return float(np.abs(np.diff(output[first + RATE // 10 :])).max())


if __name__ == "__main__":
    main()
