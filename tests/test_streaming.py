"""The three promises of every Stage (rtvox/stage.py): chunking and causality, reset, and the exact delay.

CASES is the list: a new stage is one more line. Each case makes a stage and says what goes in: hops of samples, or
spectra.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY_MEL_SPEC, TINY_SPEC, write_tiny

from rtvox.features import Array
from rtvox.griffin_lim import GriffinLim
from rtvox.mel import LogMel, MelInverse
from rtvox.model_file import load_model
from rtvox.onnx_stage import OnnxStage
from rtvox.ring import RingBuffer
from rtvox.stage import Pipeline, Stage
from rtvox.stft import Analyzer, Synthesizer

HOP = TINY_SPEC.hop
HOPS = 200


@dataclass(frozen=True)
class Case:
    make: Callable[[Path], Stage]  # the path of a tiny model file
    eats: str  # "hops" or "spectra"
    gives: str


def network(path: Path) -> OnnxStage:
    return OnnxStage(load_model(path), "cpu")


def mel_path(last: Stage, *, use_input: bool = False) -> Pipeline:
    log_mel = LogMel(TINY_MEL_SPEC, look_ahead=2)
    inverse = MelInverse(TINY_MEL_SPEC, log_mel.heard, use_input=use_input)
    return Pipeline([Analyzer(TINY_MEL_SPEC), log_mel, inverse, last])


CASES = {
    "empty pipeline": Case(lambda _: Pipeline([]), "hops", "hops"),
    "analyzer": Case(lambda _: Analyzer(TINY_SPEC), "hops", "spectra"),
    "synthesizer": Case(lambda _: Synthesizer(TINY_SPEC), "spectra", "hops"),
    "network": Case(network, "spectra", "spectra"),
    "analysis and synthesis": Case(lambda _: Pipeline([Analyzer(TINY_SPEC), Synthesizer(TINY_SPEC)]), "hops", "hops"),
    "Griffin-Lim": Case(lambda _: GriffinLim(TINY_MEL_SPEC), "spectra", "hops"),
    "Griffin-Lim from a phase": Case(
        lambda _: GriffinLim(TINY_MEL_SPEC, look_ahead=-2, use_phase=True), "spectra", "hops"
    ),
    "mel path": Case(lambda _: mel_path(GriffinLim(TINY_MEL_SPEC, look_ahead=3)), "hops", "hops"),
    "mel path on the input's phase": Case(
        lambda _: mel_path(Synthesizer(TINY_MEL_SPEC), use_input=True), "hops", "hops"
    ),
    "vocoder's synthesizer": Case(lambda _: Synthesizer(TINY_MEL_SPEC, vocoder=True), "spectra", "hops"),
    "whole path": Case(
        lambda path: Pipeline([Analyzer(TINY_SPEC), network(path), Synthesizer(TINY_SPEC)]), "hops", "hops"
    ),
}
every_stage = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
sample_stages = {name: case for name, case in CASES.items() if (case.eats, case.gives) == ("hops", "hops")}
# Phases found from magnitudes keep an impulse's place only about: tests/test_griffin_lim.py.
exact_stages = {name: case for name, case in sample_stages.items() if "mel path" not in name}


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.onnx")


def hops_for(case: Case, rng: np.random.Generator) -> Any:
    """Return (HOPS, hop) samples or (HOPS, K) spectra of noise."""
    if case.eats == "hops":
        return rng.standard_normal((HOPS, HOP)).astype(np.float32)
    parts = rng.standard_normal((2, HOPS, TINY_SPEC.n_bins)).astype(np.float32)
    return (parts[0] + 1j * parts[1]).astype(np.complex64)


def run(stage: Stage, hops: Any) -> Any:
    outputs = np.stack([stage.process(hop).copy() for hop in hops])
    assert len(outputs) == len(hops) > 0
    return outputs


@every_stage
def test_it_is_a_stage_with_a_whole_delay(case: Case, model_path: Path) -> None:
    stage = case.make(model_path)
    assert isinstance(stage, Stage)
    assert isinstance(stage.delay, int)
    assert stage.delay >= 0


@every_stage
def test_later_input_never_changes_earlier_output(case: Case, model_path: Path, rng: np.random.Generator) -> None:
    hops = hops_for(case, rng)
    other = hops.copy()
    other[HOPS // 2 :] = 3.0
    a, b = run(case.make(model_path), hops), run(case.make(model_path), other)
    np.testing.assert_array_equal(a[: HOPS // 2], b[: HOPS // 2])
    assert np.any(a[HOPS // 2 :] != b[HOPS // 2 :])


@every_stage
def test_after_reset_it_cannot_be_told_from_a_new_one(case: Case, model_path: Path, rng: np.random.Generator) -> None:
    hops = hops_for(case, rng)
    used = case.make(model_path)
    for length in (1, 2, 7):  # odd and even: a network's state lies in two buffers, in turns
        run(used, hops[50 : 50 + length])
        used.reset()
        np.testing.assert_array_equal(run(used, hops), run(case.make(model_path), hops))
        used.reset()


@every_stage
def test_two_of_a_kind_do_not_touch_each_other(case: Case, model_path: Path, rng: np.random.Generator) -> None:
    hops = hops_for(case, rng)
    alone = run(case.make(model_path), hops)
    one, two = case.make(model_path), case.make(model_path)
    together = []
    for i, hop in enumerate(hops):
        together.append(one.process(hop).copy())
        two.process(hops[-1 - i])
    np.testing.assert_array_equal(np.stack(together), alone)


@every_stage
def test_it_leaves_its_input_alone(case: Case, model_path: Path, rng: np.random.Generator) -> None:
    hops = hops_for(case, rng)
    kept = hops.copy()
    run(case.make(model_path), hops)
    np.testing.assert_array_equal(hops, kept)


def stream(stage: Stage, x: Array, blocks: list[int]) -> Array:
    """Return x through the stage in device blocks of these sizes, in turns, over two rings as in the engine."""
    source, sink = RingBuffer(HOP + max(blocks)), RingBuffer(4 * (HOP + max(blocks)))
    fill = HOP  # enough for any blocks, since here converting takes no time: prefill(HOP, block, 0) < HOP
    sink.write(np.zeros(fill, np.float32))
    hop, out, start, turn = np.zeros(HOP, np.float32), [], 0, 0
    while start < len(x):
        block = x[start : start + blocks[turn % len(blocks)]]
        source.write(block)
        while len(source) >= HOP:
            source.read(hop)
            sink.write(stage.process(hop))
        out.append(np.full(len(block), np.nan, np.float32))
        sink.read(out[-1])
        start, turn = start + len(block), turn + 1
    assert source.dropped == sink.dropped == source.missing == sink.missing == 0
    return np.concatenate(out)[fill:]


@pytest.mark.parametrize("blocks", [[1], [5], [15], [16], [17], [64], [1000], [3, 50, 1, 16, 16, 7]], ids=str)
@pytest.mark.parametrize("case", sample_stages.values(), ids=sample_stages.keys())
def test_any_chunking_gives_the_same(case: Case, blocks: list[int], model_path: Path, rng: np.random.Generator) -> None:
    hops = hops_for(case, rng)
    whole = run(case.make(model_path), hops).reshape(-1)
    chunked = stream(case.make(model_path), hops.reshape(-1), blocks)
    assert len(chunked) > 0.9 * (len(whole) - 2 * max(blocks))
    np.testing.assert_array_equal(chunked, whole[: len(chunked)])


@pytest.mark.parametrize("case", exact_stages.values(), ids=exact_stages.keys())
def test_its_delay_is_where_an_impulse_comes_out(case: Case, model_path: Path) -> None:
    stage = case.make(model_path)
    x = np.zeros((HOPS, HOP), np.float32)
    x[100, 3] = 1.0
    y = run(stage, x).reshape(-1)
    assert int(np.argmax(np.abs(y))) == 100 * HOP + 3 + stage.delay
