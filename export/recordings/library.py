"""Decode recordings once into flat 48 kHz mono arrays on disk, grouped by what they are, and open them again.

In: folders of sound files in any format, rate and channel count. Out: `<cache>/<group>/<name>.npy`, int16, opened as
memory maps so that training reads only the seconds it mixes, and a list of credits. Read next: `mixes.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from export.recordings.credits import credit_of, read_credits, read_index, write_credits
from rtvox.errors import AudioFileError, ParameterError
from rtvox.features import Array

RATE = 48000  # Hz
FULL_SCALE = 32767 * 0.7  # headroom for stems that exceed full scale before they are mixed
SUFFIXES = {".opus", ".flac", ".wav", ".ogg", ".mp3", ".aif", ".aiff"}


def read_mono(path: Path) -> Array:
    """Decode a sound file to (N,) float32 at 48 kHz, the mean of its channels.

    Raises: AudioFileError if it cannot be decoded, is empty, or holds values that are not numbers.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioFileError(f"{path}: cannot be read as sound ({error}); convert it to WAV or FLAC") from error
    if not len(samples):
        raise AudioFileError(f"{path}: holds no samples; remove it or record it again")
    if not np.isfinite(samples).all():
        raise AudioFileError(f"{path}: holds values that are not numbers; export it again from its editor")
    mono = samples.mean(axis=1)
    return mono if rate == RATE else soxr.resample(mono, rate, RATE)


@dataclass(frozen=True)
class Source:
    """Files that become one array of a group: `pattern` is a glob below the recordings' folder.

    `join` puts all matches one after the other into one array per folder (clips of one speaker); otherwise each file is
    its own array, named after its folder and itself, so that the stems of a song stay aligned. `spans` are the seconds
    of each array that hold what the group stands for; the rest becomes silence. None: all of it.
    """

    group: str
    pattern: str
    join: bool = True
    spans: tuple[tuple[float, float], ...] = ()


def prepare(folders: Sequence[Path], cache: Path, sources: Iterable[Source]) -> None:
    """Decode every source below the folders into `cache`; arrays that are there already are kept.

    A folder's `index.csv` (path, source, licence, ...) says where its files come from; `<cache>/credits.json` collects
    that for the manifest. Files without a row are credited to their folder, as the user's own.
    Raises: ParameterError if a source matches no file or may not be trained on, AudioFileError naming a bad file.
    """
    credits, wanted = read_credits(cache), list[tuple[Path, list[Path], Source]]()
    indices = {folder: read_index(folder) for folder in folders}
    for source in sources:
        arrays: dict[str, list[Path]] = {}
        for folder, index in indices.items():
            for path in sorted(p for p in folder.glob(source.pattern) if p.suffix.lower() in SUFFIXES):
                place = path.relative_to(folder)
                credits.add(credit_of(index, place, folder))
                name = "-".join(place.parent.parts)
                arrays.setdefault(name if source.join else f"{name}-{path.stem}", []).append(path)
        if not arrays:
            places = ", ".join(map(str, folders))
            raise ParameterError(f"{source.pattern}: no sound files in {places}; mend the recipe or give --data")
        wanted += [(cache / source.group / f"{name}.npy", paths, source) for name, paths in arrays.items()]
    write_credits(cache, credits)  # before any decoding: what is in a cache is credited
    for target, paths, source in wanted:
        _decode(paths, target, source)


def _decode(paths: list[Path], target: Path, source: Source) -> None:
    if target.exists():
        return
    mono = np.concatenate([read_mono(path) for path in paths])
    if source.spans:
        wanted = np.zeros(len(mono), bool)
        for start, end in source.spans:
            wanted[round(start * RATE) : round(end * RATE)] = True
        mono[~wanted] = 0.0
    with whole_file(target) as file:
        np.save(file, np.clip(mono * FULL_SCALE, -32768, 32767).astype(np.int16))
    print(f"{target.parent.name}/{target.stem}: {len(mono) / RATE:.0f} s from {len(paths)} files", file=sys.stderr)


@contextmanager
def whole_file(target: Path) -> Iterator[BinaryIO]:
    """Open a file to be written under a temporary name, which it loses at the end: a reader never meets half a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    with part.open("wb") as file:
        yield file
    part.rename(target)


class Library:
    """Groups of recordings, opened as memory maps: `library["voice-song"]["hydrogen"]` is an int16 array."""

    def __init__(self, cache: Path) -> None:
        self.groups: dict[str, dict[str, npt.NDArray[np.int16]]] = {}
        for path in sorted(cache.glob("*/*.npy")):
            self.groups.setdefault(path.parent.name, {})[path.stem] = np.load(path, mmap_mode="r")
        if not self.groups:
            raise ParameterError(f"{cache}: no prepared recordings; run `python -m export prepare` first")

    def __getitem__(self, group: str) -> dict[str, npt.NDArray[np.int16]]:
        """Return the arrays of a group by name; a group that was not prepared is empty."""
        return self.groups.get(group, {})


def song_in_parts(library: Library, group: str, song: str) -> tuple[Array, list[Array]]:
    """Return the voice (N,) of a song, which lies in `group`, and its other stems, as their maker mixed them.

    Raises: ParameterError if the library does not hold its voice.
    """
    name = f"stems-{song}-vocals"
    if name not in library[group]:
        known = ", ".join(library[group]) or "nothing"
        raise ParameterError(f"held-out song {song!r}: no {name} in group {group} of the cache, which holds {known}")
    voice = cut(library[group][name], 0, None)
    stems = [array for name, array in library["stems"].items() if name.startswith(f"stems-{song}-")]
    return voice, [cut(stem, 0, len(voice)) for stem in stems]


def cut(array: npt.NDArray[np.int16], start: int, length: int | None) -> Array:
    """Return (length,) float32 from `start` (None: to the end), with zeros where the recording does not reach."""
    length = len(array) - start if length is None else length
    out = np.zeros(length, np.float32)
    piece = array[max(start, 0) : start + length]
    out[max(-start, 0) : max(-start, 0) + len(piece)] = piece
    out /= FULL_SCALE
    return out
