"""PROVIDERS: where onnxruntime can run a model, a row each, in the order in which `auto` tries them. Data only.

`onnx_session.py` opens them, `provider_choice.py` chooses among them. Read next: `network.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Provider = str  # "auto", or a name of PROVIDERS
AUTO = "auto"
CPU = "cpu"


@dataclass(frozen=True)
class ProviderRow:
    """One provider.

    Attributes:
        name: as the user says it.
        title: of the machine part, for messages.
        onnxruntime: its name there.
        options: for onnxruntime.
        device: where its tensors lie, as onnxruntime names it; "cpu" is the computer's own memory.
        behind: who runs the operators that it lacks.
        apart: it is not the CPU: a network runs in a thread of its own, is watched, and frames are copied there and
            back.
        graph: the calls of a frame can be recorded once, and replayed as one (CUDA graphs).
        half: weights and arithmetic are float16.
        library: what has to be found on Linux and Windows, beside a GPU's driver, before onnxruntime is asked for it;
            empty: nothing.
        remedy: what to install where onnxruntime lacks it.
    """

    name: str
    title: str
    onnxruntime: str
    options: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    behind: tuple[str, ...] = (CPU,)
    apart: bool = True
    graph: bool = False
    half: bool = False
    library: tuple[str, str] = ("", "")
    remedy: str = ""


# TensorFloat-32 keeps 10 bits of a product: at these sizes it saves nothing, and costs the parity with the CPU.
_CUDA = {"use_tf32": "0"}

PROVIDERS: dict[str, ProviderRow] = {
    row.name: row
    for row in (
        ProviderRow(
            "cuda",
            "NVIDIA GPU",
            "CUDAExecutionProvider",
            options=_CUDA,
            device="cuda",
            graph=True,
            remedy="install onnxruntime-gpu",
        ),
        ProviderRow(
            "cuda-fp16",
            "NVIDIA GPU, float16",
            "CUDAExecutionProvider",
            options=_CUDA,
            device="cuda",
            graph=True,
            half=True,
            remedy="install onnxruntime-gpu",
        ),
        ProviderRow(
            "tensorrt",
            "NVIDIA GPU, TensorRT",
            "TensorrtExecutionProvider",
            options={"trt_engine_cache_enable": "1"},
            device="cuda",
            behind=("cuda", CPU),
            library=("libnvinfer.so.10", "nvinfer_10.dll"),
            remedy="install onnxruntime-gpu and TensorRT 10",
        ),
        ProviderRow(
            "coreml",
            "Core ML",
            "CoreMLExecutionProvider",
            options={"ModelFormat": "MLProgram", "RequireStaticInputShapes": "1"},
            remedy="macOS only",
        ),
        ProviderRow(
            "directml",
            "DirectML",
            "DmlExecutionProvider",
            device="dml",
            remedy="Windows only: install onnxruntime-directml in place of onnxruntime",
        ),
        ProviderRow(CPU, "CPU", "CPUExecutionProvider", behind=(), apart=False),
    )
}
