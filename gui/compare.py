# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare: two settings, A and B, and a way to hear them in turns. No widget here. Read next: `remote.py`."""

from __future__ import annotations

from gui.remote import RemoteEngine
from rtvox.params import PARAMS

# What shapes the sound; mute, bypass and what sounds at a miss stay as they are.
COMPARED = tuple(name for name in PARAMS if name not in ("bypass", "mute", "miss_policy"))


class Compare:
    """Which side is heard, and what the other one was."""

    def __init__(self, engine: RemoteEngine) -> None:
        self.side = "A"
        self._engine = engine
        self._other: tuple[str, dict[str, float]] | None = None  # model and values; None: the same as this side

    def switch(self) -> None:
        """Hear the other side; changes made since count for this one."""
        here, there = self._now(), self._other
        self.side = "B" if self.side == "A" else "A"
        self._other = here
        if there:
            self._engine.apply(*there)

    def copy(self) -> None:
        """Make the other side the same as this one."""
        self._other = self._now()

    def _now(self) -> tuple[str, dict[str, float]]:
        mirror = self._engine.mirror
        return mirror.model, {name: mirror.values[name] for name in (*COMPARED, *mirror.controls)}
