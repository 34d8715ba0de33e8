"""The window's parts, one by one, without an engine: what is kept, what is painted, what a hand does."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import pytest
from PyQt6.QtCore import QPoint, QPointF, QSettings, Qt
from PyQt6.QtGui import QColor, QGuiApplication, QKeySequence, QWheelEvent
from PyQt6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from gui import theme
from gui.actions import ACTIONS, NUDGES
from gui.banner import Banner
from gui.caretaker import flags_of
from gui.controls import Choice, Fader, OscTip
from gui.figures import Figures, LatencyBar, StateLamp
from gui.history import History
from gui.launch import Launcher
from gui.meter import FALL_DB_S, FLOOR_DB, HOLD_S, Ballistics, Meter
from gui.midi import Midi
from gui.mirror import Mirror
from gui.settings import Settings
from gui.spectrogram import BANDS, COLUMNS, Spectrogram, mel
from rtvox.features import mel_from_hz
from rtvox.osc_tree import COMMANDS, LISTS, STATE, STATUS
from rtvox.params import PARAMS, Switch

ROOT = Path(__file__).resolve().parent.parent
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
SHIFT = Qt.KeyboardModifier.ShiftModifier
KNOB = {"type": "control_change", "channel": 0, "control": 7}
KEY = {"channel": 9, "note": 36}


def told(mirror: Mirror, *messages: tuple[object, ...]) -> list[str]:
    return [mirror.take(str(address), list(values)) for address, *values in messages]


def test_mirror_keeps_what_the_engine_tells() -> None:
    mirror = Mirror()
    topics = told(
        mirror,
        ("/rtvox/controls", "part"),
        ("/rtvox/model", "isolate"),
        ("/rtvox/models", "none", "isolate"),
        ("/rtvox/models/info", "isolate", "Vocal isolation", "mask", 10.7, "CC0-1.0"),
        ("/rtvox/models/control", "isolate", "part", "", 0.0, 1.0, 0.25, 20.0, "what is kept"),
        ("/rtvox/presets", "loud", "quiet"),
        ("/rtvox/voices", "nobody"),
        ("/rtvox/device/block", 128),
        ("/rtvox/devices/input", "JACK: system"),
        ("/rtvox/devices/info", "JACK: system", "JACK", 2, 0, 48000, "a card"),
        ("/rtvox/status/latency/device", 5.5),
        ("/rtvox/nothing/we/know", 1),
    )
    assert topics == ["controls", *["model"], *["models"] * 3, "presets", "voices", *["devices"] * 3, "status", ""]
    assert mirror.controls["part"].default == 0.25
    assert mirror.models["isolate"].title == "Vocal isolation"
    assert mirror.number("latency/device") == 5.5
    assert mirror.devices["JACK: system"].rate == 48000


def test_mirror_knows_every_address_of_state() -> None:
    rows = [row for row in (*STATE, *LISTS, *STATUS) if row.path != "/rtvox/version"]
    for row in rows:
        values: list[object] = [{"s": "x", "f": 0.5, "i": 1}[letter] for letter in row.types.replace("...", "")]
        assert told(Mirror(), (row.path, *values)) != [""], row.path


def test_actions_have_one_key_each_and_addresses_that_exist() -> None:
    keys = [QKeySequence(action.key).toString() for action in ACTIONS.values()]
    assert all(keys)
    assert len(set(keys)) == len(keys)
    known = {row.path for row in COMMANDS} | {f"/rtvox/param/{name}" for name in PARAMS} | {""}
    assert {action.address for action in ACTIONS.values()} <= known
    assert set(NUDGES) <= set(ACTIONS)
    assert {name for name, _ in NUDGES.values()} <= set(PARAMS)


def test_readme_lists_every_key() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"<kbd>(.*?)</kbd>", readme))
    assert {action.key for name, action in ACTIONS.items() if not re.match(r"model_[2-8]", name)} == listed


def test_every_file_names_its_licence() -> None:
    files = sorted((ROOT / "gui").glob("*.py"))
    assert len(files) > 15
    for path in files:
        assert path.read_text(encoding="utf-8").startswith("# SPDX-License-Identifier: GPL-3.0-or-later\n"), path
    assert "Version 3, 29 June 2007" in (ROOT / "gui" / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.parametrize("colors", [theme.DARK, theme.LIGHT], ids=["dark", "light"])
def test_text_stands_out(colors: theme.Colors) -> None:
    for text in ("text", "dim", "source", "sink", "good", "warn", "bad"):
        for ground in ("ground", "panel"):
            assert contrast(getattr(colors, text), getattr(colors, ground)) >= 4.5, (text, ground)
    for fill in ("source", "sink", "good", "warn", "bad"):
        assert contrast(colors.on_fill, getattr(colors, fill)) >= 4.5, fill


def contrast(a: str, b: str) -> float:
    """WCAG 2.2: (L1 + 0.05) / (L2 + 0.05) of relative luminances."""

    def luminance(name: str) -> float:
        parts = [(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4) for c in QColor(name).getRgbF()[:3]]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mode", ["dark", "light"])
def test_theme_is_known_by_its_palette(mode: str, qtbot: QtBot) -> None:
    theme.apply(mode)
    assert theme.colors() is {"dark": theme.DARK, "light": theme.LIGHT}[mode]


def test_a_peak_falls_slowly_is_held_and_a_clip_stays() -> None:
    b = Ballistics()
    b.update(-6.0, -12.0, 0.03, 0.0)
    assert (b.level, b.rms, b.hold, b.clipped) == (-6.0, -12.0, -6.0, False)
    b.update(-60.0, -60.0, 0.5, 0.5)
    assert b.level == pytest.approx(-6.0 - 0.5 * FALL_DB_S)
    assert b.hold == -6.0
    b.update(-60.0, -60.0, 0.0, HOLD_S + 0.1)
    assert b.hold == b.level
    b.update(0.0, -3.0, 0.03, 3.0)
    b.update(-60.0, -60.0, 100.0, 103.0)
    assert b.clipped
    assert b.level == FLOOR_DB
    b.reset()
    assert not b.clipped


def test_the_meters_line_is_the_gate(qtbot: QtBot) -> None:
    meter = Meter("INPUT", gate=True)
    qtbot.addWidget(meter)
    meter.resize(152, 300)
    asked: list[float] = []
    meter.asked.connect(asked.append)
    bar = meter._bar()
    qtbot.mousePress(meter, LEFT, pos=QPoint(76, round(bar.top() + bar.height() / 2)))
    assert asked == [pytest.approx(-30.0, abs=1.0)]
    qtbot.mouseMove(meter, QPoint(76, 299))
    assert asked[-1] == PARAMS["gate_threshold"].low
    qtbot.mouseRelease(meter, LEFT)
    meter.show_value(-40.0)
    assert len(asked) == 2


def test_a_click_on_the_lamp_ends_a_clip(qtbot: QtBot) -> None:
    meter = Meter("OUTPUT")
    qtbot.addWidget(meter)
    meter.show_levels(0.0, -3.0)
    assert meter.ballistics.clipped
    qtbot.mouseClick(meter, LEFT, pos=QPoint(50, 30))
    assert not meter.ballistics.clipped


def test_a_fader_asks_when_moved_and_not_when_shown(qtbot: QtBot) -> None:
    fader = Fader(PARAMS["mix"])
    qtbot.addWidget(fader)
    fader.resize(200, 58)
    asked: list[float] = []
    fader.asked.connect(asked.append)
    fader.show_value(0.25)
    assert asked == []
    assert fader.text() == "25%"
    qtbot.mousePress(fader, LEFT, pos=QPoint(100, 40))
    qtbot.mouseMove(fader, QPoint(150, 40))
    qtbot.mouseRelease(fader, LEFT)
    assert asked == [pytest.approx(0.5), pytest.approx(0.75)]
    qtbot.keyClick(fader, Qt.Key.Key_Right)
    qtbot.keyClick(fader, Qt.Key.Key_Right, SHIFT)
    assert asked[-1] == pytest.approx(0.761)
    qtbot.keyClick(fader, Qt.Key.Key_Home)
    assert asked[-1] == 0.0
    qtbot.mouseDClick(fader, LEFT, pos=QPoint(10, 40))
    assert asked[-1] == PARAMS["mix"].default
    wheel = QWheelEvent(
        QPointF(9, 9), QPointF(9, 9), QPoint(), QPoint(0, -120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    fader.wheelEvent(wheel)
    assert asked[-1] == pytest.approx(0.99)


def test_shift_moves_finely_from_where_the_fader_is(qtbot: QtBot) -> None:
    fader = Fader(PARAMS["mix"])
    qtbot.addWidget(fader)
    fader.resize(200, 58)
    fader.show_value(0.2)
    qtbot.mousePress(fader, LEFT, SHIFT, QPoint(100, 40))
    assert fader.value == 0.2


def test_faders_say_their_values_in_words_that_are_read_at_a_glance(qtbot: QtBot) -> None:
    for name, value, text in (
        ("gate_threshold", -100.0, "off"),
        ("gate_threshold", -42.4, "-42 dB"),
        ("ceiling", -0.3, "-0.3 dB"),
    ):
        fader = Fader(PARAMS[name])
        qtbot.addWidget(fader)
        fader.show_value(value)
        assert fader.text() == text


def test_a_choice_asks_once_and_shows_silently(qtbot: QtBot) -> None:
    policy = PARAMS["miss_policy"]
    assert isinstance(policy, Switch)
    choice = Choice(policy)
    qtbot.addWidget(choice)
    asked: list[float] = []
    choice.asked.connect(asked.append)
    qtbot.mouseClick(choice.buttons[1], LEFT)
    qtbot.mouseClick(choice.buttons[1], LEFT)
    choice.show_value(0.0)
    assert asked == [1.0]
    assert choice.buttons[0].isChecked()


def test_a_right_click_copies_the_address(qtbot: QtBot) -> None:
    fader = Fader(PARAMS["mix"])
    qtbot.addWidget(fader)
    OscTip(fader, "/rtvox/param/mix", "Dry to wet.", "[ ]")
    assert all(words in fader.toolTip() for words in ("/rtvox/param/mix", "Dry to wet.", "[ ]"))
    value = fader.value
    qtbot.mouseClick(fader, RIGHT, pos=QPoint(10, 40))
    clipboard = QGuiApplication.clipboard()
    assert clipboard is not None
    assert clipboard.text() == "/rtvox/param/mix"
    assert fader.value == value


def test_the_mel_scale_is_that_of_the_features() -> None:
    for hz in (50.0, 999.0, 1000.0, 4321.0, 24000.0):
        assert mel(hz) == pytest.approx(float(mel_from_hz(hz)))


def test_a_spectrogram_scrolls(qtbot: QtBot) -> None:
    image = Spectrogram("INPUT", False)
    qtbot.addWidget(image)
    frame = np.full(BANDS, -12.0, np.float32)
    frame[0] = 3.0  # the lowest band
    image.push(frame)
    assert image.levels[-1, -1] == 255
    assert image.levels[:-1].max() == 0
    for _ in range(3):
        image.push(np.full(BANDS, np.nan, np.float32))
    assert image.levels[-1, -4] == 255
    for _ in range(COLUMNS):
        image.push(np.full(BANDS, -12.0, np.float32))
    assert image.levels.max() == 0
    image.push(np.zeros(3, np.float32))
    assert image.levels.max() == 0


def test_a_spectrogram_paints_its_newest_frame_at_the_right(qtbot: QtBot) -> None:
    theme.apply("dark")
    image = Spectrogram("OUTPUT", True)
    qtbot.addWidget(image)
    image.resize(346, 160)
    for level in [-12.0] * COLUMNS + [3.0] * 30:
        image.push(np.full(BANDS, level, np.float32))
    picture = image.grab().toImage()
    assert picture.pixelColor(150, 80) == QColor(theme.DARK.panel)
    assert picture.pixelColor(285, 80) == QColor(theme.DARK.text)


def test_figures_warn_by_colour(qtbot: QtBot) -> None:
    figures, mirror = Figures(), Mirror()
    qtbot.addWidget(figures)
    figures.show_status(mirror, online=False)
    assert figures.load.text == "-"
    told(mirror, ("/rtvox/status/load", 0.95), ("/rtvox/status/latency", 21.33), ("/rtvox/status/misses", 0))
    figures.show_status(mirror, online=True)
    assert (figures.load.text, figures.load.tone) == ("95%", "bad")
    assert figures.latency.text == "21.3 ms"
    assert figures.misses.tone == "good"
    told(mirror, ("/rtvox/status/misses", 3))
    figures.show_status(mirror, online=True)
    assert figures.misses.tone == "bad"


def test_the_lamp_shows_the_weightiest(qtbot: QtBot) -> None:
    lamp, mirror = StateLamp(), Mirror()
    qtbot.addWidget(lamp)
    lamp.show_state(mirror, online=False)
    assert lamp.text == "NO ENGINE"
    for state, values, text in (
        ("stopped", {}, "STOPPED"),
        ("device lost", {}, "DEVICE LOST"),
        ("running", {}, "LIVE"),
        ("running", {"bypass": 1.0}, "BYPASSED"),
        ("running", {"bypass": 1.0, "mute": 1.0}, "MUTED"),
    ):
        told(mirror, ("/rtvox/status/state", state))
        mirror.values.update(values)
        lamp.show_state(mirror, online=True)
        assert lamp.text == text


def test_the_latency_bar_tells_its_parts(qtbot: QtBot) -> None:
    bar = LatencyBar()
    qtbot.addWidget(bar)
    bar.show_parts({"device": 5.3, "prefill": 2.7, "framing": 10.7, "look_ahead": 0.0, "edge": 0.0})
    assert bar.accessibleDescription().startswith("device 5.3 ms, prefill 2.7 ms")
    bar.resize(500, 22)
    assert not bar.grab().isNull()


def test_history_counts_new_misses_and_draws(qtbot: QtBot) -> None:
    history, mirror = History(), Mirror()
    qtbot.addWidget(history)
    for misses in (100, 103, 103, 0):  # the engine was restarted
        told(mirror, ("/rtvox/status/misses", misses), ("/rtvox/status/load", 0.5))
        history.add(mirror)
    assert list(history.rows[2])[-4:] == [0.0, 3.0, 0.0, 0.0]
    assert list(history.rows[0])[-1] == 50.0
    history.show()
    theme.apply("light")
    history.add(mirror)


def test_a_note_never_hides_a_fault(qtbot: QtBot) -> None:
    banner = Banner()
    qtbot.addWidget(banner)
    assert banner.text == ""
    banner.warn("no such preset")
    banner.say("saved")
    assert banner.text == "no such preset"
    banner.last("device lost", "Start the engine")
    assert banner.text == "device lost"
    assert not banner.button.isHidden()
    banner.close_button.click()
    assert banner.text == "no such preset"
    banner.last("device lost again")
    assert banner.text == "device lost again"
    banner.last("")
    banner.close_button.click()
    assert banner.text == ""


def test_midi_learns_a_knob_and_a_key() -> None:
    moved: list[tuple[str, float]] = []
    pressed: list[str] = []
    midi = Midi(lambda name, part: moved.append((name, part)), pressed.append)
    feed = midi._queue.append
    midi.target = "mix"
    feed(SimpleNamespace(**KNOB, value=100))
    assert midi.poll() == "mix"
    midi.target = "panic"
    feed(SimpleNamespace(**KEY, type="note_on", velocity=90))
    assert midi.poll() == "panic"
    assert (moved, pressed) == ([], [])  # what teaches does nothing else
    for velocity in (0, 90, 90, 0, 90):
        feed(SimpleNamespace(**KEY, type="note_on", velocity=velocity))
    feed(SimpleNamespace(**KNOB, value=0))
    feed(SimpleNamespace(type="clock"))
    midi.poll()
    assert pressed == ["panic", "panic"]
    assert ("mix", 0.0) in moved
    again = Midi(lambda *_: None, lambda _: None)
    again.load(midi.dump())
    assert again.learnt == {"1/cc/7": "mix", "10/note/36": "panic"}
    again.load("nonsense")
    assert again.learnt == {}


def test_midi_opens_ports_and_closes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    fake = SimpleNamespace(
        get_input_names=lambda: ["nanoKONTROL", "nanoKONTROL"],
        open_input=lambda name, callback: SimpleNamespace(close=lambda: closed.append(name)),
    )
    monkeypatch.setattr("gui.midi.mido", fake)
    midi = Midi(lambda *_: None, lambda _: None)
    midi.open()
    assert (midi.ports, midi.error) == (["nanoKONTROL"], "")
    midi.close()
    assert closed == ["nanoKONTROL"]


@pytest.mark.parametrize("fault", ["absent", "broken"])
def test_without_midi_it_says_why(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[str]:
        raise SystemError("no sequencer")

    monkeypatch.setattr("gui.midi.mido", None if fault == "absent" else SimpleNamespace(get_input_names=broken))
    midi = Midi(lambda *_: None, lambda _: None)
    midi.open()
    assert midi.ports == []
    assert {"absent": "rtvox[midi]", "broken": "no sequencer"}[fault] in midi.error


def test_settings_survive_and_forgive(tmp_path: Path, qtbot: QtBot) -> None:
    def settings() -> Settings:
        return Settings(QSettings(str(tmp_path / "rtvox.ini"), QSettings.Format.IniFormat))

    first = settings()
    assert (first.theme, first.midi, first.sound, bytes(first.geometry)) == ("auto", "", {}, b"")
    widget = QWidget()
    qtbot.addWidget(widget)
    first.theme, first.sound, first.geometry = "light", {"model": "isolate"}, widget.saveGeometry()
    first._store.sync()
    assert settings().theme == "light"
    assert settings().sound == {"model": "isolate"}
    assert settings().geometry == first.geometry
    first._store.setValue("sound", "[1")
    first._store.setValue("theme", "pink")
    assert first.sound == {}
    assert first.theme == "auto"


def test_flags_bring_the_sound_back() -> None:
    sound = {
        "model": "none",
        "values": {"mix": 0.5, "ceiling": -1.0},
        "device": {"input": "JACK: system", "output": ""},
    }
    assert flags_of(sound) == [
        "--model",
        "none",
        "--set",
        "mix=0.5",
        "--set",
        "ceiling=-1.0",
        "--input",
        "JACK: system",
    ]
    assert flags_of({}) == flags_of({"model": 3, "values": [], "device": "x"}) == []


def test_a_launcher_without_a_log_has_no_words() -> None:
    launcher = Launcher(1)
    assert launcher.last_words() == ""
    launcher.log.write_text("one\n\n  two \n\n")
    assert launcher.last_words() == "two"
    launcher.tidy()
    assert not launcher.log.exists()
