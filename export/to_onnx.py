"""Turn trained weights into one model file: ONNX graph of a single frame with named state, manifest, golden digest.

In: a checkpoint of `train.py` and its recipe. Out: `<name>.onnx`, written only after `verify.py` has proved it.
"""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from export.checkpoints import read_checkpoint
from export.models import find_model
from export.networks.say import Say
from export.networks.streaming import FrameNetwork
from export.recipe import Recipe
from export.recordings.credits import attribution, read_credits
from export.speaker_onnx import to_speaker_graph
from export.verify import verify
from rtvox.features import Frame
from rtvox.golden import GOLDEN_CONDITIONS
from rtvox.manifest import signal_in, signal_out
from rtvox.model_file import (
    Golden,
    Manifest,
    ModelFile,
    Provenance,
    Source,
    TensorShape,
    make_golden,
    write_model,
)

GOLDEN = Golden(frames=64, seed=440)


class OneFrame(nn.Module):
    """The network with its state as separate arguments, as the graph has them."""

    def __init__(self, network: FrameNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, frame: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        """Return the converted frame and the next state, given frame, controls, conditions and state."""
        count = len(self.network.controls) + len(self.network.conditions)
        out, after = self.network(frame, *others[:count], list(others[count:]))
        return out, *after


def load_network(recipe: Recipe, checkpoint: Path) -> tuple[FrameNetwork, int]:
    """Return the trained network, ready for use, and the number of steps it was trained."""
    saved = read_checkpoint(checkpoint)
    prefix = "network."  # a training may hold others beside it: discriminators
    weights = {key[len(prefix) :]: value for key, value in saved["state_dict"].items() if key.startswith(prefix)}
    model = find_model(recipe.model)
    network = model.network(model.spec, **recipe.network)
    network.load_state_dict(weights)
    return network.eval(), saved["global_step"]


def to_graph(network: FrameNetwork) -> bytes:
    """Return the ONNX model of one frame.

    Inputs: signal, controls, conditions, `state_*`; outputs: `<signal>_out`, `next_*`.
    """
    signal, out = signal_in(network.role, network.spec), signal_out(network.role, network.spec)
    buffer = io.BytesIO()
    torch.onnx.export(
        OneFrame(network).eval(),
        (torch.zeros(signal.shape), *_defaults(network), *network.zero_state()),
        buffer,  # type: ignore[arg-type]  # annotated for the new exporter; the old one writes to any file
        input_names=[
            signal.name,
            *(control.name for control in network.controls),
            *network.conditions,
            *(f"state_{name}" for name in network.states),
        ],
        output_names=[out.name, *(f"next_{name}" for name in network.states)],
        opset_version=17,
        dynamo=False,  # the new exporter writes local functions and needs another package; nothing here needs it
    )
    model = onnx.load_from_string(buffer.getvalue())
    shapes = [out.shape, *((1, *shape) for shape in network.state_shapes)]
    for output, shape in zip(model.graph.output, shapes, strict=True):  # the exporter loses track of some
        output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, onnx.TensorProto.FLOAT, shape))
    return model.SerializeToString()


def _defaults(network: FrameNetwork) -> list[Tensor]:
    """Return the inputs beside signal and state as golden frames have them: controls, then conditions."""
    values = [control.default for control in network.controls] + [
        GOLDEN_CONDITIONS[name] for name in network.conditions
    ]
    return [torch.tensor([value]) for value in values]


def cost(network: FrameNetwork) -> dict[str, float | str]:
    """Return parameters and multiply-accumulates per second of sound, once it runs."""
    spec = network.spec
    frame = torch.zeros(signal_in(network.role, spec).shape)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        _, state = network(frame, *_defaults(network), network.zero_state())
        begun = counter.get_total_flops()
        network(frame, *_defaults(network), state)
    macs = (counter.get_total_flops() - begun) / 2 * spec.sample_rate / (network.hops * spec.hop)
    return {"parameters": sum(p.numel() for p in network.parameters()), "gmac_per_second": round(macs / 1e9, 4)}


def runner(network: FrameNetwork) -> Callable[[Frame], Frame]:
    """Return the whole-signal form of the network: T frames -> T frames, default controls, silent past."""

    @torch.no_grad()
    def run(frames: Frame) -> Frame:
        plain = frames.view(np.float32).reshape(1, len(frames), *signal_in(network.role, network.spec).shape[2:])
        out, _ = network(torch.from_numpy(plain), *_defaults(network), network.zero_state())
        pairs = out.ndim == 4
        return np.ascontiguousarray(out[0].numpy()).view(np.complex64 if pairs else np.float32).reshape(len(frames), -1)

    return run


def export(recipe: Recipe, checkpoint: Path, cache: Path, target: Path) -> ModelFile:
    """Export a checkpoint, prove it and write it to `target`.

    Raises: ModelFileError if the graph differs from the network; nothing is written then.
    """
    network, steps = load_network(recipe, checkpoint)
    graph = to_speaker_graph(network) if isinstance(network, Say) else to_graph(network)
    proof = verify(network, graph)
    credits = sorted(read_credits(cache))
    manifest = Manifest(
        name=recipe.name,
        title=recipe.title,
        role=network.role,
        features=network.spec,
        look_ahead=network.look_ahead,
        inputs=(
            signal_in(network.role, network.spec),
            *(TensorShape(name, (1,)) for name in network.conditions),
        ),
        outputs=(signal_out(network.role, network.spec),),
        states=tuple(
            TensorShape(name, (1, *shape)) for name, shape in zip(network.states, network.state_shapes, strict=True)
        ),
        controls=network.controls,
        domains=network.domains,
        resynthesis=network.resynthesis,
        provenance=Provenance(
            tuple(Source(source, licence, attribution(source, licence)) for source, licence in credits),
            f"export/recipes/{recipe.name}.toml",
            _commit(),
            recipe.seed,
            steps,
        ),
        metrics=cost(network) | proof,
        golden=GOLDEN,
    )
    golden = make_golden(manifest, runner(network), GOLDEN.frames, GOLDEN.seed)
    target.parent.mkdir(parents=True, exist_ok=True)
    return write_model(target, graph, replace(manifest, golden=golden))


def _commit() -> str:
    home = Path(__file__).parent  # wherever the command is run
    result = subprocess.run(["git", "rev-parse", "HEAD"], cwd=home, capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"
