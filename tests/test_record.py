import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playing import HOP, RATE, Player, made, wait_for

from rtvox.engine import Engine
from rtvox.errors import AudioFileError
from rtvox.features import Array, FeatureSpec
from rtvox.file_device import PushDevice
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
    player.engine._keeper.converter.catch_up = lambda: None  # type: ignore[method-assign]
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
    with player.engine._keeper.lock:
        player.engine._keeper._close()
        player.device.sample_rate = 44100
        player.engine._keeper._open()
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


HOLDS = """
import sys, time
import numpy as np
from playing import Player, made
player = Player(np.random.default_rng(440).uniform(-0.5, 0.5, 48000 * 60).astype(np.float32), made(-0.5))
player.play(1280)
player.engine.record(sys.argv[1])
begin = time.monotonic()
while player.position < 48000 * 60 - 1280:  # in real time, so that a second lost is a second heard
    player.play(player.position + 1280)
    time.sleep(max(0.0, begin + (player.position - 1280) / 48000 - time.monotonic()))
    print((player.position - 1280) / 48000, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff"])
def test_a_killed_program_leaves_files_that_are_whole_but_for_the_last_second(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"take{suffix}"
    env_path = f"{Path(__file__).parent}:{Path(__file__).parents[1]}"
    command = [sys.executable, "-c", HOLDS, str(path)]
    process = subprocess.Popen(command, env={"PYTHONPATH": env_path}, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    played = 0.0
    for line in process.stdout:
        played = float(line)
        if played > 2.5:
            break
    process.kill()
    process.wait(10)
    wet, rate = soundfile.read(path)
    dry, _ = soundfile.read(tmp_path / f"take-dry{suffix}")
    assert rate == RATE
    assert played - 1.0 <= len(wet) / RATE <= played + 1.0
    assert played - 1.0 <= len(dry) / RATE <= played + 1.0
    n = min(len(wet), len(dry))
    music = np.random.default_rng(440).uniform(-0.5, 0.5, RATE * 60).astype(np.float32)
    start = int(np.argmax(np.abs(np.correlate(music[: 3 * RATE], dry[:64].astype(np.float32), "valid"))))
    np.testing.assert_allclose(dry[:n], music[start : start + n], atol=2 * STEP_24)
    np.testing.assert_allclose(wet[:n], -0.5 * music[start : start + n], atol=2 * STEP_24)


def test_a_disk_that_stands_still_for_a_second_loses_nothing(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, stalls = soundfile.SoundFile.write, iter([1.2, 1.2])

    def stall(self: soundfile.SoundFile, data: Array) -> None:
        time.sleep(next(stalls, 0.0))
        write(self, data)

    monkeypatch.setattr(soundfile.SoundFile, "write", stall)
    x = rng.uniform(-0.5, 0.5, 3 * RATE).astype(np.float32)
    recorder = Recorder(tmp_path / "take.wav", RATE, 128)
    begin = time.monotonic()
    for at in range(0, len(x) - 128, 128):
        time.sleep(max(0.0, begin + at / RATE - time.monotonic()))
        recorder.write(x[at : at + 128], -x[at : at + 128])
    assert recorder.seconds == pytest.approx(len(x) / RATE, abs=0.01)
    recorder.close()
    assert recorder.error == ""
    wet, _ = soundfile.read(tmp_path / "take.wav")
    np.testing.assert_allclose(wet, -x[: len(wet)], atol=2 * STEP_24)
    assert len(wet) == len(x) // 128 * 128 - 128 * (len(x) % 128 == 0)


@pytest.mark.slow
def test_a_long_recording_loses_no_sample(tmp_path: Path) -> None:
    """An hour in a minute or two: RTVOX_RECORD_S=3600 pytest tests/test_record.py -k long. Less by itself."""
    seconds = int(os.environ.get("RTVOX_RECORD_S", "120"))
    rng = np.random.default_rng(440)
    noise = rng.uniform(-0.5, 0.5, 48007).astype(np.float32)  # its length fits no hop and no block
    spec = FeatureSpec(n_fft=8192, hop=4096, n_synthesis=8192)  # large hops: fewer calls, the same recorder
    device = PushDevice(RATE, 4096)
    with Engine(device, spec) as engine:
        engine.set("ceiling", 0.0)
        engine.start()
        engine.record(tmp_path / "take.flac")
        assert engine._recorder
        ring, position, pushed, begin = engine._recorder._ring, 0, 0, time.monotonic()
        while pushed < seconds * RATE:
            block = np.take(noise, np.arange(position, position + 4096), mode="wrap")
            device.push(block[:, None])
            position, pushed = (position + 4096) % len(noise), pushed + 4096
            if len(ring) > ring.capacity // 2:  # faster than real time: let the disk come along
                wait_for(lambda: not len(ring), 60.0)
        delay = engine.delay
        engine.stop_recording()
        assert engine.status().recording == ""
    print(f"{pushed / RATE:.0f} s in {time.monotonic() - begin:.0f} s")  # noqa: T201
    frames = 0
    with soundfile.SoundFile(tmp_path / "take.flac") as wet, soundfile.SoundFile(tmp_path / "take-dry.flac") as dry:
        assert wet.frames == dry.frames == pushed
        while len(heard := wet.read(RATE, dtype="float32")):
            wanted = np.take(noise, np.arange(frames - delay, frames - delay + len(heard)), mode="wrap")
            if frames >= delay:
                np.testing.assert_allclose(heard, wanted, atol=2 * STEP_24)
                np.testing.assert_allclose(dry.read(len(heard), dtype="float32"), wanted, atol=2 * STEP_24)
            else:
                dry.read(len(heard))
            frames += len(heard)
