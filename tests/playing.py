"""Helpers of the engine tests: stages that do what they are told, and music that is pushed through an engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rtvox.chain import Chain, build_chain
from rtvox.engine import Engine
from rtvox.features import Array, FeatureSpec
from rtvox.file_device import FileDevice, PushDevice

HOP = 256
RATE = 48000


class Made:
    """A stage that multiplies, delays, and does `fault` on the way."""

    def __init__(self, gain: float = 1.0, delay: int = HOP) -> None:
        self.delay, self.gain = delay, np.float32(gain)
        self.fault: Callable[[], None] = lambda: None
        self.reset()

    def process(self, x: Array) -> Array:
        self.fault()
        self._line = np.concatenate([self._line, x * self.gain])
        y, self._line = self._line[: len(x)], self._line[len(x) :]
        return y

    def reset(self) -> None:
        self._line = np.zeros(self.delay, np.float32)


def made(gain: float = 1.0, delay: int = HOP, look_ahead: int = 0, stage: Made | None = None) -> Chain:
    return Chain(f"made {gain:g}", stage or Made(gain, delay + look_ahead), HOP, look_ahead=look_ahead)


def out_of_tune() -> None:
    raise ValueError("out of tune")


def play(
    source: Array,
    model: Chain | str | Path | None = None,
    block: int | tuple[int, ...] = 128,
    rate: int = RATE,
    **settings: float,
) -> tuple[Array, Engine]:
    """Return what comes out of a file device, as long as the source plus the delay, and the stopped engine."""
    device = FileDevice(source, block=block, sample_rate=rate)
    with Engine(device) as engine:
        engine.load(model)
        for name, value in {"ceiling": 0.0, **settings}.items():
            engine.set(name, value)
        device.length += engine.delay
        engine.start()
        assert device.wait(60)
    return device.output[:, 0], engine


class Player:
    """An engine that is fed with music block by block, so that a test can step in at any time."""

    def __init__(
        self, music: Array, model: Chain | str | Path | None = None, block: int = 128, rate: int = RATE
    ) -> None:
        self.device = PushDevice(rate, block)
        self.engine = Engine(self.device)
        self.engine.load(model)
        self.engine.set("ceiling", 0.0)
        self._music, self._block, self._out = music, block, [np.zeros(0, np.float32)]

    @property
    def position(self) -> int:
        return self._block * (len(self._out) - 1)

    def play(self, until: int) -> None:
        self.engine.start()
        while self.position < until:
            block = self._music[self.position : self.position + self._block, None]
            self._out.append(self.device.push(block)[:, 0])

    def swap(self, model: Path, **settings: float) -> None:
        """Have another model, and settings, cross-faded in from the next hop on: `load` and `set` at a known place."""
        chain, params = build_chain(model, FeatureSpec(), "cpu", settings), self.engine.params
        params.join(chain.controls)
        for name, value in settings.items():
            params.set(name, value)
        chain.warm_up()
        chain.settle(params)
        self.engine._mixer.pending = chain

    def stop(self) -> tuple[Array, Array]:
        """Return the output, and the input as it ought to stand beside it."""
        self.engine.stop()
        out = np.concatenate(self._out)
        return out, delayed(self._music, self.engine.delay)[: len(out)]


def delayed(x: Array, delay: int) -> Array:
    return np.concatenate([np.zeros(delay, np.float32), x])


def roughness(x: Array) -> float:
    """Return the largest second difference: a click has more of it than music."""
    return float(np.abs(np.diff(x.astype(np.float64), 2)).max())


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
