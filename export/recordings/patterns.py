"""Patterns: short electronic figures that repeat, each on instruments drawn anew; the cheapest way to many timbres.

Enters: a seed and a length. Leaves: (N,) float32 at 48 kHz, mono: one to three layers of notes on a grid, repeated
every bar or two as a sequencer does. An instrument is a sum of partials whose slope, formants, decay and detuning are
drawn at random, from a pure tone to an organ, behind the resonant low-pass of a synthesizer, which a note or a slow
wave sweeps as a mouth would: a network that has heard many takes none for a voice. Offline; runs in the caller's
thread. Read next: `made.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from export.recordings.effects import biquad, chorus, echo, equalise, level, reverb, saturate
from export.recordings.library import RATE
from export.recordings.songs import MIDDLE_A_HZ
from rtvox.features import Array

Double = npt.NDArray[np.float64]

SCALES = ((0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 5, 7, 9, 11), (0, 3, 5, 7, 10), (0, 7), (0, 3, 7, 10), (0, 4, 7, 11), (0,))
HIGHEST_HZ = 12000.0  # of a partial


def render_pattern(seed: int, seconds: float, rooms: Sequence[Path] = ()) -> Array:
    """Compose and play a figure.

    Args:
        seed: draws everything: notes, instruments, effects.
        seconds: length of the result.
        rooms: impulse response files to draw from beside synthetic rooms.
    """
    rng = np.random.default_rng([seed, 1848])
    n, step_s = round(seconds * RATE), 60.0 / rng.uniform(70, 170) / float(rng.choice([2, 3, 4, 4]))
    steps, root = int(rng.choice([8, 12, 16, 16, 32])), rng.uniform(30, 48)
    scale = SCALES[int(rng.integers(len(SCALES)))]
    sound = np.zeros(n, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        layer = np.resize(_bar(steps, step_s, root, scale, rng), n)
        if rng.random() < 0.4:
            layer = saturate(layer, _log(rng, 0.7, 10), rng.uniform(0, 0.2))
        if rng.random() < 0.4:
            layer = biquad(layer, str(rng.choice(["low", "low", "high"])), _log(rng, 300, 6000))
        sound += level(layer, rng.uniform(-30, -20))
    if rng.random() < 0.3:
        sound = chorus(sound, rng)
    if rng.random() < 0.4:
        sound = echo(sound, step_s * int(rng.integers(1, 5)), rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.6))
    if rng.random() < 0.6:
        sound = reverb(sound, rng, rng.uniform(0.05, 0.6), rooms)
    if rng.random() < 0.3:  # side chain: quiet on every beat
        beat = np.arange(n) / RATE % (4 * step_s) / (4 * step_s)
        sound *= (1.0 - rng.uniform(0.4, 0.95) * np.exp(-beat * rng.uniform(3, 8))).astype(np.float32)
    return level(equalise(sound, rng), -20)


def _log(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _bar(steps: int, step_s: float, root: float, scale: Sequence[int], rng: np.random.Generator) -> Array:
    """Return one repetition of a layer; what rings on at its end is heard at its beginning."""
    length = round(steps * step_s * RATE)
    out, play = np.zeros(length, np.float32), _Instrument(rng)
    octave, busy, together = 12 * int(rng.integers(0, 4)), rng.uniform(0.2, 1.0), int(rng.choice([1, 1, 2, 3, 4]))
    held, span = _log(rng, 0.3, 6.0), int(rng.choice([1, 2, 2]))
    made: dict[float, Array] = {}
    for step in range(steps):
        if rng.random() > busy:
            continue
        for _ in range(together):
            midi = root + octave + 12 * int(rng.integers(span)) + scale[int(rng.integers(len(scale)))]
            if midi not in made:
                made[midi] = play(MIDDLE_A_HZ * 2 ** ((midi - 69) / 12), held * step_s)
            at = (round(step * step_s * RATE) + np.arange(len(made[midi]))) % length
            np.add.at(out, at, np.float32(rng.uniform(0.5, 1.0)) * made[midi])
    return out


class _Instrument:
    """A sum of partials, drawn once: calling it plays a note."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._count = int(_log(rng, 1.0, 60.0))
        self._odd = rng.random() < 0.25
        self._stretch = _log(rng, 0.001, 0.3) if rng.random() < 0.2 else 0.0  # of bells and bars
        self._slope = rng.uniform(0.0, 2.5)
        self._corner_hz, self._resonance = _log(rng, 200, 8000), _log(rng, 0.7, 10.0)
        self._sweep = rng.uniform(-2, 4) if rng.random() < 0.5 else 0.0  # octaves of the corner, at the beginning
        self._sweep_s = _log(rng, 0.03, 1.0)
        self._wah = rng.uniform(0.3, 1.5) if rng.random() < 0.15 else 0.0  # octaves of the corner, up and down
        self._wah_hz = _log(rng, 0.5, 8.0)
        self._index = _log(rng, 0.2, 4.0) if rng.random() < 0.2 else 0.0  # of frequency modulation, radians
        self._modulator = float(rng.choice([0.5, 1, 1, 2, 3, 3.5, 7]))  # its frequency, as a multiple of the pitch
        self._formants_hz = 10 ** rng.uniform(2.4, 3.6, int(rng.integers(1, 4))) if rng.random() < 0.35 else None
        self._attack_s, self._decay_s = _log(rng, 0.001, 0.15), _log(rng, 0.05, 3.0)
        self._damping = rng.uniform(0.0, 1.0)  # how much sooner high partials decay
        self._copies, self._cents = int(rng.choice([1, 1, 2, 3])), _log(rng, 2, 20)
        self._glide = rng.uniform(-12, 12) if rng.random() < 0.12 else 0.0  # semitones, at the beginning
        self._vibrato = rng.uniform(0.05, 0.4) if rng.random() < 0.08 else 0.0  # semitones

    def __call__(self, pitch_hz: float, seconds: float) -> Array:
        """Return a note that is held for so long, and its end."""
        rng, release_s = self._rng, 0.05
        t = np.arange(round((seconds + release_s) * RATE)) / RATE
        turn = 1 + 2 * np.arange(self._count) if self._odd else 1 + np.arange(self._count)
        ratios = turn * np.sqrt(1 + self._stretch * turn**2)
        ratios = ratios[ratios * pitch_hz < HIGHEST_HZ]
        hz = ratios * pitch_hz
        strength = ratios**-self._slope
        if self._formants_hz is not None:
            away = np.log2(hz[:, None] / self._formants_hz)
            strength = strength * (0.03 + np.exp(-0.5 * (away / 0.25) ** 2).sum(1))
        bend = self._glide * np.exp(-t / 0.06) + self._vibrato * np.sin(2 * np.pi * 5.5 * t)
        cycles = np.cumsum(2.0 ** (bend / 12)) / RATE if bend.any() else t
        wave = self._index * np.exp(-t / self._decay_s) * np.sin(2 * np.pi * pitch_hz * self._modulator * cycles)
        octaves = self._sweep * np.exp(-t / self._sweep_s) + self._wah * np.sin(2 * np.pi * self._wah_hz * t)
        corner_hz = (self._corner_hz * 2.0**octaves).astype(np.float32)
        out = np.zeros(len(t), np.float32)
        for copy in range(self._copies):
            tuned = pitch_hz * 2 ** (self._cents * (copy - (self._copies - 1) / 2) / 1200)
            for ratio, loud in zip(ratios, strength, strict=True):
                phase = (2 * np.pi * (tuned * ratio * cycles + rng.random()) + wave).astype(np.float32)
                fade = np.exp(-t * (ratio**self._damping / self._decay_s)).astype(np.float32)
                place = (np.float32(ratio * pitch_hz) / corner_hz) ** 2
                heard = 1 / np.sqrt((1 - place) ** 2 + place / np.float32(self._resonance**2))  # second-order low-pass
                out += np.float32(loud) * heard * np.sin(phase) * fade
        out *= np.minimum(1, t / self._attack_s).astype(np.float32)
        out *= np.clip((seconds + release_s - t) / release_s, 0, 1).astype(np.float32)
        return out
