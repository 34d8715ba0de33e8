"""Sessions of onnxruntime, and the tensors that they work on. The only file that imports onnxruntime.

In: a checked model's bytes, and where to run it. Out: a session that runs there and nowhere else. Any thread.
Read next: `network.py`, which binds a session's inputs and outputs.
"""

from __future__ import annotations

import ctypes
import platform
import sys
import weakref
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime as ort
import platformdirs

from rtvox.features import Array
from rtvox.providers import PROVIDERS, ProviderRow

# onnxruntime's InferenceSession, OrtValue and RunOptions: it publishes no types.
Session: TypeAlias = Any
Tensor: TypeAlias = Any
RunOptions: TypeAlias = Any

_FENV_BYTES = 64  # more than fenv_t takes anywhere


def why_not(row: ProviderRow) -> str:
    """Return why a provider cannot be tried here, or nothing if it can."""
    if row.onnxruntime not in ort.get_available_providers():
        return f"this onnxruntime has no {row.title}; {row.remedy}"
    windows = sys.platform == "win32"
    if row.device == "cuda" and not _loads("nvcuda.dll" if windows else "libcuda.so.1"):
        return "no NVIDIA driver was found"
    library = row.library[windows]
    if library and not _loads(library):
        return f"{library} was not found; {row.remedy}"
    return ""


def open_session(data: bytes, row: ProviderRow) -> tuple[Session, bool]:
    """Return a session on that provider, and whether its calls are recorded as a graph.

    Raises: RuntimeError if it does not start there; whatever onnxruntime raises if it refuses the model.
    """
    if row.half:
        data = _to_half(data)
    if row.device == "cuda":
        _preload()
    if row.graph:
        try:
            return _session(data, row, {"enable_cuda_graph": "1"}), True
        except Exception:  # an operator that only the CPU has: then call by call
            pass
    return _session(data, row, {}), False


def tensor(shape: tuple[int, ...], device: str) -> Tensor:
    """Return a float32 tensor of zeros that lies on a device."""
    value = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.float32, device, 0)
    value.update_inplace(np.zeros(shape, np.float32))
    return value


def run_options(graph: int) -> RunOptions:
    """Return the options of a run that is recorded as, and replayed from, the graph of that number."""
    options = ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(graph))
    return options


def pin(array: Array) -> bool:
    """Keep an array's memory in place for as long as it lives, so that a GPU copies it without a detour; if it can."""
    cuda = _cuda_runtime()
    if cuda is None:
        return False
    address = ctypes.c_void_p(array.ctypes.data)
    if cuda.cudaHostRegister(address, ctypes.c_size_t(array.nbytes), 0):
        return False
    weakref.finalize(array, cuda.cudaHostUnregister, address)
    return True


def versions() -> dict[str, str]:
    """Return onnxruntime's version, and that of the CUDA it was built for (empty: none)."""
    return {"onnxruntime": ort.__version__, "cuda": str(ort.cuda_version or "")}


def burn(name: str) -> None:
    """Keep a provider busy for good with products of matrices; print a line when it is. For measurements."""
    size = 2048
    matrix = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [size, size])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [size, size])
    graph = onnx.helper.make_graph([onnx.helper.make_node("MatMul", ["x", "x"], ["y"])], "burn", [matrix], [result])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    row = PROVIDERS[name]
    session, _ = open_session(model.SerializeToString(), replace(row, graph=False))
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", tensor((size, size), row.device))
    binding.bind_ortvalue_output("y", tensor((size, size), row.device))
    session.run_with_iobinding(binding)
    print(flush=True)  # noqa: T201
    while True:
        session.run_with_iobinding(binding)


def flush_denormals() -> bool:
    """Let the calling thread treat denormal numbers as zero, numpy's too; return whether that is in force.

    Call it first in the converter thread. onnxruntime's `session.set_denormal_as_zero` reaches only the thread that
    builds the process's first session and threads born from it (measured with 1.31), so a model loaded in the
    background would leave fading states to run on denormals. Linux with glibc on x86-64 and ARM64, Windows on x86-64;
    elsewhere False.
    """
    if sys.platform == "win32":
        # _controlfp_s(&now, _DN_FLUSH, _MCW_DN) of float.h; it sets MXCSR's two bits
        now = ctypes.c_uint()
        return bool(_c_runtime()._controlfp_s(ctypes.byref(now), 0x01000000, 0x03000000) == 0)
    # fenv_t of glibc: x86-64 keeps MXCSR at byte 28 (flush to zero 0x8000, denormals are zero 0x40); ARM64 starts
    # with FPCR (flush to zero: bit 24).
    offset, bits = {"x86_64": (28, 0x8040), "aarch64": (0, 1 << 24)}.get(platform.machine(), (0, 0))
    if not bits or sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    libm = _c_runtime()
    environment = ctypes.create_string_buffer(_FENV_BYTES)
    if libm.fegetenv(environment):
        return False
    word = ctypes.c_uint32.from_buffer(environment, offset)
    word.value |= bits
    return bool(libm.fesetenv(environment) == 0)


@cache  # each library object is garbage in a circle, which nobody collects while sound runs
def _c_runtime() -> Any:
    return ctypes.CDLL("ucrtbase" if sys.platform == "win32" else "libm.so.6")


@cache
def _cuda_runtime() -> Any:
    """Return CUDA's runtime library, or None."""
    major = str(ort.cuda_version or "").partition(".")[0]
    try:
        return ctypes.CDLL(f"cudart64_{major}.dll" if sys.platform == "win32" else f"libcudart.so.{major}")
    except OSError:
        return None


@cache
def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _preload() -> None:
    """Load CUDA and cuDNN where pip has put them; harmless where they are not."""
    if sys.platform in ("linux", "win32") and ort.cuda_version and not _preloaded:
        _preloaded.append(True)
        ort.preload_dlls()


_preloaded: list[bool] = []


def _to_half(data: bytes) -> bytes:
    """Return the same graph with weights and arithmetic in float16; inputs, outputs and states stay float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16  # slow to import, rarely needed

    half: bytes = convert_float_to_float16(onnx.load_from_string(data), keep_io_types=True).SerializeToString()
    return half


def _session(data: bytes, row: ProviderRow, more: dict[str, str]) -> Session:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # the converter thread itself: a pool costs more than it gains at this size
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = True
    options.enable_mem_pattern = row.device != "dml"  # DirectML cannot have it
    options.log_severity_level = 4  # what matters reaches the user as an exception or as `message`
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    own = dict(row.options) | more
    if "trt_engine_cache_enable" in own:
        cache = Path(platformdirs.user_cache_dir("rtvox")) / "tensorrt"
        cache.mkdir(parents=True, exist_ok=True)
        own["trt_engine_cache_path"] = str(cache)
    providers = [
        (row.onnxruntime, own),
        *((PROVIDERS[name].onnxruntime, PROVIDERS[name].options) for name in row.behind),
    ]
    session = ort.InferenceSession(data, options, providers=providers, enable_fallback=0)
    if session.get_providers()[0] != row.onnxruntime:
        needs = f" (CUDA {ort.cuda_version} and cuDNN 9 are needed)" if row.device == "cuda" else ""
        raise RuntimeError(f"the {row.title} could not be used{needs}")
    return session
