"""Bands made in code: compose a song from a seed, render its instruments, return aligned stems and a tune to sing.

Enters: a seed, a style and a length. Leaves: `Band`, mono stems "drums", "bass", "other" and "lead" at 48 kHz of equal
length (none holds a voice: their sum is an accompaniment), with the vocal melody in the same key and time.
Electronic bands are played by `synth.py`, the others (and some parts of those) by the program `fluidsynth` with a
General MIDI soundfont, both of Debian: fluid-soundfont-gm (Frank Wen 2000-2008, MIT) and musescore-general-soundfont-small
(S. Christian Collins and others 2018-2021, MIT, parts CC0 or public domain). TimGM6mb is GPL-2 and is therefore not used.
Offline; runs in the caller's thread. Same seed, same programs: same samples. Read next: `singing.py`.
"""

from __future__ import annotations

import argparse
import functools
import subprocess
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import mido
import numpy as np
import soundfile

from export.recordings.effects import (
    PEAK,
    RATE,
    Array,
    biquad,
    chorus,
    compress,
    echo,
    equalise,
    level,
    reverb,
    saturate,
)
from export.recordings.synth import Note, draw_patch, drum_kit, play
from rtvox.errors import AudioFileError, MissingExtraError, ParameterError

STYLES = ("electronic", "rock", "pop", "jazz", "strings")
STEMS = ("drums", "bass", "other", "lead")
SOUNDFONTS = (Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"), Path("/usr/share/sounds/sf3/MuseScore_General_Lite.sf3"))

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10), "dorian": (0, 2, 3, 5, 7, 9, 10)}
# Chord roots as scale degrees, one per bar.
PROGRESSIONS = {
    "major": ((0, 4, 5, 3), (0, 3, 4, 3), (5, 3, 0, 4), (0, 5, 3, 4), (3, 0, 4, 5), (0, 2, 3, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 5, 4), (0, 6, 5, 6), (0, 0, 5, 6), (5, 6, 0, 0), (0, 2, 6, 3)),
    "dorian": ((0, 3, 0, 3), (0, 6, 3, 0), (0, 1, 3, 0), (0, 2, 3, 6)),
}
JAZZ = {"major": ((1, 4, 0, 5), (0, 5, 1, 4), (2, 5, 1, 4)), "minor": ((0, 3, 1, 4), (1, 4, 0, 0)), "dorian": ((0, 3, 0, 3), (1, 4, 0, 0))}
BPM = {"electronic": (84, 150), "rock": (92, 172), "pop": (76, 128), "jazz": (92, 190), "strings": (56, 104)}
KICK, SNARE, CLAP, HAT, OPEN, CRASH, RIDE, TOM, STICK, TAIKO = 36, 38, 39, 42, 46, 49, 51, 45, 37, 41
MACHINE = {KICK: "kick", SNARE: "snare", CLAP: "clap", HAT: "hat", OPEN: "open", CRASH: "crash", RIDE: "ride", TOM: "tom",
           STICK: "clap", TAIKO: "tom"}  # fmt: skip
# General MIDI programs, from 0. Choirs and "voice" sounds (52-54, 85, 91) are left out: they come too near a singer.
PROGRAMS: dict[str, dict[str, tuple[int, ...]]] = {
    "electronic": {"bass": (38, 39), "chords": (4, 5, 50, 51, 62, 81, 90), "arp": (6, 11, 12, 46, 80, 81, 98), "pad": (50, 88, 89, 94, 95),
                   "lead": (80, 81, 82, 84, 87, 12)},
    "rock": {"bass": (33, 34), "chords": (29, 30, 27), "arp": (27, 25, 26), "pad": (16, 18, 48), "lead": (29, 30, 17)},
    "pop": {"bass": (33, 34, 38), "chords": (0, 1, 4, 25, 27), "arp": (24, 25, 46, 8, 11), "pad": (48, 50, 89), "lead": (73, 11, 65, 81, 25, 56)},
    "jazz": {"bass": (32,), "chords": (0, 4, 26), "arp": (11, 26), "pad": (16, 61), "lead": (56, 59, 64, 65, 66, 71, 11)},
    "strings": {"bass": (42, 43), "chords": (48, 49, 44), "arp": (45, 46, 0), "pad": (48, 49, 60), "lead": (40, 41, 68, 71, 73)},
}  # fmt: skip


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


@dataclass(frozen=True)
class Band:
    """A rendered song: `stems` are (N,) float32 at 48 kHz, aligned, equal in length, and sum to a peak of at most -1 dB."""

    stems: dict[str, Array]
    melody: list[Note] = field(repr=False)
    bpm: float
    key: str


def _generator(seed: int, style: str, what: str) -> np.random.Generator:
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
    rng = _generator(seed, style, "song")
    bpm = float(rng.integers(170, 176)) if style == "electronic" and rng.random() < 0.15 else float(rng.integers(*BPM[style]))
    bar_s = 240 / bpm
    bars = int(np.ceil(seconds / bar_s))
    mode = str(rng.choice(list(SCALES), p=(0.5, 0.4, 0.1) if style in ("pop", "strings") else (0.25, 0.55, 0.2)))
    table = (JAZZ if style == "jazz" else PROGRESSIONS)[mode]
    verse, chorus = table[rng.integers(len(table))], table[rng.integers(len(table))]
    harmony = _Harmony(int(rng.integers(12)), mode, [(verse, chorus)[(b // 8) % 2][b % 4] for b in range(bars + 1)])
    energy = [float(rng.choice([0.3, 0.65, 1.0], p=[0.2, 0.35, 0.45])) for _ in range(bars // 4 + 1)]
    names = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
    plan = _Plan(rng, style, bars, bar_s, harmony, energy)
    return Song(
        style, bpm, f"{names[harmony.root]} {mode}",
        [
            Part("drums", "drums", plan.drums()),
            Part("bass", "bass", plan.bass()),
            Part("other", "chords", plan.chords()),
            Part("other", "pad", plan.pad()),
            Part("other", "arp", plan.arp()),
            Part("lead", "lead", plan.tune(near=int(rng.integers(70, 80)), density=0.45, level=0.8)),
        ],
        plan.tune(near=65, density=0.85, level=0.8),
    )  # fmt: skip


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

    def _playing(self, chance: float) -> list[int]:
        """The bars of the sections in which a player takes part: always when loud, with a `chance` when quiet."""
        plays = [energy > 0.3 or self.rng.random() < chance for energy in self.energy]
        return [bar for bar in range(self.bars) if plays[bar // 4]]

    def drums(self) -> list[Note]:
        rng, style = self.rng, self.style
        half = style == "electronic" and self.bar_s < 1.7 and rng.random() < 0.4
        four = style == "electronic" and not half and rng.random() < 0.75
        kicks = [0, 4, 8, 12] if four else [0, *sorted(rng.choice([3, 6, 7, 8, 10, 11, 14], rng.integers(1, 4), replace=False))]
        snares, hat_step = ([8] if half else [4, 12]), int(rng.choice([1, 2, 2, 4] if style == "electronic" else [2, 2, 4]))
        backbeat = int(rng.choice([SNARE, CLAP])) if style in ("electronic", "pop") else SNARE
        offbeat, cymbal = rng.random() < 0.6, int(rng.choice([HAT, HAT, RIDE]))
        notes, none = [], style == "strings" and rng.random() < 0.5
        for bar in range(self.bars):
            energy = self.energy[bar // 4]
            hit = lambda drum, at, v, bar=bar: notes.append(self._note(drum, bar, at, 1, v))  # noqa: E731
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
        notes, kind = [], str(self.rng.choice(["eighths", "offbeat", "pattern", "long"]))
        pattern = [0, *sorted(self.rng.choice(np.arange(2, 16), self.rng.integers(3, 8), replace=False))]
        for bar in self._playing(0.5):
            root, fifth = self.harmony.pitch(self.harmony.chords[bar], 36), self.harmony.pitch(self.harmony.chords[bar] + 4, 36)
            root -= 12 if root > 45 else 0
            fifth -= 12 if fifth > 48 else 0
            if self.style == "jazz":
                after = self.harmony.pitch(self.harmony.chords[bar + 1], 36)
                walk = [root, *(int(m) for m in self.rng.choice(self.harmony.chord(bar, 42, 4), 2)), after + int(self.rng.choice([-1, 1, 2]))]
                notes += [self._note(m, bar, 4 * k, 3.8, 0.8) for k, m in enumerate(walk)]
            elif self.style == "strings" or kind == "long":
                notes.append(self._note(root, bar, 0, 15.5, 0.8))
            elif kind == "pattern":
                notes += [self._note(root + int(self.rng.choice([0, 0, 0, 12])) if at else root, bar, at, 1.6, 0.8) for at in pattern]
            else:
                first = 2 if kind == "offbeat" and self.style == "electronic" else 0
                step = 4 if first else 2
                notes += [self._note(fifth if at == 14 else root, bar, at, 1.7, 0.85) for at in range(first, 16, step)]
        return notes

    def chords(self) -> list[Note]:
        rng, notes = self.rng, []
        size = 4 if self.style == "jazz" else 3
        rhythm = [0, *sorted(rng.choice([3, 6, 8, 10, 12, 14], rng.integers(1, 4), replace=False))]
        drive = list(range(0, 16, 2)) if rng.random() < 0.6 else [0, 4, 6, 8, 12, 14]
        for bar in self._playing(0.3):
            if self.style == "rock":  # power chords: root, fifth, octave
                low = self.harmony.pitch(self.harmony.chords[bar], 44)
                places, length, tones = (drive, 1.8, [low, low + 7, low + 12]) if self.energy[bar // 4] < 1 else ([0, 8], 7.8, [low, low + 7, low + 12])
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
        high, notes = int(self.rng.integers(62, 74)), []
        for bar in range(self.bars):
            if self.energy[bar // 4] == 0.65 and self.style != "electronic":
                continue
            tones = self.harmony.chord(bar, high, 3)
            tones = tones + [t + 12 for t in tones]
            notes += [self._note(tones[order[k]], bar, k * step, 0.8 * step, 0.7) for k in range(16 // step) if not gaps[k]]
        return notes

    def tune(self, near: int, density: float, level: float) -> list[Note]:
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
                notes.append(self._note(self.harmony.pitch(degree, near), here, int(at) % 16, length, level))
        return [Note(a.midi, a.start, min(a.duration, b.start - a.start), a.velocity) for a, b in zip(notes, notes[1:], strict=False)
                if b.start - a.start > 0.03] + notes[-1:]  # fmt: skip


def fluid(notes: Sequence[Note], program: int, n: int, soundfont: Path, drums: bool = False) -> Array:
    """Play notes with the program `fluidsynth` into (n,) samples, dry.

    Raises: MissingExtraError if fluidsynth or the soundfont is not installed.
    """
    if not notes:
        return np.zeros(n, np.float32)
    ticks = 1000  # per beat of one second
    track, channel = mido.MidiTrack(), 9 if drums else 0
    events = [(round(e.start * ticks), 1, e.midi, round(1 + 126 * e.velocity)) for e in notes]
    events += [(round((e.start + max(e.duration, 0.02)) * ticks), 0, e.midi, 0) for e in notes]
    track.append(mido.MetaMessage("set_tempo", tempo=1_000_000))
    track.append(mido.Message("program_change", channel=channel, program=program))
    now = 0
    for at, on, midi, velocity in sorted(events):
        track.append(mido.Message("note_on" if on else "note_off", channel=channel, note=midi, velocity=velocity, time=at - now))
        now = at
    with tempfile.TemporaryDirectory() as folder:
        song, sound = Path(folder, "part.mid"), Path(folder, "part.wav")
        mido.MidiFile(ticks_per_beat=ticks, tracks=[track]).save(song)
        command = ["fluidsynth", "-ni", "-q", "-g", "0.3", "-r", str(RATE), "-R", "0", "-C", "0", "-o", "synth.dynamic-sample-loading=1",
                   "-F", str(sound), "-T", "wav", "-O", "s16", str(soundfont), str(song)]  # fmt: skip
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            raise MissingExtraError(f"fluidsynth could not play with {soundfont}; install the Debian packages fluidsynth, "
                                    "fluid-soundfont-gm and musescore-general-soundfont-small") from error  # fmt: skip
        stereo = soundfile.read(sound, dtype="float32", always_2d=True)[0]
    out = np.zeros(n, np.float32)
    mono = stereo.mean(1)[:n]
    out[: len(mono)] = mono
    return out


def _machine(notes: Sequence[Note], n: int, rng: np.random.Generator) -> Array:
    """Play drum notes on a drawn drum machine."""
    kit, out = drum_kit(rng), np.zeros(n, np.float32)
    for note in notes:
        start = int(note.start * RATE)
        sound = kit[MACHINE[note.midi]][: max(0, n - start)]
        out[start : start + len(sound)] += np.float32(0.5 * note.velocity) * sound
    return out


def _pump(n: int, kicks: Sequence[Note], depth: float, back_s: float) -> Array:
    """The gain curve of a side-chain compressor fed by the kick drum."""
    since = np.full(n, n, np.int64)
    for kick in kicks:
        start = min(int(kick.start * RATE), n)
        since[start : start + RATE] = np.arange(len(since[start : start + RATE]))
    swell = np.minimum(since / RATE / back_s, 1.0)
    return (1 - depth * (1 - swell) ** 2 * np.minimum(1, since / 96)).astype(np.float32)


def _guitar(x: Array, rng: np.random.Generator) -> Array:
    """Amplifier and cabinet: distortion between two filters."""
    x = saturate(biquad(x, "high", 90), float(np.exp(rng.uniform(np.log(3), np.log(40)))), rng.uniform(0, 0.2))
    x = biquad(biquad(x, "low", rng.uniform(3800, 6500)), "low", rng.uniform(5000, 8000))
    return biquad(biquad(x, "bell", rng.uniform(90, 160), rng.uniform(0, 5)), "bell", rng.uniform(2000, 3500), rng.uniform(0, 6))


def _sound(song: Song, part: Part, n: int, rng: np.random.Generator, soundfont: Path, machine: bool) -> Array:
    """Choose an instrument for a part and play it with its own effects."""
    electronic = song.style == "electronic"
    if part.role == "drums":
        if machine:
            return _machine(part.notes, n, rng)
        return fluid(part.notes, int(rng.choice([24, 25, 26] if electronic else [0, 0, 8, 16])), n, soundfont, drums=True)
    if electronic and rng.random() < 0.8:
        role = {"chords": "stab", "arp": "pluck"}.get(part.role, part.role)
        sound = play(part.notes, draw_patch(rng, role), n, rng)
    else:
        sound = fluid(part.notes, int(rng.choice(PROGRAMS[song.style][part.role])), n, soundfont)
    if song.style == "rock" and part.role in ("chords", "lead") and rng.random() < 0.9:
        sound = _guitar(sound, rng)
    if rng.random() < 0.3 and part.role != "bass":
        sound = chorus(sound, rng)
    if rng.random() < (0.6 if electronic else 0.3) and part.role in ("arp", "lead", "chords"):
        sound = echo(sound, 60 / song.bpm * float(rng.choice([0.5, 0.75, 1.0])), rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.6))
    return sound


def render_band(seed: int, style: str, seconds: float, rooms: Sequence[Path] = ()) -> Band:
    """Compose and render a band.

    Args:
        seed: draws everything: song, instruments, effects, levels.
        style: one of `STYLES`.
        seconds: length of the stems.
        rooms: impulse response files to draw from beside synthetic rooms.

    Raises: ParameterError for an unknown style; MissingExtraError without fluidsynth and its soundfonts.
    """
    song, rng = compose(seed, style, seconds), _generator(seed, style, "sound")
    n, electronic = round(seconds * RATE), style == "electronic"
    soundfont, machine = SOUNDFONTS[rng.integers(len(SOUNDFONTS))], electronic and rng.random() < 0.85
    kicks = [note for note in song.parts[0].notes if note.midi == KICK]
    pump = _pump(n, kicks, rng.uniform(0.3, 0.95), rng.uniform(0.12, 0.3)) if electronic and rng.random() < 0.75 else None
    stems = {stem: np.zeros(n, np.float32) for stem in STEMS}
    for part in song.parts:
        sound = level(_sound(song, part, n, rng, soundfont, machine), -20 + rng.uniform(-4, 2))
        if pump is not None and part.role in ("bass", "pad", "chords", "arp"):
            sound = sound * pump
        stems[part.stem] += sound
    wet = {"drums": 0.15, "bass": 0.0, "other": 0.35, "lead": 0.4}
    for stem, sound in stems.items():
        if not np.any(sound):
            continue
        sound = equalise(sound, rng)
        if rng.random() < 0.6:
            sound = compress(sound, rng.uniform(-24, -10), rng.uniform(1.5, 5))
        if wet[stem] and rng.random() < 0.8:
            sound = reverb(sound, rng, wet[stem] * rng.uniform(0.3, 1.6), rooms)
        stems[stem] = level(sound, {"drums": -20, "bass": -21, "other": -20, "lead": -23}[stem] + rng.uniform(-3, 3))
    peak = float(np.abs(np.sum(list(stems.values()), axis=0)).max())
    gain = np.float32(min(1.0, PEAK / max(peak, 1e-9)))
    return Band({stem: sound * gain for stem, sound in stems.items()}, song.melody, song.bpm, song.key)


def pick_style(index: int) -> str:
    """Every second band is electronic, the other styles take turns."""
    return STYLES[0] if index % 2 == 0 else STYLES[1 + index // 2 % (len(STYLES) - 1)]


def write_flac(path: Path, sound: Array) -> None:
    """Write 16-bit mono FLAC at 48 kHz under a temporary name first: a reader never meets half a file.

    Raises: AudioFileError if the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        soundfile.write(part, sound, RATE, subtype="PCM_16", format="FLAC")
        part.rename(path)
    except (OSError, soundfile.LibsndfileError) as error:
        raise AudioFileError(f"cannot write {path}: {error}; choose another --out") from error


@functools.cache
def room_files(folder: Path) -> tuple[Path, ...]:
    """The impulse responses of a folder that are rooms: not the filters and backwards effects among them."""
    odd = ("filter", "backwards", "backslap", "comb", "cosmic", "sifter", "wildecho", "ambisonic", "feedback")
    return tuple(p for p in sorted(folder.glob("*.flac")) if not any(word in p.name for word in odd))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write bands until there are enough minutes; bands that exist already are kept."""
    parser = argparse.ArgumentParser(prog="python -m export.recordings.bands", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder; DIR/bands/STYLE-SEED/STEM.flac is written")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first band; the next ones count up")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of one band")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="its rooms/ are used when there")
    options = parser.parse_args(arguments)
    rooms = room_files(options.data / "rooms")
    for index in range(int(np.ceil(options.minutes * 60 / options.seconds))):
        seed, style = options.seed + index, pick_style(index)
        folder = options.out / "bands" / f"{style}-{seed}"
        if all((folder / f"{stem}.flac").exists() for stem in STEMS):
            continue
        band = render_band(seed, style, options.seconds, rooms)
        for stem, sound in band.stems.items():
            write_flac(folder / f"{stem}.flac", sound)
        print(f"{folder.name}: {band.key}, {band.bpm:.0f} bpm, {len(band.melody)} notes to sing", flush=True)


if __name__ == "__main__":
    main()
