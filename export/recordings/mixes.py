"""Training mixes, made on the fly: a voice, and music to find it in.

In: a Library. Out: pairs of (N,) float32, the mix and the voice in it. Stems of one song at one place, stems of
different songs, rendered bands, loops and notes; sung, spoken and synthesised voices; gain, speed (and with it pitch),
equaliser, and the effects of `produce` drawn at random. Seeded: draw n of seed s is always the same. Runs in training's
worker processes. Read next: `production.py`, then `../train.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import soxr
import torch
from torch import Tensor

from export.recordings.drawing import worker_generator
from export.recordings.library import RATE, Library, cut
from export.recordings.production import colour, produce
from rtvox.features import Array

ALONE = ("loops", "patterns")  # groups whose recordings are no stems of songs
QUIET = 1e-4  # mean square under which a cut holds no voice: -40 dB


@dataclass(frozen=True)
class MixRecipe:
    """How likely each ingredient is; see the recipe file for the reasons."""

    seconds: float = 6.0
    voices: dict[str, float] = field(
        default_factory=lambda: {"voice-song": 0.6, "voice-sung": 0.2, "voice-spoken": 0.2}
    )
    music: dict[str, float] = field(default_factory=lambda: {"stems": 0.7, "bands": 0.2, "loops": 0.1})
    no_voice: float = 0.07
    second_voice: float = 0.25
    together: float = 0.5  # one song's stems at one place are the music; else stems from anywhere
    same_song: float = 0.3  # voice and music of one song at one place: what will be heard live
    voice_level_db: tuple[float, float] = (-8.0, 6.0)  # mean and deviation of the voice against the music
    speed: float = 0.25  # largest change of speed, as a factor above or below one
    hold_out: tuple[str, ...] = ()  # songs that never enter a mix


class Mixer:
    """Draw training mixes from a library."""

    def __init__(self, library: Library, recipe: MixRecipe) -> None:
        self.recipe = recipe
        self.length = round(recipe.seconds * RATE / 256) * 256  # whole hops
        self.library = library
        self.voices = {g: w for g, w in recipe.voices.items() if self._names(g)}
        self.songs: dict[str, dict[str, list[str]]] = {}
        for group in recipe.music:
            for name in self._names(group):
                song, _, stem = name.rpartition("-")
                self.songs.setdefault(group, {}).setdefault(song if group not in ALONE else name, []).append(stem)
        self.music = {g: w for g, w in recipe.music.items() if self.songs.get(g)}

    def _names(self, group: str) -> list[str]:
        held = self.recipe.hold_out
        return [n for n in self.library[group] if not any(song in n for song in held)]

    def draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Return a mix and the voice in it, each (N,) float32 within [-1, 1]."""
        recipe = self.recipe
        if rng.random() < recipe.same_song and "stems" in self.music and "voice-song" in self.voices:
            voice, music = self._one_song(rng)
        else:
            voice = self._voice(rng)
            if rng.random() < recipe.second_voice:
                voice = voice + self._voice(rng) * rng.uniform(0.2, 0.8)
            music = self._music(rng)
        if rng.random() < recipe.no_voice:
            voice = np.zeros_like(voice)
        music_power, voice_power = np.mean(music**2), np.mean(voice**2)
        if min(music_power, voice_power) > 1e-9:
            level = 10 ** (rng.normal(*recipe.voice_level_db) / 20)
            voice = voice * (level * np.sqrt(music_power / voice_power))
        mix = voice + music
        gain = 10 ** (rng.uniform(-18.0, -0.5) / 20) / max(float(np.abs(mix).max()), 1e-3)
        return (mix * gain).astype(np.float32), (voice * gain).astype(np.float32)

    def _one_song(self, rng: np.random.Generator) -> tuple[Array, Array]:
        names = [n for n in self._names("voice-song") if n.rpartition("-")[0] in self.songs["stems"]]
        name = str(rng.choice(names))
        song = name.rpartition("-")[0]
        start = self._active_start(self.library["voice-song"][name], rng)
        factor = self._speed(rng)
        voice = self._cut(self.library["voice-song"][name], start, factor)
        voice = colour(produce(voice, rng) if rng.random() < 0.3 else voice, rng)
        music = np.zeros(self.length, np.float32)
        for stem in self.songs["stems"][song]:
            level = 10 ** (rng.normal(0.0, 3.0) / 20)
            music += level * colour(self._cut(self.library["stems"][f"{song}-{stem}"], start, factor), rng)
        return voice, music

    def _voice(self, rng: np.random.Generator) -> Array:
        group = _pick(self.voices, rng)
        array = self.library[group][str(rng.choice(self._names(group)))]
        voice = self._cut(array, self._active_start(array, rng), self._speed(rng))
        return colour(produce(voice, rng), rng)

    def _music(self, rng: np.random.Generator) -> Array:
        music = np.zeros(self.length, np.float32)
        together = rng.random() < self.recipe.together
        if together:
            group = _pick({g: w for g, w in self.music.items() if g not in ALONE} or self.music, rng)
            song = str(rng.choice(list(self.songs[group])))
            names = [(group, f"{song}-{stem}" if group not in ALONE else song) for stem in self.songs[group][song]]
        else:
            groups = [_pick(self.music, rng) for _ in range(int(rng.integers(1, 5)))]
            names = [(g, str(rng.choice(self._names(g)))) for g in groups]
        place, factor = rng.random(), self._speed(rng)
        for group, name in names:
            array = self.library[group][name]
            if not together:
                place, factor = rng.random(), self._speed(rng)
            if len(array) < self.length:
                array = np.resize(array, 3 * self.length)  # short loops repeat
            start = int(place * max(len(array) - self.length, 1))
            level = 10 ** (rng.normal(0.0, 4.0) / 20)
            music += level * colour(self._cut(array, start, factor), rng)
        return music

    def _speed(self, rng: np.random.Generator) -> float:
        if rng.random() < 0.5:
            return 1.0
        return float((1.0 + self.recipe.speed) ** rng.uniform(-1.0, 1.0))

    def _cut(self, array: np.ndarray, start: int, factor: float) -> Array:
        piece = cut(array, start, int(self.length * factor) + 1)
        if factor != 1.0:
            piece = soxr.resample(piece, factor, 1.0, quality="LQ")
        out = np.zeros(self.length, np.float32)
        out[: len(piece)] = piece[: self.length]
        return out

    def _active_start(self, array: np.ndarray, rng: np.random.Generator) -> int:
        """Return a place where somebody sings, if a few tries find one."""
        for _ in range(8):
            start = int(rng.integers(0, max(len(array) - self.length, 1)))
            probe = np.asarray(array[start : start + self.length : 16], np.float32) / 32768.0
            if len(probe) and np.mean(probe**2) > QUIET:
                break
        return start


def _pick(weights: dict[str, float], rng: np.random.Generator) -> str:
    values = np.array(list(weights.values()))
    return list(weights)[int(rng.choice(len(values), p=values / values.sum()))]


class MixStream(torch.utils.data.IterableDataset[Tensor]):
    """Endless stream of training items: `view(mix, voice)` of mix after mix. Workers and ranks draw their own."""

    def __init__(self, mixer: Mixer, view: Callable[[Array, Array], Tensor], seed: int, rank: int = 0) -> None:
        self.mixer, self.view, self.seed, self.rank = mixer, view, seed, rank

    def __iter__(self) -> Iterator[Tensor]:
        """Draw without end."""
        rng = worker_generator([self.seed, self.rank])
        while True:
            yield self.view(*self.mixer.draw(rng))
