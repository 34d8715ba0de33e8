"""Hours of sound through one engine per model, as fast as the machine can; each is then held to a fresh engine.

A model with memory must not drift: after hours, the last minute is what an engine gives that began minutes ago. How
many: what a network remembers has to fade (two states of the GRUs of `isolate` come nearer by half in 48 s: 0.005
apart after 259 s), a Griffin-Lim needs one rest in the music, and the noise of `scream` repeats after 4092 hops,
so that the fresh engine begins a whole number of these before.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from playing import HOP
from soak_watch import memory_mib, music

from rtvox.demo import read_clip
from rtvox.engine import Engine
from rtvox.features import Array
from rtvox.file_device import PushDevice
from rtvox.levels import SAMPLE_RATE
from rtvox.onnx_stage import OnnxStage

BLOCK = 12 * HOP  # a divisor of PERIOD
PERIOD = 4092 * HOP  # of the noise generators of `scream`: 21.8 s
LAST_S, WARM_IN_S = 60, 720
# Griffin-Lim has no memory that its rounds would change: fewer save a third of the time.
SETTINGS: Mapping[str, float] = {"iterations": 2.0}


def programme() -> Array:
    """Return the music and the demo's song, with a rest after each (N,), a whole number of blocks."""
    parts = [music(SAMPLE_RATE), read_clip(), np.zeros(SAMPLE_RATE, np.float32)]
    x = np.concatenate(parts)
    return x[: len(x) // BLOCK * BLOCK]


class Endless:
    """An engine that is fed with the programme, from a position on."""

    def __init__(self, model: str, position: int = 0) -> None:
        self.model, self.position, self._programme = model, position, programme()
        self._device = PushDevice(SAMPLE_RATE, BLOCK)
        self.engine = Engine(self._device)
        self.engine.load(model)
        for name, value in SETTINGS.items():
            self.engine.set(name, value)
        self.engine.start()

    def play(self, until: int, keep: int = 0, every_minute: Callable[[], None] = lambda: None) -> Array:
        """Go on until a position; return the last `keep` samples (N,)."""
        kept = []
        while self.position < until:
            at = self.position % len(self._programme)
            out = self._device.push(self._programme[at : at + BLOCK, None])[:, 0]
            self.position += BLOCK
            if self.position > until - keep:
                kept.append(out)
            if self.position // BLOCK % (60 * SAMPLE_RATE // BLOCK) == 0:
                every_minute()
        return np.concatenate([np.zeros(0, np.float32), *kept])[-keep:]

    def largest_state(self) -> float:
        """Return the largest number in the network's memory, which may be infinite or NaN; 0 without a network."""
        stages = getattr(self.engine._mixer.chain.pipeline, "stages", ())
        networks = [stage._network for stage in stages if isinstance(stage, OnnxStage)]
        tensors = [tensor for network in networks for tensor in network.states().values()]
        return max((float(np.abs(tensor).max()) for tensor in tensors), default=0.0)


def run(models: list[str], hours: float, rounds: int, log: Path) -> bool:
    """Play so many hours in all, the models taking turns; after each turn compare. Return whether all agree.

    Each round goes twice as far as the one before. The log has a line per minute of sound and one per comparison.
    """
    share = hours * 3600.0 * SAMPLE_RATE / len(models)
    engines = {model: Endless(model) for model in models}
    agree = True
    for turn in range(1, rounds + 1):
        for model, endless in engines.items():
            begin, from_position = time.monotonic(), endless.position
            until = round(share / 2 ** (rounds - turn)) // BLOCK * BLOCK
            _note(log, event="begin", model=model, hours=_hours(endless), rss_mib=memory_mib()[0])
            last = endless.play(until, LAST_S * SAMPLE_RATE, lambda: _note(log, model=model, hours=_hours(endless)))  # noqa: B023
            status, state = endless.engine.status(), endless.largest_state()
            speed = (until - from_position) / SAMPLE_RATE / (time.monotonic() - begin)
            start = max(0, until - (LAST_S + WARM_IN_S) * SAMPLE_RATE) // PERIOD * PERIOD
            fresh = Endless(model, start)
            difference = float(np.abs(fresh.play(until, LAST_S * SAMPLE_RATE) - last).max())
            fresh.engine.stop()
            good = bool(np.isfinite(state) and difference <= 1e-4 and not status.failed_hops and not status.error)
            agree = agree and good
            _note(
                log,
                event="compared",
                model=model,
                hours=_hours(endless),
                good=good,
                largest_state=state,
                difference=difference,
                peak=float(np.abs(last).max()),
                warm_in_s=(until - start) / SAMPLE_RATE - LAST_S,
                failed_hops=status.failed_hops,
                error=status.error,
                times_real_time=speed,
                rss_mib=memory_mib()[0],
            )
    for endless in engines.values():
        endless.engine.stop()
    return agree


def _hours(endless: Endless) -> float:
    return endless.position / SAMPLE_RATE / 3600.0


def _note(log: Path, **values: Any) -> None:
    line = json.dumps({"at": time.strftime("%H:%M:%S"), **values})
    with log.open("a") as file:
        file.write(line + "\n")
    if "event" in values:
        print(line, flush=True)
