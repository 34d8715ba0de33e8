"""Recordings with their pitch, for networks that learn to make sound: what `tasks/vocoder.py` cuts its items from.

In: a cache of decoded recordings (`library.py`) and of pairs (`pairs.py`). Out: `<cache>/scream/VOICE.npy`, the screams
of all pairs of a voice strung together, and beside every array NAME.npy its NAME.pitch, pitch and voicing of each hop
as the live tracker measures them. The end of each recording is held out. Offline; runs in the caller's thread.
Read next: `../tasks/vocoder.py`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from export.recordings.library import RATE, Library, cut, whole_file
from export.recordings.pairs import FOLDER, read_pairs
from rtvox.errors import ParameterError
from rtvox.features import MEL_SPEC, Array
from rtvox.pitch import track

SCREAMS = "scream"  # the group of arrays that are made of pairs
MEASURES = 2  # pitch and voicing, of what the tracker measures


@dataclass(frozen=True)
class ClipRecipe:
    """What is learned from, and how much; see the recipe file for the reasons."""

    groups: dict[str, float] = field(default_factory=dict)  # how often an item comes from each group of the cache
    minutes: float = 10.0  # at most, of each recording
    held_part: float = 0.05  # at the end of each recording, never trained on
    held_s: float = 6.0  # and no less than this


@dataclass(frozen=True)
class Clip:
    """A recording (N,) int16, N whole hops, and the (N / hop, 2) pitch in Hz and voicing of its hops."""

    group: str
    name: str
    samples: npt.NDArray[np.int16]
    measures: Array

    def cut(self, start: int, hops: int) -> tuple[Array, Array]:
        """Return (hops * hop,) samples and (hops, 2) measures, from hop `start` on."""
        return cut(self.samples, start * MEL_SPEC.hop, hops * MEL_SPEC.hop), self.measures[start : start + hops]


def prepare_clips(recipe: ClipRecipe, cache: Path) -> None:
    """String screams together and measure all pitches that are missing in a cache.

    Raises: ParameterError if a group of the recipe is not there.
    """
    if SCREAMS in recipe.groups and (cache / FOLDER).is_dir():
        _string_screams(cache)
    library = Library(cache)
    for group in recipe.groups:
        if not library[group]:
            raise ParameterError(f"{cache / group}: no prepared recordings; mend groups in [clips] of the recipe")
        for name, samples in library[group].items():
            target = cache / group / f"{name}.pitch"
            count = min(len(samples), round(recipe.minutes * 60 * RATE))
            if target.exists() and len(np.load(target)) >= count // MEL_SPEC.hop:
                continue
            measures = track(cut(samples, 0, count), MEL_SPEC)[:, :MEASURES]
            with whole_file(target) as file:
                np.save(file, measures)
            print(f"{target}: {np.mean(measures[:, 1] > 0.5):.0%} of {count / RATE:.0f} s voiced", file=sys.stderr)


def read_clips(recipe: ClipRecipe, cache: Path) -> tuple[list[Clip], list[Clip]]:
    """Return what is to be trained on, and what is held out: the end of each recording.

    Raises: ParameterError if nothing is prepared.
    """
    library, trained, held = Library(cache), list[Clip](), list[Clip]()
    for group in recipe.groups:
        for name, samples in library[group].items():
            path = cache / group / f"{name}.pitch"
            if not path.exists():
                continue
            measures = np.load(path)[: round(recipe.minutes * 60 * RATE) // MEL_SPEC.hop]
            last = round(max(recipe.held_part * len(measures), recipe.held_s * RATE / MEL_SPEC.hop))
            border = max(len(measures) - last, 0)
            for clips, start, end in ((trained, 0, border), (held, border, len(measures))):
                if end > start:
                    piece = samples[start * MEL_SPEC.hop : end * MEL_SPEC.hop]
                    clips.append(Clip(group, name, piece, measures[start:end]))
    if not trained or not held:
        raise ParameterError(f"{cache}: no recordings with pitch; run `python -m export prepare` first")
    return trained, held


def _string_screams(cache: Path) -> None:
    voices: dict[str, list[npt.NDArray[np.int16]]] = {}
    for name, pair in read_pairs(cache).items():
        voices.setdefault(name.rpartition("-")[0], []).append(pair.screamed)
    for voice, screams in voices.items():
        target = cache / SCREAMS / f"{voice}.npy"
        if not target.exists():
            with whole_file(target) as file:
                np.save(file, np.concatenate(screams))
