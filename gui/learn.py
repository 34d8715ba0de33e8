# SPDX-License-Identifier: GPL-3.0-or-later
"""Learner: while MIDI learn is on, a click chooses a control and does not move it. Main thread."""

from __future__ import annotations

from PyQt6.QtCore import QEvent, QObject, pyqtSignal
from PyQt6.QtWidgets import QApplication, QWidget

from gui.midi import Midi

NOT_LEARNT = ("learn", "spectra", "setup", "history")  # clicks on these do what they always do


class Learner(QObject):
    """`on` says whether MIDI learn is on; `chosen` tells which control or action waits for its knob or key."""

    chosen = pyqtSignal(str)

    def __init__(self, midi: Midi, parent: QObject) -> None:
        super().__init__(parent)
        self.on = False
        self._midi = midi

    def switch(self) -> None:
        """Turn it on, or off."""
        self.on, self._midi.target = not self.on, ""
        application = QApplication.instance()
        assert application is not None
        if self.on:
            application.installEventFilter(self)
        else:
            application.removeEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Take a click on something that can be learnt."""
        if event is None or event.type() not in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease):
            return False
        widget = watched if isinstance(watched, QWidget) else None
        while widget is not None and not widget.property("learn"):
            widget = widget.parentWidget()
        name = str(widget.property("learn")) if widget is not None else ""
        if not name or name in NOT_LEARNT:
            return False
        if event.type() == QEvent.Type.MouseButtonPress:
            self._midi.target = name
            self.chosen.emit(name)
        return True
