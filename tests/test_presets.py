"""Presets: every number comes back as it was, names stay in their folder, and what fails changes nothing."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playing import RATE

from rtvox.device import Device
from rtvox.engine import Engine
from rtvox.errors import DeviceError, ModelFileError, ParameterError, PresetError
from rtvox.file_device import PushDevice
from rtvox.file_names import check_name, clean_name, unused_path
from rtvox.presets import DeviceChoice, Preset, PresetFolder
from rtvox.session import Session, with_changes

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(
    # No subnormal numbers: the session's first model has this thread flush them.
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True), st.floats(allow_nan=False, allow_subnormal=False)
    ),
    st.none()
    | st.builds(DeviceChoice, st.none() | _text, st.none() | _text, st.integers(1, 65536), st.integers(0, 384000)),
    _text,
)
def test_a_preset_comes_back_exactly(controls: dict[str, float], devices: DeviceChoice | None, model: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        presets, preset = PresetFolder(Path(folder)), Preset(model, controls, devices)
        presets.save("it", preset)
        assert presets.load("it") == preset
        assert presets.names() == ["it"]
        assert [path.name for path in Path(folder).iterdir()] == ["it.toml"]


@given(st.one_of(_text, st.text("./\\:\0 ~$*conaux", max_size=40)))
def test_names_cannot_leave_their_folder(text: str) -> None:
    try:
        name = clean_name(text)
    except ParameterError:
        return
    folder = Path("/somewhere/presets")
    assert Path(os.path.normpath(folder / name)).parent == folder
    assert Path(os.path.normpath(folder / f"{name}.toml")).parent == folder
    assert not set(name) & set('/\\:*?"<>|\0\n')
    assert name not in ("", ".", "..")
    assert not name.startswith(".")
    assert len(name.encode()) <= 201
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "C:x", "x\0", "nul", "COM1.x", " x", "x."]
)
def test_a_preset_of_an_evil_name_is_neither_read_nor_written(tmp_path: Path, name: str) -> None:
    presets = PresetFolder(tmp_path / "presets")
    for act in (presets.load, presets.delete, lambda name: presets.save(name, Preset("none"))):
        with pytest.raises(ParameterError, match="needs a name"):
            act(name)
    assert list(tmp_path.iterdir()) == []


def test_it_is_made_to_be_read_by_people(tmp_path: Path) -> None:
    path = PresetFolder(tmp_path).save("loud", Preset("isolate", {"mix": 0.5}, DeviceChoice("JACK: system", block=64)))
    text = path.read_text()
    assert text.startswith("# A preset of rtvox")
    assert (
        'model = "isolate"\n\n[controls]\nmix = 0.5\n\n[devices]\ninput = "JACK: system"\nblock = 64\nrate = 0\n'
        in text
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs model"),
        ("model = 1", "needs model"),
        ("model = 'a'\nextra = 1", "extra"),
        ("model = 'a'\ncontrols = 3", "needs a number for each name"),
        ("model = 'a'\n[controls]\nmix = 'loud'", "needs a number for each name"),
        ("model = 'a'\n[controls]\nmix = true", "needs a number for each name"),
        ("model = 'a'\n[devices]\nblock = 1.5", "block and rate as whole numbers"),
        ("model = 'a'\n[devices]\nwhat = 1", "block and rate as whole numbers"),
        ("model = ", "not a preset"),
        ("x" * 70000, "at most 65536"),
    ],
)
def test_a_damaged_file_gets_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "it.toml").write_text(text)
    with pytest.raises(PresetError, match=message) as caught:
        PresetFolder(tmp_path).load("it")
    assert "\n" not in str(caught.value)
    assert "it.toml" in str(caught.value)


def test_bytes_that_are_no_text_are_no_preset(tmp_path: Path) -> None:
    (tmp_path / "it.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PresetError, match="not a preset"):
        PresetFolder(tmp_path).load("it")


def test_a_missing_one_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    presets = PresetFolder(tmp_path)
    with pytest.raises(PresetError, match="none is there yet"):
        presets.load("loud")
    presets.save("soft", Preset("none"))
    with pytest.raises(PresetError, match=r"'loud': not found in .*; there are: soft"):
        presets.load("loud")


def test_recordings_never_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    assert unused_path(path) == path
    path.touch()
    assert unused_path(path) == tmp_path / "take 2.wav"
    (tmp_path / "take 2-dry.wav").touch()
    assert unused_path(path) == tmp_path / "take 3.wav"


class TestSession:
    """A session whose devices are made up: "in" and "out" exist, "busy" cannot be opened."""

    @pytest.fixture
    def session(self, full_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
        monkeypatch.setattr("rtvox.model_file.model_folders", lambda: [full_model_path.parent])
        for module in ("report", "session"):
            monkeypatch.setattr(f"rtvox.{module}.model_folders", lambda: [full_model_path.parent])

        def open_device(choice: DeviceChoice) -> Device:
            if choice.input == "busy":
                raise DeviceError("busy: is in use")
            return PushDevice(choice.rate or RATE, choice.block)

        def check(choice: DeviceChoice) -> None:
            if choice.input not in (None, "in", "busy"):
                raise DeviceError(f"input {choice.input!r}: no such device")

        return Session(
            Engine(PushDevice(RATE, 128)), presets=tmp_path / "p", open_device=open_device, check_device=check
        )

    def test_model_controls_and_devices_come_back(self, session: Session) -> None:
        session.load_model("full")
        session.set_devices(DeviceChoice("in", "out", 64, 44100))
        for name, value in (("depth", 0.1), ("mix", 1 / 3), ("bypass", 1.0), ("output_gain", -0.1)):
            session.set(name, value)
        session.save_preset("all", with_devices=True)
        before = session.state()
        session.load_model("none")
        session.set_devices(DeviceChoice())
        session.set("mix", 0.9)
        assert session.state() != before
        session.load_preset("all")
        assert session.state() == before
        assert session.devices == DeviceChoice("in", "out", 64, 44100)
        assert session.engine.device.sample_rate == 44100

    def test_without_devices_they_stay(self, session: Session) -> None:
        session.save_preset("no devices")
        session.set_devices(DeviceChoice("in", "out", 64))
        session.load_preset("no devices")
        assert session.devices.block == 64

    @pytest.mark.parametrize(
        ("preset", "error", "message"),
        [
            (Preset("absent", {"mix": 0.5}), ModelFileError, "model 'absent': not there; there are none, full"),
            (Preset("full", {"mix": 0.5}, DeviceChoice("absent")), DeviceError, "'absent': no such device"),
            (Preset("full", {"mix": 0.5}, DeviceChoice("busy")), DeviceError, "busy: is in use"),
            (Preset("full", {"mix": 0.5, "loudness": 1.0}), ParameterError, "loudness: no such control"),
            (Preset("full", {"mix": 1.5}), ParameterError, "mix=1.5: needs 0 to 1"),
            (Preset("none", {"depth": 0.5}), ParameterError, "depth: no such control"),
        ],
    )
    @pytest.mark.parametrize("running", [False, True])
    def test_what_cannot_be_loaded_changes_nothing(
        self, session: Session, preset: Preset, error: type[Exception], message: str, running: bool
    ) -> None:
        if running:
            session.start()
        session.presets.save("it", preset)
        session.look_again()
        before, device = session.state(), session.engine.device
        with pytest.raises(error, match=message):
            session.load_preset("it")
        assert session.state() == before
        assert session.engine.device is device
        assert session.engine.status().state == ("running" if running else "stopped")
        session.engine.stop()

    def test_a_model_that_breaks_at_loading_takes_the_devices_back(
        self, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(path: object) -> None:
            raise ModelFileError("out of memory")

        session.presets.save("it", Preset("full", {}, DeviceChoice("in", "out", 64)))
        monkeypatch.setattr(session.engine, "load", fail)
        with pytest.raises(ModelFileError, match="out of memory"):
            session.load_preset("it")
        assert session.devices == DeviceChoice()
        assert session.engine.device.max_block == 128

    def test_models_that_are_dropped_into_the_folder_show_up(self, session: Session, full_model_path: Path) -> None:
        assert session.state()["/rtvox/models"] == ("none", "full")
        (full_model_path.parent / "new.onnx").write_bytes(full_model_path.read_bytes())
        session.load_model("new")
        assert session.state()["/rtvox/models"] == ("none", "full", "new")

    def test_paths_are_no_models(self, session: Session, full_model_path: Path) -> None:
        for name in (str(full_model_path), "../full", "full.onnx"):
            with pytest.raises(ModelFileError, match="not there"):
                session.load_model(name)

    def test_float32_reaches_the_limits(self, session: Session) -> None:
        table = session.engine.params.table
        table["mix"] = replace(table["mix"], high=0.3)
        session.set("mix", 0.30000001192092896)  # 0.3 as OSC's f has it
        assert session.engine.params.get("mix") == 0.3
        with pytest.raises(ParameterError):
            session.set("mix", 0.3000001)

    def test_switches_take_their_names(self, session: Session) -> None:
        session.set("bypass", "on")
        assert session.engine.params.get("bypass") == 1.0

    def test_sizes_that_are_none_are_refused(self) -> None:
        with pytest.raises(ParameterError, match="rate=-1"):
            with_changes(DeviceChoice(), rate=-1)
        assert with_changes(DeviceChoice("in"), input="") == DeviceChoice()
