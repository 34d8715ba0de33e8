"""Pairs to learn screaming from: a clean take and the screamed one, each sample of both at the same place.

In: folders of clean voices (their screams are synthesised), or clean and screamed takes of a user's (`own_pairs.py`
aligns them). Out: `<cache>/pairs/NAME.npz`, stretches of some seconds at 48 kHz, with the intensity and style of each
utterance in them. Seeded: the same recipe and voices make the same pairs. Offline; runs in the caller's thread.
Read next: `screams.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from export.recordings.credits import Credit, credit_of, read_credits, read_index, write_credits
from export.recordings.effects import equalise, level
from export.recordings.library import FULL_SCALE, RATE, SUFFIXES, read_mono, whole_file
from export.recordings.screams import draw_manner, look_at, scream
from export.recordings.singing import sing
from export.recordings.songs import compose
from rtvox.errors import ParameterError
from rtvox.features import Array

FOLDER = "pairs"
SHORTEST_S = 0.8  # of an utterance
TONE_DB = 6.0  # by which each utterance's tone is changed: other microphones, other days
LEVEL_DB = -26.0  # of each utterance; leaves room for the peaks of its scream


@dataclass(frozen=True)
class PairRecipe:
    """Which voices are screamed, and how; see the recipe file for the reasons."""

    minutes: dict[str, float] = field(default_factory=dict)  # glob below the recordings' folder -> minutes of it
    sung: float = 0.0  # part of each voice that sings in place of speaking
    stretch_s: float = 12.0  # utterances of one voice are strung together to about this length
    full: float = 0.5  # part of the utterances at full intensity; the others are anywhere below
    named: float = 0.5  # part of the utterances that are a growl, a scream or a shriek; the others are anywhere between
    sentences: tuple[str, ...] = ()  # globs of sentences never trained on
    speakers: tuple[str, ...] = ()  # globs of speakers never trained on


@dataclass(frozen=True)
class Pair:
    """A stretch of utterances, clean and screamed (N,) int16; utterance s ends before sample `ends[s]`."""

    clean: npt.NDArray[np.int16]
    screamed: npt.NDArray[np.int16]
    ends: npt.NDArray[np.int64]
    intensity: Array
    style: Array

    def save(self, path: Path) -> None:
        """Write it under a temporary name first: a reader never meets half a file."""
        with whole_file(path) as file:
            np.savez(file, **vars(self))

    def of_frames(self, values: Array, hop: int) -> Array:
        """Spread one value per utterance over the (T,) frames of the stretch."""
        starts = np.arange(len(self.clean) // hop) * hop
        return values[np.searchsorted(self.ends, starts, side="right").clip(max=len(values) - 1)]


def make_pair(utterances: Sequence[tuple[Array, Array, float, float]]) -> Pair:
    """String (clean, screamed, intensity, style) utterances together."""
    clean, screamed = (
        np.clip(np.concatenate(sounds) * FULL_SCALE, -32768, 32767).astype(np.int16)
        for sounds in list(zip(*utterances, strict=True))[:2]
    )
    ends = np.cumsum([len(u[0]) for u in utterances])
    intensity, style = (np.array([u[i] for u in utterances], np.float32) for i in (2, 3))
    return Pair(clean, screamed, ends, intensity, style)


def read_pairs(cache: Path) -> dict[str, Pair]:
    """Return the prepared pairs by name.

    Raises: ParameterError if there are none.
    """
    found = {}
    for path in sorted((cache / FOLDER).glob("*.npz")):
        with np.load(path) as file:
            found[path.stem] = Pair(**{name: file[name] for name in file.files})
    if not found:
        raise ParameterError(f"{cache / FOLDER}: no prepared pairs; run `python -m export prepare` first")
    return found


def prepare_pairs(recipe: PairRecipe, folders: Sequence[Path], cache: Path, seed: int) -> None:
    """Synthesise the pairs that a recipe asks for into `cache`; stretches that are there already are kept.

    Raises: ParameterError if a pattern matches no file or one that may not be trained on, AudioFileError naming a bad
    file.
    """
    credits = read_credits(cache)
    indices = {folder: read_index(folder) for folder in folders}
    for pattern, minutes in recipe.minutes.items():
        files = list(voice_files(folders, [pattern], recipe.sentences + recipe.speakers))
        if not files:
            places = ", ".join(map(str, folders))
            raise ParameterError(f"{pattern}: no sound files in {places}; mend the recipe or give --data")
        name = "-".join(part for part in Path(pattern).parent.parts if part != "voice")
        rng = np.random.default_rng([seed, *name.encode()])
        order = [files[i] for i in rng.permutation(len(files))]
        _write_credits(order, indices, credits, cache)
        _string(recipe, name, order, minutes, cache, rng)


def voice_files(
    folders: Iterable[Path], patterns: Iterable[str], but: Iterable[str] = ()
) -> Iterator[tuple[Path, Path]]:
    """Yield (folder, path) of the sound files that match a pattern and none of `but`, sorted."""
    for folder in folders:
        left_out = {path for pattern in but for path in folder.glob(pattern)}
        wanted = {path for pattern in patterns for path in folder.glob(pattern)} - left_out
        yield from ((folder, path) for path in sorted(wanted) if path.suffix.lower() in SUFFIXES)


def _write_credits(
    files: Sequence[tuple[Path, Path]], indices: dict[Path, dict[str, Credit]], credits: set[Credit], cache: Path
) -> None:
    credits |= {credit_of(indices[folder], path.relative_to(folder), folder) for folder, path in files}
    write_credits(cache, credits)


def _string(
    recipe: PairRecipe, name: str, files: Sequence[tuple[Path, Path]], minutes: float, cache: Path,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Make stretches of one voice until they last `minutes` or the files are used up."""
    left, count, place = round(minutes * 60 * RATE), 0, 0
    while left > 0 and place < len(files):
        target = cache / FOLDER / f"{name}-{count:03}.npz"
        seed, sings = int(rng.integers(2**31)), bool(rng.random() < recipe.sung)
        taken, takes = 0, list[Array]()
        while place < len(files) and taken < recipe.stretch_s * RATE:
            takes.append(read_mono(files[place][1]))
            taken, place = taken + len(takes[-1]), place + 1
        count, left = count + 1, left - taken
        if target.exists():
            continue
        chance = np.random.default_rng(seed)
        if sings:
            takes = [_sung(np.concatenate(takes), seed, recipe.stretch_s)]
        utterances = [_screamed(take, recipe, chance) for take in takes if len(take) > SHORTEST_S * RATE]
        if utterances:
            make_pair(utterances).save(target)
            print(f"{target}: {taken / RATE:.0f} s{', sung' if sings else ''}", file=sys.stderr)


def _screamed(take: Array, recipe: PairRecipe, rng: np.random.Generator) -> tuple[Array, Array, float, float]:
    take = level(equalise(take, rng, TONE_DB), LEVEL_DB)
    style = float(rng.integers(3)) if rng.random() < recipe.named else float(rng.uniform(0.0, 2.0))
    intensity = 1.0 if rng.random() < recipe.full else float(rng.uniform(0.1, 1.0))
    return take, scream(look_at(take), draw_manner(style, rng), intensity), intensity, style


def _sung(voice: Array, seed: int, seconds: float) -> Array:
    return sing(voice, RATE, compose(seed, "pop", seconds).melody, seed, seconds=seconds, dry=True)
