"""Network: a session with all its buffers bound. One frame in, one frame out; the state stays where the session runs.

State tensors go in as `state_<name>` and come out as `next_<name>`: two buffers of each, bound in turns, never copied;
on the CPU a ring has one, bound at both ends, so that only the places that are written are moved.
On a GPU each turn is a recorded graph of its own. All but `frame`, `out`, `set_control` and `clear` belong to the
one thread that runs it; those are for whoever waits for it. Read next: `network_thread.py`, `onnx_stage.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rtvox.features import Array, Frame
from rtvox.golden import GOLDEN_CONDITIONS
from rtvox.manifest import RING, Manifest, graph_inputs
from rtvox.onnx_session import open_session, pin, run_options, tensor
from rtvox.providers import ProviderRow

States = dict[str, Array]


class Network:
    """One model on one provider.

    Attributes:
        frame: the input, to be filled before `run`: (K,) complex64 or (M,) float32.
        out: the output, of the same kind; valid until the next `run`.
        graph: its calls are recorded as graphs.
    """

    def __init__(self, data: bytes, manifest: Manifest, row: ProviderRow) -> None:
        """Build the session and bind every buffer. Raises: whatever onnxruntime raises if it refuses the model."""
        session, self.graph = open_session(data, row)
        self._session, self._apart = session, row.apart
        shapes = graph_inputs(manifest)
        self._inputs = {name: tensor(shape, row.device) for name, shape in shapes.items()}
        states = {name: value for name, value in self._inputs.items() if name.startswith("state_")}
        rings = {} if row.apart else {n: value for n, value in states.items() if n.startswith(f"state_{RING}")}
        other = {name: tensor(shapes[name], row.device) for name in states.keys() - rings.keys()} | rings
        self._states = [states, other]
        self._turn = 0  # which of the two is read next
        self._wanted = {control.name: control.default for control in manifest.controls}  # not yet given to the session
        self._wanted |= {name: GOLDEN_CONDITIONS[name] for name in manifest.conditions}
        self._clear = False
        signal, out = manifest.inputs[0], manifest.outputs[0]
        self._signal, self._result = self._inputs[signal.name], tensor(out.shape, row.device)
        if row.apart:
            self._in, self._out = np.zeros(signal.shape, np.float32), np.zeros(out.shape, np.float32)
            pin(self._in)
        else:  # the tensors' own memory
            self._in, self._out = self._signal.numpy(), self._result.numpy()
        self.frame, self.out = _as_frame(self._in), _as_frame(self._out)
        self._bindings: list[Any] = []
        self._options = [run_options(1), run_options(2)] if self.graph else [None, None]
        for now, after in (self._states, self._states[::-1]):
            binding = session.io_binding()
            for name, value in (self._inputs | now).items():
                binding.bind_ortvalue_input(name, value)
            for name, value in after.items():
                binding.bind_ortvalue_output(f"next_{name.removeprefix('state_')}", value)
            binding.bind_ortvalue_output(out.name, self._result)
            self._bindings.append(binding)

    def run(self) -> None:
        """Turn `frame` into `out`, and the state into the next. Raises: whatever the provider raises."""
        self._settle()
        if self._apart:
            self._signal.update_inplace(self._in)
        self._session.run_with_iobinding(self._bindings[self._turn], self._options[self._turn])
        if self._apart:
            self._out[:] = self._result.numpy()
        self._turn = 1 - self._turn

    def idle(self) -> None:
        """Compute for nothing, so that a GPU stays awake: `frame`, `out` and the state stay as they are."""
        self._session.run_with_iobinding(self._bindings[self._turn], self._options[self._turn])

    def set_control(self, name: str, value: float) -> None:
        """Set a control of the model, or a condition, from the next frame on."""
        self._wanted[name] = value

    def clear(self) -> None:
        """Make the state zero before the next frame."""
        self._clear = True

    def states(self) -> States:
        """Return a copy of the state. Raises: whatever the provider raises if it cannot be had any more."""
        self._settle()
        return {name: value.numpy().copy() for name, value in self._states[self._turn].items()}

    def take(self, states: States) -> None:
        """Go on from a state that `states` gave, here or elsewhere."""
        self._clear = False
        for name, value in states.items():
            self._states[self._turn][name].update_inplace(value)

    def _settle(self) -> None:
        """Do what was asked for since the last frame."""
        while self._wanted:
            name, value = self._wanted.popitem()
            self._inputs[name].update_inplace(np.array([value], np.float32))
        if self._clear:
            self._clear = False
            for value in self._states[self._turn].values():
                value.update_inplace(np.zeros(value.shape(), np.float32))


def _as_frame(array: Array) -> Frame:
    """Return the same memory as a stage's frame: pairs of real and imaginary (1, 1, K, 2) as (K,) complex64."""
    pairs = array.ndim == 4
    return (array.view(np.complex64) if pairs else array).reshape(-1)
