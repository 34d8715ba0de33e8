# SPDX-License-Identifier: GPL-3.0-or-later
"""MIDI learn: knobs and keys of a controller move controls and do actions.

In: MIDI messages, in a thread of rtmidi's, which puts them into a queue; `poll` empties it in the main thread. Out:
calls of `on_knob` and `on_key`. Without mido, python-rtmidi or a port, `ports` is empty and all else does nothing.
Read next: `window.py`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

try:
    import mido
except ImportError:  # the extra `midi` is not installed
    mido = None

QUEUE = 1000  # messages between two polls: far more than a knob sends in 33 ms
PRESSED = 64  # a controller at or above it is a pressed button: MIDI 1.0, switches


class Midi:
    """What is learnt, and the open ports.

    Attributes:
        learnt: "CHANNEL/cc/NUMBER" or "CHANNEL/note/NUMBER" -> name of a control or an action.
        target: what the next knob or key will be bound to, or "".
        ports: names of the open ports.
        error: why ports cannot be listed or opened, or "".
    """

    def __init__(self, on_knob: Callable[[str, float], None], on_key: Callable[[str], None]) -> None:
        """Take what to call: on_knob(name, 0 to 1) for every change, on_key(name) when pressed."""
        self.learnt: dict[str, str] = {}
        self.target = self.error = ""
        self.ports: list[str] = []
        self._on_knob, self._on_key = on_knob, on_key
        self._open: list[Any] = []
        self._pressed: set[str] = set()  # keys and switches that are down
        self._queue: deque[Any] = deque(maxlen=QUEUE)  # a deque may be filled by one thread and emptied by another

    def open(self) -> None:
        """Open all ports that are there now."""
        self.close()
        self.error = "" if mido else 'mido is not installed: pip install "rtvox[midi]"'
        try:
            for name in dict.fromkeys(mido.get_input_names()) if mido else ():
                self._open.append(mido.open_input(name, callback=self._queue.append))
                self.ports.append(name)
        except Exception as error:  # whatever rtmidi or a driver raises: the window works without MIDI
            self.error = f"MIDI: {error}"

    def close(self) -> None:
        """Close all ports; rtmidi's threads end."""
        for port in self._open:
            port.close()
        self._open, self.ports = [], []

    def poll(self) -> str:
        """Do what has come; return the name that was bound just now, or ""."""
        bound = ""
        while self._queue:
            bound = self._take(self._queue.popleft()) or bound
        return bound

    def forget(self, name: str) -> None:
        """Unbind a control or an action."""
        self.learnt = {source: bound for source, bound in self.learnt.items() if bound != name}

    def dump(self) -> str:
        """Return what is learnt as JSON."""
        return json.dumps(self.learnt, sort_keys=True)

    def load(self, text: str) -> None:
        """Take what `dump` returned; anything else means nothing learnt."""
        try:
            found = json.loads(text or "{}")
            self.learnt = {str(source): str(name) for source, name in found.items()}
        except (ValueError, AttributeError):
            self.learnt = {}

    def _take(self, message: Any) -> str:
        if message.type == "control_change":
            source, value = f"{message.channel + 1}/cc/{message.control}", message.value
        elif message.type in ("note_on", "note_off"):
            source, value = f"{message.channel + 1}/note/{message.note}", message.velocity
            value = 127 if value and message.type == "note_on" else 0
        else:
            return ""
        if self.target and value:
            self.forget(self.target)
            self.learnt[source], bound, self.target = self.target, self.target, ""
            self._pressed.add(source)  # the press that teaches does nothing else
            return bound
        if name := self.learnt.get(source):
            self._on_knob(name, value / 127)
            if value >= PRESSED and source not in self._pressed:
                self._on_key(name)
        (self._pressed.add if value >= PRESSED else self._pressed.discard)(source)
        return ""
