"""Hours of sound without a rest through one engine per model, as fast as the machine can; then held to a fresh engine.

A model with memory must not drift: its states stay finite, and after hours one rest makes it as new (`chain.Chain`), so
that the minute after it is what an engine gives that has just been started. What a network forgets by itself, without
a rest, is written down beside it: a fresh engine that has heard the last WARM_IN_S of the same. It begins a whole
number of 4092 hops before, after which the noise of `scream` repeats.
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

from rtvox.chain import REST_S
from rtvox.demo import read_clip
from rtvox.engine import Engine
from rtvox.features import Array
from rtvox.file_device import PushDevice
from rtvox.levels import SAMPLE_RATE, amplitude
from rtvox.onnx_stage import OnnxStage

BLOCK = 12 * HOP  # a divisor of PERIOD
PERIOD = 4092 * HOP  # of the noise generators of `scream`: 21.8 s
LAST_S, WARM_IN_S = 60, 720  # compared; heard by a fresh engine without a rest
PARTS = 24, 4, 1  # of the time, after which there is a rest, and a comparison
NOISE_DB = -70.0  # of a microphone: never silence
SAME = 1e-4  # of full scale
# Griffin-Lim has no memory that its rounds would change: fewer save a third of the time.
SETTINGS: Mapping[str, float] = {"iterations": 1.0}


def programme() -> Array:
    """Return the music and the demo's song, and a microphone's noise with both (N,), a whole number of blocks."""
    x = np.concatenate([music(SAMPLE_RATE), read_clip()])
    noise = np.random.default_rng(440).normal(0.0, amplitude(NOISE_DB), len(x))
    return (x + noise.astype(np.float32))[: len(x) // BLOCK * BLOCK]


class Endless:
    """An engine that is fed with the programme, from a position on."""

    def __init__(self, model: str, position: int = 0) -> None:
        self.model, self.position, self._programme = model, position, programme()
        self.began = position  # or rested
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

    def rest(self) -> None:
        """Hear nothing until all is forgotten; the programme waits."""
        self.began = self.position
        for _ in range(round(2.0 * REST_S * SAMPLE_RATE) // BLOCK):
            self._device.push(np.zeros((BLOCK, 1), np.float32))

    def states(self) -> dict[str, Array]:
        """Return the network's memory, which may be infinite or NaN; nothing without a network."""
        stages = getattr(self.engine._mixer.chain.pipeline, "stages", ())
        networks = [stage._network for stage in stages if isinstance(stage, OnnxStage)]
        return {name: value for network in networks for name, value in network.states().items()}


def run(models: list[str], hours: float, log: Path) -> bool:
    """Play so many hours in all, the models taking turns; after each turn compare. Return whether all agree.

    The log has a line per minute of sound and one per comparison.
    """
    share = hours * 3600.0 * SAMPLE_RATE / len(models)
    engines = {model: Endless(model) for model in models}
    agree = True
    for part in PARTS:
        for model, endless in engines.items():
            begin, from_position = time.monotonic(), endless.position
            _note(log, event="begin", model=model, hours=_hours(endless), rss_mib=memory_mib()[0])
            last = endless.play(
                round(share / part) // BLOCK * BLOCK,
                LAST_S * SAMPLE_RATE,
                lambda: _note(log, model=model, hours=_hours(endless)),  # noqa: B023
            )
            speed = (endless.position - from_position) / SAMPLE_RATE / (time.monotonic() - begin)
            largest = max((float(np.abs(state).max()) for state in endless.states().values()), default=0.0)
            forgotten = _forgotten(endless, last) if part == PARTS[-1] else {}
            difference = _after_a_rest(endless)
            status = endless.engine.status()
            good = bool(np.isfinite(largest) and difference <= SAME and not status.failed_hops and not status.error)
            agree = agree and good
            _note(
                log,
                event="compared",
                model=model,
                hours=_hours(endless),
                good=good,
                largest_state=largest,
                difference=difference,
                **forgotten,
                peak=float(np.abs(last).max()),
                failed_hops=status.failed_hops,
                error=status.error,
                times_real_time=speed,
                rss_mib=memory_mib()[0],
            )
    for endless in engines.values():
        endless.engine.stop()
    return agree


def _after_a_rest(endless: Endless) -> float:
    """Return how far the minute after a rest is from a fresh engine's."""
    fresh, until = Endless(endless.model, endless.position), endless.position + LAST_S * SAMPLE_RATE
    endless.rest()
    both = [engine.play(until, LAST_S * SAMPLE_RATE) for engine in (endless, fresh)]
    fresh.engine.stop()
    return float(np.abs(both[0] - both[1]).max())


def _forgotten(endless: Endless, last: Array) -> dict[str, float]:
    """Return how far sound and memory are from those of an engine that began some minutes ago, and when it did."""
    heard = endless.position - endless.began
    start = endless.began + max(0, heard - (LAST_S + WARM_IN_S) * SAMPLE_RATE) // PERIOD * PERIOD
    fresh = Endless(endless.model, start)
    sound = float(np.abs(fresh.play(endless.position, len(last)) - last).max())
    ours, theirs = endless.states(), fresh.states()
    fresh.engine.stop()
    apart = max((float(np.abs(ours[name] - theirs[name]).max()) for name in ours), default=0.0)
    warm_in_s = (endless.position - start) / SAMPLE_RATE - LAST_S
    return {"warm_in_s": warm_in_s, "without_a_rest": sound, "states_apart": apart}


def _hours(endless: Endless) -> float:
    return endless.position / SAMPLE_RATE / 3600.0


def _note(log: Path, **values: Any) -> None:
    line = json.dumps({"at": time.strftime("%H:%M:%S"), **values})
    with log.open("a") as file:
        file.write(line + "\n")
    if "event" in values:
        print(line, flush=True)
