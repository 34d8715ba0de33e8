"""ModelFile: one .onnx file is one model; drop it into a folder and it shows up. Read, write and verify it.

In: a path. Out: a Manifest, or a ModelFile whose bytes were checked before any runtime sees them: size, hash, no data
outside the file, no foreign operators, and inputs and outputs as the manifest says. Each failure is one ModelFileError.
Runs in whichever thread loads a model, never in the audio threads; never imports onnxruntime.
Layout on disk: the graph's bytes, then one metadata record (key `rtvox`) that holds the manifest. Protocol buffers join
by concatenation, so every ONNX reader sees one model, and the hash is over bytes that nobody has to write again.
Read next: `model_graph.py`, what a graph may hold; `onnx_stage.py`, which runs it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from rtvox.errors import ModelFileError
from rtvox.golden import golden_input, golden_summary, make_golden
from rtvox.manifest import (
    FORMAT,
    Golden,
    Manifest,
    Provenance,
    Source,
    TensorShape,
)
from rtvox.model_graph import check_graph
from rtvox.params import Param

__all__ = [
    "FORMAT",
    "Golden",
    "Manifest",
    "ModelFile",
    "Param",
    "Provenance",
    "Source",
    "TensorShape",
    "find_model",
    "golden_input",
    "golden_summary",
    "list_models",
    "load_model",
    "make_golden",
    "model_folders",
    "read_manifest",
    "write_model",
]

MANIFEST_KEY = "rtvox"
MAX_FILE_BYTES = 64 * 2**20  # 16 M float32 weights: thirty times the largest network planned


@dataclass(frozen=True)
class ModelFile:
    """A verified model: `data` are the bytes that were checked, so what runs is what was read."""

    path: Path
    manifest: Manifest
    data: bytes


def load_model(path: str | os.PathLike[str]) -> ModelFile:
    """Read a model file and verify everything that can be verified without running it.

    Raises: ModelFileError, one line with the path, what is wrong, and the way out.
    """
    path = Path(path)
    data = _read(path)
    try:
        return ModelFile(path, _verify(data), data)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Return the manifest of a model file; verifies as `load_model` does (milliseconds, no session)."""
    return load_model(path).manifest


def list_models(folder: str | os.PathLike[str]) -> list[tuple[Path, Manifest | ModelFileError]]:
    """Return each .onnx file of a folder, by name, with its manifest or the reason why it cannot be used.

    Raises: ModelFileError if the folder itself cannot be read.
    """
    try:
        paths = sorted(entry for entry in Path(folder).iterdir() if entry.suffix == ".onnx")
    except OSError as error:
        raise ModelFileError(f"{folder}: cannot be listed ({error.strerror}): needs a folder of .onnx files") from None
    return [(path, _manifest_or_error(path)) for path in paths]


def model_folders() -> list[Path]:
    """Return the folders where models are looked for by name, first one first, without those that do not exist.

    The folders of the environment variable RTVOX_MODELS, `checkpoints` here, `checkpoints` of the source tree, and the
    models that an installed rtvox carries.
    """
    package = Path(__file__).parent
    named = [Path(folder) for folder in os.environ.get("RTVOX_MODELS", "").split(os.pathsep) if folder]
    folders = [*named, Path("checkpoints"), package.parent / "checkpoints", package / "checkpoints"]
    return list(dict.fromkeys(folder.resolve() for folder in folders if folder.is_dir()))


def find_model(name: str) -> Path:
    """Return the path of a model given by name (`isolate`) or by path (`./mine.onnx`).

    Raises: ModelFileError if no folder of `model_folders` holds a model of that name.
    """
    if name.endswith(".onnx") or Path(name).name != name:
        return Path(name)
    for folder in model_folders():
        if (path := folder / f"{name}.onnx").exists():
            return path
    searched = ", ".join(str(folder) for folder in model_folders()) or "no folder of models"
    raise ModelFileError(f"model {name!r}: not found in {searched}: needs a name that `rtvox models` lists, or a path")


def write_model(path: str | os.PathLike[str], model: onnx.ModelProto | bytes, manifest: Manifest) -> ModelFile:
    """Write graph and manifest as one file, all or nothing, and return what `load_model` would.

    Fills in `graph_sha256`; replaces a manifest that the model already carries. What would not load is not written.
    Raises: ModelFileError if it would not load, or cannot be written.
    """
    path = Path(path)
    proto = _parse(model if isinstance(model, bytes) else model.SerializeToString())
    others = [entry for entry in proto.metadata_props if entry.key != MANIFEST_KEY]
    del proto.metadata_props[:]
    proto.metadata_props.extend(others)
    graph = proto.SerializeToString()
    manifest = replace(manifest, graph_sha256=hashlib.sha256(graph).hexdigest())
    entry = onnx.StringStringEntryProto(key=MANIFEST_KEY, value=manifest.to_json())
    data = graph + _record(entry)
    try:
        checked = _verify(data)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: not written: {error}") from None
    _write_atomically(path, data)
    return ModelFile(path, checked, data)


def _manifest_or_error(path: Path) -> Manifest | ModelFileError:
    try:
        return read_manifest(path)
    except ModelFileError as error:
        return error


def _read(path: Path) -> bytes:
    try:
        info = path.stat()
        if stat.S_ISDIR(info.st_mode):
            raise ModelFileError(f"{path}: is a folder: needs an .onnx file in it")
        if not stat.S_ISREG(info.st_mode):
            raise ModelFileError(f"{path}: is not a regular file: needs an .onnx file")
        if info.st_size > MAX_FILE_BYTES:
            raise ModelFileError(f"{path}: has {info.st_size} bytes: a live model has at most {MAX_FILE_BYTES}")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such file: `rtvox models` lists the models at hand") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise ModelFileError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not data:
        raise ModelFileError(f"{path}: is empty (0 bytes): copy or export it again")
    return data


def _parse(data: bytes) -> onnx.ModelProto:
    try:
        proto: onnx.ModelProto = onnx.ModelProto.FromString(data)
    except (DecodeError, UnicodeDecodeError):  # the second from the pure Python protobuf, which decodes text at once
        raise ModelFileError("is not an ONNX model, or was cut off: copy or export it again") from None
    if not proto.HasField("graph"):
        raise ModelFileError("is not an ONNX model (it holds no graph): copy or export it again")
    return proto


def _record(entry: onnx.StringStringEntryProto) -> bytes:
    record: bytes = onnx.ModelProto(metadata_props=[entry]).SerializeToString()
    return record


def _verify(data: bytes) -> Manifest:
    """Return the manifest of these bytes after every check; ModelFileError without the file's name."""
    proto = _parse(data)
    entries = [entry for entry in proto.metadata_props if entry.key == MANIFEST_KEY]
    if not entries:
        raise ModelFileError("holds no rtvox manifest, or was cut off: needs a model that `python -m export` made")
    record = _record(entries[0])
    if len(entries) > 1 or not data.endswith(record):
        raise ModelFileError("was written again by another program, so it cannot be verified: export it again")
    manifest = Manifest.from_json(entries[0].value)
    digest = hashlib.sha256(memoryview(data)[: -len(record)]).hexdigest()
    if digest != manifest.graph_sha256:
        raise ModelFileError(
            f"was changed after export: graph_sha256 is {digest[:12]}..., its manifest says "
            f"{manifest.graph_sha256[:12]}...; copy or export it again"
        )
    if not manifest.golden.output or not manifest.golden.input_sha256:
        raise ModelFileError("manifest field golden.output is empty: needs the numbers that `make_golden` returns")
    check_graph(proto, manifest)
    return manifest


def _write_atomically(path: Path, data: bytes) -> None:
    """Write beside the target, then rename: a reader sees the old file or the new one, never half of one."""
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary:
            temporary.unlink(missing_ok=True)
        raise ModelFileError(f"{path}: cannot be written ({error.strerror})") from None
