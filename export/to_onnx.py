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
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from export.checkpoints import read_checkpoint
from export.networks.isolate import Isolate
from export.recipe import Recipe
from export.recordings.credits import attribution, read_credits
from export.verify import verify
from rtvox.features import FeatureSpec, Spectrum
from rtvox.model_file import (
    Golden,
    Manifest,
    ModelFile,
    Param,
    Provenance,
    Source,
    TensorShape,
    make_golden,
    write_model,
)

GOLDEN = Golden(frames=64, seed=440)
PART = Param("part", "", 0.0, 1.0, 0.0, 20.0, "From 0, the voice, over 0.5, the whole mix, to 1, the accompaniment.")


class OneFrame(nn.Module):
    """The network with its state as separate arguments, as the graph has them."""

    def __init__(self, network: Isolate) -> None:
        super().__init__()
        self.network = network

    def forward(self, spectrum: Tensor, part: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Return the filtered frame and the next state."""
        out, after = self.network(spectrum, part, list(state))
        return out, *after


def load_network(recipe: Recipe, checkpoint: Path) -> tuple[Isolate, int]:
    """Return the trained network, ready for use, and the number of steps it was trained."""
    saved = read_checkpoint(checkpoint)
    weights = {key.removeprefix("network."): value for key, value in saved["state_dict"].items()}
    network = Isolate(FeatureSpec(), **recipe.network)
    network.load_state_dict(weights)
    return network.eval(), saved["global_step"]


def to_graph(network: Isolate) -> bytes:
    """Return the ONNX model of one frame: inputs `spectrum`, `part`, `state_*`, outputs `spectrum_out`, `next_*`."""
    frame = torch.zeros(1, 1, network.spec.n_bins, 2)
    buffer = io.BytesIO()
    torch.onnx.export(
        OneFrame(network).eval(),
        (frame, torch.zeros(1), *network.zero_state()),
        buffer,  # type: ignore[arg-type]  # annotated for the new exporter; the old one writes to any file
        input_names=["spectrum", "part", *(f"state_{name}" for name in network.states)],
        output_names=["spectrum_out", *(f"next_{name}" for name in network.states)],
        opset_version=17,
        dynamo=False,  # the new exporter writes local functions and needs another package; nothing here needs it
    )
    return buffer.getvalue()


def cost(network: Isolate) -> dict[str, float | str]:
    """Return parameters and multiply-accumulates per second of sound."""
    spec = network.spec
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, spec.n_bins, 2), torch.zeros(1), network.zero_state())
    macs = counter.get_total_flops() / 2 * spec.sample_rate / spec.hop
    return {"parameters": sum(p.numel() for p in network.parameters()), "gmac_per_second": round(macs / 1e9, 4)}


def runner(network: Isolate) -> Callable[[Spectrum], Spectrum]:
    """Return the whole-signal form of the network: (T, K) complex64 -> the same, default controls, silent past."""

    @torch.no_grad()
    def run(spectra: Spectrum) -> Spectrum:
        pairs = torch.view_as_real(torch.from_numpy(spectra))[None]
        out, _ = network(pairs, torch.zeros(1), network.zero_state())
        complex_out: Spectrum = np.ascontiguousarray(out[0].numpy()).view(np.complex64)[..., 0]
        return complex_out

    return run


def export(recipe: Recipe, checkpoint: Path, cache: Path, target: Path) -> ModelFile:
    """Export a checkpoint, prove it and write it to `target`.

    Raises: ModelFileError if the graph differs from the network; nothing is written then.
    """
    network, steps = load_network(recipe, checkpoint)
    graph = to_graph(network)
    proof = verify(network, graph)
    frame = (1, 1, network.spec.n_bins, 2)
    credits = sorted(read_credits(cache))
    manifest = Manifest(
        name=recipe.name,
        title=recipe.title,
        role=network.role,
        features=network.spec,
        look_ahead=0,
        inputs=(TensorShape("spectrum", frame),),
        outputs=(TensorShape("spectrum_out", frame),),
        states=tuple(
            TensorShape(name, (1, *shape)) for name, shape in zip(network.states, network.state_shapes, strict=True)
        ),
        controls=(PART,),
        domains=(),
        resynthesis="istft",
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
    result = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"
