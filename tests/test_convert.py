"""`rtvox convert`: same shape and format, aligned, the same sound as the engine's; bad files leave nothing behind."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtvox.bench import play
from rtvox.chain import NO_MODEL
from rtvox.convert import Job, convert_file, plan
from rtvox.errors import AudioFileError, ParameterError
from rtvox.features import Array, FeatureSpec

LOUD = 0.5  # under the limiter's ceiling, so that no model gives the input back


def write(path: Path, channels: int = 1, rate: int = 48000, frames: int = 4801, **how: str) -> Array:
    rng = np.random.default_rng(440)
    sound = rng.uniform(-LOUD, LOUD, (frames, channels)).astype(np.float32)
    soundfile.write(path, sound, rate, **how)
    return sound


def convert(source: Path, target: Path) -> Array:
    convert_file(Job(source, target), NO_MODEL, {})
    return soundfile.read(target, dtype="float32", always_2d=True)[0]


@pytest.mark.parametrize(
    ("container", "subtype", "rate", "channels"),
    [
        ("wav", "PCM_16", 44100, 2),
        ("wav", "PCM_24", 96000, 1),
        ("wav", "FLOAT", 48000, 8),
        ("wav", "DOUBLE", 48000, 1),
        ("wav", "PCM_U8", 22050, 1),
        ("flac", "PCM_24", 48000, 2),
        ("aiff", "PCM_16", 8000, 1),
        ("ogg", "VORBIS", 44100, 2),
        ("ogg", "OPUS", 48000, 1),
        ("mp3", "MPEG_LAYER_III", 48000, 2),
    ],
)
def test_rate_channels_length_and_subtype_are_kept(
    tmp_path: Path, container: str, subtype: str, rate: int, channels: int
) -> None:
    source, target = tmp_path / f"in.{container}", tmp_path / f"out.{container}"
    write(source, channels, rate, subtype=subtype)
    convert(source, target)
    before, after = soundfile.info(source), soundfile.info(target)
    for what in ("samplerate", "channels", "frames", "format", "subtype"):
        assert getattr(after, what) == getattr(before, what), what


@pytest.mark.parametrize("frames", [1, 2, 255, 256, 4801, 65536, 65537, 240000])
def test_without_a_model_the_sound_comes_back_aligned(tmp_path: Path, frames: int) -> None:
    sound = write(tmp_path / "in.wav", channels=2, frames=frames, subtype="FLOAT")
    converted = convert(tmp_path / "in.wav", tmp_path / "out.wav")
    assert converted.shape == sound.shape
    assert np.abs(converted - sound).max() < 1e-6


def test_channels_stay_apart(tmp_path: Path) -> None:
    sound = np.zeros((9600, 8), np.float32)
    sound[:, 5] = write(tmp_path / "one.wav", frames=9600)[:, 0]
    soundfile.write(tmp_path / "in.wav", sound, 48000, "FLOAT")
    converted = convert(tmp_path / "in.wav", tmp_path / "out.wav")
    assert np.abs(converted[:, 5]).max() > 0.1
    assert np.abs(np.delete(converted, 5, axis=1)).max() < 1e-12


@pytest.mark.parametrize("block", [16, 77, 128, 4096])
def test_a_file_sounds_as_through_the_engine(tmp_path: Path, full_model_path: Path, block: int) -> None:
    sound = write(tmp_path / "in.wav", frames=24000, subtype="FLOAT")
    model, setting = str(full_model_path), {"depth": 0.8, "input_gain": -6.0}
    convert_file(Job(tmp_path / "in.wav", tmp_path / "out.wav"), model, setting)
    converted = soundfile.read(tmp_path / "out.wav", dtype="float32")[0]
    _, played = play(model, setting, sound[:, 0], spec=FeatureSpec(), block=block, clock="fake")
    assert len(converted) == len(played) == len(sound)
    assert np.abs(converted).max() > 0.01
    assert np.abs(converted - played).max() < 1e-6


def test_what_is_not_a_number_is_silence_and_counted(tmp_path: Path) -> None:
    sound = write(tmp_path / "in.wav", frames=9600, subtype="FLOAT")
    sound[100:110, 0], sound[200, 0] = np.nan, np.inf
    soundfile.write(tmp_path / "in.wav", sound, 48000, "FLOAT")
    result = convert_file(Job(tmp_path / "in.wav", tmp_path / "out.wav"), NO_MODEL, {})
    converted = soundfile.read(tmp_path / "out.wav", dtype="float32")[0]
    assert result.repaired == 11
    assert np.abs(converted - np.where(np.isfinite(sound[:, 0]), sound[:, 0], 0.0)).max() < 1e-6


def test_an_empty_sound_stays_empty(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", np.zeros((0, 2)), 44100)
    convert(tmp_path / "in.wav", tmp_path / "out.wav")
    info = soundfile.info(tmp_path / "out.wav")
    assert (info.frames, info.channels, info.samplerate) == (0, 2, 44100)


@pytest.mark.parametrize(
    ("subtype", "ending", "expected"),
    [
        ("FLOAT", "flac", "PCM_24"),
        ("PCM_16", "flac", "PCM_16"),
        ("PCM_24", "ogg", "VORBIS"),
        ("PCM_16", "opus", "OPUS"),
    ],
)
def test_the_ending_chooses_the_format(tmp_path: Path, subtype: str, ending: str, expected: str) -> None:
    write(tmp_path / "in.wav", subtype=subtype)
    convert(tmp_path / "in.wav", tmp_path / f"out.{ending}")
    assert soundfile.info(tmp_path / f"out.{ending}").subtype == expected


def test_tags_are_kept(tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "in.flac", "w", 48000, 1) as file:
        file.title, file.artist = "Song", "Singer"
        file.write(np.zeros(480))
    convert(tmp_path / "in.flac", tmp_path / "out.flac")
    with soundfile.SoundFile(tmp_path / "out.flac") as file:
        assert (file.title, file.artist) == ("Song", "Singer")


def test_a_folder_is_converted_with_its_subfolders(tmp_path: Path) -> None:
    (tmp_path / "takes" / "second").mkdir(parents=True)
    for name in ("a.wav", "second/b.FLAC", "notes.txt"):
        (tmp_path / "takes" / name).touch()
    inside = tmp_path / "takes" / "converted"
    inside.mkdir()
    (inside / "old.wav").touch()
    takes = tmp_path / "takes"
    assert plan([takes], inside) == [
        Job(takes / "a.wav", inside / "a.wav"),
        Job(takes / "second/b.FLAC", inside / "second/b.FLAC"),
    ]


def test_one_file_goes_into_a_folder_that_is_there(tmp_path: Path) -> None:
    assert plan([Path("x.wav")], tmp_path) == [Job(Path("x.wav"), tmp_path / "x.wav")]
    assert plan([Path("x.wav")], tmp_path / "y.wav") == [Job(Path("x.wav"), tmp_path / "y.wav")]


def test_plans_that_would_lose_something_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "in.wav"
    write(source)
    (tmp_path / "link.wav").symlink_to(source)
    for out in (source, tmp_path / "link.wav", tmp_path):
        with pytest.raises(AudioFileError, match=r"in\.wav: would be overwritten by its own conversion"):
            plan([source], out)
    with pytest.raises(AudioFileError, match="would both be written to"):
        plan([tmp_path / "in.wav", tmp_path / "other" / "in.wav"], tmp_path / "out")
    with pytest.raises(AudioFileError, match="is a file; several conversions need a folder"):
        plan([source, source], source)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(AudioFileError, match="no sound file in it"):
        plan([tmp_path / "nothing"], tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b"this is text", "cannot be read as sound"),
        (b"RIFF", "cannot be read"),
    ],
)
def test_unreadable_sources_are_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    source, target = tmp_path / "in.wav", tmp_path / "out.wav"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(AudioFileError, match=rf"in\.wav: {message}") as caught:
        convert(source, target)
    assert "\n" not in str(caught.value)
    assert not target.exists()


def test_a_truncated_source_leaves_the_old_target(tmp_path: Path) -> None:
    write(tmp_path / "whole.flac", frames=200000)
    data = (tmp_path / "whole.flac").read_bytes()
    (tmp_path / "in.flac").write_bytes(data[: len(data) // 2] + b"\0" * 100)
    (tmp_path / "out.wav").write_text("precious")
    with pytest.raises(AudioFileError, match=r"in\.flac: .*end"):
        convert(tmp_path / "in.flac", tmp_path / "out.wav")
    assert (tmp_path / "out.wav").read_text() == "precious"
    assert not list(tmp_path.glob(".*part"))


def test_targets_that_cannot_be_written_are_one_line(tmp_path: Path) -> None:
    write(tmp_path / "in.wav", channels=8)
    (tmp_path / "file").touch()
    (tmp_path / "folder.wav").mkdir()
    for name, message in {
        "file/out.wav": "Not a directory|File exists",
        "folder.wav": "is no ordinary file",
        "out.mp3": "8 channels, MP3",
    }.items():
        with pytest.raises(AudioFileError, match=message):
            convert(tmp_path / "in.wav", tmp_path / name)
    with pytest.raises(AudioFileError, match="is no ordinary file"):
        convert(tmp_path / "in.wav", Path(os.devnull))
    with pytest.raises(ParameterError, match=r"unknown ending '\.xyz'"):
        convert(tmp_path / "in.wav", tmp_path / "out.xyz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.wav", "in.wav"]


def test_a_full_disk_leaves_the_old_target(tmp_path: Path) -> None:
    write(tmp_path / "in.wav", frames=100000)
    (tmp_path / "out.wav").write_text("precious")

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000))

    command = [sys.executable, "-m", "rtvox", "convert", "in.wav", "out.wav", "--model", NO_MODEL]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, preexec_fn=small_files, capture_output=True, text=True, check=False
    )
    assert done.returncode == AudioFileError.exit_code
    assert done.stderr.startswith("rtvox: error: ")
    assert "out.wav: cannot be written" in done.stderr
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "out.wav").read_text() == "precious"
    assert not list(tmp_path.glob(".*part"))
