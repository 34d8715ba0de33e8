"""OnnxStage: a frame network as a Stage. The only file that imports onnxruntime.

In: one frame, a spectrum (K,) complex64 or log-mel (M,) float32. Out: the network's, look-ahead frames late. Its state
is a set of tensors that go in as `state_<name>` and come out as `next_<name>`: two buffers of each, bound in turns,
never copied; on a GPU they stay there. Built in any thread, then run by the converter thread alone.
Read next: `engine.py`.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import platform
import sys
from typing import Literal

import numpy as np
import onnxruntime as ort

from rtvox.errors import ModelFileError, ParameterError
from rtvox.features import Array, Frame
from rtvox.golden import golden_input, golden_summary
from rtvox.manifest import graph_inputs, printable
from rtvox.model_file import ModelFile

Provider = Literal["auto", "cpu", "cuda"]
WARM_UP_RUNS = 50  # the arena grows and kernels are chosen within the first few; p99 is flat after about 50


class OnnxStage:
    """Run a model file frame by frame.

    Attributes:
        delay: samples, the model's look-ahead frames times the hop.
        provider: where it runs, "cpu" or "cuda".
        message: why a wanted GPU is not used, for the user; empty if all is as asked.
        faults: frames that were not finite; each was replaced by silence, and the state by zeros (NaN in a recurrent
            state never heals). Single writer: the thread that calls `process`.
    """

    def __init__(self, model: ModelFile, provider: Provider = "auto") -> None:
        """Build the session, bind every buffer and run it warm.

        Raises: ModelFileError if onnxruntime refuses the graph, ParameterError if the provider is not one of the three.
        """
        if provider not in ("auto", "cpu", "cuda"):
            raise ParameterError(f"provider={provider!r}: needs auto, cpu or cuda")
        self.manifest = model.manifest
        self.delay = model.manifest.delay
        self.faults = 0
        self._controls = {control.name: control for control in model.manifest.controls}
        # What a frame of silence is: in log-mel, the floor.
        self._silence = math.log(model.manifest.features.floor) if model.manifest.role == "mel" else 0.0
        self._turn = 0  # which of the two buffers of each state is read next
        self._bindings: list[ort.IOBinding] = []
        missing = "" if provider == "cpu" else _why_no_cuda()
        self.message = f"running on the CPU: {missing}" if provider == "cuda" and missing else ""
        try:
            self._session = _session(model.data, cuda=provider != "cpu" and not missing)
            self.provider = "cuda" if self._session.get_providers()[0] == "CUDAExecutionProvider" else "cpu"
            if provider != "cpu" and not missing and self.provider == "cpu":
                self.message = "running on the CPU: the NVIDIA GPU could not be used (CUDA 12 and cuDNN 9 are needed)"
            self._bind()
            self._warm_up()
        except Exception as error:  # the border to foreign code: onnxruntime's errors share no base class
            reason = printable(" ".join(str(error).split()))
            raise ModelFileError(f"{model.path}: onnxruntime cannot run it ({reason}); export it again") from None

    def process(self, x: Frame) -> Frame:
        """Return the frame, (K,) complex64 or (M,) float32, that answers this one; valid until the next call."""
        self._frame[:] = x
        self._inputs[self._signal].update_inplace(self._in_tensor)
        self._session.run_with_iobinding(self._bindings[self._turn])
        self._turn = 1 - self._turn
        if not math.isfinite(self._out_tensor.sum()):
            self.faults += 1
            self._clear_state()
            self._out[:] = self._silence
        return self._out

    def set_control(self, name: str, value: float) -> None:
        """Set a control of the model from the next frame on. Converter thread only.

        The value was checked where it came in (`Param.check`) and ramped since; what rounding puts outside is clipped.
        Raises: ParameterError if the model has no such control.
        """
        control = self._controls.get(name)
        if control is None:
            names = ", ".join(self._controls) or "no controls"
            raise ParameterError(f"control {name!r}: model {self.manifest.name} has {names}")
        clipped = min(control.high, max(control.low, value))
        self._inputs[name].update_inplace(np.array([clipped], np.float32))

    def reset(self) -> None:
        """Forget everything heard: all state to zero. Controls and `faults` stay, for they were not heard."""
        self._clear_state()
        self._out[:] = self._silence

    def _bind(self) -> None:
        device = self.provider
        shapes = graph_inputs(self.manifest)
        self._inputs = {name: _tensor(shape, device) for name, shape in shapes.items()}
        other = {name: _tensor(shape, device) for name, shape in shapes.items() if name.startswith("state_")}
        for control in self._controls.values():
            self.set_control(control.name, control.default)
        signal, out = self.manifest.inputs[0], self.manifest.outputs[0]
        self._signal = signal.name
        self._in_tensor, self._out_tensor = np.zeros(signal.shape, np.float32), np.zeros(out.shape, np.float32)
        self._frame, self._out = _as_frame(self._in_tensor), _as_frame(self._out_tensor)
        self._states = [{name: self._inputs[name] for name in other}, other]
        for now, after in (self._states, self._states[::-1]):
            binding = self._session.io_binding()
            for name, tensor in (self._inputs | now).items():
                binding.bind_ortvalue_input(name, tensor)
            for name, tensor in after.items():
                binding.bind_ortvalue_output(f"next_{name.removeprefix('state_')}", tensor)
            # The one output that the next stage reads lies in numpy's memory; from a GPU, onnxruntime copies it there.
            binding.bind_output(out.name, "cpu", 0, np.float32, out.shape, self._out_tensor.ctypes.data)
            self._bindings.append(binding)

    def _warm_up(self) -> None:
        for frame in golden_input(self.manifest, WARM_UP_RUNS, seed=0):
            self.process(frame)
        self.reset()
        self.faults = 0

    def _clear_state(self) -> None:
        for tensor in self._states[self._turn].values():
            tensor.update_inplace(np.zeros(tensor.shape(), np.float32))


def verify_golden(model: ModelFile, provider: Provider = "cpu") -> list[float]:
    """Replay a model's golden digest and return the summary numbers that came out.

    Raises: ModelFileError if they differ from the manifest's by more than its tolerance (relative to the largest).
    """
    golden = model.manifest.golden
    frames = golden_input(model.manifest, golden.frames, golden.seed)
    if hashlib.sha256(frames.tobytes()).hexdigest() != golden.input_sha256:
        raise ModelFileError(f"{model.path}: golden input differs from the one at export: export the model again")
    stage = OnnxStage(model, provider)
    summary = golden_summary(np.stack([stage.process(frame).copy() for frame in frames]))
    allowed = golden.tolerance * max(abs(value) for value in golden.output)
    off = max((abs(a - b) for a, b in zip(summary, golden.output, strict=False)), default=math.inf)
    if len(summary) != len(golden.output) or not off <= allowed:
        raise ModelFileError(
            f"{model.path}: golden output is off by {off:.3g}, at most {allowed:.3g} is allowed: this machine runs the "
            "model otherwise than the one that exported it; run it on the CPU, or export it again"
        )
    return summary


def flush_denormals() -> bool:
    """Let the calling thread treat denormal numbers as zero; return whether that is in force.

    Call it first in the converter thread. onnxruntime's `session.set_denormal_as_zero` reaches only the thread that
    builds the process's first session and threads born from it (measured with 1.31), so a model loaded in the
    background would leave fading states to run on denormals. Linux with glibc on x86-64 and ARM64; elsewhere False.
    """
    # fenv_t of glibc: x86-64 keeps MXCSR at byte 28 (flush to zero 0x8000, denormals are zero 0x40); ARM64 starts
    # with FPCR (flush to zero: bit 24).
    offset, bits = {"x86_64": (28, 0x8040), "aarch64": (0, 1 << 24)}.get(platform.machine(), (0, 0))
    if not bits or sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    libm = ctypes.CDLL("libm.so.6")
    environment = ctypes.create_string_buffer(64)
    if libm.fegetenv(environment):
        return False
    word = ctypes.c_uint32.from_buffer(environment, offset)
    word.value |= bits
    return bool(libm.fesetenv(environment) == 0)


def _session(data: bytes, *, cuda: bool) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # the converter thread itself: a pool costs more than it gains at this size
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = True
    options.log_severity_level = 3  # errors only: what matters reaches the user as an exception or as `message`
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    providers = ["CPUExecutionProvider"]
    if cuda:
        ort.preload_dlls()
        providers.insert(0, "CUDAExecutionProvider")
    return ort.InferenceSession(data, options, providers=providers)


def _why_no_cuda() -> str:
    """Return why CUDA cannot be tried here, or nothing if it can."""
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return "this onnxruntime has no CUDA; install onnxruntime-gpu"
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return "no NVIDIA driver was found"
    return ""


def _as_frame(tensor: Array) -> Frame:
    """Return the same memory as a stage's frame: pairs of real and imaginary (1, 1, K, 2) as (K,) complex64."""
    pairs = tensor.ndim == 4
    return (tensor.view(np.complex64) if pairs else tensor).reshape(-1)


def _tensor(shape: tuple[int, ...], device: str) -> ort.OrtValue:
    tensor = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.float32, device, 0)
    tensor.update_inplace(np.zeros(shape, np.float32))
    return tensor
