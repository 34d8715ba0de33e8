"""The engine over a real PulseAudio: the virtual microphone, a chain of programs through it, loss and return."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_systems import PulseServer, environment, exact_share, pulse_server, require, running, succeeds, wait_for

from rtvox.devices import SoundCard, find_device, list_devices
from rtvox.engine import Engine
from rtvox.errors import DeviceError
from rtvox.features import Array
from rtvox.file_device import convert_array
from rtvox.loopback import measure_loopback
from rtvox.virtual import MICROPHONE, OUTPUT, create_virtual_mic, remove_virtual_mic

ATTEMPTS = 3  # other programs of a shared machine may disturb one measurement, hardly three


@pytest.fixture
def pulse() -> Iterator[PulseServer]:
    with pulse_server() as server:
        yield server


def test_the_virtual_microphone_comes_once_and_goes(pulse: PulseServer) -> None:
    assert OUTPUT in create_virtual_mic()
    create_virtual_mic()
    names = [row.name for row in list_devices() if row.host == "PulseAudio"]
    assert names.count(MICROPHONE) == names.count(OUTPUT) == 1
    microphone, output = find_device(MICROPHONE, "input"), find_device("rtvox", "output")
    assert (microphone.inputs, microphone.outputs, microphone.description) == (2, 0, MICROPHONE)
    assert (output.name, output.outputs, output.sample_rate) == (OUTPUT, 2, 48000)
    assert remove_virtual_mic()
    assert not remove_virtual_mic()
    assert MICROPHONE not in [row.name for row in list_devices()]


def test_a_player_is_heard_converted_in_the_virtual_microphone(
    pulse: PulseServer, noise: Array, full_model_path: Path, tmp_path: Path
) -> None:
    require("paplay", "parec")
    song, heard = tmp_path / "song.wav", tmp_path / "heard.wav"
    soundfile.write(song, noise, 48000, subtype="FLOAT")
    pulse.add_null_sink("player")
    create_virtual_mic()
    with Engine(SoundCard("player.monitor", OUTPUT)) as engine:
        engine.load(full_model_path)
        engine.start()
        target = ("--format=float32le", "--rate=48000", "--channels=1", "--latency-msec=20", "--file-format=wav")
        with running("parec", f"--device={MICROPHONE}", *target, str(heard)):
            wait_for(lambda: heard.exists() and heard.stat().st_size > 100_000, "recording")
            subprocess.run(["paplay", "--device=player", str(song)], check=True, timeout=30)
            size = heard.stat().st_size
            wait_for(lambda: heard.stat().st_size > size + 200_000, "rest of the recording")
        assert engine.status().state == "running"
    recorded, _ = soundfile.read(heard, dtype="float32")
    expected = convert_array(noise, 48000, full_model_path)
    assert exact_share(recorded, expected) > 0.5  # 1 unless the machine is overloaded


def test_a_removed_device_is_reported_and_its_return_used(pulse: PulseServer) -> None:
    pulse.add_null_sink("other")  # where PulseAudio would move the stream to
    create_virtual_mic()
    with Engine(SoundCard("other.monitor", OUTPUT)) as engine:
        engine.start()
        remove_virtual_mic()
        wait_for(lambda: engine.status().state == "device lost", "report", 3.0)
        assert OUTPUT in engine.status().error
        create_virtual_mic()
        wait_for(lambda: engine.status().state == "running", "return")


def test_a_killed_server_is_reported_and_its_return_used(pulse: PulseServer) -> None:
    create_virtual_mic()
    with Engine(SoundCard(MICROPHONE, OUTPUT)) as engine:
        engine.start()
        pulse.kill()
        wait_for(lambda: engine.status().state == "device lost", "report", 3.0)
        pulse.start()
        create_virtual_mic()
        wait_for(lambda: engine.status().state == "running", "return")
        before = engine.status().callbacks
        wait_for(lambda: engine.status().callbacks > before + 20, "sound again")


@pytest.mark.parametrize("rate", [48000, 44100])
def test_latency_is_about_what_status_says(pulse: PulseServer, rate: int) -> None:
    create_virtual_mic()
    allowed = rate * 0.03  # the server itself only estimates
    for _ in range(ATTEMPTS):
        measured = measure_loopback(SoundCard(f"{OUTPUT}.monitor", OUTPUT, sample_rate=rate), bursts=5)
        if abs(measured.samples - measured.stated) <= allowed:
            break
    assert measured.samples == pytest.approx(measured.stated, abs=allowed)


def test_portaudio_finds_the_server_behind_alsas_plugin(pulse: PulseServer) -> None:
    create_virtual_mic()
    with running("parec", f"--device={MICROPHONE}", "--latency-msec=20"):  # keeps the null sink from standing still
        card = SoundCard("ALSA: pulse", "ALSA: pulse", block=1024)
    try:
        assert (card.sample_rate, card.channels_in, card.channels_out) == (48000, 2, 2)
        assert card.latency > 0
    finally:
        card.stop()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"source": "nobody"}, "input 'nobody': no such device"),
        ({"sink": "rtvox-out", "channels_out": 3}, "output PulseAudio: rtvox-output: 3 channels asked, it has 2"),
        ({"source": "ALSA: pulse", "sink": OUTPUT}, "belong to different sound systems"),
        ({"source": "vox", "sink": OUTPUT}, "means 2 devices: PulseAudio: rtvox-output.monitor, PulseAudio: rtvox;"),
    ],
)
def test_errors_name_value_and_way_out(pulse: PulseServer, arguments: dict[str, str], error: str) -> None:
    create_virtual_mic()
    with pytest.raises(DeviceError, match=error):
        SoundCard(**arguments)  # type: ignore[arg-type]


def test_without_a_server_there_is_one_line(tmp_path: Path) -> None:
    require("pactl")
    with environment(**PulseServer(tmp_path).environment):
        assert not succeeds("pactl", "info")
        with pytest.raises(DeviceError, match=r"pactl list short: .* no PulseAudio or PipeWire runs"):
            create_virtual_mic()
        assert not [row for row in list_devices() if row.host == "PulseAudio"]


def test_without_pactl_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DeviceError, match="pactl: not found; install it"):
        create_virtual_mic()


def test_the_recorded_share_is_exact(rng: np.random.Generator) -> None:
    sound = rng.standard_normal(48000).astype(np.float32)
    late = np.concatenate([np.zeros(1000, np.float32), sound, np.zeros(10000, np.float32)])
    assert exact_share(late, sound) == 1.0
    assert exact_share(late + 1e-3, sound) == 0.0
