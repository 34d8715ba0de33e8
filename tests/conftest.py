"""Shared fixtures: one seeded source of chance, signals with known properties, and a model file that needs no torch."""

from __future__ import annotations

import os

# One thread for linear algebra, set before it is loaded: threads that wait for each other on a busy machine of two
# cores take a hundred times as long, and starve the real-time tests.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import settings
from onnx import TensorProto, helper
from skip_policy import is_allowed

from rtvox.features import MEL_SPEC, Array, FeatureSpec, Spectrum
from rtvox.manifest import Golden, Manifest, Provenance, Source, TensorShape
from rtvox.model_file import make_golden, write_model
from rtvox.params import Param

IN_CI = bool(os.environ.get("CI"))
RATE = 48000  # Hz
SECOND = np.arange(RATE) / RATE  # s
TINY_SPEC = FeatureSpec(n_fft=64, n_synthesis=32, hop=16, n_mels=8, n_mfcc=4)
TINY_MEL_SPEC = FeatureSpec(n_fft=64, n_synthesis=64, hop=16, n_mels=8, n_mfcc=4)

# CI draws the same examples every time: a change is judged by what it changes.
settings.register_profile("rtvox", deadline=None, derandomize=IN_CI)
settings.load_profile("rtvox")


def _fail_unless_allowed(report: pytest.TestReport | pytest.CollectReport) -> None:
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if not is_allowed(reason):
            report.outcome = "failed"
            report.longrepr = f"{reason}: not allowed in CI; make it run there, or say why not in tests/skip_policy.py"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_unless_allowed(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_unless_allowed(report)
    return report


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(440)


@pytest.fixture
def noise(rng: np.random.Generator) -> Array:
    return (0.1 * rng.standard_normal(RATE)).astype(np.float32)


@pytest.fixture
def sine() -> Array:
    """One second of 440 Hz at -6 dB full scale."""
    return (0.5 * np.sin(2 * np.pi * 440.0 * SECOND)).astype(np.float32)


@pytest.fixture
def sweep() -> Array:
    """One second, exponential from 20 Hz to 20 kHz, at -6 dB full scale."""
    octaves = np.log(1000.0)
    return (0.5 * np.sin(2 * np.pi * 20.0 / octaves * (np.exp(octaves * SECOND) - 1.0))).astype(np.float32)


@pytest.fixture
def impulse() -> Array:
    """One second of silence but for sample 12345."""
    x = np.zeros(RATE, np.float32)
    x[12345] = 1.0
    return x


@pytest.fixture
def glottal() -> Array:
    """One second of glottal pulses at 200 Hz (Rosenberg 1971, pulse B: rise 40 %, fall 16 % of the period)."""
    phase = (200.0 * SECOND) % 1.0
    rise = 0.5 * (1.0 - np.cos(np.pi * phase / 0.4))
    fall = np.cos(np.pi / 2 * (phase - 0.4) / 0.16)
    pulse = np.where(phase < 0.4, rise, np.where(phase < 0.56, fall, 0.0))
    return (0.5 * (pulse - pulse.mean())).astype(np.float32)


@pytest.fixture
def music(rng: np.random.Generator) -> Array:
    """Three seconds of a chord with 19 partials, vibrato and a little breath, faded in and out, at -6 dB full scale."""
    t = np.arange(3 * RATE) / RATE
    phase = 2 * np.pi * np.cumsum(1.0 + 0.01 * np.sin(2 * np.pi * 5.5 * t)) / RATE
    x = np.sum([np.sin(f0 * k * phase) / k**1.2 for f0 in (147.0, 220.0, 330.0) for k in range(1, 20)], axis=0)
    x += 0.02 * rng.standard_normal(len(t))
    x *= np.minimum(1.0, 20.0 * np.minimum(t, t[::-1]))
    return (0.5 * x / np.abs(x).max()).astype(np.float32)


@pytest.fixture
def silence() -> Array:
    return np.zeros(RATE, np.float32)


def tiny_manifest(spec: FeatureSpec = TINY_SPEC, *, look_ahead: int = 0) -> Manifest:
    """Return a valid manifest for `tiny_graph`."""
    frame = (1, 1, spec.n_bins, 2)
    return Manifest(
        name="tiny",
        title="One-pole smoother for tests",
        role="mask",
        features=spec,
        look_ahead=look_ahead,
        inputs=(TensorShape("spectrum", frame),),
        outputs=(TensorShape("spectrum_out", frame),),
        states=(TensorShape("smooth", frame),),
        controls=(Param("depth", "", 0.0, 1.0, 0.5, 20.0, "how much of the input is kept"),),
        domains=(),
        resynthesis="istft",
        provenance=Provenance((Source("none", "CC0-1.0", "nobody"),), "tests/conftest.py", "0" * 40, 440, 0),
        metrics={"parameters": 1, "note": "made by hand"},
        golden=Golden(frames=24, seed=440, tolerance=1e-4),
    )


def tiny_graph(spec: FeatureSpec = TINY_SPEC, pole: float = 0.5) -> onnx.ModelProto:
    """Return next_smooth = spectrum_out = depth * spectrum + pole * state_smooth as an ONNX model."""
    frame = [1, 1, spec.n_bins, 2]

    def port(name: str, shape: list[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    nodes = [
        helper.make_node("Mul", ["spectrum", "depth"], ["dry"]),
        helper.make_node("Mul", ["state_smooth", "pole"], ["faded"]),
        helper.make_node("Add", ["dry", "faded"], ["next_smooth"]),
        helper.make_node("Identity", ["next_smooth"], ["spectrum_out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [port("spectrum", frame), port("state_smooth", frame), port("depth", [1])],
        [port("spectrum_out", frame), port("next_smooth", frame)],
        [helper.make_tensor("pole", TensorProto.FLOAT, [1], [pole])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def mel_manifest(spec: FeatureSpec = TINY_MEL_SPEC) -> Manifest:
    """Return a valid manifest for `mel_graph`: a mel model without state."""
    frame = (1, 1, spec.n_mels)
    return replace(
        tiny_manifest(spec=TINY_SPEC),
        name="tiny-mel",
        title="Level in log-mel for tests",
        role="mel",
        features=spec,
        inputs=(TensorShape("mel", frame),),
        outputs=(TensorShape("mel_out", frame),),
        states=(),
        controls=(Param("level", "dB", -20.0, 20.0, 0.0, 20.0, "louder or softer"),),
        resynthesis="griffin-lim",
    )


def mel_graph(spec: FeatureSpec = TINY_MEL_SPEC) -> onnx.ModelProto:
    """Return mel_out = mel + level / 8.685889638 dB, the identity at level 0, as an ONNX model."""
    frame = [1, 1, spec.n_mels]

    def port(name: str, shape: list[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    nodes = [
        helper.make_node("Mul", ["level", "per_db"], ["gain"]),
        helper.make_node("Add", ["mel", "gain"], ["mel_out"]),
    ]
    per_db = helper.make_tensor("per_db", TensorProto.FLOAT, [1], [np.log(10.0) / 20.0])
    graph = helper.make_graph(
        nodes, "mel", [port("mel", frame), port("level", [1])], [port("mel_out", frame)], [per_db]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def write_mel(path: Path, spec: FeatureSpec = TINY_MEL_SPEC, **changes: object) -> Path:
    """Write a valid mel model, the identity at its default, with a sealed golden digest; return its path."""
    manifest = replace(mel_manifest(spec), **changes)  # type: ignore[arg-type]
    golden = make_golden(manifest, lambda mel: mel, manifest.golden.frames, manifest.golden.seed)
    write_model(path, mel_graph(spec), replace(manifest, golden=golden))
    return path


def tiny_run(spectra: Spectrum, depth: float = 0.5, pole: float = 0.5) -> Spectrum:
    """Return what `tiny_graph` makes of (T, K) spectra from zero state."""
    out = np.zeros_like(spectra)
    smooth = np.zeros_like(spectra[0])
    for frame, spectrum in zip(out, spectra, strict=True):
        smooth = np.complex64(depth) * spectrum + np.complex64(pole) * smooth
        frame[:] = smooth
    return out


def write_tiny(path: Path, spec: FeatureSpec = TINY_SPEC, *, look_ahead: int = 0) -> Path:
    """Write a small valid mask model with a sealed golden digest; return its path."""
    manifest = tiny_manifest(spec, look_ahead=look_ahead)
    golden = make_golden(manifest, tiny_run, manifest.golden.frames, manifest.golden.seed)
    write_model(path, tiny_graph(spec), replace(manifest, golden=golden))
    return path


@pytest.fixture
def tiny_model_path(tmp_path: Path) -> Path:
    """A small valid mask model at FeatureSpec TINY_SPEC (hop 16)."""
    return write_tiny(tmp_path / "tiny.onnx")


@pytest.fixture
def mel_model_path(tmp_path: Path) -> Path:
    """A mel model at the live framing MEL_SPEC that gives back what it hears: its sound is that of Griffin-Lim."""
    return write_mel(tmp_path / "mel.onnx", MEL_SPEC)


@pytest.fixture
def full_model_path(tmp_path: Path) -> Path:
    """The same smoother at the house's own sizes (hop 256, 1025 bins), for engine and device tests."""
    return write_tiny(tmp_path / "full.onnx", FeatureSpec())
