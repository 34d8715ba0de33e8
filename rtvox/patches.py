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
    """A canvas of Pd under construction: boxes are numbered in the order in which they are written."""

    def __init__(self) -> None:
        self._boxes: list[str] = []
        self._wires: list[str] = []

    def add(self, kind: str, x: int, y: int, text: str) -> int:
        """Add a box of a kind (obj, msg, text, symbolatom) and return its number."""
        self._boxes.append(f"#X {kind} {x} {y} {text};")
        return len(self._boxes) - 1

    def obj(self, x: int, y: int, text: str) -> int:
        """Add an object box."""
        return self.add("obj", x, y, text)

    def inside(self, x: int, y: int, name: str, canvas: _Pd) -> None:
        """Add another canvas as a subpatch, which opens at a click."""
        self._boxes.append(f"#N canvas 80 80 960 900 {name} 0;\n{canvas.lines()}\n#X restore {x} {y} pd {name};")

    def wire(self, *chain: int | tuple[int, int]) -> None:
        """Connect boxes in a row; (box, port) names the outlet, or, at the end, the inlet."""
        for source, sink in pairwise(chain):
            box, outlet = source if isinstance(source, tuple) else (source, 0)
            target, inlet = sink if isinstance(sink, tuple) else (sink, 0)
            self._wires.append(f"#X connect {box} {outlet} {target} {inlet if sink is chain[-1] else 0};")

    def lines(self) -> str:
        """Return all boxes, then all wires."""
        return "\n".join([*self._boxes, *self._wires])


def pd_patch(params: Iterable[Param] = PARAMS.values()) -> str:
    """Return the patch for Pure Data vanilla, 0.51 or newer.

    What is seen has names, and no wires but the meters': moved, a widget sends to `rtvox-NAME-moved`; what is sent to
    `rtvox-NAME` moves it. The subpatch `engine` joins both to OSC. Other patches may send to `rtvox-NAME`,
    `rtvox-model`, `rtvox-panic`, `rtvox-connect` (a port), and receive from `rtvox-meters`, `rtvox-done`, `rtvox-fail`,
    `rtvox-heard` (everything).
    """
    rows, top = list(params), _Pd()
    top.add("text", 20, 10, f"rtvox: steers an engine on this machine \\, port {PORT}")
    top.inside(20, 40, "engine", _pd_engine(rows))
    top.obj(120, 36, f"bng 30 250 50 0 rtvox-panic-moved rtvox-panic panic 36 15 {_LOOK}")
    for number, row in enumerate(rows):
        _pd_widget(top, row, 20, 90 + 28 * number)
    _pd_meters(top, 320, 90)
    top.add("text", 320, 270, "models: the first is 0")
    shown = top.add("msg", 320, 320, "none")
    top.wire(top.obj(320, 345, "r rtvox-models"), shown)
    top.obj(320, 292, f"hradio 18 1 0 12 rtvox-menu-moved rtvox-menu empty 0 -8 {_LOOK} 0")
    top.add("symbolatom", 320, 375, "20 0 0 1 in_use rtvox-model-now -")
    top.add("text", 320, 410, "the model's own controls \\, 0 to 1")
    for slot in range(OWN_SLOTS):
        top.add("symbolatom", 320, 440 + 28 * slot, f"14 0 0 0 - rtvox-own{slot}-name -")
        names = f"rtvox-own{slot}-moved rtvox-own{slot} empty"
        top.obj(450, 440 + 28 * slot, f"hsl 128 16 0 1 0 0 {names} 0 0 {_LOOK} 0 1")
    height = max(600, 130 + 28 * len(rows))
    return f"#N canvas 60 60 640 {height} 12;\n{top.lines()}\n"


def _pd_engine(rows: list[Param]) -> _Pd:
    """Return the canvas that speaks with the engine: what is sent to `rtvox-out` goes out."""
    pd = _Pd()
    bang, port, asked = pd.obj(20, 40, "loadbang"), pd.add("msg", 20, 65, f"{PORT}"), pd.obj(110, 65, "r rtvox-connect")
    order, leave = pd.obj(20, 90, "t b f b"), pd.add("msg", 220, 115, "disconnect")
    connect, one = pd.add("msg", 60, 115, "connect 127.0.0.1 \\$1"), pd.add("msg", 20, 115, "1")
    gather, send = pd.obj(300, 65, "r rtvox-out"), pd.obj(300, 90, "list prepend send")
    trim, net = pd.obj(300, 115, "list trim"), pd.obj(300, 140, "netsend -u -b")
    pd.wire(bang, port, order)
    pd.wire(asked, order)
    pd.wire((order, 2), leave, net)
    pd.wire((order, 1), connect, net)
    pd.wire(order, one, pd.obj(20, 140, "oscformat rtvox notify"), pd.obj(20, 165, "s rtvox-out"))
    pd.wire(gather, send, trim, net)
    parse, bare = pd.obj(300, 165, "oscparse"), pd.obj(300, 190, "list trim")
    route = pd.obj(300, 240, f"route {' '.join(_HEARD)}")
    pd.wire((net, 1), parse, bare, pd.obj(300, 215, "route rtvox"), route)  # the right outlet: what the engine says
    pd.wire(bare, pd.obj(420, 190, "s rtvox-heard"))
    outlet = {name: (route, number) for number, name in enumerate(_HEARD)}
    for x, name in ((640, "meters"), (740, "done"), (840, "fail")):
        pd.wire(outlet[name], pd.obj(x, 280, f"s rtvox-{name}"))
    for x, name in ((740, "done"), (840, "fail")):
        pd.wire(outlet[name], pd.obj(x, 305, f"print rtvox-{name}"))
    values = pd.obj(20, 330, f"route {' '.join(row.name for row in rows)}")
    pd.wire(outlet["param"], values)
    for number, row in enumerate(rows):
        x, y = 20 + 310 * (number % 3), 380 + 60 * (number // 3)
        pd.wire((values, number), pd.add("msg", x, y, "set \\$1"), pd.obj(x + 60, y, f"s rtvox-{row.name}"))
        _pd_out(pd, x, y + 25, row.name, f"oscformat rtvox param {row.name}")
    below = 400 + 60 * -(-len(rows) // 3)
    _pd_out(pd, 20, below, "panic", "oscformat rtvox panic")
    _pd_models(pd, outlet["models"], outlet["model"], 20, below + 40)
    _pd_own(pd, outlet["controls"], 380, below + 40)
    return pd


def _pd_out(pd: _Pd, x: int, y: int, name: str, form: str) -> None:
    """Join a widget that was moved to OSC."""
    pd.wire(pd.obj(x, y, f"r rtvox-{name}-moved"), pd.obj(x, y + 18, form), pd.obj(x + 200, y + 18, "s rtvox-out"))


def _pd_widget(pd: _Pd, row: Param, x: int, y: int) -> None:
    """Add a slider, a toggle or a row of buttons."""
    names = f"rtvox-{row.name}-moved rtvox-{row.name} {row.name}"
    if isinstance(row, Switch) and len(row.choices) == 2:
        pd.obj(x, y, f"tgl 16 0 {names} 24 8 {_LOOK} 0 1")
    elif isinstance(row, Switch):
        count = len(row.choices)
        pd.obj(x, y, f"hradio 16 1 0 {count} {names} {16 * count + 8} 8 {_LOOK} 0")
    else:
        pd.obj(x, y, f"hsl 128 16 {row.low:g} {row.high:g} 0 0 {names} 136 8 {_LOOK} 0 1")


def _pd_meters(pd: _Pd, x: int, y: int) -> None:
    split = pd.obj(x, y, "unpack f f f f")
    pd.wire(pd.obj(x, y - 25, "r rtvox-meters"), split)
    for left, side, peak, mean in ((x, "input", 0, 1), (x + 90, "output", 2, 3)):
        meter = pd.obj(left, y + 30, f"vu 16 120 empty {side} -4 130 0 10 #404040 #000000 1 0")
        pd.wire((split, peak), (meter, 1))
        pd.wire((split, mean), meter)


def _pd_models(pd: _Pd, names: tuple[int, int], name: tuple[int, int], x: int, y: int) -> None:
    """Keep the names of the models, so that a number in the menu means one; tell the one in use."""
    only = pd.obj(x, y, "route info control")  # /rtvox/models/info and /control come this way, too
    store, get = pd.obj(x, y + 75, "list store"), pd.add("msg", x, y + 50, "get \\$1")
    pd.wire(names, only)
    pd.wire(
        (only, 2),
        pd.obj(x + 140, y, "list prepend set"),
        pd.obj(x + 140, y + 25, "list trim"),
        pd.obj(x + 140, y + 50, "s rtvox-models"),
    )
    pd.wire((only, 2), (store, 1))
    pd.wire(pd.obj(x, y + 25, "r rtvox-menu-moved"), get, store)
    load = pd.obj(x, y + 125, "oscformat rtvox model")
    pd.wire(store, load, pd.obj(x, y + 150, "s rtvox-out"))
    pd.wire(pd.obj(x, y + 100, "r rtvox-model"), load)
    word, alone = pd.obj(x + 180, y + 100, "list prepend symbol"), pd.obj(x + 180, y + 125, "list trim")
    pd.wire(name, word, alone, pd.obj(x + 180, y + 150, "s rtvox-model-now"))


def _pd_own(pd: _Pd, names: tuple[int, int], x: int, y: int) -> None:
    """Give each slider for the model's own controls the name that the engine tells."""
    split = pd.obj(x, y, f"unpack {' '.join('s' * OWN_SLOTS)}")
    pd.wire(names, split)
    for slot in range(OWN_SLOTS):
        left, top = x + 280 * (slot % 2), y + 40 + 110 * (slot // 2)
        aim, form = (
            pd.obj(left, top, "list prepend set rtvox param"),
            pd.obj(left, top + 50, "oscformat rtvox param none"),
        )
        pd.wire((split, slot), aim, pd.obj(left, top + 25, "list trim"), form, pd.obj(left, top + 75, "s rtvox-out"))
        pd.wire((split, slot), pd.obj(left + 140, top + 25, f"s rtvox-own{slot}-name"))
        pd.wire(pd.obj(left + 140, top + 75, f"r rtvox-own{slot}-moved"), form)


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
        if isinstance(row, Switch) and len(row.choices) == 2:
            knob = box("toggle", 20, y, "", (1, 1), width=24, height=24)
        elif isinstance(row, Switch):
            knob = box(
                "umenu", 20, y, "", (1, 3), width=48, items=[part for name in row.choices for part in (name, ",")][:-1]
            )
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
    numbers = ((row.name, row.low, row.high, row.default, int(isinstance(row, Switch))) for row in params)
    rows = [f"\t\t[\\{name}, {low:g}, {high:g}, {default:g}, {step}]" for name, low, high, default, step in numbers]
    return "*/\n\tcontrols = [\n" + ",\n".join(rows) + "\n\t];\n\t/*"
