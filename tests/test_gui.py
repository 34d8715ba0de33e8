"""The window with an engine: both ways for every control, an engine that goes and comes, and the end of it all."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import pytest
from audio_systems import require, running
from playing import wait_for
from PyQt6.QtCore import QEvent, QSettings, Qt
from PyQt6.QtWidgets import QApplication, QMessageBox, QPushButton, QWidget
from pytestqt.qtbot import QtBot
from test_patches import BESIDE, free_port

from gui import theme
from gui.__main__ import main
from gui.controls import Choice, Fader, Toggle
from gui.launch import Launcher
from gui.panels import Control
from gui.remote import HOLD_S, RemoteEngine
from gui.settings import Settings
from gui.window import Window
from rtvox.device import Device
from rtvox.engine import Engine
from rtvox.errors import DeviceError
from rtvox.features import Array
from rtvox.file_device import FileDevice
from rtvox.host import DeviceRow
from rtvox.osc_commands import Commands
from rtvox.osc_server import OscServer
from rtvox.params import PARAMS
from rtvox.presets import DeviceChoice
from rtvox.session import Session

ROOT = Path(__file__).resolve().parent.parent
LEFT = Qt.MouseButton.LeftButton
WAIT_MS = 20000  # far more than anything takes, on a machine that does other work, too
CARD = DeviceRow("JACK", "system", "system", 2, 2, 48000, True, True, "a card")
OTHER = DeviceRow("ALSA", "hw", 0, 1, 2, 44100)


class Station:
    """An engine that plays noise on a real clock, with an OSC server that can be taken away."""

    def __init__(self, noise: Array, folder: Path) -> None:
        self.noise, self.chosen = np.tile(noise, 60), [DeviceChoice()]
        # A reserve of 0.3 s: what is tested here is the window, not whether this machine keeps up.
        self.engine = Engine(self.open(DeviceChoice()), reserve_ms=300.0)
        self.session = Session(
            self.engine, presets=folder / "presets", recordings=folder / "takes",
            open_device=self.open, check_device=lambda _: None,
        )  # fmt: skip
        self.port = 0
        self.server = self.serve()
        self.engine.start()

    def open(self, choice: DeviceChoice) -> Device:
        if choice.input == OTHER.full_name:
            raise DeviceError("hw: busy")
        self.chosen.append(choice)
        return FileDevice(self.noise, block=choice.block, clock="real")

    def serve(self) -> OscServer:
        self.server = OscServer(Commands(self.session), port=self.port)
        self.port = self.server.port
        self.server.start()
        return self.server

    def close(self) -> None:
        self.server.close()
        self.engine.stop()

    def value(self, name: str) -> float:
        return self.engine.params.get(name)


@pytest.fixture
def station(
    noise: Array, tmp_path: Path, full_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Generator[Station, None, None]:
    monkeypatch.setenv("RTVOX_MODELS", str(full_model_path.parent))
    monkeypatch.setattr("rtvox.devices.list_devices", lambda: [CARD, OTHER])
    station = Station(noise, tmp_path)
    yield station
    station.close()


Open = Callable[..., Window]


@pytest.fixture
def open_window(station: Station, qtbot: QtBot, tmp_path: Path) -> Open:
    def open_(closing: bool = True) -> Window:
        settings = Settings(QSettings(str(tmp_path / "rtvox.ini"), QSettings.Format.IniFormat))
        window = Window(RemoteEngine("127.0.0.1", station.port), settings)
        if closing:
            qtbot.addWidget(window)
        window.show()
        qtbot.waitUntil(lambda: window.engine.online and "full" in window.engine.mirror.models, timeout=WAIT_MS)
        return window

    return open_


@pytest.fixture
def window(open_window: Open) -> Window:
    return open_window()


def load_full(window: Window, qtbot: QtBot) -> Fader:
    qtbot.mouseClick(window.board.cards.cards["full"], LEFT)
    qtbot.waitUntil(lambda: "depth" in window.board.faders.own, timeout=WAIT_MS)
    return window.board.faders.own["depth"]


def controls(window: Window) -> list[tuple[str, Control]]:
    board = window.board
    return [
        *board.input.faders.items(),
        *board.output.faders.items(),
        ("mix", board.faders.mix),
        *board.faders.own.items(),
        ("gate_threshold", board.input.meter),
        ("bypass", board.transport.bypass),
        ("mute", board.transport.mute),
        *board.setup.rest.items(),
    ]


def move(control: Control, qtbot: QtBot) -> None:
    """Change a control as a hand does."""
    if isinstance(control, Fader):
        key = Qt.Key.Key_End if control.value != control.param.high else Qt.Key.Key_Home
        qtbot.keyClick(control, key)
    elif isinstance(control, Choice):
        next(button for button in control.buttons if not button.isChecked()).click()
    elif isinstance(control, Toggle):
        qtbot.mouseClick(control, LEFT)
    else:
        assert isinstance(control, QWidget)
        qtbot.mouseClick(control, LEFT, pos=control.rect().center())


def shown(control: Control) -> float:
    if isinstance(control, Toggle):
        return float(control.isChecked())
    return float(control.value)  # type: ignore[attr-defined]


def test_every_control_moves_the_engine_and_is_moved_by_it(window: Window, station: Station, qtbot: QtBot) -> None:
    load_full(window, qtbot)
    seen = set()
    for name, control in controls(window):
        before = station.value(name)
        move(control, qtbot)
        qtbot.waitUntil(lambda name=name, before=before: station.value(name) != before, timeout=WAIT_MS)
        assert station.value(name) == pytest.approx(shown(control), abs=1e-6)
        assert window.engine.mirror.values[name] == shown(control)
        param = window.engine.mirror.param(name)
        assert param is not None
        wanted = next(value for value in (param.low, param.high) if value != station.value(name))
        station.engine.set(name, wanted)
        qtbot.waitUntil(lambda c=control, v=wanted: shown(c) == pytest.approx(v), timeout=WAIT_MS)
        seen.add(name)
    assert seen == {*PARAMS, "depth"}


def test_what_the_engine_says_is_never_sent_back(
    window: Window, station: Station, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_full(window, qtbot)
    qtbot.wait(round(2000 * HOLD_S))
    sent: list[str] = []
    monkeypatch.setattr(window.engine._client, "send", lambda address, *values: sent.append(address))
    for name in (*PARAMS, "depth"):
        station.engine.set(name, window.engine.mirror.param(name).high)  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: window.board.faders.own["depth"].value == 1.0, timeout=WAIT_MS)
    qtbot.wait(round(2000 * HOLD_S))
    assert sent == []


def test_a_sweep_is_never_pulled_back_by_its_echo_and_ends_exactly(
    open_window: Open, station: Station, qtbot: QtBot
) -> None:
    first, second = open_window(), open_window()
    fader, seen = first.board.faders.mix, []
    for step in range(51):
        first.engine.set_param("mix", step / 50)
        qtbot.wait(5)
        seen.append(fader.value)
    assert seen == sorted(seen)
    qtbot.waitUntil(lambda: second.board.faders.mix.value == 1.0, timeout=WAIT_MS)
    qtbot.wait(round(2000 * HOLD_S))
    assert [fader.value, second.board.faders.mix.value, station.value("mix")] == [1.0, 1.0, 1.0]
    second.engine.set_param("mix", 0.25)
    qtbot.waitUntil(lambda: fader.value == 0.25, timeout=WAIT_MS)


def test_two_windows_and_a_pure_data_patch_agree(
    open_window: Open, station: Station, qtbot: QtBot, tmp_path: Path
) -> None:
    require("pd")
    windows, port = [open_window(), open_window()], free_port()
    beside, said = tmp_path / "beside.pd", tmp_path / "said"
    beside.write_text(BESIDE.format(port=port))
    patches = ("-open", str(ROOT / "examples" / "rtvox.pd"), "-open", str(beside))
    with (
        said.open("w") as out,
        running("pd", "-nogui", "-noaudio", "-noprefs", "-stderr", *patches, stderr=out),
        socket.socket() as sock,
    ):
        qtbot.waitUntil(lambda: sock.connect_ex(("127.0.0.1", port)) == 0, timeout=60000)
        sock.sendall(f"rtvox-connect {station.port};\n".encode())
        qtbot.waitUntil(lambda: "heard: rtvox models" in said.read_text(), timeout=60000)
        sock.sendall(b"rtvox-mix 0.25;\n")
        for window in windows:
            qtbot.waitUntil(lambda w=window: w.board.faders.mix.value == 0.25, timeout=WAIT_MS)
        windows[0].engine.set_param("mix", 0.75)
        qtbot.waitUntil(lambda: windows[1].board.faders.mix.value == 0.75, timeout=WAIT_MS)
        qtbot.waitUntil(lambda: "heard: rtvox param mix 0.75" in said.read_text(), timeout=WAIT_MS)
        windows[1].engine.set_param("mix", 0.5)
        qtbot.waitUntil(lambda: "heard: rtvox param mix 0.5" in said.read_text(), timeout=WAIT_MS)
        qtbot.wait(round(2000 * HOLD_S))
        assert [station.value("mix"), *(window.board.faders.mix.value for window in windows)] == [0.5, 0.5, 0.5]


def test_a_datagram_that_is_lost_does_not_leave_the_window_wrong(
    window: Window, station: Station, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as lossy:
        lossy.setattr(window.engine._client, "send", lambda *_: None)
        window.engine.set_param("mix", 0.5)
    assert window.board.faders.mix.value == 0.5
    qtbot.waitUntil(lambda: window.board.faders.mix.value == 1.0, timeout=WAIT_MS)
    assert station.value("mix") == 1.0


def test_a_command_without_an_answer_is_given_up(window: Window, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gui.remote.ANSWER_S", 0.5)
    monkeypatch.setattr(window.engine._client, "send", lambda *_: None)
    card = window.board.cards.cards["full"]
    qtbot.mouseClick(card, LEFT)
    assert card.detail.text() == "loading …"
    qtbot.waitUntil(lambda: "no answer" in window.board.banner.text, timeout=WAIT_MS)
    assert card.detail.text() != "loading …"
    assert not card.isChecked()


def test_nonsense_from_the_network_is_left_alone(window: Window, qtbot: QtBot) -> None:
    engine = window.engine
    for message in (
        ("/rtvox/param/mix", ["loud"]),
        ("/rtvox/param/mix", []),
        ("/rtvox/meters", [1.0]),
        ("/rtvox/spectrum/input", [b"abc"]),
        ("/rtvox/spectrum/sideways", [b"\0" * 320]),
        ("/rtvox/models/control", ["full"]),
        ("/rtvox/status/misses", []),
        ("/rtvox/done", []),
        ("/other", [1]),
    ):
        engine._queue.append(message)
    engine.poll()
    assert window.board.faders.mix.value == 1.0


def test_meters_spectra_and_figures_follow(window: Window, station: Station, qtbot: QtBot) -> None:
    board = window.board
    qtbot.waitUntil(lambda: board.input.meter.ballistics.rms > -30.0, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: board.output.meter.ballistics.rms > -30.0, timeout=WAIT_MS)
    for image in board.spectra.values():
        qtbot.waitUntil(lambda image=image: image.levels.max() > 100, timeout=WAIT_MS)
    latency = f"{station.engine.status().latency.total_ms:.1f} ms"
    qtbot.waitUntil(lambda: board.figures.latency.text == latency, timeout=WAIT_MS)
    latency = f"{station.engine.status().latency.total_ms:.1f} ms"
    qtbot.waitUntil(lambda: board.figures.latency.text == latency, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: sum(board.latency.parts.values()) > 300.0, timeout=WAIT_MS)
    assert board.lamp.text == "LIVE"


def test_start_stop_panic_and_keys(window: Window, station: Station, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: "STOP" in window.board.transport.live.text(), timeout=WAIT_MS)
    qtbot.keyClick(window, Qt.Key.Key_S)
    qtbot.waitUntil(lambda: station.engine.status().state == "stopped", timeout=WAIT_MS)
    qtbot.waitUntil(lambda: window.board.lamp.text == "STOPPED", timeout=WAIT_MS)
    qtbot.mouseClick(window.board.transport.live, LEFT)
    qtbot.waitUntil(lambda: station.engine.status().state == "running", timeout=WAIT_MS)
    for key, name, value in (
        (Qt.Key.Key_B, "bypass", 1.0),
        (Qt.Key.Key_B, "bypass", 0.0),
        (Qt.Key.Key_BracketLeft, "mix", 0.95),
        (Qt.Key.Key_Period, "input_gain", 1.0),
        (Qt.Key.Key_Minus, "output_gain", -1.0),
        (Qt.Key.Key_Apostrophe, "gate_threshold", -99.0),
        (Qt.Key.Key_Escape, "mute", 1.0),
        (Qt.Key.Key_M, "mute", 0.0),
    ):
        qtbot.keyClick(window, key)
        qtbot.waitUntil(lambda n=name, v=value: station.value(n) == pytest.approx(v, abs=1e-5), timeout=WAIT_MS)
        qtbot.waitUntil(lambda n=name, v=value: window.engine.mirror.values[n] == pytest.approx(v, abs=1e-5))
    qtbot.mouseClick(window.board.panic, LEFT)
    qtbot.waitUntil(lambda: window.board.transport.mute.isChecked(), timeout=WAIT_MS)


def test_a_recording_shows_its_time(window: Window, qtbot: QtBot, tmp_path: Path) -> None:
    button = window.board.transport.record
    qtbot.keyClick(window, Qt.Key.Key_R)
    qtbot.waitUntil(lambda: button.text() == "● 00:01" and button.isChecked(), timeout=WAIT_MS)
    qtbot.mouseClick(button, LEFT)
    qtbot.waitUntil(lambda: button.text() == "● REC" and not button.isChecked(), timeout=WAIT_MS)
    assert len(list((tmp_path / "takes").glob("*.wav"))) == 2


def test_models_load_by_card_and_by_key(window: Window, station: Station, qtbot: QtBot) -> None:
    cards = window.board.cards.cards

    def chosen() -> list[str]:
        return [name for name, card in cards.items() if card.isChecked()]

    assert chosen() == ["none"]
    load_full(window, qtbot)
    assert station.session.model == "full"
    qtbot.waitUntil(lambda: chosen() == ["full"], timeout=WAIT_MS)
    qtbot.keyClick(window, Qt.Key.Key_0)
    qtbot.waitUntil(lambda: station.session.model == "none", timeout=WAIT_MS)
    qtbot.waitUntil(lambda: window.board.faders.own == {}, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: chosen() == ["none"], timeout=WAIT_MS)
    window.board.cards.load("absent")
    qtbot.waitUntil(lambda: "absent" in window.board.banner.text, timeout=WAIT_MS)
    assert chosen() == ["none"]


def test_a_and_b_keep_model_and_values(window: Window, station: Station, qtbot: QtBot) -> None:
    load_full(window, qtbot)
    window.engine.set_param("depth", 0.75)
    window.engine.set_param("mix", 0.5)
    qtbot.keyClick(window, Qt.Key.Key_A)
    assert window.board.presets.compare.text() == "B"
    window.engine.send("/rtvox/model", "none")
    window.engine.set_param("mix", 0.25)
    qtbot.waitUntil(lambda: window.engine.mirror.model == "none", timeout=WAIT_MS)
    qtbot.mouseClick(window.board.presets.compare, LEFT)
    qtbot.waitUntil(lambda: station.session.model == "full" and station.value("depth") == 0.75, timeout=WAIT_MS)
    assert station.value("mix") == 0.5
    qtbot.keyClick(window, Qt.Key.Key_A)
    qtbot.waitUntil(lambda: station.session.model == "none" and station.value("mix") == 0.25, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: window.engine.mirror.model == "none", timeout=WAIT_MS)
    qtbot.mouseClick(window.board.presets.copy, LEFT)
    qtbot.keyClick(window, Qt.Key.Key_A)
    qtbot.wait(100)
    assert (station.session.model, station.value("mix")) == ("none", 0.25)


def test_presets_are_saved_listed_and_loaded(open_window: Open, station: Station, qtbot: QtBot, tmp_path: Path) -> None:
    window, other = open_window(), open_window()
    presets = window.board.presets
    for name, mix in (("loud", 0.9), ("quiet", 0.1)):
        window.engine.set_param("mix", mix)
        presets.names.setEditText(name)
        qtbot.mouseClick(presets.save, LEFT)
        qtbot.waitUntil(lambda name=name: name in other.engine.mirror.presets, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: presets.names.count() == 2, timeout=WAIT_MS)
    assert presets.name == "quiet"
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=WAIT_MS)  # keys go to the window in front
    qtbot.keyClick(window, Qt.Key.Key_PageDown)
    qtbot.waitUntil(lambda: other.board.faders.mix.value == pytest.approx(0.9), timeout=WAIT_MS)
    assert presets.name == "loud"
    qtbot.mouseClick(other.board.presets.previous, LEFT)
    qtbot.waitUntil(lambda: station.value("mix") == pytest.approx(0.1), timeout=WAIT_MS)
    next(tmp_path.rglob("loud*")).write_text("model = 'absent'\n")
    qtbot.keyClick(window, Qt.Key.Key_PageUp)
    qtbot.waitUntil(lambda: window.board.banner.text != "", timeout=WAIT_MS)
    assert station.value("mix") == pytest.approx(0.1)


def test_what_is_written_is_said(
    window: Window, station: Station, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, said = window.board.say, list[tuple[str, str]]()
    monkeypatch.setattr(station.session, "say", lambda text, voice: said.append((text, voice)))
    station.session.voices = ("nobody",)
    qtbot.waitUntil(lambda: line.isVisible() and line.voices.findText("nobody") >= 0)
    line.voices.setCurrentText("nobody")
    qtbot.keyClicks(line.text, "Good evening")
    qtbot.keyClick(line.text, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: said == [("Good evening", "nobody")])
    assert line.text.text() == ""


def test_a_fallback_to_the_cpu_is_said(
    window: Window, station: Station, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = station.engine.status
    fallen = {"fallbacks": 1, "message": "cuda failed (driver reset): running on the CPU since"}
    monkeypatch.setattr(station.engine, "status", lambda: replace(status(), **fallen))
    qtbot.waitUntil(lambda: "driver reset" in window.board.banner.text, timeout=WAIT_MS)


def test_devices_are_picked_by_host_or_stay(window: Window, station: Station, qtbot: QtBot) -> None:
    qtbot.keyClick(window, Qt.Key.Key_F3)
    devices = window.board.setup.devices
    qtbot.waitUntil(lambda: devices.host.count() == 3 and devices.input.count() == 3, timeout=WAIT_MS)
    devices.host.setCurrentText("JACK")
    assert [devices.input.itemData(row) for row in range(devices.input.count())] == ["", "JACK: system"]
    devices.input.setCurrentIndex(1)
    devices.block.setCurrentIndex(devices.block.findData(256))
    devices.rate.setCurrentIndex(devices.rate.findData(48000))
    qtbot.mouseClick(devices.apply, LEFT)
    qtbot.waitUntil(lambda: station.engine.device.max_block == 256, timeout=WAIT_MS)
    assert station.chosen[-1] == DeviceChoice("JACK: system", None, 256, 48000)
    qtbot.waitUntil(lambda: "256" in devices.in_use.text() or "none" in devices.in_use.text(), timeout=WAIT_MS)
    devices.host.setCurrentText("ALSA")
    devices.input.setCurrentIndex(1)
    qtbot.mouseClick(devices.apply, LEFT)
    qtbot.waitUntil(lambda: "busy" in window.board.banner.text, timeout=WAIT_MS)
    assert station.engine.device.max_block == 256
    assert station.engine.status().state == "running"


def test_an_engine_that_goes_and_comes(window: Window, station: Station, qtbot: QtBot) -> None:
    station.server.close()
    qtbot.waitUntil(lambda: "No engine answers" in window.board.banner.text, timeout=WAIT_MS)
    assert window.board.lamp.text == "NO ENGINE"
    assert not window.board.transport.isEnabled()
    assert window.board.panic.isEnabled()
    station.engine.set("mix", 0.125)
    station.serve()
    qtbot.waitUntil(lambda: window.board.faders.mix.value == 0.125, timeout=WAIT_MS)
    qtbot.waitUntil(window.board.transport.isEnabled, timeout=WAIT_MS)
    assert "No engine" not in window.board.banner.text


def test_a_window_that_is_killed_is_not_heard(station: Station, tmp_path: Path) -> None:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "gui", "--connect", f"127.0.0.1:{station.port}"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    wait_for(lambda: len(station.server._subscribers.peers()) == 1, 60)
    before = station.engine.status()
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1.5)
    after = station.engine.status()
    assert after.state == "running"
    assert after.callbacks > before.callbacks + 100
    assert after.misses == before.misses


def test_closing_leaves_no_thread_and_no_widget(open_window: Open, qtbot: QtBot) -> None:
    first = open_window()
    qtbot.keyClick(first, Qt.Key.Key_T)
    first.close()  # what is made once and kept: fonts, the application's own widgets, lists of boxes never seen
    QApplication.processEvents()
    threads, widgets = set(threading.enumerate()), set(QApplication.allWidgets())
    window = open_window(closing=False)
    window.midi.ports = ["made"]
    load_full(window, qtbot)
    for key in (Qt.Key.Key_F4, Qt.Key.Key_F3, Qt.Key.Key_L, Qt.Key.Key_T, Qt.Key.Key_F1):
        qtbot.keyClick(window, key)
    assert window.learner.on
    assert any(thread.name == "rtvox-osc-client" for thread in set(threading.enumerate()) - threads)
    window.close()
    window.deleteLater()
    del window
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert set(QApplication.allWidgets()) <= widgets
    assert set(threading.enumerate()) <= threads


def test_theme_and_geometry_are_kept(open_window: Open, qtbot: QtBot) -> None:
    window = open_window()
    window.do("theme")
    assert theme.colors() is theme.DARK
    window.do("theme")
    assert theme.colors() is theme.LIGHT
    window.resize(1000, 700)
    window.close()
    again = open_window()
    assert again.board.setup.theme.currentText() == "light"
    assert again.height() == 700


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080), (800, 600)])
def test_it_fits(size: tuple[int, int], window: Window, qtbot: QtBot) -> None:
    window.board.say.show()  # as where there is a voice
    for _ in range(2):  # the first step down puts presets above the transport, which frees room for the next
        window.resize(*size)
        qtbot.wait(50)
    assert window.width() <= max(size[0], 940)
    assert window.height() <= max(size[1], 620)
    for page in ("spectra", "setup", "history"):
        window.do(page)
        assert not window.grab().isNull()


def test_midi_learn_binds_what_is_clicked(window: Window, station: Station, qtbot: QtBot) -> None:
    from types import SimpleNamespace

    def turn(value: int) -> None:
        window.midi._queue.append(SimpleNamespace(type="control_change", channel=0, control=1, value=value))

    window.do("learn")
    assert "MIDI" in window.board.banner.text  # no port is there
    window.midi.ports = ["made"]
    window.do("learn")
    qtbot.mouseClick(window.board.faders.mix, LEFT)
    assert window.midi.target == "mix"
    assert station.value("mix") == 1.0
    turn(64)
    qtbot.waitUntil(lambda: window.midi.learnt == {"1/cc/1": "mix"}, timeout=WAIT_MS)
    qtbot.mouseClick(window.board.transport.mute, LEFT)
    assert window.midi.target == "mute"
    assert not window.board.transport.mute.isChecked()
    window.do("learn")
    turn(0)
    qtbot.waitUntil(lambda: station.value("mix") == 0.0, timeout=WAIT_MS)
    window.board.setup.forget.click()
    assert window.midi.learnt == {}


def test_help_lists_the_keys(window: Window, qtbot: QtBot) -> None:
    window.do("help")
    (box,) = window.findChildren(QMessageBox)
    assert "PgDown" in box.text()
    box.close()


def test_every_control_names_its_address(window: Window) -> None:
    named = [w for w in window.findChildren(QWidget) if w.property("osc")]
    assert len(named) > 30
    assert all(str(w.property("osc")) in w.toolTip() for w in named)
    assert all(w.toolTip() for w in window.findChildren(QPushButton) if w.property("learn"))


def test_the_process_ends_cleanly(station: Station, tmp_path: Path) -> None:
    script = (
        "import sys, gui.__main__ as m; from PyQt6.QtCore import QTimer\n"
        "class Brief(m.Window):\n"
        "    def showEvent(self, event): QTimer.singleShot(500, self.close)\n"
        "m.Window = Brief\n"
        f"sys.exit(m.main(['--connect', '127.0.0.1:{station.port}']))"
    )
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


@pytest.mark.parametrize("where", ["nowhere", "127.0.0.1", "127.0.0.1:0", ":9000"])
def test_a_wrong_address_is_refused(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--connect", where])
    assert "HOST:PORT" in capsys.readouterr().err


@pytest.mark.slow
def test_it_starts_an_engine_and_again_when_that_is_killed(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("JACK_DEFAULT_SERVER", "rtvox-none"), ("PULSE_SERVER", "none"), ("HOME", str(tmp_path))):
        monkeypatch.setenv(name, value)
    port = free_port()
    settings = Settings(QSettings(str(tmp_path / "rtvox.ini"), QSettings.Format.IniFormat))
    settings.sound = {"model": "no such model", "values": {}}  # it must start without it, then
    launcher = Launcher(port)
    window = Window(RemoteEngine("127.0.0.1", port), settings, launcher)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitUntil(lambda: window.engine.online, timeout=60000)
    assert window.caretaker.owner
    window.engine.set_param("mix", 0.25)
    qtbot.wait(round(2000 * HOLD_S))
    os.kill(launcher.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: not window.board.banner.button.isHidden(), timeout=WAIT_MS)
    assert "No engine answers" in window.board.banner.text
    qtbot.mouseClick(window.board.banner.button, LEFT)
    qtbot.waitUntil(lambda: window.engine.online, timeout=60000)
    qtbot.waitUntil(lambda: window.engine.mirror.values["mix"] == 0.25, timeout=WAIT_MS)  # it goes on as it was
    window.engine.set_param("mix", 0.5)
    qtbot.wait(round(2000 * HOLD_S))
    window.close()
    wait_for(lambda: not is_running(launcher.pid), 30)
    assert settings.sound["values"]["mix"] == 0.5  # type: ignore[index]
    assert not launcher.log.exists()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (OSError, ValueError):
        return False
