# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings: what the window remembers between runs, where the system keeps such things (QSettings). Main thread."""

from __future__ import annotations

import json

from PyQt6.QtCore import QByteArray, QSettings

from gui.theme import MODES


class Settings:
    """Typed access; whatever is missing or damaged reads as its default."""

    def __init__(self, store: QSettings | None = None) -> None:
        self._store = store or QSettings("rtvox", "rtvox")

    @property
    def theme(self) -> str:
        """One of `theme.MODES`."""
        mode = str(self._store.value("theme", MODES[0]))
        return mode if mode in MODES else MODES[0]

    @theme.setter
    def theme(self, mode: str) -> None:
        self._store.setValue("theme", mode)

    @property
    def geometry(self) -> QByteArray:
        """Place and size of the window, as Qt packs it; empty at the first run."""
        value = self._store.value("geometry")
        return value if isinstance(value, QByteArray) else QByteArray()

    @geometry.setter
    def geometry(self, value: QByteArray) -> None:
        self._store.setValue("geometry", value)

    @property
    def midi(self) -> str:
        """What `Midi.dump` returned."""
        return str(self._store.value("midi", ""))

    @midi.setter
    def midi(self, text: str) -> None:
        self._store.setValue("midi", text)

    @property
    def sound(self) -> dict[str, object]:
        """The last session's sound, for an engine that this window starts: "model", "values", "device"."""
        try:
            found = json.loads(str(self._store.value("sound", "{}")))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @sound.setter
    def sound(self, value: dict[str, object]) -> None:
        self._store.setValue("sound", json.dumps(value))
