# SPDX-License-Identifier: GPL-3.0-or-later
"""Caretaker: sees to it that there is an engine, as far as a window can, and that the next one sounds like the last.

In: whether the engine is heard, `tick` twice a second. Out: a process, and what to tell the user. No widget here. Main
thread. Read next: `window.py`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from PyQt6.QtCore import QObject, QTimer

from gui.compare import COMPARED
from gui.launch import Launcher
from gui.remote import RemoteEngine
from gui.settings import Settings

FIND_MS = 800  # a running engine answers within this; after it, one is started
START_S = 20.0  # an engine that has not answered by then has failed: a GPU's libraries may take ten
FAILED = "rtvox: error:"  # how the command line begins its last words


class Caretaker(QObject):
    """Finds an engine or starts one; without a launcher it waits for one elsewhere.

    Attributes:
        trouble: what is wrong at the moment, for the user, or "".
        offer: what `start` would do about it, or "".
    """

    def __init__(self, engine: RemoteEngine, settings: Settings, launcher: Launcher | None, parent: QObject) -> None:
        super().__init__(parent)
        self.trouble = self.offer = ""
        self._engine, self._settings, self._launcher = engine, settings, launcher
        self._started_at = -START_S
        self._plain = False  # start without the last session's sound, since it was not to be had
        engine.online_changed.connect(self._on_online)
        if launcher:
            QTimer.singleShot(FIND_MS, self._start_if_alone)

    def start(self) -> None:
        """Start an engine, unless one is being started; it shows up by itself when it is ready."""
        if self._launcher and not self.starting:
            self._started_at = time.monotonic()
            flags = [] if self._plain else flags_of(self._settings.sound)
            if not self._launcher.start(flags):
                self._started_at = -START_S
        self.tick()

    def tick(self) -> None:
        """See how things stand."""
        self.trouble = self.offer = ""
        if self._engine.online:
            self._started_at, self._plain = -START_S, False
            return
        words = self._launcher.last_words() if self._launcher and self._launcher.started else ""
        if self.starting and FAILED in words:
            self._started_at = -START_S
            if not self._plain:
                self._plain = True
                self.start()
                return
        if not self.starting:
            heard = f" Its last words: {words}" if FAILED in words else ""
            where = f"{self._engine.host}:{self._engine.port}"
            self.trouble = f"No engine answers at {where}. The window connects by itself when one does.{heard}"
            self.offer = "Start the engine" if self._launcher else ""

    def close(self) -> None:
        """Keep the sound for the next time, and end the engine if this window has started it."""
        if self._engine.online:
            self._keep()
        if self._launcher:
            if self.owner:
                self._engine.send("/rtvox/quit")
            self._launcher.tidy()

    @property
    def owner(self) -> bool:
        """Whether the engine, if there is one, is ours."""
        return bool(self._launcher and self._launcher.started)

    def disown(self) -> None:
        """Let the engine go on when the window is closed."""
        if self._launcher:
            self._launcher.started = False

    @property
    def starting(self) -> bool:
        """Whether an engine has been started and has not answered yet."""
        return time.monotonic() - self._started_at < START_S

    def _keep(self) -> None:
        mirror = self._engine.mirror
        values = {name: mirror.values[name] for name in (*COMPARED, *mirror.controls, "miss_policy")}
        self._settings.sound = {"model": mirror.model, "values": values, "device": mirror.device}

    def _on_online(self, online: bool) -> None:
        if not online:  # if it has crashed, the next one goes on as it was
            self._keep()

    def _start_if_alone(self) -> None:
        if not self._engine.online:
            self.start()


def flags_of(sound: Mapping[str, object]) -> list[str]:
    """Return the flags of `rtvox engine` that bring back what `Settings.sound` holds.

    >>> flags_of({"model": "isolate", "values": {"mix": 0.5}, "device": {"input": "", "block": 64}})
    ['--model', 'isolate', '--set', 'mix=0.5', '--block', '64']
    """
    flags = []
    model, values, device = (sound.get(key) for key in ("model", "values", "device"))
    if isinstance(model, str):
        flags += ["--model", model]
    if isinstance(values, dict):
        for name, value in values.items():
            flags += ["--set", f"{name}={value}"]
    if isinstance(device, dict):
        for name in ("input", "output", "block"):
            if device.get(name):
                flags += [f"--{name}", str(device[name])]
    return flags
