"""Which provider runs a model: the one that is asked for if it works here, or the fastest that meets the deadline.

In: a model file and a provider's name. Out: its network, built, compared with the CPU's and warm, and why it was
chosen. In a loading thread: a trial takes half a second. Read next: `onnx_stage.py`, the only user.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rtvox.errors import ModelFileError, ParameterError
from rtvox.features import Frame
from rtvox.golden import golden_input
from rtvox.manifest_json import printable
from rtvox.model_file import ModelFile
from rtvox.network import Network
from rtvox.network_thread import BUILD_S, DUE, NetworkThread, ProviderError
from rtvox.onnx_session import why_not
from rtvox.providers import AUTO, CPU, PROVIDERS, Provider, ProviderRow

Runner = Network | NetworkThread
Times = npt.NDArray[np.float64]

WARM_UP_RUNS = 50  # the arena grows, kernels are chosen and graphs recorded within the first few; p99 is flat after 50
TRIAL_S = 0.5
PARITY = (
    1e-3  # the most by which a provider's output may differ from the CPU's, relative to the largest value if over 1
)

_trials: dict[str, str] = {}  # what a trial has chosen, by the model's hash


@dataclass(frozen=True)
class Choice:
    """What runs a model.

    Attributes:
        name: of the provider.
        network: that runs it, warm, its state zero.
        spare: the same on the CPU, to take over; None if that is what runs.
        message: what was chosen, and why.
    """

    name: str
    network: Runner
    spare: Network | None
    message: str


def choose_provider(model: ModelFile, provider: Provider = AUTO) -> Choice:
    """Return what runs a model here; what was asked for and does not work gives way to the CPU, which always does.

    Raises: ModelFileError if the CPU cannot run it, ParameterError if no provider has that name.
    """
    if provider != AUTO and provider not in PROVIDERS:
        raise ParameterError(f"provider={provider!r}: needs {AUTO}, {', '.join(PROVIDERS)}")
    frames = golden_input(model.manifest, WARM_UP_RUNS, seed=0)
    try:
        spare = Network(model.data, model.manifest, PROVIDERS[CPU])
        expected = _warm_up(spare, frames)
    except Exception as error:  # the border to foreign code: onnxruntime's errors share no base class
        raise ModelFileError(f"{model.path}: onnxruntime cannot run it ({_one_line(error)}); export it again") from None
    contenders: dict[str, Runner] = {}
    refused: dict[str, str] = {}
    tried = _trials.get(model.manifest.graph_sha256, "") if provider == AUTO else ""
    if tried == CPU:
        return Choice(CPU, spare, None, "running on cpu, as tried before")
    for row in PROVIDERS.values():
        if row.apart and (tried or provider) in (AUTO, row.name):
            try:
                contenders[row.name] = _contender(model, row, frames, expected)
            except Exception as error:  # as above
                refused[row.name] = _one_line(error)
    if provider == CPU:
        return Choice(CPU, spare, None, "")
    if provider != AUTO:
        if provider in contenders:
            return Choice(provider, contenders[provider], spare, "")
        return Choice(CPU, spare, None, f"running on the CPU: {refused[provider]}")
    if not contenders:
        return Choice(CPU, spare, None, f"running on the CPU, all that can be used here ({_why_no_gpu(refused)})")
    if tried:
        return Choice(tried, contenders[tried], spare, f"running on {tried}, as tried before")
    contenders[CPU] = spare
    hop_s = model.manifest.features.hop / model.manifest.features.sample_rate
    name, message = pick(try_out(contenders, frames, hop_s, TRIAL_S), DUE * hop_s)
    _trials[model.manifest.graph_sha256] = name
    return Choice(name, contenders[name], None if name == CPU else spare, message)


def try_out(contenders: Mapping[str, Runner], frames: Frame, hop_s: float, seconds: float) -> dict[str, Times]:
    """Return seconds per frame of each, run in turns at the pace of live sound; one that fails has none.

    All have their state cleared afterwards.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    able, begin = dict(contenders), time.perf_counter()
    for turn in range(round(seconds / hop_s)):
        time.sleep(max(0.0, begin + turn * hop_s - time.perf_counter()))
        for name, network in list(able.items()):
            start = time.perf_counter()
            try:
                network.frame[:] = frames[turn % len(frames)]
                network.run()
                times[name].append(time.perf_counter() - start)
            except ProviderError:
                times[name].clear()
                del able[name]
    for network in contenders.values():
        network.clear()
    return {name: np.array(spent) for name, spent in times.items()}


def pick(times: Mapping[str, Times], due_s: float) -> tuple[str, str]:
    """Return who has the least median of those whose 95th percentile is within due_s, and why, in words.

    If none is, who comes nearest to it.

    >>> pick({"cuda": np.full(90, 4e-4), "cpu": np.full(90, 2e-4)}, 3.2e-3)
    ('cpu', 'running on cpu, the fastest: 0.20 ms a frame (p95 0.20); cuda 0.40 ms (p95 0.40); due 3.20 ms')
    """
    able = {name: spent for name, spent in times.items() if len(spent)}
    p95 = {name: float(np.percentile(spent, 95)) for name, spent in able.items()}
    median = {name: float(np.median(spent)) for name, spent in able.items()}
    in_time = [name for name in able if p95[name] <= due_s]
    name = min(in_time, key=median.__getitem__) if in_time else min(able, key=p95.__getitem__)
    why = "the fastest" if len(in_time) == len(able) else "the fastest in time" if in_time else "though too slow"
    others = "".join(
        f"; {other} {1e3 * median[other]:.2f} ms (p95 {1e3 * p95[other]:.2f})" if other in able else f"; {other} failed"
        for other in times
        if other != name
    )
    return name, (
        f"running on {name}, {why}: {1e3 * median[name]:.2f} ms a frame (p95 {1e3 * p95[name]:.2f}){others}; "
        f"due {1e3 * due_s:.2f} ms"
    )


def difference(a: Frame, b: Frame) -> float:
    """Return the largest difference between two outputs, relative to b's largest value if that is over 1."""
    return float(np.abs(a - b).max() / max(1.0, float(np.abs(b).max())))


def _contender(model: ModelFile, row: ProviderRow, frames: Frame, expected: Frame) -> NetworkThread:
    """Return a provider's network, warm. Raises: why it cannot be used."""
    if missing := why_not(row):
        raise RuntimeError(missing)
    features = model.manifest.features
    network = NetworkThread(lambda: Network(model.data, model.manifest, row), features.hop / features.sample_rate)
    off = difference(network.ask(lambda inner: _warm_up(inner, frames), BUILD_S), expected)
    if not off <= PARITY:
        raise RuntimeError(f"{row.name} is off by {off:.2g} from the CPU, at most {PARITY:g} is allowed")
    return network


def _warm_up(network: Network, frames: Frame) -> Frame:
    """Return what comes out of frames, copied, and clear the state."""
    out = []
    for frame in frames:
        network.frame[:] = frame
        network.run()
        out.append(network.out.copy())
    network.clear()
    return np.stack(out)


def _why_no_gpu(refused: Mapping[str, str]) -> str:
    """Return one reason each for the providers that this onnxruntime has; else that it has none."""
    reasons = dict.fromkeys(reason for reason in refused.values() if "this onnxruntime has no" not in reason)
    return "; ".join(reasons) or "this onnxruntime has nothing else"


def _one_line(error: Exception) -> str:
    return printable(" ".join(str(error).split()))
