# SPDX-License-Identifier: GPL-3.0-or-later
"""Banner: one line for faults and notes, above everything and never in front of it. Main thread."""

from __future__ import annotations

import time

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QWidget

from gui.controls import label

WARN_S, SAY_S = 10.0, 4.0  # how long a fault and a note are shown


class Banner(QWidget):
    """Shows the weightiest thing there is to say: a lasting fault, else a fault that passed, else a note.

    A note never hides a fault. `asked`: the button beside a lasting fault was pressed.
    """

    asked = pyqtSignal()
    shown = pyqtSignal(bool)  # whether there is anything to read

    def __init__(self) -> None:
        super().__init__()
        self.label = label()
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.button, self.close_button = QPushButton(), QPushButton("✕")
        self.close_button.setAccessibleName("Dismiss")
        self.button.clicked.connect(self.asked)
        self.close_button.clicked.connect(self._dismiss)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (self.label, self.button, self.close_button):
            row.addWidget(widget)
        self._lasting, self._offer, self._dismissed = "", "", ""
        self._passing = ("note", "", 0.0)  # kind, text, until when
        self.refresh()

    @property
    def text(self) -> str:
        """What is shown, or ""."""
        return self.label.text() if not self.isHidden() else ""

    def last(self, text: str, offer: str = "") -> None:
        """Show a fault for as long as it lasts, "" for none; `offer` is a way out, on a button."""
        if text != self._dismissed:
            self._dismissed = ""
        self._lasting, self._offer = text, offer
        self.refresh()

    def warn(self, text: str) -> None:
        """Show a fault for a while."""
        self._passing = "banner", text, time.monotonic() + WARN_S
        self.refresh()

    def say(self, text: str) -> None:
        """Show a note for a while, unless a fault is shown."""
        if self._passing[0] == "note" or time.monotonic() > self._passing[2]:
            self._passing = "note", text, time.monotonic() + SAY_S
        self.refresh()

    def refresh(self) -> None:
        """Show what is to be shown now; called now and then, since notes pass."""
        kind, text, until = self._passing
        if time.monotonic() > until:
            kind, text = "note", ""
        lasting = self._lasting if self._lasting != self._dismissed else ""
        if lasting:
            kind, text = "banner", lasting
        if kind != self.label.objectName():
            self.label.setObjectName(kind)
            self.label.setStyleSheet("")  # makes Qt look at the name again
            if style := self.label.style():
                style.unpolish(self.label)
                style.polish(self.label)
        if text != self.label.text():
            self.label.setText(text)
        self.button.setText(self._offer)
        self.button.setVisible(bool(lasting and self._offer))
        if self.isHidden() == bool(text):
            self.setVisible(bool(text))
            self.shown.emit(bool(text))

    def _dismiss(self) -> None:
        if self._lasting and self._lasting != self._dismissed:
            self._dismissed = self._lasting
        else:
            self._passing = "note", "", 0.0
        self.refresh()
