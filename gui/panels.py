# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels that are always in sight: a strip per side, models with their controls, presets, and the transport.

In: the engine's signals. Out: its methods, and names of ACTIONS for what `window.py` does. Main thread. Read next:
`window.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from PyQt6.QtCore import QObject, Qt, pyqtBoundSignal
from PyQt6.QtWidgets import QBoxLayout, QComboBox, QFrame, QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from gui.actions import ACTIONS
from gui.controls import Fader, OscTip, Toggle
from gui.meter import Meter
from gui.remote import RemoteEngine
from gui.theme import font
from rtvox.params import PARAMS, Param

FADERS_PER_ROW = 3


class Control(Protocol):
    """What `Binder` ties to the engine: it asks, and it shows."""

    @property
    def asked(self) -> pyqtBoundSignal:
        """Carries the value that the user wants."""
        ...

    def show_value(self, value: float) -> None:
        """Show a value without asking for it."""
        ...


class Binder(QObject):
    """Ties controls to the engine, both ways."""

    def __init__(self, engine: RemoteEngine, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._bound: dict[str, list[Control]] = {}
        engine.param_changed.connect(self._show)

    def bind(self, control: Control, param: Param, key: str = "") -> None:
        """Let a widget set and show a control of rtvox or of the model, and say how it is reached."""
        self._bound.setdefault(param.name, []).append(control)
        control.show_value(self._engine.mirror.values.get(param.name, param.default))
        control.asked.connect(lambda value: self._engine.set_param(param.name, value))
        if isinstance(control, QWidget):
            OscTip(control, f"/rtvox/param/{param.name}", param.doc, key)
            control.setProperty("learn", param.name)

    def release(self, name: str) -> None:
        """Forget the widgets of a control that has gone."""
        self._bound.pop(name, None)

    def _show(self, name: str, value: float) -> None:
        for control in self._bound.get(name, ()):
            control.show_value(value)


def panel(layout: QBoxLayout | QGridLayout) -> QFrame:
    """Return a framed panel with this layout."""
    frame = QFrame()
    frame.setObjectName("panel")
    frame.setLayout(layout)
    return frame


def action_button(name: str, title: str, do: Callable[[str], None], checkable: bool = False) -> QPushButton:
    """Return a button that does one of ACTIONS, with its key and address in the tooltip."""
    action = ACTIONS[name]
    button = QPushButton(title)
    button.setObjectName(name)
    button.setCheckable(checkable)
    button.clicked.connect(lambda: do(name))
    button.setProperty("learn", name)
    if action.address:
        OscTip(button, action.address, action.doc, action.key)
    else:
        button.setToolTip(f"{action.doc}\nKey: {action.key}")
    return button


def large(button: QPushButton) -> QPushButton:
    """Make a button easy to hit."""
    button.setFont(font(15, bold=True))
    button.setMinimumSize(96, 58)
    return button


class Strip(QWidget):
    """One side, input or output: its meter and two faders."""

    def __init__(self, binder: Binder, side: str, faders: dict[str, tuple[str, str]]) -> None:
        """Take the side and, by control, what its faders are called and their keys."""
        super().__init__()
        self.meter = Meter(side.upper(), gate=side == "input")
        column = QVBoxLayout()
        column.setContentsMargins(10, 10, 10, 10)
        column.addWidget(self.meter, 1, Qt.AlignmentFlag.AlignHCenter)
        self.faders = {}
        for name, (title, key) in faders.items():
            fader = self.faders[name] = Fader(PARAMS[name], title, "source" if side == "input" else "sink")
            binder.bind(fader, PARAMS[name], key)
            column.addWidget(fader)
        if side == "output":
            OscTip(self.meter, "/rtvox/meters", "Peak and rms; click the figure to end a clip.")
        else:
            binder.bind(self.meter, PARAMS["gate_threshold"], "; '")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(panel(column))
        self.setFixedWidth(206)


class Faders(QWidget):
    """Mix, and the controls of the model in use."""

    def __init__(self, engine: RemoteEngine, binder: Binder) -> None:
        super().__init__()
        self._engine, self._binder = engine, binder
        self._grid = QGridLayout()
        self._grid.setContentsMargins(14, 8, 14, 8)
        self._grid.setHorizontalSpacing(24)
        self.mix = Fader(PARAMS["mix"], "Mix: dry to wet", "sink")
        binder.bind(self.mix, PARAMS["mix"], "[ ]")
        self._grid.addWidget(self.mix, 0, 0)
        self.own: dict[str, Fader] = {}
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(panel(self._grid))
        self.rebuild()

    def rebuild(self) -> None:
        """Show a fader for each control of the model in use."""
        controls = self._engine.mirror.controls
        if {name: fader.param for name, fader in self.own.items()} == controls:
            return
        for name, fader in self.own.items():
            self._binder.release(name)
            self._grid.removeWidget(fader)
            fader.deleteLater()
        self.own = {name: Fader(param, tone="sink") for name, param in controls.items()}
        for place, (name, fader) in enumerate(self.own.items(), 1):
            self._binder.bind(fader, controls[name])
            self._grid.addWidget(fader, place // FADERS_PER_ROW, place % FADERS_PER_ROW)


class Presets(QWidget):
    """The comparison's two sides, and presets by name."""

    def __init__(self, engine: RemoteEngine, do: Callable[[str], None]) -> None:
        super().__init__()
        self._engine = engine
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.compare = action_button("compare", "A", do)
        self.compare.setFont(font(17, bold=True))
        self.compare.setFixedWidth(64)
        self.copy = action_button("copy", "A → B", do)
        self.names = QComboBox()
        self.names.setEditable(True)
        edit = self.names.lineEdit()
        assert edit is not None
        edit.setPlaceholderText("Preset name")
        self.names.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.names.setMinimumWidth(120)
        self.names.activated.connect(lambda index: self._load(self.names.itemText(index)))
        OscTip(self.names, "/rtvox/preset/load", "Choose a preset to load it; write a name to save one.")
        self.save = action_button("preset_save", "Save", do)
        self.previous, self.next = action_button("preset_previous", "◀", do), action_button("preset_next", "▶", do)
        for widget in (self.compare, self.copy, self.previous, self.names, self.next, self.save):
            row.addWidget(widget, 1 if widget is self.names else 0)
            widget.setMinimumHeight(44)

    @property
    def name(self) -> str:
        """The name that is shown."""
        return self.names.currentText().strip()

    def show_side(self, side: str) -> None:
        """Say which side of the comparison is heard."""
        other = "B" if side == "A" else "A"
        self.compare.setText(side)
        self.copy.setText(f"{side} → {other}")

    def refill(self) -> None:
        """Show the presets that the engine has; what is written stays."""
        name = self.names.currentText()
        self.names.blockSignals(True)
        self.names.clear()
        self.names.addItems(self._engine.mirror.presets)
        self.names.setCurrentIndex(self.names.findText(name))
        self.names.setEditText(name)
        self.names.blockSignals(False)

    def step(self, by: int) -> None:
        """Load the next preset, or the one before."""
        presets = self._engine.mirror.presets
        if presets:
            here = presets.index(self.name) if self.name in presets else -1 if by > 0 else 0
            self._load(presets[(here + by) % len(presets)])

    def _load(self, name: str) -> None:
        self.names.setEditText(name)
        if name in self._engine.mirror.presets:
            self._engine.send("/rtvox/preset/load", name)


class Transport(QWidget):
    """The large buttons: start and stop, bypass, mute, record."""

    def __init__(self, binder: Binder, do: Callable[[str], None]) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.live = action_button("live", "▶ START", do)
        self.record = action_button("record", "● REC", do, checkable=True)
        self.bypass, self.mute = Toggle("BYPASS", "bypass"), Toggle("MUTE", "mute")
        for toggle, name in ((self.bypass, "bypass"), (self.mute, "mute")):
            binder.bind(toggle, PARAMS[name], ACTIONS[name].key)
        for button in (self.live, self.bypass, self.mute, self.record):
            row.addWidget(large(button), 1)
        self.live.setMinimumWidth(130)
        self.record.setMinimumWidth(150)

    def show_state(self, running: bool, recording: bool, recorded_s: float) -> None:
        """Show whether sound runs, and for how long it has been recorded."""
        self.live.setText("■ STOP" if running else "▶ START")
        self.record.setChecked(recording)
        minutes, seconds = divmod(int(recorded_s), 60)
        hours, minutes = divmod(minutes, 60)
        elapsed = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"
        self.record.setText(f"● {elapsed}" if recording else "● REC")
