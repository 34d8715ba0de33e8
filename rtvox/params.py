"""PARAMS: the one table of controls, and Params, the values that the user asks for.

A slider, an OSC address, a `--set NAME=VALUE` and a line of the manual all come from a row. In: names and values from
any thread. Out: target values, read once per hop by the converter thread, which ramps towards them (`levels.Ramp`).
Read next: `levels.py`, where most of them act.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from rtvox.errors import ParameterError

GATE_OFF_DB = -100.0  # a gate threshold this low never closes: 16-bit silence is at -98 dB


@dataclass(frozen=True)
class Param:
    """One control: a row of PARAMS, or of a model's manifest; values run from `low` to `high` in `unit`."""

    name: str
    unit: str
    low: float
    high: float
    default: float
    smoothing_ms: float  # time to reach a new value; the way there is a straight line
    doc: str

    def check(self, value: float) -> float:
        """Return value as a float, or raise ParameterError that states the range."""
        if not self.low <= value <= self.high:  # also refuses NaN
            raise ParameterError(f"{self.name}={value:g}: needs {self.range_text()}")
        return float(value)

    def parse(self, text: str) -> float:
        """Return the value that text stands for; raise ParameterError for anything else."""
        try:
            value = float(text)
        except ValueError:
            raise ParameterError(f"{self.name}={text.strip()}: not a number; needs {self.range_text()}") from None
        return self.check(value)

    def range_text(self) -> str:
        """Return the allowed values in words, for messages and manuals."""
        return f"{self.low:g} to {self.high:g} {self.unit}".rstrip()


@dataclass(frozen=True)
class Switch(Param):
    """A control with a few values, each with a name: 0 is the first of `choices`."""

    choices: tuple[str, ...] = ("off", "on")

    def check(self, value: float) -> float:
        """Return value as a float if it is the number of a choice; raise ParameterError if not."""
        if value not in range(len(self.choices)):
            raise ParameterError(f"{self.name}={value:g}: needs {self.range_text()}")
        return float(value)

    def parse(self, text: str) -> float:
        """Return the number of a choice, given by name or number; raise ParameterError for anything else."""
        word = text.strip().lower()
        return float(self.choices.index(word)) if word in self.choices else super().parse(word)

    def range_text(self) -> str:
        """Return the choices in words."""
        return " or ".join(f"{i} ({name})" for i, name in enumerate(self.choices))


@dataclass(frozen=True)
class Scale(Param):
    """A control with a name at each whole number from 0 on; what lies between two numbers is between what they name."""

    names: tuple[str, ...] = ()

    def parse(self, text: str) -> float:
        """Return the number of a name, or a number; raise ParameterError for anything else."""
        word = text.strip().lower()
        return float(self.names.index(word)) if word in self.names else super().parse(word)

    def range_text(self) -> str:
        """Return the range and the names in words."""
        return f"{super().range_text()} ({', '.join(self.names)})"


def _table(*rows: Param) -> dict[str, Param]:
    return {row.name: row for row in rows}


# In the order of the signal's way. Smoothing: 20 ms is the shortest ramp of gain that is not heard as a click on a
# low note.
PARAMS: dict[str, Param] = _table(
    Param("input_gain", "dB", -60.0, 24.0, 0.0, 20.0, "Level of the microphone before everything else."),
    Param("gate_threshold", "dB", GATE_OFF_DB, 0.0, GATE_OFF_DB, 0.0, "Mute the input below this peak; -100 is off."),
    Param("mix", "", 0.0, 1.0, 1.0, 20.0, "From 0, the dry voice (delayed like the wet one), to 1, the converted one."),
    Param("output_gain", "dB", -60.0, 24.0, 0.0, 20.0, "Level after the mix, before the limiter."),
    Param("ceiling", "dB", -24.0, 0.0, -0.3, 20.0, "Limiter: no output sample is above it."),
    Switch("bypass", "", 0.0, 1.0, 0.0, 20.0, "Pass the input through untouched, at the same delay."),
    Switch("mute", "", 0.0, 1.0, 0.0, 20.0, "Silence the output."),
    Switch(
        "resynthesis",
        "",
        0.0,
        3.0,
        0.0,
        0.0,
        "What makes sound of a mel model's frames, or of the voice's own with no model; auto is the model's choice.",
        ("auto", "input-phase", "griffin-lim", "vocoder"),
    ),
    Switch("phase", "", 0.0, 1.0, 0.0, 0.0, "Where Griffin-Lim starts from: nothing, or the input.", ("free", "input")),
    Param("iterations", "", 0.0, 64.0, 10.0, 0.0, "Griffin-Lim, vocoder: rounds per hop; more is better and slower."),
    Param("look_ahead", "frames", -2.0, 3.0, -1.0, 0.0, "Griffin-Lim, vocoder: more is better, and 5.3 ms later each."),
    Switch("miss_policy", "", 0.0, 1.0, 0.0, 0.0, "What sounds when the computer is late.", ("dry", "silence")),
)


def find_param(name: str, table: Mapping[str, Param] = PARAMS) -> Param:
    """Return the row called name; raise ParameterError that lists the near names, or all of them."""
    if name not in table:
        near = get_close_matches(name, table, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(table)}"
        raise ParameterError(f"{name}: no such control; {hint}")
    return table[name]


def parse_setting(text: str, table: Mapping[str, Param] = PARAMS) -> tuple[str, float]:
    """Split NAME=VALUE and check both against the table.

    >>> parse_setting("mix=0.5")
    ('mix', 0.5)
    >>> parse_setting("bypass=on")
    ('bypass', 1.0)
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise ParameterError(f"{text}: needs NAME=VALUE, for example mix=0.5")
    param = find_param(name.strip(), table)
    return param.name, param.parse(value)


class Params:
    """The target value of every control, those of the loaded model included.

    Any thread may set and get. No lock: a value is one float in a dictionary, replaced whole, and the last one to set
    it wins; `table` is replaced whole when a model's controls come or go (`join`, called by the loading thread alone).

    Attributes:
        changed: another object after each change of a value; to be read before the values are.
    """

    def __init__(self, table: Mapping[str, Param] = PARAMS) -> None:
        self._own = dict(table)
        self.table: dict[str, Param] = dict(table)
        self._targets = {name: param.default for name, param in table.items()}
        self.changed = object()

    def set(self, name: str, value: float) -> None:
        """Ask for a value; raise ParameterError for an unknown name or a value out of range."""
        self._targets[name] = find_param(name, self.table).check(value)
        self.changed = object()

    def get(self, name: str) -> float:
        """Return the value last asked for."""
        find_param(name, self.table)
        return self._targets[name]

    def __getitem__(self, name: str) -> float:
        """Return the target of a control of PARAMS: the quick way for the converter thread."""
        return self._targets[name]

    def target(self, name: str, otherwise: float) -> float:
        """Return the target of a model's control, or `otherwise` when that model is on its way out."""
        return self._targets.get(name, otherwise)

    def values(self) -> dict[str, float]:
        """Return a copy of all targets."""
        return {name: self._targets[name] for name in self.table}

    @property
    def joined(self) -> tuple[Param, ...]:
        """Return the controls of the loaded model."""
        return tuple(param for name, param in self.table.items() if name not in self._own)

    def join(self, controls: Iterable[Param]) -> None:
        """Replace the model's controls by those of another; a control that both have keeps its value if it may."""
        table = dict(self._own)
        for control in controls:
            if control.name in self._own:
                raise ParameterError(f"{control.name}: a model may not have a control with the name of one of rtvox")
            table[control.name] = control
            old = self._targets.get(control.name, math.nan)
            if not control.low <= old <= control.high:
                self._targets[control.name] = control.default
        self.table = table
        for name in self._targets.keys() - table.keys():
            del self._targets[name]
