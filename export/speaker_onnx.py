"""One graph of a network that reads a whole sentence first and then goes step by step: `to_graph` of role speaker.

In: a `networks.say.Say`. Out: the ONNX graph of one step. In the first step, whose memory is all zeros, it also reads
the sentence (an `If`), so that one file with one state is all. Read next: `to_onnx.py`, which writes it.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from export.networks.say import Say
from rtvox.manifest import signal_in, signal_out

OPSET = 17
READ = 2  # states that reading a sentence makes: the first ones


class _Part(nn.Module):
    """A function of a network as a module, which is what the exporter takes."""

    def __init__(self, network: Say, call: Callable[..., tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.network, self.call = network, call

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self.call(*inputs)


def to_speaker_graph(network: Say) -> bytes:
    """Return the ONNX model of one step. Inputs: `tokens`, `speed`, `state_*`; outputs: `speech`, `next_*`."""
    signal, out = signal_in(network.role, network.spec), signal_out(network.role, network.spec)
    state, names = network.zero_state(), network.states
    state[1] += 1.0  # durations of zero are no tokens
    shapes = {name: (1, *shape) for name, shape in zip(names, network.state_shapes, strict=True)}
    read = [f"read_{name}" for name in names[:READ]]
    go_on = _trace(
        _Part(network, lambda *state: _flat(network.step(list(state)))),
        tuple(state),
        [*read, *(f"state_{name}" for name in names[READ:])],
        [out.name, *(f"next_{name}" for name in names)],
    )
    begin = _trace(
        _Part(network, network.begin), (torch.ones(signal.shape), torch.ones(1)), [signal.name, "speed"], read
    )
    begin = onnx.compose.add_prefix(begin, "begin/", rename_inputs=False, rename_outputs=False)
    kept = [_port(f"kept_{name}", shapes[name]) for name in names[:READ]]
    same = [helper.make_node("Identity", [f"state_{name}"], [f"kept_{name}"]) for name in names[:READ]]
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["state_step", "scalar"], ["step"]),
            helper.make_node("Less", ["step", "half"], ["first"]),
            helper.make_node(
                "If",
                ["first"],
                read,
                then_branch=helper.make_graph(
                    begin.graph.node, "begin", [], begin.graph.output, begin.graph.initializer
                ),
                else_branch=helper.make_graph(same, "keep", [], kept),
            ),
            *go_on.graph.node,
        ],
        "speaker",
        [_port(signal.name, signal.shape), _port("speed", (1,)), *(_port(f"state_{n}", s) for n, s in shapes.items())],
        [_port(out.name, out.shape), *(_port(f"next_{name}", shape) for name, shape in shapes.items())],
        [
            helper.make_tensor("scalar", TensorProto.INT64, [0], []),
            helper.make_tensor("half", TensorProto.FLOAT, [], [0.5]),
            *go_on.graph.initializer,
        ],
    )
    opset = helper.make_opsetid("", OPSET)
    model: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=go_on.ir_version).SerializeToString()
    return model


def _flat(stepped: tuple[Tensor, list[Tensor]]) -> tuple[Tensor, ...]:
    return stepped[0], *stepped[1]


def _port(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _trace(module: nn.Module, inputs: tuple[Tensor, ...], names: list[str], outputs: list[str]) -> onnx.ModelProto:
    buffer = io.BytesIO()
    torch.onnx.export(
        module.eval(), inputs, buffer, input_names=names, output_names=outputs, opset_version=OPSET, dynamo=False,  # type: ignore[arg-type]
    )  # fmt: skip
    return onnx.load_from_string(buffer.getvalue())
