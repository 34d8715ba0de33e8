"""model_file.py and manifest.py: what is written is read back, and everything that is wrong is said in one line."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import TINY_MEL_SPEC, TINY_SPEC, mel_manifest, tiny_graph, tiny_manifest, tiny_run, write_mel, write_tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_vocoder import vocoder_manifest, write_vocoder
from onnx import TensorProto, helper

from rtvox import model_file
from rtvox.errors import ModelFileError
from rtvox.features import MEL_SPEC, FeatureSpec
from rtvox.manifest import Manifest, TensorShape
from rtvox.model_file import (
    MANIFEST_KEY,
    find_model,
    golden_input,
    golden_summary,
    list_models,
    load_model,
    make_golden,
    read_manifest,
    write_model,
)
from rtvox.params import Param


def sealed() -> Manifest:
    manifest = tiny_manifest()
    return replace(manifest, golden=make_golden(manifest, tiny_run, 24, 440))


def refusal(path: Path) -> str:
    """Return the message with which the file is refused; it must be one line that names the file."""
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


# -- what is written is read back --


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    written = write_model(tmp_path / "tiny.onnx", tiny_graph(), sealed())
    loaded = load_model(str(tmp_path / "tiny.onnx"))
    assert loaded == written
    assert loaded.manifest == replace(sealed(), graph_sha256=loaded.manifest.graph_sha256)
    assert loaded.manifest == read_manifest(tmp_path / "tiny.onnx")
    assert re.fullmatch("[0-9a-f]{64}", loaded.manifest.graph_sha256)


def test_other_programs_see_one_ordinary_model(tiny_model_path: Path) -> None:
    proto = onnx.load(tiny_model_path)
    onnx.checker.check_model(proto)
    assert [entry.key for entry in proto.metadata_props] == [MANIFEST_KEY]
    assert json.loads(proto.metadata_props[0].value)["format"] == 1


def test_bytes_and_protos_with_other_metadata_or_an_older_manifest_are_taken(tmp_path: Path) -> None:
    proto = tiny_graph()
    helper.set_model_props(proto, {"author": "somebody"})
    write_model(tmp_path / "a.onnx", proto, sealed())
    older = (tmp_path / "a.onnx").read_bytes()
    write_model(tmp_path / "b.onnx", older, replace(sealed(), title="Newer"))
    assert read_manifest(tmp_path / "b.onnx").title == "Newer"
    assert read_manifest(tmp_path / "b.onnx").graph_sha256 == read_manifest(tmp_path / "a.onnx").graph_sha256
    assert {entry.key for entry in onnx.load(tmp_path / "b.onnx").metadata_props} == {"author", MANIFEST_KEY}
    assert [entry.key for entry in proto.metadata_props] == ["author"]  # the caller's model is left alone


def test_a_file_saved_again_without_change_still_counts(tiny_model_path: Path, tmp_path: Path) -> None:
    onnx.save(onnx.load(tiny_model_path), tmp_path / "again.onnx")
    assert read_manifest(tmp_path / "again.onnx") == read_manifest(tiny_model_path)


def test_the_delay_is_the_look_ahead_in_samples() -> None:
    assert tiny_manifest(look_ahead=3).delay == 3 * TINY_SPEC.hop


# -- role mel --


def test_a_mel_model_is_read_back(tmp_path: Path) -> None:
    manifest = load_model(write_mel(tmp_path / "mel.onnx")).manifest
    assert (manifest.role, manifest.resynthesis, manifest.features) == ("mel", "griffin-lim", TINY_MEL_SPEC)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": TINY_SPEC}, "features.n_fft='64, n_synthesis 32, hop 16': needs n_synthesis == n_fft, 4 or more"),
        (
            {"features": replace(TINY_SPEC, n_fft=32, n_synthesis=32)},
            "features.n_fft='32, n_synthesis 32, hop 16': needs n_synthesis == n_fft, 4 or more hops, for role mel",
        ),
        ({"resynthesis": "istft"}, "resynthesis='istft': needs one of griffin-lim, input-phase, vocoder"),
        ({"role": "mask", "resynthesis": "istft"}, "inputs='mel (1, 1, 8)': needs spectrum (1, 1, 33, 2), and of"),
        (
            {"outputs": (TensorShape("mel_out", (1, 1, 9)),)},
            "outputs='mel_out (1, 1, 9)': needs mel_out (1, 1, 8) alone",
        ),
    ],
    ids=["low-delay framing", "overlaps twice", "resynthesis of a mask", "mask with mel ports", "other size"],
)
def test_what_a_mel_model_must_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        replace(mel_manifest(), **changes)
    assert message in str(caught.value)


# -- role vocoder, and what networks are told beside their frames --


def test_a_vocoder_is_read_back(tmp_path: Path) -> None:
    manifest = load_model(write_vocoder(tmp_path / "vocoder.onnx")).manifest
    assert (manifest.role, manifest.resynthesis, manifest.features) == ("vocoder", "overlap-add", MEL_SPEC)
    assert manifest.conditions == ("pitch", "voicing")
    assert manifest.delay == 512


def test_a_vocoder_may_be_told_nothing(tmp_path: Path) -> None:
    assert load_model(write_vocoder(tmp_path / "vocoder.onnx", conditions=())).manifest.conditions == ()


TELL = "needs mel (1, 1, 128), and of pitch, voicing, loudness what is wanted, in this order, as (1,)"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": FeatureSpec()}, "needs n_synthesis == n_fft, 4 or more hops, for role vocoder"),
        ({"resynthesis": "istft"}, "resynthesis='istft': needs one of overlap-add"),
        ({"look_ahead": 1}, "look_ahead=1: needs 2 frames for overlap-add"),
        ({"resynthesis": "griffin-lim"}, "look_ahead=2: needs 0 frames for griffin-lim"),
        ({"inputs": ()}, TELL),
        ({"inputs": tuple(TensorShape(name, (1,)) for name in ("voicing", "pitch"))}, TELL),
        ({"inputs": (TensorShape("mel", (1, 1, 128)), TensorShape("vowel", (1,)))}, TELL),
        ({"inputs": (TensorShape("mel", (1, 1, 128)), TensorShape("pitch", (1, 1)))}, TELL),
        ({"outputs": (TensorShape("mel_out", (1, 1, 128)),)}, "needs spectrum_out (1, 1, 513, 2) alone"),
        ({"states": (TensorShape("a", (1,)), TensorShape("a", (1,)))}, "no name twice"),
    ],
    ids=[
        *("framing", "resynthesis", "look-ahead", "no look-ahead", "no mel"),
        *("order", "unknown", "shape", "gives mel", "twice"),
    ],
)
def test_what_a_vocoder_must_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        replace(vocoder_manifest(), **changes)
    assert message in str(caught.value)


# -- writing is all or nothing --


def test_what_would_not_load_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"bad\.onnx: not written: manifest field golden\.output is empty"):
        write_model(tmp_path / "bad.onnx", tiny_graph(), tiny_manifest())
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_keeps_the_old_file(tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tiny_model_path.read_bytes()

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(ModelFileError, match=r"tiny\.onnx: cannot be written \(No space left on device\)"):
        write_model(tiny_model_path, tiny_graph(), replace(sealed(), title="Newer"))
    assert tiny_model_path.read_bytes() == before
    assert [path.name for path in tiny_model_path.parent.iterdir()] == ["tiny.onnx"]


def test_a_folder_that_is_not_there_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"cannot be written \(No such file or directory\)"):
        write_model(tmp_path / "none" / "tiny.onnx", tiny_graph(), sealed())


# -- files that are no model --


def test_a_missing_file(tmp_path: Path) -> None:
    assert "no such file: `rtvox models` lists the models at hand" in refusal(tmp_path / "none.onnx")


def test_a_folder(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()
    assert "is empty (0 bytes)" in refusal(tmp_path / "empty.onnx")


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    assert "is not a regular file" in refusal(tmp_path / "pipe.onnx")


def test_an_unreadable_file(tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:  # chmod would not stop root, as whom containers run tests
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "cannot be read (Permission denied)" in refusal(tiny_model_path)


def test_a_name_that_no_file_can_have() -> None:
    with pytest.raises(ModelFileError, match=r"cannot be read \(embedded null byte\)"):
        load_model("a\0b.onnx")


def test_a_huge_file_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(2**40)
    assert "has 1099511627776 bytes: a live model has at most 67108864" in refusal(path)


@pytest.mark.parametrize(
    "content",
    [b"hello, this is text and no model", b"RIFF\x24\x00\x00\x00WAVEfmt ", b"\x00" * 100, b"\x80" * 50, b"PK\x03\x04"],
)
def test_something_else_altogether(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(content)
    assert "is not an ONNX model" in refusal(tmp_path / "other.onnx")


def test_a_model_of_another_program(tmp_path: Path) -> None:
    onnx.save(tiny_graph(), tmp_path / "foreign.onnx")
    assert "holds no rtvox manifest" in refusal(tmp_path / "foreign.onnx")


@pytest.mark.parametrize("kept", [0.02, 0.1, 0.3, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_off(kept: float, tiny_model_path: Path) -> None:
    data = tiny_model_path.read_bytes()
    tiny_model_path.write_bytes(data[: int(kept * len(data))])
    assert re.search("cut off|holds no graph", refusal(tiny_model_path))


# -- files that were tampered with --


def test_a_changed_weight(tiny_model_path: Path) -> None:
    data = tiny_model_path.read_bytes()
    half = np.float32(0.5).tobytes()
    assert data.count(half) == 1  # the pole
    tiny_model_path.write_bytes(data.replace(half, np.float32(0.25).tobytes()))
    assert "was changed after export: graph_sha256 is" in refusal(tiny_model_path)


def test_a_swapped_graph(tiny_model_path: Path) -> None:
    proto = onnx.load(tiny_model_path)
    proto.graph.CopyFrom(tiny_graph(pole=0.9).graph)
    onnx.save(proto, tiny_model_path)
    assert "was changed after export" in refusal(tiny_model_path)


def test_bytes_put_in_front_or_behind(tiny_model_path: Path) -> None:
    data = tiny_model_path.read_bytes()
    extra = onnx.ModelProto(producer_name="somebody").SerializeToString()
    tiny_model_path.write_bytes(data + extra)
    assert "was written again by another program" in refusal(tiny_model_path)
    tiny_model_path.write_bytes(extra + data)
    assert "was changed after export" in refusal(tiny_model_path)


def test_two_manifests(tiny_model_path: Path) -> None:
    data = tiny_model_path.read_bytes()
    second = onnx.StringStringEntryProto(key=MANIFEST_KEY, value=sealed().to_json())
    tiny_model_path.write_bytes(data + onnx.ModelProto(metadata_props=[second]).SerializeToString())
    assert "was written again by another program" in refusal(tiny_model_path)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0.0, 1.0, exclude_max=True, allow_subnormal=False), change=st.integers(1, 255))
def test_any_flipped_byte_is_refused_or_leaves_graph_and_manifest_sound(
    place: float, change: int, tmp_path_factory: pytest.TempPathFactory, original: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "flipped"
    folder.mkdir(exist_ok=True)
    path = folder / "flipped.onnx"
    data = bytearray(original)
    data[int(place * len(data))] ^= change
    path.write_bytes(data)
    [(_, found)] = list_models(path.parent)
    if isinstance(found, ModelFileError):
        assert str(path) in str(found)
        assert "\n" not in str(found)
    else:  # a letter of the manifest's prose, say: the graph is the one that was exported
        assert onnx.load_from_string(bytes(data)).graph == onnx.load_from_string(original).graph


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_tiny(tmp_path_factory.mktemp("original") / "tiny.onnx").read_bytes()


# -- manifests that are wrong --


def with_manifest(path: Path, text: str) -> Path:
    """Put another manifest into a model file, as a hostile or careless program would."""
    proto = onnx.load(path)
    proto.metadata_props[0].value = text
    onnx.save(proto, path)
    return path


def edited(*keys: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def edit(values: Any) -> None:
        for key in keys[:-1]:
            values = values[key]
        values[keys[-1]] = value

    return edit


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its manifest is not JSON"),
        ("{", "its manifest is not JSON"),
        ("[" * 100_000, "its manifest is not JSON"),
        ("1" * 10_000, "its manifest is not JSON"),
        ("[]", "its manifest is not a JSON object"),
        ("{}", "manifest field format=None: this rtvox reads format 1; export the model again"),
        ('{"format": 1}', "manifest field name is missing"),
        ('{"format": 2, "whatever": []}', "manifest field format=2: this rtvox reads format 1; update rtvox"),
        ('{"format": 0}', "manifest field format=0: this rtvox reads format 1; export the model again"),
        ('{"format": "1"}', "manifest field format='1'"),
        ('{"format": true}', "manifest field format=True"),
    ],
    ids=lambda text: text[:20],
)
def test_a_manifest_that_is_none(text: str, message: str, tiny_model_path: Path) -> None:
    assert message in refusal(with_manifest(tiny_model_path, text))


WRONG = {
    "unknown role": (
        edited("role", value="juggler"),
        "role='juggler': needs one of mask, mel, vocoder, speaker; update rtvox",
    ),
    "unknown resynthesis": (edited("resynthesis", value="magic"), "resynthesis='magic': needs one of istft"),
    "unknown field": (edited("colour", value="red"), "colour='red': needs a field of format 1: name, title"),
    "field that moves the cursor": (edited("\x1b[2J", value=1), "manifest field ?[2J=1: needs a field of format 1"),
    "unknown inner field": (edited("golden", "colour", value=1), "golden.colour=1: needs a field of format 1: frames"),
    "name is a path": (edited("name", value="../../etc"), "name='../../etc': needs 1 to 64 of a-z"),
    "name is a number": (edited("name", value=7), "name=7: needs one line of text"),
    "title moves the cursor": (edited("title", value="a\x1b[2Jb"), r"title='a\x1b[2Jb': needs one line of text"),
    "endless text": (edited("name", value="x" * 10**5), "xxx...: needs one line of text"),
    "title is a book": (edited("title", value="x" * 5000), "needs one line of text"),
    "look_ahead negative": (edited("look_ahead", value=-1), "look_ahead=-1: needs 0 to 64 frames"),
    "look_ahead half": (edited("look_ahead", value=0.5), "look_ahead=0.5: needs a whole number"),
    "look_ahead true": (edited("look_ahead", value=True), "look_ahead=True: needs a whole number"),
    "other rate": (edited("features", "sample_rate", value=96000), "features.sample_rate=96000: needs 48000 Hz"),
    "impossible hop": (edited("features", "hop", value=15), "manifest field features: FeatureSpec n_fft=64"),
    "huge frame": (edited("features", "n_fft", value=2**30), "features.n_fft=1073741824: needs at most 16384"),
    "huge filterbank": (edited("features", "n_mels", value=10**6), "features.n_mels=1000000: needs at most 1024"),
    "features is a list": (edited("features", value=[]), "features=[]: needs an object"),
    "no window size": (lambda values: values["features"].pop("hop"), "manifest field features.hop is missing"),
    "inputs of another role": (edited("inputs", 0, "name", value="mel"), "inputs='mel (1, 1, 33, 2)': needs spectrum"),
    "outputs empty": (edited("outputs", value=[]), "outputs='': needs spectrum_out (1, 1, 33, 2) alone"),
    "shape of text": (edited("states", 0, "shape", value="ab"), "states[0].shape='ab': needs a list"),
    "open shape": (edited("states", 0, "shape", value=[1, 0]), "states.smooth.shape=(1, 0): needs sizes >= 1"),
    "huge state": (edited("states", 0, "shape", value=[2**40]), "states.smooth.shape=(1099511627776,): needs sizes"),
    "state name": (edited("states", 0, "name", value="a b"), "states.name='a b': needs a-z first"),
    "control name": (edited("controls", 0, "name", value="Depth/1"), "controls.name='Depth/1': needs a-z first"),
    "control takes a port": (edited("controls", 0, "name", value="spectrum"), "states, controls="),
    "control range": (edited("controls", 0, "low", value=2.0), "controls.depth='2.0 to 1.0': needs low < high"),
    "control default": (edited("controls", 0, "default", value=9), "controls.depth.default=9.0: needs low to high"),
    "control smoothing": (edited("controls", 0, "smoothing_ms", value=-1), "controls.depth.smoothing_ms=-1.0"),
    "infinite number": (
        edited("controls", 0, "high", value=float("inf")),
        "controls[0].high=inf: needs a finite number",
    ),
    "not a number": (edited("golden", "tolerance", value=float("nan")), "golden.tolerance=nan: needs a finite number"),
    "huge number": (edited("provenance", "steps", value=10**400), "provenance.steps=1000"),
    "loose tolerance": (edited("golden", "tolerance", value=10.0), "golden.tolerance=10.0: needs above 0, at most 0.1"),
    "endless golden": (edited("golden", "frames", value=10**9), "golden.frames=1000000000: needs 1 to 4096"),
    "golden seed": (edited("golden", "seed", value=-1), "golden.seed=-1: needs 0 to 2^32 - 1"),
    "no golden": (edited("golden", "output", value=[]), "golden.output is empty"),
    "no hash": (edited("graph_sha256", value=""), "was changed after export"),
    "odd hash": (edited("graph_sha256", value="zz"), "graph_sha256='zz': needs 64 hexadecimal digits"),
    "metrics nested": (edited("metrics", value={"a": {}}), "metrics.a={}: needs a finite number"),
    "metrics a list": (edited("metrics", value=[1]), "metrics=[1]: needs an object"),
    "licence missing": (lambda v: v["provenance"]["data"][0].pop("licence"), "provenance.data[0].licence is missing"),
    "other delay": (
        edited("features", "n_fft", value=128),
        "inputs='spectrum (1, 1, 33, 2)': needs spectrum (1, 1, 65",
    ),
}


@pytest.mark.parametrize(("edit", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_manifest_with_a_wrong_value(
    edit: Callable[[dict[str, Any]], None], message: str, tiny_model_path: Path
) -> None:
    values = json.loads(sealed().to_json()) | {"graph_sha256": read_manifest(tiny_model_path).graph_sha256}
    with_manifest(tiny_model_path, json.dumps(values))
    load_model(tiny_model_path)  # fine before the edit
    edit(values)
    assert message in refusal(with_manifest(tiny_model_path, json.dumps(values)))


def test_a_manifest_that_is_not_utf8(tiny_model_path: Path) -> None:
    data = tiny_model_path.read_bytes()
    tiny_model_path.write_bytes(data.replace(b"One-pole", b"One\xff\xfeole"))
    assert re.search("is not JSON .'utf-8' codec|is not an ONNX model", refusal(tiny_model_path))


def test_a_manifest_built_in_code_is_checked_too() -> None:
    with pytest.raises(ModelFileError, match="role='juggler'"):
        replace(tiny_manifest(), role="juggler")


# -- graphs that must not reach the runtime --


def refused_graph(tmp_path: Path, change: Callable[[onnx.ModelProto], object], manifest: Manifest | None = None) -> str:
    """Return why a graph, changed before it was sealed (so that its hash is right), is refused."""
    proto = tiny_graph()
    change(proto)
    with pytest.raises(ModelFileError) as caught:
        write_model(tmp_path / "bad.onnx", proto, manifest or sealed())
    assert not (tmp_path / "bad.onnx").exists()
    return str(caught.value)


def point_outside(tensor: TensorProto) -> None:
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")


def branch(inner: onnx.GraphProto) -> onnx.NodeProto:
    return helper.make_node("If", ["condition"], ["never"], then_branch=inner, else_branch=inner)


def small_graph(node: onnx.NodeProto, *tensors: TensorProto) -> onnx.GraphProto:
    return helper.make_graph([node], "inner", [], [], list(tensors))


def test_weights_outside_the_file(tmp_path: Path) -> None:
    message = refused_graph(tmp_path, lambda proto: point_outside(proto.graph.initializer[0]))
    assert "tensor pole lies outside the file" in message


def test_weights_outside_the_file_in_an_attribute(tmp_path: Path) -> None:
    tensor = helper.make_tensor("secret", TensorProto.FLOAT, [1], [0.0])
    point_outside(tensor)
    node = helper.make_node("Constant", [], ["c"], value=tensor)
    assert "secret lies outside" in refused_graph(tmp_path, lambda proto: proto.graph.node.append(node))


def test_weights_outside_the_file_in_an_inner_graph(tmp_path: Path) -> None:
    tensor = helper.make_tensor("secret", TensorProto.FLOAT, [1], [0.0])
    point_outside(tensor)
    node = branch(small_graph(helper.make_node("Identity", ["secret"], ["c"]), tensor))
    assert "secret lies outside" in refused_graph(tmp_path, lambda proto: proto.graph.node.append(node))


def test_sparse_weights_outside_the_file(tmp_path: Path) -> None:
    values = helper.make_tensor("secret", TensorProto.FLOAT, [1], [0.0])
    sparse = helper.make_sparse_tensor(values, helper.make_tensor("at", TensorProto.INT64, [1], [0]), [2])
    point_outside(sparse.values)
    message = refused_graph(tmp_path, lambda proto: proto.graph.sparse_initializer.append(sparse))
    assert "secret lies outside" in message


def test_foreign_operators(tmp_path: Path) -> None:
    node = helper.make_node("Shell", ["spectrum"], ["x"], domain="evil.example")
    message = refused_graph(tmp_path, lambda proto: proto.graph.node.append(node))
    assert "uses operator evil.example.Shell: needs those of the standard" in message


def test_foreign_operators_in_an_inner_graph(tmp_path: Path) -> None:
    node = branch(small_graph(branch(small_graph(helper.make_node("Shell", [], ["x"], domain="evil.example")))))
    assert "evil.example" in refused_graph(tmp_path, lambda proto: proto.graph.node.append(node))


def test_local_functions(tmp_path: Path) -> None:
    nodes = [helper.make_node("Identity", ["a"], ["b"])]
    function = helper.make_function("", "Add", ["a"], ["b"], nodes, [helper.make_opsetid("", 17)])
    assert "has local functions" in refused_graph(tmp_path, lambda proto: proto.functions.append(function))


def test_a_graph_that_disagrees_with_its_manifest(tmp_path: Path) -> None:
    def rename(proto: onnx.ModelProto) -> None:
        proto.graph.input[2].name = "width"

    message = "inputs are spectrum, state_smooth, width, its manifest says spectrum, state_smooth, depth"
    assert message in refused_graph(tmp_path, rename)
    assert "outputs are spectrum_out, its manifest" in refused_graph(tmp_path, lambda p: p.graph.output.pop())
    twice = lambda p: p.graph.input.append(p.graph.input[0])  # noqa: E731
    assert "inputs are spectrum, state_smooth, depth, spectrum" in refused_graph(tmp_path, twice)


def test_a_state_of_another_shape(tmp_path: Path) -> None:
    manifest = replace(sealed(), states=(TensorShape("smooth", (1, 1, 33, 1)),))
    message = "input state_smooth is FLOAT (1, 1, 33, 2), its manifest says FLOAT (1, 1, 33, 1)"
    assert message in refused_graph(tmp_path, lambda _: None, manifest)


def test_an_input_of_another_type_or_of_no_fixed_size(tmp_path: Path) -> None:
    def retype(proto: onnx.ModelProto) -> None:
        proto.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE

    def name_a_size(proto: onnx.ModelProto) -> None:
        proto.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "frames"

    def retype_oddly(proto: onnx.ModelProto) -> None:
        proto.graph.input[0].type.tensor_type.elem_type = 99

    assert "input spectrum is DOUBLE (1, 1, 33, 2)" in refused_graph(tmp_path, retype)
    assert "input spectrum is of an unknown type (1, 1, 33, 2)" in refused_graph(tmp_path, retype_oddly)
    assert "input spectrum is FLOAT (1, 0, 33, 2)" in refused_graph(tmp_path, name_a_size)


# -- folders --


def test_a_folder_lists_models_and_reasons(tmp_path: Path) -> None:
    write_tiny(tmp_path / "b.onnx")
    (tmp_path / "a.onnx").write_bytes(b"no model")
    (tmp_path / "README.md").write_text("not listed")
    (a, error), (b, manifest) = list_models(tmp_path)
    assert (a.name, b.name) == ("a.onnx", "b.onnx")
    assert isinstance(error, ModelFileError)
    assert isinstance(manifest, Manifest)
    assert manifest.name == "tiny"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="needs a folder of"):
        list_models(tmp_path / "none")


def test_models_are_found_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, named = tmp_path / "here", tmp_path / "named"
    (here / "checkpoints").mkdir(parents=True)
    named.mkdir()
    monkeypatch.chdir(here)
    path = write_tiny(here / "checkpoints" / "tiny.onnx")
    assert find_model("tiny") == path
    assert find_model("./tiny") == Path("tiny")
    assert find_model("tiny.onnx") == Path("tiny.onnx")
    monkeypatch.setenv("RTVOX_MODELS", str(named))
    assert find_model("tiny") == path
    first = write_tiny(named / "tiny.onnx")
    assert find_model("tiny") == first
    with pytest.raises(ModelFileError, match=f"model 'nobody': not found in {named}, .*: needs a name that"):
        find_model("nobody")


def test_no_folder_is_searched_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(model_file.__file__).parent.parent
    monkeypatch.chdir(root)
    monkeypatch.setenv("RTVOX_MODELS", "checkpoints")
    assert model_file.model_folders().count(root / "checkpoints") == (root / "checkpoints").is_dir()


# -- golden digest --


def test_golden_input_has_the_same_bits_everywhere() -> None:
    golden = make_golden(tiny_manifest(), tiny_run, 24, 440)
    # made by this very line at the time when format 1 was fixed, numpy 2.4, x86-64
    assert golden.input_sha256 == "f37f946ccce9c133b1186a253fef3a6914acc84bbb3bd4d6c8edb06609214f92"


def test_golden_input_is_loud_and_quiet_and_a_real_signals_spectrum() -> None:
    manifest = replace(tiny_manifest(FeatureSpec()), name="big")
    spectra = golden_input(manifest, 24, 1)
    assert spectra.shape == (24, 1025)
    assert spectra.dtype == np.complex64
    assert not np.any(spectra[:, [0, -1]].imag)
    peaks = np.max(np.abs(spectra.real), axis=1)
    np.testing.assert_allclose(peaks, np.tile(16.0 * 0.5 ** np.arange(12), 2), rtol=0.02)
    assert not np.array_equal(spectra, golden_input(manifest, 24, 2))
    np.testing.assert_array_equal(spectra[:7], golden_input(manifest, 7, 1))


def test_golden_input_of_a_mel_model_is_log_mel() -> None:
    mel = golden_input(mel_manifest(MEL_SPEC), 24, 1)
    assert mel.shape == (24, 128)
    assert mel.dtype == np.float32
    np.testing.assert_allclose(np.max(mel, axis=1), 2.0 - np.tile(np.arange(12), 2), atol=0.2)
    assert np.min(mel) == -11.5  # a little above the floor of FeatureSpec
    np.testing.assert_array_equal(mel[:7], golden_input(mel_manifest(MEL_SPEC), 7, 1))


def test_golden_input_of_a_mel_model_has_the_same_bits_everywhere() -> None:
    golden = make_golden(mel_manifest(), lambda mel: mel, 24, 440)
    # made by this very line when role mel came, numpy 2.4, x86-64
    assert golden.input_sha256 == "c704e6692ad17ba89490addc28a46cc856df5cb5814e3ab431247e07d32a5af9"


def test_golden_summary_by_hand() -> None:
    outputs = np.zeros((4, 2), np.complex64)
    outputs[0, 0] = 3.0
    outputs[3, 1] = -4.0j
    rms, peak, late, *projections = golden_summary(outputs)
    assert (rms, peak, late) == pytest.approx((np.sqrt(25 / 16), 4.0, np.sqrt(16 / 8)))
    assert len(projections) == 5
    # each is (+-3 +-4) / sqrt(16 values)
    assert {round(abs(value), 9) for value in projections} <= {7 / 4, 1 / 4}


def test_golden_summary_sees_what_levels_do_not(rng: np.random.Generator) -> None:
    outputs = (rng.standard_normal((20, 33)) + 1j * rng.standard_normal((20, 33))).astype(np.complex64)
    summary = np.array(golden_summary(outputs))
    for changed in (-outputs, outputs[:, ::-1], np.roll(outputs, 1, axis=0), outputs.conj(), 1.01 * outputs):
        assert np.max(np.abs(golden_summary(changed) - summary)) > 1e-3 * np.max(np.abs(summary))


def test_every_control_is_a_row_that_survives(tmp_path: Path) -> None:
    control = Param("depth", "dB", -60.0, 0.0, -6.0, 50.0, "ünïcode prose, “quoted”")
    write_model(tmp_path / "tiny.onnx", tiny_graph(), replace(sealed(), controls=(control,)))
    assert read_manifest(tmp_path / "tiny.onnx").controls == (control,)
