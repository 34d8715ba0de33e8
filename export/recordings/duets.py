"""Duets: a voice and the music made for it, at one place of one song, with its beat, and its key where that is known.

In: a Library whose groups are `vocals` and `stems` (songs somebody recorded), `voice-sung` and `bands` (made ones, of
the same seeds: see `made.py`). Out: `Duet`s, at drawn places, speeds and levels. Seeded: draw n of seed s is always the
same. Runs in training's worker processes. Read next: `../tasks/accompany.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.networks.accompany import BEATS, MODES
from export.recordings.beat import find_beat
from export.recordings.library import RATE, Library, cut
from export.recordings.mixes import Mixer, MixRecipe
from export.recordings.production import colour
from export.recordings.songs import KEYS, compose
from rtvox.errors import ParameterError
from rtvox.features import Array

TOLD = 0.85  # how often a tempo is told; a known key always is: without one, music is like that of recorded songs
MUSIC_DB = -20.0, 2.0  # of music's loudest second, whatever the voice's, about as in recorded songs: mean, deviation


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
    first: float = 0.0  # sample at which a bar begins
    tonic: int = 0
    mode: int = -1  # of MODES; -1: not known


class Duets(Mixer):
    """Draw duets from a library: recorded songs and made ones by turns."""

    def __init__(self, library: Library, recipe: MixRecipe, made_s: float) -> None:
        """Args: made_s: how long made songs are, in seconds. Raises: ParameterError if no song has voice and music."""
        super().__init__(library, recipe)
        recorded = [self._recorded(name) for name in self._names("vocals")]
        made = [self._made(name, made_s) for name in self._names("voice-sung")]
        self.kinds = [songs for kind in (recorded, made) if (songs := [song for song in kind if song.stems])]
        if not self.kinds:
            raise ParameterError("no song has both vocals and stems; run `python -m export prepare accompany` first")

    def _stems(self, group: str, song: str) -> tuple[tuple[str, str], ...]:
        return tuple((group, name) for name in self._names(group) if name.rpartition("-")[0] == song)

    def _recorded(self, name: str) -> _Song:
        """Return the recorded song of a voice's name, SONG-vocals; its beat is that of its drums."""
        song = name.rpartition("-")[0]
        drums = self.library["stems"].get(f"{song}-drums")
        bpm, first = (0.0, 0.0) if drums is None else find_beat(cut(drums, 0, None))
        return _Song(("vocals", name), self._stems("stems", song), bpm, first)

    def _made(self, name: str, made_s: float) -> _Song:
        """Return the made song of a singer's name, singing-READER-SEED."""
        seed = name.rpartition("-")[2]
        band = next(
            (n.rpartition("-")[0] for n in self._names("bands") if n.rpartition("-")[0].endswith(f"-{seed}")), ""
        )
        if not band:
            return _Song(("voice-sung", name), ())
        song = compose(int(seed), band.split("-")[1], made_s)
        tonic, mode = song.key.split()
        minor = int(mode != MODES[0])  # dorian is told as minor, too
        return _Song(("voice-sung", name), self._stems("bands", band), song.bpm, 0.0, KEYS.index(tonic), minor)

    def draw_duet(self, rng: np.random.Generator) -> Duet:
        """Return a duet of the recipe's length."""
        songs = self.kinds[int(rng.integers(len(self.kinds)))]
        song = songs[int(rng.integers(len(songs)))]
        array = self.library[song.voice[0]][song.voice[1]]
        start, up = self._active_start(array, rng), self._semitones(rng)
        factor = 2.0 ** (up / 12.0)
        voice = colour(self._cut(array, start, factor), rng)
        music = sum(self._cut(self.library[group][name], start, factor) for group, name in song.stems)
        music = np.asarray(music, np.float32)
        voice *= 10 ** (rng.uniform(-18.0, -1.0) / 20) / max(float(np.abs(voice).max()), 1e-3)
        music *= 10 ** (rng.normal(*MUSIC_DB) / 20) / max(_loudness(music), 1e-2)
        key = 1.0 + (song.tonic + up) % 12 + 12 * song.mode if song.mode >= 0 else 0.0
        if not song.bpm or rng.random() > TOLD:
            return Duet(voice, music, key=key)
        beat = (start - song.first) / RATE * song.bpm / 60.0 % BEATS
        return Duet(voice, music, song.bpm * factor, beat, key)

    def _semitones(self, rng: np.random.Generator) -> int:
        """Return by how many semitones a song is faster and higher: whole ones, so that it stays in some key."""
        most = int(12.0 * np.log2(1.0 + self.recipe.speed))
        return int(rng.integers(-most, most + 1))


def _loudness(sound: Array) -> float:
    """Return the root mean square of the loudest second of (N,) samples."""
    return float(np.sqrt(max(np.square(second).mean() for second in np.array_split(sound, -(-len(sound) // RATE)))))
