# SPDX-License-Identifier: GPL-3.0-or-later
"""RemoteEngine: the engine as the window deals with it. No widget here, so that it is tested without a screen.

In: OSC messages, which the client's thread puts into a queue, and calls of the window. Out: OSC messages, and signals.
`poll` runs in the main thread at 30 Hz, empties the queue and alone changes what is kept; a thousand changes of a
control between two polls are shown as one. Read next: `mirror.py`, `panels.py`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping

import numpy as np
from PyQt6.QtCore import QObject, QTimer, pyqtSignal

from gui.mirror import Mirror
from rtvox.osc import PORT, OscClient, Value
from rtvox.params import PARAMS

POLL_MS = 33  # the fast timer: meters and spectra come at 30 Hz
SILENT_S = 1.0  # an engine that has sent nothing for so long (30 meters) is away
RETRY_S = 0.5  # between attempts to find it
HOLD_S = 0.3  # after a change of ours, echoes of older ones are still on the way: they wait
ANSWER_S = 30.0  # a model from a slow disk, a device that must be tried twice; UDP may lose an answer
QUEUE = 20000  # messages; a window that stood still for minutes loses the oldest, and asks for all anew


class RemoteEngine(QObject):
    """One engine, near or far.

    Attributes:
        mirror: what it has told.
        online: it has been heard within the last second.
        waiting: addresses of asynchronous commands that are not answered yet, and when they were sent.
    """

    online_changed = pyqtSignal(bool)
    param_changed = pyqtSignal(str, float)
    changed = pyqtSignal(str)  # a topic of `Mirror.take`, at most once in a poll; or "waiting"
    metered = pyqtSignal(float, float, float, float)  # input peak, rms, output peak, rms in dB
    analysed = pyqtSignal(str, object)  # "input" or "output", (M,) float32 log-mel
    done = pyqtSignal(str, list)  # the command's address, its results
    failed = pyqtSignal(str, str)  # the command's address, the reason

    def __init__(self, host: str = "127.0.0.1", port: int = PORT, parent: QObject | None = None) -> None:
        """Open the connection and look for the engine. Raises: OscError if there is no such host."""
        super().__init__(parent)
        self.host, self.port = host, port
        self.mirror = Mirror()
        self.online, self._tried = False, -RETRY_S
        self.waiting: dict[str, float] = {}
        self._touched: dict[str, float] = {}  # control -> when it was changed here, for HOLD_S
        self._held: dict[str, float] = {}  # control of those -> what the engine has said since
        self._wishes: tuple[str, dict[str, float]] = "", {}  # a model that is being loaded, values for its controls
        # Filled by the client's thread, emptied by `poll`: a deque may be used from two threads.
        self._queue: deque[tuple[str, list[Value]]] = deque(maxlen=QUEUE)
        self._client = OscClient(host, port, lambda address, values: self._queue.append((address, values)))
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.poll)
        self._timer.start(POLL_MS)
        self._look()

    def close(self) -> None:
        """Unsubscribe, end the client's thread and the timer; the engine goes on. Harmless twice."""
        self._timer.stop()
        self._client.close()

    def set_param(self, name: str, value: float) -> None:
        """Ask for a value; every widget of this window shows it at once."""
        self._touched[name] = time.monotonic()
        self._held.pop(name, None)
        self._client.send(f"/rtvox/param/{name}", float(value))
        self._show(name, float(value))

    def nudge(self, name: str, steps: float) -> None:
        """Move a control by so many hundredths of its range; nothing happens if the model has no such control."""
        if param := self.mirror.param(name):
            value = self.mirror.values.get(name, param.default) + steps * (param.high - param.low) / 100
            self.set_param(name, min(max(value, param.low), param.high))

    def toggle(self, name: str) -> None:
        """Turn a switch the other way round."""
        self.set_param(name, float(not self.mirror.values.get(name, 0.0)))

    def send(self, address: str, *values: Value) -> None:
        """Send a command that answers; `done` or `failed` follows."""
        self.waiting[address] = time.monotonic()
        self.changed.emit("waiting")
        self._client.send(address, *values)

    def panic(self) -> None:
        """Silence now."""
        self._client.send("/rtvox/panic")

    def apply(self, model: str, values: Mapping[str, float]) -> None:
        """Ask for a model and values; those of its own controls are sent when it has been loaded."""
        for name in values.keys() & PARAMS.keys():
            self.set_param(name, values[name])
        self._wishes = model, {name: value for name, value in values.items() if name not in PARAMS}
        if model == self.mirror.model:
            self._grant()
        else:
            self.send("/rtvox/model", model)

    def poll(self) -> None:
        """Take in what has come, and notice an engine that has come or gone."""
        online = time.monotonic() - self._client.heard < SILENT_S
        if online != self.online:
            self._turn(online)
        if not online or len(self._queue) == QUEUE:
            self._look()
        topics: dict[str, None] = {}
        meters: list[Value] = []
        while self._queue:
            address, values = self._queue.popleft()
            if address == "/rtvox/meters":
                meters = values  # the newest counts
            elif address.startswith("/rtvox/spectrum/"):
                self._analyse(address, values)
            else:
                topics[self._take(address, values)] = None
        if "model" in topics and self.mirror.model == self._wishes[0]:
            self._grant()
        for name, at in list(self._touched.items()):
            if time.monotonic() - at >= HOLD_S:
                self._settle(name)
        for address, sent in list(self.waiting.items()):
            if time.monotonic() - sent > ANSWER_S:
                self._answer(False, address, [f"{address}: no answer in {ANSWER_S:g} s; try again"])
        for topic in filter(None, topics):
            self.changed.emit(topic)
        if len(meters) == 4:
            self.metered.emit(*(float(value) for value in meters))

    def _turn(self, online: bool) -> None:
        self.online = online
        self.waiting.clear()
        self._held.clear()
        self._touched.clear()
        self.changed.emit("waiting")
        self.online_changed.emit(online)

    def _look(self) -> None:
        """Ask for everything, now and then; an engine that is there answers."""
        if time.monotonic() - self._tried >= RETRY_S:
            self._tried = time.monotonic()
            self._client.subscribe(spectra=True)

    def _show(self, name: str, value: float) -> None:
        if self.mirror.values.get(name) != value:
            self.mirror.values[name] = value
            self.param_changed.emit(name, value)

    def _settle(self, name: str) -> None:
        """Show what the engine has said since a change of ours; ask it if it has said nothing."""
        del self._touched[name]
        if name in self._held:
            self._show(name, self._held.pop(name))
        else:
            self._client.send(f"/rtvox/param/{name}")

    def _take(self, address: str, values: list[Value]) -> str:
        """Take in one message and return its topic; one that is not as docs/osc.md says is left alone."""
        try:
            if address.startswith("/rtvox/param/"):
                self._hear(address.removeprefix("/rtvox/param/"), float(values[0]))
            elif address in ("/rtvox/done", "/rtvox/fail"):
                self._answer(address == "/rtvox/done", str(values[0]), values[1:])
            else:
                return self.mirror.take(address, values)
        except (IndexError, TypeError, ValueError):
            pass
        return ""

    def _hear(self, name: str, value: float) -> None:
        if name in self._touched:
            self._held[name] = value
        else:
            self._show(name, value)

    def _answer(self, done: bool, command: str, results: list[Value]) -> None:
        if self.waiting.pop(command, None):
            self.changed.emit("waiting")
        if done:
            self.done.emit(command, results)
        else:
            self.failed.emit(command, str(results[0]) if results else "")
        if command == "/rtvox/model" and not done:
            self._wishes = "", {}

    def _grant(self) -> None:
        """Ask for the values that were wished for the controls of the model in use."""
        _, wishes = self._wishes
        for name in wishes.keys() & self.mirror.controls.keys():
            self.set_param(name, wishes[name])
        self._wishes = "", {}

    def _analyse(self, address: str, values: list[Value]) -> None:
        if values and isinstance(values[0], bytes) and len(values[0]) % 4 == 0:
            self.analysed.emit(address.rpartition("/")[2], np.frombuffer(values[0], ">f4").astype(np.float32))
