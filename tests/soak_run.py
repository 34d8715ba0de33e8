"""Run: an engine under watch in real time over JACK, or as fast as it can on a FileDevice, and its log.

The driver's side: it waits, swaps models, looks at Status once a second, and says what must hold after a fault. Each
line of the log is a JSON object: samples (with `rss_mib`) and events (with `event`). Read next: `soak_faults.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

from audio_systems import JackServer
from soak_watch import CEILING, Bounds, Watch, WatchedCard, WatchedFile, bounds, memory_mib

from rtvox.device import Device
from rtvox.engine import Engine
from rtvox.levels import SAMPLE_RATE
from rtvox.osc_commands import Commands
from rtvox.osc_server import OscServer
from rtvox.presets import DeviceChoice
from rtvox.session import Session
from rtvox.status import Status

PERIOD = 128  # samples
RECOVERY_S = 10.0  # within this, sound must be whole again: reopening a device is tried once a second
CALM_S = 0.25  # of callbacks without a miss: recovered
TICK_S = 1.0
DRY_ERROR = {SAMPLE_RATE: 1e-5}  # resamplers leave out what is above 20 kHz
RESAMPLED_ERROR = 0.01


class NotRecoveredError(AssertionError):
    """A fault was not counted, or not recovered from."""


class Run:
    """One soak. Also a context manager: the engine runs inside, and stops on exit.

    Attributes:
        engine, server, watch: what is tested, its OSC server, and the ear at its output.
        jack: the sound server, or None on a FileDevice.
        model: in use.
        failures: what did not hold, in words.
    """

    def __init__(self, folder: Path, models: list[str], jack: JackServer | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.log, self.jack = folder, folder / "log.jsonl", jack
        self.log.write_text("")
        self.watch, self.failures = Watch(), list[str]()
        self._bounds = {model: bounds(model) for model in models}
        self._models, self.model = cycle(models), models[-1]
        self._nominal: dict[tuple[str, int, int], int] = {}
        self.engine = Engine(WatchedFile(self.watch) if jack is None else self._card(DeviceChoice()))
        session = Session(
            self.engine,
            presets=folder / "presets",
            recordings=folder,
            open_device=self._card,
            check_device=lambda _: None,
        )
        self.server = OscServer(Commands(session), port=0)
        self._begin = self._next_tick = time.monotonic()
        self._wall_clock = time.time

    def __enter__(self) -> Run:
        self.engine.load(self.model)
        self.server.start()
        self.engine.start()
        self.watch.allowed = self._bounds[self.model]
        self._begin = self._next_tick = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()
        self.engine.stop()
        time.time = self._wall_clock

    def _card(self, choice: DeviceChoice) -> Device:
        return WatchedCard(self.watch, choice.input, choice.output, PERIOD)

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._begin

    def status(self) -> Status:
        """Return the engine's Status."""
        return self.engine.status()

    def note(self, **values: Any) -> None:
        """Write a line of the log."""
        with self.log.open("a") as file:
            file.write(json.dumps({"t": round(self.seconds, 2), **values}) + "\n")

    def wait(self, seconds: float) -> None:
        """Wait, and write a sample each second meanwhile."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            if now >= self._next_tick:
                self._next_tick = max(self._next_tick + TICK_S, now)
                self._sample()
            time.sleep(max(0.0, min(0.05, end - now)))

    def until(self, condition: Callable[[], bool], what: str, timeout_s: float = RECOVERY_S) -> float:
        """Wait until it holds and return how long that took."""
        begin = time.monotonic()
        while not condition():
            self.need(time.monotonic() - begin < timeout_s, f"no {what} in {timeout_s:g} s: {self.status()}")
            self.wait(0.05)
        return time.monotonic() - begin

    def need(self, holds: bool, otherwise: str) -> None:
        """Raise NotRecoveredError unless it holds."""
        if not holds:
            raise NotRecoveredError(otherwise)

    def recover(self, what: str) -> float:
        """Wait for sound without a miss at nominal latency; return how long that took."""
        return self.until(self._is_calm, what)

    def _is_calm(self) -> bool:
        before = self.status()
        self.wait(CALM_S)
        after = self.status()
        place = (after.model, after.sample_rate, after.block)
        nominal = self._nominal.setdefault(place, after.latency.total)
        played = after.callbacks - before.callbacks
        wanted = 0.8 * CALM_S * after.sample_rate / after.block if self.jack else 1
        return (
            before.state == after.state == "running"
            and played >= wanted
            and after.misses == before.misses
            and after.latency.total == nominal
        )

    def check_delay(self) -> None:
        """Hear that the dry signal comes exactly as late as Status says, and so does what is mixed with it."""
        self.engine.set("mix", 0.0)
        allowed = DRY_ERROR.get(self.watch.rate, RESAMPLED_ERROR)
        self.wait(0.2)
        self.until(lambda: self.watch.delay_error(self.engine.delay) <= allowed, "sound at the stated delay", 5.0)
        self.engine.set("mix", 1.0)
        self.wait(0.1)

    def next_model(self) -> str:
        """Return which model is next."""
        return next(model for model in self._models if model != self.model)

    def swap(self) -> str:
        """Put the next model in place, and return its name."""
        old, new, begin = self.model, self.next_model(), time.monotonic()
        self.watch.allowed = _either(self._bounds[old], self._bounds[new])
        self.engine.load(new)
        self.model = new
        took = time.monotonic() - begin
        self.wait(0.3)
        self.watch.allowed = self._bounds[new]
        self.note(event="swap", model=new, seconds=round(took, 3))
        return new

    def restore(self) -> None:
        """Set everything back that a client may have changed."""
        params = self.engine.params
        for name, control in params.table.items():
            params.set(name, control.default)
        self.engine.load(self.model)
        self.engine.start()
        self.wait(1.0)
        self.watch.allowed = self._bounds[self.model]

    @contextlib.contextmanager
    def unbounded(self, ceiling: float = CEILING) -> Iterator[None]:
        """Allow any sound that is made of numbers and below the ceiling."""
        self.watch.allowed = Bounds(ceiling=ceiling)
        try:
            yield
            self.wait(0.5)
        finally:
            self.watch.allowed = self._bounds[self.model]

    def restart_server(self, rate: int = SAMPLE_RATE) -> float:
        """Kill the sound server and start it again; return how long the engine took to notice, and to come back."""
        assert self.jack
        self.jack.kill()
        self.until(lambda: self.status().state == "device lost", "report of the loss", 5.0)
        self.wait(1.0)
        self.jack.start(PERIOD, rate)
        taken = self.until(lambda: self.status().state == "running", "return of the device")
        self.need(self.status().sample_rate == rate, f"runs at {self.status().sample_rate} Hz, not {rate}")
        return taken

    def jump_clock(self, seconds: float) -> None:
        """Have the wall clock, as Python sees it, differ by so much."""
        wall_clock = self._wall_clock
        time.time = lambda: wall_clock() + seconds

    def do(self, fault: Callable[[Run], str]) -> None:
        """Let a fault happen, wait for the recovery, and write down how it went."""
        begin, seen, problem, evidence = self.seconds, self._heard(), "", ""
        self.note(event="begin", fault=fault.__name__)
        try:
            evidence = fault(self)
            self.recover("recovery")
            self.check_delay()
        except Exception as error:  # the soak goes on, to see whether the engine does
            problem = f"{type(error).__name__}: {error}"
            with contextlib.suppress(Exception):
                self.restore()
        heard = {name: count - seen[name] for name, count in self._heard().items()}
        if any(heard.values()) and not problem:
            problem = f"heard {heard}"
        if problem:
            self.failures.append(f"{fault.__name__} at {begin:.0f} s: {problem}")
        self.note(
            event="fault",
            fault=fault.__name__,
            seconds=round(self.seconds - begin, 2),
            counted=evidence,
            problem=problem,
            **heard,
        )

    def _heard(self) -> dict[str, int]:
        watch = self.watch
        return {name: getattr(watch, name) for name in ("not_numbers", "above_ceiling", "bursts", "clicks")}

    def _sample(self) -> None:
        status, (resident, own) = self.status(), memory_mib()
        self.note(
            rss_mib=round(resident, 2),
            own_mib=round(own, 2),
            files=len(os.listdir("/proc/self/fd")),  # noqa: PTH208
            threads=len(os.listdir("/proc/self/task")),  # noqa: PTH208
            state=status.state,
            model=status.model,
            rate=status.sample_rate,
            latency_ms=round(status.latency.total_ms, 3),
            callbacks=status.callbacks,
            misses=status.misses,
            missed_samples=status.missed_samples,
            dropped=status.dropped,
            failed_hops=status.failed_hops,
            xruns=status.xruns,
            p99_ms=round(status.compute_p99_ms, 3),
            peak=round(self.watch.take_peak(), 4),
            **self._heard(),
            error=status.error,
        )


def _either(one: Bounds, other: Bounds) -> Bounds:
    return Bounds(max(one.peak, other.peak), max(one.roughness, other.roughness))
