"""Duets: a voice and the music made for it, at one place of one song, with its tempo and key where they are known.

In: a Library whose groups are `vocals` and `stems` (songs somebody recorded), `voice-sung` and `bands` (made ones, of
the same seeds: see `made.py`). Out: `Duet`s, at drawn places, speeds and levels. Seeded: draw n of seed s is always the
same. Runs in training's worker processes. Read next: `../tasks/accompany.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.networks.accompany import BEATS, KEYS
from export.recordings.library import RATE, Library
from export.recordings.mixes import Mixer, MixRecipe
from export.recordings.production import colour
from export.recordings.songs import compose
from rtvox.errors import ParameterError
from rtvox.features import Array

TOLD = 0.6  # how often a known tempo or key is told


@dataclass(frozen=True)
class Duet:
    """A voice and its music, each (N,) float32 within [-1, 1]; tempo and key as the controls of `accompany`."""

    voice: Array
    music: Array
    tempo: float = 0.0  # bpm; 0: not told
    beat: float = 0.0  # where in a bar it begins
    key: float = 0.0  # 0: not told


@dataclass(frozen=True)
class _Song:
    voice: tuple[str, str]  # group and name
    stems: tuple[tuple[str, str], ...]
    bpm: float = 0.0
    key: float = 0.0


class Duets(Mixer):
    """Draw duets from a library: recorded songs and made ones by turns."""

    def __init__(self, library: Library, recipe: MixRecipe, made_s: float) -> None:
        """Args: made_s: how long made songs are, in seconds. Raises: ParameterError if no song has voice and music."""
        super().__init__(library, recipe)
        recorded = [
            _Song(("vocals", name), self._stems("stems", name.rpartition("-")[0])) for name in self._names("vocals")
        ]
        made = [self._made(name, made_s) for name in self._names("voice-sung")]
        self.kinds = [songs for kind in (recorded, made) if (songs := [song for song in kind if song.stems])]
        if not self.kinds:
            raise ParameterError("no song has both vocals and stems; run `python -m export prepare accompany` first")

    def _stems(self, group: str, song: str) -> tuple[tuple[str, str], ...]:
        return tuple((group, name) for name in self._names(group) if name.rpartition("-")[0] == song)

    def _made(self, name: str, made_s: float) -> _Song:
        """Return the made song of a singer's name, singing-READER-SEED."""
        seed = name.rpartition("-")[2]
        band = next(
            (n.rpartition("-")[0] for n in self._names("bands") if n.rpartition("-")[0].endswith(f"-{seed}")), ""
        )
        if not band:
            return _Song(("voice-sung", name), ())
        song = compose(int(seed), band.split("-")[1], made_s)
        key = KEYS.index(song.key.split()[0]) + 1.0
        return _Song(("voice-sung", name), self._stems("bands", band), song.bpm, key)

    def draw_duet(self, rng: np.random.Generator) -> Duet:
        """Return a duet of the recipe's length."""
        songs = self.kinds[int(rng.integers(len(self.kinds)))]
        song = songs[int(rng.integers(len(songs)))]
        array = self.library[song.voice[0]][song.voice[1]]
        start, factor = self._active_start(array, rng), self._speed(rng)
        voice = colour(self._cut(array, start, factor), rng)
        music = sum(self._cut(self.library[group][name], start, factor) for group, name in song.stems)
        music = np.asarray(music, np.float32)
        gain = 10 ** (rng.uniform(-18.0, -3.0) / 20)
        voice *= gain * 10 ** (rng.normal(0.0, 3.0) / 20) / max(float(np.abs(voice).max()), 1e-3)
        music *= gain / max(float(np.abs(music).max()), 1e-3)
        duet = Duet(np.clip(voice, -1.0, 1.0).astype(np.float32), music)
        if song.bpm and rng.random() < TOLD:
            bpm, beat = song.bpm * factor, start / RATE * song.bpm / 60.0 % BEATS
            duet = Duet(duet.voice, music, bpm, beat, duet.key)
        if song.key and factor == 1.0 and rng.random() < TOLD:
            duet = Duet(duet.voice, music, duet.tempo, duet.beat, song.key)
        return duet
