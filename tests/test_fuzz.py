"""Hostile files for a few seconds each; `fuzz_files.py` does it for longer, `fuzzing.py` does the same to OSC."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from conftest import tiny_manifest
from fuzz_files import KINDS
from onnx import TensorProto, helper
from test_model_file import refused_graph, small_graph

from rtvox.convert import Job, convert_file
from rtvox.errors import AudioFileError, ModelFileError, ParameterError
from rtvox.file_device import PushDevice
from rtvox.manifest import TensorShape

SECONDS = 2.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_hostile_files_crash_hang_and_swell_nothing(kind: str) -> None:
    program = Path(__file__).with_name("fuzz_files.py")
    command = [sys.executable, str(program), kind, "--seconds", str(SECONDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["examples"] >= 50


# -- what fuzzing found --


@pytest.mark.parametrize("operator", ["Loop", "Scan"])
def test_a_graph_that_may_never_end_is_refused(operator: str, tmp_path: Path) -> None:
    node = helper.make_node(operator, ["spectrum"], ["x"], body=small_graph(helper.make_node("Identity", ["a"], ["b"])))
    message = refused_graph(tmp_path, lambda proto: proto.graph.node.append(node))
    assert f"uses operator {operator}, which may never end: export it unrolled" in message


def test_a_graph_that_fills_the_memory_is_refused(tmp_path: Path) -> None:
    def swell(proto: onnx.ModelProto) -> None:
        graph = proto.graph
        graph.initializer.append(helper.make_tensor("sizes", TensorProto.INT64, [2], [2**20, 2**14]))
        graph.node.append(helper.make_node("ConstantOfShape", ["sizes"], ["large"]))

    message = refused_graph(tmp_path, swell)
    assert "tensor large has 17179869184 elements: a live model has at most 4194304" in message


def test_states_that_fill_the_memory_are_refused() -> None:
    states = tuple(TensorShape(f"s{k}", (2**21,)) for k in range(3))
    with pytest.raises(ModelFileError, match="states='6291456 elements': needs at most 4194304 in all"):
        replace(tiny_manifest(), states=states)


@pytest.mark.parametrize("rate", [1, 7999, 384001, 2**31 - 1])
def test_a_rate_that_no_sound_has_is_refused(rate: int, tmp_path: Path) -> None:
    """1 Hz took 48 000 samples of output for each of input, and hours."""
    header = b"RIFF\x28\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0" + rate.to_bytes(4, "little") + bytes(4) + b"\2\0\x10\0"
    (tmp_path / "in.wav").write_bytes(header + b"data\4\0\0\0" + bytes(4))
    with pytest.raises(AudioFileError, match=rf"in\.wav: {rate} Hz; needs 8000 to 384000 Hz"):
        convert_file(Job(tmp_path / "in.wav", tmp_path / "out.wav"), None, {})
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]
    with pytest.raises(ParameterError, match=f"sample_rate={rate}: needs 8000 to 384000 Hz"):
        PushDevice(rate)
