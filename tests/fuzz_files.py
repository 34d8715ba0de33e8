"""Hostile files: models, sound files and presets that were damaged, or made to do harm.

In a process of its own, whose memory is limited and whose every example has an alarm: a crash, a hang or a gluttony of
native code ends it with the example's number, and `test_fuzz.py` fails. Longer by hand:

    python tests/fuzz_files.py model-bytes --seconds 600    # and graph, manifest, sound, preset
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import soundfile
from conftest import tiny_graph, tiny_manifest, tiny_run, write_tiny
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from rtvox.convert import Job, convert_file
from rtvox.errors import ModelFileError, RtvoxError
from rtvox.model_file import load_model, make_golden, write_model
from rtvox.onnx_stage import OnnxStage
from rtvox.presets import DeviceChoice, Preset, PresetFolder

SPARE_BYTES = 3 << 30  # of address space, beyond what the libraries take
HANG_S = 60  # for one example, on a busy machine
CANARY = b"nobody may read or write this"

_places = st.floats(0.0, 1.0, exclude_max=True, allow_subnormal=False)
_sizes = st.sampled_from([-(2**63), -(2**31), -1, 0, 1, 2, 7, 33, 2**16, 2**22 + 1, 2**31 - 1, 2**40, 2**63 - 1])
_edits = st.lists(
    st.tuples(_places, st.sampled_from(["flip", "cut", "drop", "insert", "repeat"]), st.binary(min_size=1, max_size=8)),
    min_size=1,
    max_size=6,
)
_numbers = _sizes | st.floats() | st.sampled_from([10**30, -0.5, 1e308])
_values: st.SearchStrategy[Any] = st.recursive(
    _numbers
    | st.none()
    | st.booleans()
    | st.text(max_size=20)
    | st.sampled_from(["../../x", "/etc/passwd", "x" * 5000]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def damaged(data: bytes, edits: list[tuple[float, str, bytes]]) -> bytes:
    """Return the bytes with each edit made, one after the other."""
    for place, kind, junk in edits:
        at = int(place * len(data))
        here, rest = data[:at], data[at:]
        if kind == "flip":
            data = here + bytes(a ^ b for a, b in zip(rest, junk, strict=False)) + rest[len(junk) :]
        elif kind == "cut":
            data = here
        elif kind == "drop":
            data = here + rest[len(junk) :]
        else:
            data = here + (junk if kind == "insert" else junk * 500) + rest
    return data


def use(path: Path) -> None:
    """Load a model as the engine does, and play a few frames; what it cannot use it says in one line."""
    try:
        stage = OnnxStage(load_model(path), "cpu")
    except ModelFileError as error:
        told = str(error)
        assert str(path) in told
        assert "\n" not in told
        assert len(told) < 2000
        return
    frame = stage._network.frame.copy()
    for _ in range(3):
        assert np.isfinite(stage.process(frame)).all()


# -- the kinds: each takes a folder and returns a test of hypothesis --


def model_bytes(folder: Path) -> Callable[[], None]:
    """Damage anywhere in the file."""
    original = write_tiny(folder / "original.onnx").read_bytes()

    @given(_edits)
    def check(edits: list[tuple[float, str, bytes]]) -> None:
        (folder / "x.onnx").write_bytes(damaged(original, edits))
        use(folder / "x.onnx")

    return check


def manifest(folder: Path) -> Callable[[], None]:
    """Another value in any field of a manifest whose graph is whole."""
    original = onnx.load(write_tiny(folder / "original.onnx"))

    @given(st.lists(st.tuples(_places, _places, _values), min_size=1, max_size=3), st.booleans())
    def check(changes: list[tuple[float, float, Any]], more_states: bool) -> None:
        values = json.loads(original.metadata_props[0].value)
        for first, second, value in changes:
            name = list(values)[int(first * len(values))]
            inner = values[name]
            if second > 0.5 and isinstance(inner, dict) and inner:
                inner[list(inner)[int((second - 0.5) * 2.0 * len(inner))]] = value
            elif second > 0.5 and isinstance(inner, list) and inner and isinstance(inner[0], dict):
                inner[0][list(inner[0])[int((second - 0.5) * 2.0 * len(inner[0]))]] = value
            else:
                values[name] = value
        if more_states and isinstance(values["states"], list):
            values["states"] += [{"name": f"s{k}", "shape": [2**22]} for k in range(2000)]
        proto = onnx.ModelProto()
        proto.CopyFrom(original)
        proto.metadata_props[0].value = json.dumps(values, default=str)
        onnx.save(proto, folder / "x.onnx")
        use(folder / "x.onnx")

    return check


_OPERATORS = [
    "Add",
    "Div",
    "Mod",
    "MatMul",
    "Gemm",
    "Conv",
    "ConvTranspose",
    "Reshape",
    "Expand",
    "Tile",
    "Pad",
    "Slice",
    "Gather",
    "GatherND",
    "ScatterND",
    "Concat",
    "Split",
    "ConstantOfShape",
    "Range",
    "Resize",
    "OneHot",
    "TopK",
    "CumSum",
    "NonZero",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "GRU",
    "LSTM",
    "Loop",
    "Scan",
    "If",
    "Einsum",
    "DFT",
    "STFT",
    "MelWeightMatrix",
    "HannWindow",
    "RandomNormal",
    "Sequence",
    "Cast",
    "StringNormalizer",
    "QuantizeLinear",
    "MaxPool",
    "Upsample",
]
_attributes = st.dictionaries(
    st.sampled_from(
        [
            "axis",
            "axes",
            "kernel_shape",
            "strides",
            "pads",
            "perm",
            "shape",
            "hidden_size",
            "to",
            "group",
            "equation",
            "mode",
            "dilations",
        ]
    ),
    _sizes | st.lists(_sizes, max_size=4) | st.sampled_from(["ij,jk->ik", "linear", ""]),
    max_size=3,
)
_constants = st.lists(_sizes, max_size=4).map(
    lambda sizes: helper.make_tensor("c", TensorProto.INT64, [len(sizes)], sizes)
)


def graph(folder: Path) -> Callable[[], None]:
    """Nodes that do harm in a graph whose manifest and hash are right, as a hostile exporter would write it."""
    sealed = replace(tiny_manifest(), golden=make_golden(tiny_manifest(), tiny_run, 24, 440))
    (folder.parent / "canary").write_bytes(CANARY)

    @given(
        st.lists(
            st.tuples(st.sampled_from(_OPERATORS), _attributes, st.lists(_constants, max_size=2), st.booleans()),
            min_size=1,
            max_size=3,
        ),
        st.sampled_from(["", "", "", "ai.onnx.ml", "com.microsoft", "../x"]),
        st.booleans(),
    )
    def check(nodes: list[tuple[str, dict[str, Any], list[TensorProto], bool]], domain: str, outside: bool) -> None:
        proto = tiny_graph()
        for k, (operator, attributes, constants, heard) in enumerate(nodes):
            inputs = ["spectrum"] if heard else []
            for j, constant in enumerate(constants):
                tensor = proto.graph.initializer.add()
                tensor.CopyFrom(constant)
                tensor.name = f"constant{k}_{j}"
                inputs.append(tensor.name)
            with contextlib.suppress(ValueError, TypeError, OverflowError):
                proto.graph.node.append(helper.make_node(operator, inputs, [f"made{k}"], domain=domain, **attributes))
                # onnxruntime leaves out what nobody needs
                fold = helper.make_node("Size", [f"made{k}"], [f"size{k}"])
                cast = helper.make_node("Cast", [f"size{k}"], [f"number{k}"], to=TensorProto.FLOAT)
                proto.graph.node.extend([fold, cast])
        numbers = [node.output[0] for node in proto.graph.node if node.output[0].startswith("number")]
        if numbers:
            result = proto.graph.node[3]
            assert result.op_type == "Identity"
            result.CopyFrom(helper.make_node("Add", ["next_smooth", numbers[-1]], ["spectrum_out"]))
            proto.graph.node.append(proto.graph.node[3])
            del proto.graph.node[3]
        if outside:
            tensor = proto.graph.initializer.add(name="secret", data_type=TensorProto.FLOAT, dims=[1])
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="../canary")
        try:
            write_model(folder / "x.onnx", proto, sealed)
        except ModelFileError as error:
            told = str(error)
            assert "\n" not in told
            return
        assert not outside
        assert domain in ("", "ai.onnx") or not numbers
        use(folder / "x.onnx")

    return check


def sound(folder: Path) -> Callable[[], None]:
    """Sound files with damage, mostly to their headers."""
    rng = np.random.default_rng(440)
    originals = []
    for ending, subtype in (("wav", "PCM_16"), ("wav", "FLOAT"), ("flac", None), ("ogg", "VORBIS"), ("aiff", None)):
        path = folder / f"original-{subtype}.{ending}"
        soundfile.write(path, rng.uniform(-0.5, 0.5, (600, 2)).astype(np.float32), 44100, subtype)
        originals.append((ending, path.read_bytes()))
        path.unlink()

    @given(st.sampled_from(originals), _edits, st.booleans(), st.sampled_from(["wav", "flac"]))
    def check(original: tuple[str, bytes], edits: list[tuple[float, str, bytes]], front: bool, target: str) -> None:
        ending, data = original
        if front:  # the header
            edits = [(place * 60.0 / len(data), kind, junk) for place, kind, junk in edits]
        source, out = folder / f"x.{ending}", folder / f"y.{target}"
        source.write_bytes(damaged(data, edits))
        try:
            result = convert_file(Job(source, out), None, {})
        except RtvoxError as error:
            told = str(error)
            assert "\n" not in told
            assert not out.exists()
        else:
            assert soundfile.info(out).frames == result.frames
            assert out.stat().st_size < 4 << 20
            out.unlink()
        source.unlink()

    return check


def preset(folder: Path) -> Callable[[], None]:
    """Preset files with damage, and ones of any name."""
    presets = PresetFolder(folder / "presets")
    text = presets.save("x", Preset("isolate", {"mix": 0.5}, DeviceChoice("JACK: system", block=64))).read_bytes()

    @given(_edits, st.text(max_size=30) | st.sampled_from(["../canary", "/etc/passwd", "x", "nul", "~/x"]))
    def check(edits: list[tuple[float, str, bytes]], name: str) -> None:
        (presets.path / "x.toml").write_bytes(damaged(text, edits))
        for act in (lambda: presets.load("x"), lambda: presets.save(name, Preset("none")), lambda: presets.load(name)):
            with contextlib.suppress(RtvoxError):
                act()
        with contextlib.suppress(RtvoxError):
            presets.delete(name)

    return check


KINDS = {"model-bytes": model_bytes, "manifest": manifest, "graph": graph, "sound": sound, "preset": preset}


def fuzz(kind: str, seconds: float, start: int = 0) -> int:
    """Let hypothesis draw for so long, and once at least; return how many examples there were.

    Raises: AssertionError and others.
    """
    count = 0
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "folder"
        folder.mkdir()
        check = KINDS[kind](folder)
        inner = check.hypothesis.inner_test  # type: ignore[attr-defined]

        def watched(*arguments: Any, **named: Any) -> None:
            nonlocal count
            count += 1
            faulthandler.dump_traceback_later(HANG_S, exit=True)
            inner(*arguments, **named)
            faulthandler.cancel_dump_traceback_later()

        check.hypothesis.inner_test = watched  # type: ignore[attr-defined]
        run = settings(
            max_examples=50,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )(check)
        batch, end = start, time.monotonic() + seconds
        while batch == start or time.monotonic() < end:
            print(f"{kind} from {batch}", file=sys.stderr, flush=True)
            seed(batch)(run)()
            batch += 1
        canary = Path(parent) / "canary"
        assert not canary.exists() or canary.read_bytes() == CANARY
        assert {path.name for path in Path(parent).iterdir()} <= {"folder", "canary"}
        shutil.rmtree(folder)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--start", type=int, default=0, help="number of the first batch, to see one again")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # numpy's, of the noise that damage makes
    faulthandler.enable()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = fuzz(args.kind, args.seconds, args.start)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024.0
    print(json.dumps({"kind": args.kind, "examples": count, "peak_growth_mib": round(grown, 1)}))


if __name__ == "__main__":
    main()
