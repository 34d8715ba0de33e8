"""onnx_stage.py on a one-pole smoother whose output is known in closed form."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY_SPEC, mel_manifest, tiny_graph, tiny_manifest, tiny_run, write_mel, write_tiny
from onnx import helper

from export.verify import Graph
from rtvox.errors import ModelFileError, ParameterError
from rtvox.features import FeatureSpec, Spectrum
from rtvox.manifest import RING
from rtvox.model_file import find_model, load_model, make_golden, write_model
from rtvox.onnx_stage import OnnxStage, verify_golden

ONE = np.ones(TINY_SPEC.n_bins, np.complex64)


@pytest.fixture
def stage(tiny_model_path: Path) -> OnnxStage:
    return OnnxStage(load_model(tiny_model_path), "cpu")


@pytest.fixture
def spectra(rng: np.random.Generator) -> Spectrum:
    parts = rng.standard_normal((2, 500, TINY_SPEC.n_bins)).astype(np.float32)
    return (parts[0] + 1j * parts[1]).astype(np.complex64)


def test_a_step_rises_as_one_minus_powers_of_a_half(stage: OnnxStage) -> None:
    # y = 0.5 x + 0.5 y': every value is exact in binary
    for n in range(1, 20):
        np.testing.assert_array_equal(stage.process(ONE), ONE * (1.0 - 0.5**n))


def test_500_frames_equal_the_same_network_in_numpy(stage: OnnxStage, spectra: Spectrum) -> None:
    out = np.stack([stage.process(spectrum).copy() for spectrum in spectra])
    assert out.dtype == np.complex64
    np.testing.assert_allclose(out, tiny_run(spectra), atol=1e-6)


def test_real_and_imaginary_parts_stay_apart(stage: OnnxStage) -> None:
    np.testing.assert_array_equal(stage.process(2j * ONE), 1j * ONE)


def test_the_result_lies_in_one_buffer(stage: OnnxStage) -> None:
    assert stage.process(ONE) is stage.process(ONE)


@pytest.mark.parametrize(("look_ahead", "delay"), [(0, 0), (1, 16), (3, 48)])
def test_its_delay_is_the_look_ahead(look_ahead: int, delay: int, tmp_path: Path) -> None:
    model = load_model(write_tiny(tmp_path / "tiny.onnx", look_ahead=look_ahead))
    assert OnnxStage(model, "cpu").delay == delay


def test_controls_start_at_their_default_and_act_from_the_next_frame_on(stage: OnnxStage) -> None:
    assert stage.process(ONE)[0] == 0.5
    stage.set_control("depth", 1.0)
    assert stage.process(ONE)[0] == 1.25
    stage.set_control("depth", 0.0)
    assert stage.process(ONE)[0] == 0.625


def test_reset_keeps_the_controls(stage: OnnxStage) -> None:
    stage.set_control("depth", 1.0)
    stage.process(ONE)
    stage.reset()
    assert stage.process(ONE)[0] == 1.0


@pytest.mark.parametrize(("value", "used"), [(1.0 + 1e-6, 1.0), (-1e-9, 0.0), (float("nan"), 0.0)])
def test_what_rounding_puts_outside_a_controls_range_is_clipped(value: float, used: float, stage: OnnxStage) -> None:
    stage.set_control("depth", value)
    assert stage.process(ONE)[0] == used


def test_an_unknown_control_is_named(stage: OnnxStage) -> None:
    with pytest.raises(ParameterError, match="control 'width': model tiny has depth"):
        stage.set_control("width", 0.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1j * np.nan])
def test_a_frame_that_is_not_finite_becomes_silence_is_counted_and_heals(bad: complex, stage: OnnxStage) -> None:
    poisoned = ONE.copy()
    poisoned[7] = bad
    for turn in range(1, 4):  # each of the two state buffers gets its turn
        stage.process(ONE)
        assert not np.any(stage.process(poisoned))
        assert stage.faults == turn
        np.testing.assert_array_equal(stage.process(ONE), 0.5 * ONE)  # as a new stage
    stage.reset()
    assert stage.faults == 3


def test_silence_in_is_silence_out(stage: OnnxStage) -> None:
    stage.process(ONE)
    stage.reset()
    assert not np.any(stage.process(0 * ONE))


def test_it_runs_in_another_thread_than_the_one_that_made_it(stage: OnnxStage, spectra: Spectrum) -> None:
    out: list[Spectrum] = []
    thread = threading.Thread(target=lambda: out.extend(stage.process(spectrum).copy() for spectrum in spectra))
    thread.start()
    thread.join()
    np.testing.assert_allclose(np.stack(out), tiny_run(spectra), atol=1e-6)


def test_it_runs_at_the_house_size(full_model_path: Path) -> None:
    stage = OnnxStage(load_model(full_model_path), "cpu")
    x = np.ones(FeatureSpec().n_bins, np.complex64)
    np.testing.assert_array_equal(stage.process(x), 0.5 * x)


# -- graphs that pass every check but cannot run --


@pytest.mark.parametrize(
    ("operator", "inputs"), [("NoSuchOperator", ["spectrum"]), ("Add", ["spectrum"]), ("MatMul", ["spectrum", "depth"])]
)
def test_what_onnxruntime_refuses_is_one_line(operator: str, inputs: list[str], tmp_path: Path) -> None:
    proto = tiny_graph()
    proto.graph.node.append(helper.make_node(operator, inputs, ["unused"]))
    manifest = tiny_manifest()
    manifest = replace(manifest, golden=make_golden(manifest, tiny_run, 24, 440))
    model = write_model(tmp_path / "bad.onnx", proto, manifest)
    with pytest.raises(ModelFileError, match=r"bad\.onnx: onnxruntime cannot run it \(.*\); export it again") as caught:
        OnnxStage(model, "cpu")
    assert "\n" not in str(caught.value)


# -- golden digest --


def test_a_sound_model_replays_its_golden_digest(tiny_model_path: Path) -> None:
    model = load_model(tiny_model_path)
    np.testing.assert_allclose(verify_golden(model), model.manifest.golden.output, atol=1e-5)


def test_other_weights_than_the_golden_ones_are_found(tmp_path: Path) -> None:
    manifest = tiny_manifest()
    golden = make_golden(manifest, lambda spectra: tiny_run(spectra, pole=0.501), 24, 440)
    model = write_model(tmp_path / "off.onnx", tiny_graph(), replace(manifest, golden=golden))
    with pytest.raises(
        ModelFileError, match=r"off\.onnx: golden output is off by 0\.\d+, at most 0\.0007\d+ is allowed"
    ):
        verify_golden(model)


def test_a_golden_digest_of_another_length_is_refused(tiny_model_path: Path) -> None:
    model = load_model(tiny_model_path)
    golden = model.manifest.golden
    short = replace(model, manifest=replace(model.manifest, golden=replace(golden, output=golden.output[:3])))
    with pytest.raises(ModelFileError, match="golden output is off"):
        verify_golden(short)


def test_another_golden_input_is_found(tiny_model_path: Path) -> None:
    model = load_model(tiny_model_path)
    golden = replace(model.manifest.golden, seed=441)
    with pytest.raises(ModelFileError, match="golden input differs"):
        verify_golden(replace(model, manifest=replace(model.manifest, golden=golden)))


# -- denormals --


def test_a_thread_can_flush_denormals() -> None:
    # in a process of its own: onnxruntime has changed this one's threads already
    code = """
import threading
import numpy as np
from rtvox.onnx_session import flush_denormals

def product():
    return float(np.float32(1e-30) * np.float32(1e-10))

def flush():
    print(flush_denormals(), product())

print(product() > 0)
thread = threading.Thread(target=flush); thread.start(); thread.join()
print(product() > 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, inside, after = done.stdout.splitlines()
    assert (before, after) == ("True", "True")  # other threads are left alone
    assert inside in ("True 0.0", "False 1.000000013351432e-40")


def test_fading_states_do_not_go_denormal_in_a_converter_thread(tmp_path: Path) -> None:
    # the session is made in a loader thread, as a model swap does, and run by another thread that flushes
    write_tiny(tmp_path / "tiny.onnx")
    code = f"""
import threading
import numpy as np
from rtvox.model_file import load_model
from rtvox.onnx_session import flush_denormals
from rtvox.onnx_stage import OnnxStage
stages = []
loader = threading.Thread(target=lambda: stages.append(OnnxStage(load_model({str(tmp_path / "tiny.onnx")!r}), "cpu")))
loader.start(); loader.join()

def convert():
    flushed = flush_denormals()
    x = np.ones({TINY_SPEC.n_bins}, np.complex64)
    stages[0].process(x)
    smallest = min(abs(complex(stages[0].process(0 * x)[0])) or 1.0 for _ in range(160))
    print(flushed, smallest >= 2.0**-126)

converter = threading.Thread(target=convert); converter.start(); converter.join()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    flushed, normal = done.stdout.split()
    assert normal == flushed


def test_a_mel_model_takes_and_gives_log_mel(tmp_path: Path, rng: np.random.Generator) -> None:
    model = load_model(write_mel(tmp_path / "mel.onnx"))
    verify_golden(model)
    stage = OnnxStage(model, "cpu")
    mel = rng.uniform(-11.0, 2.0, (20, mel_manifest().features.n_mels)).astype(np.float32)
    for frame in mel:
        np.testing.assert_array_equal(stage.process(frame), frame)
    stage.set_control("level", 20.0)
    np.testing.assert_allclose(stage.process(mel[0]), mel[0] + np.log(10.0), rtol=1e-6)


def test_a_mel_frame_that_is_no_number_becomes_silence(tmp_path: Path) -> None:
    stage = OnnxStage(load_model(write_mel(tmp_path / "mel.onnx")), "cpu")
    out = stage.process(np.full(8, np.nan, np.float32))
    np.testing.assert_allclose(out, np.log(1e-5))
    assert stage.faults == 1


def test_a_ring_is_changed_where_it_lies_and_sounds_as_if_it_were_copied(rng: np.random.Generator) -> None:
    model = load_model(find_model("isolate"))  # its memory is of 2800 frames, and then begins anew
    assert [state.name for state in model.manifest.states if state.name.startswith(RING)]
    frames = rng.standard_normal((1000, 1025, 2)).astype(np.float32)
    frames = np.concatenate([frames, frames, frames])
    stage = OnnxStage(model, "cpu")
    ours = np.stack([stage.process(frame.view(np.complex64)[:, 0]).copy() for frame in frames])
    np.testing.assert_array_equal(ours, Graph(model.data).run(frames).view(np.complex64)[..., 0])
