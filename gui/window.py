# SPDX-License-Identifier: GPL-3.0-or-later
"""Window: what each of ACTIONS does, and the life of a window: finding or starting an engine, what is kept, the end.

In: keys, buttons, MIDI. Out: OSC, through `remote.py`. Main thread; nothing here waits for the engine. Pictures follow
the engine's 30 Hz, text a timer of 2 Hz. Read next: `board.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PyQt6.QtCore import Qt, QTimer
from PyQt6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PyQt6.QtWidgets import QMainWindow, QMessageBox

from gui import theme
from gui.actions import ACTIONS, NUDGES, listed
from gui.board import PAGES, Board
from gui.caretaker import Caretaker
from gui.compare import Compare
from gui.launch import Launcher
from gui.learn import Learner
from gui.midi import Midi
from gui.remote import POLL_MS, RemoteEngine
from gui.settings import Settings

SLOW_MS = 500


class Window(QMainWindow):
    """One engine's window."""

    def __init__(self, engine: RemoteEngine, settings: Settings, launcher: Launcher | None = None) -> None:
        """Build all. A launcher starts an engine if none is found; None never does."""
        super().__init__()
        self.engine, self._settings = engine, settings
        self.caretaker = Caretaker(engine, settings, launcher, self)
        self.setWindowTitle("rtvox")
        self.midi = Midi(self._on_knob, self._on_key)
        self.midi.load(settings.midi)
        self.midi.open()
        self.compare = Compare(engine)
        self.board = Board(engine, self.midi, self.do)
        self.setCentralWidget(self.board)
        self.learner = Learner(self.midi, self)
        for action in ACTIONS.values():
            QShortcut(QKeySequence(action.key), self, partial(self.do, action.name))
        engine.online_changed.connect(self._on_online)
        engine.done.connect(self._on_done)
        engine.failed.connect(self._on_failed)
        setup = self.board.setup
        setup.theme.setCurrentText(settings.theme)
        setup.theme_asked.connect(self._set_theme)
        setup.forget_asked.connect(self._forget_midi)
        self.board.banner.asked.connect(self.caretaker.start)
        self.learner.chosen.connect(lambda name: self.board.banner.say(f"MIDI learn: move a knob for {name} ..."))
        self._timers = []
        for milliseconds, tick in ((POLL_MS, self._poll_midi), (SLOW_MS, self._tick)):
            timer = QTimer(self)
            timer.timeout.connect(tick)
            timer.start(milliseconds)
            self._timers.append(timer)
        self._tick()
        if not self.restoreGeometry(settings.geometry):
            self.resize(1280, 800)

    def do(self, name: str) -> None:
        """Do one of ACTIONS."""
        if name in NUDGES:
            self.engine.nudge(*NUDGES[name])
        elif name in PAGES:
            self.board.show_page(name)
        elif name.startswith("model_"):
            self.board.cards.load_number(0 if name == "model_none" else int(name.removeprefix("model_")))
        elif name in ("bypass", "mute"):
            self.engine.toggle(name)
        else:
            deeds: dict[str, Callable[[], None]] = {
                "live": self._switch_sound,
                "panic": self.engine.panic,
                "record": self._switch_recording,
                "compare": self._switch_side,
                "copy": self._copy_side,
                "preset_save": self._save_preset,
                "preset_next": partial(self.board.presets.step, 1),
                "preset_previous": partial(self.board.presets.step, -1),
                "learn": self._switch_learning,
                "theme": self._next_theme,
                "fullscreen": self._switch_fullscreen,
                "help": self._show_help,
            }
            deeds[name]()
        self.board.refresh()

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Keep what is to be kept; end an engine that this window has started, and all threads of the window."""
        if event and event.spontaneous() and self.caretaker.owner and self.engine.mirror.text("state") == "running":
            choice = self._ask_about_sound()
            if choice == QMessageBox.StandardButton.Cancel:
                event.ignore()
                return
            if choice == QMessageBox.StandardButton.No:
                self.caretaker.disown()
        self._settings.geometry, self._settings.midi = self.saveGeometry(), self.midi.dump()
        for timer in self._timers:
            timer.stop()
        if self.learner.on:
            self.learner.switch()
        self.midi.close()
        self.caretaker.close()
        self.engine.close()
        super().closeEvent(event)

    def _ask_about_sound(self) -> QMessageBox.StandardButton:
        """Ask whether a user who closes the window wants the sound to end: it may have been a slip of the hand."""
        button = QMessageBox.StandardButton
        box = QMessageBox(QMessageBox.Icon.Question, "rtvox", "Sound is running. Stop it?", parent=self)
        for choice, text in ((button.Yes, "Stop it"), (button.No, "Let it run, without a window"), (button.Cancel, "")):
            made = box.addButton(choice)
            if made is not None and text:
                made.setText(text)
        box.setDefaultButton(button.Cancel)
        return button(box.exec())

    def _tick(self) -> None:
        self.caretaker.tick()
        if self.caretaker.starting:
            self.board.banner.say("Starting the engine ...")
        elif self.caretaker.trouble:
            self.board.banner.last(self.caretaker.trouble, self.caretaker.offer)
        self.board.tick()

    def _on_online(self, online: bool) -> None:
        self.board.banner.last("")
        if online:
            self.board.banner.say(f"Connected to the engine at {self.engine.host}:{self.engine.port}.")
        self._tick()

    def _on_done(self, command: str, results: list[object]) -> None:
        said = {
            "/rtvox/preset/save": "Preset saved.",
            "/rtvox/preset/load": "Preset loaded.",
            "/rtvox/device": "These devices are in use now.",
        }.get(command, "")
        if command == "/rtvox/record":
            said = f"Recording {results[0]}" if results and results[0] else "The recording is complete."
        if said:
            self.board.banner.say(said)

    def _on_failed(self, command: str, reason: str) -> None:
        self.board.banner.warn(reason or f"{command} failed, and the engine does not say why.")

    def _on_knob(self, name: str, part: float) -> None:
        param = self.engine.mirror.param(name)
        if param and name not in ACTIONS:
            self.engine.set_param(name, param.low + part * (param.high - param.low))

    def _on_key(self, name: str) -> None:
        if name in ACTIONS:
            self.do(name)

    def _poll_midi(self) -> None:
        if bound := self.midi.poll():
            self.board.banner.say(f"MIDI learn: {bound} is bound.")
            self._settings.midi = self.midi.dump()
            self.board.setup.show_midi()

    def _forget_midi(self) -> None:
        self.midi.learnt.clear()
        self._settings.midi = self.midi.dump()
        self.board.setup.show_midi()

    def _switch_sound(self) -> None:
        self.engine.send("/rtvox/start" if self.engine.mirror.text("state") == "stopped" else "/rtvox/stop")

    def _switch_recording(self) -> None:
        self.engine.send("/rtvox/record", 0 if self.engine.mirror.number("recorded") else 1)

    def _switch_side(self) -> None:
        self.compare.switch()
        self.board.presets.show_side(self.compare.side)

    def _copy_side(self) -> None:
        self.compare.copy()
        self.board.banner.say("A and B are the same now.")

    def _save_preset(self) -> None:
        if name := self.board.presets.name:
            self.engine.send("/rtvox/preset/save", name)
        else:
            self.board.banner.say("Write a name for the preset first.")
            self.board.presets.names.setFocus()

    def _switch_learning(self) -> None:
        if not self.learner.on and not self.midi.ports:
            self.board.banner.say(self.midi.error or "No MIDI port is there.")
        else:
            self.learner.switch()
        self.board.setup.learn.setChecked(self.learner.on)
        if self.learner.on:
            self.board.banner.say("MIDI learn: click a control.")

    def _next_theme(self) -> None:
        modes = theme.MODES
        self._set_theme(modes[(modes.index(self._settings.theme) + 1) % len(modes)])

    def _set_theme(self, mode: str) -> None:
        self._settings.theme = mode
        self.board.setup.theme.setCurrentText(mode)
        theme.apply(mode)

    def _switch_fullscreen(self) -> None:
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def _show_help(self) -> None:
        rows = "".join(f"<tr><td><b>{key}</b>&nbsp;&nbsp;</td><td>{doc}</td></tr>" for key, doc in listed())
        box = QMessageBox(QMessageBox.Icon.NoIcon, "rtvox: keys", f"<table>{rows}</table>", parent=self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()
