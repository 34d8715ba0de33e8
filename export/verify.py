"""Prove that a graph does what its network does, frame by frame in onnxruntime, before it may be written.

Three proofs on noise about as loud as a voice, with the control away from its default: 500 frames of the graph, one at
a time, against the network in one call; the network in chunks of 1, 7 and 64 frames against one call; and no state that
grows. Runs in the caller's thread. Read next: `evaluate.py`.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from export.networks.isolate import Isolate
from rtvox.errors import ModelFileError
from rtvox.features import Array

FRAMES = 500
ALLOWED = 1e-4  # max abs, in spectra of about unit size
STATE_BOUND = 1e3


def verify(network: Isolate, graph: bytes) -> dict[str, float | str]:
    """Return the measured differences, as metrics for the manifest.

    Raises: ModelFileError naming the proof that failed and by how much.
    """
    noise = np.random.default_rng(440).standard_normal((FRAMES, network.spec.n_bins, 2)).astype(np.float32)
    part = 0.25
    whole, state = _network(network, noise, part, FRAMES)
    largest = max(float(s.abs().max()) for s in state)
    chunked = max(float(np.abs(_network(network, noise, part, n)[0] - whole).max()) for n in (1, 7, 64))
    streamed = float(np.abs(Graph(graph, part=part).run(noise) - whole).max())
    for what, value, limit in (
        ("torch against onnxruntime, 500 frames", streamed, ALLOWED),
        ("chunks against the whole", chunked, ALLOWED),
        ("largest state", largest, STATE_BOUND),
    ):
        if not value <= limit:
            raise ModelFileError(f"{what}: {value:.3g}, at most {limit:g} is allowed; the export is not written")
    return {"onnx_difference": streamed, "chunking_difference": chunked}


@torch.no_grad()
def _network(network: Isolate, noise: Array, part: float, chunk: int) -> tuple[Array, list[Tensor]]:
    state, outputs = network.zero_state(), []
    for start in range(0, len(noise), chunk):
        piece = torch.from_numpy(noise[None, start : start + chunk])
        out, state = network(piece, torch.tensor([part]), state)
        outputs.append(out[0].numpy())
    return np.concatenate(outputs), state


class Graph:
    """A graph of one frame, run by onnxruntime frame after frame, its state carried over."""

    def __init__(self, graph: bytes, **controls: float) -> None:
        self._session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        ports = {port.name: np.zeros(port.shape, np.float32) for port in self._session.get_inputs()}
        self._feed = ports | {name: np.array([value], np.float32) for name, value in controls.items()}
        self._after = [port.name.replace("next_", "state_") for port in self._session.get_outputs()[1:]]

    def run(self, spectra: Array) -> Array:
        """Return what becomes of (T, K, 2) spectra, the state going on from the last call."""
        outputs = []
        for frame in spectra:
            out, *state = self._session.run(None, self._feed | {"spectrum": frame[None, None]})
            self._feed.update(zip(self._after, state, strict=True))
            outputs.append(out[0, 0])
        return np.stack(outputs)
