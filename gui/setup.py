# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of what is set before the concert: devices, the engine's process, MIDI, looks.

In: the engine's signals. Out: its commands, and names of ACTIONS. Main thread. Read next: `window.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from gui.controls import Choice, Fader, OscTip, label
from gui.midi import Midi
from gui.panels import Binder, action_button, panel
from gui.remote import RemoteEngine
from gui.theme import MODES, font
from rtvox.params import PARAMS, Switch

# Controls that are always in sight; this page has all others, also those to come.
ON_STAGE = ("input_gain", "gate_threshold", "mix", "output_gain", "ceiling", "bypass", "mute")
ALL_HOSTS = "All"
BLOCKS = (32, 64, 128, 256, 512, 1024)
RATES = (0, 44100, 48000, 88200, 96000)  # Hz; 0 is the devices' own


class Devices(QWidget):
    """Pickers for host API, input, output, block and rate; all are taken in one go, or none."""

    def __init__(self, engine: RemoteEngine) -> None:
        super().__init__()
        self._engine = engine
        self.host, self.input, self.output, self.block, self.rate = (QComboBox() for _ in range(5))
        self.apply, self.again = QPushButton("Use these"), QPushButton("Look again")
        self.in_use = label()
        self.apply.clicked.connect(self.use)
        self.again.clicked.connect(self.look)
        self.host.currentTextChanged.connect(self._refill_names)
        for size in BLOCKS:
            self.block.addItem(f"{size} samples, {size / 48:.1f} ms at 48 kHz", size)
        for rate in RATES:
            self.rate.addItem(f"{rate} Hz" if rate else "The devices' own", rate)
        self.block.setCurrentIndex(BLOCKS.index(128))
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(1, 1)
        rows = (
            ("Host API", self.host, "/rtvox/devices/info", "Show the devices of one sound system only."),
            ("Input", self.input, "/rtvox/device/input", "The microphone."),
            ("Output", self.output, "/rtvox/device/output", "Where it sounds."),
            (
                "Block",
                self.block,
                "/rtvox/device/block",
                "Samples per callback: less is less latency, and more misses.",
            ),
            ("Rate", self.rate, "/rtvox/device/rate", "48000 Hz needs no resampling."),
        )
        for row, (caption, picker, address, doc) in enumerate(rows):
            grid.addWidget(label(caption, "caption"), row, 0)
            grid.addWidget(picker, row, 1)
            picker.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            picker.setMinimumContentsLength(12)
            OscTip(picker, address, doc)
        OscTip(self.apply, "/rtvox/device", "Open these devices; if they do not work, the ones in use stay.")
        OscTip(self.again, "/rtvox/get /rtvox/devices", "List the devices that are there now.")
        buttons = QHBoxLayout()
        buttons.addWidget(self.apply)
        buttons.addWidget(self.again)
        grid.addLayout(buttons, len(rows), 1)
        grid.addWidget(self.in_use, len(rows) + 1, 0, 1, 2)

    def look(self) -> None:
        """Ask the engine what devices there are."""
        self._engine.mirror.devices.clear()
        self._engine.send("/rtvox/get", "/rtvox/devices")

    def use(self) -> None:
        """Ask for what is picked."""
        picked = (self.input.currentData() or "", self.output.currentData() or "")
        self._engine.send("/rtvox/device", *picked, int(self.block.currentData()), int(self.rate.currentData()))

    def refresh(self) -> None:
        """Show the devices that are there, and mark those in use."""
        mirror = self._engine.mirror
        hosts = [ALL_HOSTS, *dict.fromkeys(device.host for device in mirror.devices.values())]
        if [self.host.itemText(row) for row in range(self.host.count())] != hosts:
            chosen = self.host.currentText()
            self.host.blockSignals(True)
            self.host.clear()
            self.host.addItems(hosts)
            self.host.setCurrentIndex(max(0, self.host.findText(chosen)))
            self.host.blockSignals(False)
        self._refill_names()
        device = mirror.device
        for picker, value in ((self.block, device["block"]), (self.rate, device["rate"])):
            if value and picker.findData(value) < 0:
                picker.addItem(str(value), value)
        if device["block"]:
            self.block.setCurrentIndex(self.block.findData(device["block"]))
        sides = " and ".join(dict.fromkeys(str(device[side]) for side in ("input", "output") if device[side]))
        sizes = f"{device['rate']} Hz, blocks of {device['block']}"
        self.in_use.setText(f"In use: {sides}, {sizes}" if sides else "In use: none; Start opens these.")

    def _refill_names(self) -> None:
        mirror, host = self._engine.mirror, self.host.currentText()
        for picker, names, used in (
            (self.input, mirror.inputs, mirror.device["input"]),
            (self.output, mirror.outputs, mirror.device["output"]),
        ):
            before = picker.currentData() if picker.count() else str(used)
            wanted = [name for name in names if host in ("", ALL_HOSTS) or self._host_of(name) == host]
            picker.clear()
            picker.addItem("The system's default", "")
            for name in wanted:
                about = mirror.devices.get(name)
                picker.addItem(f"{name} ({about.description})" if about and about.description else name, name)
            picker.setCurrentIndex(max(0, picker.findData(before or used)))

    def _host_of(self, name: str) -> str:
        about = self._engine.mirror.devices.get(name)
        return about.host if about else name.partition(": ")[0]


class Setup(QScrollArea):
    """The whole page."""

    theme_asked = pyqtSignal(str)
    forget_asked = pyqtSignal()

    def __init__(self, engine: RemoteEngine, binder: Binder, midi: Midi, do: Callable[[str], None]) -> None:
        super().__init__()
        self._engine, self._midi = engine, midi
        self.devices = Devices(engine)
        self.learn = action_button("learn", "MIDI learn", do, checkable=True)
        self.midi_note, self.message = label(), label()
        self.forget, self.rescan = QPushButton("Forget all"), QPushButton("Look again")
        self.forget.clicked.connect(self.forget_asked)
        self.rescan.clicked.connect(self.show_midi_ports)
        self.theme = QComboBox()
        self.theme.addItems(MODES)
        self.theme.textActivated.connect(self.theme_asked)
        self.rest: dict[str, Choice | Fader] = {}
        for name in PARAMS.keys() - set(ON_STAGE):
            row = PARAMS[name]
            self.rest[name] = Choice(row) if isinstance(row, Switch) else Fader(row)
            binder.bind(self.rest[name], row)
        self.quit = QPushButton("End the engine")
        self.quit.clicked.connect(lambda: engine.send("/rtvox/quit"))
        OscTip(self.quit, "/rtvox/quit", "Stop the sound and end the engine's process.")
        groups = QHBoxLayout()
        groups.setContentsMargins(16, 12, 16, 12)
        groups.setSpacing(28)
        midi_parts = (self.midi_note, self.learn, self.rescan, self.forget)
        rest = tuple(self.rest[name] for name in PARAMS if name in self.rest)
        groups.addLayout(_column(("Devices", (self.devices,)), ("MIDI", midi_parts)), 3)
        groups.addLayout(
            _column(("Conversion", rest), ("Looks", (self.theme,)), ("Engine", (self.message, self.quit))), 2
        )
        self.setWidget(panel(groups))
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.show_midi()

    def show_midi_ports(self) -> None:
        """Open the MIDI ports that are there now."""
        self._midi.open()
        self.show_midi()

    def show_midi(self) -> None:
        """Say which ports are open and what is learnt."""
        midi = self._midi
        ports = f"Ports: {', '.join(midi.ports)}." if midi.ports else midi.error or "No MIDI port is there."
        learnt = "; ".join(f"{name} ← {source}" for source, name in sorted(midi.learnt.items()))
        self.midi_note.setText(f"{ports} {learnt}")
        self.learn.setEnabled(bool(midi.ports))

    def show_engine(self) -> None:
        """Say what the engine says about itself."""
        engine = self._engine
        self.message.setText(f"Engine at {engine.host}:{engine.port}. {engine.mirror.text('message')}")


def _column(*groups: tuple[str, tuple[QWidget, ...]]) -> QVBoxLayout:
    """Return widgets one below the other, in groups with a heading."""
    column = QVBoxLayout()
    column.setSpacing(7)
    for title, widgets in groups:
        heading = label(title, "title")
        heading.setFont(font(13, bold=True))
        column.addWidget(heading)
        for widget in widgets:
            column.addWidget(widget)
        column.addSpacing(8)
    column.addStretch(1)
    return column
