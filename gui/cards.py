# SPDX-License-Identifier: GPL-3.0-or-later
"""Model cards: one per model file, the one in use framed. Main thread. Read next: `panels.py`."""

from __future__ import annotations

from dataclasses import replace

from PyQt6.QtCore import QSize, Qt
from PyQt6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from gui.controls import OscTip, label
from gui.mirror import NO_MODEL, Model
from gui.remote import RemoteEngine
from gui.theme import font


class Card(QPushButton):
    """What a model is called, what it does, and its delay."""

    def __init__(self, model: Model, key: str) -> None:
        super().__init__()
        self.setCheckable(True)
        self.setObjectName("card")
        self.model = model
        self.title = "No model" if model.name == NO_MODEL else model.title or model.name
        title, detail = label(self.title, "title"), label("", "caption")
        self.detail = detail
        title.setFont(font(13, bold=True))
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 8, 14, 8)
        column.setSpacing(2)
        for line in (title, detail):
            line.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            line.setStyleSheet("background: transparent;")
            column.addWidget(line)
        self.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(self.title)
        licences = f"\nLicences of its data: {model.licences}" if model.licences else ""
        OscTip(self, f"/rtvox/model {model.name}", f"{self.title}{licences}", key)
        self.show_waiting(False)

    def sizeHint(self) -> QSize:
        """Return the size of what it says."""
        layout = self.layout()
        assert layout is not None
        return layout.sizeHint()

    def show_waiting(self, waiting: bool) -> None:
        """Say that it is being loaded."""
        model = self.model
        words = (
            "analysis and synthesis alone"
            if model.name == NO_MODEL
            else f"{model.name} · {model.role} · {model.delay_ms:.1f} ms"
        )
        self.detail.setText("loading …" if waiting else words)


class Cards(QScrollArea):
    """A row of cards; a click loads the model."""

    def __init__(self, engine: RemoteEngine) -> None:
        super().__init__()
        self._engine, self._asked = engine, ""
        self.cards: dict[str, Card] = {}
        self._group = QButtonGroup(self)
        self._group.setExclusive(False)
        inner = QWidget()
        self._row = QHBoxLayout(inner)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.addStretch(1)
        self.setWidget(inner)
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._drawn: list[Model] = []
        self.rebuild()

    def sizeHint(self) -> QSize:
        """Return the height of a card and its scroll bar."""
        return QSize(400, 74)

    def minimumSizeHint(self) -> QSize:
        """Return the least size at which one card can be read."""
        return QSize(150, 74)

    def rebuild(self) -> None:
        """Make a card for each model that the engine has; the first is "none"."""
        wanted = [replace(model, controls={}) for model in self._engine.mirror.models.values()]
        if wanted != self._drawn:
            self._drawn = wanted
            for card in self.cards.values():
                self._row.removeWidget(card)
                card.deleteLater()
            self.cards = {}
            for number, model in enumerate(wanted):
                card = self.cards[model.name] = Card(model, str(number) if number < 10 else "")
                card.clicked.connect(lambda _on, name=model.name: self.load(name))
                card.setProperty("learn", "model_none" if number == 0 else f"model_{number}")
                self._row.insertWidget(number, card)
        self.refresh()

    def load(self, name: str) -> None:
        """Ask for a model."""
        self._asked = name
        self._engine.send("/rtvox/model", name)
        self.refresh()

    def load_number(self, number: int) -> None:
        """Ask for the model of that place, 0 for none; nothing happens if there is none."""
        if number < len(self._drawn):
            self.load(self._drawn[number].name)

    def refresh(self) -> None:
        """Mark the model in use, and the one that is being loaded."""
        loading = self._asked if "/rtvox/model" in self._engine.waiting else ""
        for name, card in self.cards.items():
            card.setChecked(name == self._engine.mirror.model)
            card.show_waiting(name == loading)
