import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playing import HOP, RATE, Player, made

from rtvox.errors import AudioFileError
from rtvox.features import Array
from rtvox.record import Recorder

STEP_24 = 2.0**-23


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff"])
def test_wet_and_dry_are_recorded_in_sync(tmp_path: Path, music: Array, suffix: str) -> None:
    player = Player(music, made(-0.5), block=100)
    player.play(20000)
    player.engine.record(tmp_path / f"take{suffix}")
    assert player.engine.status().recording.endswith(f"take{suffix}")
    start = player.position
    player.play(60000)
    end = player.position
    player.engine.stop_recording()
    player.play(70000)
    assert player.engine.status().recording == ""
    out, aligned = player.stop()
    wet, rate = soundfile.read(tmp_path / f"take{suffix}")
    dry, _ = soundfile.read(tmp_path / f"take-dry{suffix}")
    assert rate == RATE
    assert len(wet) == len(dry) == end - start
    np.testing.assert_allclose(wet, out[start:end], atol=STEP_24)
    np.testing.assert_allclose(dry, aligned[start:end], atol=STEP_24)


def test_dry_is_the_microphone_as_it_was_even_while_it_covers_a_miss(tmp_path: Path, music: Array) -> None:
    player = Player(music, made(-0.5))
    player.engine.set("input_gain", -20.0)
    player.play(HOP)
    player.engine.record(tmp_path / "take.wav")
    start = player.position
    player.engine._converter.catch_up = lambda: None  # type: ignore[method-assign]
    player.play(RATE)
    out, aligned = player.stop()
    wet, _ = soundfile.read(tmp_path / "take.wav")
    dry, _ = soundfile.read(tmp_path / "take-dry.wav")
    np.testing.assert_allclose(dry, aligned[start:], atol=STEP_24)
    np.testing.assert_allclose(wet, out[start:], atol=STEP_24)


def test_stop_of_the_engine_completes_the_files(tmp_path: Path, music: Array) -> None:
    player = Player(music)
    player.engine.record(tmp_path / "take.wav")  # before sound runs
    player.play(12800)
    player.stop()
    assert soundfile.info(tmp_path / "take.wav").frames == 12800


def test_a_second_take_ends_the_first(tmp_path: Path, music: Array) -> None:
    player = Player(music)
    player.play(1280)
    player.engine.record(tmp_path / "one.wav")
    player.play(2560)
    player.engine.record(tmp_path / "two.wav")
    player.play(5120)
    player.stop()
    assert soundfile.info(tmp_path / "one.wav").frames == 1280
    assert soundfile.info(tmp_path / "two.wav").frames == 2560


def test_a_device_that_comes_back_at_another_rate_ends_it(tmp_path: Path, music: Array) -> None:
    player = Player(music)
    player.play(1280)
    player.engine.record(tmp_path / "take.wav")
    player.play(2560)
    with player.engine._lock:
        player.engine._close()
        player.device.sample_rate = 44100
        player.engine._open()
    player.play(5120)
    assert "the device came back at 44100 Hz" in player.engine.status().recording
    player.stop()
    assert soundfile.info(tmp_path / "take.wav").frames == 1280


@pytest.mark.parametrize("name", ["nowhere/take.wav", "take.xyz", "take"])
def test_what_cannot_be_opened_is_refused_and_nothing_stays_open(tmp_path: Path, music: Array, name: str) -> None:
    player = Player(music)
    player.play(1280)
    with pytest.raises(AudioFileError, match="cannot record there"):
        player.engine.record(tmp_path / name)
    player.play(2560)
    assert player.engine.status().recording == ""
    player.stop()


def test_a_disk_that_is_too_slow_loses_samples_of_both_and_says_so(tmp_path: Path, rng: np.random.Generator) -> None:
    recorder = Recorder(tmp_path / "take.wav", 1000, 2000)
    x = rng.uniform(-0.5, 0.5, 2000).astype(np.float32)
    for _ in range(8):  # 16 s of a recorder that can hold 10 s
        recorder.write(x, -x)
    recorder.close()
    wet, _ = soundfile.read(tmp_path / "take.wav")
    dry, _ = soundfile.read(tmp_path / "take-dry.wav")
    np.testing.assert_allclose(wet, -dry, atol=2 * STEP_24)
    assert len(wet) < 16000
    assert f"the disk was too slow, {16000 - len(wet)} samples are left out" in recorder.error


def test_four_gigabytes_end_a_wav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtvox.record.WAV_BYTES", 3000)
    recorder = Recorder(tmp_path / "take.wav", RATE, 2000)
    recorder.write(np.zeros(2000, np.float32), np.zeros(2000, np.float32))
    deadline = time.monotonic() + 5.0
    while not recorder.error and time.monotonic() < deadline:
        time.sleep(0.01)
    recorder.close()
    assert "a WAV file holds 4 GB" in recorder.error
    assert soundfile.info(tmp_path / "take.wav").frames == 2000


FULL_DISK = """
import resource, sys, time
import numpy as np
from playing import Player, made
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
music = np.random.default_rng(440).uniform(-0.5, 0.5, 96000).astype(np.float32)
player = Player(music, made(-0.5))
player.play(1280)
player.engine.record(sys.argv[1])
while player.position < 96000 - 128:
    player.play(player.position + 1280)
    time.sleep(0.005)
print(player.engine.status().recording)
out, aligned = player.stop()
assert np.array_equal(out[2000:], np.float32(-0.5) * aligned[2000:])  # the sound went on
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
np.save(sys.argv[2], out[1280:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs the size limit of Unix")
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_full_disk_ends_the_recording_with_a_valid_file(tmp_path: Path, suffix: str) -> None:
    """A limit on file size stands for the full disk: libsndfile meets the same failed write."""
    path, played = tmp_path / f"take{suffix}", tmp_path / "played.npy"
    env_path = f"{Path(__file__).parent}:{Path(__file__).parents[1]}"
    command = [sys.executable, "-c", FULL_DISK, str(path), str(played)]
    done = subprocess.run(command, env={"PYTHONPATH": env_path}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "recording ended" in done.stdout
    assert "free some disk space" in done.stdout
    wet, _ = soundfile.read(path)
    assert 20000 < len(wet) < 60000
    np.testing.assert_allclose(wet, np.load(played)[: len(wet)], atol=STEP_24)
    dry, _ = soundfile.read(tmp_path / f"take-dry{suffix}")
    assert len(dry) > 20000
