"""Survey: how fast every model is on every provider of this machine, alone and many at once, idle and busy.

In: models, providers, how many streams, what competes with them. Out: a Run for each combination. Each stream is an
engine whose sound is paced as by a sound card, so the figures are those of the live path, and a miss is a miss. Main
thread. Read next: `bench.py`, for one model in detail; `commands/bench.py`, which prints them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rtvox.bench import StageTime, TimedStage, with_timers
from rtvox.chain import build_chain
from rtvox.engine import Engine
from rtvox.errors import MissingExtraError
from rtvox.features import Array
from rtvox.file_device import FileDevice
from rtvox.golden import golden_input
from rtvox.machine import Beside, competition
from rtvox.manifest import Manifest
from rtvox.model_file import load_model
from rtvox.onnx_stage import OnnxStage
from rtvox.provider_choice import difference
from rtvox.providers import CPU, PROVIDERS, Provider

PARITY_FRAMES = 500  # as many as export compares: drift would show

Times = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """One combination.

    Attributes:
        hop: samples.
        deadline_ms: the time that a hop lasts, in which it has to be converted.
        streams: engines at the same time, in one process.
        beside: the work that competes with them.
        path, network: a hop's whole conversion, and the part of it that the networks take.
        over: hops that took longer than they last.
        misses: callbacks that found no converted sound, of so many callbacks.
        parity: the largest difference from the CPU over PARITY_FRAMES frames, see `provider_choice.difference`; None
            for the CPU itself.
        message: of the model, or why it was not measured.
        times_ms: of the path, sorted, for the picture.
    """

    model: str
    provider: Provider
    hop: int
    deadline_ms: float
    streams: int
    beside: Beside
    path: StageTime
    network: StageTime
    over: int = 0
    hops: int = 0
    misses: int = 0
    callbacks: int = 0
    parity: float | None = None
    message: str = ""
    times_ms: Times = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the single times, for JSON."""
        return {name: value for name, value in asdict(self).items() if name != "times_ms"}


def survey(
    models: dict[Path, Manifest],
    providers: Sequence[Provider],
    sound: Array,
    *,
    streams: Sequence[int] = (1, 8),
    beside: Sequence[Beside] = ("nothing", "cpu"),
    block: int = 128,
    progress: Callable[[Run], None] = lambda run: None,
) -> list[Run]:
    """Play sound (N,) at 48 kHz through each model in each way, and return a Run for each, as soon as it is there.

    A provider that cannot run a model here has one Run, which says why. Raises: RtvoxError if a model cannot be used.
    """
    runs: list[Run] = []
    for path, manifest in models.items():
        for provider in providers:
            for run in _ways(path, manifest, provider, sound, streams, beside, block):
                runs.append(run)
                progress(run)
    return runs


def _ways(
    path: Path,
    manifest: Manifest,
    provider: Provider,
    sound: Array,
    streams: Sequence[int],
    beside: Sequence[Beside],
    block: int,
) -> list[Run]:
    spec, none = manifest.features, StageTime.of("path", np.zeros(0))
    hop_ms = 1e3 * spec.hop / spec.sample_rate
    stage = OnnxStage(load_model(path), provider)
    if stage.provider != provider:
        return [Run(path.stem, provider, spec.hop, hop_ms, 0, "nothing", none, none, message=stage.message)]
    off = None if provider == CPU else parity(path, provider)
    runs = []
    for work in beside:
        for count in streams:
            if work == "gpu" and PROVIDERS[provider].device != "cuda":
                continue
            with competition(work):
                runs.append(_play(path, manifest, provider, sound, count, work, block, off))
    return runs


def parity(path: Path, provider: Provider, frames: int = PARITY_FRAMES) -> float:
    """Return the largest difference of a model's output between a provider and the CPU, both streaming."""
    model = load_model(path)
    there, here = OnnxStage(model, provider), OnnxStage(model, CPU)
    signal = golden_input(model.manifest, frames, seed=1)
    outputs = [np.stack([stage.process(frame).copy() for frame in signal]) for stage in (there, here)]
    return difference(*outputs) if there.provider == provider else float("nan")


def _play(
    path: Path,
    manifest: Manifest,
    provider: Provider,
    sound: Array,
    streams: int,
    beside: Beside,
    block: int,
    off: float | None,
) -> Run:
    """Run so many engines at once."""
    spec = manifest.features
    networks: list[list[TimedStage]] = []  # of each stream: the model, and the vocoder if that makes the sound
    with ExitStack() as stack:
        engines: list[Engine] = []
        for _ in range(streams):
            chain = build_chain(str(path), spec, provider)
            timers: list[TimedStage] = with_timers(chain)
            networks.append([timer for timer in timers if timer.name.startswith(OnnxStage.__name__)])
            engine = stack.enter_context(Engine(FileDevice(sound, block=block, clock="real"), spec))
            engine.load(chain)
            engines.append(engine)
        for engine in engines:
            engine.start()
        for engine in engines:
            assert isinstance(engine.device, FileDevice)
            engine.device.wait()
        statuses = [engine.status() for engine in engines]
        times = np.sort(np.concatenate([engine.hop_times_ms() for engine in engines]))
    hop_ms = 1e3 * spec.hop / spec.sample_rate
    return Run(
        path.stem,
        statuses[0].provider,
        spec.hop,
        hop_ms,
        streams,
        beside,
        StageTime.of("path", times),
        StageTime.of("network", 1e3 * np.concatenate([_sum_of(timers) for timers in networks])),
        over=int((times > hop_ms).sum()),
        hops=len(times),
        misses=sum(status.misses for status in statuses),
        callbacks=sum(status.callbacks for status in statuses),
        parity=off,
        message=statuses[0].message,
        times_ms=times,
    )


def _sum_of(timers: Sequence[TimedStage]) -> Times:
    """Return the seconds that some stages take together, hop by hop."""
    hops = min(len(timer.seconds) for timer in timers)
    seconds: Times = np.sum([timer.seconds[:hops] for timer in timers], axis=0)
    return seconds


def draw_survey(path: Path, runs: Sequence[Run], title: str) -> None:
    """Draw what part of the hops takes longer than a time, for each run, into a picture. Raises: MissingExtraError."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError(f"{path}: needs matplotlib; pip install 'rtvox[plot]'") from None
    models = list(dict.fromkeys(run.model for run in runs if run.hops))
    figure = Figure(figsize=(9, 0.8 + 3.6 * max(1, len(models))), layout="constrained")
    for axes, model in zip(figure.subplots(max(1, len(models)), squeeze=False)[:, 0], models, strict=False):
        for run in runs:
            if run.model == model and run.hops:
                slower = 1.0 - np.arange(run.hops) / run.hops
                busy = "" if run.beside == "nothing" else f", {run.beside} busy"
                axes.loglog(run.times_ms, slower, label=f"{run.provider}, {run.streams} at once{busy}")
        deadline = next(run.deadline_ms for run in runs if run.model == model)
        axes.axvline(deadline, color="black", linestyle=":", label=f"a hop, {deadline:.2f} ms")
        axes.set(title=model, xlabel="ms for one hop, whole path", ylabel="part of the hops that takes longer")
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.legend(fontsize="small")
    figure.suptitle(title, fontsize="small")
    figure.savefig(path, dpi=110)
