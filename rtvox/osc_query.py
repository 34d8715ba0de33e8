"""OSCQuery: the tree of OSC addresses as JSON, so that clients find out what there is.

In: a path and a query of an HTTP GET. Out: what to answer, from PARAMS, the model's controls and `osc_tree.py`. Runs in
the OSC server's thread, takes a millisecond. Reference: OSCQuery proposal 1.0, github.com/Vidvox/OSCQueryProposal.
Read next: `osc_tree.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from rtvox import __version__
from rtvox.osc_tree import COMMANDS, ROOT, STATE, STATUS, STREAMS, Address
from rtvox.params import Param, Switch
from rtvox.session import Session

_READ, _WRITE, _BOTH = 1, 2, 3  # OSCQuery's ACCESS
_ATTRIBUTES = ("VALUE", "TYPE", "RANGE", "ACCESS", "DESCRIPTION", "CONTENTS", "FULL_PATH", "UNIT")

Node = dict[str, Any]


def describe(session: Session, port: int, path: str, query: str = "") -> Node | None:
    """Return what a GET of path?query is answered with; None if there is no such path or attribute."""
    if query == "HOST_INFO":
        return host_info(port)
    node: Node | None = _tree(session)
    for part in filter(None, unquote(path).split("/")):
        node = node.get("CONTENTS", {}).get(part) if node else None
    if node is None or not query:
        return node
    return {query: node[query]} if query in node else None


def host_info(port: int) -> Node:
    """Return who serves, where OSC is spoken, and which parts of OSCQuery are known."""
    return {
        "NAME": f"rtvox {__version__}",
        "OSC_PORT": port,
        "OSC_TRANSPORT": "UDP",
        "EXTENSIONS": {name: True for name in _ATTRIBUTES if name not in ("CONTENTS", "FULL_PATH")},
    }


def _tree(session: Session) -> Node:
    root: Node = {"FULL_PATH": "/", "CONTENTS": {}, "DESCRIPTION": "rtvox", "ACCESS": 0}
    state = session.state()
    for row in (*STATE, *STATUS, *STREAMS):
        node = _described(row, _READ)
        if row.path in state:
            node["VALUE"] = list(state[row.path])
        _put(root, node)
    for row in COMMANDS:
        node = _described(row, _BOTH if row.path in state else _WRITE)
        if row.path in state:
            node["VALUE"] = list(state[row.path])
        _put(root, node)
    _add_params(root, session.engine.params.table.values(), session.engine.params.values())
    return root


def _add_params(root: Node, params: Iterable[Param], values: dict[str, float]) -> None:
    for param in params:
        limits: Node = {"MIN": param.low, "MAX": param.high}
        if isinstance(param, Switch):
            limits = {"VALS": [float(number) for number in range(len(param.choices))]}
        node = {
            "FULL_PATH": f"{ROOT}/param/{param.name}",
            "DESCRIPTION": param.doc,
            "ACCESS": _BOTH,
            "TYPE": "f",
            "RANGE": [limits],
            "VALUE": [values.get(param.name, param.default)],
        }
        _put(root, node | ({"UNIT": [param.unit]} if param.unit else {}))


def _described(row: Address, access: int) -> Node:
    """Return a node for a row; OSCQuery has no letters for what may be left out, so the longest form is given."""
    types = row.types.partition("|")[0].replace("...", "").replace("[", "").replace("]", "")
    node: Node = {"FULL_PATH": row.path, "DESCRIPTION": row.doc, "ACCESS": access}
    return node | ({"TYPE": types} if types else {})


def _put(root: Node, node: Node) -> None:
    """Hang a node into the tree, over the containers that lead to it."""
    at, path = root, ""
    for part in node["FULL_PATH"].strip("/").split("/"):
        path = f"{path}/{part}"
        at = at.setdefault("CONTENTS", {}).setdefault(part, {"FULL_PATH": path, "ACCESS": 0})
    at.update(node)
