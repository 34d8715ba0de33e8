# SPDX-License-Identifier: GPL-3.0-or-later
"""SayLine: a line of text that the engine says as if into its microphone.

In: the engine's voices. Out: /rtvox/say. In sight only where there is a voice. Main thread. Read next: `board.py`.
"""

from __future__ import annotations

from PyQt6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QWidget

from gui.controls import OscTip
from gui.remote import RemoteEngine

LONGEST = 2000  # characters: one OSC packet holds them in any script


class SayLine(QWidget):
    """What to say, and with which voice."""

    def __init__(self, engine: RemoteEngine) -> None:
        super().__init__()
        self._engine = engine
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.text, self.voices = QLineEdit(), QComboBox()
        self.text.setPlaceholderText("Say ...")
        self.text.setMaxLength(LONGEST)
        self.text.returnPressed.connect(self._say)
        OscTip(self.text, "/rtvox/say", "Speaks as if into the microphone, through the model. Enter says it.")
        for widget in (self.text, self.voices):
            row.addWidget(widget, 1 if widget is self.text else 0)
            widget.setMinimumHeight(36)
        self.refill()

    def refill(self) -> None:
        """Show the voices that are there now."""
        voice = self.voices.currentText()
        self.voices.clear()
        self.voices.addItems(self._engine.mirror.voices)
        self.voices.setCurrentIndex(max(0, self.voices.findText(voice)))
        self.setVisible(self.voices.count() > 0)

    def _say(self) -> None:
        if self.text.text().strip():
            self._engine.send("/rtvox/say", self.text.text(), self.voices.currentText())
            self.text.clear()
