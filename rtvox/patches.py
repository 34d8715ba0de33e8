"""The example patches for Pure Data and Max, made from PARAMS: knobs, a menu of models, meters.

In: PARAMS. Out: the text of examples/rtvox.pd and examples/rtvox.maxpat, and the list of controls in
examples/rtvox.scd; `python -m rtvox.report` writes them. Read next: `osc_tree.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from rtvox.osc_tree import PORT
from rtvox.params import PARAMS, Param, Switch

OWN_SLOTS = 4  # sliders for the model's own controls
_HEARD = ("meters", "param", "model", "models", "controls", "status", "record", "done", "fail", "synced")
_LOOK = "0 10 #fcfcfc #000000 #000000"  # font, its size and the colours of Pd's widgets


class _Pd:
    """A Pd patch under construction: objects are numbered in the order in which they are written."""

    def __init__(self) -> None:
        self._objects: list[str] = []
        self._wires: list[str] = []

    def add(self, kind: str, x: int, y: int, text: str) -> int:
        """Add a box of a kind (obj, msg, text, symbolatom) and return its number."""
        self._objects.append(f"#X {kind} {x} {y} {text};")
        return len(self._objects) - 1

    def obj(self, x: int, y: int, text: str) -> int:
        """Add an object box."""
        return self.add("obj", x, y, text)

    def wire(self, *chain: int | tuple[int, int]) -> None:
        """Connect boxes in a row; (box, port) names the outlet, or, at the end, the inlet."""
        for source, sink in pairwise(chain):
            box, outlet = source if isinstance(source, tuple) else (source, 0)
            target, inlet = sink if isinstance(sink, tuple) and sink is chain[-1] else (_box(sink), 0)
            self._wires.append(f"#X connect {box} {outlet} {target} {inlet};")

    def text(self) -> str:
        return "\n".join(["#N canvas 60 60 900 640 12;", *self._objects, *self._wires, ""])


def _box(end: int | tuple[int, int]) -> int:
    return end[0] if isinstance(end, tuple) else end


def pd_patch(params: Iterable[Param] = PARAMS.values()) -> str:
    """Return the patch for Pure Data vanilla, 0.51 or newer.

    Every widget can be reached from other patches: send to `rtvox-NAME`, `rtvox-model`, `rtvox-connect` (a port), and
    receive from `rtvox-meters`, `rtvox-done`, `rtvox-fail`, `rtvox-heard` (everything).
    """
    pd, rows = _Pd(), list(params)
    pd.add("text", 20, 10, f"rtvox: steers an engine on this machine \\, port {PORT}")
    # Out: everything goes through [s rtvox-out] as the list that oscformat made.
    bang = pd.obj(20, 40, "loadbang")
    port = pd.add("msg", 20, 65, f"{PORT}")
    asked = pd.obj(110, 65, "r rtvox-connect")
    order = pd.obj(20, 90, "t b f b")
    leave = pd.add("msg", 160, 115, "disconnect")
    connect = pd.add("msg", 60, 115, "connect 127.0.0.1 \\$1")
    one = pd.add("msg", 20, 115, "1")
    notify = pd.obj(20, 140, "oscformat rtvox notify")
    out = pd.obj(20, 165, "s rtvox-out")
    gather, send = pd.obj(300, 65, "r rtvox-out"), pd.obj(300, 90, "list prepend send")
    trim, net = pd.obj(300, 115, "list trim"), pd.obj(300, 140, "netsend -u -b")
    pd.wire(bang, port, order)
    pd.wire(asked, order)
    pd.wire((order, 2), leave, net)
    pd.wire((order, 1), connect, net)
    pd.wire(order, one, notify, out)
    pd.wire(gather, send, trim, net)
    # In: the right outlet is what the engine answers.
    parse, bare, heard = pd.obj(300, 165, "oscparse"), pd.obj(300, 190, "list trim"), pd.obj(420, 190, "s rtvox-heard")
    ours, route = pd.obj(300, 215, "route rtvox"), pd.obj(300, 240, f"route {' '.join(_HEARD)}")
    pd.wire((net, 1), parse, bare, ours, route)
    pd.wire(bare, heard)
    outlet = {name: (route, number) for number, name in enumerate(_HEARD)}
    _pd_meters(pd, outlet["meters"])
    _pd_models(pd, outlet["models"], outlet["model"])
    for y, name in ((560, "done"), (590, "fail")):
        pd.wire(outlet[name], pd.obj(640, y, f"s rtvox-{name}"))
        pd.wire(outlet[name], pd.obj(760, y, f"print rtvox-{name}"))
    values = pd.obj(20, 270, f"route {' '.join(row.name for row in rows)}")
    pd.wire(outlet["param"], values)
    for number, row in enumerate(rows):
        _pd_control(pd, row, 20, 300 + 38 * number, (values, number))
    _pd_own(pd, outlet["controls"], 320, 300)
    panic = pd.obj(20, 215, f"bng 30 250 50 0 empty rtvox-panic panic 36 15 {_LOOK}")
    pd.wire(panic, pd.obj(110, 215, "oscformat rtvox panic"), pd.obj(110, 238, "s rtvox-out"))
    return pd.text()


def _pd_control(pd: _Pd, row: Param, x: int, y: int, value: tuple[int, int]) -> None:
    """Add a slider or a toggle: it follows the engine without speaking, and speaks when moved."""
    names = f"empty rtvox-{row.name} {row.name}"
    if isinstance(row, Switch):
        widget = pd.obj(x, y, f"tgl 16 0 {names} 24 8 {_LOOK} 0 1")
    else:
        widget = pd.obj(x, y, f"hsl 128 16 {row.low:g} {row.high:g} 0 0 {names} 136 8 {_LOOK} 0 1")
    quiet = pd.add("msg", x + 230, y, "set \\$1")
    pd.wire(value, quiet, widget)
    pd.wire(widget, pd.obj(x, y + 18, f"oscformat rtvox param {row.name}"), pd.obj(x + 230, y + 18, "s rtvox-out"))


def _pd_meters(pd: _Pd, levels: tuple[int, int]) -> None:
    split = pd.obj(560, 60, "unpack f f f f")
    pd.wire(levels, split)
    pd.wire(levels, pd.obj(700, 30, "s rtvox-meters"))
    for x, side, peak, mean in ((560, "input", 0, 1), (640, "output", 2, 3)):
        meter = pd.obj(x, 90, f"vu 16 120 empty {side} -4 130 0 10 #404040 #000000 1 0")
        pd.wire((split, peak), (meter, 1))
        pd.wire((split, mean), meter)


def _pd_models(pd: _Pd, names: tuple[int, int], name: tuple[int, int]) -> None:
    """Add a row of radio buttons for the engine's models, their names beside them, and the one in use."""
    pd.add("text", 560, 250, "models: choose by number \\, the first is 0")
    shown, fill = pd.add("msg", 560, 300, "none"), pd.obj(560, 275, "list prepend set")
    store, menu = (
        pd.obj(660, 350, "list store"),
        pd.obj(560, 325, f"hradio 16 1 0 8 empty rtvox-menu empty 0 -8 {_LOOK} 0"),
    )
    plain, get = pd.obj(700, 275, "list trim"), pd.add("msg", 560, 350, "get \\$1")
    only = pd.obj(760, 250, "route info control")  # /rtvox/models/info and /control come this way, too
    pd.wire(names, only)
    pd.wire((only, 2), fill, plain, shown)
    pd.wire((only, 2), (store, 1))
    pd.wire(menu, get, store)
    load, asked = pd.obj(560, 400, "oscformat rtvox model"), pd.obj(660, 375, "r rtvox-model")
    pd.wire((store, 0), load, pd.obj(560, 425, "s rtvox-out"))
    pd.wire(asked, load)
    word, alone = pd.obj(560, 450, "list prepend symbol"), pd.obj(560, 475, "list trim")
    pd.wire(name, word, alone, pd.add("symbolatom", 560, 500, "24 0 0 0 in_use - -"))


def _pd_own(pd: _Pd, names: tuple[int, int], x: int, y: int) -> None:
    """Add sliders from 0 to 1 for the first controls of the model in use; their names come from the engine."""
    pd.add("text", x, y - 22, "the model's own controls")
    split = pd.obj(x, y, f"unpack {' '.join('s' * OWN_SLOTS)}")
    pd.wire(names, split)
    for slot in range(OWN_SLOTS):
        top = y + 30 + 76 * slot
        label = pd.add("symbolatom", x, top, "12 0 0 0 - - -")
        aim, plain = pd.obj(x, top + 20, "list prepend set rtvox param"), pd.obj(x, top + 40, "list trim")
        slider = pd.obj(x + 100, top, f"hsl 90 16 0 1 0 0 empty rtvox-own{slot} empty 0 0 {_LOOK} 0 1")
        form = pd.obj(x + 90, top + 40, "oscformat rtvox param none")
        pd.wire((split, slot), label, aim, plain, form, pd.obj(x + 90, top + 58, "s rtvox-out"))
        pd.wire(slider, form)


def max_patch(params: Iterable[Param] = PARAMS.values(), port: int = PORT) -> str:
    """Return the patch for Max 8 or newer: plain udpsend and udpreceive, which listens on the next port."""
    boxes: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []

    def box(kind: str, x: float, y: float, text: str = "", ports: tuple[int, int] = (1, 1), **more: object) -> str:
        name, width = f"obj-{len(boxes) + 1}", more.pop("width", max(40, 7 * len(text) + 16))
        entry = {"id": name, "maxclass": kind, "patching_rect": [x, y, width, more.pop("height", 22)], **more}
        entry |= {"numinlets": ports[0], "numoutlets": ports[1]} | ({"text": text} if text else {})
        boxes.append({"box": entry})
        return name

    def wire(*chain: str | tuple[str, int]) -> None:
        for source, sink in pairwise(chain):
            start = list(source) if isinstance(source, tuple) else [source, 0]
            end = [sink[0] if isinstance(sink, tuple) else sink, 0]
            lines.append({"patchline": {"source": start, "destination": end}})

    rows = list(params)
    box("comment", 20, 10, f"rtvox: steers an engine on this machine, port {port}; answers come to port {port + 1}")
    send = box("newobj", 20, 560, f"udpsend 127.0.0.1 {port}", (1, 0))
    wire(box("newobj", 20, 40, "loadbang", (1, 1)), box("message", 20, 70, f"/rtvox/notify 1 {port + 1}", (2, 1)), send)
    receive = box("newobj", 480, 40, f"udpreceive {port + 1}", (1, 1))
    heard = ["/rtvox/meters", "/rtvox/models", "/rtvox/model", "/rtvox/done", "/rtvox/fail"]
    heard += [f"/rtvox/param/{row.name}" for row in rows]
    route = box("newobj", 480, 70, f"route {' '.join(heard)}", (1, len(heard) + 1), width=400)
    wire(receive, route)
    meters = box(
        "multislider",
        480,
        110,
        "",
        (1, 2),
        size=4,
        setminmax=[-60.0, 0.0],
        width=120,
        height=120,
        candicane2=[0.2, 0.6, 0.3, 1.0],
        settype=1,
        ignoreclick=1,
    )
    wire((route, 0), meters)
    box("comment", 480, 235, "input peak and rms, output peak and rms: -60 to 0 dB")
    menu = box("umenu", 480, 320, "", (1, 3), width=160, items=["none"])
    order, clear = box("newobj", 480, 265, "t l clear", (1, 2)), box("newobj", 480, 290, "iter", (1, 1))
    append = box("newobj", 540, 290, "prepend append", (1, 1))
    wire((route, 1), order, clear, append, menu)
    wire((order, 1), menu)
    wire((menu, 1), box("newobj", 480, 350, "prepend /rtvox/model", (1, 1)), send)
    wire((route, 2), box("newobj", 660, 290, "prepend setsymbol", (1, 1)), menu)
    for number, name in ((3, "done"), (4, "fail")):
        wire((route, number), box("newobj", 480 + 140 * (number - 3), 400, f"print rtvox-{name}", (1, 0)))
    wire(
        box("button", 480, 440, "", (1, 1), width=40, height=40), box("message", 530, 450, "/rtvox/panic", (2, 1)), send
    )
    for number, row in enumerate(rows):
        y = 110 + 54 * number
        span = {"min": row.low, "size": row.high - row.low, "floatoutput": 1}
        if isinstance(row, Switch):
            knob = box("toggle", 20, y, "", (1, 1), width=24, height=24)
        else:
            knob = box("dial", 20, y, "", (1, 1), width=40, height=40, **span)
        shown = box("flonum", 70, y, "", (1, 2), width=60, minimum=row.low, maximum=row.high)
        box("comment", 140, y, f"{row.name} ({row.range_text()})")
        wire(knob, shown, box("newobj", 140, y + 24, f"prepend /rtvox/param/{row.name}", (1, 1)), send)
        follow = box("newobj", 320, y + 24, "prepend set", (1, 1))
        wire((route, 5 + number), follow, knob)
        wire(follow, shown)
    patcher = {
        "fileversion": 1,
        "appversion": {"major": 8, "minor": 5, "revision": 0, "architecture": "x64", "modernui": 1},
        "classnamespace": "box",
        "rect": [80.0, 80.0, 960.0, 640.0],
        "boxes": boxes,
        "lines": lines,
    }
    return json.dumps({"patcher": patcher}, indent=1) + "\n"


def supercollider_controls(params: Iterable[Param] = PARAMS.values()) -> str:
    """Return the list of controls as examples/rtvox.scd holds it."""
    rows = [f"\t\t[\\{row.name}, {row.low:g}, {row.high:g}, {row.default:g}]" for row in params]
    return "*/\n\tcontrols = [\n" + ",\n".join(rows) + "\n\t];\n\t/*"
