"""Songs made of chance and a few rules: key, chords, sections, and what each player plays.

Enters: a seed, a style and a length. Leaves: `Song`, the notes of drums, bass, chords, pad, arpeggio and lead, and a
melody in the same key and time for a singer. Pure and offline; the same seed writes the same song. Read next:
`bands.py`, which plays it, and `singing.py`, which sings it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rtvox.errors import ParameterError

STYLES = ("electronic", "rock", "pop", "jazz", "strings")
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10), "dorian": (0, 2, 3, 5, 7, 9, 10)}
# Chord roots as scale degrees, one per bar.
PROGRESSIONS = {
    "major": ((0, 4, 5, 3), (0, 3, 4, 3), (5, 3, 0, 4), (0, 5, 3, 4), (3, 0, 4, 5), (0, 2, 3, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 5, 4), (0, 6, 5, 6), (0, 0, 5, 6), (5, 6, 0, 0), (0, 2, 6, 3)),
    "dorian": ((0, 3, 0, 3), (0, 6, 3, 0), (0, 1, 3, 0), (0, 2, 3, 6)),
}
JAZZ = {
    "major": ((1, 4, 0, 5), (0, 5, 1, 4), (2, 5, 1, 4)),
    "minor": ((0, 3, 1, 4), (1, 4, 0, 0)),
    "dorian": ((0, 3, 0, 3), (1, 4, 0, 0)),
}
KEYS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
BPM = {"electronic": (84, 150), "rock": (92, 172), "pop": (76, 128), "jazz": (92, 190), "strings": (56, 104)}
MIDDLE_A_HZ = 440.0
# Drums, as General MIDI numbers them.
KICK, SNARE, CLAP, HAT, OPEN, CRASH, RIDE, TOM, STICK, TAIKO = 36, 38, 39, 42, 46, 49, 51, 45, 37, 41


@dataclass(frozen=True)
class Note:
    """One note: midi number (60 is middle C), start and duration in seconds, loudness 0 to 1."""

    midi: int
    start: float
    duration: float
    velocity: float = 0.8


@dataclass(frozen=True)
class Part:
    """What one player plays: its stem, its role ("drums", "bass", "chords", "arp", "pad" or "lead") and its notes."""

    stem: str
    role: str
    notes: list[Note]


@dataclass(frozen=True)
class Song:
    """A composition; `melody` is for a singer and no part plays it throughout."""

    style: str
    bpm: float
    key: str  # e.g. "A minor"
    parts: list[Part]
    melody: list[Note]


def generator(seed: int, style: str, what: str) -> np.random.Generator:
    """The generator of one task (`what`) within a seed and style, so that tasks do not disturb each other."""
    if style not in STYLES:
        raise ParameterError(f"style {style!r} is unknown; choose one of {', '.join(STYLES)}")
    return np.random.default_rng([seed, zlib.crc32(f"{style}/{what}".encode())])


@dataclass(frozen=True)
class _Harmony:
    """Key, scale and chords: turns scale degrees into midi numbers."""

    root: int  # 0 to 11
    mode: str
    chords: list[int]  # degree of each bar's chord

    def pitch(self, degree: int, near: int) -> int:
        """The scale's degree (any integer; 7 is an octave up) counted from the tonic next above `near` - 6."""
        tonic = near - 6 + (self.root - (near - 6)) % 12
        return tonic + 12 * (degree // 7) + SCALES[self.mode][degree % 7]

    def chord(self, bar: int, near: int, size: int) -> list[int]:
        """Close voicing around `near` of the bar's chord with `size` stacked thirds."""
        tones = {self.pitch(self.chords[bar] + 2 * k, 60) % 12 for k in range(size)}
        return sorted(near - 6 + (t - (near - 6)) % 12 for t in tones)


def compose(seed: int, style: str, seconds: float) -> Song:
    """Write a song of sections (four bars each) that bring players in and out.

    Raises: ParameterError if `style` is unknown.
    """
    rng = generator(seed, style, "song")
    fast = style == "electronic" and rng.random() < 0.15  # drum and bass
    bpm = float(rng.integers(*((170, 176) if fast else BPM[style])))
    bar_s = 240 / bpm
    bars = int(np.ceil(seconds / bar_s))
    mode = str(rng.choice(list(SCALES), p=(0.5, 0.4, 0.1) if style in ("pop", "strings") else (0.25, 0.55, 0.2)))
    table = (JAZZ if style == "jazz" else PROGRESSIONS)[mode]
    verse, chorus = table[rng.integers(len(table))], table[rng.integers(len(table))]
    harmony = _Harmony(int(rng.integers(12)), mode, [(verse, chorus)[(b // 8) % 2][b % 4] for b in range(bars + 1)])
    energy = [float(rng.choice([0.3, 0.65, 1.0], p=[0.2, 0.35, 0.45])) for _ in range(bars // 4 + 1)]
    plan = _Plan(rng, style, bars, bar_s, harmony, energy)
    parts = [
        Part("drums", "drums", plan.drums()),
        Part("bass", "bass", plan.bass()),
        Part("other", "chords", plan.chords()),
        Part("other", "pad", plan.pad()),
        Part("other", "arp", plan.arp()),
        Part("lead", "lead", plan.tune(near=int(rng.integers(70, 80)), density=0.45)),
    ]
    return Song(style, bpm, f"{KEYS[harmony.root]} {mode}", parts, melody=plan.tune(near=65, density=0.85))


@dataclass
class _Plan:
    """Writes the parts of one song, drawing from one generator."""

    rng: np.random.Generator
    style: str
    bars: int
    bar_s: float
    harmony: _Harmony
    energy: list[float]  # of each four-bar section, 0.3 to 1

    def _note(self, midi: int, bar: int, sixteenth: float, length: float, velocity: float) -> Note:
        """A note at a place in a bar (sixteenths): swung in jazz, loose by hand, exact on a machine."""
        if self.style == "jazz" and sixteenth % 4 == 2:
            sixteenth += 0.6
        loose = 0.0 if self.style == "electronic" else 0.007 * self.rng.standard_normal()
        start = max(0.0, (bar + sixteenth / 16) * self.bar_s + loose)
        touch = velocity * (1 if self.style == "electronic" else self.rng.uniform(0.82, 1.1))
        return Note(int(midi), start, length / 16 * self.bar_s, float(np.clip(touch, 0.05, 1)))

    def _places(self, among: list[int], fewest: int, below: int) -> list[int]:
        """The first sixteenth and a few drawn ones, in order."""
        return [0, *sorted(map(int, self.rng.choice(among, self.rng.integers(fewest, below), replace=False)))]

    def _playing(self, chance: float) -> list[int]:
        """The bars of the sections in which a player takes part: always when loud, with a `chance` when quiet."""
        plays = [energy > 0.3 or self.rng.random() < chance for energy in self.energy]
        return [bar for bar in range(self.bars) if plays[bar // 4]]

    def drums(self) -> list[Note]:
        rng, style = self.rng, self.style
        half = style == "electronic" and self.bar_s < 1.7 and rng.random() < 0.4
        four = style == "electronic" and not half and rng.random() < 0.75
        kicks = [0, 4, 8, 12] if four else self._places([3, 6, 7, 8, 10, 11, 14], 1, 4)
        snares = [8] if half else [4, 12]
        hat_step = int(rng.choice([1, 2, 2, 4] if style == "electronic" else [2, 2, 4]))
        backbeat = int(rng.choice([SNARE, CLAP])) if style in ("electronic", "pop") else SNARE
        offbeat, cymbal = rng.random() < 0.6, int(rng.choice([HAT, HAT, RIDE]))
        notes, none = list[Note](), style == "strings" and rng.random() < 0.5
        for bar in range(self.bars):
            energy = self.energy[bar // 4]

            def hit(drum: int, at: float, velocity: float, bar: int = bar) -> None:
                notes.append(self._note(drum, bar, at, 1, velocity))

            if style == "strings":
                if not none and energy > 0.3:
                    for at in (0, *rng.choice([6, 8, 12, 14], 2, replace=False)):
                        hit(TAIKO if energy < 1 else KICK, at, 0.7)
                continue
            if bar % 4 == 0 and (energy == 1.0 or bar % 8 == 0):
                hit(CRASH, 0, 0.7)
            if style == "jazz":
                for at, v in ((0, 0.6), (4, 0.75), (6, 0.5), (8, 0.6), (12, 0.75), (14, 0.5)):
                    hit(RIDE, at, v)
                for at in (4, 12):
                    hit(HAT, at, 0.4)
                for at in rng.choice(16, rng.integers(0, 4), replace=False):
                    hit(int(rng.choice([SNARE, STICK, KICK])), int(at), rng.uniform(0.2, 0.6))
                continue
            if energy > 0.3:
                for at in kicks:
                    hit(KICK, at, 0.95)
                for at in snares:
                    hit(backbeat, at, 0.9)
            for at in range(0, 16, hat_step):
                if energy > 0.3 or at % 4 == 0:
                    hit(OPEN if four and offbeat and at % 4 == 2 else cymbal, at, 0.75 if at % 4 == 0 else 0.5)
            if bar % 4 == 3 and rng.random() < 0.7:
                for at in range(int(rng.choice([8, 12])), 16):
                    hit(int(rng.choice([SNARE, TOM, SNARE])), at, 0.4 + 0.03 * at)
        return notes

    def bass(self) -> list[Note]:
        rng, harmony, notes = self.rng, self.harmony, list[Note]()
        kind = str(rng.choice(["eighths", "offbeat", "pattern", "long"]))
        pattern = self._places(list(range(2, 16)), 3, 8)
        for bar in self._playing(0.5):
            root, fifth = harmony.pitch(harmony.chords[bar], 36), harmony.pitch(harmony.chords[bar] + 4, 36)
            root -= 12 if root > 45 else 0
            fifth -= 12 if fifth > 48 else 0
            if self.style == "jazz":
                after = harmony.pitch(harmony.chords[bar + 1], 36)
                walk = [root, *map(int, rng.choice(harmony.chord(bar, 42, 4), 2)), after + int(rng.choice([-1, 1, 2]))]
                notes += [self._note(m, bar, 4 * k, 3.8, 0.8) for k, m in enumerate(walk)]
            elif self.style == "strings" or kind == "long":
                notes.append(self._note(root, bar, 0, 15.5, 0.8))
            elif kind == "pattern":
                for at in pattern:
                    up = int(rng.choice([0, 0, 0, 12])) if at else 0
                    notes.append(self._note(root + up, bar, at, 1.6, 0.8))
            else:
                first = 2 if kind == "offbeat" and self.style == "electronic" else 0
                step = 4 if first else 2
                notes += [self._note(fifth if at == 14 else root, bar, at, 1.7, 0.85) for at in range(first, 16, step)]
        return notes

    def chords(self) -> list[Note]:
        rng, notes = self.rng, list[Note]()
        size = 4 if self.style == "jazz" else 3
        rhythm = self._places([3, 6, 8, 10, 12, 14], 1, 4)
        drive = list(range(0, 16, 2)) if rng.random() < 0.6 else [0, 4, 6, 8, 12, 14]
        for bar in self._playing(0.3):
            if self.style == "rock":  # power chords: root, fifth, octave
                low = self.harmony.pitch(self.harmony.chords[bar], 44)
                places, length = (drive, 1.8) if self.energy[bar // 4] < 1 else ([0, 8], 7.8)
                tones = [low, low + 7, low + 12]
            elif self.style == "strings":
                places, length, tones = [0], 15.8, self.harmony.chord(bar, 58, size)
            else:
                places, length, tones = rhythm, float(rng.choice([1.5, 3])), self.harmony.chord(bar, 60, size)
            notes += [self._note(m, bar, at, length, 0.7) for at in places for m in tones]
        return notes

    def pad(self) -> list[Note]:
        if self.rng.random() < 0.25:
            return []
        size = int(self.rng.integers(3, 5))
        return [self._note(m, bar, 0, 15.9, 0.6) for bar in range(self.bars) for m in self.harmony.chord(bar, 62, size)
                if self.energy[bar // 4] != 0.65 or self.style == "electronic"]  # fmt: skip

    def arp(self) -> list[Note]:
        if self.style == "jazz" or self.rng.random() < (0.15 if self.style == "electronic" else 0.5):
            return []
        step = int(self.rng.choice([1, 2]))
        order = self.rng.integers(0, 6, 16 // step)
        gaps = self.rng.random(16 // step) < 0.2
        high, notes = int(self.rng.integers(62, 74)), list[Note]()
        for bar in range(self.bars):
            if self.energy[bar // 4] == 0.65 and self.style != "electronic":
                continue
            tones = self.harmony.chord(bar, high, 3)
            tones = tones + [t + 12 for t in tones]
            for k in np.flatnonzero(~gaps):
                notes.append(self._note(tones[order[k]], bar, float(k * step), 0.8 * step, 0.7))
        return notes

    def tune(self, near: int, density: float) -> list[Note]:
        """Phrases of two bars on a few rhythms: chord tones on the beat, steps between, and breath at the end.

        Monophonic; stays within an octave and a fifth around `near`; `density` is the share of phrases that sound.
        """
        rng, degree, notes = self.rng, 0, list[Note]()
        places = np.arange(0, 28, 2)
        rhythms = [np.sort(rng.choice(places, rng.integers(4, 11), replace=False)) for _ in range(3)]
        for bar in range(0, self.bars - 1, 2):
            if rng.random() > density:
                continue
            starts = rhythms[rng.integers(len(rhythms))]
            for k, at in enumerate(starts):
                here = bar + int(at) // 16
                degree += int(rng.choice([-2, -1, -1, 0, 1, 1, 2, 4 if rng.random() < 0.2 else 1]))
                degree = int(np.clip(degree, -4, 7))
                if at % 8 == 0 or k == len(starts) - 1:  # move to the nearest chord tone
                    chord = {(self.harmony.chords[here] + 2 * j) % 7 for j in range(3)}
                    degree = min(range(degree - 2, degree + 3), key=lambda d: (d % 7 not in chord, abs(d - degree)))
                until = starts[k + 1] if k + 1 < len(starts) else min(at + rng.choice([4, 6, 8]), 30)
                length = float(until - at) * (0.98 if rng.random() < 0.8 else 0.7)
                notes.append(self._note(self.harmony.pitch(degree, near), here, int(at) % 16, length, 0.8))
        cut = [
            Note(a.midi, a.start, min(a.duration, b.start - a.start), a.velocity)
            for a, b in pairwise(notes)
            if b.start - a.start > 0.03
        ]
        return cut + notes[-1:]
