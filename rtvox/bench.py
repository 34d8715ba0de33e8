"""Measure the data path: the time of each stage, the engine in real time, and the algorithmic delay.

In: a model and its settings. Out: a Bench, which `rtvox bench` prints. The sound comes from memory and is paced as by a
sound card (`FileDevice`), so the figures are those of this machine and need no audio hardware. Main thread; the stages
run in the engine's converter thread. Read next: `engine.py`; `loopback.py` measures through real devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from rtvox.chain import Chain, build_chain
from rtvox.engine import Engine, Status
from rtvox.features import Array, FeatureSpec
from rtvox.file_device import Clock, FileDevice
from rtvox.onnx_stage import OnnxStage
from rtvox.providers import AUTO, Provider
from rtvox.stage import Pipeline, Stage

CLICKS_PER_S = 200  # dense enough for a mean over many, sparse enough to be single clicks
SMOOTHED = 1025  # samples of the window that smooths envelopes: about that of a mel frame
DISTINCT = 8.0  # a correlation peak that much above the rest (rms) is no accident: 1 in 10^14 for noise


@dataclass(frozen=True)
class StageTime:
    """How long one stage takes for one hop."""

    name: str
    p50_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float

    @classmethod
    def of(cls, name: str, times_ms: npt.NDArray[np.float64]) -> StageTime:
        """Return it for (N,) times; zeros if there are none."""
        spread = np.percentile(times_ms, [50, 95, 99, 99.9, 100]) if len(times_ms) else np.zeros(5)
        return cls(name, *map(float, spread))


@dataclass(frozen=True)
class Bench:
    """What was measured; delays in samples at 48 kHz."""

    model: str
    hop_ms: float
    seconds: float
    block: int
    stages: tuple[StageTime, ...]  # the last one, "hop", is all of the converter's work for one hop
    status: Status  # after the run in real time
    stated_delay: int  # algorithmic: framing and look-ahead, as Status says
    measured_delay: int | None  # None if nothing that resembles the test signal comes out


class TimedStage:
    """A stage that also keeps the time of each call; `reset` forgets them, as all it has heard."""

    def __init__(self, stage: Stage) -> None:
        self.name = type(stage).__name__ + (f" {stage.manifest.name}" if isinstance(stage, OnnxStage) else "")
        self.delay = stage.delay
        self.seconds: list[float] = []
        self._stage = stage

    def process(self, x: Any) -> Any:
        """Return what the stage makes of x."""
        begin = perf_counter()
        y = self._stage.process(x)
        self.seconds.append(perf_counter() - begin)
        return y

    def reset(self) -> None:
        """Reset the stage."""
        self._stage.reset()
        self.seconds.clear()


def measure(
    model: str,
    settings: Mapping[str, float],
    sound: Array,
    *,
    spec: FeatureSpec,
    provider: Provider = AUTO,
    block: int = 128,
    clock: Clock = "real",
) -> Bench:
    """Play sound (N,) at 48 kHz through a model and return the figures.

    Raises: RtvoxError if the model cannot be used or a setting is not allowed.
    """
    chain = build_chain(model, spec, provider, settings)
    stages = with_timers(chain)
    status, _ = play(chain, settings, sound, spec=spec, block=block, clock=clock)
    times = [StageTime.of(stage.name, np.array(stage.seconds) * 1e3) for stage in stages]
    whole = StageTime(
        "hop",
        status.compute_p50_ms,
        status.compute_p95_ms,
        status.compute_p99_ms,
        status.compute_p999_ms,
        status.compute_max_ms,
    )
    return Bench(
        model=chain.name,
        hop_ms=1e3 * spec.hop / spec.sample_rate,
        seconds=len(sound) / spec.sample_rate,
        block=block,
        stages=(*times, whole),
        status=status,
        stated_delay=status.latency.framing + status.latency.look_ahead,
        measured_delay=measure_delay(model, settings, spec=spec, provider=provider),
    )


def play(
    model: Chain | str,
    settings: Mapping[str, float],
    sound: Array,
    *,
    spec: FeatureSpec,
    provider: Provider = AUTO,
    block: int = 128,
    clock: Clock = "real",
) -> tuple[Status, Array]:
    """Play sound (N,) at 48 kHz through an engine; return its Status at the end and the (N,) output, aligned."""
    device = FileDevice(sound, sample_rate=spec.sample_rate, block=block, clock=clock)
    with Engine(device, spec, provider=provider) as engine:
        engine.load(model)
        for name, value in settings.items():
            engine.set(name, value)
        device.length += engine.delay
        engine.start()
        device.wait()
        return engine.status(), device.output[engine.delay :, 0]


def measure_delay(
    model: str, settings: Mapping[str, float], *, spec: FeatureSpec, provider: Provider = AUTO
) -> int | None:
    """Return the algorithmic delay of a model in samples, as heard: where clicks come out, less the prefill.

    The input are random clicks. The delay is the peak of the cross-correlation with the output, both whitened (Knapp
    and Carter 1976, "The generalized correlation method for estimation of time delay", the phase transform), so that a
    mask that colours or weakens the clicks does not move it. Griffin-Lim starts from the input's phase here: without,
    it keeps a click's place to some 30 samples, but not its sign. A vocoder never knows it: there, the envelopes of
    both are correlated instead, smoothed, which tells where the middle of its answer to a click is.
    """
    chain = build_chain(model, spec, provider, settings)
    rng = np.random.default_rng(440)
    clicks = np.zeros(2 * spec.sample_rate, np.float32)
    where = rng.choice(len(clicks), 2 * CLICKS_PER_S, replace=False)
    clicks[where] = rng.choice([-0.5, 0.5], len(where))
    device = FileDevice(clicks, sample_rate=spec.sample_rate, block=spec.hop)
    with Engine(device, spec, provider=provider) as engine:
        engine.load(chain)
        for name, value in {**settings, "phase": 1.0}.items():
            engine.set(name, value)
        engine.start()
        device.wait()
        prefill = engine.status().latency.prefill
    heard, envelopes = device.output[:, 0], chain.synthesis[0] == "vocoder"
    if envelopes:
        clicks, heard = (np.abs(x) - np.abs(x).mean() for x in (clicks, heard))
    cross = np.fft.rfft(heard, 2 * len(clicks)) * np.fft.rfft(clicks, 2 * len(clicks)).conj()
    if envelopes:
        kernel = np.roll(np.pad(np.hanning(SMOOTHED), (0, 2 * len(clicks) - SMOOTHED)), -(SMOOTHED // 2))
        cross *= np.fft.rfft(kernel)
    else:
        cross /= np.maximum(np.abs(cross), 1e-20)
    correlation = np.abs(np.fft.irfft(cross))
    peak = int(correlation.argmax())
    distinct = correlation[peak] > DISTINCT * np.sqrt(np.mean(correlation**2))
    return peak - prefill if distinct else None


def with_timers(chain: Chain) -> list[TimedStage]:
    """Put a clock around each stage of a chain, and return them."""
    assert isinstance(chain.pipeline, Pipeline)
    stages = [TimedStage(stage) for stage in chain.pipeline.stages]
    chain.pipeline = Pipeline(stages)
    return stages
