# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirror: what the engine has told about itself. Plain values, no Qt, no network.

In: OSC messages, as docs/osc.md lists them. Out: attributes, and the topic that has changed. Main thread. Read next:
`remote.py`, which feeds it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rtvox.osc import Value
from rtvox.params import PARAMS, Param

NO_MODEL = "none"


@dataclass
class Model:
    """What the engine says of one model file; `controls` by name."""

    name: str
    title: str = ""
    role: str = ""
    delay_ms: float = 0.0
    licences: str = ""
    controls: dict[str, Param] = field(default_factory=dict)


@dataclass(frozen=True)
class Device:
    """What the engine says of one device; `name` is "HOST: NAME"."""

    name: str
    host: str
    inputs: int
    outputs: int
    rate: int
    description: str


class Mirror:
    """The engine's state.

    Attributes:
        values: of all controls.
        status: by what follows /rtvox/status/ in the address.
        model, models, presets, record: as /rtvox/model and so on say; models by name.
        device: by "input", "output", "block" and "rate".
        inputs, outputs, devices: names, the default first, and what is known of each; empty until asked for.
    """

    def __init__(self) -> None:
        self.values = {name: param.default for name, param in PARAMS.items()}
        self.status: dict[str, Value] = {}
        self.model, self.record = NO_MODEL, ""
        self.models: dict[str, Model] = {}
        self.presets: list[str] = []
        self.device: dict[str, str | int] = {"input": "", "output": "", "block": 0, "rate": 0}
        self.voices: list[str] = []
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.devices: dict[str, Device] = {}
        self._control_names: list[str] = []

    @property
    def controls(self) -> dict[str, Param]:
        """The controls of the model in use, in its order."""
        known = self.models[self.model].controls if self.model in self.models else {}
        return {name: known[name] for name in self._control_names if name in known}

    def param(self, name: str) -> Param | None:
        """Return the row of a control, of rtvox or of the model in use."""
        return PARAMS.get(name) or self.controls.get(name)

    def number(self, what: str) -> float:
        """Return a figure of the status, 0 if it has not come."""
        value = self.status.get(what, 0.0)
        return float(value) if isinstance(value, int | float) else 0.0

    def text(self, what: str) -> str:
        """Return a text of the status, empty if it has not come."""
        return str(self.status.get(what, ""))

    def take(self, address: str, values: list[Value]) -> str:
        """Take in one message of state, lists or status; return the topic that has changed, or "".

        Topics: model, models, controls, presets, voices, devices, record, status. Raises: IndexError, TypeError or
        ValueError for values that are not as docs/osc.md says.
        """
        what = address.removeprefix("/rtvox/")
        topic, _, rest = what.partition("/")
        texts = [str(value) for value in values]
        if topic == "status":
            self.status[rest] = values[0]
        elif what == "model":
            self.model = texts[0]
        elif what == "record":
            self.record = texts[0]
        elif what == "controls":
            self._control_names = texts
        elif what == "presets":
            self.presets = texts
        elif what == "voices":
            self.voices = texts
        elif what == "models":
            self.models = {name: self.models.get(name, Model(name)) for name in texts}
        elif what == "models/info":
            model = self.models.setdefault(texts[0], Model(texts[0]))
            model.title, model.role, model.delay_ms, model.licences = texts[1], texts[2], _float(values[3]), texts[4]
        elif what == "models/control":
            low, high, default, smoothing_ms = (_float(value) for value in values[3:7])
            param = Param(texts[1], texts[2], low, high, default, smoothing_ms, texts[7])
            self.models.setdefault(texts[0], Model(texts[0])).controls[param.name] = param
        elif what in ("device/block", "device/rate"):
            self.device[rest] = int(_float(values[0]))
            return "devices"
        elif what in ("device/input", "device/output"):
            self.device[rest] = texts[0]
            return "devices"
        elif what == "devices/input":
            self.inputs = texts
        elif what == "devices/output":
            self.outputs = texts
        elif what == "devices/info":
            inputs, outputs, rate = (int(_float(value)) for value in values[2:5])
            self.devices[texts[0]] = Device(texts[0], texts[1], inputs, outputs, rate, texts[5])
        else:
            return ""
        return topic


def _float(value: Value) -> float:
    if isinstance(value, bytes):
        raise TypeError("bytes are no number")
    return float(value)
