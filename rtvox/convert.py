"""Convert sound files: the live path, faster than real time, on any format that libsndfile reads and writes.

In: sound files. Out: sound files of the same rate, channels, length and sample format, aligned with the input to the
sample. Each file is written beside its target and renamed when it is complete, so whatever goes wrong, no half file
stands under the target's name, and what stood there before is kept. Main thread. Read next: `file_device.py`, whose
`convert_blocks` runs one engine per channel.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from rtvox.engine import Model
from rtvox.errors import AudioFileError, ParameterError
from rtvox.features import Array, FeatureSpec
from rtvox.file_device import convert_blocks
from rtvox.providers import AUTO, Provider
from rtvox.resample import RATES

READ_FRAMES = 65536  # per turn: 1.4 s at 48 kHz, a smooth progress bar and few calls

# Endings that mean a format of another name; RAW and SDS files do not say, or cannot hold, what is in them.
_FORMAT_OF = {"AIF": "AIFF", "AIFC": "AIFF", "SND": "AU", "OGA": "OGG", "OPUS": "OGG", "WAVE": "WAV", "BWF": "WAV"}
_FORMATS = sorted(soundfile.available_formats().keys() - {"RAW", "SDS"})
SOUND_SUFFIXES = frozenset(f".{name.lower()}" for name in (*_FORMATS, *_FORMAT_OF))


@dataclass(frozen=True)
class Job:
    """One file to convert."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Result:
    """What was written, and what the user should know about it."""

    frames: int
    sample_rate: int
    channels: int
    repaired: int  # samples of the source that were not numbers, taken as silence

    @property
    def seconds(self) -> float:
        """The length."""
        return self.frames / self.sample_rate


def plan(sources: Sequence[Path], out: Path) -> list[Job]:
    """Return what is to be written where.

    One file goes to the file `out`, or into it if it is a folder. Several files, and the sound files of a folder and
    its subfolders, go into the folder `out` under their own names.

    Raises: AudioFileError if there is nothing to convert, or a file would be overwritten by its own conversion or by
        another's.
    """
    if len(sources) == 1 and not sources[0].is_dir() and not out.is_dir():
        jobs = [Job(sources[0], out)]
    else:
        jobs = [job for source in sources for job in _plan_into(source, out)]
    if not jobs:
        raise AudioFileError(f"{sources[0]}: no sound file in it; known endings: {' '.join(sorted(SOUND_SUFFIXES))}")
    seen: dict[Path, Path] = {}
    for job in jobs:
        if job.target.exists() and job.source.exists() and job.target.samefile(job.source):
            raise AudioFileError(f"{job.source}: would be overwritten by its own conversion; name another OUT")
        if (other := seen.setdefault(job.target, job.source)) != job.source:
            raise AudioFileError(f"{job.source} and {other}: would both be written to {job.target}; convert them apart")
    return jobs


def convert_file(
    job: Job,
    model: Model,
    settings: Mapping[str, float],
    *,
    spec: FeatureSpec | None = None,
    provider: Provider = AUTO,
    progress: Callable[[float, float], None] = lambda done, whole: None,
) -> Result:
    """Convert one file; `progress` is called now and then with the seconds done and the seconds there are.

    Raises: AudioFileError if the source cannot be read or the target not be written; other RtvoxErrors as
        `convert_blocks`. The target is then as it was before.
    """
    with _open(job.source) as source, _writer(job.target, source) as target:
        blocks = _Blocks(source, job.source)
        done = 0
        stream = convert_blocks(blocks, source.samplerate, model, settings, spec=spec, provider=provider)
        with closing(stream) as converted:
            for block in converted:
                target.write(block)
                done += len(block)
                progress(done / source.samplerate, source.frames / source.samplerate)
        return Result(done, source.samplerate, source.channels, blocks.repaired)


class _Blocks:
    """The blocks (N, C) of an open sound file; counts, and takes as silence, what is not a number."""

    def __init__(self, file: soundfile.SoundFile, path: Path) -> None:
        self._file, self._path = file, path
        self.repaired = 0

    def __iter__(self) -> Iterator[Array]:
        while len(block := self._read()):
            self.repaired += int(block.size - np.count_nonzero(np.isfinite(block)))
            yield np.nan_to_num(block, copy=False, nan=0.0, posinf=0.0, neginf=0.0)

    def _read(self) -> Array:
        try:
            block: Array = self._file.read(READ_FRAMES, dtype="float32", always_2d=True)
            return block
        except soundfile.SoundFileError as error:
            raise AudioFileError(f"{self._path}: cannot be read to its end ({_reason(error)})") from None


def _plan_into(source: Path, out: Path) -> list[Job]:
    if out.exists() and not out.is_dir():
        raise AudioFileError(f"{out}: is a file; several conversions need a folder")
    if not source.is_dir():
        return [Job(source, out / source.name)]
    inside = sorted(path for path in source.rglob("*") if path.suffix.lower() in SOUND_SUFFIXES and path.is_file())
    results = out.resolve()
    return [Job(path, out / path.relative_to(source)) for path in inside if results not in path.resolve().parents]


def _open(path: Path) -> soundfile.SoundFile:
    if not path.exists():
        raise AudioFileError(f"{path}: no such file")
    if not os.access(path, os.R_OK):
        raise AudioFileError(f"{path}: may not be read by you")
    if path.stat().st_size == 0:
        raise AudioFileError(f"{path}: is empty (0 bytes); needs a sound file")
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, TypeError) as error:
        raise AudioFileError(f"{path}: cannot be read as sound ({_reason(error)})") from None
    if not RATES[0] <= file.samplerate <= RATES[1]:
        file.close()
        raise AudioFileError(f"{path}: {file.samplerate} Hz; needs {RATES[0]} to {RATES[1]} Hz")
    return file


def sound_format(target: Path, subtype: str, source: tuple[str, str] = ("", "")) -> tuple[str, str]:
    """Return format and sample format of a file to write: the ending decides on the one; the other is a wish.

    Args:
        source: ending and format of the file it is made of, which an unknown ending shares with it.

    Raises: ParameterError if the ending is unknown.
    """
    ending = target.suffix[1:].upper()
    container = _FORMAT_OF.get(ending, ending)
    if container not in _FORMATS:
        if ending and target.suffix == source[0]:
            container = source[1]
        else:
            known = " ".join(sorted(SOUND_SUFFIXES))
            raise ParameterError(f"{target}: unknown ending {target.suffix!r}; known: {known}")
    fine = "PCM_24" if subtype in ("FLOAT", "DOUBLE", "PCM_32") else "PCM_16"
    default = soundfile.default_subtype(container)
    wishes = ("OPUS",) if ending == "OPUS" else (subtype, fine, default)
    return container, next(wish for wish in wishes if wish in soundfile.available_subtypes(container))


@contextmanager
def write_sound(
    path: Path, rate: int, channels: int, subtype: str, source: tuple[str, str] = ("", "")
) -> Iterator[soundfile.SoundFile]:
    """Open a sound file for writing; it appears under `path` when the block ends well, and not at all otherwise.

    `subtype` and `source`: as for `sound_format`. Raises: AudioFileError, ParameterError if the ending is unknown.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise AudioFileError(f"{path}: is no ordinary file; name another OUT")
    container, subtype = sound_format(path, subtype, source)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()  # says why it cannot be, where libsndfile says "System error"
        with soundfile.SoundFile(part, "w", rate, channels, subtype, format=container) as file:
            yield file
        part.replace(path)
    except (OSError, soundfile.SoundFileError, AssertionError) as error:  # soundfile asserts that all was written
        shape = f"{rate} Hz, {channels} channels, {container} {subtype}"
        raise AudioFileError(f"{path}: cannot be written ({_reason(error)}; {shape})") from None
    finally:
        with suppress(OSError):  # it is not there: all went well, or it could not be made
            part.unlink()


@contextmanager
def _writer(path: Path, like: soundfile.SoundFile) -> Iterator[soundfile.SoundFile]:
    """Open a file as `write_sound` does, of the rate, channels, format and titles of another."""
    source = Path(like.name).suffix, like.format
    with write_sound(path, like.samplerate, like.channels, like.subtype, source) as file:
        for name, text in like.copy_metadata().items():
            with suppress(soundfile.SoundFileError):  # not every format has room for a title
                setattr(file, name, text)
        yield file


def _reason(error: Exception) -> str:
    if isinstance(error, AssertionError):
        return "is the disk full?"
    return str(getattr(error, "error_string", None) or getattr(error, "strerror", None) or error).rstrip(".")
