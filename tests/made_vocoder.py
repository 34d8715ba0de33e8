"""A vocoder for tests, by the contract of the real one: what it says of its frames can be computed by hand.

Each frame is a pulse in the middle of its first two hops, as loud and as coloured as the mel asks for, below 1 kHz; it
is louder where the voice is voiced or high, and a quarter of it comes again a hop later (its state).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from conftest import mel_manifest
from onnx import TensorProto, helper, numpy_helper

from rtvox.features import MEL_SPEC, Array, FeatureSpec, Spectrum, mel_filterbank
from rtvox.golden import GOLDEN_CONDITIONS
from rtvox.manifest import Manifest, TensorShape, signal_in, signal_out
from rtvox.model_file import make_golden, write_model

LOW_HZ, CUT_HZ = 150.0, 1000.0
ECHO = 0.25
LEVEL = 16.0  # makes it about as loud as what it hears


def vocoder_manifest(spec: FeatureSpec = MEL_SPEC, conditions: tuple[str, ...] = ("pitch", "voicing")) -> Manifest:
    """Return a valid manifest for `vocoder_graph`."""
    return replace(
        mel_manifest(spec),
        name="vocoder",
        title="Pulses for tests",
        role="vocoder",
        look_ahead=2,
        inputs=(signal_in("vocoder", spec), *(TensorShape(name, (1,)) for name in conditions)),
        outputs=(signal_out("vocoder", spec),),
        states=(TensorShape("before", (1, 1, spec.n_bins)),),
        controls=(),
        resynthesis="overlap-add",
    )


def vocoder_graph(spec: FeatureSpec = MEL_SPEC, conditions: tuple[str, ...] = ("pitch", "voicing")) -> onnx.ModelProto:
    """Return the network as an ONNX model of one frame."""

    def port(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    spread, turn = _constants(spec)
    constants = {"spread": spread, "turn": turn, "silence": np.float32(spec.floor * 1.0001), "echo": np.float32(ECHO)}
    constants |= {"half": np.float32(0.5), "slope": np.float32(1 / 2000), "rest": np.float32(0.9)}
    nodes = [
        helper.make_node("Exp", ["mel"], ["energy"]),
        helper.make_node("Sub", ["energy", "silence"], ["above"]),
        helper.make_node("Relu", ["above"], ["heard"]),
        helper.make_node("MatMul", ["heard", "spread"], ["plain"]),
    ]
    last = "plain"
    factors = {
        "voicing": [("Mul", "voicing", "half"), ("Add", "voicing_0", "half")],
        "pitch": [("Mul", "pitch", "slope"), ("Add", "pitch_0", "rest")],
    }
    for name in conditions:
        for i, (operator, *inputs) in enumerate(factors[name]):
            nodes.append(helper.make_node(operator, inputs, [f"{name}_{i}"]))
        nodes.append(helper.make_node("Mul", [last, f"{name}_1"], [f"by_{name}"]))
        last = f"by_{name}"
    nodes += [
        helper.make_node("Identity", [last], ["next_before"]),
        helper.make_node("Mul", ["state_before", "echo"], ["faded"]),
        helper.make_node("Add", [last, "faded"], ["magnitude"]),
        helper.make_node("Reshape", ["magnitude", "pairs"], ["column"]),
        helper.make_node("Mul", ["column", "turn"], ["spectrum_out"]),
    ]
    initial = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    initial.append(numpy_helper.from_array(np.array([1, 1, spec.n_bins, 1]), "pairs"))
    bins, signal = (1, 1, spec.n_bins), signal_in("vocoder", spec)
    inputs = [port(signal.name, signal.shape), *(port(name, (1,)) for name in conditions), port("state_before", bins)]
    outputs = [port("spectrum_out", (*bins, 2)), port("next_before", bins)]
    graph = helper.make_graph(nodes, "vocoder", inputs, outputs, initial)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def vocoder_run(mel: Array, pitch: Array, voicing: Array, spec: FeatureSpec = MEL_SPEC) -> Spectrum:
    """Return the (T, K) spectra that the network makes of (T, M) log-mel, (T,) pitch and (T,) voicing."""
    spread, turn = _constants(spec)
    plain = np.maximum(np.exp(mel) - np.float32(spec.floor * 1.0001), 0.0) @ spread
    told = plain * ((0.9 + pitch / 2000) * (0.5 + 0.5 * voicing))[:, None]
    told[1:] += ECHO * (plain * ((0.9 + pitch / 2000) * (0.5 + 0.5 * voicing))[:, None])[:-1]
    spectra: Spectrum = (told * (turn[:, 0] + 1j * turn[:, 1])).astype(np.complex64)
    return spectra


def write_vocoder(path: Path, spec: FeatureSpec = MEL_SPEC, conditions: tuple[str, ...] = ("pitch", "voicing")) -> Path:
    """Write the vocoder with a sealed golden digest; return its path."""
    manifest = vocoder_manifest(spec, conditions)

    def run(mel: Array) -> Spectrum:
        held = {name: np.full(len(mel), GOLDEN_CONDITIONS[name], np.float32) for name in ("pitch", "voicing")}
        return vocoder_run(mel, **held, spec=spec)

    golden = make_golden(manifest, run, manifest.golden.frames, manifest.golden.seed)
    write_model(path, vocoder_graph(spec, conditions), replace(manifest, golden=golden))
    return path


def _constants(spec: FeatureSpec) -> tuple[Array, Array]:
    """Return the (M, K) map from mel to magnitudes, and the (K, 2) phase of a pulse one hop after a frame's begin."""
    bank = mel_filterbank(spec)
    hz = np.arange(spec.n_bins) * spec.sample_rate / spec.n_fft
    spread = (
        LEVEL * bank / np.maximum(bank.sum(1), 1e-6)[:, None] * hz**2 / (hz**2 + LOW_HZ**2) / (1.0 + (hz / CUT_HZ) ** 4)
    )
    angle = -2.0 * np.pi * spec.hop * np.arange(spec.n_bins) / spec.n_fft
    return spread.astype(np.float32), np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
