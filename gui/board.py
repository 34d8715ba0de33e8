# SPDX-License-Identifier: GPL-3.0-or-later
"""Board: all panels and pages in their places, and what they show of the engine.

In: the engine's signals, and `refresh` twice a second. Out: names of ACTIONS. Main thread. Read next: `window.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PyQt6.QtGui import QResizeEvent
from PyQt6.QtWidgets import QBoxLayout, QHBoxLayout, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from gui.banner import Banner
from gui.cards import Cards
from gui.controls import OscTip
from gui.figures import LATENCY_PARTS, Figures, LatencyBar, StateLamp
from gui.history import History
from gui.midi import Midi
from gui.panels import Binder, Faders, Presets, Strip, Transport, action_button, large, panel
from gui.remote import RemoteEngine
from gui.say import SayLine
from gui.setup import Setup
from gui.spectrogram import Spectrogram

PAGES = ("spectra", "setup", "history")


class Board(QWidget):
    """The window's whole content."""

    def __init__(self, engine: RemoteEngine, midi: Midi, do: Callable[[str], None]) -> None:
        super().__init__()
        self.engine = engine
        binder = Binder(engine, self)
        self.banner, self.lamp = Banner(), StateLamp()
        self.figures, self.latency = Figures(), LatencyBar()
        self.input = Strip(binder, "input", {"gate_threshold": ("Gate", "; '"), "input_gain": ("Gain", ", .")})
        self.output = Strip(binder, "output", {"ceiling": ("Ceiling", ""), "output_gain": ("Gain", "- =")})
        self.spectra = {"input": Spectrogram("INPUT", False), "output": Spectrogram("OUTPUT", True)}
        self.history, self.setup = History(), Setup(engine, binder, midi, do)
        self.cards, self.faders = Cards(engine), Faders(engine, binder)
        self.presets, self.transport = Presets(engine, do), Transport(binder, do)
        self.say = SayLine(engine)
        self.panic = large(action_button("panic", "PANIC", do))
        self.panic.setMinimumWidth(140)
        self.panic.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self.page_buttons = {name: action_button(name, name.capitalize(), do, checkable=True) for name in PAGES}
        self.pages = QStackedWidget()
        self._lay_out()
        self.banner.shown.connect(self.latency.setHidden)  # it takes that place, so that nothing else moves
        engine.online_changed.connect(self._on_online)
        engine.changed.connect(self._on_changed)
        engine.metered.connect(self._on_meters)
        engine.analysed.connect(self._on_spectrum)
        self.show_page("spectra")
        self._on_online(engine.online)

    def show_page(self, name: str) -> None:
        """Put one of PAGES into the middle."""
        self.pages.setCurrentIndex(PAGES.index(name))
        for page, button in self.page_buttons.items():
            button.setChecked(page == name)
        if name == "setup" and self.engine.online:
            self.setup.devices.look()

    def tick(self) -> None:
        """Take a point for the history, and refresh; called twice a second."""
        if self.engine.online:
            self.history.add(self.engine.mirror)
        self.refresh()

    def refresh(self) -> None:
        """Write the text that the status gives."""
        mirror, online = self.engine.mirror, self.engine.online
        self.lamp.show_state(mirror, online)
        self.figures.show_status(mirror, online)
        self.latency.show_parts({part: mirror.number(f"latency/{part}") if online else 0.0 for part in LATENCY_PARTS})
        recorded = mirror.number("recorded")
        running = online and mirror.text("state") in ("running", "device lost")
        self.transport.show_state(running, online and recorded > 0.0, recorded)
        self.setup.show_engine()
        self.banner.refresh()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Put presets beside the transport where there is room: how much they need depends on the fonts at hand."""
        direction = QBoxLayout.Direction
        needed = self._foot.spacing() + sum(p.minimumSizeHint().width() for p in (self.transport, self.presets))
        wide = self._foot.geometry().width() > needed
        self._foot.setDirection(direction.LeftToRight if wide else direction.BottomToTop)

    def _lay_out(self) -> None:
        spectra = QVBoxLayout()
        spectra.setContentsMargins(3, 3, 3, 3)
        spectra.setSpacing(3)
        for side, image in self.spectra.items():
            OscTip(image, f"/rtvox/spectrum/{side}", f"Ten seconds of the {side}, 0 to 24 kHz on the mel scale.")
            spectra.addWidget(image)
        for page in (panel(spectra), self.setup, self.history):
            self.pages.addWidget(page)
        head, body, middle = QHBoxLayout(), QHBoxLayout(), QVBoxLayout()
        head.addWidget(self.lamp)
        head.addSpacing(12)
        head.addWidget(self.figures, 1)
        for button in self.page_buttons.values():
            head.addWidget(button)
        middle.addWidget(self.pages, 1)
        middle.addWidget(self.cards)
        middle.addWidget(self.faders)
        middle.addWidget(self.say)
        body.addWidget(self.input)
        body.addLayout(middle, 1)
        body.addWidget(self.output)
        self._foot = QBoxLayout(QBoxLayout.Direction.BottomToTop)
        self._foot.setSpacing(8)
        self._foot.addWidget(self.transport, 3)
        self._foot.addWidget(self.presets, 2)
        foot = QHBoxLayout()
        foot.setSpacing(16)
        foot.addLayout(self._foot, 1)
        foot.addWidget(self.panic)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 10, 12, 12)
        column.setSpacing(8)
        column.addLayout(head)
        column.addWidget(self.latency)
        column.addWidget(self.banner)
        column.addLayout(body, 1)
        column.addLayout(foot)

    def _on_online(self, online: bool) -> None:
        for part in (self.cards, self.faders, self.say, self.presets, self.transport, self.input, self.output):
            part.setEnabled(online)
        if online and self.pages.currentWidget() is self.setup:
            self.setup.devices.look()
        self.refresh()

    def _on_changed(self, topic: str) -> None:
        mirror = self.engine.mirror
        if topic in ("model", "models", "controls", "waiting"):
            self.cards.rebuild()
            self.faders.rebuild()
        elif topic == "presets":
            self.presets.refill()
        elif topic == "voices":
            self.say.refill()
        elif topic == "devices":
            self.setup.devices.refresh()
        elif topic == "record" and mirror.record and not mirror.record.endswith((".wav", ".flac")):
            self.banner.warn(mirror.record)  # why the recording has ended
        elif topic == "status":
            # Where the CPU took over from a provider, the message says why.
            fallen = mirror.text("message") if mirror.number("fallbacks") else ""
            self.banner.last(mirror.text("error") or fallen)

    def _on_meters(self, input_peak: float, input_rms: float, output_peak: float, output_rms: float) -> None:
        self.input.meter.show_levels(input_peak, input_rms)
        self.output.meter.show_levels(output_peak, output_rms)

    def _on_spectrum(self, side: str, frame: np.ndarray) -> None:
        if side in self.spectra:
            self.spectra[side].push(frame)
