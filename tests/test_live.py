"""`rtvox live`, `devices` and `bench --loopback` as a user runs them, on a JACK server without a card."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from audio_systems import jack_server, pulse_server

ROOT = Path(__file__).resolve().parent.parent
BLOCK = 128


@pytest.fixture(scope="module")
def _jack() -> Iterator[None]:
    with jack_server(BLOCK):
        yield


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "rtvox", *map(str, arguments)]


def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    return subprocess.run(
        command(*arguments), env=environment, capture_output=True, text=True, check=False, timeout=100
    )


@pytest.mark.usefixtures("_jack")
class TestOverJack:
    def test_devices_lists_the_server(self) -> None:
        done = run("devices")
        assert done.returncode == 0
        assert re.search(r"^0 +JACK +system +\d\* +\d\* +48000", done.stdout, re.MULTILINE)

    def test_it_runs_for_a_time_shows_the_meter_and_records(self, full_model_path: Path, tmp_path: Path) -> None:
        record = tmp_path / "take.flac"
        done = run("live", "--model", full_model_path, "--set", "depth=1", "--duration", 2, "--record", record)
        assert done.returncode == 0, done.stderr
        assert re.search(
            r"in \.+ -120  out \.+ -120 dB  load .*  misses \d+  latency \d+\.\d ms  tiny  rec", done.stderr
        )
        callbacks = int(re.search(r"(\d+) callbacks", done.stderr)[1])  # type: ignore[index]
        assert callbacks * BLOCK == pytest.approx(2.0 * 48000, rel=0.2)
        for name in ("take.flac", "take-dry.flac"):
            assert soundfile.info(tmp_path / name).duration == pytest.approx(2.0, rel=0.2)

    @pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_signals_end_it_with_a_complete_recording(
        self, full_model_path: Path, tmp_path: Path, sent: signal.Signals, code: int
    ) -> None:
        record = tmp_path / "take.wav"
        process = subprocess.Popen(
            command("live", "--model", full_model_path, "--record", record),
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 60
        while not record.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.0)
        process.send_signal(sent)
        _, printed = process.communicate(timeout=30)
        assert process.returncode == code
        assert "callbacks" in printed
        assert "Traceback" not in printed
        assert soundfile.info(record).duration > 0.5

    @pytest.mark.parametrize(
        ("flags", "code", "message"),
        [
            (["--input", "nobody"], 4, "'nobody': no such device"),
            (["--rate", "44100"], 4, "44100 Hz asked, but JACK runs at 48000 Hz"),
            (["--rate", "1"], 2, "needs 8000 to 384000 Hz"),
            (["--channel", "0"], 2, "counted from 1"),
            (["--channel", "99"], 4, "99 channels asked"),
            (["--block", "0"], 2, "block=0"),
            (["--model", "nobody"], 3, "model 'nobody': not found"),
            (["--set", "loudness=3"], 2, "loudness: no such control"),
            (["--record", "no/such/folder/take.wav"], 5, "take.wav: cannot record there"),
        ],
    )
    def test_errors_are_one_line_with_their_code(self, flags: list[str], code: int, message: str) -> None:
        done = run("live", "--model", "none", "--duration", 1, *flags)
        assert done.returncode == code
        assert re.fullmatch(r"rtvox: error: [^\n]+\n", done.stderr), done.stderr
        assert message in done.stderr

    def test_bench_hears_the_latency_that_is_stated(self, full_model_path: Path) -> None:
        done = run("bench", "--loopback", "--model", full_model_path, "--seconds", 1.6, "--json")
        assert done.returncode == 0, done.stderr
        measured = json.loads(done.stdout)
        assert measured["agrees"]
        assert 0 < measured["milliseconds"] <= 25.0


def test_without_any_sound_system_it_says_so() -> None:
    nowhere = {"JACK_DEFAULT_SERVER": "rtvox-no-such-server", "PULSE_SERVER": "unix:/nonexistent"}
    done = run("devices", "--virtual", "create", **nowhere)
    assert done.returncode == 4
    assert re.fullmatch(r"rtvox: error: pactl [^\n]*\n", done.stderr)
    done = run("devices", **nowhere)
    assert done.returncode == 0
    if "ALSA" in done.stdout:
        pytest.skip("this machine has a sound card")
    assert "no sound device" in done.stdout
    done = run("live", "--model", "none", **nowhere)
    assert done.returncode == 4
    assert re.fullmatch(r"rtvox: error: no input device is there[^\n]*\n", done.stderr)


def test_the_virtual_microphone_comes_and_goes() -> None:
    with pulse_server():
        created = run("devices", "--virtual", "create")
        assert created.returncode == 0
        assert "rtvox-output" in created.stdout
        listed = run("devices").stdout
        assert re.search(r"PulseAudio +rtvox ", listed)
        assert re.search(r"PulseAudio +rtvox-output ", listed)
        assert run("devices", "--virtual", "remove").stdout == "removed\n"
        assert "there was no virtual microphone" in run("devices", "--virtual", "remove").stdout
