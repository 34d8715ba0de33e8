"""What the graph of a model file may hold: checked before any runtime sees it, for a runtime trusts what it is given.

In: a parsed graph and its manifest. Out: nothing, or a ModelFileError. Operators of the standard alone, none that may
never end, all data inside the file, no tensor that fills the memory, and inputs and outputs as the manifest says. Any
thread. Read next: `network.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import onnx

from rtvox.errors import ModelFileError
from rtvox.manifest import MAX_ELEMENTS, Manifest, graph_inputs, graph_outputs
from rtvox.manifest_json import printable

_ENDLESS = ("Loop", "Scan")
_DOMAINS = ("", "ai.onnx")  # two names of the standard's own operators
_TYPES = {number: name for name, number in onnx.TensorProto.DataType.items()}


def check_graph(proto: onnx.ModelProto, manifest: Manifest) -> None:
    """Raise ModelFileError, without the file's name, unless the graph is whole, finite, and as its manifest says."""
    if proto.functions or proto.training_info:
        raise ModelFileError("has local functions or training graphs, which are not run here: export it inlined")
    for graph in _graphs(proto.graph):
        for node in graph.node:
            operator = printable(f"{node.domain}.{node.op_type}".lstrip("."))
            if node.domain not in _DOMAINS:
                raise ModelFileError(
                    f"uses operator {operator}: needs those of the standard; export it without custom ones"
                )
            if node.op_type in _ENDLESS:
                raise ModelFileError(f"uses operator {operator}, which may never end: export it unrolled")
        for tensor in _tensors(graph):
            if tensor.data_location != onnx.TensorProto.DEFAULT or tensor.external_data:
                raise ModelFileError(
                    f"tensor {printable(tensor.name)} lies outside the file: export it with all data inside"
                )
    _check_ports("input", proto.graph.input, graph_inputs(manifest))
    _check_ports("output", proto.graph.output, graph_outputs(manifest))
    _check_sizes(proto)


def _check_ports(side: str, ports: list[onnx.ValueInfoProto], wanted: dict[str, tuple[int, ...]]) -> None:
    found = {port.name: port.type.tensor_type for port in ports}
    if found.keys() != wanted.keys() or len(found) != len(ports):
        names = printable(", ".join(str(port.name) for port in ports))
        raise ModelFileError(f"the graph's {side}s are {names}, its manifest says {', '.join(wanted)}: export it again")
    for name, tensor in found.items():
        shape = tuple(dim.dim_value for dim in tensor.shape.dim)  # a named or open size reads as 0
        if tensor.elem_type != onnx.TensorProto.FLOAT or shape != wanted[name]:
            kind = _TYPES.get(tensor.elem_type, "of an unknown type")
            raise ModelFileError(
                f"the graph's {side} {name} is {kind} {shape}, its manifest says FLOAT {wanted[name]}: export it again"
            )


def _check_sizes(proto: onnx.ModelProto) -> None:
    """Refuse a graph that fills the memory on its way; what can be inferred of its shapes is."""
    try:
        inferred = onnx.shape_inference.infer_shapes(proto)
    except Exception as error:  # the border to foreign code: onnx's errors share no base class
        reason = printable(" ".join(str(error).split()))
        raise ModelFileError(f"is no graph whose shapes can be inferred ({reason}): export it again") from None
    for graph in _graphs(inferred.graph):
        for value in graph.value_info:
            size = math.prod(dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim)
            if size > MAX_ELEMENTS:
                name = printable(value.name)
                raise ModelFileError(f"tensor {name} has {size} elements: a live model has at most {MAX_ELEMENTS}")


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph, and those inside its nodes (If)."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _graphs(inner)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor that a graph, without those inside, holds or points to."""
    yield from graph.initializer
    sparse = list(graph.sparse_initializer)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            sparse += [attribute.sparse_tensor, *attribute.sparse_tensors]
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)
