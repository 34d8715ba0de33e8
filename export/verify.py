"""Prove that a graph does what its network does, frame by frame in onnxruntime, before it may be written.

Three proofs on noise about as loud as a voice, with the controls away from their defaults: 500 frames of the graph, one
at a time, against the network in one call; the network in chunks of 1, 7 and 64 frames against one call; and no state
that grows. Runs in the caller's thread. Read next: `evaluate.py`.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from export.networks.streaming import FrameNetwork
from rtvox.errors import ModelFileError
from rtvox.features import Array
from rtvox.golden import GOLDEN_CONDITIONS

FRAMES = 500
ALLOWED = 1e-4  # max abs, in spectra of unit size, or in log-mel; in proportion, of a mask louder than what it hears
STATE_BOUND = 5e3  # the places of noise generators are whole numbers up to 4092


def verify(network: FrameNetwork, graph: bytes) -> dict[str, float | str]:
    """Return the measured differences, as metrics for the manifest.

    Raises: ModelFileError naming the proof that failed and by how much.
    """
    noise = network.probes(FRAMES)
    controls = {c.name: c.low + 0.25 * (c.high - c.low) for c in network.controls}
    controls |= {name: GOLDEN_CONDITIONS[name] for name in network.conditions}
    whole, state = _network(network, noise, controls, FRAMES)
    largest = max(float(s.abs().max()) for s in state)
    size = max(1.0, float(np.abs(whole).max() / np.abs(noise).max())) if network.role == "mask" else 1.0
    chunked = max(float(np.abs(_network(network, noise, controls, n)[0] - whole).max()) for n in (1, 7, 64)) / size
    streamed = float(np.abs(Graph(graph, **controls).run(noise) - whole).max()) / size
    for what, value, limit in (
        ("torch against onnxruntime, 500 frames", streamed, ALLOWED),
        ("chunks against the whole", chunked, ALLOWED),
        ("largest state", largest, STATE_BOUND),
    ):
        if not value <= limit:
            raise ModelFileError(f"{what}: {value:.3g}, at most {limit:g} is allowed; not written: train on, try again")
    return {"onnx_difference": streamed, "chunking_difference": chunked}


@torch.no_grad()
def _network(network: FrameNetwork, noise: Array, controls: dict[str, float], chunk: int) -> tuple[Array, list[Tensor]]:
    state, outputs = network.zero_state(), []
    values = [torch.tensor([value]) for value in controls.values()]
    for start in range(0, len(noise), chunk):
        piece = torch.from_numpy(noise[None, start : start + chunk])
        out, state = network(piece, *values, state)
        outputs.append(out[0].numpy())
    return np.concatenate(outputs), state


class Graph:
    """A graph of one frame, run by onnxruntime frame after frame, its state carried over."""

    def __init__(self, graph: bytes, **controls: float) -> None:
        self._session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        ports = {port.name: np.zeros(port.shape, np.float32) for port in self._session.get_inputs()}
        self._feed = ports | {name: np.array([value], np.float32) for name, value in controls.items()}
        self._signal = self._session.get_inputs()[0].name
        self._after = [port.name.replace("next_", "state_") for port in self._session.get_outputs()[1:]]

    def run(self, frames: Array, **conditions: Array) -> Array:
        """Return what becomes of (T, ...) frames of its role, the state going on from the last call.

        `conditions` are (T,) values that change with the frames.
        """
        outputs = []
        for t, frame in enumerate(frames):
            told = {name: values[t : t + 1] for name, values in conditions.items()}
            out, *state = self._session.run(None, self._feed | told | {self._signal: frame[None, None]})
            self._feed.update(zip(self._after, state, strict=True))
            outputs.append(out[0, 0])
        return np.stack(outputs)

    def state(self, name: str) -> Array:
        """Return a state as it is now."""
        return self._feed[f"state_{name}"]
